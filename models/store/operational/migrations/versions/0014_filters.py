"""Lists are narrowed by index: cases by due day and receipt, jurisdictions by matter and unit, roles by kind and unit."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_DUE, _RECEIVED = sa.text("due_on IS NOT NULL"), sa.text("received_at IS NOT NULL")


def upgrade() -> None:
    """Indexes."""
    for name, columns, of in (
        ("unit_due", ["unit_code", "due_on"], _DUE), ("due", ["due_on"], _DUE), ("unit_received", ["unit_code", "received_at"], _RECEIVED), ("received", ["received_at"], _RECEIVED),
    ):  # fmt: skip
        op.create_index(f"ix_case_file__{name}", "case_file", columns, sqlite_where=of, postgresql_where=of)
    for table, column in (("jurisdiction", "matter_code"), ("jurisdiction", "unit_code"), ("staff_grant", "role"), ("staff_grant", "unit_code")):
        op.create_index(f"ix_{table}__{column}_id", table, [column, "id"])
