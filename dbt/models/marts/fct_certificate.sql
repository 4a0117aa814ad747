{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    pre_hook="{{ delete_touched(['source', 'certificate_id'], certificates_touched()) }}"
) }}
select
    e.source,
    e.certificate_id,
    {{ certificate_id_check('e.certificate_id') }} as certificate_id_is_valid,
    e.certificate_type_code,
    e.certificate_name,
    e.certificate_number,
    case when e.holder_id_type_code = '990' then e.holder_name else {{ mask_name('e.holder_name') }} end as holder_name_masked,
    {{ shown_code('e.holder_id_type_code') }} as holder_id_type_code,
    e.holder_id_masked,
    e.holder_id_digest,
    e.holder_id_is_valid,
    e.holder_name = c.applicant_name as is_named_as_applicant,
    e.issuer_name,
    e.issuer_code,
    e.issued_on,
    e.valid_from,
    e.valid_to,
    e.is_long_term,
    {{ shown_code('e.certificate_state_code') }} as certificate_state_code,
    e.case_number,
    e.file_hash,
    e.updated_at,
    cast({{ var('run_seq') }} as integer) as _run_seq
from {{ ref('stg_certificate') }} as e
left join {{ ref('stg_case') }} as c on e.source = c.source and e.case_number = c.case_number
{% if is_incremental() -%}
where (e.source, e.certificate_id) in ({{ certificates_touched() }})
{%- endif %}
