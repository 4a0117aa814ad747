"""Views that the sync reads: what leaves the operational store for the warehouse, in the fields of the data contracts.

Drafts and internal cases are left out; a deleted case comes as deleted, with its steps. A deemed acceptance is the clock's own finding, so
its instant is not stated; a pause says when it ended. Nothing here is personal data in clear: names and numbers are encrypted in their
columns and stay there. ``updated_at`` never goes back for a record and is taken before its transaction ends.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_CASE = """
CREATE VIEW sync_case AS
SELECT c.case_number, c.matter_code, c.matter_name, {kind} AS case_kind_code, c.channel_code, c.received_at AS applied_at, c.region_code, c.received_at,
    u.name AS department_name, c.unit_code AS department_code, CASE WHEN NOT c.is_deemed_accepted THEN c.accepted_at END AS accepted_at, c.completed_at,
    c.outcome_code, c.window_code, c.is_commitment, {tolerance} AS is_tolerance, c.updated_at, c.deleted_at IS NOT NULL AS is_deleted
FROM case_file c
LEFT JOIN unit u ON u.code = c.unit_code
LEFT JOIN matter_version m ON m.code = c.matter_code AND m.number = CAST(c.matter_version AS INTEGER)
WHERE c.kind = 'public' AND c.received_at IS NOT NULL"""
_COLUMNS = """c.case_number, e.sequence, e.activity AS activity_code, e.action, e.occurred_at, e.unit_code AS department_code, e.special_code,
    CASE WHEN e.special_code IS NOT NULL THEN e.occurred_at END AS special_started_at, {ended} AS special_ended_at, e.special_kind AS special_kind_code,
    e.has_written_notice, e.extension_days, {updated} AS updated_at, c.deleted_at IS NOT NULL AS is_deleted"""
_PUBLIC = "c.kind = 'public' AND c.received_at IS NOT NULL"
_RESUMED = "(SELECT min(r.{column}) FROM case_event r WHERE r.case_id = e.case_id AND r.sequence > e.sequence AND r.activity = 'resumed')"
_EVENT = f"""
CREATE VIEW sync_case_event AS
SELECT {_COLUMNS.format(ended='{none}', updated='e.recorded_at')}
FROM case_event e JOIN case_file c ON c.id = e.case_id
WHERE {_PUBLIC} AND e.activity <> 'suspended' AND c.deleted_at IS NULL
UNION ALL
SELECT {_COLUMNS.format(ended=_RESUMED.format(column='occurred_at'), updated=f"coalesce({_RESUMED.format(column='recorded_at')}, e.recorded_at)")}
FROM case_event e JOIN case_file c ON c.id = e.case_id
WHERE {_PUBLIC} AND e.activity = 'suspended' AND c.deleted_at IS NULL
UNION ALL
SELECT {_COLUMNS.format(ended='{none}', updated='c.updated_at')}
FROM case_file c JOIN case_event e ON c.id = e.case_id
WHERE {_PUBLIC} AND c.deleted_at IS NOT NULL"""
_REVIEW = """
CREATE VIEW sync_review AS
SELECT f.id AS review_id, f.case_number, f.channel_code AS review_channel_code, f.given_at AS reviewed_at,
    CASE WHEN f.follows_id IS NULL THEN 1 ELSE 2 END AS review_round, CAST(f.level AS VARCHAR) AS satisfaction_code, f.region_code, f.unit_code AS department_code,
    f.is_default, f.party_id IS NULL AS is_anonymous, (SELECT max(v.visited_at) FROM visit v WHERE v.feedback_id = f.id) AS visited_at,
    coalesce(i.due_on, (SELECT max(t.due_on) FROM task t WHERE t.case_id = i.id AND t.step IN ('verify', 'simple', 'complex'))) AS rectify_due_on,
    coalesce((SELECT max(e.occurred_at) FROM case_event e WHERE e.case_id = i.id AND e.activity = 'rectified'),
        CASE WHEN i.outcome_code IN ('rectified', 'explained') THEN i.completed_at END) AS rectified_at,
    f.follows_id AS follows_review_id, {later} AS updated_at, (f.excluded_at IS NOT NULL OR (f.is_default AND EXISTS (SELECT 1 FROM feedback a
        WHERE a.case_id = f.case_id AND a.sequence = f.sequence AND a.kind = 'review' AND NOT a.is_default))) AS is_deleted
FROM feedback f LEFT JOIN case_file i ON i.id = f.follow_up_id
WHERE f.kind = 'review'"""
_DEPARTMENT = """
CREATE VIEW sync_department AS
SELECT code AS department_code, name AS department_name, region_code, parent_code, updated_at, deleted_at IS NOT NULL AS is_deleted FROM unit"""


def upgrade() -> None:
    """Views that the sync reads."""
    op.create_index(op.f("ix_case_event__recorded_at_case_id"), "case_event", ["recorded_at", "case_id"])
    for statement in _statements(op.get_bind().dialect.name == "sqlite"):
        op.execute(statement)


def _statements(is_sqlite: bool) -> list[str]:
    kind = "json_extract(m.body, '$.case_kind_code')" if is_sqlite else "m.body ->> 'case_kind_code'"
    tolerance = "c.missing <> '[]'" if is_sqlite else "c.missing <> '[]'::jsonb"
    later = "max(f.updated_at, coalesce(i.updated_at, f.updated_at))" if is_sqlite else "greatest(f.updated_at, i.updated_at)"
    none = "NULL" if is_sqlite else "NULL::timestamptz"
    return [_CASE.format(kind=kind, tolerance=tolerance), _EVENT.format(none=none), _REVIEW.format(later=later), _DEPARTMENT]
