{{ config(materialized='view') }}
-- The first source by name has precedence; of several versions of it the latest that has begun.
select
    matter_code, matter_name, type_code, department_code, case_kind_code, is_online, trips, has_certificate,
    promised_limit, promised_limit_unit, statutory_limit, statutory_limit_unit, matter_state_code,
    -- what M06 counts: limits in working days; decided on the spot is a promise of none
    case when statutory_limit_unit = 'wd' and statutory_limit > 0
          and (case_kind_code = '1' or (promised_limit_unit = 'wd' and promised_limit is not null))
         then statutory_limit - case when case_kind_code = '1' then 0 else promised_limit end end as days_saved,
    case when statutory_limit_unit = 'wd' and statutory_limit > 0
          and (case_kind_code = '1' or (promised_limit_unit = 'wd' and promised_limit is not null))
         then statutory_limit end as statutory_days
from {{ ref('dim_matter') }}
qualify row_number() over (
    partition by matter_code
    order by source, coalesce(effective_from > {{ day_of(as_of()) }}, false), effective_from desc nulls last, version desc
) = 1
