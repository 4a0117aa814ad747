{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    pre_hook="{{ delete_touched(['source', 'review_id'], changed_keys('review', 'review_id')) }}"
) }}
select
    source,
    review_id,
    case_number,
    {{ shown_code('review_channel_code') }} as review_channel_code,
    {{ mask_name('reviewer_name') }} as reviewer_name_masked,
    reviewed_at,
    {{ day_of('reviewed_at') }} as reviewed_on,
    review_round,
    {{ shown_code('satisfaction_code') }} as satisfaction_code,
    coalesce(is_default, false) as is_default,
    coalesce(satisfaction_code in ('4', '5'), false) as is_bad,
    department_code,
    region_code,
    is_anonymous,
    coalesce(comment, '') <> '' as has_comment,
    visited_at,
    rectify_due_on,
    rectified_at,
    follows_review_id,
    updated_at,
    cast({{ var('run_seq') }} as integer) as _run_seq
from {{ ref('stg_review') }}
where _run_seq > {{ watermark(this) if is_incremental() else -1 }}
