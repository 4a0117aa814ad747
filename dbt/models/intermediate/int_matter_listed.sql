{{ config(materialized='view') }}
-- The first source by name has precedence.
with counted as (
    select *,
        -- what M06 counts: limits in working days; decided on the spot is a promise of none
        case when statutory_limit_unit = 'wd' and statutory_limit > 0
              and (case_kind_code = '1' or (promised_limit_unit = 'wd' and promised_limit is not null))
             then statutory_limit end as statutory_days
    from {{ ref('dim_matter') }}
)

select
    matter_code, matter_name, type_code, department_code, matter_state_code, is_online, trips,
    promised_limit, promised_limit_unit, statutory_limit, statutory_limit_unit,
    statutory_days,
    statutory_days - case when case_kind_code = '1' then 0 else promised_limit end as days_saved
from counted
qualify row_number() over (partition by matter_code order by source) = 1
