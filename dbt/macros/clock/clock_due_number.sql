{#
    The rows of a relation with `due_number`: the number of the working day on which a limit ends (Civil Code
    art. 201-203), null outside the calendar. Due day = the working day with that number.

    rows: relation with started_on, limit_length, limit_unit, extension (0: none) and extension_unit.
    paused_working_days, paused_calendar_days: expressions over `rows` (alias r) for the time the clock stood still.
#}
{% macro clock_due_number(rows, paused_working_days, paused_calendar_days) %}
{%- set own = "case when r.extension_unit = r.limit_unit then r.extension else 0 end" -%}
{%- set length = "(r.limit_length + " ~ own ~ ")" %}
select
    p.*,
    case
        when p.extension = 0 or p.extension_unit = p.limit_unit or p.plain_number is null then p.plain_number
        when p.extension_unit = 'wd' then p.plain_number + p.extension
        else e.wd_number + case when e.is_working_day then 0 else 1 end
    end as due_number
from (
    select
        r.*,
        case
            when r.limit_unit <> 'wd' then l.wd_number + case when l.is_working_day then 0 else 1 end
            else s.wd_number + {{ length }} + {{ paused_working_days }}
                + case when r.limit_length = 0 and not s.is_working_day then 1 else 0 end
        end as plain_number
    from {{ rows }} as r
    inner join calendar as s on r.started_on = s.day
    left join calendar as l
        on l.day = case
            when r.limit_unit <> 'wd'
            then {{ clock_days_on(clock_length_on('r.started_on', length, 'r.limit_unit'), paused_calendar_days) }}
        end
) as p
-- an extension in another unit counts on from the due day without it
left join working_day as d
    on d.wd_number = case when p.extension > 0 and p.extension_unit not in ('wd', p.limit_unit) then p.plain_number end
left join calendar as e on e.day = {{ clock_length_on('d.day', 'p.extension', 'p.extension_unit') }}
{% endmacro %}

{# A day so many calendar days, or so many months, on; the month's last day where it lacks that day (art. 202). #}
{% macro clock_length_on(day, length, unit) -%}
    case when {{ unit }} = 'month' then {{ clock_months_on(day, length) }} else {{ clock_days_on(day, length) }} end
{%- endmacro %}
{% macro clock_days_on(day, length) -%} cast({{ dbt.dateadd('day', length, day) }} as date) {%- endmacro %}
{% macro clock_months_on(day, length) -%} cast({{ dbt.dateadd('month', length, day) }} as date) {%- endmacro %}
