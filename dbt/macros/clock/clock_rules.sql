{# Numbers and lists of the Administrative Licence Law, equal to models/domain/clock.py (a test compares them). #}
{% macro clock_rules() %}
{{ return({
    'acceptance_days': 5,
    'licence_days': 20,
    'joint_days': 45,
    'licence_extension': 10,
    'joint_extension': 15,
    'delivery_days': 10,
    'longest_limit': 36500,
    'pause_kinds': ['appraisal', 'auction', 'bidding', 'expert_review', 'hearing', 'inspection', 'quarantine', 'testing'],
    'ended_without_decision': ['correction_lapsed', 'refused', 'terminated', 'void', 'withdrawn'],
}) }}
{% endmacro %}

{# A list of codes for `in`. #}
{% macro clock_codes(codes) -%} ('{{ codes | join("', '") }}') {%- endmacro %}

{# A limit as the clock takes it: null where it is missing, negative, absurd or in no unit that we know. #}
{% macro clock_limit(length, unit) -%}
    case when {{ length }} between 0 and {{ clock_rules().longest_limit }}
         and coalesce({{ unit }}, 'wd') in ('wd', 'cd', 'month') then {{ length }} end
{%- endmacro %}

{# Whether `ended_on` lies after the due day. One inside the published calendar is before a due day beyond it. #}
{% macro clock_is_late(ended_on, due_on, start_number) -%}
    case when {{ due_on }} is not null then {{ ended_on }} > {{ due_on }}
         when {{ start_number }} is not null
         and {{ ended_on }} <= (select max(day) from calendar where is_published) then false end
{%- endmacro %}
