"""The templates of the pages and how figures, days and codes are written in them."""

import json
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from models.domain.codes import label
from models.domain.contracts import SUBJECT_TITLES

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content security policy of pages that need no script."""

NONE = "—"
_REASONS = {
    "no_denominator": "本月没有可计的数",
    "below_minimum": "数量不足，不计分",
    "no_indicator_scored": "没有可计分的指标",
}
"""Null reasons of indicators and scores, as people read them."""


class Templates:
    """Renders templates of the package; everything that is put into one is escaped.

    Args:
        zone: Zone in which instants are shown.
    """

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._environment = Environment(
            loader=PackageLoader("serving.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._environment.filters |= {
            "number": number, "share": share, "day": day, "month": month, "instant": self.instant, "label": _label, "labels": _labels,
            "reason": reason, "subject": subject, "limit": _limit, "trips": _trips, "yes": _yes, "materials": _materials,
        }

    def render(self, template: str, **values: Any) -> str:
        """The text of a template."""
        return self._environment.get_template(template).render(**values)

    def instant(self, value: datetime | None, seconds: bool = False) -> str:
        """An instant in the zone of the platform."""
        return NONE if value is None else value.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def number(value: float | None, digits: int = 0) -> str:
    """A figure with thousands separators; digits after the point only where it has any."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if float(value).is_integer() and not digits else f"{value:,.{digits or 2}f}"


def share(value: float | None) -> str:
    """A share from 0 to 1 as a percentage."""
    return NONE if value is None else f"{value:.1%}"


def day(value: date | None) -> str:
    """A day as people write it."""
    return NONE if value is None else f"{value.year}年{value.month}月{value.day}日"


def month(value: date | None) -> str:
    """A month as people write it."""
    return NONE if value is None else f"{value.year}年{value.month}月"


def reason(value: str | None) -> str:
    """Why there is no figure."""
    return "" if value is None else _REASONS.get(value, value)


def subject(value: str) -> str:
    """Chinese title of a synchronised subject."""
    return SUBJECT_TITLES.get(value, value)


def _label(code: str | None, table: str) -> str:
    return label(table, code) or NONE


def _labels(codes: str | None, table: str) -> str:
    return "、".join(label(table, code.strip()) for code in (codes or "").split(",") if code.strip()) or NONE


def _limit(value: int | None, unit: str | None) -> str:
    """A time limit with its unit; a promise of nothing is 即办."""
    if value is None:
        return NONE
    return "即时办结" if value == 0 else f"{value} 个{label('L.limit_unit', unit or 'wd')}"


def _trips(value: int | None) -> str:
    """How often one has to come."""
    return NONE if value is None else "不用跑" if value == 0 else f"最多 {value} 次"


def _yes(value: bool | None, yes: str = "是", no: str = "否") -> str:
    return NONE if value is None else yes if value else no


def _materials(text: str | None) -> list[dict[str, Any]]:
    """The materials of a matter; nothing where the source's text is no list of objects."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
