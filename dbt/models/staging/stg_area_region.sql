select * from {{ source('raw', 'area_region') }} where not _is_deleted
