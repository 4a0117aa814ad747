{#- Cases whose path this run writes anew. On the first run none are listed: all are written. -#}
{%- set path = api.Relation.create(database=this.database, schema=this.schema, identifier='int_case_path') -%}
{%- set built = execute and adapter.get_relation(path.database, path.schema, path.identifier) -%}
{%- if not built or flags.FULL_REFRESH %}
select source, case_number from {{ source('raw', 'case') }} where false
{%- else %}
with mark as (select coalesce(max(_run_seq), 0) as seq from {{ path }})
select source, case_number from {{ source('raw', 'case_event') }} where _run_seq > (select seq from mark)
union
select source, case_number from {{ source('raw', 'case') }} where _run_seq > (select seq from mark)
union
-- time went on past a step dated ahead, or back before one that had happened
select source, case_number from {{ path }} where later_at <= {{ as_of() }} or known_at > {{ as_of() }}
{%- endif %}
