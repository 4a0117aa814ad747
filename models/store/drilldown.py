"""From a figure to the rows behind it: the filters that list a measure's numerator and denominator.

The twin of ``dbt/models/intermediate/int_measure_counts.sql``; a test compares counts of the lists with the sums.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any


@dataclass(frozen=True)
class Part:
    """A list of rows: a resource and its filters (:mod:`models.store.resources`)."""

    resource: str
    filters: dict[str, Any]


@dataclass(frozen=True)
class DrillDown:
    """The rows behind a measure of one department and period; a side with several parts is their sum."""

    numerator: tuple[Part, ...]
    denominator: tuple[Part, ...]


_ONLINE = ["2", "3", "5"]


def drill_down(measure_code: str, department_code: str, start: date, end: date) -> DrillDown | None:
    """The lists behind a measure, None for measures that are no count of cases (stock of matters, reviews).

    Args:
        measure_code: Code of seed ``measures``.
        department_code: Department.
        start: First day.
        end: Last day, inclusive.
    """

    def cases(since: str, **filters: Any) -> Part:
        return Part("cases", {"department_code": department_code, f"{since}_from": start, f"{since}_to": end, **filters})

    match measure_code:
        case "M07":  # completed cases count on their day of completion, open late ones on their due day
            completed = cases("completed", is_completed=True, has_limit=True)
            overdue = cases("due", is_completed=False, is_late=True)
            return DrillDown((cases("completed", is_completed=True, is_late=False),), (completed, overdue))
        case "M11":
            return DrillDown(
                (cases("received", correction_count=1, is_told_once_in_time=True),), (cases("received", is_corrected=True),)
            )
        case "M15":
            return DrillDown((cases("received", channel_code=_ONLINE),), (cases("received"),))
        case "M28":
            return DrillDown((cases("received", is_matter_in_force=True),), (cases("received"),))
        case _:
            return None


def month_end(month: date) -> date:
    """The last day of the month that a day lies in."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
