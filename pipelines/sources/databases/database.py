"""What an incremental reader asks of a database, and the comparisons by which it goes on.

What does not belong here: connections (:mod:`postgres`, :mod:`dialects`), loads and positions (:mod:`incremental`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import sqlalchemy as sa

Values = list[Any]
"""One value a column of the order, as JSON can hold it."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Rows of a table or query in the order in which they are read on.

    Attributes:
        relation: Table or query, as it stands behind FROM.
        columns: The columns that are read.
        order: Columns by which it is read on: the position's, then those of the key.
        is_time: Whether the first of them says when a row last changed.
        zone: Zone of instants without one.
        look_back: Seconds by which the reader steps back where it cannot know what was committed late.
        aside: Values of ``key`` of records that were set aside, to be looked at again; None: of too many.
        key: Columns of the record's key.
        limit: No more rows than these are wanted (a dry run).
    """

    relation: sa.FromClause
    columns: Sequence[str]
    order: Sequence[str]
    is_time: bool = False
    zone: str = "UTC"
    look_back: float = 0.0
    aside: Sequence[Sequence[str]] | None = ()
    key: Sequence[str] = ()
    limit: int | None = None


@dataclass(frozen=True)
class Page:
    """Rows read in one go.

    Attributes:
        batches: The rows.
        at: Position of the last of them.
    """

    batches: list[pa.RecordBatch]
    at: Values


class Database(Protocol):
    """An open connection for one subject's sync; its methods raise YW-SYNC-007."""

    def close(self) -> None:
        """Close the connection, whatever state it is in."""

    def describe(self, relation: sa.FromClause) -> dict[str, str]:
        """Column → DuckDB type of what is read; begins the reading."""

    def is_unique(self, relation: sa.FromClause, key: Sequence[str]) -> bool:
        """Whether the database sees to it that there is one row for each key."""

    def all_rows(self, relation: sa.FromClause, columns: Sequence[str], limit: int | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, as they stand at one moment."""

    def rest(self, stream: Stream, at: Values | None, memory: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
        """What reading on from ``at`` would miss: committed late, without position, beyond the present.

        Args:
            stream: What is read.
            at: Where the last sync stopped; None at the first.
            memory: What :meth:`memory` gave for that position.
        """

    def memory(self, stream: Stream, at: Values | None, memory: Mapping[str, Any]) -> Mapping[str, Any]:
        """What must be known to read the rest next time, once the rest and all pages up to ``at`` are read; JSON."""

    def pages(self, stream: Stream, at: Values | None, rows: int) -> Iterator[Page]:
        """The rows behind ``at`` in order; rows of one position are never parted."""


def names(columns: Sequence[str]) -> list[sa.ColumnClause[Any]]:
    """Columns by their quoted names."""
    return [sa.column(sa.sql.quoted_name(column, True)) for column in columns]


def relation(table: str | None, query: str | None) -> sa.FromClause:
    """A table, schema-qualified or not, or a query as a subquery."""
    if table is not None:
        *schema, last = table.split(".")
        return sa.table(sa.sql.quoted_name(last, True), schema=sa.sql.quoted_name(schema[0], True) if schema else None)
    # A colon would be taken for a parameter, a comment at the end for the bracket's.
    return sa.text(f"(\n{(query or '').replace(':', chr(92) + ':')}\n) AS q")  # type: ignore[return-value]


def after(order: Sequence[sa.ColumnElement[Any]], at: Sequence[Any], nulls_first: bool) -> sa.ColumnElement[bool]:
    """Whether a row lies behind ``at``; the first column is not null, the others may be."""
    choices: list[sa.ColumnElement[bool]] = []
    same: list[sa.ColumnElement[bool]] = []
    for place, (column, value) in enumerate(zip(order, at, strict=True)):
        later: sa.ColumnElement[bool]
        if value is None:
            later = column.is_not(None) if nulls_first else sa.false()
        else:
            later = column > value if nulls_first or place == 0 else sa.or_(column > value, column.is_(None))
        choices.append(sa.and_(*same, later))
        same.append(column.is_(None) if value is None else column == value)
    return sa.and_(order[0] >= at[0], sa.or_(*choices))


def border(same: Sequence[bool], size: int) -> int:
    """Where a page of about ``size`` rows may end.

    Args:
        same: For each row whether its position is that of the row behind the page (number ``size``, from 0).
        size: Rows wished for, fewer than there are.

    Returns:
        The number of rows after which the position changes; 0 where all rows in sight have one position.
    """
    for end in range(size, 0, -1):
        if not same[end - 1]:
            return end
    return next((end for end in range(size, len(same)) if not same[end]), 0)
