"""Jobs tell how far they are and can be cancelled; one worker at a time serves a webhook; the outbox is kept for who is waited for."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from models.store.operational.types import Instant, Json

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Columns and an index."""
    op.add_column("job", sa.Column("progress_done", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("job", sa.Column("progress_total", sa.Integer(), nullable=True))
    op.add_column("job", sa.Column("result", Json, nullable=True))
    op.add_column("job", sa.Column("cancel_at", Instant(), nullable=True))
    op.create_index(op.f("ix_job__kind_key"), "job", ["kind", "key"])
    op.add_column("webhook", sa.Column("leased_by", sa.String(), nullable=True))
    op.add_column("webhook", sa.Column("leased_until", Instant(), nullable=True))
    op.add_column("consumer", sa.Column("is_waited_for", sa.Boolean(), nullable=False, server_default=sa.true()))
    # what is switched off already holds back nothing from now on either
    webhook = sa.table("webhook", sa.column("id", sa.Uuid()), sa.column("is_active", sa.Boolean()))
    consumer = sa.table("consumer", sa.column("name", sa.String()), sa.column("is_waited_for", sa.Boolean()))
    off = [f"webhook:{row.id}" for row in op.get_bind().execute(sa.select(webhook.c.id).where(sa.not_(webhook.c.is_active)))]
    op.execute(sa.update(consumer).where(consumer.c.name.in_(off)).values(is_waited_for=False))
