-- Regions that the sources list and that are another one today.
with listed as (
    select region_code as code, successor_code, effective_from, effective_to
    from {{ ref('stg_region') }}
    qualify row_number() over (partition by region_code order by source) = 1
)

select code as region_code, current_code, succession_state
from ({{ current_codes('listed') }}) as c
