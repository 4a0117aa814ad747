"""The order of commit. On PostgreSQL numbers are given before commits: a row may appear below one that was read already.

Rows therefore carry their transaction (``pg_current_xact_id``), and whoever reads in order takes ``(transaction, position)``
below the oldest transaction that is still open: nothing can appear there any more. SQLite has one writer: its order is that of positions.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

_OLDEST = sa.text("pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
_NEXT = sa.text("pg_snapshot_xmax(pg_current_snapshot())::text::bigint")


def is_settled(session: Session, transaction: Any) -> sa.ColumnElement[bool]:
    """Whether nothing can be committed any more before a row of this transaction.

    A transaction that this server has not had yet comes from another one, by a logical backup: it is over.

    Args:
        session: Tells the database.
        transaction: Column of the transaction.
    """
    if session.get_bind().dialect.name == "sqlite":
        return sa.true()
    return sa.or_(transaction < _OLDEST, transaction >= _NEXT)


def next_transaction(session: Session) -> int | None:
    """A number above all transactions of this server so far; None on SQLite."""
    if session.get_bind().dialect.name == "sqlite":
        return None
    return int(session.execute(sa.select(_NEXT)).scalar_one())


def oldest_open(session: Session) -> int | None:
    """The oldest transaction that may still commit; None on SQLite."""
    if session.get_bind().dialect.name == "sqlite":
        return None
    return int(session.execute(sa.select(_OLDEST)).scalar_one())
