{# The calendar day of an instant in the zone of the run. #}
{% macro day_of(instant) %}{{ return(adapter.dispatch('day_of')(instant)) }}{% endmacro %}
{% macro default__day_of(instant) -%}
    cast(({{ instant }} at time zone '{{ var("zone") }}') as date)
{%- endmacro %}

{# The run's as_of as an instant. #}
{% macro as_of() -%} cast('{{ var("as_of") }}' as timestamptz) {%- endmacro %}
