"""数据质检: how good the data is by department and subject, the trend, the worst rules, the records behind them. Whole pages without script."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from models.domain.contracts import SUBJECT_TITLES
from models.domain.errors import YiwangError
from models.domain.ids import instant_of
from models.domain.spreadsheets import no_formula
from models.store.quality import COUNTED, STATES, QualityRepository, Wanted
from models.store.snapshots import Snapshot, SnapshotStore
from quality.catalogue.subjects import TABLES
from quality.catalogue.words import said, title_of
from quality.service import DIMENSIONS
from quality.service import SEVERITIES as WORDS
from quality.suspicion.service import KINDS, MOST
from serving.auth.service import WAREHOUSE_READ, require
from serving.web.catalogue import staff_page
from serving.web.templating import Templates

_SIGNS = {"blocks": ("bad", "!"), "counts": ("warn", "○"), "advises": ("soft", "–")}
SEVERITIES = {severity: (word, *_SIGNS[severity]) for severity, word in WORDS.items()}
"""Severity → word, colour, sign: never the colour alone."""
SUBJECTS = {name: SUBJECT_TITLES[name] for name in ("matter", "case", "case_event", "certificate", "review")} | {
    "relation": "主题间关系", "figures": "指标口径", "history": "历史版本", "personal": "个人信息",
}  # fmt: skip
"""Subject of rules (the file that they stand in) → title, in the order in which people read them."""
STATE_TITLES = {"open": "未整改", "healed": "已整改", "all": "全部"}
_COLUMNS = {
    "rule_id": "规则", "rule_title": "问题", "table_name": "数据表", "subject": "主题", "source": "数据源", "record_key": "记录", "field": "字段", "value": "值", "department_code": "部门代码",
    "department_name": "部门", "partition_on": "日期", "severity": "等级", "dimension": "维度", "message": "说明", "first_seen_run": "首次发现的运行", "first_seen_at": "首次发现",
    "remedy": "怎么改", "last_seen_run": "最近发现的运行", "last_seen_at": "最近发现", "healed_run": "整改的运行", "healed_at": "整改", "times_reopened": "复发次数",
}
_SIZE = 50
_SHOWN = 20
"""Suspicions of a kind where all kinds are shown."""
Word = Annotated[str, Query(max_length=200)]
Number = Annotated[int, Query(ge=1, le=1_000_000)]


def quality_router(store: SnapshotStore, templates: Templates) -> APIRouter:
    """``/quality`` and what lies below, for principals that may read the warehouse."""
    router = APIRouter(include_in_schema=False, dependencies=[require(WAREHOUSE_READ)])
    quality = QualityRepository(store)

    def page(request: Request, template: str, snapshot: Snapshot, **values: Any) -> Response:
        return staff_page(
            request, templates, template, here="quality", snapshot=snapshot, severities=SEVERITIES, dimensions=DIMENSIONS, subjects=SUBJECTS, states=STATE_TITLES, counted=COUNTED, table_title=table_title, field_title=title_of, said=said, **values
        )  # fmt: skip

    @router.get("/quality")
    def overview(request: Request) -> Response:
        snapshot = store.in_service()
        found = quality.overview(snapshot)
        return page(request, "quality.html", snapshot, found=found, card=scorecard(found.cells, found.departments), chart=trend(found.trend))

    @router.get("/quality/rules")
    def rules(request: Request) -> Response:
        snapshot = store.in_service()
        return page(request, "quality_rules.html", snapshot, rules=quality.rules(snapshot))

    @router.get("/quality/violations")
    def violations(
        request: Request, rule: Word = "", department: Word | None = None, subject: Word = "", severity: Word = "", key: Word = "", state: Word = "open", number: Number = 1
    ) -> Response:  # fmt: skip
        snapshot = store.in_service()
        wanted = _wanted(rule, department, subject, severity, key, state)
        rows, count = quality.violations(snapshot, wanted, number, _SIZE)
        if not rows and count:  # beyond the last page: the last one
            number = -(-count // _SIZE)
            rows, count = quality.violations(snapshot, wanted, number, _SIZE)
        departments, present = quality.choices(snapshot)
        return page(
            request, "quality_violations.html", snapshot, rows=rows, count=count, number=number, pages=max(1, -(-count // _SIZE)), wanted=wanted, query=_query(wanted), departments=departments,
            present=present,
        )  # fmt: skip

    @router.get("/quality/violations.csv")
    def export(request: Request, rule: Word = "", department: Word | None = None, subject: Word = "", severity: Word = "", key: Word = "", state: Word = "open") -> Response:
        snapshot = store.in_service()
        wanted = _wanted(rule, department, subject, severity, key, state)
        name = f"violations-{snapshot.as_of:%Y%m%d}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        return StreamingResponse(_csv(quality.export(snapshot, wanted), templates.instant), media_type="text/csv; charset=utf-8", headers=headers)

    @router.get("/quality/suspicions")
    def suspicions(request: Request, kind: Word = "", unruled: bool = False) -> Response:
        if kind and kind not in KINDS:
            raise YiwangError("YW-SERVE-005", name="类别", detail="请从页面的选项中选择")
        snapshot = store.in_service()
        rows = quality.suspicions(snapshot, kind or None, unruled_only=unruled, most=MOST if kind else _SHOWN)
        return page(request, "quality_suspicions.html", snapshot, rows=rows, kinds=KINDS, kind=kind, unruled=unruled, shown=None if kind else _SHOWN)

    @router.get("/quality/profile")
    def profile(request: Request, table: Word = "") -> Response:
        snapshot = store.in_service()
        tables = quality.profiled(snapshot)
        if table and table not in {row["table_name"] for row in tables}:
            raise YiwangError("YW-SERVE-006", what="此表的画像")
        columns = quality.profile(snapshot, table) if table else []
        return page(request, "quality_profile.html", snapshot, tables=tables, table=table, columns=[told(row) for row in columns], drifted=quality.drifted(snapshot), titles=quality.titles(snapshot))

    @router.get("/quality/record")
    def record(request: Request, table: Word, key: Annotated[str, Query(max_length=500)], source: Word | None = None) -> Response:
        snapshot = store.in_service()
        rows = quality.record(snapshot, table, source, key)
        if not rows:
            raise YiwangError("YW-SERVE-006", what="这条记录的质检问题")
        return page(request, "quality_record.html", snapshot, rows=rows, table=table, source=source, key=key, moments=moments(rows))

    return router


def told(column: dict[str, Any]) -> dict[str, Any]:
    """A profiled column with what is kept as JSON read, and its share of nulls as people read it.

    Args:
        column: Row of ``marts.quality_profile``.
    """
    read = {name: json.loads(column[name]) if column[name] else [] for name in ("frequent", "shapes")}
    nulls, rows = column["null_count"], column["row_count"]
    share = "—" if not rows else "<0.1%" if 0 < nulls < rows / 1000 else ">99.9%" if rows * 0.999 < nulls < rows else f"{nulls / rows:.1%}"
    return column | read | {"null_share": share}


@dataclass(frozen=True)
class Card:
    """The scorecard: subjects across, departments down, those with the greatest share of spoilt records first; each cell a share of checks that passed."""

    subjects: list[str]
    lines: list[dict[str, Any]]


def scorecard(cells: Sequence[dict[str, Any]], departments: Sequence[dict[str, Any]] = ()) -> Card:
    """Lay the cells out.

    Args:
        cells: Rows of :attr:`models.store.quality.Overview.cells`.
        departments: Rows of :attr:`models.store.quality.Overview.departments`.
    """
    records = {row["department_code"]: row for row in departments}
    by_department: dict[str | None, dict[str, Any]] = {}
    checked: dict[str, int] = defaultdict(int)
    for cell in cells:
        line = by_department.setdefault(cell["department_code"], {"code": cell["department_code"], "name": cell["department_name"], "cells": {}, "checked": 0, "failed": 0})
        line["cells"][cell["subject"]] = cell | {"passed": 1 - cell["rows_failed"] / cell["rows_checked"]}
        line["checked"] += cell["rows_checked"]
        line["failed"] += cell["rows_failed"]
        checked[cell["subject"]] += cell["rows_checked"]
    order = list(SUBJECTS)
    subjects = sorted(checked, key=lambda name: order.index(name) if name in order else len(order))
    lines = []
    for code, line in by_department.items():
        of = records.get(code, {"records": 0, "records_failed": 0})
        lines.append(line | of | {"passed": 1 - line["failed"] / line["checked"], "spoilt": of["records_failed"] / of["records"] if of["records"] else 0.0})
    return Card(subjects, sorted(lines, key=lambda line: (-line["spoilt"], line["passed"])))


def table_title(table: str) -> str:
    """What people call the mart whose rows a rule checks."""
    return TABLES[table].title if table in TABLES else table


@dataclass(frozen=True)
class Chart:
    """A line of failed checks by run, as SVG: points, the path through them, marks of the axis."""

    width: int
    height: int
    points: list[dict[str, Any]]
    path: str
    marks: list[tuple[float, str]]


def trend(rows: Sequence[dict[str, Any]], width: int = 720, height: int = 200, most: int = 60) -> Chart | None:
    """Geometry of the trend; None where one run tells no trend.

    Args:
        rows: Rows of :attr:`models.store.quality.Overview.trend`.
        width: Pixels.
        height: Pixels.
        most: Runs at most, the newest.
    """
    shown = list(rows)[-most:]
    if len(shown) < 2:
        return None
    top = max(max(row["rows_failed"] for row in shown), 1)
    left, right, up, down = 64, 16, 12, 28
    points = [
        row | {
            "x": round(left + (width - left - right) * number / (len(shown) - 1), 1),
            "y": round(up + (height - up - down) * (1 - row["rows_failed"] / top), 1),
        }
        for number, row in enumerate(shown)
    ]  # fmt: skip
    path = "M" + " L".join(f"{point['x']} {point['y']}" for point in points)
    return Chart(width, height, points, path, [(up, f"{top:,}"), (height - down, "0")])


def moments(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The history of a record: found, seen again, mended, in the order of the runs, whose ids sort by time; days of the data may repeat.

    Args:
        rows: Violations of one record.
    """
    told = [{"at": row["first_seen_at"], "run": row["first_seen_run"], "what": "发现", "row": row} for row in rows]
    told += [
        {"at": row["last_seen_at"], "run": row["last_seen_run"], "what": "仍未整改", "row": row}
        for row in rows
        if row["healed_at"] is None and row["last_seen_run"] != row["first_seen_run"]
    ]
    told += [{"at": row["healed_at"], "run": row["healed_run"], "what": "已整改", "row": row} for row in rows if row["healed_at"] is not None]
    return [moment | {"ran_at": ran_at(moment["run"])} for moment in sorted(told, key=lambda moment: (moment["at"], moment["run"] or ""))]


def ran_at(run: str | None) -> datetime | None:
    """When a run began, which its id says; None where it is none of ours."""
    try:
        return instant_of(UUID(run or ""))
    except ValueError:
        return None


def _wanted(rule: str, department: str | None, subject: str, severity: str, key: str, state: str) -> Wanted:
    if state not in STATES or (severity and severity not in (*SEVERITIES, COUNTED)):
        raise YiwangError("YW-SERVE-005", name="条件", detail="请从页面的选项中选择")
    # a browser sends every field of a form: an empty one is any department, "-" those of none
    return Wanted(state, rule or None, None if not department else "" if department == "-" else department, subject or None, severity or None, key or None)


def _worded(row: dict[str, Any], instant: Callable[[datetime | None, bool], str]) -> list[Any]:
    """A violation in the words of the page; keys and ids stay."""
    table = row["table_name"]
    words = {
        "table_name": table_title(table), "subject": SUBJECTS.get(row["subject"], row["subject"]), "severity": WORDS.get(row["severity"], row["severity"]),
        "dimension": DIMENSIONS.get(row["dimension"], row["dimension"]), "field": title_of(table, row["field"]) if row["field"] else None,
        "value": said(table, row["field"], row["value"]) if row["value"] is not None else None,
    }  # fmt: skip
    return ["" if value is None else instant(value, True) if isinstance(value, datetime) else value for value in (row | words).values()]


def _query(wanted: Wanted) -> str:
    names = {"rule_id": "rule", "department_code": "department", "record_key": "key"}
    given = {names.get(name, name): ("-" if name == "department_code" and value == "" else value) for name, value in asdict(wanted).items() if value is not None}
    return urlencode(given)


def _csv(pages: Iterator[tuple[list[str], list[tuple[Any, ...]]]], instant: Callable[[datetime | None, bool], str]) -> Iterator[bytes]:
    """As the page says it, with a mark of UTF-8, which spreadsheets look for; what they would take for a formula gets an apostrophe."""
    for number, (names, rows) in enumerate(pages):
        text = io.StringIO()
        writer = csv.writer(text)
        if number == 0:
            text.write("\ufeff")
            writer.writerow([_COLUMNS[name] for name in names])
        for row in rows:
            shown = _worded(dict(zip(names, row, strict=True)), instant)
            writer.writerow([no_formula(value) if isinstance(value, str) else value for value in shown])
        yield text.getvalue().encode()
