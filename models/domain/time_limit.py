"""Time limits in working days, calendar days and months: on which day a limit ends (Civil Code, CC, art. 201-203).

Days are counted as numbers of working days of the calendar, so that a due day may lie beyond it. What does not
belong here: which limit a case has and what stops it (:mod:`models.domain.clock`).
"""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from models.domain.calendar import WorkCalendar

LONGEST_LIMIT = 36_500
"""A limit, in any unit, above this (or below 0) is a mistake and counts as none."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many units: ``wd`` working days, ``cd`` calendar days, ``month`` months."""

    length: int
    unit: str

    @classmethod
    def of(cls, length: int | None, unit: str | None) -> "Limit | None":
        """A recorded limit, in working days where no unit is given; None where it makes no sense."""
        if length is None or not 0 <= length <= LONGEST_LIMIT or unit not in (None, "wd", "cd", "month"):
            return None
        return cls(length, unit or "wd")


@dataclass(frozen=True, slots=True)
class Extension(Limit):
    """What is added to a limit, and the day on which it was granted."""

    on: date


def due_number(
    start: date | None,
    limit: Limit | None,
    extension: Extension | None,
    pauses: Sequence[tuple[date, date]],
    calendar: WorkCalendar,
) -> tuple[int | None, bool]:
    """The working day on which a limit ends.

    Args:
        start: The day that is not counted (CC art. 201), None while no clock runs.
        limit: The limit, None where there is none.
        extension: Moves the due day if it was granted on or before it.
        pauses: Pairs of a first day that is not counted and the first that is again, apart and in order.
        calendar: The work calendar.

    Returns:
        The number of that working day (None without one, or outside the calendar) and whether the extension moved it.
    """
    if start is None or limit is None:
        return None, False
    number = _stopped(start, limit, None, pauses, calendar)
    if number is None or extension is None:
        return number, False
    before = calendar.number(extension.on - timedelta(1))
    if before is None or before >= number:  # granted after the due day: there is nothing left to extend
        return number, False
    return _stopped(start, limit, extension, pauses, calendar), True


def _stopped(
    start: date,
    limit: Limit,
    extension: Extension | None,
    pauses: Sequence[tuple[date, date]],
    calendar: WorkCalendar,
) -> int | None:
    """The due number with pauses; one that begins after the due day finds no clock to stop."""
    working_days = calendar_days = 0
    number = _target(start, limit, extension, 0, 0, calendar)
    for on, off in pauses:
        before, until = calendar.number(on - timedelta(1)), calendar.number(off - timedelta(1))
        if number is None or before is None or until is None or before >= number:
            break
        working_days += until - before
        calendar_days += (off - on).days
        number = _target(start, limit, extension, working_days, calendar_days, calendar)
    return number


def _target(
    start: date,
    limit: Limit,
    extension: Extension | None,
    paused_working_days: int,
    paused_calendar_days: int,
    calendar: WorkCalendar,
) -> int | None:
    """The number of the day ``limit`` after ``start`` (CC art. 201–203), pauses and extension included."""
    first = calendar.number(start)
    if first is None:
        return None
    is_same_unit = extension is not None and extension.unit == limit.unit
    length = limit.length + (extension.length if extension and is_same_unit else 0)
    number: int | None
    if limit.unit == "wd":
        is_moved = limit.length == 0 and not calendar.is_working(start)
        number = first + length + paused_working_days + is_moved
    else:
        number = _landing(_add(start, length, limit.unit) + timedelta(paused_calendar_days), calendar)
    if extension is None or is_same_unit or number is None:
        return number
    if extension.unit == "wd":
        return number + extension.length
    due_on = calendar.day_of(number)  # an extension in another unit counts on from the due day without it
    return _landing(_add(due_on, extension.length, extension.unit), calendar) if due_on else None


def _landing(day: date, calendar: WorkCalendar) -> int | None:
    """Number of the day, or of the next working day where it is a day of rest (CC art. 203)."""
    number = calendar.number(day)
    return None if number is None else number + (not calendar.is_working(day))


def _add(day: date, length: int, unit: str) -> date:
    """A day so many calendar days or months on; the month's last day where it lacks that day (CC art. 202)."""
    if unit == "cd":
        return day + timedelta(length)
    years, month = divmod(day.month - 1 + length, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))
