select * from {{ source('raw', 'case_event') }} where sequence is not null and not _is_deleted
union all by name
-- Sources that number no steps: their order is time, then the row in the file.
select * replace (
    cast(row_number() over (partition by source, case_number order by occurred_at, _file_id, _file_row) as integer) as sequence
)
from {{ source('raw', 'case_event') }}
where sequence is null and not _is_deleted
