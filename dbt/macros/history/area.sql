{# What the codes of a division, street or village and of all beneath it begin with (GB/T 2260: six digits, streets nine, villages
   twelve, zeros behind are padding); null for any other code. #}
{% macro division_prefix(column) %}{{ return(adapter.dispatch('division_prefix')(column)) }}{% endmacro %}
{% macro default__division_prefix(column) -%}
    case
        when not regexp_full_match({{ column }}, '[0-9]{6}|[0-9]{9}|[0-9]{12}') then null
        when length(regexp_replace({{ column }}, '(000){1,2}$', '')) > 6 then regexp_replace({{ column }}, '(000){1,2}$', '')
        else regexp_replace(left({{ column }}, 6), '(00){1,2}$', '')
    end
{%- endmacro %}

{# Whether a case lay in an area on the day of receipt: a condition on an alias of fct_case. #}
{% macro in_area(case_alias, area_code) -%}
    exists (
        select 1 from {{ ref('bridge_area_region') }} as covered
        where covered.area_code = {{ area_code }} and covered.region_code = {{ case_alias }}.region_code
            and {{ case_alias }}.received_on >= covered.valid_from
            and ({{ case_alias }}.received_on < covered.valid_to or covered.valid_to is null)
    )
{%- endmacro %}
