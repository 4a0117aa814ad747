select * replace (coalesce(received_at, applied_at) as received_at)
from {{ source('raw', 'case') }}
where not _is_deleted
