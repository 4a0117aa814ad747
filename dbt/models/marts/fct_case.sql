{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns',
    pre_hook="{{ delete_touched(['source', 'case_number'], 'select * from ' ~ ref('int_case_touched')) }}"
) }}
select
    c.source,
    c.case_number,
    c.matter_code,
    coalesce(c.matter_name, m.matter_name) as matter_name,
    m.type_code,
    coalesce(c.department_code, m.department_code, c.department_name) as department_code,
    coalesce(d.current_code, c.department_code, m.department_code, c.department_name) as current_department_code,
    c.department_code is not null as is_department_stated,
    c.region_code,
    c.window_code,
    {{ shown_code('c.channel_code') }} as channel_code,
    {{ shown_code('coalesce(c.case_kind_code, m.case_kind_code)') }} as case_kind_code,
    {{ shown_code('c.outcome_code') }} as outcome_code,
    {{ shown_code('c.applicant_id_type_code') }} as applicant_id_type_code,
    -- the name of an enterprise is no personal data
    case when c.applicant_id_type_code = '990' then c.applicant_name else {{ mask_name('c.applicant_name') }} end as applicant_name_masked,
    c.applicant_id_masked,
    c.applicant_id_digest,
    c.applicant_id_is_valid,
    {{ name_flaw('c.applicant_name', 'c.applicant_id_type_code') }} as applicant_name_flaw,
    c.contact_id_is_valid,
    {{ phone_flaw('c.contact_phone') }} as contact_phone_flaw,
    c.project_code,
    c.is_commitment,
    c.is_tolerance,
    c.applied_at,
    c.received_at,
    k.received_on,
    k.accepted_at,
    k.accepted_on,
    k.is_deemed_accepted,
    k.due_at,
    k.due_on,
    k.due_basis,
    k.due_null_reason,
    k.provisional_due_on,
    k.promised_due_on,
    k.statutory_due_on,
    k.delivery_due_on,
    c.source_planned_at,
    c.completed_at,
    k.completed_on,
    k.is_completed,
    k.is_late,
    k.is_statutory_late,
    k.is_delivery_late,
    k.is_paused,
    k.paused_days,
    k.extension_days,
    k.correction_count,
    k.is_told_once_in_time,
    k.has_invalid_pause,
    k.has_invalid_extension,
    k.net_working_days,
    m.matter_code is not null as is_matter_known,
    m.version as matter_version,
    {{ is_in_force('k.received_on', 'm') }} as is_matter_in_force,
    coalesce(c.completed_at < c.received_at, false) as is_end_before_start,
    c.result_certificate_number is not null as names_certificate,
    coalesce(m.has_certificate, false) and c.outcome_code = 'granted' and k.is_completed as is_certificate_due,
    c.reported_at,
    c.updated_at,
    {{ as_of() }} as as_of,
    m.content_hash as _matter_hash,
    cast({{ var('run_seq') }} as integer) as _run_seq
from {{ ref('stg_case') }} as c
inner join {{ ref('int_case_clock') }} as k on c.source = k.source and c.case_number = k.case_number
-- as the clock: the version of the matter on the day of receipt
left join {{ ref('int_matter_seen') }} as m
    on c.source = m.case_source and c.matter_code = m.matter_code
    and {{ version_day('k.received_on') }} between m.applies_from and m.applies_until
left join {{ ref('int_department_current') }} as d on coalesce(c.department_code, m.department_code, c.department_name) = d.department_code
-- newest first: the list that people page through reads a few row groups, not all
order by c.received_at desc
