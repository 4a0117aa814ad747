{#- Cases whose events this run writes anew. On the first run none are listed: all are written. -#}
{%- set fct = api.Relation.create(database='masked', schema='marts', identifier='fct_case_event') -%}
{%- set built = execute and adapter.get_relation('masked', 'marts', 'fct_case_event') -%}
{%- if not built or flags.FULL_REFRESH %}
select source, case_number from {{ source('raw', 'case') }} where false
{%- else %}
with mark as (select coalesce(max(_run_seq), 0) as seq from {{ fct }})
select source, case_number from {{ source('raw', 'case_event') }} where _run_seq > (select seq from mark)
union
select source, case_number from {{ source('raw', 'case') }} where _run_seq > (select seq from mark)
{%- endif %}
