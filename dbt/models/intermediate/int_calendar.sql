{#- The work calendar with what the city decided over it (models/domain/calendar.py, with_days): running numbers counted anew. Of two
    sources that decide one day the newest word holds. -#}
with decided as (
    select day, is_working, _run_seq
    from {{ ref('stg_calendar_day') }}
    where is_working is not null
    qualify row_number() over (partition by day order by updated_at desc nulls last, source) = 1
), laid as (
    select c.day, coalesce(d.is_working, c.is_working_day) as is_working_day, c.is_published, c.holiday, d.day is not null as is_decided
    from {{ source('raw', 'calendar') }} as c
    left join decided as d on c.day = d.day
), open_year as (
    -- a year is published once its last day is decided, and those before it are
    select min(extract(year from day)) as year
    from laid
    where extract(month from day) = 12 and extract(day from day) = 31 and not is_published and not is_decided
)

select
    day,
    is_working_day,
    cast(sum(case when is_working_day then 1 else 0 end) over (order by day rows unbounded preceding) as integer) as wd_number,
    is_published or coalesce(extract(year from day) < (select year from open_year), true) as is_published,
    holiday,
    min(case when is_working_day then day end) over (order by day rows between current row and unbounded following) as next_working_day
from laid
