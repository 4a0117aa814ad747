-- The statutory clock in one shot: as_of and calendar are given, every case is clocked, the source is one. Counting working
-- days is a join on the calendar, which numbers them.
SET VARIABLE published_until = (SELECT max(day) FROM calendar WHERE is_published);
SET VARIABLE as_of_on = day_of(getvariable('as_of'));

CREATE TEMP TABLE working_day AS
SELECT wd_number, day, is_published, (CAST(day + 1 AS TIMESTAMP) AT TIME ZONE 'Asia/Shanghai') - INTERVAL 1 MICROSECOND AS end_at
FROM calendar WHERE is_working_day;

-- each day with its number, that of the next working day (itself if people work on it), and the fifth working day after it
CREATE TEMP TABLE day AS
SELECT c.day, c.wd_number, c.wd_number + CASE WHEN c.is_working_day THEN 0 ELSE 1 END AS next_number, c.is_working_day, c.is_published,
    w.day AS fifth_on
FROM calendar AS c LEFT JOIN working_day AS w ON c.wd_number + 5 = w.wd_number AND w.is_published;

CREATE TEMP MACRO later(d, length, unit) AS CASE WHEN unit = 'month' THEN CAST(d + to_months(length) AS DATE) ELSE d + length END;
CREATE TEMP MACRO limit_in(length, unit) AS CASE WHEN length BETWEEN 0 AND 36500 AND coalesce(unit, 'wd') IN ('wd', 'cd', 'month') THEN length END;
-- a day inside the published calendar is not past a due day beyond it
CREATE TEMP MACRO is_past(ended_on, due_on, start_number) AS CASE
    WHEN due_on IS NOT NULL THEN ended_on > due_on
    WHEN start_number IS NOT NULL AND ended_on <= getvariable('published_until') THEN false
END;
-- the rows of a table with the number of the working day on which their limit ends; an extension in another unit counts on
-- from the due day without it
CREATE TEMP MACRO with_due_number(relation) AS TABLE
SELECT p.*, CASE
    WHEN p.extension = 0 OR p.extension_unit = p.unit OR p.plain_number IS NULL THEN p.plain_number
    WHEN p.extension_unit = 'wd' THEN p.plain_number + p.extension
    ELSE e.next_number END AS due_number
FROM (
    SELECT r.*, CASE WHEN r.unit <> 'wd' THEN l.next_number
        ELSE s.wd_number + r.whole + r.paused_working_days + CASE WHEN r.length = 0 AND NOT s.is_working_day THEN 1 ELSE 0 END END AS plain_number
    FROM (
        SELECT *, length + CASE WHEN extension_unit = unit THEN extension ELSE 0 END AS whole FROM query_table(relation)
    ) AS r
    JOIN day AS s ON r.started_on = s.day
    LEFT JOIN day AS l ON l.day = CASE WHEN r.unit <> 'wd' THEN later(r.started_on, r.whole, r.unit) + CAST(r.paused_calendar_days AS INTEGER) END
) AS p
LEFT JOIN working_day AS d ON d.wd_number = CASE WHEN p.extension > 0 AND p.extension_unit NOT IN ('wd', p.unit) THEN p.plain_number END
LEFT JOIN day AS e ON e.day = later(d.day, p.extension, p.extension_unit);

CREATE TEMP MACRO version_day(received_on) AS coalesce(received_on, getvariable('as_of_on'));
CREATE TEMP TABLE limits AS
SELECT *, CASE WHEN own_statutory IS NOT NULL THEN own_statutory WHEN is_licence THEN CASE WHEN is_joint THEN 45 ELSE 20 END END AS statutory,
    CASE WHEN own_statutory IS NULL THEN 'wd' ELSE own_unit END AS statutory_unit
FROM (
    SELECT matter_code, applies_from, applies_until,
        limit_in(promised_limit, promised_limit_unit) AS promised, coalesce(promised_limit_unit, 'wd') AS promised_unit,
        limit_in(statutory_limit, statutory_limit_unit) AS own_statutory, coalesce(statutory_limit_unit, 'wd') AS own_unit,
        coalesce(clock_start_code = 'receipt', false) AS is_from_receipt, coalesce(type_code = '01', false) AS is_licence,
        coalesce(is_joint, false) AS is_joint, coalesce(is_publication_excluded, false) AS is_publication_excluded, extension_cap
    FROM matter_version
);

-- what is dated after as_of has not happened yet
CREATE TEMP VIEW known_case AS
SELECT * REPLACE (
    CASE WHEN accepted_at <= getvariable('as_of') THEN accepted_at END AS accepted_at,
    CASE WHEN completed_at <= getvariable('as_of') THEN completed_at END AS completed_at
) FROM cases;
CREATE TEMP VIEW known_event AS
SELECT * REPLACE (CASE WHEN special_ended_at <= getvariable('as_of') THEN special_ended_at END AS special_ended_at)
FROM special_event
WHERE coalesce(occurred_at <= getvariable('as_of'), true) AND coalesce(special_started_at <= getvariable('as_of'), true);

CREATE TEMP TABLE correction AS
SELECT case_number, day_of(first_notice_at) AS notice_on,
    count(*) FILTER (activity_code = 'correction_asked') AS correction_count,
    min(occurred_at) FILTER (activity_code = 'refused') AS refused_at,
    min(occurred_at) FILTER (activity_code = 'correction_submitted' AND occurred_at >= first_notice_at) AS resubmitted_at
FROM (
    SELECT *, min(CASE WHEN activity_code = 'correction_asked' THEN occurred_at END) OVER (PARTITION BY case_number) AS first_notice_at
    FROM known_event WHERE activity_code IN ('correction_asked', 'correction_submitted', 'refused')
) GROUP BY case_number, first_notice_at;

-- steps that most cases have, looked up only where the clock asks for them
CREATE TEMP TABLE milestone AS
SELECT e.case_number,
    min(e.occurred_at) FILTER (e.activity_code = 'accepted') AS accepted_event_at,
    coalesce(min(e.occurred_at) FILTER (e.activity_code = 'delivered'), min(e.occurred_at) FILTER (e.activity_code = 'issued')) AS delivered_at
FROM marts.fct_case_event AS e
JOIN (
    SELECT c.case_number, c.accepted_at IS NULL AS wants_acceptance,
        coalesce(l.is_licence AND c.outcome_code = 'granted' AND c.completed_at IS NOT NULL, false) AS wants_delivery
    FROM known_case AS c LEFT JOIN limits AS l ON c.matter_code = l.matter_code AND version_day(day_of(c.received_at)) BETWEEN l.applies_from AND l.applies_until
    WHERE wants_acceptance OR wants_delivery
) AS c USING (case_number)
WHERE e.activity_code IN ('accepted', 'issued', 'delivered') AND coalesce(e.occurred_at <= getvariable('as_of'), true)
    AND (e.activity_code = 'accepted' AND c.wants_acceptance OR e.activity_code <> 'accepted' AND c.wants_delivery)
GROUP BY e.case_number;

-- acceptance as recorded, or deemed where nothing was done within five working days (art. 32); hence the start
CREATE TEMP TABLE started AS
WITH fact AS (
    SELECT c.case_number, c.received_at, c.completed_at, c.source_due_at,
        l.promised, l.promised_unit, l.statutory, l.statutory_unit, l.is_licence, l.is_joint, l.extension_cap, l.is_publication_excluded,
        day_of(c.received_at) AS received_on, day_of(c.completed_at) AS completed_on,
        coalesce(l.is_licence AND c.outcome_code = 'granted' AND c.completed_at IS NOT NULL, false) AS is_licence_granted,
        l.is_from_receipt, coalesce(k.correction_count, 0) AS correction_count, k.notice_on,
        k.refused_at, k.resubmitted_at, day_of(k.resubmitted_at) AS resubmitted_on,
        least(day_of(k.refused_at), CASE WHEN c.outcome_code = 'refused' THEN day_of(c.completed_at) END) AS refused_on,
        coalesce(c.accepted_at, m.accepted_event_at) AS recorded_at, day_of(m.delivered_at) AS delivered_on,
        c.completed_at IS NOT NULL AND coalesce(
            c.outcome_code NOT IN ('correction_lapsed', 'refused', 'terminated', 'void', 'withdrawn'), true) AS is_decided
    FROM known_case AS c
    LEFT JOIN limits AS l ON c.matter_code = l.matter_code AND version_day(day_of(c.received_at)) BETWEEN l.applies_from AND l.applies_until
    LEFT JOIN correction AS k USING (case_number)
    LEFT JOIN milestone AS m USING (case_number)
), asked AS (
    SELECT f.*, r.wd_number AS received_number, day_of(recorded_at) AS recorded_on,
        notice_on <= r.fifth_on AS is_told_in_time,
        coalesce(notice_on <= r.fifth_on, notice_on IS NOT NULL) AS is_corrected,
        CASE WHEN is_corrected THEN resubmitted_at ELSE received_at END AS base_at,
        CASE WHEN is_corrected THEN resubmitted_on ELSE received_on END AS base_on,
        CASE WHEN is_corrected THEN s.fifth_on ELSE r.fifth_on END AS last_on
    FROM fact AS f
    LEFT JOIN day AS r ON f.received_on = r.day
    LEFT JOIN day AS s ON f.resubmitted_on = s.day
), judged AS (
    SELECT *, CASE
        WHEN last_on IS NULL THEN CASE WHEN recorded_at IS NULL AND is_decided THEN 'at_base' ELSE 'recorded' END
        WHEN recorded_on <= last_on OR refused_on <= last_on THEN 'recorded'
        WHEN completed_on <= last_on THEN CASE WHEN is_decided THEN 'at_base' ELSE 'recorded' END
        WHEN greatest(getvariable('as_of_on'), recorded_on, refused_on, completed_on, notice_on) > last_on THEN 'deemed'
    END AS acceptance FROM asked
), accepted AS (
    SELECT *, CASE acceptance WHEN 'recorded' THEN recorded_at WHEN 'at_base' THEN base_at WHEN 'deemed' THEN base_at END AS effective_at,
        CASE acceptance WHEN 'recorded' THEN recorded_on WHEN 'at_base' THEN base_on WHEN 'deemed' THEN base_on END AS effective_on
    FROM judged
)
SELECT a.* EXCLUDE (base_at, base_on, last_on, recorded_at, effective_at, effective_on, is_decided, received_at, resubmitted_at, is_licence, is_joint),
    a.is_licence, a.is_joint, a.effective_at AS accepted_at, a.effective_on AS accepted_on, s.wd_number AS accepted_number,
    coalesce(a.completed_on, getvariable('as_of_on')) AS end_on,
    CASE WHEN is_clocked_from_receipt THEN a.received_on ELSE a.effective_on END AS started_on,
    CASE WHEN is_clocked_from_receipt THEN a.received_number ELSE s.wd_number END AS start_number
FROM (
    SELECT *, coalesce(is_from_receipt AND NOT (effective_on IS NULL AND (completed_on IS NOT NULL OR refused_at IS NOT NULL)), false)
        AS is_clocked_from_receipt FROM accepted
) AS a
LEFT JOIN day AS s ON a.effective_on = s.day;

-- pauses: the closed list of art. 45, told in writing; where the source gives no end, the next resumption
CREATE TEMP TABLE pause AS
SELECT *, coalesce(
    (special_kind_code IN ('appraisal', 'auction', 'bidding', 'expert_review', 'hearing', 'inspection', 'quarantine', 'testing')
        OR special_kind_code = 'publication' AND is_publication_excluded)
    AND coalesce(has_written_notice, true) AND paused_at IS NOT NULL AND coalesce(ended_at >= paused_at, true), false) AS is_valid
FROM (
    SELECT p.case_number, p.sequence, p.special_kind_code, p.has_written_notice, p.paused_at, f.is_publication_excluded,
        coalesce(max(p.special_ended_at), min(r.resumed_at)) AS ended_at
    FROM (SELECT *, coalesce(special_started_at, occurred_at) AS paused_at FROM known_event WHERE procedure_code = '2') AS p
    JOIN started AS f USING (case_number)
    LEFT JOIN (
        SELECT case_number, sequence, coalesce(special_ended_at, occurred_at) AS resumed_at FROM known_event WHERE activity_code = 'resumed'
    ) AS r ON p.case_number = r.case_number AND p.special_ended_at IS NULL
        AND (r.resumed_at > p.paused_at OR r.resumed_at = p.paused_at AND r.sequence >= p.sequence)
    GROUP BY ALL
);

CREATE TEMP TABLE span AS
SELECT case_number, day_of(paused_at) AS began_on, day_of(ended_at) AS ended_on FROM pause WHERE is_valid
UNION ALL  -- a clock that runs from receipt stands still while the applicant corrects
SELECT case_number, notice_on, coalesce(resubmitted_on, recorded_on) FROM started WHERE is_from_receipt AND is_corrected;

-- the first usable extension, capped (art. 42)
CREATE TEMP TABLE extension AS
SELECT x.*, CASE WHEN granted_days > cap THEN cap ELSE granted_days END AS extension, granted_days > cap AS is_capped,
    b.wd_number AS number_before_grant
FROM (
    SELECT e.case_number, e.extension_count, e.grant.at AS granted_at, e.grant.days AS granted_days,
        CASE WHEN f.statutory IS NOT NULL THEN f.statutory_unit WHEN f.promised IS NOT NULL THEN f.promised_unit ELSE 'wd' END AS extension_unit,
        CASE WHEN f.extension_cap IS NOT NULL THEN least(greatest(f.extension_cap, 0), 36500)
            WHEN f.is_licence AND f.statutory_unit <> 'month' THEN CASE WHEN f.is_joint THEN 15 ELSE 10 END ELSE 36500 END AS cap
    FROM (
        SELECT case_number, count(*) AS extension_count,
            min({'at': granted_at, 'sequence': sequence, 'days': extension_days}) FILTER (extension_days > 0 AND granted_at IS NOT NULL) AS grant
        FROM (SELECT *, coalesce(occurred_at, special_started_at) AS granted_at FROM known_event WHERE procedure_code = '1')
        GROUP BY case_number
    ) AS e JOIN started AS f USING (case_number)
) AS x LEFT JOIN day AS b ON b.day = day_of(granted_at) - 1;

CREATE TEMP TABLE stopped AS
SELECT s.case_number, s.started_on, s.end_on, s.accepted_number, s.promised, s.promised_unit, s.statutory, s.statutory_unit,
    coalesce(e.extension, 0) AS extension, e.extension_unit, e.number_before_grant
FROM started AS s LEFT JOIN extension AS e USING (case_number)
WHERE s.start_number IS NOT NULL AND (e.case_number IS NOT NULL OR s.case_number IN (SELECT case_number FROM span));

-- overlapping pauses count once, from the day after the start to the end of the case
CREATE TEMP TABLE island AS
SELECT case_number, began_on, b.wd_number AS number_before, accepted_number, u.wd_number AS number_until,
    coalesce(u.wd_number - b.wd_number, 0) AS working_days, ended_on - began_on AS calendar_days,
    b.wd_number IS NOT NULL AND u.wd_number IS NOT NULL AS is_known
FROM (
    SELECT case_number, accepted_number, min(began_on) AS began_on, max(ended_on) AS ended_on
    FROM (
        SELECT *, count(*) FILTER (is_apart) OVER (PARTITION BY case_number ORDER BY began_on, ended_on) AS place
        FROM (
            SELECT *, coalesce(began_on > max(ended_on) OVER (
                PARTITION BY case_number ORDER BY began_on, ended_on ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true) AS is_apart
            FROM (
                SELECT s.case_number, s.accepted_number, greatest(p.began_on, s.started_on + 1) AS began_on,
                    least(coalesce(p.ended_on, s.end_on), s.end_on) AS ended_on
                FROM stopped AS s JOIN span AS p USING (case_number)
            ) WHERE began_on < ended_on
        )
    ) GROUP BY case_number, accepted_number, place
) LEFT JOIN day AS b ON b.day = began_on - 1 LEFT JOIN day AS u ON u.day = ended_on - 1;

-- each limit without and with its extension
CREATE TEMP TABLE clocked AS
SELECT s.case_number, s.started_on, l.name, l.length, l.unit, x.is_extended, CASE WHEN x.is_extended THEN s.extension ELSE 0 END AS extension,
    s.extension_unit, s.number_before_grant
FROM stopped AS s
JOIN (SELECT false AS is_extended UNION ALL SELECT true) AS x ON NOT x.is_extended OR s.extension > 0
JOIN (
    SELECT case_number, 'promised' AS name, promised AS length, promised_unit AS unit FROM stopped
    UNION ALL
    SELECT case_number, 'statutory', statutory, statutory_unit FROM stopped
) AS l ON s.case_number = l.case_number AND l.length IS NOT NULL;

-- a pause that begins after the due day finds no clock to stop, nor does one after it
CREATE TEMP TABLE step AS
SELECT c.*, i.began_on, i.number_before, i.working_days, i.calendar_days, i.is_known,
    coalesce(sum(i.working_days) OVER earlier, 0) AS paused_working_days, coalesce(sum(i.calendar_days) OVER earlier, 0) AS paused_calendar_days
FROM clocked AS c JOIN island AS i USING (case_number)
WINDOW earlier AS (PARTITION BY c.case_number, c.name, c.is_extended ORDER BY i.began_on ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING);

CREATE TEMP TABLE paused_limit AS
WITH standing AS (
    SELECT case_number, name, is_extended, sum(working_days) AS working_days, sum(calendar_days) AS calendar_days
    FROM (
        SELECT *, min(CASE WHEN is_known AND number_before < due_number THEN 1 ELSE 0 END)
            OVER (PARTITION BY case_number, name, is_extended ORDER BY began_on ROWS UNBOUNDED PRECEDING) AS is_counted
        FROM with_due_number('step')
    ) WHERE is_counted = 1 GROUP BY ALL
)
SELECT c.*, coalesce(s.working_days, 0) AS paused_working_days, coalesce(s.calendar_days, 0) AS paused_calendar_days
FROM clocked AS c LEFT JOIN standing AS s USING (case_number, name, is_extended);

CREATE TEMP TABLE long_due AS
WITH of_limit AS (
    SELECT *, coalesce(before_grant < plain_number, false) AS is_in_time
    FROM (
        SELECT case_number, name, max(due_number) FILTER (NOT is_extended) AS plain_number,
            max(due_number) FILTER (is_extended) AS extended_number, max(number_before_grant) FILTER (is_extended) AS before_grant
        FROM with_due_number('paused_limit') GROUP BY case_number, name
    )
)
SELECT case_number, bool_or(is_in_time) AS is_extended,
    max(CASE WHEN is_in_time THEN extended_number ELSE plain_number END) FILTER (name = 'promised') AS promised_number,
    max(CASE WHEN is_in_time THEN extended_number ELSE plain_number END) FILTER (name = 'statutory') AS statutory_number
FROM of_limit GROUP BY case_number;

CREATE TEMP TABLE special AS
SELECT case_number, coalesce(p.has_invalid_pause, false) AS has_invalid_pause, coalesce(n.is_paused, false) AS is_paused,
    e.extension_count, e.extension, e.is_capped, l.case_number IS NOT NULL AS is_clocked, l.promised_number, l.statutory_number,
    coalesce(l.is_extended, false) AS is_extended, coalesce(i.paused_days, 0) AS paused_days, coalesce(i.paused_after_acceptance, 0) AS paused_after_acceptance
FROM (SELECT case_number FROM pause UNION SELECT case_number FROM span UNION SELECT case_number FROM extension)
LEFT JOIN (SELECT case_number, bool_or(NOT is_valid) AS has_invalid_pause FROM pause GROUP BY case_number) AS p USING (case_number)
LEFT JOIN (
    SELECT case_number, bool_or(began_on <= getvariable('as_of_on') AND coalesce(ended_on > getvariable('as_of_on'), true)) AS is_paused
    FROM span GROUP BY case_number
) AS n USING (case_number)
LEFT JOIN extension AS e USING (case_number)
LEFT JOIN long_due AS l USING (case_number)
LEFT JOIN (
    SELECT case_number, sum(working_days) AS paused_days,
        sum(greatest(coalesce(number_until - greatest(number_before, accepted_number), 0), 0)) AS paused_after_acceptance
    FROM island GROUP BY case_number
) AS i USING (case_number);

-- due days; most cases have no special procedure and take theirs from the calendar
CREATE TEMP TABLE clock AS
WITH numbered AS (
    SELECT s.*, p.* EXCLUDE (case_number), e.wd_number AS completed_number, e.is_published AS is_completion_published,
        CASE WHEN p.is_clocked THEN p.promised_number
            WHEN s.promised_unit = 'wd' THEN b.wd_number + s.promised + CASE WHEN s.promised = 0 AND NOT b.is_working_day THEN 1 ELSE 0 END
            ELSE bp.next_number END AS promised_due_number,
        CASE WHEN p.is_clocked THEN p.statutory_number
            WHEN s.statutory_unit = 'wd' THEN b.wd_number + s.statutory + CASE WHEN s.statutory = 0 AND NOT b.is_working_day THEN 1 ELSE 0 END
            ELSE bs.next_number END AS statutory_due_number,
        CASE WHEN s.is_licence_granted THEN e.wd_number + 10 END AS delivery_due_number
    FROM started AS s
    LEFT JOIN day AS b ON s.started_on = b.day
    LEFT JOIN day AS e ON s.completed_on = e.day
    LEFT JOIN day AS bp ON bp.day = CASE WHEN s.promised_unit <> 'wd' THEN later(s.started_on, s.promised, s.promised_unit) END
    LEFT JOIN day AS bs ON bs.day = CASE WHEN s.statutory_unit <> 'wd' THEN later(s.started_on, s.statutory, s.statutory_unit) END
    LEFT JOIN special AS p USING (case_number)
), dated AS (
    SELECT n.*, CASE WHEN p.is_published THEN p.day END AS promised_due_on, CASE WHEN s.is_published THEN s.day END AS statutory_due_on,
        d.day AS delivery_due_on,
        CASE WHEN source_due_at IS NOT NULL THEN 'source' WHEN promised IS NOT NULL THEN 'promised' WHEN statutory IS NOT NULL THEN 'statutory' END
            AS due_basis,
        CASE WHEN promised IS NOT NULL THEN p.day ELSE s.day END AS own_due_on,
        CASE WHEN promised IS NOT NULL THEN p.is_published ELSE s.is_published END AS is_own_due_published,
        CASE WHEN promised IS NOT NULL THEN p.end_at ELSE s.end_at END AS own_due_at,
        CASE WHEN source_due_at IS NOT NULL THEN day_of(source_due_at) WHEN is_own_due_published THEN own_due_on END AS due_on,
        CASE WHEN source_due_at IS NOT NULL THEN source_due_at WHEN is_own_due_published THEN own_due_at END AS due_at
    FROM numbered AS n
    LEFT JOIN working_day AS p ON n.promised_due_number = p.wd_number
    LEFT JOIN working_day AS s ON n.statutory_due_number = s.wd_number
    LEFT JOIN working_day AS d ON n.delivery_due_number = d.wd_number AND d.is_published
)
SELECT case_number, received_on, accepted_at, accepted_on, coalesce(acceptance = 'deemed', false) AS is_deemed_accepted,
    due_at, due_on, due_basis,
    CASE WHEN due_on IS NOT NULL THEN NULL WHEN due_basis IS NULL THEN 'no_limit' WHEN started_on IS NULL THEN 'not_accepted'
        ELSE 'calendar_unpublished' END AS due_null_reason,
    CASE WHEN source_due_at IS NULL AND NOT is_own_due_published THEN own_due_on END AS provisional_due_on,
    promised_due_on, statutory_due_on, delivery_due_on, completed_on, completed_on IS NOT NULL AS is_completed,
    CASE WHEN source_due_at IS NOT NULL THEN coalesce(completed_at, getvariable('as_of')) > source_due_at
        WHEN due_basis IS NOT NULL THEN is_past(end_on, due_on, start_number) END AS is_late,
    CASE WHEN statutory IS NOT NULL THEN is_past(end_on, statutory_due_on, start_number) END AS is_statutory_late,
    CASE WHEN is_licence_granted
        THEN is_past(coalesce(delivered_on, getvariable('as_of_on')), delivery_due_on, completed_number) END AS is_delivery_late,
    coalesce(is_paused AND completed_on IS NULL AND start_number IS NOT NULL, false) AS is_paused,
    CAST(coalesce(paused_days, 0) AS INTEGER) AS paused_days,
    CAST(CASE WHEN is_extended THEN extension ELSE 0 END AS INTEGER) AS extension_days,
    CAST(correction_count AS INTEGER) AS correction_count,
    CASE WHEN correction_count = 1 THEN is_told_in_time WHEN correction_count > 1 THEN false END AS is_told_once_in_time,
    coalesce(has_invalid_pause, false) AS has_invalid_pause,
    coalesce(extension_count > 1 OR extension_count > 0 AND extension IS NULL OR is_capped
        OR extension > 0 AND (promised_number IS NOT NULL OR statutory_number IS NOT NULL) AND NOT is_extended, false) AS has_invalid_extension,
    CASE WHEN accepted_number IS NOT NULL AND is_completion_published AND completed_on >= accepted_on
        THEN CAST(completed_number - accepted_number - coalesce(paused_after_acceptance, 0) AS INTEGER) END AS net_working_days
FROM dated;
