with review as (
    select
        coalesce(v.department_code, c.department_code) as department_code,
        v.review_channel_code,
        {{ month_of('v.reviewed_on') }} as month,
        v.satisfaction_code,
        v.is_default,
        not v.is_default and v.is_bad as is_bad,
        v.follows_review_id is not null as is_follow_up,
        v.rectify_due_on,
        -- what is dated later than as_of has not happened yet
        case when v.rectified_at <= {{ as_of() }} then {{ day_of('v.rectified_at') }} end as rectified_on
    from {{ ref('fct_review') }} as v
    left join {{ ref('fct_case') }} as c on v.source = c.source and v.case_number = c.case_number and v.department_code is null
    where coalesce(v.reviewed_at <= {{ as_of() }}, true)
)

select
    department_code,
    review_channel_code,
    month,
    count(*) as reviews,
    count(*) filter (where is_default) as default_reviews,
    count(*) filter (where not is_default) as active_reviews,
    count(*) filter (where not is_default and satisfaction_code = '1') as level_1,
    count(*) filter (where not is_default and satisfaction_code = '2') as level_2,
    count(*) filter (where not is_default and satisfaction_code = '3') as level_3,
    count(*) filter (where not is_default and satisfaction_code = '4') as level_4,
    count(*) filter (where not is_default and satisfaction_code = '5') as level_5,
    count(*) filter (where not is_default and coalesce(satisfaction_code not in ('1', '2', '3', '4', '5'), true)) as no_level,
    count(*) filter (where not is_default and is_follow_up) as follow_ups,
    count(*) filter (where not is_default and not is_follow_up and satisfaction_code in ('1', '2', '3', '4', '5')) as rated,
    count(*) filter (where not is_default and not is_follow_up and satisfaction_code in ('1', '2', '3')) as satisfied,
    count(*) filter (where is_bad) as bad_reviews,
    count(*) filter (where is_bad and rectified_on <= rectify_due_on) as rectified_in_time,
    count(*) filter (where is_bad and rectified_on > rectify_due_on) as rectified_late,
    count(*) filter (where is_bad and rectified_on is not null and rectify_due_on is null) as rectified_without_due,
    count(*) filter (where is_bad and rectified_on is null) as open_bad_reviews,
    count(*) filter (where is_bad and rectified_on is null and rectify_due_on < {{ day_of(as_of()) }}) as overdue_bad_reviews
from review
group by 1, 2, 3
