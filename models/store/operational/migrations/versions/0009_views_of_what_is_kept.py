"""Which matters a window takes; the sync also reads matters, windows and decided work days, and finds changed reviews by index."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from models.store.operational.types import Json

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_LIMITS = ("type_code", "promised_limit_unit", "statutory_limit_unit", "clock_start_code")
_WHOLE_LIMITS = ("promised_limit", "statutory_limit", "extension_cap")
_FLAG_LIMITS = ("is_joint", "is_publication_excluded")
_TEXTS = (
    "basic_code", "legal_basis", "level_code", "source_department_code", "body_nature_code", "acceptance_conditions", "procedure", "result_name", "fee_basis",
    "service_object_codes", "theme", "handling_form_codes", "special_procedures", "service_place", "service_hours", "consultation_phone", "supervision_phone",
    "materials", "case_kind_code", "matter_state_code",
)  # fmt: skip
_WHOLES = ("trips",)
_FLAGS = ("is_fee_charged", "is_bookable", "is_payable_online", "is_deliverable", "is_online", "is_one_window", "has_certificate")
_CASE = """
CREATE VIEW sync_case AS
SELECT c.case_number, c.matter_code, c.matter_name, {kind} AS case_kind_code, c.channel_code, c.received_at AS applied_at, c.region_code, c.received_at,
    u.name AS department_name, c.unit_code AS department_code, CASE WHEN NOT c.is_deemed_accepted THEN c.accepted_at END AS accepted_at, c.completed_at,
    c.outcome_code, c.window_code, c.is_commitment,
    EXISTS (SELECT 1 FROM case_event e WHERE e.case_id = c.id AND e.activity = 'accepted' AND e.missing <> {none}) AS is_tolerance,
    c.updated_at, c.deleted_at IS NOT NULL AS is_deleted
FROM case_file c
LEFT JOIN unit u ON u.code = c.unit_code
LEFT JOIN matter_version m ON m.code = c.matter_code AND m.number = CAST(c.matter_version AS INTEGER)
WHERE c.kind = 'public' AND c.received_at IS NOT NULL"""
_WINDOW = """
CREATE VIEW sync_window AS
SELECT w.code AS window_code, w.name AS window_name, w.unit_code AS department_code, u.region_code, w.place AS hall_name, w.matters = {none} AS is_general,
    w.updated_at, w.deleted_at IS NOT NULL AS is_deleted
FROM service_window w LEFT JOIN unit u ON u.code = w.unit_code"""
_DAY = """
CREATE VIEW sync_calendar_day AS
SELECT d.day, d.is_working, d.reason, d.created_at AS updated_at
FROM calendar_day d WHERE d.number = (SELECT max(e.number) FROM calendar_day e WHERE e.day = d.day)"""
_REVIEW = """
SELECT f.id AS review_id, f.case_number, f.channel_code AS review_channel_code, f.given_at AS reviewed_at,
    CASE WHEN f.follows_id IS NULL THEN 1 ELSE 2 END AS review_round, CAST(f.level AS VARCHAR) AS satisfaction_code, f.region_code, f.unit_code AS department_code,
    f.is_default, f.party_id IS NULL AS is_anonymous, (SELECT max(v.visited_at) FROM visit v WHERE v.feedback_id = f.id) AS visited_at,
    coalesce(i.due_on, (SELECT max(t.due_on) FROM task t WHERE t.case_id = i.id AND t.step IN ('verify', 'simple', 'complex'))) AS rectify_due_on,
    coalesce((SELECT max(e.occurred_at) FROM case_event e WHERE e.case_id = i.id AND e.activity = 'rectified'),
        CASE WHEN i.outcome_code IN ('rectified', 'explained') THEN i.completed_at END) AS rectified_at,
    f.follows_id AS follows_review_id, {updated} AS updated_at, (f.excluded_at IS NOT NULL OR (f.is_default AND EXISTS (SELECT 1 FROM feedback a
        WHERE a.case_id = f.case_id AND a.sequence = f.sequence AND a.kind = 'review' AND NOT a.is_default))) AS is_deleted
FROM {tables}
WHERE f.kind = 'review' AND {which}"""


def upgrade() -> None:
    """A column, and the views."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.add_column("service_window", sa.Column("matters", Json, nullable=False, server_default="[]"))
    op.create_index(op.f("ix_feedback__follow_up_id"), "feedback", ["follow_up_id"])
    op.create_index(op.f("ix_feedback__case_id_sequence"), "feedback", ["case_id", "sequence"])
    op.create_index(op.f("ix_matter_version__updated_at"), "matter_version", ["updated_at"])
    op.execute("DROP VIEW sync_review")
    op.execute("DROP VIEW sync_case")
    none = "'[]'" if is_sqlite else "'[]'::jsonb"
    kind = "json_extract(m.body, '$.case_kind_code')" if is_sqlite else "m.body ->> 'case_kind_code'"
    op.execute(_CASE.format(kind=kind, none=none))  # accepted with something missing stays so once it was supplied
    # The later of two instants is no column that an index could find: each row comes from the part in which it is one.
    own = _REVIEW.format(
        updated="f.updated_at", tables="feedback f LEFT JOIN case_file i ON i.id = f.follow_up_id", which="(i.updated_at IS NULL OR i.updated_at <= f.updated_at)"
    )
    followed = _REVIEW.format(updated="i.updated_at", tables="case_file i JOIN feedback f ON i.id = f.follow_up_id", which="i.updated_at > f.updated_at")
    op.execute(f"CREATE VIEW sync_review AS {own} UNION ALL {followed}")
    op.execute(_matter(is_sqlite))
    op.execute(_WINDOW.format(none=none))
    op.execute(_DAY)


def _matter(is_sqlite: bool) -> str:
    def field(column: str, name: str, kind: str | None = None) -> str:
        if is_sqlite:
            return f"json_extract(m.{column}, '$.{name}') AS {name}"
        value = f"m.{column} ->> '{name}'"
        return f"({value})::{kind} AS {name}" if kind else f"{value} AS {name}"

    fields = [
        *(field("limits", name) for name in _LIMITS), *(field("limits", name, "integer") for name in _WHOLE_LIMITS), *(field("limits", name, "boolean") for name in _FLAG_LIMITS),
        *(field("body", name) for name in _TEXTS), *(field("body", name, "integer") for name in _WHOLES), *(field("body", name, "boolean") for name in _FLAGS),
    ]  # fmt: skip
    return f"""
CREATE VIEW sync_matter AS
SELECT m.code AS matter_code, CAST(m.number AS VARCHAR) AS version, m.name AS matter_name, u.name AS department_name, m.unit_code AS department_code, m.region_code,
    {", ".join(fields)}, m.effective_from, m.effective_to, m.updated_at
FROM matter_version m LEFT JOIN unit u ON u.code = m.unit_code"""
