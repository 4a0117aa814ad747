"""Texts that may name somebody are encrypted (feedback, authorisations, answers to repeated requests); keys of systems are confirmed by a second administrator."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import context, op

from models.domain.identifiers import mask_text
from models.store.operational.types import Instant, Json

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


_FEEDBACK = sa.table("feedback", sa.column("id", sa.Uuid()), sa.column("letter_number", sa.String()), sa.column("tags", Json))
_AUTHORISATION = sa.table("authorisation", sa.column("id", sa.Uuid()), sa.column("evidence", sa.String()))


def upgrade() -> None:
    """Columns, a table anew, texts that lie in clear."""
    op.add_column("api_key", sa.Column("confirmed_at", Instant(), nullable=True))
    op.add_column("api_key", sa.Column("confirmed_by", sa.String(), nullable=True))
    op.drop_table("idempotency")  # kept for days only: a request that is repeated over the upgrade is a new one
    op.create_table(
        "idempotency", sa.Column("id", sa.Uuid(), nullable=False), sa.Column("request_digest", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False), sa.Column("created_at", Instant(), nullable=False), sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency")),
    )  # fmt: skip
    op.create_index(op.f("ix_idempotency__created_at"), "idempotency", ["created_at"])
    op.execute("UPDATE api_key SET confirmed_at = created_at, confirmed_by = 'migration'")  # systems at work stay at work
    _encrypt(_FEEDBACK, "letter_number")
    _encrypt(_AUTHORISATION, "evidence")
    connection = op.get_bind()
    for row in connection.execute(sa.select(_FEEDBACK.c.id, _FEEDBACK.c.tags).where(sa.cast(_FEEDBACK.c.tags, sa.String()) != "[]")).all():
        connection.execute(sa.update(_FEEDBACK).where(_FEEDBACK.c.id == row.id).values(tags=[mask_text(tag) for tag in row.tags]))


def _encrypt(table: sa.TableClause, column: str) -> None:
    encrypt, connection, clear = context.config.attributes.get("encrypt"), op.get_bind(), table.c[column]
    for row in connection.execute(sa.select(table.c.id, clear).where(clear.is_not(None))).all():
        if encrypt is None:
            raise ValueError(f"{table.name}.{column} lies in clear, and nothing to encrypt it with was given")
        connection.execute(sa.update(table).where(table.c.id == row.id).values({column: encrypt(row[1], table.name, column, row.id)}))
