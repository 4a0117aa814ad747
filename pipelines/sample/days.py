"""Days: which are working days, how many cases each of them brings, and draws that depend on the day alone.

Days are whole numbers since 1970-01-01, local instants µs since then (Asia/Shanghai, +8 h throughout).
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum, auto
from functools import cache

import chinese_calendar.constants as official  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from pipelines.sample.columns import Ints

EPOCH = date(1970, 1, 1)
DAY = 86_400_000_000
HOUR = 3_600_000_000
MINUTE = 60_000_000
SECOND = 1_000_000

_FIRST = (date(2015, 1, 1) - EPOCH).days
_LAST = (date(2045, 12, 31) - EPOCH).days
_WEEKDAY = np.array([1.20, 1.0, 0.97, 0.95, 0.90, 1.0, 1.0])
_MONTH = np.array([1.0, 0.82, 1.15, 1.02, 0.97, 1.05, 1.06, 1.05, 1.05, 0.97, 1.0, 1.10])
_REST = 0.11
"""A rest day brings on-line cases only: 200–500 against 3 000–3 400."""


@dataclass(frozen=True)
class Days:
    """Working-day arithmetic over arrays; days after the published calendar have weekends only."""

    is_working: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.int64]
    days: npt.NDArray[np.int64]

    def working(self, day: Ints) -> npt.NDArray[np.bool_]:
        """Whether the day is a working day, make-up days included."""
        return np.asarray(self.is_working[day - _FIRST])

    def number(self, day: Ints) -> npt.NDArray[np.int64]:
        """How many working days there have been up to and with the day."""
        return np.asarray(self.numbers[day - _FIRST])

    def day_of(self, number: Ints) -> npt.NDArray[np.int64]:
        """The working day with that number."""
        return np.asarray(self.days[number - 1])


@cache
def work_days() -> Days:
    """The official calendar as arrays."""
    span = np.arange(_FIRST, _LAST + 1)
    working = (span + 3) % 7 < 5  # 1970-01-01 was a Thursday
    for days, value in ((official.holidays, False), (official.workdays, True)):
        listed = np.array([(d - EPOCH).days for d in days]) - _FIRST
        working[listed[(listed >= 0) & (listed < len(span))]] = value
    return Days(working, np.cumsum(working), span[working])


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def months(day: Ints) -> Ints:
    """Month of each day, 0 to 11."""
    return np.asarray(day, "datetime64[D]").astype("datetime64[M]").astype(int) % 12


def weights(since: int, until: int) -> npt.NDArray[np.float64]:
    """How many cases each day from ``since`` to ``until`` brings, in units of an ordinary working day.

    Monday is busy and Friday is not; February is low, March and December are high; the first working day
    after three or more rest days catches up.
    """
    day = np.arange(since, until + 1)
    calendar = work_days()
    working = calendar.working(day)
    catch_up = working & ~(calendar.working(day - 1) | calendar.working(day - 2) | calendar.working(day - 3))
    weight = np.where(working, _WEEKDAY[(day + 3) % 7], _REST) * _MONTH[months(day)] * np.where(catch_up, 1.15, 1.0)
    return np.asarray(weight)


def counts(since: int, until: int, rate: float) -> npt.NDArray[np.int64]:
    """Cases of each day: cumulative weights times ``rate``, rounded, so that a later ``until`` changes no earlier day."""
    total = np.round(np.cumsum(weights(since, until)) * rate).astype(np.int64)
    return np.diff(total, prepend=0)


class Draw(IntEnum):
    """Independent draws of a case: rows of the matrix that :func:`draws` returns."""

    MATTER = 0
    APPLICANT = auto()
    AGENT = auto()
    CHANNEL = auto()
    RECEIVED = auto()
    QUEUED = auto()
    PRE_REVIEW = auto()
    CORRECTION = auto()
    CORRECTION_DAY = auto()
    RESUBMITTED = auto()
    ACCEPT_DAY = auto()
    ACCEPT_TIME = auto()
    OUTCOME = auto()
    DURATION = auto()
    DURATION_SPIKE = auto()
    COMPLETE_TIME = auto()
    LATE = auto()
    LATE_BY = auto()
    SPECIAL = auto()
    SPECIAL_DAYS = auto()
    SPECIAL_KIND = auto()
    STEPS = auto()
    ISSUED = auto()
    DELIVERED = auto()
    REPORTED = auto()
    STAFF = auto()
    CERTIFICATE = auto()
    CERTIFICATE_STATE = auto()
    REVIEW = auto()
    REVIEW_TIME = auto()
    SATISFACTION = auto()
    REVIEW_FLAGS = auto()
    RECTIFIED = auto()
    PROJECT = auto()
    DETAILS = auto()
    ERROR_CASE = auto()
    ERROR_CASE_KIND = auto()
    ERROR_CERTIFICATE = auto()
    ERROR_REVIEW = auto()
    ERROR_EVENT = auto()


def draws(seed: int, day: Ints, size: Ints) -> npt.NDArray[np.uint32]:
    """Uniform 32-bit draws, one row a :class:`Draw`, one column a case, of several days side by side.

    Philox is a counter-based generator keyed by (seed, day): a day's draws are the same whatever days are
    drawn with it. Raw output is used, which numpy keeps stable over versions.
    """
    kinds = len(Draw)
    parts = [
        np.random.Philox(key=[seed, int(d)]).random_raw((kinds * int(n) + 1) // 2).view(np.uint32)[: kinds * int(n)].reshape(int(n), kinds)
        for d, n in zip(day, size, strict=True)
        if n
    ]
    if not parts:
        return np.empty((kinds, 0), np.uint32)
    return np.ascontiguousarray(np.concatenate(parts).T)


def mixed(values: Ints, salt: int) -> npt.NDArray[np.uint64]:
    """A well-mixed 64-bit number for each number (splitmix64): attributes that a key alone decides."""
    z = np.asarray(values).astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def next_month(day: date) -> date:
    """First day of the month after."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
