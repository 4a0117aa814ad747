select * from {{ source('raw', 'department') }} where not _is_deleted
