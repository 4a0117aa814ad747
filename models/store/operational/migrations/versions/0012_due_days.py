"""Due days that stay right: with which calendar they were counted, estimates beyond it, clocks that stand still."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_RUNNING = sa.text("calendar_version IS NOT NULL")


def upgrade() -> None:
    """Columns and an index; running cases are clocked anew by the worker."""
    op.add_column("case_file", sa.Column("provisional_due_on", sa.Date(), nullable=True))
    op.add_column("case_file", sa.Column("calendar_version", sa.Integer(), nullable=True))
    op.add_column("task", sa.Column("provisional_due_on", sa.Date(), nullable=True))
    op.add_column("task", sa.Column("is_paused", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_case_file__clocked", "case_file", ["calendar_version", "id"], sqlite_where=_RUNNING, postgresql_where=_RUNNING)
    op.execute(
        "UPDATE case_file SET calendar_version = 0 WHERE phase <> 'draft' AND deleted_at IS NULL"
        " AND id IN (SELECT case_id FROM task WHERE closed_at IS NULL)"
    )  # fmt: skip
