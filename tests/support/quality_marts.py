"""Marts without a fault, and a fault for each quality rule."""

from pathlib import Path

import duckdb

from quality.service import Rule
from tests.support.snapshots import write_marts

_MEND = """
SET TimeZone = 'UTC';
DELETE FROM marts.fct_case WHERE received_at + INTERVAL 3 DAY > as_of;
DELETE FROM marts.fct_case_event WHERE case_number NOT IN (SELECT case_number FROM marts.fct_case);
DELETE FROM marts.fct_certificate WHERE case_number NOT IN (SELECT case_number FROM marts.fct_case);
DELETE FROM marts.fct_review WHERE case_number NOT IN (SELECT case_number FROM marts.fct_case);
UPDATE marts.dim_matter SET promised_limit = 5, statutory_limit = 20, case_kind_code = '2', is_online = true, legal_basis = '《样例条例》第一条',
    body_nature_code = '1', acceptance_conditions = '材料齐全', "procedure" = '申请—受理—办结', result_name = '食品经营许可证', service_place = '政务大厅',
    service_hours = '工作日', consultation_phone = '0731-88880007', supervision_phone = '12345', is_fee_charged = false, version = '2024.1',
    materials = '[{"name":"申请表","original_copies":1,"photocopies":0},{"name":"平面图","original_copies":1,"photocopies":0}]', material_count = 2;
DELETE FROM marts.dim_matter_version;
INSERT INTO marts.dim_matter_version BY NAME SELECT *, effective_from AS valid_from, true AS is_current FROM marts.dim_matter;
UPDATE marts.fct_case AS t SET is_end_before_start = false, is_matter_known = true, is_matter_in_force = true, applicant_id_is_valid = true,
    contact_id_is_valid = true, accepted_at = received_at, recorded_accepted_at = received_at, applied_at = received_at, correction_count = least(correction_count, 1),
    matter_code = (SELECT min(m.matter_code) FROM marts.dim_matter AS m WHERE m.department_code = t.department_code), matter_version = '2024.1',
    case_kind_code = '2', is_department_stated = true, outcome_code = CASE WHEN is_completed THEN 'granted' END, is_tolerance = false, is_deemed_accepted = false,
    is_told_once_in_time = CASE WHEN correction_count > 0 THEN true END, reported_at = completed_at + INTERVAL 1 HOUR,
    is_certificate_due = is_completed AND case_number IN (SELECT case_number FROM marts.fct_certificate), applicant_id_digest = sha256(case_number);
UPDATE marts.fct_case SET names_certificate = is_certificate_due, current_department_code = department_code, window_code = CASE WHEN channel_code = '1' THEN 'W001' END;
UPDATE marts.fct_certificate AS t SET holder_id_digest = c.applicant_id_digest, holder_id_type_code = c.applicant_id_type_code,
    holder_name_masked = c.applicant_name_masked, holder_id_is_valid = true, is_named_as_applicant = true, certificate_type_code = c.department_code || '001',
    certificate_id = '1.2.156.3005.2.' || c.department_code || '001.' || c.department_code || '.' || c.case_number || '.001.0', certificate_id_is_valid = true,
    issuer_name = '样例局', file_hash = sha256(c.case_number) FROM marts.fct_case AS c WHERE c.case_number = t.case_number;
DELETE FROM marts.fct_review AS t USING marts.fct_case AS c WHERE c.case_number = t.case_number AND t.is_default AND c.completed_at + INTERVAL 20 DAY > c.as_of;
UPDATE marts.fct_review AS t SET is_bad = false, satisfaction_code = '1', has_comment = false, is_anonymous = is_default,
    reviewer_name_masked = CASE WHEN NOT is_default THEN '张*' END,
    reviewed_at = CASE WHEN is_default THEN c.completed_at + INTERVAL 20 DAY ELSE c.completed_at END FROM marts.fct_case AS c WHERE c.case_number = t.case_number;
UPDATE marts.fct_case_event AS t SET window_code = NULL, occurred_at = c.received_at + (coalesce(c.completed_at, c.received_at + INTERVAL 1 DAY) - c.received_at) / 5 * (t.sequence - 1)
    FROM marts.fct_case AS c WHERE c.case_number = t.case_number;
UPDATE marts.fct_case_event SET ended_at = occurred_at, occurred_on = occurred_at::DATE, is_last = false;
UPDATE marts.fct_case_event AS t SET previous_sequence = p.sequence, previous_activity_code = p.activity_code, previous_occurred_at = p.occurred_at, previous_ended_at = p.ended_at
    FROM marts.fct_case_event AS p WHERE p.case_number = t.case_number AND p.sequence = t.sequence - 1;
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



def _set(table: str, change: str, where: str = "true") -> str:
    """Changes one row: the first that meets a condition."""
    return f"UPDATE marts.{table} SET {change} WHERE rowid = (SELECT min(rowid) FROM marts.{table} AS t WHERE {where})"


def _case(change: str, where: str = "is_completed") -> str:
    return _set("fct_case", change, where)


def _event(change: str, where: str = "sequence = 1") -> str:
    return _set("fct_case_event", change, where)


def _follows(activity: str, previous: str) -> str:
    """A step after one that may not go before it."""
    return _event(f"activity_code = '{activity}', previous_activity_code = '{previous}'", "sequence = 3")


def _certificate(change: str, where: str = "true") -> str:
    return _set("fct_certificate", change, where)


def _review(change: str, where: str = "NOT is_default") -> str:
    return _set("fct_review", change, where)


def _matter(change: str) -> str:
    return f"UPDATE marts.dim_matter SET {change} WHERE matter_code = (SELECT max(matter_code) FROM marts.dim_matter)"


def _twice(table: str, where: str = "true") -> str:
    return f"INSERT INTO marts.{table} SELECT * FROM marts.{table} AS t WHERE {where} LIMIT 1"


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
    "matter_limit_unit_missing": (_matter('promised_limit_unit = NULL'), 1),
    "matter_materials_missing": (_set('dim_matter', 'material_count = 0, materials = NULL', "type_code = '01'"), 1),
    "matter_promise_over_statutory": (_matter('promised_limit = 21'), 1),
    "matter_promise_over_statutory_in_days": (_matter("promised_limit = 20, promised_limit_unit = 'wd', statutory_limit_unit = 'cd'"), 1),
    "matter_limit_negative": (_matter('promised_limit = -1'), 1),
    "matter_promise_zero": (_matter('promised_limit = 0'), 1),
    "matter_code_without_basic": (_matter("matter_code = '1143010400000000094370000000001', basic_code = '370000000002'"), 1),
    "matter_code_of_other_body": (_matter("matter_code = '9943010400000000094370000000001'"), 1),
    "matter_on_spot_with_limit": (_matter("case_kind_code = '1'"), 1),
    "matter_limit_absurd": (_matter('statutory_limit = 2000'), 1),
    "matter_licence_over_law": (_set('dim_matter', 'statutory_limit = 31', "type_code = '01'"), 1),
    "matter_trips_absurd": (_matter('trips = 99'), 1),
    "matter_online_without_form": (_matter("handling_form_codes = '1'"), 1),
    "matter_offline_with_form": (_matter('is_online = false'), 1),
    "matter_materials_form": (_matter("materials = '申请表'"), 1),
    "matter_material_name": (_matter("materials = '[{\"name\":\" \"},{\"name\":\"图\"}]'"), 1),
    "matter_material_twice": (_matter("materials = '[{\"name\":\"图\"},{\"name\":\"图\"}]'"), 1),
    "matter_material_copies": (_matter("materials = '[{\"name\":\"图\",\"original_copies\":100},{\"name\":\"表\"}]'"), 1),
    "matter_department_unknown": (_matter('department_code = NULL'), 1),
    "matter_in_force_dates": (_matter('effective_to = effective_from'), 1),
    "matter_active_after_end": (_set('dim_matter', "effective_to = DATE '2026-01-01'", "matter_state_code = 'active'"), 1),
    "case_due_reason": (_case('due_at = NULL, due_null_reason = NULL'), 1),
    "case_phone_missing": (_case("contact_phone_flaw = 'missing'"), 1),
    "case_department_missing": (_case('is_department_stated = false'), 1),
    "case_outcome_while_open": (_case("outcome_code = 'granted'", 'NOT is_completed'), 1),
    "case_applicant_id_invalid": (_case('applicant_id_is_valid = false'), 1),
    "case_applicant_id_of_other_type": (_case("applicant_id_type_code = '414', applicant_id_masked = '430*************58'"), 1),
    "case_contact_id_invalid": (_case('contact_id_is_valid = false'), 1),
    "case_name_garbled": (_case("applicant_name_flaw = 'garbled'"), 1),
    "case_name_placeholder": (_case("applicant_name_flaw = 'placeholder'"), 1),
    "case_name_spaces": (_case("applicant_name_flaw = 'spaces'"), 1),
    "case_name_characters": (_case("applicant_name_flaw = 'characters'"), 1),
    "case_name_short": (_case("applicant_name_flaw = 'short'"), 1),
    "case_phone_characters": (_case("contact_phone_flaw = 'characters'"), 1),
    "case_phone_length": (_case("contact_phone_flaw = 'length'"), 1),
    "case_phone_form": (_case("contact_phone_flaw = 'form'"), 1),
    "case_completed_before_received": (_case('is_end_before_start = true'), 1),
    "case_accepted_before_received": (_case('recorded_accepted_at = received_at - INTERVAL 1 HOUR'), 1),
    "case_accepted_after_completed": (_case('recorded_accepted_at = completed_at + INTERVAL 1 HOUR'), 1),
    "case_applied_after_received": (_case('applied_at = received_at + INTERVAL 1 HOUR'), 1),
    "case_received_in_future": (_case('received_at = as_of + INTERVAL 1 DAY'), 1),
    "case_completed_in_future": (_case('completed_at = as_of + INTERVAL 1 DAY'), 1),
    "case_too_old": (_case("received_on = DATE '1970-01-01'"), 1),
    "case_outside_days": (_case("received_on = DATE '2010-01-01'"), 1),
    "case_window_at_night": (_case("received_at = date_trunc('day', received_at) + INTERVAL 20 HOUR", "channel_code = '1'"), 1),
    "case_reported_late": (_case('reported_at = completed_at + INTERVAL 11 DAY'), 1),
    "case_not_reported": (_case('reported_at = NULL', 'completed_at < as_of - INTERVAL 11 DAY'), 1),
    "case_reported_before_received": (_case('reported_at = received_at - INTERVAL 1 HOUR'), 1),
    "case_matter_unknown": (_case('is_matter_known = false'), 1),
    "case_matter_not_in_force": (_case('is_matter_in_force = false'), 1),
    "case_department_unknown": (_case("department_code = 'X'"), 1),
    "case_department_not_of_matter": (_case("current_department_code = 'X', department_code = 'X'"), 1),
    "case_region_unknown": (_case("region_code = '999999'"), 1),
    "case_window_unknown": (_case("window_code = 'W999'"), 1),
    "case_kind_not_of_matter": (_case("case_kind_code = '1'"), 1),
    "case_online_for_offline_matter": ("UPDATE marts.dim_matter_version SET is_online = false; " + _case("channel_code = '2'", "channel_code = '2'"), None),
    "case_second_correction": (_case("correction_count = 2, type_code = '01'"), 1),
    "case_correction_late": (_case('is_told_once_in_time = false'), 1),
    "case_pause_invalid": (_case('has_invalid_pause = true'), 1),
    "case_extension_invalid": (_case('has_invalid_extension = true'), 1),
    "case_deemed_accepted": (_case('is_deemed_accepted = true'), 1),
    "case_entered_twice": (
        "INSERT INTO marts.fct_case SELECT * REPLACE (case_number || 'B' AS case_number, received_at + INTERVAL 3 MINUTE AS received_at)"
        " FROM marts.fct_case LIMIT 1", 1),
    "event_ended_before_start": (_event('ended_at = occurred_at - INTERVAL 2 HOUR'), 1),
    "event_in_future": (_event("occurred_at = TIMESTAMPTZ '2029-01-01 00:00:00+00'"), 1),
    "event_too_old": (_event("occurred_on = DATE '1970-01-01'"), 1),
    "event_out_of_order": (_event('occurred_at = previous_occurred_at - INTERVAL 1 HOUR', 'sequence = 3'), 1),
    "event_before_previous_end": (_event("previous_ended_at = occurred_at + INTERVAL 1 HOUR", "sequence = 3"), 1),
    "event_after_case_end": (_event('is_after_case_end = true'), 1),
    "event_open_and_ended": (_event("step_state_code = '1'"), 1),
    "event_same_minute": ("UPDATE marts.fct_case_event SET occurred_at = TIMESTAMPTZ '2026-01-05 09:00:00+08' + to_seconds(sequence)"
        " WHERE case_number = (SELECT max(case_number) FROM marts.fct_case_event WHERE sequence = 6)", 6),
    "event_sequence_repeated": (_event('previous_sequence = sequence', 'sequence = 3'), 1),
    "event_sequence_gap": (_event('sequence = 40', 'sequence = 3'), 1),
    "event_first_illegal": (_event("activity_code = 'approved'"), 1),
    "event_received_again": (_follows('received', 'handled'), 1),
    "event_accepted_illegal": (_follows('accepted', 'completed'), 1),
    "event_correction_after_acceptance": (_follows('correction_asked', 'accepted'), 1),
    "event_correction_unasked": (_follows('correction_submitted', 'received'), 1),
    "event_refused_illegal": (_follows('refused', 'accepted'), 1),
    "event_handled_before_acceptance": (_follows('reviewed', 'correction_asked'), 1),
    "event_suspended_illegal": (_follows('suspended', 'completed'), 1),
    "event_resumed_illegal": (_follows('resumed', 'accepted'), 1),
    "event_decided_again": (_follows('withdrawn', 'completed'), 1),
    "event_completed_illegal": (_follows('completed', 'suspended'), 1),
    "event_issued_illegal": (_follows('issued', 'received'), 1),
    "event_pause_code": (_event("activity_code = 'suspended', special_code = '1'"), 1),
    "event_pause_ended_before_start": (_event("special_started_at = occurred_at, special_ended_at = occurred_at - INTERVAL 1 DAY"), 1),
    "event_pause_overlaps": ("UPDATE marts.fct_case_event SET activity_code = 'suspended', special_started_at = occurred_at, special_ended_at = occurred_at + INTERVAL 900 DAY"
        " WHERE sequence IN (3, 4) AND case_number = (SELECT min(case_number) FROM marts.fct_case_event WHERE sequence = 4)", 1),
    "event_extension_days": (_event("activity_code = 'extended', extension_days = 16"), 1),
    "event_department_unknown": (_event("department_code = 'X'"), 1),
    "event_window_unknown": (_event("window_code = 'W999'"), 1),
    "certificate_id_check": (_certificate('certificate_id_is_valid = false'), 1),
    "certificate_id_of_other_type": (_certificate("certificate_type_code = 'X'"), 1),
    "certificate_id_of_other_issuer": (_certificate("issuer_code = 'X'"), 1),
    "certificate_holder_id_invalid": (_certificate('holder_id_is_valid = false'), 1),
    "certificate_validity_reversed": (_certificate('valid_to = valid_from - 1'), 1),
    "certificate_ended_before_issue": (_certificate('valid_to = issued_on - 1'), 1),
    "certificate_issued_in_future": (_certificate("issued_on = DATE '2029-01-01'"), 1),
    "certificate_too_old": (_certificate("issued_on = DATE '1900-01-01'"), 1),
    "certificate_valid_to_missing": (_certificate("valid_to = NULL"), 1),
    "certificate_validity_absurd": (_certificate("valid_to = DATE '9999-12-31'"), 1),
    "certificate_expired_in_force": (_certificate("valid_to = DATE '2026-01-01'"), 1),
    "certificate_expired_too_soon": (_certificate("certificate_state_code = 'expired'"), 1),
    "review_direction": ("UPDATE marts.fct_review SET satisfaction_code = '5', is_bad = true", None),
    "review_direction_of_department": ("UPDATE marts.fct_review SET satisfaction_code = '5', is_bad = true WHERE department_code = ("
        "SELECT min(department_code) FROM marts.fct_review WHERE NOT is_default GROUP BY department_code HAVING count(*) >= 8 LIMIT 1)", None),
    "review_round_range": (_review('review_round = 0'), 1),
    "review_in_future": (_review("reviewed_at = TIMESTAMPTZ '2029-01-01 00:00:00+00'"), 1),
    "review_default_bad": (_review('is_bad = true', 'is_default'), 1),
    "review_default_handled": (_review('visited_at = reviewed_at', 'is_default'), 1),
    "review_default_spoken": (_review('has_comment = true', 'is_default'), 1),
    "review_anonymous_named": (_review("reviewer_name_masked = '张*', is_anonymous = true"), 1),
    "review_bad_overdue": (_review("is_bad = true, rectify_due_on = DATE '2026-01-01'"), 1),
    "review_bad_late": (_review("is_bad = true, rectify_due_on = DATE '2026-01-01', rectified_at = TIMESTAMPTZ '2026-02-01 00:00:00+00'"), 1),
    "review_bad_not_visited": (_review('is_bad = true', "NOT is_default AND reviewed_at < TIMESTAMPTZ '2026-06-01 00:00:00+00'"), 1),
    "review_rectified_before": (_review('rectified_at = reviewed_at - INTERVAL 1 DAY'), 1),
    "review_visited_before": (_review('visited_at = reviewed_at - INTERVAL 1 DAY'), 1),
    "review_good_rectified": (_review('rectified_at = reviewed_at'), 1),
    "case_without_steps": ('DELETE FROM marts.fct_case_event WHERE case_number = (SELECT min(case_number) FROM marts.fct_case)', 1),
    "event_case_unknown": ("INSERT INTO marts.fct_case_event SELECT * REPLACE ('nowhere' AS case_number) FROM marts.fct_case_event WHERE sequence = 1 LIMIT 1", 1),
    "case_without_received_step": (_event("activity_code = 'queued'"), 1),
    "case_without_completed_step": (_event("activity_code = 'issued'", "activity_code = 'completed'"), 1),
    "case_open_with_completed_step": (_event("activity_code = 'completed'", 'sequence = 5 AND NOT (SELECT is_completed FROM marts.fct_case AS c WHERE c.case_number = t.case_number)'), 1),
    "case_received_not_at_step": (_case('received_at = received_at + INTERVAL 2 HOUR'), 1),
    "case_completed_not_at_step": (_case('completed_at = completed_at + INTERVAL 2 HOUR'), 1),
    "case_refused_without_step": (_case("outcome_code = 'refused'"), 1),
    "case_withdrawn_without_step": (_case("outcome_code = 'withdrawn'"), 1),
    "case_terminated_without_step": (_case("outcome_code = 'terminated'"), 1),
    "case_granted_after_refusal": (_event("activity_code = 'refused'", "activity_code = 'handled' AND (SELECT is_completed FROM marts.fct_case AS c WHERE c.case_number = t.case_number)"), 1),
    "case_granted_without_acceptance": (_event("activity_code = 'handled'", "activity_code = 'accepted' AND (SELECT is_completed FROM marts.fct_case AS c WHERE c.case_number = t.case_number)"), 1),
    "case_tolerance_not_supplied": (_case("is_tolerance = true", "outcome_code = 'granted' AND NOT is_tolerance"), 1),
    "case_granted_materials_missing": (_event("activity_code = 'correction_asked'", "activity_code = 'handled' AND (SELECT is_completed FROM marts.fct_case AS c WHERE c.case_number = t.case_number)"), 1),
    "case_online_with_window_steps": (_event("activity_code = 'queued'", "sequence = 1 AND (SELECT channel_code FROM marts.fct_case AS c WHERE c.case_number = t.case_number) = '2'"), 1),
    "case_window_with_online_steps": (_event("activity_code = 'pre_review_returned'", "sequence = 2 AND (SELECT channel_code FROM marts.fct_case AS c WHERE c.case_number = t.case_number) = '1'"), 1),
    "event_waiting_after_completion": (_event("step_state_code = '1'", "activity_code = 'approved' AND (SELECT is_completed FROM marts.fct_case AS c WHERE c.case_number = t.case_number)"), 1),
    "event_waiting_long": (_event("step_state_code = '1', occurred_at = TIMESTAMPTZ '2025-01-01 00:00:00+00'"), 1),
    "certificate_case_unknown": (_certificate("case_number = 'nowhere'"), 1),
    "certificate_case_open": (_case('completed_at = NULL', 'is_certificate_due'), 1),
    "certificate_case_not_granted": (_case("outcome_code = 'denied'", 'is_certificate_due'), 1),
    "certificate_before_case": (_certificate('issued_on = issued_on - 900'), 1),
    "certificate_before_decision": (_case('completed_on = completed_on + 1', 'is_certificate_due'), 1),
    "certificate_holder_name": (_certificate('is_named_as_applicant = false'), 1),
    "certificate_holder_other": (_certificate("holder_id_digest = 'x'"), 1),
    "certificate_of_matter_without": (_case('is_certificate_due = false', 'is_certificate_due'), 1),
    "certificate_issuer_not_of_case": (_certificate("issuer_code = 'X'"), 1),
    "case_certificate_missing": (_case('is_certificate_due = true', "is_completed AND NOT is_certificate_due"), 1),
    "case_certificate_named_missing": (_case('names_certificate = true', 'is_completed AND NOT is_certificate_due'), 1),
    "case_certificate_unnamed": (_case('names_certificate = false', 'is_certificate_due'), 1),
    "case_certificate_unexpected": (_case("outcome_code = 'denied'", 'is_certificate_due'), 1),
    "review_case_unknown": (_review("case_number = 'nowhere'"), 1),
    "review_before_case": (_review('reviewed_at = reviewed_at - INTERVAL 2000 DAY'), 1),
    "review_before_completion": (_review('reviewed_at = reviewed_at - INTERVAL 1 HOUR'), 1),
    "review_twice": ("INSERT INTO marts.fct_review SELECT * REPLACE (review_id || 'B' AS review_id) FROM marts.fct_review LIMIT 1", 2),
    "review_follows_unknown": (_review("follows_review_id = 'nowhere'"), 1),
    "review_department_not_of_case": (_review("department_code = 'X'"), 1),
    "review_default_too_soon": (_review('reviewed_at = reviewed_at - INTERVAL 18 DAY', 'is_default'), 1),
    "review_default_as_active": (_review("is_default = false, satisfaction_code = '1', reviewed_at = reviewed_at", 'is_default'), 1),
    "case_region_form": (_case("region_code = '4301'"), 1),
    "event_pause_reason_missing": (_event("activity_code = 'suspended'"), 1),
    "event_pause_notice_unknown": (_event("activity_code = 'suspended'"), 1),
    "matter_fee_basis_missing": (_matter("is_fee_charged = true"), 1),
    "review_bad_without_limit": (_review("is_bad = true"), 1),
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
    "matter_versions_of_one_day": ("UPDATE marts.dim_matter_version SET superseded_versions = '2023.9' WHERE matter_code = (SELECT min(matter_code) FROM marts.dim_matter)", 1),
    "department_succession": ("UPDATE marts.dim_department SET succession_state = 'cycle' WHERE sort_order < 2", 2),
    "region_succession": ("UPDATE marts.dim_region SET succession_state = 'successor_unknown' WHERE region_code = '430104'", 1),
    "area_region_unknown": ("UPDATE marts.bridge_area_region SET stated_region_code = '430112' WHERE region_code = '430104001'", 1),
    "matter_name_twice": (_twice('dim_matter'), 2),
}  # fmt: skip
"""Rule that says its ``failing`` in SQL → SQL that plants a fault of its kind, and the number of rows that then fail; None: one or more."""


def fault_of(rule: Rule) -> tuple[str, int | None]:
    """A fault that a rule finds; the declared ways of failing say themselves what breaks them."""
    if rule.id in FAULTS:
        return FAULTS[rule.id]
    if rule.unique:
        return _twice(rule.table, rule.checked), 2
    column = rule.columns[0]
    wrong = "NULL" if rule.required else "'？'" if rule.codes or rule.format else "repeat('9', 500)"
    return _set(rule.table, f"{column} = {wrong}", f"({rule.checked}) AND {column} IS NOT NULL" if rule.required else rule.checked), 1


def write_good_marts(path: Path) -> None:
    """Marts in which every rule passes."""
    write_marts(path, cases=400)
    with duckdb.connect(str(path)) as connection:
        connection.execute(_MEND)


def plant(path: Path, *rules: Rule) -> None:
    """Plant the faults of rules."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for rule in rules:
            connection.execute(fault_of(rule)[0])
