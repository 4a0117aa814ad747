"""PostgreSQL through ADBC: rows come as Arrow, by binary COPY, in one read-only snapshot a sync.

Late commits: a row is committed later than rows with greater times or numbers whenever its transaction took longer.
The reader remembers ``pg_snapshot_xmin``, the oldest transaction that was still open in its snapshot: whatever it
could not see was written by that transaction or a later one. The next sync therefore reads, beside the rows that
follow in order, those whose system column ``xmin`` is that transaction or a later one. Views and queries have no such
column: there the next sync steps back to where the reader stood before the oldest session's transaction began.
"""

# ruff: noqa: S608 - values enter statements as numbers, as constants or through SQLAlchemy

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from pipelines.sources.databases.database import (
    Page,
    Stream,
    Values,
    after,
    border,
    has_key,
    most_keys,
    names,
    no_present_number,
)
from pipelines.sources.databases.faults import fault, faults

_NATIVE = {
    "bool": "BOOLEAN", "int2": "SMALLINT", "int4": "INTEGER", "int8": "BIGINT", "float4": "FLOAT", "float8": "DOUBLE",
    "text": "VARCHAR", "varchar": "VARCHAR", "name": "VARCHAR", "date": "DATE", "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip
"""Types that Arrow and DuckDB hold exactly; the others are read as PostgreSQL's text, arrays as JSON."""
_DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # percent signs stay single
LOCK_TIMEOUT = "60s"
"""How long a table that somebody else has locked is waited for."""
_UNSEEN = 3600.0
"""Seconds that a view is stepped back where the sessions of others are hidden from the reader."""
_PAGE_BYTES = 256 * 2**20
"""A page ends here even where it has fewer rows than it may."""
_NUMBERS = ("int2", "int4", "int8", "numeric", "float4", "float8")
_TEMPORAL = ("date", "timestamp", "timestamptz")
_WRAP = 2**31 - 10**6
# ADBC moves the epoch without looking whether a value is infinite, so that both infinities wrap around: Arrow type,
# what +infinity and -infinity become, and what they are in DuckDB.
_DAYS, _MICROSECONDS = 10957, 946_684_800_000_000
_INFINITE = {
    "date": (pa.int32(), 2**31 - 1 + _DAYS - 2**32, -(2**31) + _DAYS, 2**31 - 1),
    "timestamp": (pa.int64(), 2**63 - 1 + _MICROSECONDS - 2**64, -(2**63) + _MICROSECONDS, 2**63 - 1),
}


class Postgres:
    """One connection; everything but the description is read in one transaction, REPEATABLE READ and READ ONLY.

    Args:
        source: Name of the source, for messages.
        url: SQLAlchemy URL.
        timeout: Seconds that a statement may take.
        connect_timeout: Seconds that the connection may take.
    """

    def __init__(self, source: str, url: sa.URL, timeout: float, connect_timeout: float) -> None:
        import adbc_driver_postgresql.dbapi as adbc  # type: ignore[import-untyped]  # imported late: only who reads PostgreSQL needs it

        self._source = source
        self._errors = (adbc.Error, OSError, pa.ArrowException)
        self._options = {
            "TimeZone": "UTC", "DateStyle": "ISO, YMD", "client_encoding": "UTF8", "extra_float_digits": "1",
            "statement_timeout": str(int(timeout * 1000)), "lock_timeout": LOCK_TIMEOUT, "idle_in_transaction_session_timeout": "0",
        }  # fmt: skip
        self._types: dict[str, str] = {}
        self._versioned: set[sa.FromClause] = set()
        self._open_since: datetime | None = None
        self._snapshot: dict[str, Any] = {}
        given = {"connect_timeout": str(max(2, int(connect_timeout))), "application_name": "yiwang", **url.query}
        with self._faults():
            self._connection = adbc.connect(url.set(drivername="postgresql", query=given).render_as_string(hide_password=False))

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        with contextlib.suppress(*self._errors):
            self._connection.close()

    def describe(self, relation: sa.FromClause) -> dict[str, str]:
        """Column → DuckDB type of what is read; begins the snapshot.

        Which sessions are at work is asked before the snapshot is taken: one that ends in between must be known.
        """
        with self._faults():
            self._begin()
            with self._connection.cursor() as cursor:
                cursor.execute(_sql(sa.select(sa.literal_column("*")).select_from(relation).limit(0)))
                schema = cursor.fetch_record_batch().schema
            if isinstance(relation, sa.TableClause) and self._has_xmin(relation):
                self._versioned.add(relation)
            elif self._open_since is None:
                self._open_since = self._oldest_session()
            self._connection.commit()
            self._begin()
        if len(set(schema.names)) < len(schema.names):
            raise fault(self._source, "query 中有两列同名，请用 AS 改名")
        types = {field.name: (field.metadata or {}).get(b"POSTGRESQL:type", b"?").decode() for field in schema}
        self._types |= types
        return {column: _NATIVE.get(kind, "VARCHAR") for column, kind in types.items()}

    def is_unique(self, relation: sa.FromClause, key: Sequence[str]) -> bool:
        """Whether a unique index of the table has no other columns than these."""
        if not isinstance(relation, sa.TableClause):
            return False
        wanted = ", ".join(_literal(column) for column in key)
        with self._faults():
            found = self._all(
                "SELECT EXISTS (SELECT 1 FROM pg_index AS i WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL "
                f"AND i.indrelid = to_regclass({_quoted(relation)}) AND NOT EXISTS (SELECT 1 FROM pg_attribute AS a WHERE a.attrelid = i.indrelid "
                f"AND a.attnum = ANY (i.indkey) AND a.attname::text <> ALL (ARRAY[{wanted}]::text[])))"
            )
        return bool(found[0][0])

    def all_rows(self, relation: sa.FromClause, columns: Sequence[str], limit: int | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, as they stand in the snapshot."""
        yield from self._rows(sa.select(*self._read(columns)).select_from(relation).limit(limit))

    def having(self, relation: sa.FromClause, columns: Sequence[str], key: Sequence[str], values: Sequence[Sequence[str]]) -> Iterator[pa.RecordBatch]:
        """The rows with these keys, or all rows, as they stand in the snapshot."""
        texts = [column if self._types.get(column.name) in _TEMPORAL else sa.cast(column, sa.Text) for column in names(key)]
        condition = sa.true() if len(values) > most_keys(key) else has_key(texts, [[_value(value) for value in row] for row in values])
        yield from self._rows(sa.select(*self._read(columns)).select_from(relation).where(condition))

    def rest(self, stream: Stream, at: Values | None, memory: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
        """What reading on from ``at`` would miss."""
        order = names(stream.order)
        astray = sa.or_(order[0].is_(None), self._out_of_order(stream))
        if stream.relation in self._versioned:
            condition = astray if at is None else sa.or_(astray, sa.not_(_after(order, at)))
            if (oldest := self._oldest_unseen(memory)) is not None:
                condition = sa.and_(condition, oldest)
        elif at is None:
            condition = astray
        else:
            again = sa.and_(self._stepped_back(stream, memory), sa.not_(_after(order, at)))
            condition = sa.or_(astray, again, self._set_aside(stream, at))
        yield from self._rows(sa.select(*self._read(stream.columns)).select_from(stream.relation).where(condition).limit(stream.limit))

    def memory(self, stream: Stream, at: Values | None, memory: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of a table the server and its oldest open transaction; of a view, when the reader stood where."""
        if stream.relation in self._versioned:
            return {"server": self._snapshot["server"], "xid": self._snapshot["xid"]}
        seen = [*memory.get("seen", []), [self._snapshot["taken"].isoformat(), at]]
        before = [place for place, (taken, _) in enumerate(seen) if self._open_since and datetime.fromisoformat(taken) <= self._open_since]
        return {"from": seen[before[-1]][1] if before else None, "seen": seen[before[-1] if before else 0 :]}

    def pages(self, stream: Stream, at: Values | None, rows: int) -> Iterator[Page]:
        """The rows behind ``at`` in order; while a page is worked on, the next one is read."""
        pages = self._pages(stream, at, rows)
        with ThreadPoolExecutor(1, "postgres") as reader:
            coming = reader.submit(next, pages, None)
            while (page := coming.result()) is not None:
                coming = reader.submit(next, pages, None)
                yield page

    def _pages(self, stream: Stream, at: Values | None, rows: int) -> Iterator[Page]:
        """Pages cut from one stream of the snapshot."""
        order = names(stream.order)
        condition = sa.and_(order[0].is_not(None), sa.not_(self._out_of_order(stream)))
        if at is not None:
            condition = sa.and_(condition, _after(order, at))
        query = sa.select(*self._read(stream.columns)).select_from(stream.relation).where(condition).order_by(*order).limit(stream.limit)
        held: list[pa.RecordBatch] = []
        for batch in self._rows(query):
            held.append(batch)
            while (count := sum(b.num_rows for b in held)) > rows or sum(b.nbytes for b in held) > _PAGE_BYTES:
                table, size = pa.Table.from_batches(held), min(rows, count - 1)
                if not size or not (end := border(_same_as(table.select(list(stream.order)), size), size)):
                    break
                yield Page(table.slice(0, end).to_batches(), _position(table, stream.order, end - 1))
                held = table.slice(end).to_batches()
        if held:
            table = pa.Table.from_batches(held)
            yield Page(held, _position(table, stream.order, table.num_rows - 1))

    # --- the session ----------------------------------------------------------------------------------------

    def _faults(self) -> contextlib.AbstractContextManager[None]:
        return faults(self._source, *self._errors)

    def _begin(self) -> None:
        """Begin a transaction; settings last as long as it does, so that a pooler may lend the session on."""
        self._all("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        settings = ", ".join(f"set_config('{option}', '{value}', true)" for option, value in self._options.items())
        self._all(f"SELECT {settings}")
        ((may_ask,),) = self._all("SELECT has_function_privilege('pg_control_system()', 'EXECUTE')")
        identity = "(SELECT system_identifier FROM pg_control_system())::text" if may_ask else "'?'"
        ((xid, following, server, taken),) = self._all(
            "SELECT pg_snapshot_xmin(s)::text::int8, pg_snapshot_xmax(s)::text::int8, "
            f"{identity} || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())::text, clock_timestamp() FROM (SELECT pg_current_snapshot() AS s) AS q"
        )
        self._snapshot = {"xid": xid, "next": following, "server": server, "taken": taken}

    def _all(self, statement: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _rows(self, query: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        with self._connection.cursor() as cursor:
            with self._faults():
                cursor.execute(_sql(query))
                reader = cursor.fetch_record_batch()
            while True:
                with self._faults():
                    batch = next(reader, None)
                if batch is None:
                    return
                if batch.num_rows:
                    yield self._plain(batch)

    def _has_xmin(self, table: sa.TableClause) -> bool:
        """Whether each row has a transaction: heap tables and materialised views; of partitions, all of them."""
        found = self._all(
            "SELECT c.relkind IN ('r', 'm') AND a.amname = 'heap' OR c.relkind = 'p' AND NOT EXISTS "
            "(SELECT 1 FROM pg_partition_tree(c.oid) AS t JOIN pg_class AS p ON p.oid = t.relid WHERE p.relkind = 'f') "
            f"FROM pg_class AS c LEFT JOIN pg_am AS a ON a.oid = c.relam WHERE c.oid = to_regclass({_quoted(table)})"
        )
        return bool(found and found[0][0])

    def _oldest_session(self) -> datetime:
        """Since when a transaction is open that may still commit rows; earlier where not all of them are shown to us."""
        ((shown, oldest, now),) = self._all(
            "SELECT pg_has_role('pg_read_all_stats', 'USAGE') AND NOT pg_is_in_recovery(), "
            "least((SELECT min(xact_start) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database() "
            "AND backend_type NOT IN ('autovacuum worker', 'walsender')), (SELECT min(prepared) FROM pg_prepared_xacts)), now()"
        )
        hidden: datetime = now if shown else datetime.fromtimestamp(now.timestamp() - _UNSEEN, now.tzinfo)
        return hidden if oldest is None else min(oldest, hidden)

    # --- conditions -----------------------------------------------------------------------------------------

    def _out_of_order(self, stream: Stream) -> sa.ColumnElement[bool]:
        """Whether a position is none: no day of our calendar, or, where nothing else finds what is behind it, in the future."""
        (column,), kind = names(stream.order[:1]), self._types.get(stream.order[0], "?")
        ahead: list[sa.ColumnElement[bool]] = []
        if stream.relation not in self._versioned and (kind in _TEMPORAL or stream.is_time and _NATIVE.get(kind) == "VARCHAR"):
            now = self._snapshot["taken"].astimezone(ZoneInfo(stream.zone))
            text = now.isoformat(" ") if kind == "timestamptz" else now.strftime("%Y-%m-%d %H:%M:%S")
            ahead = [(column if kind in _TEMPORAL else sa.collate(column, "C")) > _value(text)]
        elif stream.relation not in self._versioned and stream.is_time and kind in _NUMBERS:
            ahead = [no_present_number(column, stream.formats, self._snapshot["taken"], stream.zone)]
        if kind not in _TEMPORAL:
            return sa.or_(sa.false(), *ahead)
        return sa.or_(column < _value("0001-01-01"), column >= _value("10000-01-01"), *ahead)

    def _oldest_unseen(self, memory: Mapping[str, Any]) -> sa.ColumnElement[bool] | None:
        """Whether a row was written by a transaction that the last sync may not have seen; None where that cannot be told."""
        elapsed = self._snapshot["next"] - int(memory.get("xid", -1))
        if memory.get("server") != self._snapshot["server"] or not 0 <= elapsed < _WRAP:
            return None
        # age() compares across the wrap-around. A frozen row keeps its number: at worst it is read once more.
        return sa.literal_column(f"age(xmin) <= (SELECT age('{int(memory['xid']) % 2**32}'::xid))", sa.Boolean)

    def _stepped_back(self, stream: Stream, memory: Mapping[str, Any]) -> sa.ColumnElement[bool]:
        start = memory.get("from")
        if start is None:
            return sa.true()
        (column,) = names(stream.order[:1])
        temporal = self._types.get(stream.order[0]) in _TEMPORAL
        if not stream.look_back or not temporal:
            return column >= _value(start[0])
        kind = self._types[stream.order[0]]
        return column >= sa.literal_column(f"CAST({_literal(start[0])} AS {kind}) - interval '{stream.look_back} seconds'")

    def _set_aside(self, stream: Stream, at: Values) -> sa.ColumnElement[bool]:
        if stream.aside is None:
            return sa.not_(_after(names(stream.order), at))
        keys = names(stream.key)
        texts = [sa.cast(key, sa.Text) for key in keys]
        known = [sa.and_(*(text == _value(value) for text, value in zip(texts, values, strict=True))) for values in stream.aside]
        return sa.and_(sa.not_(_after(names(stream.order), at)), sa.or_(sa.false(), *known))

    # --- values ---------------------------------------------------------------------------------------------

    def _read(self, columns: Sequence[str]) -> list[sa.ColumnElement[Any]]:
        read: list[sa.ColumnElement[Any]] = []
        for column in names(columns):
            kind = self._types[column.name]
            value: sa.ColumnElement[Any] = column
            if kind.startswith("_"):
                value = sa.cast(sa.func.to_json(column), sa.Text)
            elif kind not in _NATIVE or kind == "name":
                value = sa.cast(column, sa.Text)
            read.append(value.label(sa.sql.quoted_name(column.name, True)))
        return read

    def _plain(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with infinities as DuckDB has them, and without the metadata of PostgreSQL."""
        arrays = []
        for array in batch.columns:
            kind = "date" if pa.types.is_date32(array.type) else "timestamp" if pa.types.is_timestamp(array.type) else None
            if kind:
                number, positive, negative, infinite = _INFINITE[kind]
                raw = array.view(number)
                if pc.any(pc.is_in(raw, pa.array([positive, negative], number))).as_py():
                    raw = pc.if_else(pc.equal(raw, positive), infinite, pc.if_else(pc.equal(raw, negative), -infinite, raw))
                    array = raw.cast(number).view(array.type)
            arrays.append(array)
        return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _sql(query: sa.Select[Any]) -> str:
    return str(query.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


def _quoted(table: sa.TableClause) -> str:
    return _literal(_DIALECT.identifier_preparer.format_table(table))


def _literal(value: str) -> str:
    """Text as a literal of no type yet, which takes that of what it is compared with."""
    escaped = value.replace("'", "''")
    return f"'{escaped}'" if "\\" not in value else "E'" + escaped.replace("\\", "\\\\") + "'"


def _value(value: str) -> sa.ColumnElement[Any]:
    return sa.literal_column(_literal(value))


def _after(order: Sequence[sa.ColumnElement[Any]], at: Values) -> sa.ColumnElement[bool]:
    return after(order, [None if value is None else _value(value) for value in at], nulls_first=False)


def _same_as(positions: pa.Table, row: int) -> Sequence[bool]:
    """Which rows have the position of that row."""
    same: Any = None
    for column in positions.columns:
        value = column[row]
        equal = pc.is_null(column) if not value.is_valid else pc.fill_null(pc.equal(column, value), False)
        same = equal if same is None else pc.and_(same, equal)
    return same.to_numpy()  # type: ignore[no-any-return]


def _position(table: pa.Table, order: Sequence[str], row: int) -> Values:
    """The position of a row as PostgreSQL reads it from text."""
    return [pc.cast(table[column].slice(row, 1), pa.string())[0].as_py() for column in order]
