"""What the report says: figures arranged for its template, with addresses and queries as evidence.

What does not belong here: SQL that reads figures (``models.store.report``), HTML (``templates/``).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup

from models.domain.codes import label
from models.domain.contracts import SUBJECT_TITLES
from models.reporting import charts, format
from models.store.drilldown import Part, drill_down, month_end
from models.store.report import MONTHS, ReportFigures, Row, evidence_sql

API = "/api/v1/warehouse"
NULL_REASONS = {"no_denominator": "分母为零", "below_minimum": "分母不足", "no_indicator_scored": "没有可评的指标", "too_few_indicators": "可评的指标太少"}
NO_DUE = {
    "no_limit": "事项没有承诺或法定时限", "not_accepted": "截至数据时刻尚未受理", "calendar_unpublished": "到期日超出已公布的工作日历",
    None: "其他原因",
}  # fmt: skip
SYNC_COLUMNS = {
    "rows_read": "读取", "inserted": "新增", "updated": "更新", "unchanged": "未变", "superseded": "被替代", "deleted": "删除", "quarantined": "隔离",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One indicator of one department."""

    text: str
    fraction: str
    level: str
    note: str
    address: str


@dataclass(frozen=True)
class Line:
    """One department of the ranking and of the heat table."""

    name: str
    kind_code: str | None
    kind: str
    rank: str
    score: str
    scored: str
    note: str
    bar: Markup
    trend: Markup
    address: str
    cells: list[Cell]


def arrange(figures: ReportFigures) -> dict[str, Any]:
    """All names that the template uses."""
    indicators = _indicators(figures)
    lines = _lines(figures, [indicator["indicator_code"] for indicator in indicators])
    return {
        "figures": figures,
        "f": format,
        "label": figures.totals[0]["label"] if figures.totals else "自评",
        "indicators": indicators,
        "ranked": [line for line in lines if line.rank != format.NOTHING],
        "unranked": [line for line in lines if line.rank == format.NOTHING],
        "lines": lines,
        "sync_columns": SYNC_COLUMNS,
        "subject_titles": SUBJECT_TITLES,
        "failed": [check for check in figures.checks if check["passed"] is False],
        "passed": [check for check in figures.checks if check["passed"]],
        "empty": [check for check in figures.checks if check["passed"] is None],
        "blocking": [check for check in figures.checks if check["passed"] is False and check["gate"]],
        "volume": _volume_chart(figures.volume),
        "on_time": _on_time_chart(figures.volume),
        "not_clocked": [(NO_DUE.get(row["reason"], row["reason"]), row["cases"]) for row in figures.not_clocked],
        "not_scored": _not_scored(figures.indicators),
        "months": MONTHS,
    }


def _lines(figures: ReportFigures, codes: list[str]) -> list[Line]:
    cells = {(row["department_code"], row["indicator_code"]): row for row in figures.indicators}
    trends: dict[str, dict[date, float | None]] = {}
    for row in figures.trend:
        trends.setdefault(row["department_code"], {})[row["month"]] = row["score"]
    months = _last_months(figures.month) if figures.month else []
    return [_line(total, [cells.get((total["department_code"], code)) for code in codes], trends.get(total["department_code"], {}), months) for total in figures.totals]


def _line(total: Row, cells: list[Row | None], trend: Mapping[date, float | None], months: list[date]) -> Line:
    score, scored, of = total["score"], total["indicators_scored"], total["indicators_total"]
    values = [trend.get(month) for month in months]
    known = [(month, value) for month, value in zip(months, values, strict=True) if value is not None]
    told = f"{total['department_name']}：{format.month(known[0][0])} {format.points(known[0][1])} 分，{format.month(known[-1][0])} {format.points(known[-1][1])} 分" if known else ""
    return Line(
        name=total["department_name"],
        kind_code=total["department_kind_code"],
        kind=label("L.department_kind", total["department_kind_code"]),
        rank=format.count(total["rank"]),
        score=format.points(score),
        scored=f"{scored}/{of}",
        note=NULL_REASONS.get(total.get("null_reason") or "", ""),
        bar=charts.bar(score),
        trend=charts.sparkline(values, told),
        address=f"{API}/scores/{quote(total['system_code'])}/{quote(total['department_code'])}/{total['month']:%Y-%m}",
        cells=[_cell(cell) for cell in cells],
    )


def _cell(row: Row | None) -> Cell:
    if row is None:
        return Cell(format.NOTHING, "", "none", "没有数据", "")
    fraction = f"{format.amount(row['numerator'])}/{format.amount(row['denominator'])}"
    query = {
        "department_code": row["department_code"], "measure_code": row["indicator_code"], "date_from": row["month"],
        "date_to": month_end(row["month"]),
    }  # fmt: skip
    address = f"{API}/measures?{urlencode(query)}"
    if row["value"] is None:
        return Cell(format.NOTHING, fraction, "none", NULL_REASONS.get(row["null_reason"], "没有数据"), address)
    return Cell(format.percent(row["value"]), fraction, _level(row["score"]), "", address)


def _level(score: float) -> str:
    """Style class of a score; the lower the number, the weaker."""
    return next((f"level{n}" for n, limit in enumerate((60, 80, 90, 95), start=1) if score < limit), "level5")


def _indicators(figures: ReportFigures) -> list[dict[str, Any]]:
    """The indicators of the month with formula, weight and the query behind them, and the lists behind one department."""
    seen: dict[str, dict[str, Any]] = {}
    for row in figures.indicators:
        code = row["indicator_code"]
        if code not in seen:
            seen[code] = row | {"formula": figures.formulas.get(code, ""), "sql": evidence_sql(code, row["month"]), "example": []}
        if row["value"] is not None and not seen[code]["example"]:
            seen[code]["example"] = _behind(code, row)
    whole = sum(row["weight"] for row in seen.values())
    return [row | {"share": row["weight"] / whole} for _, row in sorted(seen.items())]


def _behind(code: str, row: Row) -> list[tuple[str, str]]:
    """Addresses that list the cases behind an indicator of a department, where it counts cases."""
    lists = drill_down(code, row["department_code"], row["month"], month_end(row["month"]))
    if lists is None:
        return []
    named = [("分子", lists.numerator), ("分母", lists.denominator)]
    return [(f"{row['department_name']}·{side}", _address(part)) for side, parts in named for part in parts]


def _address(part: Part) -> str:
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in part.filters.items()}
    return f"{API}/{part.resource}?{urlencode(texts, doseq=True)}"


def _not_scored(indicators: Sequence[Row]) -> list[tuple[str, int, int]]:
    """Indicator and numbers of departments without a value: no denominator, too small a one."""
    counted = Counter((row["indicator_name"], row["null_reason"]) for row in indicators if row["value"] is None)
    names = dict.fromkeys(row["indicator_name"] for row in indicators)
    found = [(name, counted[name, "no_denominator"], counted[name, "below_minimum"]) for name in names]
    return [line for line in found if line[1] or line[2]]


def _last_months(last: date) -> list[date]:
    numbers = [last.year * 12 + last.month - 1 - back for back in range(MONTHS)][::-1]
    return [date(number // 12, number % 12 + 1, 1) for number in numbers]


def _short(month: date) -> str:
    return f"{month.year % 100}年{month.month}月" if month.month == 1 else f"{month.month}月"


def _volume_chart(volume: list[Row]) -> Markup | None:
    if not any(row["received"] for row in volume):
        return None
    series = [("收件", "received", [row["received"] for row in volume]), ("办结", "completed", [row["completed"] for row in volume])]
    top = max(value or 0 for _, _, values in series for value in values)
    first, last = volume[0], volume[-1]
    told = f"{format.month(first['month'])}收件 {format.count(first['received'])} 件，{format.month(last['month'])}收件 {format.count(last['received'])} 件、办结 {format.count(last['completed'])} 件"
    return charts.columns([_short(row["month"]) for row in volume], series, "逐月收件与办结量", told, f"{format.count(top)} 件")


def _on_time_chart(volume: list[Row]) -> Markup | None:
    shares = [row["on_time"] / row["clocked"] if row["clocked"] else None for row in volume]
    if all(share is None for share in shares):
        return None
    texts = [format.percent(share) for share in shares]
    told = "；".join(f"{format.month(row['month'])} {text}" for row, text in zip(volume, texts, strict=True))
    return charts.line([_short(row["month"]) for row in volume], shares, texts, "逐月按时办结率", told)
