"""Matters, running numbers; what is declared in a case is encrypted."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from models.store.operational.types import Instant, Json

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Matters, running numbers; what is declared in a case is encrypted."""
    op.create_table(
        "matter_version",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("unit_code", sa.String(), nullable=False),
        sa.Column("region_code", sa.String(), nullable=True),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("limits", Json, nullable=False),
        sa.Column("channels", Json, nullable=False),
        sa.Column("units", Json, nullable=False),
        sa.Column("is_commitment", sa.Boolean(), nullable=False),
        sa.Column("body", Json, nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("effective_to", sa.Date(), nullable=True),
        sa.Column("published_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("code", "number", name=op.f("pk_matter_version")),
    )
    op.create_index(op.f("ix_matter_version__unit_code_code"), "matter_version", ["unit_code", "code"])
    op.create_table(
        "serial",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_serial")),
    )
    # Nothing was declared before this revision: no release wrote the column.
    op.drop_column("case_file", "form")
    op.add_column("case_file", sa.Column("form", sa.String(), nullable=True))
