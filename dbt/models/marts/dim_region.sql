select source, region_code, region_name, parent_code, region_level_code, division_code, effective_from, effective_to
from {{ ref('stg_region') }}
qualify row_number() over (partition by region_code order by source) = 1
