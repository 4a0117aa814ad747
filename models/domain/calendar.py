"""The work calendar: rest days, make-up working days 调休上班, and the running number of each working day.

Counting working days is arithmetic on that number: the fifth working day after a day is the day numbered
``number(day) + 5``. Published years come from the State Council's yearly notices (chinesecalendar); the
years after them are provisional (weekends only), so that a deadline there can be estimated, never stated.
What does not belong here: time limits (:mod:`models.domain.clock`).
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache, cached_property

import chinese_calendar  # type: ignore[import-untyped]
import pyarrow as pa
from chinese_calendar.constants import Holiday, holidays, workdays  # type: ignore[import-untyped]

PROVISIONAL_YEARS = 5
"""Years that the calendar goes on after the last published one."""
MOST_DECISIONS = 100_000
"""More days are not decided between two years' notices; the version of a calendar is kept in 32 bits."""


@dataclass(frozen=True)
class WorkCalendar:
    """Working days and rest days between two days.

    Attributes:
        published_from: First day of the calendar.
        published_until: Last day whose rest days have been published.
        last_day: Last day of the calendar; days after ``published_until`` are provisional.
        working_days: All working days in order; the n-th has the number n, from 1.
        holidays: The festival (Chinese name) of a rest day, or the one that a make-up working day makes up for.
        version: Grows with every year that is published and every day that is decided: what was counted with less is to be counted anew.
    """

    published_from: date
    published_until: date
    last_day: date
    working_days: tuple[date, ...]
    holidays: dict[date, str]
    version: int = 0

    @cached_property
    def _numbers(self) -> list[int]:
        working = set(self.working_days)
        numbers, number = [], 0
        for offset in range((self.last_day - self.published_from).days + 1):
            number += self.published_from + timedelta(offset) in working
            numbers.append(number)
        return numbers

    def is_working(self, day: date) -> bool:
        """Whether people work on the day; false outside the calendar."""
        at = bisect_left(self.working_days, day)
        return at < len(self.working_days) and self.working_days[at] == day

    def number(self, day: date) -> int | None:
        """Number of working days up to and including the day; None outside the calendar."""
        return self._numbers[(day - self.published_from).days] if self.published_from <= day <= self.last_day else None

    def day_of(self, number: int) -> date | None:
        """The working day with this number; None outside the calendar."""
        return self.working_days[number - 1] if 1 <= number <= len(self.working_days) else None

    def next_working(self, day: date) -> date | None:
        """The day itself if it is a working day, else the next one (Civil Code art. 203); None outside the calendar."""
        at = bisect_left(self.working_days, day)
        inside = day >= self.published_from and at < len(self.working_days)
        return self.working_days[at] if inside else None

    def is_published(self, day: date) -> bool:
        """Whether the day's rest or work has been published."""
        return self.published_from <= day <= self.published_until

    def with_days(self, decided: Mapping[date, bool]) -> "WorkCalendar":
        """The calendar with days decided by an administrator laid over it.

        A year after the last published one counts as published once its 31 December is decided, and those before it are.

        Args:
            decided: Day → whether people work on it; days outside the calendar are passed over.
        """
        inside = {day: is_working for day, is_working in decided.items() if self.published_from <= day <= self.last_day}
        working = (set(self.working_days) - set(inside)) | {day for day, is_working in inside.items() if is_working}
        until = self.published_until
        while (end := date(until.year + 1, 12, 31)) in inside:
            until = end
        return replace(self, working_days=tuple(sorted(working)), published_until=until)


@cache
def work_calendar() -> WorkCalendar:
    """The calendar of the People's Republic of China, from 2004-01-01."""
    first, until = date(min(holidays).year, 1, 1), date(max(holidays).year, 12, 31)
    last = date(until.year + PROVISIONAL_YEARS, 12, 31)
    days = (first + timedelta(offset) for offset in range((last - first).days + 1))
    names = {festival.value: festival.chinese for festival in Holiday}
    return WorkCalendar(
        published_from=first,
        published_until=until,
        last_day=last,
        working_days=tuple(
            day for day in days if (chinese_calendar.is_workday(day) if day <= until else day.weekday() < 5)
        ),
        holidays={day: names[name] for day, name in (holidays | workdays).items() if first <= day <= until},
        version=until.year * MOST_DECISIONS,
    )


CALENDAR_SCHEMA = pa.schema(
    {
        "day": pa.date32(),
        "is_working_day": pa.bool_(),
        "wd_number": pa.int32(),
        "is_published": pa.bool_(),
        "holiday": pa.string(),
        "next_working_day": pa.date32(),
    }
)


def calendar_table() -> pa.Table:
    """The work calendar in the shape of ``raw.calendar``, one row a day.

    Returns:
        ``day``; ``is_working_day``; ``wd_number`` = working days up to and including the day since the calendar
        began; ``is_published``, false where rest days are only assumed; ``holiday``, the Chinese name of the
        festival of a rest day or of the one that a make-up working day makes up for; ``next_working_day``, the
        day itself if it is one.
    """
    calendar = work_calendar()
    days = [
        calendar.published_from + timedelta(offset)
        for offset in range((calendar.last_day - calendar.published_from).days + 1)
    ]
    return pa.table(
        {
            "day": days,
            "is_working_day": [calendar.is_working(day) for day in days],
            "wd_number": [calendar.number(day) for day in days],
            "is_published": [calendar.is_published(day) for day in days],
            "holiday": [calendar.holidays.get(day) for day in days],
            "next_working_day": [calendar.next_working(day) for day in days],
        },
        schema=CALENDAR_SCHEMA,
    )
