{%- set since %} cast({{ dbt.dateadd('month', -12, day_of(as_of())) }} as date) {%- endset -%}
with fact as (
    select source, case_number, matter_code, channel_code, received_on, completed_on, is_completed, is_late, net_working_days, correction_count,
        is_certificate_due,
        coalesce(received_at <= {{ as_of() }}, true) as is_received,
        coalesce(received_at <= {{ as_of() }} and received_on > {{ since }}, false) as is_recent,
        coalesce(is_completed and completed_on > {{ since }}, false) as is_recently_completed
    from {{ ref('fct_case') }}
    where matter_code is not null
), used as (
    select matter_code,
        count(*) filter (where is_received) as received,
        max(received_on) filter (where is_received) as last_received_on,
        count(*) filter (where is_recent) as received_12m,
        count(channel_code) filter (where is_recent) as channelled_12m,
        count(*) filter (where is_recent and channel_code = '1') as window_12m,
        count(*) filter (where is_recent and channel_code = '2') as pc_12m,
        count(*) filter (where is_recent and channel_code = '3') as mobile_12m,
        count(*) filter (where is_recent and channel_code = '4') as post_12m,
        count(*) filter (where is_recent and channel_code = '5') as terminal_12m,
        count(*) filter (where is_recent and channel_code = '6') as local_12m,
        count(*) filter (where is_recent and correction_count > 0) as corrected_12m,
        sum(correction_count) filter (where is_recent) as corrections_12m,
        count(*) filter (where is_recently_completed) as completed_12m,
        count(*) filter (where is_recently_completed and not is_late) as on_time_12m,
        count(*) filter (where is_recently_completed and is_late) as late_12m,
        percentile_cont(0.5) within group (order by net_working_days) filter (where is_recently_completed) as net_working_days_median
    from fact
    where is_received or is_completed
    group by matter_code
), reviewed as (
    select c.matter_code,
        count(*) filter (where v.is_default) as default_reviews_12m,
        count(*) filter (where not v.is_default) as active_reviews_12m,
        count(*) filter (where not v.is_default and v.satisfaction_code = '1') as level_1_12m,
        count(*) filter (where not v.is_default and v.satisfaction_code = '2') as level_2_12m,
        count(*) filter (where not v.is_default and v.satisfaction_code = '3') as level_3_12m,
        count(*) filter (where not v.is_default and v.satisfaction_code = '4') as level_4_12m,
        count(*) filter (where not v.is_default and v.satisfaction_code = '5') as level_5_12m,
        count(*) filter (where not v.is_default and v.satisfaction_code in ('1', '2', '3', '4', '5') and v.follows_review_id is null) as rated_12m,
        count(*) filter (where not v.is_default and v.satisfaction_code in ('1', '2', '3') and v.follows_review_id is null) as satisfied_12m
    from {{ ref('fct_review') }} as v
    inner join fact as c on v.source = c.source and v.case_number = c.case_number
    where v.reviewed_at <= {{ as_of() }} and v.reviewed_on > {{ since }}
    group by c.matter_code
), certified as (
    select distinct source, case_number from {{ ref('fct_certificate') }}
    where case_number is not null and coalesce(issued_on <= {{ day_of(as_of()) }}, true)
), covered as (
    select c.matter_code, count(*) as certificate_due_12m, count(z.case_number) as certified_12m
    from fact as c
    left join certified as z on c.source = z.source and c.case_number = z.case_number
    where c.is_recently_completed and c.is_certificate_due and c.source in (select source from certified)
    group by c.matter_code
), walked as (
    select matter_code, sum(variants) as variants, sum(rework_cases) as rework_cases, sum(repeats) as repeats,
        max(share) filter (where variant_rank = 1) as top_variant_share
    from {{ ref('mart_matter_path') }}
    group by matter_code
), code as (
    select matter_code from {{ ref('int_matter_listed') }}
    union
    select matter_code from used
)

select
    k.matter_code,
    m.matter_name,
    m.type_code,
    m.department_code,
    m.matter_code is not null as is_listed,
    m.matter_state_code,
    m.is_online,
    m.trips,
    m.promised_limit,
    m.promised_limit_unit,
    m.days_saved / nullif(cast(m.statutory_days as double), 0) as compression_ratio,
    coalesce(u.received, 0) as received,
    u.last_received_on,
    coalesce(u.received_12m, 0) as received_12m,
    coalesce(u.channelled_12m, 0) as channelled_12m,
    coalesce(u.window_12m, 0) as window_12m,
    coalesce(u.pc_12m, 0) as pc_12m,
    coalesce(u.mobile_12m, 0) as mobile_12m,
    coalesce(u.post_12m, 0) as post_12m,
    coalesce(u.terminal_12m, 0) as terminal_12m,
    coalesce(u.local_12m, 0) as local_12m,
    (u.pc_12m + u.mobile_12m + u.terminal_12m) / nullif(cast(u.channelled_12m as double), 0) as online_share_12m,
    coalesce(u.corrected_12m, 0) as corrected_12m,
    cast(coalesce(u.corrections_12m, 0) as bigint) as corrections_12m,
    coalesce(u.completed_12m, 0) as completed_12m,
    coalesce(u.on_time_12m, 0) as on_time_12m,
    coalesce(u.late_12m, 0) as late_12m,
    u.on_time_12m / nullif(cast(u.on_time_12m + u.late_12m as double), 0) as on_time_rate_12m,
    cast(u.net_working_days_median as double) as net_working_days_median_12m,
    coalesce(r.default_reviews_12m, 0) as default_reviews_12m,
    coalesce(r.active_reviews_12m, 0) as active_reviews_12m,
    coalesce(r.level_1_12m, 0) as level_1_12m,
    coalesce(r.level_2_12m, 0) as level_2_12m,
    coalesce(r.level_3_12m, 0) as level_3_12m,
    coalesce(r.level_4_12m, 0) as level_4_12m,
    coalesce(r.level_5_12m, 0) as level_5_12m,
    r.satisfied_12m / nullif(cast(r.rated_12m as double), 0) as satisfaction_12m,
    coalesce(z.certificate_due_12m, 0) as certificate_due_12m,
    coalesce(z.certified_12m, 0) as certified_12m,
    z.certified_12m / nullif(cast(z.certificate_due_12m as double), 0) as certificate_coverage_12m,
    cast(coalesce(w.variants, 0) as bigint) as variants,
    w.top_variant_share,
    cast(coalesce(w.rework_cases, 0) as bigint) as rework_cases,
    cast(coalesce(w.repeats, 0) as bigint) as repeats
from code as k
left join {{ ref('int_matter_listed') }} as m on k.matter_code = m.matter_code
left join used as u on k.matter_code = u.matter_code
left join reviewed as r on k.matter_code = r.matter_code
left join covered as z on k.matter_code = z.matter_code
left join walked as w on k.matter_code = w.matter_code
