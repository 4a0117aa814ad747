{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    pre_hook="{{ delete_touched(['date', 'department_code'], 'select * from ' ~ ref('int_department_day_touched')) }}"
) }}
with grid as (
    select t.date, t.department_code, m.measure_code
    from {{ ref('int_department_day_touched') }} as t
    cross join (select measure_code from {{ ref('measures') }}) as m
    where t.is_wanted
)

select
    g.date,
    g.department_code,
    g.measure_code,
    cast(coalesce(n.numerator, 0) as double) as numerator,
    cast(coalesce(n.denominator, 0) as double) as denominator,
    case when coalesce(n.denominator, 0) = 0 then 'no_denominator' end as null_reason
from grid as g
left join {{ ref('int_measure_counts') }} as n
    on g.date = n.day and g.department_code = n.department_code and g.measure_code = n.measure_code
