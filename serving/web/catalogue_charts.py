"""Where the shapes of the catalogue's pictures go: the lineage as layers of boxes, the partitions as a calendar.

Geometry only; the templates draw it as SVG, which needs no script. Each picture stands beside a list of the same facts.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from models.store.catalogue import Lineage

_BOX_WIDTH, _BOX_HEIGHT, _GAP_X, _GAP_Y, _EDGE = 172, 44, 56, 12, 8
CELL = 13
"""Pixels from one day of the calendar to the next."""
_MOST_YEARS = 10


@dataclass(frozen=True)
class Graph:
    """A picture of a lineage: boxes (rows of ``catalogue_table`` with ``x``, ``y``, ``lines``) and curves (SVG paths)."""

    width: int
    height: int
    boxes: list[dict[str, Any]]
    curves: list[dict[str, Any]]


def graph(lineage: Lineage, focus: str | None = None) -> Graph:
    """Lay a lineage out from left to right: each product stands to the right of all that it is made from."""
    upstream, downstream = defaultdict(list), defaultdict(list)
    for above, below in lineage.edges:
        upstream[below].append(above)
        downstream[above].append(below)
    names = [row["table_name"] for row in lineage.products]
    depth = _depths(names, upstream)
    # what nothing is made from on its left moves close to what is made of it
    for name in names:
        if not upstream[name] and downstream[name] and not name.startswith("source."):
            depth[name] = max(0, min(depth[below] for below in downstream[name]) - 1)
    columns: dict[int, list[str]] = defaultdict(list)
    for name in names:
        columns[depth[name]].append(name)
    place: dict[str, float] = {}
    for number in sorted(columns):
        around = {name: [place[above] for above in upstream[name] if above in place] for name in columns[number]}
        columns[number].sort(key=lambda name: sum(around[name]) / len(around[name]) if around[name] else len(names))  # noqa: B023 - used at once
        for row, name in enumerate(columns[number]):
            place[name] = row - len(columns[number]) / 2
    tallest = max((len(column) for column in columns.values()), default=0)
    at = {
        name: (
            _EDGE + number * (_BOX_WIDTH + _GAP_X),
            round(_EDGE + (row + (tallest - len(column)) / 2) * (_BOX_HEIGHT + _GAP_Y)),
        )
        for number, column in columns.items()
        for row, name in enumerate(column)
    }  # fmt: skip
    boxes = [
        row | {"x": at[row["table_name"]][0], "y": at[row["table_name"]][1], "is_focus": row["table_name"] == focus, "lines": _short(row)}
        for row in lineage.products
    ]
    curves = [{"path": _curve(at[above], at[below]), "is_focus": focus in (above, below)} for above, below in lineage.edges if above in at and below in at]
    width = 2 * _EDGE + (max(columns, default=0) + 1) * (_BOX_WIDTH + _GAP_X) - _GAP_X
    return Graph(width, 2 * _EDGE + tallest * (_BOX_HEIGHT + _GAP_Y), boxes, curves)


def _depths(names: Sequence[str], upstream: dict[str, list[str]]) -> dict[str, int]:
    """Longest way from the left; a circle, which no lineage should have, ends after as many steps as there are products."""
    depth = dict.fromkeys(names, 0)
    for _ in names:
        deeper = {name: max((depth[above] + 1 for above in upstream[name] if above in depth), default=0) for name in names}
        if deeper == depth:
            break
        depth = deeper
    return {name: min(number, len(names)) for name, number in depth.items()}


def _short(row: dict[str, Any]) -> tuple[str, str]:
    title, name = row["title"] or "", row["table_name"].partition(".")[2]
    return (title if len(title) <= 12 else title[:11] + "…", name if len(name) <= 24 else name[:23] + "…")


def _curve(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + _BOX_WIDTH, start[1] + _BOX_HEIGHT // 2, end[0], end[1] + _BOX_HEIGHT // 2
    bend = max(24, (x2 - x1) // 2)
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"


@dataclass(frozen=True)
class Year:
    """A year of the calendar: cells (``x``, ``y``, ``kind``, ``title``), how many of each verdict, where months begin."""

    year: int
    width: int
    height: int
    cells: list[dict[str, Any]]
    months: list[tuple[int, int]]
    ok: int
    missing: int
    unexpected: int


def calendar(partitions: Iterable[dict[str, Any]], last: date) -> list[Year]:
    """The years of a source's partitions, newest first: weeks from left to right, days from Monday down; months as one row.

    Args:
        partitions: Rows of ``catalogue_partition`` of one source and table.
        last: Day on which the data stands. Days long before the others and after it are in the list of faults only.
    """
    rows = [row for row in partitions if row["partition_on"] is not None]
    inside = [row for row in rows if row["verdict"] != "unexpected"]
    if not inside:
        return []
    is_monthly = any(row["grain"] == "month" for row in inside)
    first, newest = min(row["partition_on"] for row in inside).year, max(last, max(row["partition_on"] for row in inside)).year
    first = max(first, newest - _MOST_YEARS + 1)
    levels = _levels([row["row_count"] for row in inside if row["row_count"]])
    by_year: dict[int, dict[date, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        if first <= row["partition_on"].year <= newest and (not is_monthly or row["grain"] == "month"):
            by_year[row["partition_on"].year][row["partition_on"]] = row
    return [_year(year, by_year[year], is_monthly, levels) for year in range(newest, first - 1, -1)]


def _year(year: int, rows: dict[date, dict[str, Any]], is_monthly: bool, levels: Sequence[int]) -> Year:
    cells, months = [], []
    if is_monthly:
        for month in range(1, 13):
            cells.append(_cell((month - 1) * 3 * CELL, 0, rows.get(date(year, month, 1)), f"{year} 年 {month} 月", levels))
            months.append(((month - 1) * 3 * CELL, month))
        width, height = 36 * CELL, CELL
    else:
        day, offset = date(year, 1, 1), date(year, 1, 1).weekday()
        while day.year == year:
            number = (day - date(year, 1, 1)).days + offset
            cells.append(_cell(number // 7 * CELL, number % 7 * CELL, rows.get(day), f"{day}", levels))
            if day.day == 1:
                months.append((number // 7 * CELL, day.month))
            if day == date.max:
                break
            day += timedelta(1)
        width, height = 54 * CELL, 7 * CELL
    count = {verdict: sum(row["verdict"] == verdict for row in rows.values()) for verdict in ("ok", "missing", "unexpected")}
    return Year(year, width, height, cells, months, count["ok"], count["missing"], count["unexpected"])


def _cell(x: int, y: int, row: dict[str, Any] | None, when: str, levels: Sequence[int]) -> dict[str, Any]:
    if row is None:
        return {"x": x, "y": y, "kind": "none", "title": None}
    if row["verdict"] == "missing":
        return {"x": x, "y": y, "kind": "missing", "title": f"{when}：缺失"}
    if row["verdict"] == "unexpected":
        return {"x": x, "y": y, "kind": "unexpected", "title": f"{when}：多余 {row['row_count']:,} 行"}
    level = sum(row["row_count"] > level for level in levels)
    return {"x": x, "y": y, "kind": f"ok{level}", "title": f"{when}：{row['row_count']:,} 行"}


def _levels(counts: list[int]) -> list[int]:
    """Thirds of the counts: how dark a cell is says in which it lies."""
    ordered = sorted(counts)
    return [ordered[len(ordered) // 3], ordered[2 * len(ordered) // 3]] if ordered else []
