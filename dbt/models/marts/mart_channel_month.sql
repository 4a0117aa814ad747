-- A case counts as received in the month of receipt, as completed in the month of completion.
with counted as (
    select department_code, channel_code, {{ month_of('received_on') }} as month, count(*) as received,
        0 as completed, 0 as on_time, 0 as late
    from {{ ref('fct_case') }}
    where received_at <= {{ as_of() }}
    group by 1, 2, 3
    union all
    select department_code, channel_code, {{ month_of('completed_on') }}, 0, count(*),
        count(*) filter (where not is_late), count(*) filter (where is_late)
    from {{ ref('fct_case') }}
    where is_completed
    group by 1, 2, 3
)

select
    channel_code,
    department_code,
    month,
    cast(sum(received) as bigint) as received,
    cast(sum(completed) as bigint) as completed,
    cast(sum(on_time) as bigint) as on_time,
    cast(sum(late) as bigint) as late
from counted
group by channel_code, department_code, month
