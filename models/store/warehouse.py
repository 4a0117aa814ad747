"""Questions to the published snapshot: lists in pages, one row with what belongs to it, and read-only SQL.

All SQL of the API and the pages is here. Names come from :mod:`models.store.resources`, values are always bound.
What does not belong here: HTTP, and where snapshots come from (:mod:`models.store.snapshots`).
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from models.domain.errors import YiwangError
from models.store.cursors import Cursor, question_of, text_of
from models.store.resources import ALL, Filter, Resource
from models.store.snapshots import Snapshot, SnapshotStore
from models.store.sql import query as query

DEFAULT_LIMIT = 50
MOST_LIMIT = 200
_ROW = "_row"


@dataclass(frozen=True)
class Page:
    """A part of a list.

    Attributes:
        snapshot: What it was read from.
        items: Rows, by column name.
        next: Token of the page that follows, None on the last one.
        count: Rows of the whole list, None unless asked for.
    """

    snapshot: Snapshot
    items: list[dict[str, Any]]
    next: str | None
    count: int | None


class WarehouseRepository:
    """Reads the warehouse's published marts.

    Args:
        store: Where the snapshots are.
    """

    def __init__(self, store: SnapshotStore) -> None:
        self.store = store
        self._columns = lru_cache(maxsize=256)(_columns)

    def snapshot(self, as_of: date | None = None, cursor: str | None = None) -> Snapshot:
        """The snapshot to read: the cursor's, else the newest with that as-of day, else the one in service.

        Args:
            as_of: Day in the platform's zone.
            cursor: Token of a page.

        Raises:
            YiwangError: YW-STORE-001 when nothing is published, YW-STORE-004 when the cursor's snapshot is gone,
                YW-STORE-005 when none has that day, YW-STORE-006 when the cursor is broken or of another day.
        """
        kept = self.store.kept()
        if not kept:
            raise YiwangError("YW-STORE-001", home=self.store.home)
        zone = ZoneInfo(self.store.zone)
        days = {snapshot: snapshot.as_of.astimezone(zone).date() for snapshot in kept}
        if cursor is not None:
            file = Cursor.parse(cursor).file
            found = next((snapshot for snapshot in kept if snapshot.file == file), None)
            if found is None:
                raise YiwangError("YW-STORE-004", run_id=file.removesuffix(".duckdb"))
            if as_of is not None and days[found] != as_of:
                raise YiwangError("YW-STORE-006", detail="它属于另一个截止日")
            return found
        if as_of is None:
            return kept[0]
        found = next((snapshot for snapshot in kept if days[snapshot] == as_of), None)
        if found is None:
            raise YiwangError("YW-STORE-005", day=as_of, available="、".join(sorted({day.isoformat() for day in days.values()})))
        return found

    def page(
        self, name: str, filters: dict[str, Any] | None = None, *, sort: str | None = None, limit: int = DEFAULT_LIMIT,
        cursor: str | None = None, count: bool = False, snapshot: Snapshot | None = None,
    ) -> Page:
        """A page of a resource.

        Args:
            name: Key of :data:`models.store.resources.ALL`.
            filters: Filter name → value; None values are ignored.
            sort: One of the resource's sorts, ``-`` in front for descending; rows without a value come last.
            limit: Most rows, 1 to 200.
            cursor: ``next`` of the page before.
            count: Whether to count the whole list too.
            snapshot: What to read; None for the cursor's or the one in service.

        Raises:
            YiwangError: as :meth:`snapshot`; YW-STORE-006 when the cursor belongs to another question; YW-STORE-007
                when the snapshot's tables are another version's; YW-SERVE-005 for an unknown sort or a wrong limit.
        """
        resource = ALL[name]
        sort = sort or resource.sorts[0]
        given = {key: value for key, value in (filters or {}).items() if value is not None}
        if sort.lstrip("-") not in sortable(name):
            raise YiwangError("YW-SERVE-005", name="sort", detail=f"只能是 {'、'.join(sortable(name))}，可在前面加 - 表示降序")
        if not 1 <= limit <= MOST_LIMIT:
            raise YiwangError("YW-SERVE-005", name="limit", detail=f"应在 1 到 {MOST_LIMIT} 之间")
        snapshot = snapshot or self.snapshot(cursor=cursor)
        question = question_of(name, given, sort)
        conditions, parameters = _conditions(resource, given)
        column, order = sort.lstrip("-"), "DESC" if sort.startswith("-") else "ASC"
        with self.store.acquire(snapshot) as connection:
            types = self._columns(connection, snapshot.file, resource.table)
            if not types:
                return Page(snapshot, [], None, 0 if count else None)
            total = _count(connection, resource, conditions, parameters) if count else None
            if cursor is not None:
                after, values = _after(Cursor.parse(cursor), question, column, order, types[column])
                conditions, parameters = [*conditions, after], [*parameters, *values]
            names = [column_name for column_name in types if not column_name.startswith("_")]
            # which rows first, by the few columns that decide it; then all columns of those (DuckDB would do the same by
            # itself, but 2.0.0 fails on it with a condition on rowid: the store switches that off)
            ordered = f"ORDER BY {column} {order} NULLS LAST, rowid"
            found = f"SELECT rowid FROM marts.{resource.table}{_where(conditions)} {ordered} LIMIT {limit + 1}"  # noqa: S608 (names of RESOURCES)
            sql = f"SELECT {', '.join(names)}, rowid AS {_ROW} FROM marts.{resource.table} WHERE rowid IN ({found}) {ordered}"  # noqa: S608
            rows = _fetch(connection, sql, parameters, in_cursor=cursor is not None)
        items = [dict(zip(names, row, strict=False)) for row in rows[:limit]]
        token = None
        if len(rows) > limit:
            last = rows[limit - 1]
            token = Cursor(snapshot.file, question, text_of(last[names.index(column)]), last[-1]).token()
        return Page(snapshot, items, token, total)

    def get(self, name: str, key: tuple[Any, ...], *, snapshot: Snapshot | None = None) -> dict[str, Any] | None:
        """One row of a resource with its details (a case with events, certificates and reviews), None if there is none.

        Args:
            name: Key of :data:`models.store.resources.ALL`.
            key: Values of the resource's key columns.
            snapshot: What to read; None for the one in service.
        """
        resource = ALL[name]
        snapshot = snapshot or self.snapshot()
        with self.store.acquire(snapshot) as connection:
            found = self._rows(connection, snapshot, resource.table, resource.key, key, "rowid")
            if not found:
                return None
            item = found[0]
            for title, detail in resource.details.items():
                values = tuple(item[column] for column in detail.on)
                item[title] = self._rows(connection, snapshot, detail.table, detail.on, values, detail.order)
        return item

    def _rows(
        self, connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, table: str, on: tuple[str, ...], values: tuple[Any, ...], order: str
    ) -> list[dict[str, Any]]:
        types = self._columns(connection, snapshot.file, table)
        if not types:
            return []
        names = [column for column in types if not column.startswith("_")]
        matches = " AND ".join(f"{column} = CAST(? AS {types[column]})" for column in on)
        sql = f"SELECT {', '.join(names)} FROM marts.{table} WHERE {matches} ORDER BY {order}"  # noqa: S608 (names of RESOURCES)
        return [dict(zip(names, row, strict=True)) for row in _fetch(connection, sql, list(values))]


def sortable(name: str) -> tuple[str, ...]:
    """The columns by which a resource may be sorted."""
    return tuple(column.lstrip("-") for column in ALL[name].sorts)


def _columns(connection: duckdb.DuckDBPyConnection, file: str, table: str) -> dict[str, str]:
    """Column name → type of a mart, empty where this snapshot has no such table; ``file`` is the cache's key."""
    sql = "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'marts' AND table_name = ? ORDER BY column_index"
    return dict(connection.execute(sql, [table]).fetchall())


def _conditions(resource: Resource, given: dict[str, Any]) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []
    for name, value in given.items():
        condition, values = _condition(resource.filters[name], value)
        conditions.append(condition)
        parameters += values
    return conditions, parameters


def _condition(wanted: Filter, value: Any) -> tuple[str, list[Any]]:
    column = wanted.column
    match wanted.test:
        case "contains":
            return f"contains({column}, ?)", [value]
        case "positive":
            return f"({column} > 0) = ?", [value]
        case "present":
            return f"({column} IS NOT NULL) = ?", [value]
        case "=" if isinstance(value, list | tuple):
            return f"{column} IN ({', '.join('?' * len(value))})", list(value)
        case test:
            return f"{column} {test} ?", [value]


def _after(cursor: Cursor, question: str, column: str, order: str, kind: str) -> tuple[str, list[Any]]:
    """The condition that a row comes after the cursor's in ``ORDER BY column order NULLS LAST, rowid``."""
    if cursor.question != question:
        raise YiwangError("YW-STORE-006", detail="筛选条件或排序与上一页不同")
    if cursor.value is None:
        return f"({column} IS NULL AND rowid > ?)", [cursor.row]
    value, beyond = f"CAST(? AS {kind})", "<" if order == "DESC" else ">"
    condition = f"({column} IS NULL OR {column} {beyond} {value} OR ({column} = {value} AND rowid > ?))"
    return condition, [cursor.value, cursor.value, cursor.row]


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _count(connection: duckdb.DuckDBPyConnection, resource: Resource, conditions: list[str], parameters: list[Any]) -> int:
    sql = f"SELECT count(*) FROM marts.{resource.table}{_where(conditions)}"  # noqa: S608 (names of RESOURCES)
    return int(_fetch(connection, sql, parameters)[0][0])


def _fetch(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any], in_cursor: bool = False) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(sql, parameters).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise YiwangError("YW-STORE-007", detail=str(error).splitlines()[0]) from error
    except duckdb.ConversionException as error:
        if in_cursor:
            raise YiwangError("YW-STORE-006", detail="内容不完整") from error
        raise
