select r.source, r.region_code, r.region_name, r.parent_code, r.region_level_code, r.division_code, r.effective_from, r.effective_to,
    r.successor_code,
    case when c.region_code is null then r.region_code else c.current_code end as current_code,
    coalesce(c.succession_state, 'current') as succession_state
from {{ ref('stg_region') }} as r
left join {{ ref('int_region_current') }} as c on r.region_code = c.region_code
qualify row_number() over (partition by r.region_code order by r.source) = 1
