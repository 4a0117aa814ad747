"""Who began a case and who handed in feedback; what somebody says under their own log-in stands before a review by code."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_FIRST = sa.text("kind = 'review' AND follows_id IS NULL")
_REVIEW = """
SELECT f.id AS review_id, f.case_number, f.channel_code AS review_channel_code, f.given_at AS reviewed_at,
    CASE WHEN f.follows_id IS NULL THEN 1 ELSE 2 END AS review_round, CAST(f.level AS VARCHAR) AS satisfaction_code, f.region_code, f.unit_code AS department_code,
    f.is_default, f.party_id IS NULL AS is_anonymous, (SELECT max(v.visited_at) FROM visit v WHERE v.feedback_id = f.id) AS visited_at,
    coalesce(i.due_on, (SELECT max(t.due_on) FROM task t WHERE t.case_id = i.id AND t.step IN ('verify', 'simple', 'complex'))) AS rectify_due_on,
    coalesce((SELECT max(e.occurred_at) FROM case_event e WHERE e.case_id = i.id AND e.activity = 'rectified'),
        CASE WHEN i.outcome_code IN ('rectified', 'explained') THEN i.completed_at END) AS rectified_at,
    f.follows_id AS follows_review_id, {updated} AS updated_at, (f.excluded_at IS NOT NULL OR ((f.is_default OR f.is_coded) AND EXISTS (SELECT 1 FROM feedback a
        WHERE a.case_id = f.case_id AND a.sequence = f.sequence AND a.kind = 'review' AND a.follows_id IS NULL AND NOT a.is_default
            AND (f.is_default OR NOT a.is_coded)))) AS is_deleted
FROM {tables}
WHERE f.kind = 'review' AND {which}"""


def upgrade() -> None:
    """Columns, an index, a view."""
    op.execute("DROP VIEW sync_review")
    op.add_column("case_file", sa.Column("opened_by", sa.String(), nullable=True))
    op.add_column("feedback", sa.Column("is_coded", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("feedback", sa.Column("given_by", sa.String(), nullable=True))
    op.drop_index("uq_feedback__step", "feedback")
    op.create_index(
        "uq_feedback__step", "feedback", ["case_id", "sequence", "is_default", "is_coded"], unique=True, sqlite_where=_FIRST, postgresql_where=_FIRST,
    )  # fmt: skip
    # as before, in two parts, each with a column that an index finds
    own = _REVIEW.format(
        updated="f.updated_at", tables="feedback f LEFT JOIN case_file i ON i.id = f.follow_up_id", which="(i.updated_at IS NULL OR i.updated_at <= f.updated_at)"
    )
    followed = _REVIEW.format(updated="i.updated_at", tables="case_file i JOIN feedback f ON i.id = f.follow_up_id", which="i.updated_at > f.updated_at")
    op.execute(f"CREATE VIEW sync_review AS {own} UNION ALL {followed}")
