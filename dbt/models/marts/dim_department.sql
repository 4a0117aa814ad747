-- Departments that a source lists, then those that are only seen in matters and cases.
with listed as (
    select source, department_code, department_name, department_kind_code, region_code, parent_code, sort_order,
        effective_from, effective_to, 1 as precedence
    from {{ ref('stg_department') }}
), seen as (
    select distinct source, department_code, department_name from {{ ref('dim_matter') }}
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
    source,
    department_code,
    coalesce(department_name, department_code) as department_name,
    department_kind_code,
    region_code,
    parent_code,
    sort_order,
    effective_from,
    effective_to
from everything
qualify row_number() over (partition by department_code order by precedence, source) = 1
