"""What an incremental reader asks of a database, and the comparisons by which it goes on.

What does not belong here: connections (:mod:`postgres`, :mod:`dialects`), loads and positions (:mod:`incremental`).
"""

import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any, Protocol
from zoneinfo import ZoneInfo

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
        formats: strptime formats of the first of them, in the order in which they are tried.
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
    formats: Sequence[str] = ()
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

    def having(self, relation: sa.FromClause, columns: Sequence[str], key: Sequence[str], values: Sequence[Sequence[str]]) -> Iterator[pa.RecordBatch]:
        """The rows with these keys, given as text; where there are more than :func:`most_keys`, all rows."""

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


def most_keys(key: Sequence[str]) -> int:
    """Records that are looked up by key; where there are more, one pass over the table is cheaper."""
    return 500 if len(key) == 1 else 50


def has_key(texts: Sequence[sa.ColumnElement[Any]], values: Sequence[Sequence[Any]]) -> sa.ColumnElement[bool]:
    """Whether a row has one of these keys."""
    if len(texts) == 1:
        return texts[0].in_([value for (value,) in values])
    return sa.or_(sa.false(), *(sa.and_(*(text == value for text, value in zip(texts, row, strict=True))) for row in values))


def no_present_number(column: sa.ColumnElement[Any], formats: Sequence[str], now: datetime, zone: str) -> sa.ColumnElement[bool]:
    """Whether a number, read as the digits of an instant, lies in the future, or is none.

    Args:
        column: The number.
        formats: strptime formats by which it is typed; those that hold more than digits are of no account.
        now: The present.
        zone: Zone of numbers.

    Returns:
        Never true where no format holds digits only: then nothing tells what the numbers mean.
    """
    spans: list[sa.ColumnElement[bool]] = []
    for form in formats:
        text = ""
        with suppress(ValueError):
            text = now.astimezone(ZoneInfo(zone)).strftime(form)
        if text.isascii() and text.isdigit():
            spans.append(column.between(10 ** (len(text) - 1), int(text)))
    return sa.not_(reduce(operator.or_, spans)) if spans else sa.false()


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
