{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    pre_hook="{{ delete_touched(['source', 'certificate_id'], changed_keys('certificate', 'certificate_id')) }}"
) }}
select
    source,
    certificate_id,
    certificate_type_code,
    certificate_name,
    certificate_number,
    case when holder_id_type_code = '990' then holder_name else {{ mask_name('holder_name') }} end as holder_name_masked,
    {{ shown_code('holder_id_type_code') }} as holder_id_type_code,
    holder_id_masked,
    holder_id_digest,
    holder_id_is_valid,
    issuer_name,
    issuer_code,
    issued_on,
    valid_from,
    valid_to,
    {{ shown_code('certificate_state_code') }} as certificate_state_code,
    case_number,
    file_hash,
    updated_at,
    cast({{ var('run_seq') }} as integer) as _run_seq
from {{ ref('stg_certificate') }}
where _run_seq > {{ watermark(this) if is_incremental() else -1 }}
