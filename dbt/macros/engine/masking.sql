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

{# A number of a document as published: one that is the number of a resident identity card is somebody's. #}
{% macro shown_number(column) -%}
    case when regexp_matches({{ column }}, '(^|[^0-9A-Za-z])[1-9][0-9]{5}(18|19|20)[0-9]{9}[0-9Xx]($|[^0-9A-Za-z])') then '***' else {{ column }} end
{%- endmacro %}
