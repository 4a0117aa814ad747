"""``/desk/calendar``: a year in months, with the days on which people work, rest, and what was decided; a day is changed where it stands."""

import calendar as months
from dataclasses import dataclass
from datetime import date
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from models.core.organisation.calendar import calendar, decided_in
from models.domain.errors import YiwangError
from models.store.operational.tables import CalendarDay
from serving.web.desk.common import Visit, at_the_desk, visit
from serving.web.desk.keeping import AREAS
from serving.web.templating import Templates

_WEEK = ("一", "二", "三", "四", "五", "六", "日")


@dataclass(frozen=True)
class Day:
    """A day of the page.

    Attributes:
        day: It.
        is_working: People work on it.
        name: Festival that it is, or makes up for; why it was decided.
        is_decided: An administrator decided it.
        is_open: It may still be decided.
    """

    day: date
    is_working: bool
    name: str
    is_decided: bool
    is_open: bool

    @property
    def words(self) -> str:
        """For who does not see colours."""
        return f"{self.day.month}月{self.day.day}日，{'上班' if self.is_working else '休息'}" + (f"，{self.name}" if self.name else "") + ("，由管理员确定" if self.is_decided else "")

    @property
    def mark(self) -> str:
        """What stands beside the number where the day is not as its weekday says, or was decided."""
        is_usual = self.is_working == (self.day.weekday() < 5)
        return "" if is_usual and not self.is_decided else "班" if self.is_working else "休"


def calendar_router(templates: Templates) -> APIRouter:
    """The page of the work calendar."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(at_the_desk)])

    @router.get("/desk/calendar")
    def show(request: Request, year: str = "", day: str = "") -> Response:
        here = visit(request, templates, "calendar:read")
        try:
            chosen = date.fromisoformat(day) if day else None
            wanted = int(year) if year else (chosen or here.today).year
        except ValueError as error:
            raise YiwangError("YW-SERVE-005", name="年份或日期", detail="应为 2026 或 2026-06-30 这样的写法") from error
        return _page(here, wanted, chosen)

    return router


def _page(here: Visit, year: int, chosen: date | None) -> Response:
    def load(session: Any) -> tuple[Any, dict[date, CalendarDay]]:
        return calendar(session), decided_in(session, year)

    if not 1 <= year <= 9998:
        raise YiwangError("YW-SERVE-006", what="这一年")
    known, decided = here.read(load)
    if not known.published_from.year <= year <= known.last_day.year:
        raise YiwangError("YW-SERVE-006", what="这一年")

    def seen(day: date) -> Day:
        row = decided.get(day)
        return Day(day, known.is_working(day), row.reason if row else known.holidays.get(day, ""), row is not None, day >= here.today)

    weeks = months.Calendar()
    year_of = [(month, [[seen(day) if day.month == month else None for day in week] for week in weeks.monthdatescalendar(year, month)]) for month in range(1, 13)]
    forms = [form for form in AREAS["days"].create if here.principal.may(form.permission)]
    values = {"day": str(chosen), "is_working": "0" if known.is_working(chosen) else "1"} if chosen else {}
    return here.page(
        "calendar.html", year=year, months=year_of, week=_WEEK, forms=forms, values=values, is_published=known.is_published(date(year, 12, 31)), chosen=seen(chosen) if chosen and chosen.year == year else None,
        years=(year - 1 if year > known.published_from.year else None, year + 1 if year < known.last_day.year else None),
        working=sum(1 for _, each in year_of for week in each for day in week if day and day.is_working),
    )  # fmt: skip
