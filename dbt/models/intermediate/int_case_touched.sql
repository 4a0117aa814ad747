{#- Which cases this run clocks anew. Runs before fct_case, whose watermark it reads. -#}
{%- set fct = api.Relation.create(database='masked', schema='marts', identifier='fct_case') -%}
{%- set built = execute and adapter.get_relation('masked', 'marts', 'fct_case') -%}
{%- set has_history = built and '_matter_hash' in adapter.get_columns_in_relation(built) | map(attribute='name') | list -%}
{#- Cases of a table made before matters had versions are all clocked anew. -#}
{%- if not has_history or flags.FULL_REFRESH %}
-- depends_on: {{ source('raw', 'calendar_day') }}, {{ ref('int_matter_seen') }}, {{ ref('int_department_current') }}
select source, case_number from {{ source('raw', 'case') }}
{%- else %}
with mark as (select coalesce(max(_run_seq), 0) as seq, max(as_of) as as_of from {{ fct }})
select source, case_number from {{ source('raw', 'case') }} where _run_seq > (select seq from mark)
union
select source, case_number from {{ source('raw', 'case_event') }} where _run_seq > (select seq from mark)
union
-- its matter says something else on the day of receipt, or was then in force and now was not; its department is another one today
select f.source, f.case_number
from {{ fct }} as f
left join {{ ref('int_matter_seen') }} as m
    on f.source = m.case_source and f.matter_code = m.matter_code
    and {{ version_day('f.received_on') }} between m.applies_from and m.applies_until
left join {{ ref('int_department_current') }} as d on f.department_code = d.department_code
where f._matter_hash is distinct from m.content_hash
    or f.is_matter_in_force <> {{ is_in_force('f.received_on', 'm') }}
    or f.current_department_code is distinct from coalesce(d.current_code, f.department_code)
union
-- a day that its clock may have counted, or its delivery's (ten working days), was decided otherwise
select f.source, f.case_number
from {{ fct }} as f
inner join {{ source('raw', 'calendar_day') }} as c
    on f.received_on <= c.day
    and (
        f.completed_on is null or {{ dbt.dateadd('day', 40, 'f.completed_on') }} >= c.day
        {%- for due in ['due_on', 'statutory_due_on', 'promised_due_on', 'delivery_due_on'] %}
        or f.{{ due }} is null or f.{{ due }} >= c.day
        {%- endfor %}
    )
where c._run_seq > (select seq from mark)
union
-- time went on: open cases; time went back: all of them
select source, case_number from {{ fct }}
where (not is_completed and as_of <> {{ as_of() }})
    -- the day of delivery passed between the runs
    or (
        not is_delivery_late and as_of <> {{ as_of() }}
        -- or the published calendar ends before it
        and (delivery_due_on is null or delivery_due_on between {{ day_of('as_of') }} and {{ day_of(as_of()) }})
    )
    or {{ as_of() }} < (select as_of from mark)
{#- What a run had left out because it was dated later, also of completed cases. One range of one column each: DuckDB skips
    the row groups outside it, and no state of its own can fall out of step with fct_case. -#}
{%- for column in ['occurred_at', 'special_started_at', 'special_ended_at'] %}
union
select source, case_number from {{ source('raw', 'case_event') }}
where {{ column }} > (select as_of from mark) and {{ column }} <= {{ as_of() }}
{%- endfor %}
union
-- of the case's own instants: receipt counts whenever it is dated, an open case is clocked anyway
select source, case_number from {{ source('raw', 'case') }}
where accepted_at > (select as_of from mark) and accepted_at <= {{ as_of() }}
{%- endif %}
