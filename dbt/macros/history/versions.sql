{# First and last day that a date can be: ends of an interval that is open. #}
{% macro first_day() -%} cast('0001-01-01' as date) {%- endmacro %}
{% macro last_day() -%} cast('9999-12-31' as date) {%- endmacro %}

{# The day on which a case chooses the version of its matter: that of receipt; without one, the run's as_of. #}
{% macro version_day(received_on) -%} coalesce({{ received_on }}, {{ day_of(as_of()) }}) {%- endmacro %}

{# Whether the matter was active and in force on a day, by a row of int_matter_seen. #}
{% macro is_in_force(day, matter) -%}
    coalesce(
        {{ matter }}.matter_state_code = 'active'
        and {{ day }} >= coalesce({{ matter }}.valid_from, {{ day }})
        and ({{ matter }}.valid_to is null or {{ day }} < {{ matter }}.valid_to),
        false
    )
{%- endmacro %}

{# The numbers in the text of a version, comparable: 2024.10 is later than 2024.9, V2 later than V1. #}
{% macro version_numbers(column) %}{{ return(adapter.dispatch('version_numbers')(column)) }}{% endmacro %}
{% macro default__version_numbers(column) -%} try_cast(regexp_extract_all({{ column }}, '[0-9]+') as hugeint[]) {%- endmacro %}
