{# First day that mart_department_day covers: the first received case, at most mart_days before as_of (a mistyped year must not make a grid of centuries). #}
{% macro mart_first_day() -%}
    (select greatest(coalesce(min(received_on), {{ day_of(as_of()) }}), {{ day_of(as_of()) }} - {{ var('mart_days') }}) from {{ ref('fct_case') }})
{%- endmacro %}
