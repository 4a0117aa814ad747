with grid as (
    select d.day, p.department_code, m.measure_code
    from {{ source('raw', 'calendar') }} as d
    cross join (select department_code from {{ ref('dim_department') }}) as p
    cross join (select measure_code from {{ ref('measures') }}) as m
    where d.day between {{ mart_first_day() }} and {{ day_of(as_of()) }}
)

select
    g.day as date,
    g.department_code,
    g.measure_code,
    cast(coalesce(n.numerator, 0) as double) as numerator,
    cast(coalesce(n.denominator, 0) as double) as denominator,
    case when coalesce(n.denominator, 0) = 0 then 'no_denominator' end as null_reason
from grid as g
left join {{ ref('int_measure_counts') }} as n
    on g.day = n.day and g.department_code = n.department_code and g.measure_code = n.measure_code
