{{ config(materialized='table') }}
{#- The statutory clock, the same as models/domain/clock.py (rules: docs/clock.md). Counting working days is a join
    on the calendar's running number. Only the few cases with corrections, pauses or extensions take the long way. -#}
{%- set rules = clock_rules() -%}
{%- set as_of_on = day_of(as_of()) -%}
{#- What is dated later than as_of has not happened yet. -#}
{%- set happened = 'coalesce(e.occurred_at <= ' ~ as_of() ~ ', true) and coalesce(e.special_started_at <= ' ~ as_of() ~ ', true)' -%}
with calendar as (
    select day, is_working_day, wd_number, is_published from {{ ref('int_calendar') }}
), working_day as (
    select wd_number, day, is_published, {{ end_of_day('day') }} as end_at from calendar where is_working_day
), recorded as (
    select c.source, c.case_number, c.matter_code, c.received_at, c.source_due_at, c.outcome_code,
        {{ day_of('c.received_at') }} as received_on,
        case when c.accepted_at <= {{ as_of() }} then c.accepted_at end as accepted_at,
        case when c.completed_at <= {{ as_of() }} then c.completed_at end as completed_at
    from {{ ref('stg_case') }} as c
    inner join {{ ref('int_case_touched') }} as t on c.source = t.source and c.case_number = t.case_number
), matter as (
    select case_source, matter_code, applies_from, applies_until, type_code, promised_limit_unit, statutory_limit_unit, clock_start_code,
        is_joint, is_publication_excluded, extension_cap,
        {{ clock_limit('promised_limit', 'promised_limit_unit') }} as promised,
        {{ clock_limit('statutory_limit', 'statutory_limit_unit') }} as own_statutory
    from {{ ref('int_matter_seen') }}
), matter_limit as (
    select case_source, matter_code, applies_from, applies_until, promised, coalesce(promised_limit_unit, 'wd') as promised_unit,
        coalesce(clock_start_code = 'receipt', false) as is_from_receipt,
        coalesce(type_code = '01', false) as is_licence,
        coalesce(is_joint, false) as is_joint,
        coalesce(is_publication_excluded, false) as is_publication_excluded,
        extension_cap,
        case when own_statutory is null and type_code = '01'
             then case when is_joint then {{ rules.joint_days }} else {{ rules.licence_days }} end
             else own_statutory end as statutory,
        case when own_statutory is null then 'wd' else coalesce(statutory_limit_unit, 'wd') end as statutory_unit
    from matter
), fact as (
    select r.*, m.* exclude (case_source, matter_code, applies_from, applies_until),
        {{ day_of('r.accepted_at') }} as accepted_on,
        {{ day_of('r.completed_at') }} as completed_on,
        coalesce(m.is_licence and r.outcome_code = 'granted' and r.completed_at is not null, false) as is_licence_granted
    from recorded as r
    -- a case keeps the limits of the version under which it was received
    left join matter_limit as m
        on r.source = m.case_source and r.matter_code = m.matter_code
        and {{ version_day('r.received_on') }} between m.applies_from and m.applies_until
), event as (
    -- the few per cent of events that stop, move or restart a clock
    select e.source, e.case_number, e.sequence, e.activity_code, e.occurred_at, e.special_kind_code, e.special_started_at,
        case when e.special_ended_at <= {{ as_of() }} then e.special_ended_at end as special_ended_at,
        e.has_written_notice, e.extension_days,
        case when e.activity_code = 'resumed' then null
             else coalesce(e.special_code, case e.activity_code when 'suspended' then '2' when 'extended' then '1' end)
        end as procedure_code
    from {{ ref('stg_case_event') }} as e
    where (
            e.activity_code in ('correction_asked', 'correction_submitted', 'refused', 'suspended', 'resumed', 'extended')
            or e.special_code in ('1', '2')
        )
        and {{ happened }}
        and (e.source, e.case_number) in (select source, case_number from {{ ref('int_case_touched') }})
), milestone as (
    -- steps that most cases have, looked up only where the clock asks for them
    select e.source, e.case_number,
        min(e.occurred_at) filter (e.activity_code = 'accepted') as accepted_event_at,
        coalesce(
            min(e.occurred_at) filter (e.activity_code = 'delivered'), min(e.occurred_at) filter (e.activity_code = 'issued')
        ) as delivered_at
    from {{ ref('stg_case_event') }} as e
    inner join fact as f on e.source = f.source and e.case_number = f.case_number
    where {{ happened }} and (
        (e.activity_code = 'accepted' and f.accepted_at is null)
        or (e.activity_code in ('issued', 'delivered') and f.is_licence_granted)
    )
    group by e.source, e.case_number
), correction as (
    select source, case_number, {{ day_of('notice_at') }} as notice_on, correction_count, refused_at, resubmitted_at,
        {{ day_of('resubmitted_at') }} as resubmitted_on
    from (
        select source, case_number, first_notice_at as notice_at,
            count(*) filter (activity_code = 'correction_asked') as correction_count,
            min(occurred_at) filter (activity_code = 'refused') as refused_at,
            min(occurred_at) filter (activity_code = 'correction_submitted' and occurred_at >= first_notice_at) as resubmitted_at
        from (
            select *, min(case when activity_code = 'correction_asked' then occurred_at end)
                over (partition by source, case_number) as first_notice_at
            from event
            where activity_code in ('correction_asked', 'correction_submitted', 'refused')
        ) as e
        group by source, case_number, first_notice_at
    ) as e
), asked as (
    -- what is known of the five working days for acceptance (art. 32)
    select f.*, r.wd_number as received_number,
        coalesce(c.correction_count, 0) as correction_count,
        c.notice_on,
        c.resubmitted_on,
        coalesce(f.accepted_at, m.accepted_event_at) as recorded_at,
        case when f.accepted_at is not null then f.accepted_on else {{ day_of('m.accepted_event_at') }} end as recorded_on,
        least({{ day_of('c.refused_at') }}, case when f.outcome_code = 'refused' then f.completed_on end) as refused_on,
        c.refused_at,
        {{ day_of('m.delivered_at') }} as delivered_on,
        c.notice_on <= w.day as is_told_in_time,
        coalesce(c.notice_on <= w.day, c.notice_on is not null) as is_corrected,
        case when coalesce(c.notice_on <= w.day, c.notice_on is not null) then c.resubmitted_at else f.received_at end as base_at,
        case when coalesce(c.notice_on <= w.day, c.notice_on is not null) then c.resubmitted_on else f.received_on end as base_on,
        case when coalesce(c.notice_on <= w.day, c.notice_on is not null) then sw.day else w.day end as last_day,
        f.completed_on is not null and coalesce(f.outcome_code not in {{ clock_codes(rules.ended_without_decision) }}, true) as is_decided
    from fact as f
    left join calendar as r on f.received_on = r.day
    left join working_day as w on r.wd_number + {{ rules.acceptance_days }} = w.wd_number and w.is_published
    left join correction as c on f.source = c.source and f.case_number = c.case_number
    left join calendar as s on c.resubmitted_on = s.day
    left join working_day as sw on s.wd_number + {{ rules.acceptance_days }} = sw.wd_number and sw.is_published
    left join milestone as m on f.source = m.source and f.case_number = m.case_number
), judged as (
    select *,
        case
            when last_day is null then case when recorded_at is null and is_decided then 'at_base' else 'recorded' end
            when recorded_on <= last_day or refused_on <= last_day then 'recorded'
            -- a decision on the spot accepts what it decides (art. 34)
            when completed_on <= last_day then case when is_decided then 'at_base' else 'recorded' end
            when greatest({{ as_of_on }}, recorded_on, refused_on, completed_on, notice_on) > last_day then 'deemed'
        end as acceptance
    from asked
), accepted as (
    select * exclude (accepted_at, accepted_on),
        case acceptance when 'recorded' then recorded_at when 'at_base' then base_at when 'deemed' then base_at end as accepted_at,
        case acceptance when 'recorded' then recorded_on when 'at_base' then base_on when 'deemed' then base_on end as accepted_on,
        coalesce(completed_on, {{ as_of_on }}) as end_on
    from judged
), started as (
    select a.*, s.wd_number as accepted_number,
        case when a.is_from_receipt and not (a.accepted_on is null and (a.completed_on is not null or a.refused_at is not null))
             then a.received_on else a.accepted_on end as started_on,
        case when a.is_from_receipt and not (a.accepted_on is null and (a.completed_on is not null or a.refused_at is not null))
             then a.received_number else s.wd_number end as start_number
    from accepted as a
    left join calendar as s on a.accepted_on = s.day
),

-- the short way: one due day for each combination of start and limit
plain_due as (
    select n.started_on, n.limit_length, n.limit_unit, n.due_number, d.day as due_on
    from (
        {{ clock_due_number(
            "(select distinct started_on, promised as limit_length, promised_unit as limit_unit, 0 as extension,"
            ~ " cast(null as varchar) as extension_unit from started where start_number is not null and promised is not null"
            ~ " union select distinct started_on, statutory, statutory_unit, 0, null from started"
            ~ " where start_number is not null and statutory is not null)", 0, 0) }}
    ) as n
    left join working_day as d on n.due_number = d.wd_number
),

-- the long way: pauses and extensions
pause as (
    select p.source, p.case_number, p.sequence, p.special_kind_code, p.has_written_notice, p.started_at,
        coalesce(max(p.special_ended_at), min(r.resumed_at)) as ended_at
    from (
        select *, coalesce(special_started_at, occurred_at) as started_at from event where procedure_code = '2'
    ) as p
    left join (
        select source, case_number, sequence, coalesce(special_ended_at, occurred_at) as resumed_at from event where activity_code = 'resumed'
    ) as r
        on p.source = r.source and p.case_number = r.case_number and p.special_ended_at is null
        -- at one instant the order of the steps tells the end of the last pause from that of the next
        and (r.resumed_at > p.started_at or (r.resumed_at = p.started_at and r.sequence >= p.sequence))
    group by p.source, p.case_number, p.sequence, p.special_kind_code, p.has_written_notice, p.started_at
), pause_judged as (
    select p.*,
        coalesce(
            (p.special_kind_code in {{ clock_codes(rules.pause_kinds) }} or (p.special_kind_code = 'publication' and f.is_publication_excluded))
            and coalesce(p.has_written_notice, true)
            and p.started_at is not null
            and coalesce(p.ended_at >= p.started_at, true),
            false
        ) as is_valid
    from pause as p
    inner join fact as f on p.source = f.source and p.case_number = f.case_number
), span as (
    select source, case_number, {{ day_of('started_at') }} as began_on, {{ day_of('ended_at') }} as ended_on
    from pause_judged
    where is_valid
    union all
    -- clocks from acceptance begin after the correction; one from receipt must stand still meanwhile
    select source, case_number, notice_on, coalesce(resubmitted_on, recorded_on) from started where is_from_receipt and is_corrected
), extension as (
    select e.source, e.case_number, e.extension_count, {{ day_of('e.granted_at') }} as granted_on,
        case when f.statutory is not null then f.statutory_unit when f.promised is not null then f.promised_unit else 'wd' end as unit,
        e.granted_days,
        case when f.extension_cap is not null then least(greatest(f.extension_cap, 0), {{ rules.longest_limit }})
             -- the law's cap is for licences, in days
             when f.is_licence and f.statutory_unit <> 'month'
             then case when f.is_joint then {{ rules.joint_extension }} else {{ rules.licence_extension }} end
             else {{ rules.longest_limit }} end as cap
    from (
        select source, case_number, count(*) as extension_count,
            max(case when place = 1 and is_usable then granted_at end) as granted_at,
            max(case when place = 1 and is_usable then extension_days end) as granted_days
        from (
            select *, row_number() over (
                partition by source, case_number order by not is_usable, granted_at, sequence, extension_days) as place
            from (
                select *, coalesce(occurred_at, special_started_at) as granted_at,
                    coalesce(extension_days > 0 and coalesce(occurred_at, special_started_at) is not null, false) as is_usable
                from event
                where procedure_code = '1'
            ) as e
        ) as e
        group by source, case_number
    ) as e
    inner join fact as f on e.source = f.source and e.case_number = f.case_number
), stopped as (
    select s.source, s.case_number, s.started_on, s.end_on, s.accepted_number, s.promised, s.promised_unit, s.statutory, s.statutory_unit,
        case when e.granted_days > e.cap then e.cap else e.granted_days end as extension, e.unit as extension_unit, g.wd_number as number_before_grant
    from started as s
    left join extension as e on s.source = e.source and s.case_number = e.case_number
    left join calendar as g on g.day = {{ clock_days_on('e.granted_on', -1) }}
    where s.start_number is not null
        and (
            e.case_number is not null
            or (s.source, s.case_number) in (select source, case_number from span)
        )
), island as (
    -- overlapping pauses count once; the first day of a limit is not counted anyway (Civil Code art. 201)
    select source, case_number, started_on, accepted_number, min(began_on) as began_on, max(ended_on) as ended_on
    from (
        select *, count(*) filter (is_apart) over (partition by source, case_number order by began_on, ended_on) as place
        from (
            select *, coalesce(began_on > max(ended_on) over (
                partition by source, case_number order by began_on, ended_on rows between unbounded preceding and 1 preceding
            ), true) as is_apart
            from (
                select s.source, s.case_number, s.started_on, s.accepted_number,
                    greatest(p.began_on, {{ clock_days_on('s.started_on', 1) }}) as began_on,
                    least(coalesce(p.ended_on, s.end_on), s.end_on) as ended_on
                from stopped as s
                inner join span as p on s.source = p.source and s.case_number = p.case_number
            ) as p
            where began_on < ended_on
        ) as p
    ) as p
    group by source, case_number, started_on, accepted_number, place
), numbered as (
    select i.source, i.case_number, i.began_on, i.accepted_number,
        b.wd_number as number_before,
        coalesce(u.wd_number - b.wd_number, 0) as working_days,
        {{ dbt.datediff('i.began_on', 'i.ended_on', 'day') }} as calendar_days,
        b.wd_number is not null and u.wd_number is not null as is_known,
        u.wd_number as number_until
    from island as i
    left join calendar as b on b.day = {{ clock_days_on('i.began_on', -1) }}
    left join calendar as u on u.day = {{ clock_days_on('i.ended_on', -1) }}
), paused as (
    select source, case_number, sum(working_days) as paused_days,
        sum(greatest(coalesce(number_until - greatest(number_before, accepted_number), 0), 0)) as paused_after_acceptance
    from numbered
    group by source, case_number
), clocked as (
    -- each limit without and with the extension
    select s.source, s.case_number, s.started_on, l.limit_name, l.limit_length, l.limit_unit, s.number_before_grant,
        x.is_extended, case when x.is_extended then s.extension else 0 end as extension, s.extension_unit
    from stopped as s
    inner join (select false as is_extended union all select true) as x on not x.is_extended or s.extension > 0
    inner join (
        select source, case_number, 'promised' as limit_name, promised as limit_length, promised_unit as limit_unit from stopped
        union all
        select source, case_number, 'statutory', statutory, statutory_unit from stopped
    ) as l on s.source = l.source and s.case_number = l.case_number and l.limit_length is not null
), step as (
    select c.*, n.began_on, n.number_before, n.working_days, n.calendar_days, n.is_known,
        coalesce(sum(n.working_days) over earlier, 0) as earlier_working_days,
        coalesce(sum(n.calendar_days) over earlier, 0) as earlier_calendar_days
    from clocked as c
    inner join numbered as n on c.source = n.source and c.case_number = n.case_number
    window earlier as (
        partition by c.source, c.case_number, c.limit_name, c.is_extended
        order by n.began_on rows between unbounded preceding and 1 preceding
    )
), counted as (
    -- a pause that begins after the due day finds no clock to stop, nor does one after it
    select *, min(case when is_known and number_before < due_number then 1 else 0 end) over (
        partition by source, case_number, limit_name, is_extended order by began_on rows unbounded preceding
    ) as is_counted
    from ({{ clock_due_number('step', 'r.earlier_working_days', 'r.earlier_calendar_days') }}) as s
), standing as (
    select source, case_number, limit_name, is_extended, sum(working_days) as working_days, sum(calendar_days) as calendar_days
    from counted
    where is_counted = 1
    group by source, case_number, limit_name, is_extended
), limit_paused as (
    select c.*, coalesce(s.working_days, 0) as paused_working_days, coalesce(s.calendar_days, 0) as paused_calendar_days
    from clocked as c
    left join standing as s
        on c.source = s.source and c.case_number = s.case_number and c.limit_name = s.limit_name and c.is_extended = s.is_extended
), long_due as (
    select source, case_number, limit_name, is_in_time as is_extended,
        case when is_in_time then extended_number else plain_number end as due_number
    from (
        select source, case_number, limit_name,
            max(case when not is_extended then due_number end) as plain_number,
            max(case when is_extended then due_number end) as extended_number,
            coalesce(
                max(case when is_extended then number_before_grant end) < max(case when not is_extended then due_number end), false
            ) as is_in_time
        from ({{ clock_due_number('limit_paused', 'r.paused_working_days', 'r.paused_calendar_days') }}) as d
        group by source, case_number, limit_name
    ) as d
), long_case as (
    select source, case_number,
        max(case when limit_name = 'promised' then due_number end) as promised_number,
        max(case when limit_name = 'statutory' then due_number end) as statutory_number,
        max(case when is_extended then 1 else 0 end) = 1 as is_extended
    from long_due
    group by source, case_number
), special as (
    -- what the long way found, one row a case
    select k.source, k.case_number,
        coalesce(p.has_invalid_pause, false) as has_invalid_pause,
        coalesce(p.is_paused, false) as is_paused,
        e.extension_count, case when e.granted_days > e.cap then e.cap else e.granted_days end as extension, e.granted_days > e.cap as is_capped,
        l.case_number is not null as is_clocked, l.promised_number, l.statutory_number, coalesce(l.is_extended, false) as is_extended,
        l.promised_number is not null or l.statutory_number is not null as is_timed,
        coalesce(q.paused_days, 0) as paused_days, coalesce(q.paused_after_acceptance, 0) as paused_after_acceptance
    from (
        select source, case_number from pause union select source, case_number from span union select source, case_number from extension
    ) as k
    left join (
        select source, case_number, bool_or(is_invalid) as has_invalid_pause, bool_or(is_now) as is_paused
        from (
            select source, case_number, not is_valid as is_invalid, false as is_now from pause_judged
            union all
            select source, case_number, false, began_on <= {{ as_of_on }} and coalesce(ended_on > {{ as_of_on }}, true) from span
        ) as p
        group by source, case_number
    ) as p on k.source = p.source and k.case_number = p.case_number
    left join extension as e on k.source = e.source and k.case_number = e.case_number
    left join long_case as l on k.source = l.source and k.case_number = l.case_number
    left join paused as q on k.source = q.source and k.case_number = q.case_number
), due as (
    select s.*, c.wd_number as completed_number, c.is_published as is_completion_published,
        p.* exclude (source, case_number),
        case when p.is_clocked then p.promised_number else dp.due_number end as promised_due_number,
        case when p.is_clocked then p.statutory_number else ds.due_number end as statutory_due_number,
        case when s.is_licence_granted then c.wd_number + {{ rules.delivery_days }} end as delivery_due_number
    from started as s
    left join calendar as c on s.completed_on = c.day
    left join special as p on s.source = p.source and s.case_number = p.case_number
    left join plain_due as dp on s.started_on = dp.started_on and s.promised = dp.limit_length and s.promised_unit = dp.limit_unit
    left join plain_due as ds on s.started_on = ds.started_on and s.statutory = ds.limit_length and s.statutory_unit = ds.limit_unit
), dated as (
    select d.*,
        case when p.is_published then p.day end as promised_due_on,
        case when s.is_published then s.day end as statutory_due_on,
        l.day as delivery_due_on,
        case when d.source_due_at is not null then 'source' when d.promised is not null then 'promised'
             when d.statutory is not null then 'statutory' end as due_basis,
        case when d.promised is not null then p.day else s.day end as own_due_on,
        case when d.promised is not null then p.is_published else s.is_published end as is_own_due_published,
        case when d.promised is not null then p.end_at else s.end_at end as own_due_at
    from due as d
    left join working_day as p on d.promised_due_number = p.wd_number
    left join working_day as s on d.statutory_due_number = s.wd_number
    left join working_day as l on d.delivery_due_number = l.wd_number and l.is_published
), final as (
    select *,
        case when source_due_at is not null then {{ day_of('source_due_at') }} when is_own_due_published then own_due_on end as due_on,
        case when source_due_at is not null then source_due_at when is_own_due_published then own_due_at end as due_at
    from dated
)
select
    source,
    case_number,
    received_on,
    accepted_at,
    accepted_on,
    coalesce(acceptance = 'deemed', false) as is_deemed_accepted,
    started_on as clock_started_on,
    promised_due_on,
    statutory_due_on,
    delivery_due_on,
    due_at,
    due_on,
    due_basis,
    case when due_on is not null then null
         when due_basis is null then 'no_limit'
         when started_on is null then 'not_accepted'
         else 'calendar_unpublished' end as due_null_reason,
    case when source_due_at is null and not is_own_due_published then own_due_on end as provisional_due_on,
    completed_on,
    completed_on is not null as is_completed,
    case when source_due_at is not null then coalesce(completed_at, {{ as_of() }}) > source_due_at
         when due_basis is not null then {{ clock_is_late('end_on', 'due_on', 'start_number') }} end as is_late,
    case when statutory is not null then {{ clock_is_late('end_on', 'statutory_due_on', 'start_number') }} end as is_statutory_late,
    case when is_licence_granted
         then {{ clock_is_late('coalesce(delivered_on, ' ~ as_of_on ~ ')', 'delivery_due_on', 'completed_number') }} end as is_delivery_late,
    coalesce(is_paused and completed_on is null and start_number is not null, false) as is_paused,
    cast(coalesce(paused_days, 0) as integer) as paused_days,
    cast(case when is_extended then extension else 0 end as integer) as extension_days,
    cast(correction_count as integer) as correction_count,
    case when correction_count = 1 then is_told_in_time when correction_count > 1 then false end as is_told_once_in_time,
    coalesce(has_invalid_pause, false) as has_invalid_pause,
    coalesce(
        extension_count > 1 or (extension_count > 0 and extension is null) or is_capped
        or (extension > 0 and is_timed and not is_extended),
        false
    ) as has_invalid_extension,
    case when accepted_number is not null and is_completion_published and completed_on >= accepted_on
         then cast(completed_number - accepted_number - coalesce(paused_after_acceptance, 0) as integer) end as net_working_days
from final
