{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    pre_hook="{{ delete_touched(['source', 'case_number'], 'select * from ' ~ ref('int_case_event_touched')) }}"
) }}
select
    e.source,
    e.case_number,
    e.sequence,
    e.event_code,
    e.activity_code,
    e.activity,
    {{ mask_name('e.actor') }} as actor_masked,
    e.occurred_at,
    {{ day_of('e.occurred_at') }} as occurred_on,
    e.ended_at,
    e.department_code,
    e.window_code,
    {{ shown_code('e.step_state_code') }} as step_state_code,
    {{ shown_code('e.special_code') }} as special_code,
    e.special_kind_code,
    e.has_written_notice,
    e.special_started_at,
    e.special_ended_at,
    e.extension_days,
    lag(e.sequence) over life as previous_sequence,
    lag(e.activity_code) over life as previous_activity_code,
    lag(e.occurred_at) over life as previous_occurred_at,
    lag(e.ended_at) over life as previous_ended_at,
    lead(e.sequence) over life is null as is_last,
    coalesce(e.occurred_at > c.completed_at, false) as is_after_case_end,
    cast({{ var('run_seq') }} as integer) as _run_seq
from {{ ref('stg_case_event') }} as e
left join {{ ref('stg_case') }} as c on e.source = c.source and e.case_number = c.case_number
{% if is_incremental() -%}
where (e.source, e.case_number) in (select (source, case_number) from {{ ref('int_case_event_touched') }})
{%- endif %}
window life as (partition by e.source, e.case_number order by e.sequence)
