{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    pre_hook="{{ delete_touched(['source', 'case_number'], 'select * from ' ~ ref('int_case_path_touched')) }}"
) }}
{#- A path is put together from numbers of steps; text and measures are worked out once for each path that occurs. -#}
with event as (
    -- what is dated later than as_of has not happened yet
    select source, case_number, sequence, activity_code, activity, occurred_at, greatest(occurred_at, special_started_at) as known_at
    from {{ ref('stg_case_event') }}
    {% if is_incremental() -%}
    where (source, case_number) in (select (source, case_number) from {{ ref('int_case_path_touched') }})
    {%- endif %}
), named as (
    -- one name for one step, whether a source gives the code or its own words
    select n.activity_code, n.activity, replace(coalesce(l.label, n.activity, n.activity_code, '?'), '→', '>') as step
    from (select distinct activity_code, activity from event) as n
    left join {{ source('raw', 'code_label') }} as l on l.code_table = 'L.activity' and n.activity_code = l.code
), step as (
    select activity_code, activity, step, dense_rank() over (order by step) as step_id from named
), walked as (
    select e.source, e.case_number,
        {{ ordered_list('s.step_id', 'e.sequence', 'coalesce(e.known_at <= ' ~ as_of() ~ ', true)') }} as steps,
        min(e.occurred_at) filter (where e.known_at <= {{ as_of() }}) as first_step_at,
        max(e.occurred_at) filter (where e.known_at <= {{ as_of() }}) as last_step_at,
        max(e.known_at) filter (where e.known_at <= {{ as_of() }}) as known_at,
        min(e.known_at) filter (where e.known_at > {{ as_of() }}) as later_at
    from event as e
    inner join step as s on e.activity_code is not distinct from s.activity_code and e.activity is not distinct from s.activity
    group by e.source, e.case_number
), placed as (
    select p.steps, p.place, p.value, n.step, lag(p.value) over (partition by p.steps order by p.place) = p.value as is_self_loop
    from ({{ unlisted('(select distinct steps from walked)', 'steps') }}) as p
    inner join (select distinct step_id, step from step) as n on p.value = n.step_id
), path as (
    select steps, {{ dbt.listagg('step', "'→'", 'order by place') }} as path,
        count(*) as step_count, count(*) - count(distinct value) as repeat_count, count(*) filter (where is_self_loop) as self_loop_count
    from placed
    group by steps
)

select
    c.source,
    c.case_number,
    c.matter_code,
    c.received_at,
    c.completed_at,
    p.path,
    cast(coalesce(p.step_count, 0) as integer) as step_count,
    cast(coalesce(p.repeat_count, 0) as integer) as repeat_count,
    cast(coalesce(p.self_loop_count, 0) as integer) as self_loop_count,
    w.first_step_at,
    w.last_step_at,
    {{ dbt.datediff('w.first_step_at', 'w.last_step_at', 'second') }} / 86400.0 as duration_days,
    w.known_at,
    w.later_at,
    cast({{ var('run_seq') }} as integer) as _run_seq
from {{ ref('stg_case') }} as c
left join walked as w on c.source = w.source and c.case_number = w.case_number
left join path as p on w.steps = p.steps
{% if is_incremental() -%}
where (c.source, c.case_number) in (select (source, case_number) from {{ ref('int_case_path_touched') }})
{%- endif %}
