-- Figures of departments that have been merged or renamed, under the department of today: comparable over the years.
select
    cast({{ dbt.date_trunc('month', 'm.date') }} as date) as month,
    coalesce(d.current_code, d.department_code) as department_code,
    m.measure_code,
    sum(m.numerator) as numerator,
    sum(m.denominator) as denominator,
    case when sum(m.denominator) = 0 then 'no_denominator' end as null_reason
from {{ ref('mart_department_day') }} as m
inner join {{ ref('dim_department') }} as d on m.department_code = d.department_code
group by 1, 2, 3
