"""How the sample city's records become rows of the operational store: one statement a table, run by DuckDB over its files.

The city's steps become events of the process ``licence`` by their activity. Cases that are over need no more than their history; those
that are open stand where their last step left them, so that the engine can go on with them. Instants leave as text in UTC.
"""

from pathlib import Path

from models.core.matters.service import IN_COLUMNS
from models.domain.contracts import SUBJECTS, columns

ACTIVITIES = {
    # activity: action, step, phase before, phase after, role
    "queued": ("queue", None, "draft", "draft", "applicant"),
    "received": ("submit", "application", "draft", "received", "applicant"),
    "pre_reviewed": ("pass", "pre_review", "received", "received", "clerk"),
    "pre_review_returned": ("return", "pre_review", "received", "returned", "clerk"),
    "correction_asked": ("ask_correction", "acceptance", "received", "correcting", "clerk"),
    "correction_submitted": ("correct", "correction", "correcting", "received", "applicant"),
    "accepted": ("accept", "acceptance", "received", "in_approval", "clerk"),
    "refused": ("refuse", "acceptance", "received", "completed", "clerk"),
    "handled": ("handle", "handling", "in_approval", "in_approval", "handler"),
    "reviewed": ("review", "review", "in_approval", "in_approval", "reviewer"),
    "approved": ("approve", "decision", "in_approval", "in_approval", "approver"),
    "suspended": ("suspend", None, "in_approval", "in_approval", "handler"),
    "resumed": ("resume", None, "in_approval", "in_approval", "handler"),
    "extended": ("extend", None, "in_approval", "in_approval", "head"),
    "completed": ("grant", "decision", "in_approval", "completed", "approver"),
    "withdrawn": ("withdraw", None, "received", "closed", "applicant"),
    "terminated": ("terminate", None, "in_approval", "closed", "approver"),
    "issued": ("issue", "issue", "completed", "completed", "issuer"),
    "delivered": ("deliver", "delivery", "completed", "closed", "issuer"),
}
OPEN = {
    # last step of an open case: phase, the step that somebody has to do, its role
    "queued": ("draft", "application", "applicant"),
    "received": ("received", "pre_review", "clerk"),
    "pre_reviewed": ("received", "acceptance", "clerk"),
    "pre_review_returned": ("returned", "application", "applicant"),
    "correction_asked": ("correcting", "correction", "applicant"),
    "correction_submitted": ("received", "acceptance", "clerk"),
    "accepted": ("in_approval", "handling", "handler"),
    "handled": ("in_approval", "review", "reviewer"),
    "reviewed": ("in_approval", "decision", "approver"),
    "approved": ("in_approval", "decision", "approver"),
}
PROCESS = "licence"
AUTHORITY = "sample"


def views(folder: Path) -> list[str]:
    """Statements that make the city's records and their identifiers visible, the newest version of each."""
    read = {
        name: f"read_parquet('{folder / name}/*.parquet')"
        for name in ("department", "window", "matter", "case", "case_event", "review")
    }
    newest = "QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY updated_at DESC) = 1"
    activities = ", ".join(f"({_row(name, *values)})" for name, values in ACTIVITIES.items())
    open_ = ", ".join(f"({_row(name, *values)})" for name, values in OPEN.items())
    return [
        "CREATE OR REPLACE MACRO v7(moment, name) AS lower(lpad(to_hex(epoch_ms(moment)), 12, '0')) || '7' || substr(md5(name), 1, 3) || '8' || substr(md5(name), 4, 15)",
        "CREATE OR REPLACE MACRO instant(moment) AS strftime(moment AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')",
        f"CREATE TABLE activity AS SELECT * FROM (VALUES {activities}) t(activity, action, step, phase_before, phase_after, role)",
        f"CREATE TABLE standing AS SELECT * FROM (VALUES {open_}) t(activity, phase, step, role)",
        f"CREATE TABLE department AS SELECT * FROM {read['department']} {newest.format(key='department_code')}",
        f"CREATE TABLE place AS SELECT * FROM {read['window']} {newest.format(key='window_code')}",
        f"""CREATE TABLE matter AS
            SELECT *, row_number() OVER (PARTITION BY matter_code ORDER BY coalesce(effective_from, DATE '2000-01-01'), version) AS number
            FROM {read['matter']} {newest.format(key='matter_code, version')}""",
        f"""CREATE TABLE kase AS
            SELECT *, v7(coalesce(received_at, applied_at), 'case ' || case_number) AS id,
                CASE WHEN applicant_id IS NULL OR length(applicant_id) < 4 THEN NULL ELSE md5(coalesce(applicant_id_type_code, '') || applicant_id) END AS who
            FROM {read['case']} WHERE coalesce(received_at, applied_at) IS NOT NULL {newest.format(key='case_number')}""",
        f"""CREATE TABLE step AS
            SELECT e.*, k.id AS case_id FROM (SELECT * FROM {read['case_event']} {newest.format(key='case_number, sequence')}) e JOIN kase k USING (case_number)
            JOIN activity a ON a.activity = e.activity_code""",
        f"CREATE TABLE opinion AS SELECT r.*, k.id AS case_id FROM (SELECT * FROM {read['review']} {newest.format(key='review_id')}) r JOIN kase k USING (case_number)",
        """CREATE TABLE last AS
            SELECT case_id, max_by(activity_code, sequence) AS activity FROM step WHERE activity_code IN (SELECT activity FROM standing) GROUP BY 1""",
    ]  # fmt: skip


_BEGAN = "'2020-01-01T00:00:00.000000Z'"
ROOT = "GOV"
"""The government above all departments: somebody must stand above a bureau that appeals."""
UNITS = f"""
    SELECT * FROM (
        SELECT '{ROOT}' AS code, '样例新区管理委员会' AS name, 'government' AS kind, NULL AS parent_code, '/{ROOT}/' AS path, NULL AS region_code, 1 AS version,
            {_BEGAN} AS created_at, {_BEGAN} AS updated_at
        UNION ALL
        SELECT department_code, any_value(coalesce(department_name, department_code)), CASE any_value(department_kind_code) WHEN 'street' THEN 'street' ELSE 'bureau' END, '{ROOT}',
            '/{ROOT}/' || department_code || '/', any_value(region_code), 1, coalesce(instant(any_value(updated_at)), {_BEGAN}), coalesce(instant(any_value(updated_at)), {_BEGAN})
        FROM department GROUP BY department_code
        UNION ALL
        SELECT 'NONE', '未注明部门', 'office', '{ROOT}', '/{ROOT}/NONE/', NULL, 1, {_BEGAN}, {_BEGAN})
    ORDER BY parent_code NULLS FIRST, code"""
WINDOWS = f"""
    SELECT p.window_code AS code, coalesce(p.window_name, p.window_code) AS name, coalesce(d.department_code, 'NONE') AS unit_code, p.hall_name AS place,
        '["09:00-10:00", "10:00-11:00", "11:00-12:00", "14:00-15:00", "15:00-16:00", "16:00-17:00"]' AS opens, 4 AS capacity, '[]' AS matters, 1 AS version,
        {_BEGAN} AS created_at, {_BEGAN} AS updated_at
    FROM place p LEFT JOIN department d USING (department_code) ORDER BY 1"""
JURISDICTIONS = f"""
    SELECT v7(TIMESTAMPTZ '2020-01-01', 'jurisdiction ' || department_code) AS id, department_code AS unit_code, any_value(region_code) AS region_code, '*' AS matter_code,
        '2020-01-01' AS valid_from, NULL AS valid_to, 1 AS version, {_BEGAN} AS created_at
    FROM department WHERE department_kind_code = 'street' AND region_code IS NOT NULL GROUP BY department_code ORDER BY 1"""
MATTER_BODY = tuple(sorted(set(columns(SUBJECTS["matter"])) - IN_COLUMNS - {"department_name"}))
"""What a matter's version holds beside its own columns."""
MATTERS = f"""
    SELECT matter_code AS code, number, coalesce(matter_name, matter_code) AS name, coalesce(department_code, 'NONE') AS unit_code, region_code,
        '{PROCESS}' AS process, {{limits}} AS limits, '[]' AS channels, '{{{{}}}}' AS units, false AS is_commitment,
        json_object({", ".join(f"'{name}', {name}" for name in MATTER_BODY)})::VARCHAR AS body,
        coalesce(effective_from, DATE '2000-01-01')::VARCHAR AS effective_from,
        coalesce(effective_to, lead(coalesce(effective_from, DATE '2000-01-01')) OVER (PARTITION BY matter_code ORDER BY number))::VARCHAR AS effective_to,
        instant(coalesce(updated_at, TIMESTAMPTZ '2020-01-01')) AS published_at, instant(coalesce(updated_at, TIMESTAMPTZ '2020-01-01')) AS updated_at
    FROM matter ORDER BY 1, 2""".replace("{{{{}}}}", "{{}}")
LIMITS = """json_object('type_code', {m}.type_code, 'promised_limit', {m}.promised_limit, 'promised_limit_unit', {m}.promised_limit_unit,
    'statutory_limit', {m}.statutory_limit, 'statutory_limit_unit', {m}.statutory_limit_unit, 'clock_start_code', {m}.clock_start_code,
    'is_joint', {m}.is_joint, 'extension_cap', {m}.extension_cap, 'is_publication_excluded', {m}.is_publication_excluded{more})::VARCHAR"""
PARTIES = """
    SELECT v7(TIMESTAMPTZ '2020-01-01', 'party ' || who) AS id, any_value(coalesce(applicant_id_type_code, '111')) AS id_type_code,
        any_value(applicant_id) AS number, any_value(coalesce(applicant_name, '某')) AS name, any_value(contact_phone) AS phone
    FROM kase WHERE who IS NOT NULL GROUP BY who ORDER BY 1"""
CASES = f"""
    WITH own AS (
        SELECT k.*, m.number AS matter_number, {LIMITS.format(m='m', more=", 'expires_on', NULL, 'units', json_object()")} AS terms, s.phase AS open_phase, s.step,
            bool_or(e.activity_code = 'correction_asked') AS is_corrected, bool_or(e.activity_code = 'extended') AS is_extended,
            count(*) FILTER (WHERE e.activity_code = 'suspended') > count(*) FILTER (WHERE e.activity_code = 'resumed') AS is_suspended
        FROM kase k LEFT JOIN last l ON l.case_id = k.id LEFT JOIN standing s ON s.activity = l.activity
        LEFT JOIN step e ON e.case_id = k.id
        ASOF LEFT JOIN matter m ON m.matter_code = k.matter_code AND coalesce(k.received_at, k.applied_at)::DATE >= coalesce(m.effective_from, DATE '2000-01-01')
        GROUP BY ALL
    )
    SELECT id, case_number, 'public' AS kind, '{PROCESS}' AS process, (SELECT number FROM published WHERE process = '{PROCESS}') AS process_number, matter_code, matter_number::VARCHAR AS matter_version, matter_name,
        coalesce(terms, '{{"expires_on": null, "units": {{}}}}') AS limits, CASE WHEN who IS NOT NULL THEN v7(TIMESTAMPTZ '2020-01-01', 'party ' || who) END AS applicant_id,
        NULL AS agent_id, coalesce(department_code, 'NONE') AS unit_code, region_code, window_code, channel_code,
        CASE WHEN completed_at IS NOT NULL OR outcome_code IS NOT NULL THEN 'closed' ELSE coalesce(open_phase, 'received') END AS phase,
        CASE WHEN completed_at IS NOT NULL OR outcome_code IS NOT NULL THEN '[]' ELSE json_array(coalesce(step, 'pre_review'))::VARCHAR END AS open_steps,
        '[]' AS waiting, coalesce(is_corrected, false) AS is_corrected, instant(received_at) AS received_at, instant(accepted_at) AS accepted_at,
        false AS is_deemed_accepted, instant(completed_at) AS completed_at, outcome_code,
        coalesce(is_suspended AND completed_at IS NULL, false) AS is_suspended, coalesce(is_extended, false) AS is_extended, coalesce(is_commitment, false) AS is_commitment,
        '[]' AS missing, NULL AS due_on, NULL AS next_timer_at, 1 AS version, instant(coalesce(received_at, applied_at)) AS created_at,
        instant(coalesce(updated_at, received_at)) AS updated_at, NULL AS deleted_at, NULL AS deleted_reason, NULL AS form
    FROM own ORDER BY id"""
EVENTS = f"""
    SELECT e.case_id, e.sequence, e.activity_code AS activity, a.action, a.step, instant(e.occurred_at) AS occurred_at, a.phase_before, a.phase_after, a.role,
        '{AUTHORITY}' AS actor, '{AUTHORITY}' AS authority, coalesce(e.department_code, 'NONE') AS unit_code, NULL AS reason, e.special_kind_code AS special_kind,
        e.special_code, e.has_written_notice, e.extension_days, '[]' AS missing, '[]' AS documents, instant(coalesce(e.updated_at, e.occurred_at)) AS recorded_at
    FROM step e JOIN activity a ON a.activity = e.activity_code ORDER BY e.case_id, e.sequence"""
TASKS = """
    SELECT v7(coalesce(k.received_at, k.applied_at), 'task ' || k.case_number) AS id, k.id AS case_id, coalesce(s.step, 'pre_review') AS step,
        coalesce(s.role, 'clerk') AS role, coalesce(k.department_code, 'NONE') AS unit_code, NULL AS assignee, instant(coalesce(k.updated_at, k.received_at)) AS opened_at,
        NULL AS due_on, NULL AS closed_at, NULL AS closed_by
    FROM kase k LEFT JOIN last l ON l.case_id = k.id LEFT JOIN standing s ON s.activity = l.activity
    WHERE k.completed_at IS NULL AND k.outcome_code IS NULL ORDER BY 1"""
FEEDBACK = """
    WITH service AS (SELECT case_id, max(sequence) AS sequence FROM step WHERE activity_code IN ('completed', 'refused') GROUP BY 1),
    numbered AS (
        SELECT o.*, coalesce(s.sequence, 1) AS sequence, v7(o.reviewed_at, 'review ' || o.review_id) AS id,
            row_number() OVER (PARTITION BY o.case_id, coalesce(o.is_default, false) ORDER BY o.reviewed_at, o.review_id) AS nth
        FROM opinion o LEFT JOIN service s USING (case_id) WHERE o.reviewed_at IS NOT NULL AND o.satisfaction_code IS NOT NULL
    )
    SELECT n.id, 'review' AS kind, n.case_id, n.case_number, n.sequence, coalesce(n.department_code, 'NONE') AS unit_code, n.region_code,
        CASE WHEN coalesce(n.is_anonymous, false) OR k.who IS NULL THEN NULL ELSE v7(TIMESTAMPTZ '2020-01-01', 'party ' || k.who) END AS party_id,
        n.satisfaction_code::INTEGER AS level, coalesce(n.is_default, false) AS is_default, n.review_channel_code AS channel_code, '[]' AS tags, NULL AS text,
        CASE WHEN n.nth > 1 THEN first_value(n.id) OVER (PARTITION BY n.case_id, coalesce(n.is_default, false) ORDER BY n.nth) END AS follows_id,
        CASE WHEN n.rectify_due_on IS NOT NULL OR n.rectified_at IS NOT NULL THEN v7(n.reviewed_at, 'follow-up ' || n.review_id) END AS follow_up_id, NULL AS appeal_id,
        NULL AS excluded_at, NULL AS excluded_reason, NULL AS excluded_by, instant(n.reviewed_at) AS given_at, instant(coalesce(n.updated_at, n.reviewed_at)) AS updated_at
    FROM numbered n JOIN kase k ON k.id = n.case_id ORDER BY n.nth, 1"""
FOLLOW_UPS = """
    SELECT v7(reviewed_at, 'follow-up ' || review_id) AS id, 'ZG-' || review_id AS case_number, 'internal' AS kind, 'review_followup' AS process, (SELECT number FROM published WHERE process = 'review_followup') AS process_number,
        NULL AS matter_code, NULL AS matter_version, NULL AS matter_name, '{"expires_on": null, "units": {}}' AS limits, NULL AS applicant_id, NULL AS agent_id,
        coalesce(department_code, 'NONE') AS unit_code, region_code, NULL AS window_code, NULL AS channel_code,
        CASE WHEN rectified_at IS NULL THEN 'received' ELSE 'completed' END AS phase, CASE WHEN rectified_at IS NULL THEN '["complex"]' ELSE '[]' END AS open_steps,
        '[]' AS waiting, false AS is_corrected, instant(reviewed_at) AS received_at, NULL AS accepted_at, false AS is_deemed_accepted, instant(rectified_at) AS completed_at,
        CASE WHEN rectified_at IS NOT NULL THEN 'rectified' END AS outcome_code, false AS is_suspended, false AS is_extended, false AS is_commitment, '[]' AS missing,
        rectify_due_on::VARCHAR AS due_on, NULL AS next_timer_at, 1 AS version, instant(reviewed_at) AS created_at, instant(coalesce(updated_at, reviewed_at)) AS updated_at,
        NULL AS deleted_at, NULL AS deleted_reason, NULL AS form
    FROM opinion WHERE (rectify_due_on IS NOT NULL OR rectified_at IS NOT NULL) AND reviewed_at IS NOT NULL AND satisfaction_code IS NOT NULL ORDER BY 1"""
VISITS = """
    SELECT v7(visited_at, 'visit ' || review_id) AS id, v7(reviewed_at, 'review ' || review_id) AS feedback_id, NULL AS is_satisfied, NULL AS note,
        'sample' AS visited_by, instant(visited_at) AS visited_at
    FROM opinion WHERE visited_at IS NOT NULL AND reviewed_at IS NOT NULL AND satisfaction_code IS NOT NULL ORDER BY 1"""


def _row(*values: str | None) -> str:
    return ", ".join("NULL" if value is None else f"'{value}'" for value in values)
