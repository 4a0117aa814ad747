select * from {{ source('raw', 'review') }} where not _is_deleted
