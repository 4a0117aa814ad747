{#- What fct_case and the clock take from a version: content_hash tells when any of it is another. -#}
{%- set taken = [
    'matter_name', 'type_code', 'department_code', 'case_kind_code', 'has_certificate', 'version', 'statutory_limit', 'statutory_limit_unit',
    'promised_limit', 'promised_limit_unit', 'clock_start_code', 'is_joint', 'extension_cap', 'is_publication_excluded'
] -%}
with chosen as (
    -- the matter of a case's own source, else that of the first source that knows the code; all its versions
    select k.source as case_source, v.* replace (
            coalesce(v.department_code, v.department_name) as department_code,
            coalesce(v.matter_state_code, 'active') as matter_state_code
        )
    from (select distinct source, matter_code from {{ ref('stg_case') }}) as k
    inner join {{ ref('int_matter_version') }} as v on k.matter_code = v.matter_code
    qualify rank() over (partition by k.source, k.matter_code order by v.source <> k.source, v.source) = 1
)

select case_source, matter_code, applies_from, applies_until, valid_from, valid_to, matter_state_code,
    {{ taken | join(', ') }},
    {{ hash_of(taken) }} as content_hash
from chosen
