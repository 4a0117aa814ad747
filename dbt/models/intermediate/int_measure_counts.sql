-- a table: it is asked twice, for what differs and for the figures
-- Numerators and denominators of the ten measures on the days on which they fall. What a source does not say is in
-- neither: a case without channel, a source without reviews or certificates count nowhere, not as failures.
with case_day as (
    select source, case_number, department_code, received_on, completed_on, due_on, channel_code, is_completed, is_late,
        correction_count, is_told_once_in_time, is_certificate_due, is_matter_in_force
    from {{ ref('fct_case') }}
), reviewed as (
    select distinct source, case_number from {{ ref('fct_review') }} where not is_default and reviewed_at <= {{ as_of() }}
), certified as (
    select distinct source, case_number from {{ ref('fct_certificate') }}
    where case_number is not null and coalesce(issued_on <= {{ day_of(as_of()) }}, true)
), received as (
    select received_on as day, department_code, count(*) as cases,
        count(*) filter (channel_code in ('2', '3', '5')) as online, count(channel_code) as channelled,
        count(*) filter (correction_count > 0) as corrected,
        count(*) filter (correction_count = 1 and is_told_once_in_time) as told_once,
        count(*) filter (is_matter_in_force) as in_force,
        case when exists (select 1 from {{ ref('dim_matter_version') }}) then count(*) end as matched
    from case_day group by all
), completed as (
    select c.completed_on as day, c.department_code,
        count(*) filter (c.source in (select source from reviewed)) as reviewable,
        count(*) filter (r.case_number is not null) as reviewed,
        count(*) filter (c.is_certificate_due and c.source in (select source from certified)) as certificate_due,
        count(*) filter (c.is_certificate_due and z.case_number is not null) as certified
    from case_day as c
    left join reviewed as r on c.source = r.source and c.case_number = r.case_number
    left join certified as z on c.source = z.source and c.case_number = z.case_number
    where c.is_completed
    group by all
), clocked as (
    -- completed cases that had a deadline count on their completion day, open ones past due on their due day
    select case when is_completed then completed_on else due_on end as day, department_code,
        count(*) filter (is_completed and not is_late) as on_time, count(*) as cases
    from case_day
    where is_late is not null and (is_completed or is_late)
    group by all
), rated as (
    select v.reviewed_on as day, coalesce(v.department_code, c.department_code) as department_code,
        count(*) filter (v.satisfaction_code in ('1', '2', '3')) as satisfied, count(*) as reviews
    from {{ ref('fct_review') }} as v
    left join case_day as c on v.source = c.source and v.case_number = c.case_number
    where not v.is_default and v.satisfaction_code in ('1', '2', '3', '4', '5') and v.follows_review_id is null
    group by all
), matter_day as (
    -- stock: each matter counts on every day, by its version in force on that day; a month is then the mean of its days
    select d.day, m.department_code,
        count(*) filter (m.is_online) as online, count(m.is_online) as judged_online,
        count(*) filter (m.case_kind_code = '1') as on_the_spot, count(m.case_kind_code) as with_kind,
        sum(case when m.statutory_limit_unit = 'wd' and m.statutory_limit > 0
                  and (m.promised_limit_unit = 'wd' or m.case_kind_code = '1')
            then m.statutory_limit - case when m.case_kind_code = '1' then 0 else m.promised_limit end end) as days_saved,
        sum(case when m.statutory_limit_unit = 'wd' and m.statutory_limit > 0
                  and (m.case_kind_code = '1' or (m.promised_limit_unit = 'wd' and m.promised_limit is not null))
            then m.statutory_limit end) as statutory_days
    from {{ ref('dim_matter_version') }} as m
    inner join {{ source('raw', 'calendar') }} as d on d.day >= coalesce(m.valid_from, d.day) and d.day < coalesce(m.valid_to, d.day + 1)
    where m.matter_state_code = 'active' and d.day between {{ mart_first_day() }} and {{ day_of(as_of()) }}
    group by all
)

select day, department_code, 'M01' as measure_code, online as numerator, judged_online as denominator from matter_day
union all select day, department_code, 'M05', on_the_spot, with_kind from matter_day
union all select day, department_code, 'M06', days_saved, statutory_days from matter_day
union all select day, department_code, 'M07', on_time, cases from clocked
union all select day, department_code, 'M11', told_once, corrected from received
union all select day, department_code, 'M15', online, channelled from received
union all select day, department_code, 'M17', reviewed, reviewable from completed
union all select day, department_code, 'M18', satisfied, reviews from rated
union all select day, department_code, 'M21', certified, certificate_due from completed
union all select day, department_code, 'M28', in_force, matched from received
