"""The work calendar as administrators extend it: days laid over the official one, each with its reason, the newest of a day holds.

Clocks that run follow the calendar from then on (:func:`models.core.cases.clocking.clock_anew`); what has happened (events, acceptance by silence, decisions) stays as it is, since days
that are over cannot be decided any more.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.work.service import Work
from models.domain.calendar import WorkCalendar, work_calendar
from models.domain.errors import YiwangError
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import CalendarDay

_DECIDED = sa.select(CalendarDay.day, CalendarDay.is_working).order_by(CalendarDay.day, CalendarDay.number)
_KEPT: dict[tuple[int, str], WorkCalendar] = {}


def decide(now: Work, day: date, is_working: bool, reason: str, zone: str = "Asia/Shanghai") -> CalendarDay:
    """Say that a day is a working day or a rest day.

    Raises:
        YiwangError: YW-ORG-001 for a day that is over: what depended on it is settled.
    """
    if day < now.at.astimezone(ZoneInfo(zone)).date():
        raise YiwangError("YW-ORG-001", detail=f"{day} 已过去，依它计算的期限已经生效，不能再改")
    last = now.session.scalar(sa.select(sa.func.max(CalendarDay.number)).where(CalendarDay.day == day)) or 0
    made = CalendarDay(day=day, number=last + 1, is_working=is_working, reason=reason.strip(), decided_by=now.actor.name, created_at=now.at)
    now.session.add(made)
    now.session.flush()
    now.record("calendar.decided", f"day:{day}", is_working=is_working)
    now.announce("calendar.decided", "day", str(day), is_working=is_working)
    return made


def publish_year(now: Work, year: int, rest_days: Sequence[date], working_days: Sequence[date], reason: str, zone: str = "Asia/Shanghai") -> int:
    """Enter a year as the State Council's notice sets it: its festivals, and the weekend days on which people work.

    Args:
        now: The unit of work.
        year: The year after the last one that is published.
        rest_days: Festival days, weekends among them or not.
        working_days: Make-up working days 调休上班.
        reason: The notice, with its number.
        zone: Zone of days.

    Returns:
        Number of days decided.

    Raises:
        YiwangError: YW-ORG-001 for another year, or for a day that lies in another one or is both.
    """
    known = calendar(now.session)
    if year != known.published_until.year + 1 or year > known.last_day.year:
        raise YiwangError("YW-ORG-001", detail=f"下一个要录入的年份是 {known.published_until.year + 1}")
    if any(day.year != year for day in (*rest_days, *working_days)) or set(rest_days) & set(working_days):
        raise YiwangError("YW-ORG-001", detail=f"日期须都在 {year} 年内，且不能既休息又上班")
    end = date(year, 12, 31)
    days = {end: known.is_working(end)} | dict.fromkeys(rest_days, False) | dict.fromkeys(working_days, True)
    for day in sorted(days):
        decide(now, day, days[day], reason, zone)
    return len(days)


def listed(session: Session, paging: Paging) -> Page[CalendarDay]:
    """All decisions, by day and number."""
    return page(session, sa.select(CalendarDay), [CalendarDay.day, CalendarDay.number], paging)


def decided_in(session: Session, year: int) -> dict[date, CalendarDay]:
    """Day of a year → the decision that holds for it; one query."""
    rows = session.scalars(sa.select(CalendarDay).where(CalendarDay.day.between(date(year, 1, 1), date(year, 12, 31))).order_by(CalendarDay.number))
    return {row.day: row for row in rows}


def calendar(session: Session) -> WorkCalendar:
    """The calendar that holds now; one small query, built anew only when a decision came."""
    rows = session.execute(_DECIDED).all()
    if not rows:
        return work_calendar()
    decided = {day: is_working for day, is_working in rows}
    version = (len(rows), repr(sorted(decided.items())))
    if version not in _KEPT:
        _KEPT.clear()
        official = work_calendar()
        _KEPT[version] = replace(official.with_days(decided), version=official.version + len(rows))  # decisions are never taken away
    return _KEPT[version]
