{#- Which cases this run clocks anew. Runs before fct_case, whose watermark it reads. -#}
{%- set fct = api.Relation.create(database='masked', schema='marts', identifier='fct_case') -%}
{%- set built = execute and adapter.get_relation('masked', 'marts', 'fct_case') -%}
{%- if not built or flags.FULL_REFRESH %}
select source, case_number from {{ source('raw', 'case') }}
{%- else %}
with mark as (select coalesce(max(_run_seq), 0) as seq, max(as_of) as as_of from {{ fct }})
select source, case_number from {{ source('raw', 'case') }} where _run_seq > (select seq from mark)
union
select source, case_number from {{ source('raw', 'case_event') }} where _run_seq > (select seq from mark)
union
-- a matter's limits changed
select f.source, f.case_number from {{ fct }} as f
where f.matter_code in (select matter_code from {{ source('raw', 'matter') }} where _run_seq > (select seq from mark))
union
-- time went on: open cases; time went back: all of them
select source, case_number from {{ fct }}
where (not is_completed and as_of <> {{ as_of() }})
    -- the day of delivery passed between the runs
    or (not is_delivery_late and delivery_due_on between {{ day_of('as_of') }} and {{ day_of(as_of()) }} and as_of <> {{ as_of() }})
    or {{ as_of() }} < (select as_of from mark)
{%- endif %}
