{# The last moment of a day in the zone of the run, as an instant (Civil Code art. 203: 24:00). #}
{% macro end_of_day(day) %}{{ return(adapter.dispatch('end_of_day')(day)) }}{% endmacro %}
{% macro default__end_of_day(day) -%}
    (cast({{ dbt.dateadd('day', 1, day) }} as timestamp) at time zone '{{ var("zone") }}') - interval 1 microsecond
{%- endmacro %}
