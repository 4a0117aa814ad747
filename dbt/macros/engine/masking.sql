{# Masks of personal data, equal to models.domain.identifiers (tests/integration/test_masks.py). #}
{% macro mask_name(column) %}{{ return(adapter.dispatch('mask_name')(column)) }}{% endmacro %}
{% macro default__mask_name(column) -%}
    case when {{ column }} is null then null else left({{ column }}, 1) || repeat('*', greatest(length({{ column }}) - 1, 1)) end
{%- endmacro %}
