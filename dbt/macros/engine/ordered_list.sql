{# An aggregate: small whole numbers of a group, listed by position. Sorting packed numbers is several times cheaper than ordering text. #}
{% macro ordered_list(value, position, condition) %}{{ return(adapter.dispatch('ordered_list')(value, position, condition)) }}{% endmacro %}
{% macro default__ordered_list(value, position, condition) -%}
    list_transform(
        list_sort(list(cast({{ position }} as bigint) * 2147483648 + {{ value }}) filter (where {{ condition }})), lambda packed: packed & 2147483647)
{%- endmacro %}

{# The rows of a relation, one for each place of a list that `ordered_list` made: the list, place (from 1) and value. #}
{% macro unlisted(relation, column) %}{{ return(adapter.dispatch('unlisted')(relation, column)) }}{% endmacro %}
{% macro default__unlisted(relation, column) -%}
    select {{ column }}, unnest({{ column }}) as value, generate_subscripts({{ column }}, 1) as place from {{ relation }}
{%- endmacro %}
