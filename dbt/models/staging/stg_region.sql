select * from {{ source('raw', 'region') }} where not _is_deleted
