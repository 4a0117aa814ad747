-- Dimensions, facts and the measures of each department and day. `marts.fct_case_event` is there already: the clock reads it.
-- Chains of successors: one successor each, none of them runs in a circle here (the pipeline takes splits and circles too).
CREATE TEMP TABLE region_today AS
WITH RECURSIVE link AS (
    SELECT clean(region_code) AS code, clean(successor_code) AS next_code FROM 'region/*.parquet'
    WHERE clean(successor_code) IS NOT NULL AND coalesce(effective_to <= getvariable('as_of_on'), true)
), walk AS (
    SELECT code, next_code AS current_code FROM link
    UNION
    SELECT w.code, l.next_code FROM walk AS w JOIN link AS l ON w.current_code = l.code
)
FROM walk WHERE current_code NOT IN (SELECT code FROM link);

CREATE TEMP TABLE department_today AS
WITH RECURSIVE link AS (
    SELECT clean(department_code) AS code, clean(successor_code) AS next_code FROM 'department/*.parquet'
    WHERE clean(successor_code) IS NOT NULL AND coalesce(effective_to <= getvariable('as_of_on'), true)
), walk AS (
    SELECT code, next_code AS current_code FROM link
    UNION
    SELECT w.code, l.next_code FROM walk AS w JOIN link AS l ON w.current_code = l.code
)
FROM walk WHERE current_code NOT IN (SELECT code FROM link);

CREATE TABLE marts.dim_region AS
SELECT 'sample' AS source, clean(region_code) AS region_code, clean(region_name) AS region_name, clean(parent_code) AS parent_code,
    clean(region_level_code) AS region_level_code, clean(division_code) AS division_code, effective_from, effective_to,
    clean(successor_code) AS successor_code, coalesce(current_code, clean(region_code)) AS current_code,
    CASE WHEN current_code IS NULL THEN 'current' ELSE 'succeeded' END AS succession_state
FROM 'region/*.parquet' LEFT JOIN region_today ON clean(region_code) = code WHERE clean(region_code) IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY region_code ORDER BY updated_at DESC NULLS LAST, file_index DESC, file_row_number DESC) = 1;

CREATE TABLE marts.dim_window AS
SELECT 'sample' AS source, clean(window_code) AS window_code, clean(window_name) AS window_name, clean(department_code) AS department_code,
    clean(region_code) AS region_code, clean(hall_name) AS hall_name, floor, is_general
FROM 'window/*.parquet' WHERE clean(window_code) IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY window_code ORDER BY updated_at DESC NULLS LAST, file_index DESC, file_row_number DESC) = 1;

CREATE TABLE marts.dim_matter_version AS
SELECT 'sample' AS source, matter_code, basic_code, matter_name, type_code, level_code, coalesce(department_code, department_name) AS department_code,
    department_name, statutory_limit, statutory_limit_unit, promised_limit, promised_limit_unit, clock_start_code, case_kind_code, is_online,
    trips, handling_form_codes, service_object_codes, theme, is_fee_charged, is_one_window, is_joint, has_certificate, result_name, materials,
    CAST(coalesce(json_array_length(TRY_CAST(materials AS JSON)), 0) AS INTEGER) AS material_count, region_code, version,
    effective_from, effective_to, coalesce(matter_state_code, 'active') AS matter_state_code, updated_at, valid_from, valid_to,
    nullif(applies_from, DATE '0001-01-01') AS applies_from, nullif(applies_until, DATE '9999-12-31') AS applies_until,
    getvariable('as_of_on') BETWEEN applies_from AND applies_until AS is_current, superseded_versions
FROM matter_version;

CREATE TABLE marts.dim_matter AS
SELECT * EXCLUDE (valid_from, valid_to, applies_from, applies_until, is_current, superseded_versions) FROM marts.dim_matter_version WHERE is_current;

CREATE TABLE marts.fct_case AS
SELECT 'sample' AS source, c.case_number, c.matter_code, coalesce(c.matter_name, m.matter_name) AS matter_name, m.type_code,
    coalesce(c.department_code, m.department_code, c.department_name) AS department_code,
    coalesce(d.current_code, c.department_code, m.department_code, c.department_name) AS current_department_code, c.region_code, c.window_code, shown_code(c.channel_code) AS channel_code,
    shown_code(coalesce(c.case_kind_code, m.case_kind_code)) AS case_kind_code, shown_code(c.outcome_code) AS outcome_code,
    shown_code(c.applicant_id_type_code) AS applicant_id_type_code,
    CASE WHEN c.applicant_id_type_code = '990' THEN c.applicant_name ELSE first_character(c.applicant_name) END AS applicant_name_masked,
    c.applicant_id_masked, c.applicant_id_digest, c.applicant_id_is_valid, c.is_commitment, c.is_tolerance, c.received_at, k.received_on,
    k.accepted_at, k.accepted_on, k.is_deemed_accepted, k.due_at, k.due_on, k.due_basis, k.due_null_reason, k.provisional_due_on,
    k.promised_due_on, k.statutory_due_on, k.delivery_due_on, c.source_planned_at, c.completed_at, k.completed_on, k.is_completed, k.is_late,
    k.is_statutory_late, k.is_delivery_late, k.is_paused, k.paused_days, k.extension_days, k.correction_count, k.is_told_once_in_time,
    k.has_invalid_pause, k.has_invalid_extension, k.net_working_days, m.matter_code IS NOT NULL AS is_matter_known,
    m.version AS matter_version, coalesce(m.matter_state_code = 'active' AND k.received_on >= coalesce(m.valid_from, k.received_on)
        AND k.received_on < coalesce(m.valid_to, k.received_on + 1), false) AS is_matter_in_force,
    coalesce(c.completed_at < c.received_at, false) AS is_end_before_start,
    coalesce(m.has_certificate, false) AND c.outcome_code = 'granted' AND k.is_completed AS is_certificate_due,
    c.reported_at, c.updated_at
FROM cases AS c
JOIN clock AS k USING (case_number)
LEFT JOIN (SELECT * REPLACE (coalesce(department_code, department_name) AS department_code, coalesce(matter_state_code, 'active') AS matter_state_code)
    FROM matter_version) AS m
    ON c.matter_code = m.matter_code AND version_day(k.received_on) BETWEEN m.applies_from AND m.applies_until
LEFT JOIN department_today AS d ON coalesce(c.department_code, m.department_code, c.department_name) = d.code;

CREATE TABLE marts.fct_certificate AS
SELECT 'sample' AS source, certificate_id, certificate_type_code, certificate_name, certificate_number,
    CASE WHEN holder_id_type_code = '990' THEN holder_name ELSE first_character(holder_name) END AS holder_name_masked,
    shown_code(holder_id_type_code) AS holder_id_type_code,
    mask_identifier(holder_id) AS holder_id_masked, digest(holder_id) AS holder_id_digest,
    is_valid_id(holder_id_type_code, holder_id) AS holder_id_is_valid, issuer_name, issuer_code, issued_on, valid_from, valid_to,
    shown_code(certificate_state_code) AS certificate_state_code, case_number, file_hash, updated_at
FROM certificate_read ANTI JOIN certificate_dropped USING (file_index, file_row_number)
WHERE certificate_id IS NOT NULL AND NOT is_bad;

CREATE TABLE marts.fct_review AS
SELECT 'sample' AS source, clean(review_id) AS review_id, clean(case_number) AS case_number, shown_code(clean(review_channel_code)) AS review_channel_code,
    first_character(clean(reviewer_name)) AS reviewer_name_masked, reviewed_at, day_of(reviewed_at) AS reviewed_on, review_round,
    shown_code(clean(satisfaction_code)) AS satisfaction_code, coalesce(is_default, false) AS is_default,
    coalesce(satisfaction_code IN ('4', '5'), false) AS is_bad, clean(department_code) AS department_code, clean(region_code) AS region_code,
    is_anonymous, visited_at, rectify_due_on, rectified_at, clean(follows_review_id) AS follows_review_id, updated_at
FROM (SELECT *, file_index, file_row_number FROM 'review/*.parquet') ANTI JOIN review_dropped USING (file_index, file_row_number)
WHERE clean(review_id) IS NOT NULL;

CREATE TABLE marts.dim_department AS
WITH seen AS (
    SELECT department_code, department_name FROM marts.dim_matter_version
    UNION
    SELECT department_code, department_name FROM cases
    UNION
    SELECT department_code, NULL FROM marts.fct_case
), everything AS (
    SELECT clean(department_code) AS department_code, clean(department_name) AS department_name,
        clean(department_kind_code) AS department_kind_code, clean(region_code) AS region_code, clean(parent_code) AS parent_code, sort_order,
        effective_from, effective_to, clean(successor_code) AS successor_code, 1 AS precedence, updated_at, file_index, file_row_number
    FROM 'department/*.parquet' WHERE clean(department_code) IS NOT NULL
    UNION ALL BY NAME
    SELECT department_code, min(department_name) AS department_name, 'unknown' AS department_kind_code, 2 AS precedence
    FROM seen WHERE department_code IS NOT NULL GROUP BY department_code
)
SELECT 'sample' AS source, department_code, coalesce(department_name, department_code) AS department_name, department_kind_code, region_code,
    parent_code, sort_order, effective_from, effective_to, successor_code, coalesce(current_code, department_code) AS current_code,
    CASE WHEN current_code IS NULL THEN 'current' ELSE 'succeeded' END AS succession_state
FROM everything LEFT JOIN department_today ON department_code = code
QUALIFY row_number() OVER (
    PARTITION BY department_code ORDER BY precedence, updated_at DESC NULLS LAST, file_index DESC, file_row_number DESC) = 1;

-- at most three years: a mistyped year must not make a grid of centuries
SET VARIABLE grid_first = (
    SELECT greatest(coalesce(min(received_on), getvariable('as_of_on')), getvariable('as_of_on') - 1096) FROM marts.fct_case);

CREATE TABLE marts.mart_department_day AS
WITH reviewed AS (
    SELECT DISTINCT case_number FROM marts.fct_review
    WHERE NOT is_default AND case_number IS NOT NULL AND reviewed_at <= getvariable('as_of')
), certified AS (
    SELECT DISTINCT case_number FROM marts.fct_certificate
    WHERE case_number IS NOT NULL AND coalesce(issued_on <= getvariable('as_of_on'), true)
), received AS (
    SELECT received_on AS day, department_code, count(*) AS cases, count(*) FILTER (channel_code IN ('2', '3', '5')) AS online,
        count(channel_code) AS channelled, count(*) FILTER (correction_count > 0) AS corrected,
        count(*) FILTER (correction_count = 1 AND is_told_once_in_time) AS told_once, count(*) FILTER (is_matter_in_force) AS in_force
    FROM marts.fct_case GROUP BY ALL
), completed AS (
    SELECT c.completed_on AS day, c.department_code, count(*) AS cases, count(r.case_number) AS reviewed,
        count(*) FILTER (c.is_certificate_due) AS certificate_due, count(z.case_number) FILTER (c.is_certificate_due) AS certified
    FROM marts.fct_case AS c LEFT JOIN reviewed AS r USING (case_number) LEFT JOIN certified AS z USING (case_number)
    WHERE c.is_completed GROUP BY ALL
), clocked AS (
    SELECT CASE WHEN is_completed THEN completed_on ELSE due_on END AS day, department_code,
        count(*) FILTER (is_completed AND NOT is_late) AS on_time, count(*) AS cases
    FROM marts.fct_case WHERE is_late IS NOT NULL AND (is_completed OR is_late) GROUP BY ALL
), rated AS (
    SELECT v.reviewed_on AS day, coalesce(v.department_code, c.department_code) AS department_code,
        count(*) FILTER (v.satisfaction_code IN ('1', '2', '3')) AS satisfied, count(*) AS reviews
    FROM marts.fct_review AS v LEFT JOIN marts.fct_case AS c USING (case_number)
    WHERE NOT v.is_default AND v.satisfaction_code IN ('1', '2', '3', '4', '5') AND v.follows_review_id IS NULL GROUP BY ALL
), matter_day AS (
    SELECT d.day, m.department_code, count(*) FILTER (m.is_online) AS online, count(m.is_online) AS judged_online,
        count(*) FILTER (m.case_kind_code = '1') AS on_the_spot, count(m.case_kind_code) AS with_kind,
        sum(m.statutory_limit - CASE WHEN m.case_kind_code = '1' THEN 0 ELSE m.promised_limit END)
            FILTER (m.statutory_limit_unit = 'wd' AND m.statutory_limit > 0 AND (m.promised_limit_unit = 'wd' OR m.case_kind_code = '1')) AS days_saved,
        sum(m.statutory_limit) FILTER (m.statutory_limit_unit = 'wd' AND m.statutory_limit > 0
            AND (m.case_kind_code = '1' OR m.promised_limit_unit = 'wd' AND m.promised_limit IS NOT NULL)) AS statutory_days
    FROM marts.dim_matter_version AS m
    JOIN calendar AS d ON d.day >= coalesce(m.valid_from, d.day) AND d.day < coalesce(m.valid_to, d.day + 1)
    WHERE m.matter_state_code = 'active' AND d.day BETWEEN getvariable('grid_first') AND getvariable('as_of_on') GROUP BY ALL
), found AS (
    SELECT day, department_code, 'M01' AS measure_code, online AS numerator, judged_online AS denominator FROM matter_day
    UNION ALL SELECT day, department_code, 'M05', on_the_spot, with_kind FROM matter_day
    UNION ALL SELECT day, department_code, 'M06', days_saved, statutory_days FROM matter_day
    UNION ALL SELECT day, department_code, 'M07', on_time, cases FROM clocked
    UNION ALL SELECT day, department_code, 'M11', told_once, corrected FROM received
    UNION ALL SELECT day, department_code, 'M15', online, channelled FROM received
    UNION ALL SELECT day, department_code, 'M17', reviewed, cases FROM completed
    UNION ALL SELECT day, department_code, 'M18', satisfied, reviews FROM rated
    UNION ALL SELECT day, department_code, 'M21', certified, certificate_due FROM completed
    UNION ALL SELECT day, department_code, 'M28', in_force, cases FROM received
)
SELECT d.day AS date, p.department_code, q.measure_code, CAST(coalesce(f.numerator, 0) AS DOUBLE) AS numerator,
    CAST(coalesce(f.denominator, 0) AS DOUBLE) AS denominator, CASE WHEN coalesce(f.denominator, 0) = 0 THEN 'no_denominator' END AS null_reason
FROM calendar AS d
CROSS JOIN (SELECT department_code FROM marts.dim_department) AS p
CROSS JOIN (SELECT unnest(['M01', 'M05', 'M06', 'M07', 'M11', 'M15', 'M17', 'M18', 'M21', 'M28']) AS measure_code) AS q
LEFT JOIN found AS f ON d.day = f.day AND p.department_code = f.department_code AND q.measure_code = f.measure_code
WHERE d.day BETWEEN getvariable('grid_first') AND getvariable('as_of_on');

CREATE TABLE marts.mart_department_month AS
SELECT CAST(date_trunc('month', date) AS DATE) AS month, current_code AS department_code, measure_code, sum(numerator) AS numerator,
    sum(denominator) AS denominator, CASE WHEN sum(denominator) = 0 THEN 'no_denominator' END AS null_reason
FROM marts.mart_department_day JOIN marts.dim_department USING (department_code) GROUP BY ALL;

-- What the statements say of streets holds for their villages too: codes begin alike.
CREATE TABLE marts.bridge_area_region AS
WITH stated AS (
    SELECT clean(area_code) AS area_code, clean(region_code) AS code, valid_from, valid_to, clean(statement) AS statement,
        coalesce(is_assumed, false) AS is_assumed
    FROM 'area_region/*.parquet'
), known AS (
    SELECT region_code FROM marts.dim_region UNION SELECT region_code FROM marts.fct_case WHERE region_code IS NOT NULL
)
SELECT area_code, region_code, valid_from, valid_to, code AS stated_region_code, statement, is_assumed
FROM known JOIN stated ON starts_with(region_code, code)
UNION ALL
SELECT area_code, area_code, min(valid_from), NULL, area_code, NULL, false FROM stated GROUP BY area_code;

CREATE TABLE marts.mart_area_day AS
SELECT received_on AS date, area_code, count(*) AS received, count(*) FILTER (is_completed) AS completed, count(*) FILTER (is_late) AS late
FROM marts.fct_case JOIN marts.bridge_area_region USING (region_code)
WHERE received_on >= valid_from AND received_on < coalesce(valid_to, received_on + 1) GROUP BY ALL;
