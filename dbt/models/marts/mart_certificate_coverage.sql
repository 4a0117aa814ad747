-- Two ways: from cases that should have a certificate to certificates, and from certificates to cases.
with certificate as (
    select source, case_number, certificate_type_code, issuer_code, issued_on, valid_to, certificate_state_code
    from {{ ref('fct_certificate') }}
    where coalesce(issued_on <= {{ day_of(as_of()) }}, true)
), certified as (
    select source, case_number, min(certificate_type_code) as certificate_type_code
    from certificate
    where case_number is not null
    group by source, case_number
), usual as (
    -- the type that cases of a matter get most often: what a case without certificate is missing
    select matter_code, certificate_type_code
    from (
        select c.matter_code, z.certificate_type_code, count(*) as cases
        from certified as z
        inner join {{ ref('fct_case') }} as c on z.source = c.source and z.case_number = c.case_number
        where z.certificate_type_code is not null
        group by c.matter_code, z.certificate_type_code
    ) as t
    qualify row_number() over (partition by matter_code order by cases desc, certificate_type_code) = 1
), counted as (
    select coalesce(z.certificate_type_code, u.certificate_type_code) as certificate_type_code, c.department_code,
        {{ month_of('c.completed_on') }} as month,
        count(*) as cases_due, count(z.case_number) as cases_certified,
        0 as certificates, 0 as names_no_case, 0 as case_unknown, 0 as case_not_due, 0 as case_due, 0 as expired, 0 as revoked
    from {{ ref('fct_case') }} as c
    left join certified as z on c.source = z.source and c.case_number = z.case_number
    left join usual as u on c.matter_code = u.matter_code
    -- a source without certificates says nothing about its cases
    where c.is_certificate_due and c.source in (select source from certified)
    group by 1, 2, 3
    union all
    select z.certificate_type_code, coalesce(c.department_code, z.issuer_code), {{ month_of('z.issued_on') }},
        0, 0, count(*),
        count(*) filter (where z.case_number is null),
        count(*) filter (where z.case_number is not null and c.case_number is null),
        count(*) filter (where not c.is_certificate_due),
        count(*) filter (where c.is_certificate_due),
        count(*) filter (where coalesce(z.certificate_state_code not in ('cancelled', 'revoked', 'rescinded'), true)
            and (z.certificate_state_code = 'expired' or z.valid_to < {{ day_of(as_of()) }})),
        count(*) filter (where z.certificate_state_code in ('cancelled', 'revoked', 'rescinded'))
    from certificate as z
    left join {{ ref('fct_case') }} as c on z.source = c.source and z.case_number = c.case_number
    group by 1, 2, 3
)

select
    certificate_type_code,
    department_code,
    month,
    cast(sum(cases_due) as bigint) as cases_due,
    cast(sum(cases_certified) as bigint) as cases_certified,
    sum(cases_certified) / nullif(cast(sum(cases_due) as double), 0) as coverage,
    cast(sum(certificates) as bigint) as certificates,
    cast(sum(case_due) as bigint) as case_due,
    cast(sum(case_not_due) as bigint) as case_not_due,
    cast(sum(case_unknown) as bigint) as case_unknown,
    cast(sum(names_no_case) as bigint) as names_no_case,
    cast(sum(expired) as bigint) as expired,
    cast(sum(revoked) as bigint) as revoked
from counted
group by certificate_type_code, department_code, month
