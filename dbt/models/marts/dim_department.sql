-- Departments that a source lists, then those that are only seen in matters and cases.
with listed as (
    select source, department_code, department_name, department_kind_code, region_code, parent_code, sort_order,
        effective_from, effective_to, successor_code, 1 as precedence
    from {{ ref('stg_department') }}
), seen as (
    select distinct source, department_code, department_name from {{ ref('dim_matter_version') }}
    union
    select distinct source, department_code, department_name from {{ ref('stg_case') }}
    union
    -- as the case resolves it: through its matter, else by name
    select distinct source, department_code, null from {{ ref('fct_case') }}
), everything as (
    select * from listed
    union all by name
    select source, department_code, min(department_name) as department_name, 'unknown' as department_kind_code, 2 as precedence
    from seen
    where department_code is not null
    group by source, department_code
)

select
    e.source,
    e.department_code,
    coalesce(e.department_name, e.department_code) as department_name,
    e.department_kind_code,
    e.region_code,
    e.parent_code,
    e.sort_order,
    e.effective_from,
    e.effective_to,
    e.successor_code,
    case when c.department_code is null then e.department_code else c.current_code end as current_code,
    coalesce(c.succession_state, 'current') as succession_state
from everything as e
left join {{ ref('int_department_current') }} as c on e.department_code = c.department_code
qualify row_number() over (partition by e.department_code order by e.precedence, e.source) = 1
