"""SQLite, and other databases through SQLAlchemy: every value comes as text, in short pages.

SQLite's columns have no type that holds, and text says exactly what each value is. A page is a transaction of its
own, so that a writer's log can be checkpointed between two pages. There are no snapshots to tell what was committed
late: the next sync steps back to where this one began, or, where nobody wrote meanwhile, to the rows of its last
instant; rows that say nothing new are not counted.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import sqlalchemy as sa

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

_CHUNK = 50_000
_NULLS_FIRST = ("sqlite", "mysql", "mariadb", "mssql")
_DAY = re.compile(r"\d{4}\D")
_TYPES: dict[str, Any] = {"datetime": datetime.fromisoformat, "date": date.fromisoformat, "Decimal": Decimal}


class Dialect:
    """One connection for one sync.

    Args:
        source: Name of the source, for messages.
        url: SQLAlchemy URL.
        folder: Relative paths of SQLite files are relative to it.
        timeout: Seconds that a statement may take, where the driver knows of it, and that a locked file is waited for.
        connect_timeout: Seconds that a locked SQLite file is waited for.
    """

    def __init__(self, source: str, url: sa.URL, folder: Path, timeout: float, connect_timeout: float) -> None:
        self._source = source
        self._is_sqlite = url.get_backend_name() == "sqlite"
        self._nulls_first = url.get_backend_name() in _NULLS_FIRST
        self._begun: int | None = None
        self._alone = False
        self._started: dict[sa.FromClause, Values | None] = {}
        try:
            if self._is_sqlite:
                url, options = _read_only(source, url, folder), {"connect_args": {"timeout": connect_timeout, "uri": True}}
            else:
                options = {}
            self._engine = sa.create_engine(url, poolclass=sa.pool.NullPool, hide_parameters=True, **options)
        except (sa.exc.SQLAlchemyError, ImportError):
            raise fault(source, f"没有 {url.get_backend_name()} 的驱动程序，请安装后重试") from None
        with self._faults():
            self._connection = self._engine.connect()
            if self._is_sqlite:
                raw = self._connection.connection.dbapi_connection
                raw.text_factory = _decoded  # type: ignore[union-attr]
                self._begun = self._version()

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        with suppress(sa.exc.SQLAlchemyError):
            self._connection.close()

    def describe(self, relation: sa.FromClause) -> dict[str, str]:
        """Column → VARCHAR."""
        with self._faults():
            columns = list(self._connection.execute(sa.select(sa.literal_column("*")).select_from(relation).limit(0)).keys())
            self._connection.rollback()
        if len(set(columns)) < len(columns):
            raise fault(self._source, "query 中有两列同名，请用 AS 改名")
        return dict.fromkeys(columns, "VARCHAR")

    def is_unique(self, relation: sa.FromClause, key: Sequence[str]) -> bool:
        """Whether primary key, constraint or index of the table has no other columns than these."""
        if not isinstance(relation, sa.TableClause):
            return False
        with self._faults():
            inspector = sa.inspect(self._connection)
            try:
                indexes = [index for index in inspector.get_indexes(relation.name, relation.schema) if index["unique"] and not any(name.endswith("_where") for name in index.get("dialect_options", {}))]
                groups: list[Any] = [
                    inspector.get_pk_constraint(relation.name, relation.schema)["constrained_columns"],
                    *(constraint["column_names"] for constraint in inspector.get_unique_constraints(relation.name, relation.schema)),
                    *(index["column_names"] for index in indexes),
                ]
            except sa.exc.NoSuchTableError:  # a view
                groups = []
            self._connection.rollback()
        return any(group and None not in group and set(group) <= set(key) for group in groups)

    def all_rows(self, relation: sa.FromClause, columns: Sequence[str], limit: int | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, in one transaction."""
        yield from self._rows(sa.select(*names(columns)).select_from(relation).limit(limit), columns)

    def having(self, relation: sa.FromClause, columns: Sequence[str], key: Sequence[str], values: Sequence[Sequence[str]]) -> Iterator[pa.RecordBatch]:
        """The rows with these keys, or all rows."""
        condition = sa.true() if len(values) > most_keys(key) else has_key([sa.cast(column, sa.Text) for column in names(key)], values)
        yield from self._rows(sa.select(*names(columns)).select_from(relation).where(condition), columns)

    def rest(self, stream: Stream, at: Values | None, memory: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
        """What reading on from ``at`` would miss."""
        self._started[stream.relation] = at
        order = names(stream.order)
        condition = sa.or_(order[0].is_(None), self._ahead(stream))
        if at is not None:
            behind = sa.not_(self._after(order, at))
            again: list[sa.ColumnElement[bool]] = [sa.true()]
            if memory.get("from") is not None and stream.aside is not None:
                texts = [sa.cast(key, sa.Text) for key in names(stream.key)]
                aside = [sa.and_(*(text == value for text, value in zip(texts, values, strict=True))) for values in stream.aside]
                again = [order[0] >= _back(_value(memory["from"][0]), stream.look_back), *aside]
            condition = sa.or_(condition, sa.and_(behind, sa.or_(*again)))
        yield from self._rows(sa.select(*names(stream.columns)).select_from(stream.relation).where(condition).limit(stream.limit), stream.columns)

    def memory(self, stream: Stream, at: Values | None, memory: Mapping[str, Any]) -> Mapping[str, Any]:
        """From where the next sync must look again."""
        return {"from": at if self._alone else self._started.get(stream.relation)}

    def pages(self, stream: Stream, at: Values | None, rows: int) -> Iterator[Page]:
        """The rows behind ``at`` in order, each page in a transaction of its own."""
        order, places = names(stream.order), [stream.columns.index(column) for column in stream.order]
        size = rows
        while True:
            condition = sa.and_(order[0].is_not(None), sa.not_(self._ahead(stream)))
            if at is not None:
                condition = sa.and_(condition, self._after(order, at))
            query = sa.select(*names(stream.columns)).select_from(stream.relation).where(condition).order_by(*order).limit(size + 1)
            with self._faults():
                read = self._connection.execute(query).fetchall()
                self._alone = self._begun is not None and self._begun == self._version()
                self._connection.rollback()
            end, is_last = len(read), len(read) <= size
            if not is_last:
                behind = [read[size][place] for place in places]
                if not (end := border([[row[place] for place in places] == behind for row in read], size)):
                    size *= 2
                    continue
            if end:
                at = [_json(read[end - 1][place]) for place in places]
                yield Page(list(_batches(read[:end], stream.columns)), at)
            if is_last:
                return
            size = rows

    # --- the session ----------------------------------------------------------------------------------------

    def _faults(self) -> Any:
        return faults(self._source, sa.exc.SQLAlchemyError, OSError)

    def _version(self) -> int:
        """A number that changes when somebody else has written to the file."""
        return int(self._connection.exec_driver_sql("PRAGMA data_version").scalar_one())

    def _rows(self, query: sa.Select[Any], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with self._faults():
            result = self._connection.execution_options(stream_results=True, max_row_buffer=_CHUNK).execute(query)
        while True:
            with self._faults():
                rows = result.fetchmany(_CHUNK)
            if not rows:
                break
            yield from _batches(rows, columns)
        with self._faults():
            self._alone = self._begun is not None and self._begun == self._version()
            self._connection.rollback()

    def _after(self, order: Sequence[sa.ColumnElement[Any]], at: Values) -> sa.ColumnElement[bool]:
        return after(order, [_value(value) for value in at], self._nulls_first)

    def _ahead(self, stream: Stream) -> sa.ColumnElement[bool]:
        """Whether a time lies in the future, or is none: reading on from there would pass by all that is to come."""
        (column,) = names(stream.order[:1])
        if not stream.is_time:
            return sa.false()
        now = datetime.now(UTC).astimezone(ZoneInfo(stream.zone))
        if self._is_sqlite:
            late = now.strftime("%Y-%m-%d %H:%M:%S")
            kind = sa.func.typeof(column)
            number = sa.and_(kind.in_(("integer", "real")), no_present_number(column, stream.formats, now, stream.zone))
            return sa.or_(kind == "blob", sa.and_(kind == "text", sa.or_(column > late, column < "0000")), number)
        with self._faults():
            sample = self._connection.execute(sa.select(sa.func.max(column)).select_from(stream.relation)).scalar()
            self._connection.rollback()
        if isinstance(sample, datetime):
            return column > (now if sample.tzinfo else now.replace(tzinfo=None))
        if isinstance(sample, int | float | Decimal):
            return no_present_number(column, stream.formats, now, stream.zone)
        return column > now.date() if isinstance(sample, date) else sa.false()


def _read_only(source: str, url: sa.URL, folder: Path) -> sa.URL:
    """The URL of an existing SQLite file, to be opened for reading only."""
    if not url.database or url.database == ":memory:":
        raise fault(source, "location 没有写明 SQLite 文件")
    path = (folder / Path(url.database.removeprefix("file:")).expanduser()).resolve()
    if not path.is_file():
        raise fault(source, "SQLite 文件不存在，请检查 location 的路径")
    return sa.URL.create("sqlite", database=path.as_uri(), query={"mode": "ro", "uri": "true"})


def _decoded(value: bytes) -> str:
    for encoding in ("utf-8", "gb18030"):
        with suppress(UnicodeDecodeError):
            return value.decode(encoding)
    return value.decode("utf-8", "replace")


def _batches(rows: Sequence[Any], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), _CHUNK):
        texts = [pa.array([value if type(value) is str or value is None else _text(value) for value in column], pa.string()) for column in zip(*rows[start : start + _CHUNK], strict=True)]
        yield pa.RecordBatch.from_arrays(texts, names=list(columns))


def _text(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return "\\x" + bytes(value).hex()
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return str(value)


def _json(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime | date):
        return {"type": type(value).__name__, "text": value.isoformat()}
    return {"type": type(value).__name__, "text": str(value)}


def _value(value: Any) -> Any:
    return _TYPES.get(value["type"], str)(value["text"]) if isinstance(value, dict) else value


def _back(value: Any, seconds: float) -> Any:
    """A position so many seconds earlier, written as it was; numbers and other texts as they are."""
    if not seconds:
        return value
    if isinstance(value, datetime):
        return value - timedelta(seconds=seconds)
    if isinstance(value, date):
        return value - timedelta(days=int(-(-seconds // 86400)))
    if isinstance(value, str) and _DAY.match(value):
        with suppress(ValueError):
            moved = datetime.fromisoformat(value.strip()) - timedelta(seconds=seconds)
            return moved.isoformat("T" if "T" in value else " ")[: max(len(value.strip()), 10)]
    return value
