"""Texts that may name somebody are encrypted (feedback, authorisations, answers to repeated requests); keys of systems are confirmed by a second administrator."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from models.store.operational.types import Instant

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Columns."""
    op.add_column("api_key", sa.Column("confirmed_at", Instant(), nullable=True))
    op.add_column("api_key", sa.Column("confirmed_by", sa.String(), nullable=True))
    op.drop_table("idempotency")  # kept for days only: a request that is repeated over the upgrade is a new one
    op.create_table(
        "idempotency", sa.Column("id", sa.Uuid(), nullable=False), sa.Column("request_digest", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False), sa.Column("created_at", Instant(), nullable=False), sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency")),
    )  # fmt: skip
    op.create_index(op.f("ix_idempotency__created_at"), "idempotency", ["created_at"])
    op.execute("UPDATE api_key SET confirmed_at = created_at, confirmed_by = 'migration'")  # systems at work stay at work
