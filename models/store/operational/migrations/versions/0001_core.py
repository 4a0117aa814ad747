"""The core: processes, cases, tasks, outbox, audit."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from models.store.operational.types import Instant, Json, Position

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """The core: processes, cases, tasks, outbox, audit."""
    op.create_table(
        "audit",
        sa.Column("position", Position, autoincrement=True, nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=True),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("authority", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("detail", Json, nullable=False),
        sa.Column("chain_number", sa.BigInteger(), nullable=True),
        sa.Column("chain_hash", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_audit")),
        sa.UniqueConstraint("chain_number", name=op.f("uq_audit__chain_number")),
    )
    op.create_table(
        "case_file",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_number", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("process_number", sa.Integer(), nullable=False),
        sa.Column("matter_code", sa.String(), nullable=True),
        sa.Column("matter_version", sa.String(), nullable=True),
        sa.Column("matter_name", sa.String(), nullable=True),
        sa.Column("limits", Json, nullable=False),
        sa.Column("applicant_id", sa.Uuid(), nullable=True),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("unit_code", sa.String(), nullable=False),
        sa.Column("region_code", sa.String(), nullable=True),
        sa.Column("window_code", sa.String(), nullable=True),
        sa.Column("channel_code", sa.String(), nullable=True),
        sa.Column("form", Json, nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("open_steps", Json, nullable=False),
        sa.Column("waiting", Json, nullable=False),
        sa.Column("is_corrected", sa.Boolean(), nullable=False),
        sa.Column("received_at", Instant(), nullable=True),
        sa.Column("accepted_at", Instant(), nullable=True),
        sa.Column("is_deemed_accepted", sa.Boolean(), nullable=False),
        sa.Column("completed_at", Instant(), nullable=True),
        sa.Column("outcome_code", sa.String(), nullable=True),
        sa.Column("is_suspended", sa.Boolean(), nullable=False),
        sa.Column("is_extended", sa.Boolean(), nullable=False),
        sa.Column("is_commitment", sa.Boolean(), nullable=False),
        sa.Column("missing", Json, nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("next_timer_at", Instant(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("deleted_at", Instant(), nullable=True),
        sa.Column("deleted_reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_file")),
        sa.UniqueConstraint("case_number", name=op.f("uq_case_file__case_number")),
    )
    with op.batch_alter_table("case_file", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_case_file__applicant_id_id"), ["applicant_id", "id"], unique=False)
        batch_op.create_index(
            "ix_case_file__timer",
            ["next_timer_at"],
            unique=False,
            postgresql_where=sa.text("next_timer_at IS NOT NULL"),
            sqlite_where=sa.text("next_timer_at IS NOT NULL"),
        )
        batch_op.create_index(batch_op.f("ix_case_file__unit_code_phase_id"), ["unit_code", "phase", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_case_file__updated_at_id"), ["updated_at", "id"], unique=False)

    op.create_table(
        "consumer",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_consumer")),
    )
    op.create_table(
        "idempotency",
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_digest", sa.String(), nullable=False),
        sa.Column("answer", Json, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_idempotency")),
    )
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency__created_at"), ["created_at"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("position", Position, autoincrement=True, nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=True),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("aggregate", sa.String(), nullable=False),
        sa.Column("aggregate_id", sa.String(), nullable=False),
        sa.Column("payload", Json, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_outbox")),
        sa.UniqueConstraint("event_id", name=op.f("uq_outbox__event_id")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox__transaction"), ["transaction"], unique=False)

    op.create_table(
        "process_version",
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("body", Json, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("published_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("process", "number", name=op.f("pk_process_version")),
    )
    op.create_table(
        "case_event",
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("activity", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=True),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("phase_before", sa.String(), nullable=False),
        sa.Column("phase_after", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("authority", sa.String(), nullable=False),
        sa.Column("unit_code", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("special_kind", sa.String(), nullable=True),
        sa.Column("special_code", sa.String(), nullable=True),
        sa.Column("has_written_notice", sa.Boolean(), nullable=True),
        sa.Column("extension_days", sa.Integer(), nullable=True),
        sa.Column("missing", Json, nullable=False),
        sa.Column("documents", Json, nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["case_file.id"], name=op.f("fk_case_event__case_id")),
        sa.PrimaryKeyConstraint("case_id", "sequence", name=op.f("pk_case_event")),
    )
    op.create_table(
        "task",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("unit_code", sa.String(), nullable=False),
        sa.Column("assignee", sa.String(), nullable=True),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("closed_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["case_file.id"], name=op.f("fk_task__case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
    )
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_task__case_id"), ["case_id"], unique=False)
        batch_op.create_index(
            "ix_task__open",
            ["unit_code", "role", "due_on", "id"],
            unique=False,
            postgresql_where=sa.text("closed_at IS NULL"),
            sqlite_where=sa.text("closed_at IS NULL"),
        )
