with walked as (
    select matter_code, path, coalesce(completed_at <= {{ as_of() }}, false) as is_completed, step_count, repeat_count, self_loop_count, duration_days
    from {{ ref('int_case_path') }}
    where coalesce(received_at <= {{ as_of() }}, true)
), variant as (
    select matter_code, path, row_number() over (partition by matter_code order by count(*) desc, path) as variant_rank
    from walked
    where path is not null
    group by matter_code, path
), ranked as (
    select w.*, case when v.variant_rank <= {{ var('path_variants') }} then v.variant_rank end as variant_rank
    from walked as w
    left join variant as v on w.matter_code is not distinct from v.matter_code and w.path = v.path
)

select
    matter_code,
    case when path is null then 'no_steps' when variant_rank is null then 'other' else 'variant' end as row_kind,
    cast(variant_rank as integer) as variant_rank,
    case when variant_rank is not null then min(path) end as path,
    count(distinct path) as variants,
    count(*) as cases,
    count(*) filter (where is_completed) as completed,
    count(*) / cast(sum(count(*)) over (partition by matter_code) as double) as share,
    cast(sum(step_count) as bigint) as steps,
    cast(sum(repeat_count) as bigint) as repeats,
    cast(sum(self_loop_count) as bigint) as self_loops,
    count(*) filter (where repeat_count > 0) as rework_cases,
    cast(percentile_cont(0.5) within group (order by duration_days) filter (where is_completed) as double) as duration_days_median
from ranked
group by matter_code, row_kind, variant_rank
