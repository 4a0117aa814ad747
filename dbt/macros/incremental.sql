{# The run in which a table last took rows: rows of a later run are new to it. 0 where the table is not there yet. #}
{% macro watermark(relation) -%}
    {% if execute and adapter.get_relation(relation.database, relation.schema, relation.identifier) -%}
        (select coalesce(max(_run_seq), 0) from {{ relation }})
    {%- else -%} 0 {%- endif %}
{%- endmacro %}

{# Rows of these keys leave the table before it takes them anew, so that deleted records go too. #}
{% macro delete_touched(keys, touched) -%}
    {% if is_incremental() -%}
        delete from {{ this }} where ({{ keys | join(', ') }}) in (select {{ keys | join(', ') }} from ({{ touched }}))
    {%- endif %}
{%- endmacro %}

{# Certificates that changed, or whose case did, since this table last took rows. #}
{% macro certificates_touched() -%}
    {{ changed_keys('certificate', 'certificate_id') }}
    union
    select e.source, e.certificate_id
    from {{ source('raw', 'certificate') }} as e
    inner join {{ source('raw', 'case') }} as c on e.source = c.source and e.case_number = c.case_number
    where c._run_seq > {{ watermark(this) }}
{%- endmacro %}

{# Keys of raw records that changed since this table last took rows. #}
{% macro changed_keys(subject, key) -%}
    select source, {{ key }} from {{ source('raw', subject) }} where _run_seq > {{ watermark(this) }}
{%- endmacro %}
