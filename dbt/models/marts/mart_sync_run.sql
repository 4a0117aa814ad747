select n.run_id, n.run_seq, r.started_at, n.source, n.subject,
    n.rows_read, n.inserted, n.updated, n.unchanged, n.superseded, n.deleted, n.quarantined
from {{ source('ops', 'sync_count') }} as n
inner join {{ source('ops', 'run') }} as r on n.run_id = r.run_id
