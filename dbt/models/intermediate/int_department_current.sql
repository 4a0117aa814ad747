-- Departments that the sources list and that are another one today.
with listed as (
    select department_code as code, successor_code, effective_from, effective_to
    from {{ ref('stg_department') }}
    qualify row_number() over (partition by department_code order by source) = 1
)

select code as department_code, current_code, succession_state
from ({{ current_codes('listed') }}) as c
