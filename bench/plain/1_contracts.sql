-- The files as their contracts want them: blank text is null, days in text are parsed, what cannot be typed or keyed is
-- set aside, of several versions of a record the last one stays, of identifiers only digest and mask go on.
-- Columns that no mart shows are not read. Paths are relative to the folder of the files.
SET TimeZone = 'Asia/Shanghai';

CREATE TEMP MACRO blankless(t) AS
    trim(t, ' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(160) || chr(8203) || chr(12288) || chr(65279));
-- what cannot be a code is somebody's data in the wrong column
CREATE TEMP MACRO shown_code(t) AS CASE WHEN t > '{' OR (length(t) > 10 AND t < ':') THEN '***' ELSE t END;
CREATE TEMP MACRO clean(t) AS CASE
    WHEN t >= '!' AND t < chr(160) THEN t
    WHEN t >= '一' AND t < chr(65279) THEN t
    WHEN blankless(t) <> '' THEN t
END;
CREATE TEMP MACRO day_in(t) AS coalesce(
    TRY_CAST(blankless(t) AS DATE),
    CAST(TRY_CAST(blankless(t) AS TIMESTAMPTZ) AS DATE),
    CAST(try_strptime(blankless(t), ['%Y/%m/%d', '%Y年%m月%d日', '%Y.%m.%d', '%Y%m%d']) AS DATE)
);
CREATE TEMP MACRO not_long_term(t) AS CASE WHEN blankless(t) NOT IN ('长期', '长期有效', '永久', '永久有效') THEN t END;
CREATE TEMP MACRO day_of(t) AS CAST((t AT TIME ZONE 'Asia/Shanghai') AS DATE);
CREATE TEMP MACRO first_character(t) AS left(t, 1) || repeat('*', greatest(length(t) - 1, 1));
CREATE TEMP MACRO is_valid_id(kind, id) AS CASE kind WHEN '111' THEN is_resident_id(id) WHEN '990' THEN is_credit_code(id) END;
-- as a published message may show a value; text that is somebody's number is masked wherever it stands
CREATE TEMP MACRO guarded(t) AS CASE WHEN regexp_full_match(t, '1[0-9]{10}|[0-9]{15}|[0-9]{17}[0-9Xx]') THEN mask_identifier(t) ELSE t END;
CREATE TEMP MACRO shown(t) AS CASE
    WHEN regexp_full_match(left(t, 40), '[0-9]{1,10}|[0-9]{4}[-/.年][0-9]{1,2}[-/.月].*') THEN left(t, 40)
    WHEN regexp_full_match(left(t, 40), '[\x{4E00}-\x{9FFF}·]{2,}') THEN mask_name(left(t, 40))
    ELSE mask_text(left(t, 40))
END;

-- Repeats are found by hashes of keys; only the rows behind them are compared.
CREATE TEMP TABLE case_dropped AS
WITH twice AS (SELECT hash(case_number) AS h FROM 'case/*.parquet' GROUP BY h HAVING count(*) > 1)
SELECT file_index, file_row_number FROM (
    SELECT file_index, file_row_number,
        row_number() OVER (PARTITION BY case_number ORDER BY updated_at DESC NULLS LAST, file_index DESC, file_row_number DESC) AS place
    FROM 'case/*.parquet' WHERE clean(case_number) IS NOT NULL AND hash(case_number) IN (FROM twice)
) WHERE place > 1;

CREATE TEMP TABLE event_dropped AS
WITH twice AS (SELECT hash(case_number, sequence) AS h FROM 'case_event/*.parquet' GROUP BY h HAVING count(*) > 1)
SELECT file_index, file_row_number FROM (
    SELECT file_index, file_row_number,
        row_number() OVER (PARTITION BY case_number, sequence ORDER BY updated_at DESC NULLS LAST, file_index DESC, file_row_number DESC) AS place
    FROM 'case_event/*.parquet' WHERE clean(case_number) IS NOT NULL AND sequence IS NOT NULL AND hash(case_number, sequence) IN (FROM twice)
) WHERE place > 1;

CREATE TEMP TABLE review_dropped AS
WITH twice AS (SELECT hash(review_id) AS h FROM 'review/*.parquet' GROUP BY h HAVING count(*) > 1)
SELECT file_index, file_row_number FROM (
    SELECT file_index, file_row_number,
        row_number() OVER (PARTITION BY review_id ORDER BY updated_at DESC NULLS LAST, file_index DESC, file_row_number DESC) AS place
    FROM 'review/*.parquet' WHERE clean(review_id) IS NOT NULL AND hash(review_id) IN (FROM twice)
) WHERE place > 1;

CREATE TEMP TABLE matters AS
SELECT clean(matter_code) AS matter_code, clean(basic_code) AS basic_code, clean(matter_name) AS matter_name, clean(type_code) AS type_code,
    clean(level_code) AS level_code, clean(department_code) AS department_code, clean(department_name) AS department_name, statutory_limit,
    clean(statutory_limit_unit) AS statutory_limit_unit, promised_limit, clean(promised_limit_unit) AS promised_limit_unit,
    clean(clock_start_code) AS clock_start_code, clean(case_kind_code) AS case_kind_code, is_online, trips,
    clean(handling_form_codes) AS handling_form_codes, clean(service_object_codes) AS service_object_codes, clean(theme) AS theme,
    is_fee_charged, is_one_window, is_joint, has_certificate, clean(result_name) AS result_name, clean(materials) AS materials,
    clean(region_code) AS region_code, clean(version) AS version, effective_from, effective_to, clean(matter_state_code) AS matter_state_code,
    updated_at, extension_cap, is_publication_excluded
FROM 'matter/*.parquet' WHERE clean(matter_code) IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY matter_code, version ORDER BY updated_at DESC NULLS LAST, file_index DESC, file_row_number DESC) = 1;

-- Versions of a matter one after the other; of those that begin on the same day the later one stays. A case takes the version
-- of the day on which it was received: the last that had begun, else the first.
CREATE TEMP TABLE matter_version AS
SELECT * EXCLUDE (next_from, superseded, n), effective_from AS valid_from,
    CASE WHEN least(effective_to, next_from) < effective_from THEN effective_from ELSE least(effective_to, next_from) END AS valid_to,
    CASE WHEN n = 1 THEN DATE '0001-01-01' ELSE effective_from END AS applies_from, coalesce(next_from - 1, DATE '9999-12-31') AS applies_until,
    array_to_string(list_sort(superseded), ',') AS superseded_versions
FROM (
    SELECT *, lead(effective_from) OVER (PARTITION BY matter_code ORDER BY effective_from NULLS FIRST) AS next_from,
        row_number() OVER (PARTITION BY matter_code ORDER BY effective_from NULLS FIRST) AS n
    FROM (
        SELECT *, list(coalesce(version, '?')) OVER (same ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS superseded,
            row_number() OVER same AS place
        FROM (
            SELECT *, coalesce(effective_to <= effective_from, false) AS is_called_off FROM matters
            QUALIFY NOT is_called_off OR bool_and(is_called_off) OVER (PARTITION BY matter_code)
        )
        WINDOW same AS (PARTITION BY matter_code, effective_from ORDER BY
            TRY_CAST(regexp_extract_all(version, '[0-9]+') AS HUGEINT[]) DESC NULLS LAST, updated_at DESC NULLS LAST, version DESC NULLS LAST)
    ) WHERE place = 1
);

CREATE TEMP TABLE cases AS
SELECT * EXCLUDE (applicant_id),
    digest(applicant_id) AS applicant_id_digest,
    mask_identifier(applicant_id) AS applicant_id_masked,
    is_valid_id(applicant_id_type_code, applicant_id) AS applicant_id_is_valid
FROM (
    SELECT clean(case_number) AS case_number, clean(matter_code) AS matter_code, clean(matter_name) AS matter_name,
        clean(case_kind_code) AS case_kind_code, clean(applicant_name) AS applicant_name,
        clean(applicant_id_type_code) AS applicant_id_type_code, clean(applicant_id) AS applicant_id, clean(channel_code) AS channel_code,
        clean(region_code) AS region_code, coalesce(received_at, applied_at) AS received_at, clean(department_name) AS department_name,
        clean(department_code) AS department_code, accepted_at, completed_at, applied_at, clean(outcome_code) AS outcome_code, source_due_at,
        source_planned_at, clean(window_code) AS window_code, is_commitment, is_tolerance, reported_at, updated_at
    FROM (SELECT *, file_index, file_row_number FROM 'case/*.parquet') ANTI JOIN case_dropped USING (file_index, file_row_number)
) WHERE case_number IS NOT NULL;

-- The few per cent of events that stop, move or restart a clock, with the columns that only the clock wants.
CREATE TEMP TABLE special_event AS
SELECT case_number, sequence, activity_code, occurred_at, special_kind_code, special_started_at, special_ended_at, has_written_notice,
    extension_days,
    CASE WHEN activity_code <> 'resumed' OR activity_code IS NULL
        THEN coalesce(clean(special_code), CASE activity_code WHEN 'suspended' THEN '2' WHEN 'extended' THEN '1' END) END AS procedure_code
FROM (
    SELECT *, file_index, file_row_number FROM 'case_event/*.parquet'
    WHERE activity_code IN ('correction_asked', 'correction_submitted', 'refused', 'suspended', 'resumed', 'extended')
        OR special_code IN ('1', '2')
) ANTI JOIN event_dropped USING (file_index, file_row_number)
WHERE clean(case_number) IS NOT NULL AND sequence IS NOT NULL;

CREATE TEMP TABLE certificate_read AS
SELECT *, coalesce(issued_on IS NULL AND issued_text IS NOT NULL OR valid_from IS NULL AND valid_from_text IS NOT NULL
    OR valid_to IS NULL AND valid_to_text IS NOT NULL, false) AS is_bad
FROM (
    SELECT *, day_in(issued_text) AS issued_on, day_in(valid_from_text) AS valid_from, day_in(valid_to_text) AS valid_to
    FROM (
        SELECT clean(certificate_id) AS certificate_id, clean(certificate_type_code) AS certificate_type_code,
            clean(certificate_name) AS certificate_name, clean(certificate_number) AS certificate_number, clean(holder_name) AS holder_name,
            clean(holder_id_type_code) AS holder_id_type_code, clean(holder_id) AS holder_id, clean(issuer_name) AS issuer_name,
            clean(issuer_code) AS issuer_code, clean(issued_on) AS issued_text, clean(valid_from) AS valid_from_text,
            not_long_term(clean(valid_to)) AS valid_to_text, clean(certificate_state_code) AS certificate_state_code,
            clean(case_number) AS case_number, clean(file_hash) AS file_hash, updated_at, file_index, file_row_number
        FROM 'certificate/*.parquet'
    )
);

CREATE TEMP TABLE certificate_dropped AS
WITH twice AS (SELECT hash(certificate_id) AS h FROM certificate_read WHERE NOT is_bad GROUP BY h HAVING count(*) > 1)
SELECT file_index, file_row_number FROM (
    SELECT file_index, file_row_number,
        row_number() OVER (PARTITION BY certificate_id ORDER BY updated_at DESC NULLS LAST, file_index DESC, file_row_number DESC) AS place
    FROM certificate_read WHERE NOT is_bad AND certificate_id IS NOT NULL AND hash(certificate_id) IN (FROM twice)
) WHERE place > 1;

SET TimeZone = 'UTC';

-- The data's horizon: the last time of change that its neighbourhood backs, so that a few mistyped years do not move it.
SET VARIABLE as_of = (
    WITH instants AS (
        SELECT unnest(CASE WHEN updated_at IS NULL THEN [received_at, applied_at, completed_at] ELSE [updated_at] END) AS t FROM cases
        UNION ALL
        SELECT coalesce(updated_at, occurred_at) FROM (SELECT *, file_index, file_row_number FROM 'case_event/*.parquet')
        ANTI JOIN event_dropped USING (file_index, file_row_number) WHERE case_number IS NOT NULL AND sequence IS NOT NULL
        UNION ALL
        SELECT coalesce(updated_at, reviewed_at) FROM (SELECT *, file_index, file_row_number FROM 'review/*.parquet')
        ANTI JOIN review_dropped USING (file_index, file_row_number) WHERE clean(review_id) IS NOT NULL
        UNION ALL
        SELECT updated_at FROM certificate_read ANTI JOIN certificate_dropped USING (file_index, file_row_number)
        WHERE certificate_id IS NOT NULL AND NOT is_bad
    ), days AS (
        SELECT epoch_us(t) // 86400000000 AS day, max(t) AS latest, count(*) AS n FROM instants WHERE isfinite(t) GROUP BY day
    ), backed AS (
        SELECT latest, sum(n) OVER () AS total, sum(n) OVER (ORDER BY day RANGE BETWEEN 30 PRECEDING AND CURRENT ROW) AS near FROM days
    )
    SELECT max(latest) FROM backed WHERE near >= greatest(total / 1000, least(total / 100, 3))
);

-- The steps, all of them; also the clock reads them.
CREATE TABLE marts.fct_case_event AS
SELECT 'sample' AS source, e.case_number, e.sequence, e.event_code, e.activity_code, e.activity, first_character(e.actor) AS actor_masked,
    e.occurred_at, e.ended_at, e.department_code, e.window_code, shown_code(e.step_state_code) AS step_state_code,
    shown_code(e.special_code) AS special_code, e.special_kind_code, e.has_written_notice,
    coalesce(e.occurred_at > c.completed_at, false) AS is_after_case_end
FROM (
    SELECT clean(case_number) AS case_number, sequence, clean(event_code) AS event_code, clean(activity_code) AS activity_code,
        clean(activity) AS activity, clean(actor) AS actor, occurred_at, ended_at, clean(department_code) AS department_code,
        clean(window_code) AS window_code, clean(step_state_code) AS step_state_code, clean(special_code) AS special_code,
        clean(special_kind_code) AS special_kind_code, has_written_notice
    FROM (SELECT *, file_index, file_row_number FROM 'case_event/*.parquet') ANTI JOIN event_dropped USING (file_index, file_row_number)
) AS e LEFT JOIN cases AS c USING (case_number)
WHERE e.case_number IS NOT NULL AND e.sequence IS NOT NULL;
