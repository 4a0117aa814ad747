select * from {{ source('raw', 'certificate') }} where not _is_deleted
