with counted as (
    select department_code, matter_code, {{ month_of('completed_on') }} as month,
        count(*) as completed,
        count(*) filter (where not is_late) as on_time,
        count(*) filter (where is_late) as late,
        count(*) filter (where is_late is null) as no_clock,
        count(*) filter (where is_late is null and due_null_reason = 'no_limit') as no_limit,
        count(*) filter (where is_late is null and due_null_reason = 'not_accepted') as not_accepted,
        count(*) filter (where is_late is null and due_null_reason = 'calendar_unpublished') as calendar_unpublished,
        count(is_statutory_late) as statutory_clocked,
        count(*) filter (where is_statutory_late) as statutory_late,
        count(net_working_days) as net_cases,
        coalesce(sum(net_working_days), 0) as net_working_days,
        percentile_cont(0.5) within group (order by net_working_days) as net_working_days_median,
        percentile_cont(0.9) within group (order by net_working_days) as net_working_days_p90,
        count(*) filter (where paused_days > 0) as paused_cases,
        coalesce(sum(paused_days) filter (where net_working_days is not null), 0) as paused_days
    from {{ ref('fct_case') }}
    where is_completed
    group by 1, 2, 3
)

select
    c.department_code,
    c.matter_code,
    c.month,
    c.completed,
    c.on_time,
    c.late,
    c.no_clock,
    c.no_limit,
    c.not_accepted,
    c.calendar_unpublished,
    c.on_time / nullif(cast(c.on_time + c.late as double), 0) as on_time_rate,
    c.statutory_clocked,
    c.statutory_late,
    c.net_cases,
    cast(c.net_working_days as bigint) as net_working_days,
    c.net_working_days / nullif(cast(c.net_cases as double), 0) as net_working_days_mean,
    cast(c.net_working_days_median as double) as net_working_days_median,
    cast(c.net_working_days_p90 as double) as net_working_days_p90,
    c.paused_cases,
    cast(c.paused_days as bigint) as paused_days,
    c.paused_days / nullif(cast(c.net_working_days + c.paused_days as double), 0) as paused_share,
    m.promised_limit,
    m.promised_limit_unit,
    m.statutory_limit,
    m.statutory_limit_unit,
    m.days_saved,
    m.statutory_days,
    m.days_saved / nullif(cast(m.statutory_days as double), 0) as compression_ratio
from counted as c
left join {{ ref('int_matter_listed') }} as m on c.matter_code = m.matter_code
