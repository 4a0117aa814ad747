select * from {{ source('raw', 'calendar_day') }} where not _is_deleted
