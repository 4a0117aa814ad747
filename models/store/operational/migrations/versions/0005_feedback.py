"""Feedback."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from models.store.operational.types import Instant, Json

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Feedback."""
    op.create_table(
        "feedback",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=True),
        sa.Column("case_number", sa.String(), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("matter_code", sa.String(), nullable=True),
        sa.Column("letter_number", sa.String(), nullable=True),
        sa.Column("unit_code", sa.String(), nullable=False),
        sa.Column("region_code", sa.String(), nullable=True),
        sa.Column("party_id", sa.Uuid(), nullable=True),
        sa.Column("level", sa.Integer(), nullable=True),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("channel_code", sa.String(), nullable=True),
        sa.Column("tags", Json, nullable=False),
        sa.Column("text", sa.String(), nullable=True),
        sa.Column("follows_id", sa.Uuid(), nullable=True),
        sa.Column("follow_up_id", sa.Uuid(), nullable=True),
        sa.Column("appeal_id", sa.Uuid(), nullable=True),
        sa.Column("excluded_at", Instant(), nullable=True),
        sa.Column("excluded_reason", sa.String(), nullable=True),
        sa.Column("excluded_by", sa.String(), nullable=True),
        sa.Column("given_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["appeal_id"], ["case_file.id"], name=op.f("fk_feedback__appeal_id")),
        sa.ForeignKeyConstraint(["case_id"], ["case_file.id"], name=op.f("fk_feedback__case_id")),
        sa.ForeignKeyConstraint(["follow_up_id"], ["case_file.id"], name=op.f("fk_feedback__follow_up_id")),
        sa.ForeignKeyConstraint(["follows_id"], ["feedback.id"], name=op.f("fk_feedback__follows_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
    )
    op.create_index(op.f("ix_feedback__follows_id"), "feedback", ["follows_id"], unique=False)
    op.create_index(op.f("ix_feedback__party_id"), "feedback", ["party_id"], unique=False)
    op.create_index(op.f("ix_feedback__unit_code_kind_id"), "feedback", ["unit_code", "kind", "id"], unique=False)
    op.create_index(op.f("ix_feedback__updated_at_id"), "feedback", ["updated_at", "id"], unique=False)
    op.create_index(op.f("ix_feedback__is_default_given_at"), "feedback", ["is_default", "given_at"], unique=False)
    for name, column, where in (
        ("ix_feedback__bad", "id", "level >= 4"),
        ("ix_feedback__appeal", "appeal_id", "appeal_id IS NOT NULL AND excluded_at IS NULL"),
    ):
        op.create_index(name, "feedback", [column], unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    op.create_index(
        "uq_feedback__step",
        "feedback",
        ["case_id", "sequence", "is_default"],
        unique=True,
        sqlite_where=sa.text("kind = 'review' AND follows_id IS NULL"),
        postgresql_where=sa.text("kind = 'review' AND follows_id IS NULL"),
    )
    op.create_table(
        "review_code",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["case_file.id"], name=op.f("fk_review_code__case_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_review_code")),
    )
    op.create_table(
        "visit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("feedback_id", sa.Uuid(), nullable=False),
        sa.Column("is_satisfied", sa.Boolean(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("visited_by", sa.String(), nullable=False),
        sa.Column("visited_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["feedback_id"], ["feedback.id"], name=op.f("fk_visit__feedback_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit")),
    )
    op.create_index(op.f("ix_visit__feedback_id"), "visit", ["feedback_id"], unique=False)
    # ### end Alembic commands ###
    op.create_index(op.f("ix_case_file__completed_at"), "case_file", ["completed_at"], unique=False)
