{# Masks of personal data, equal to models.domain.identifiers (tests/integration/test_masks.py). #}
{% macro mask_name(column) %}{{ return(adapter.dispatch('mask_name')(column)) }}{% endmacro %}
{% macro default__mask_name(column) -%}
    case when {{ column }} is null then null else left({{ column }}, 1) || repeat('*', greatest(length({{ column }}) - 1, 1)) end
{%- endmacro %}

{# A code as published: what cannot be a code (Chinese text, a long number) is somebody's data in the wrong column. #}
{% macro shown_code(column) %}{{ return(adapter.dispatch('shown_code')(column)) }}{% endmacro %}
{% macro default__shown_code(column) -%}
    case when {{ column }} > '{' or (length({{ column }}) > 10 and {{ column }} < ':') then '***' else {{ column }} end
{%- endmacro %}
