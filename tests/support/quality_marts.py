"""Marts without a fault, and one fault for each quality rule."""

from pathlib import Path

import duckdb

from tests.support.snapshots import write_marts

_MEND = """
SET TimeZone = 'UTC';
DELETE FROM marts.fct_case WHERE received_at + INTERVAL 3 DAY > as_of;
DELETE FROM marts.fct_case_event WHERE case_number NOT IN (SELECT case_number FROM marts.fct_case);
DELETE FROM marts.fct_certificate WHERE case_number NOT IN (SELECT case_number FROM marts.fct_case);
DELETE FROM marts.fct_review WHERE case_number NOT IN (SELECT case_number FROM marts.fct_case);
UPDATE marts.dim_matter SET promised_limit = 5, statutory_limit = 20;
UPDATE marts.fct_case SET is_end_before_start = false, is_matter_known = true, is_matter_in_force = true, applicant_id_is_valid = true,
    accepted_at = received_at, correction_count = least(correction_count, 1), matter_code = (SELECT min(matter_code) FROM marts.dim_matter),
    is_certificate_due = is_certificate_due AND case_number IN (SELECT case_number FROM marts.fct_certificate),
    applicant_id_digest = sha256(case_number);
UPDATE marts.fct_certificate AS t SET holder_id_digest = c.applicant_id_digest, holder_id_type_code = c.applicant_id_type_code,
    holder_name_masked = c.applicant_name_masked FROM marts.fct_case AS c WHERE c.case_number = t.case_number;
UPDATE marts.fct_review SET reviewer_name_masked = '张*', is_bad = false, satisfaction_code = '1',
    reviewed_at = least(reviewed_at, (SELECT max(as_of) FROM marts.fct_case));
UPDATE marts.fct_case_event SET occurred_at = least(occurred_at, (SELECT max(as_of) FROM marts.fct_case));
UPDATE marts.mart_sync_run SET rows_read = rows_read + 1000, inserted = inserted + 1000;
CREATE OR REPLACE TABLE marts.mart_department_day AS
WITH days AS (
    SELECT unnest(range((SELECT min(received_on) FROM marts.fct_case)::TIMESTAMP, TIMESTAMP '2026-07-01', INTERVAL 1 DAY))::DATE AS date
), counted AS (
    SELECT received_on AS date, department_code, count(*) AS cases FROM marts.fct_case GROUP BY ALL
), grid AS (
    SELECT date, department_code, measure_code FROM days, marts.dim_department, (SELECT unnest(['M15', 'M07', 'M06']) AS measure_code)
)
SELECT date, department_code, measure_code, 0.0::DOUBLE AS numerator,
    CASE measure_code WHEN 'M15' THEN coalesce(cases, 0) ELSE 0 END::DOUBLE AS denominator,
    CASE WHEN measure_code <> 'M15' OR cases IS NULL THEN 'no_denominator' END AS null_reason
FROM grid LEFT JOIN counted USING (date, department_code);
"""



def _case(change: str) -> str:
    return f"UPDATE marts.fct_case SET {change} WHERE case_number = (SELECT min(case_number) FROM marts.fct_case WHERE is_completed)"


def _event(change: str) -> str:
    return f"UPDATE marts.fct_case_event SET {change} WHERE sequence = 1 AND case_number = (SELECT min(case_number) FROM marts.fct_case_event)"


def _certificate(change: str) -> str:
    return f"UPDATE marts.fct_certificate SET {change} WHERE case_number = (SELECT min(case_number) FROM marts.fct_certificate)"


def _review(change: str) -> str:
    return f"UPDATE marts.fct_review SET {change} WHERE case_number = (SELECT min(case_number) FROM marts.fct_review)"


def _matter(change: str) -> str:
    return f"UPDATE marts.dim_matter SET {change} WHERE matter_code = (SELECT max(matter_code) FROM marts.dim_matter)"


def _twice(table: str) -> str:
    return f"INSERT INTO marts.{table} SELECT * FROM marts.{table} LIMIT 1"


_DAY = "date = DATE '2026-01-15' AND department_code = (SELECT min(department_code) FROM marts.dim_department)"
_BUSY = """
    INSERT INTO marts.fct_case BY NAME
    SELECT * EXCLUDE (i, department_code) REPLACE (case_number || '-' || i AS case_number, sha256(case_number || i) AS applicant_id_digest,
        DATE '2026-03-01' + (i // 40)::INTEGER AS received_on),
        CASE i % 2 WHEN 0 THEN (SELECT min(department_code) FROM marts.dim_department) ELSE (SELECT max(department_code) FROM marts.dim_department) END
            AS department_code
    FROM (SELECT c.*, i FROM (FROM marts.fct_case WHERE NOT is_completed LIMIT 1) AS c, range(1200) AS r(i));
    DELETE FROM marts.fct_case
    WHERE received_on = DATE '2026-03-20' AND department_code = (SELECT min(department_code) FROM marts.dim_department);
    UPDATE marts.mart_department_day AS d SET denominator = n, null_reason = NULL FROM (
        SELECT department_code, received_on, count(*) AS n FROM marts.fct_case GROUP BY ALL) AS c
    WHERE d.measure_code = 'M15' AND d.date = c.received_on AND d.department_code = c.department_code;
    UPDATE marts.mart_department_day SET denominator = 0, null_reason = 'no_denominator'
    WHERE date = DATE '2026-03-20' AND department_code = (SELECT min(department_code) FROM marts.dim_department)"""

FAULTS: dict[str, tuple[str, int | None]] = {
    "case_key_unique": (_twice("fct_case"), 2),
    "case_required": (_case("matter_code = NULL"), 1),
    "case_codes": (_case("channel_code = '8'"), 1),
    "case_completed_before_received": (_case("is_end_before_start = true"), 1),
    "case_accepted_out_of_order": (_case("accepted_at = completed_at + INTERVAL 1 HOUR"), 1),
    "case_in_future": (_case("completed_at = TIMESTAMPTZ '2029-01-01 00:00:00+00'"), 1),
    "case_outside_days": (_case("received_on = DATE '1970-01-01'"), 1),
    "case_matter_unknown": (_case("is_matter_known = false"), 1),
    "case_matter_not_in_force": (_case("is_matter_in_force = false"), 1),
    "case_department_unknown": (_case("department_code = 'X'"), 1),
    "case_region_unknown": (_case("region_code = '999999'"), 1),
    "case_applicant_id_invalid": (_case("applicant_id_is_valid = false"), 1),
    "case_without_outcome": (_case("outcome_code = NULL"), 1),
    "case_due_reason": (_case("due_at = NULL, due_null_reason = NULL"), 1),
    "case_second_correction": (_case("correction_count = 2, type_code = '01'"), 1),
    "case_pause_invalid": (_case("has_invalid_pause = true"), 1),
    "case_extension_invalid": (_case("has_invalid_extension = true"), 1),
    "case_certificate_missing": (
        "UPDATE marts.fct_case SET is_certificate_due = true WHERE case_number = (SELECT min(case_number) FROM marts.fct_case"
        " WHERE case_number NOT IN (SELECT case_number FROM marts.fct_certificate))", 1),
    "case_entered_twice": (
        "INSERT INTO marts.fct_case SELECT * REPLACE (case_number || 'B' AS case_number, received_at + INTERVAL 3 MINUTE AS received_at)"
        " FROM marts.fct_case LIMIT 1", 1),
    "event_case_unknown": ("INSERT INTO marts.fct_case_event SELECT * REPLACE ('nowhere' AS case_number) FROM marts.fct_case_event WHERE sequence = 1 LIMIT 1", 1),
    "event_sequence_gap": (_event("sequence = 40"), None),
    "event_codes": (_event("activity_code = 'step_99'"), 1),
    "event_times": (_event("ended_at = occurred_at - INTERVAL 2 HOUR"), 1),
    "event_after_case_end": (_event("is_after_case_end = true"), 1),
    "event_same_minute": (
        "UPDATE marts.fct_case_event SET occurred_at = TIMESTAMPTZ '2026-01-05 09:00:00+08' + to_seconds(sequence)"
        " WHERE case_number = (SELECT max(case_number) FROM marts.fct_case_event WHERE sequence = 6)", 6),
    "certificate_key_unique": (_twice("fct_certificate"), 2),
    "certificate_case_unknown": (_certificate("case_number = 'nowhere'"), 1),
    "certificate_dates": (_certificate("valid_to = valid_from - 1"), 1),
    "certificate_codes": (_certificate("certificate_state_code = '?'"), 1),
    "certificate_holder_name": (_certificate("holder_name_masked = '另**'"), 1),
    "review_key_unique": (_twice("fct_review"), 2),
    "review_case_unknown": (_review("case_number = NULL"), 1),
    "review_codes": (_review("satisfaction_code = '9'"), 1),
    "review_times": (_review("reviewed_at = reviewed_at - INTERVAL 2000 DAY"), 1),
    "review_default_handled": (_review("is_default = true, visited_at = reviewed_at"), 1),
    "review_direction": ("UPDATE marts.fct_review SET satisfaction_code = '5', is_bad = true", None),
    "matter_key_unique": (_twice("dim_matter"), 2),
    "matter_promise_over_statutory": (_matter("promised_limit = 21"), 1),
    "matter_codes": (_matter("level_code = '0'"), 1),
    "matter_department_unknown": (_matter("department_code = NULL"), 1),
    "matter_in_force_dates": (_matter("effective_to = effective_from"), 1),
    "matter_version_key_unique": (_twice("dim_matter_version"), 2),
    "matter_versions_of_one_day": ("UPDATE marts.dim_matter_version SET superseded_versions = '2023.9' WHERE matter_code = 'M0001'", 1),
    "department_succession": ("UPDATE marts.dim_department SET succession_state = 'cycle' WHERE sort_order < 2", 2),
    "region_succession": ("UPDATE marts.dim_region SET succession_state = 'successor_unknown' WHERE region_code = '430104'", 1),
    "area_region_unknown": ("UPDATE marts.bridge_area_region SET stated_region_code = '430112' WHERE region_code = '430104001'", 1),
    "sync_reconciles": ("UPDATE marts.mart_sync_run SET deleted = deleted + 1 WHERE subject = 'case'", 1),
    "quarantine_share": ("UPDATE marts.mart_sync_run SET quarantined = 100, inserted = rows_read - 100 WHERE subject = 'case'", 1),
    "department_key_unique": (_twice("dim_department"), 2),
    "department_without_days": ("INSERT INTO marts.dim_department (department_code) VALUES ('new')", 1),
    "day_key_unique": (_twice("mart_department_day"), 2),
    "day_missing": ("DELETE FROM marts.mart_department_day WHERE date = DATE '2026-01-15'", 72),
    "day_unexpected": ("INSERT INTO marts.mart_department_day SELECT * REPLACE ('ghost' AS department_code) FROM marts.mart_department_day LIMIT 1", 1),
    "day_out_of_range": (f"UPDATE marts.mart_department_day SET numerator = 2, denominator = 1, null_reason = NULL WHERE measure_code = 'M07' AND {_DAY}", 1),
    "day_reconciles": (f"UPDATE marts.mart_department_day SET denominator = denominator + 1, null_reason = NULL WHERE measure_code = 'M15' AND {_DAY}", 1),
    "department_day_empty": (_BUSY, 1),
    "case_masked": (_case("applicant_name_masked = '王小明', applicant_id_type_code = '111'"), 1),
    "event_masked": (_event("actor_masked = '王小明'"), 1),
    "certificate_masked": (_certificate("holder_id_masked = '430104199001011234'"), 1),
    "review_masked": (_review("reviewer_name_masked = '王小明'"), 1),
    "quarantine_masked": ("""UPDATE marts.quarantine SET raw = '{"tel": "13812345678"}' WHERE file_row = 1""", 1),
}  # fmt: skip
"""Rule → SQL that plants a fault of its kind, and the number of rows that then fail; None: one or more."""


def write_good_marts(path: Path) -> None:
    """Marts in which every rule passes."""
    write_marts(path, cases=400)
    with duckdb.connect(str(path)) as connection:
        connection.execute(_MEND)


def plant(path: Path, *rules: str) -> None:
    """Plant the faults of rules."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for rule in rules:
            connection.execute(FAULTS[rule][0])
