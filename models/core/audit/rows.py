"""Reading rows that somebody may have spoilt: what cannot be read is told as such and hides nothing beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Spoilt:
    """A row of which not all can be read: text that is none, no JSON, no instant.

    Attributes:
        keys: Of the columns that can be read whatever was written, in the order in which they were asked for.
    """

    keys: tuple[Any, ...]


def readable(session: Session, columns: Sequence[Any], keys: Sequence[Any], query: sa.Select[Any]) -> list[sa.Row[Any] | Spoilt]:
    """Rows of a query, the spoilt ones in their places.

    Args:
        session: The transaction.
        columns: What is read of each row.
        keys: What can always be read; the first names the row.
        query: Which rows, in which order; its own columns do not count.

    Raises:
        sqlalchemy.exc.OperationalError: The store is away.
    """
    try:
        return list(session.execute(query.with_only_columns(*columns)).all())
    except Exception as error:  # whatever a spoilt value does to its reader
        _unless_away(session, error)
    found: list[sa.Row[Any] | Spoilt] = []
    for known in session.execute(query.with_only_columns(*keys)).all():
        try:
            found.append(session.execute(sa.select(*columns).where(keys[0] == known[0])).one())
        except Exception as error:
            _unless_away(session, error)
            found.append(Spoilt(tuple(known)))
    return found


def whole(column: Any, session: Session) -> sa.ColumnElement[bool]:
    """Whether a column of numbers holds a number: SQLite keeps whatever is put there."""
    return sa.func.typeof(column) == "integer" if session.get_bind().dialect.name == "sqlite" else column.is_not(None)


def _unless_away(session: Session, error: Exception) -> None:
    """SQLite says of text that is none what others say when they are away."""
    if isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError)) and session.get_bind().dialect.name != "sqlite":
        raise error
