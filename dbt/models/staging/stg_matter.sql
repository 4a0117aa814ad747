select * from {{ source('raw', 'matter') }} where not _is_deleted
