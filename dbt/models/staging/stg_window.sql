select * from {{ source('raw', 'window') }} where not _is_deleted
