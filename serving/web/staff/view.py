"""What the staff page shows at one moment: read from one snapshot, in one go, on a thread.

What does not belong here: NiceGUI.
"""

from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from models.store.drilldown import Part, drill_down, month_end
from models.store.pages import PageRepository, RunState
from models.store.snapshots import Snapshot
from models.store.warehouse import WarehouseRepository
from serving.web.templating import Templates

CASES = "/api/v1/warehouse/"
COUNTS = ("inserted", "updated", "unchanged", "superseded", "deleted", "quarantined")


@dataclass(frozen=True)
class Desk:
    """What the page reads and writes with."""

    pages: PageRepository
    warehouse: WarehouseRepository
    templates: Templates


@dataclass(frozen=True)
class Choice:
    """What is chosen on the page; for None, and for what the snapshot does not have: the first system, the newest whole
    month, the best department."""

    system: str | None = None
    month: date | None = None
    department: str | None = None


@dataclass(frozen=True)
class View:
    """All that the page shows.

    Attributes:
        snapshot: What it was read from.
        state: How the run went.
        systems: Codes of the indicator systems.
        months: Months with scores, newest first.
        choice: What is shown of them; its parts are None only where there are no scores.
        scores: The departments of the month.
        indicators: The indicators of the chosen department, each with links to the rows behind it.
        trend: Twelve months of the chosen department.
    """

    snapshot: Snapshot
    state: RunState
    systems: list[str]
    months: list[date]
    choice: Choice
    scores: list[dict[str, Any]]
    indicators: list[dict[str, Any]]
    trend: list[dict[str, Any]]

    @property
    def department_name(self) -> str:
        """Name of the chosen department."""
        return next((row["department_name"] for row in self.scores if row["department_code"] == self.choice.department), "")

    @property
    def label(self) -> str:
        """The label that scores carry wherever they are shown (自评)."""
        return next((row["label"] for row in self.scores if row["label"]), "自评")


def read(desk: Desk, wanted: Choice) -> View:
    """The page's view of the snapshot in service.

    Raises:
        YiwangError: YW-STORE-001 when nothing is published.
    """
    pages = desk.pages
    snapshot = pages.store.in_service()
    systems = pages.score_systems(snapshot)
    system = wanted.system if wanted.system in systems else next(iter(systems), None)
    months = pages.score_months(snapshot, system) if system else []
    month = wanted.month if wanted.month in months else _newest_whole(months, snapshot.as_of.astimezone(ZoneInfo(pages.store.zone)).date())
    scores = pages.scores(snapshot, system, month) if system and month else []
    codes = [row["department_code"] for row in scores]
    department = wanted.department if wanted.department in codes else next(iter(codes), None)
    indicators: list[dict[str, Any]] = []
    trend: list[dict[str, Any]] = []
    if system and month and department:
        found = desk.warehouse.get("scores", (system, department, month), snapshot=snapshot) or {}
        indicators = [row | {"behind": behind(row["indicator_code"], department, month)} for row in found.get("indicators", [])]
        trend = pages.score_trend(snapshot, system, department, month)
    choice = replace(wanted, system=system, month=month, department=department)
    return View(snapshot, pages.run_state(snapshot), systems, months, choice, scores, indicators, trend)


def _newest_whole(months: list[date], as_of: date) -> date | None:
    """The newest month that is over, else the newest one; as the command line chooses it."""
    return next((month for month in months if month_end(month) <= as_of), next(iter(months), None))


def behind(indicator_code: str, department_code: str, month: date) -> dict[str, list[tuple[str, str]]]:
    """Links (title, address) to the lists behind an indicator's numerator and denominator, none for what is no count of cases."""
    lists = drill_down(indicator_code, department_code, month, month_end(month))
    if lists is None:
        return {"numerator": [], "denominator": []}
    return {"numerator": [_link(part) for part in lists.numerator], "denominator": [_link(part) for part in lists.denominator]}


def added_up(row: dict[str, Any]) -> bool:
    """Whether a row of sync counts says where each row that was read went."""
    return bool(row["rows_read"] == sum(row[name] for name in COUNTS))


def _link(part: Part) -> tuple[str, str]:
    is_completed = part.filters.get("is_completed")
    title = "办件" if is_completed is None else "已办结" if is_completed else "未办结"
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in part.filters.items()}
    return title, f"{CASES}{part.resource}?{urlencode(texts, doseq=True)}"
