{# A 64-bit hash of several columns: equal rows have equal hashes. #}
{% macro hash_of(columns) %}{{ return(adapter.dispatch('hash_of')(columns)) }}{% endmacro %}
{% macro default__hash_of(columns) -%} hash({{ columns | join(', ') }}) {%- endmacro %}
