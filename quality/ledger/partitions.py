"""Partitions that should be there and are not, and partitions that should not be: days of marts filled by sources.

A working day is expected to have rows where nine in ten of the twenty before it had, ten rows a day on average: by chance alone
none would be without, and a source that speaks once a week misses nothing on the other days. Days that are missing do not count among the twenty, so
that a long gap is missing to its end.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from models.domain.calendar import WorkCalendar
from quality.catalogue.subjects import TABLES
from quality.engine.reading import CASE_TABLES

BEFORE = 20
"""Working days that tell whether the next is expected; with fewer than half as many none is."""
SHARE = 0.9
USUAL = 10
"""Rows a day on average from which on a day without is missing."""


@dataclass(frozen=True)
class PartitionCheck:
    """What became of the expected days of a mart.

    Attributes:
        rule_id: Key under which it stands among the results.
        table: The mart.
        expected: Days that should have rows.
        missing: Those without.
        unexpected: Days with rows after the day on which the run stands.
    """

    rule_id: str
    table: str
    expected: int
    missing: tuple[date, ...]
    unexpected: tuple[date, ...]


def check_id(table: str) -> str:
    """Key of the check of a mart's partitions."""
    return f"{TABLES[table].subject}_partitions"


def check_partitions(connection: duckdb.DuckDBPyConnection, tables: Sequence[str], today: date, calendar: WorkCalendar) -> list[PartitionCheck]:
    """Compares the partitions in ``now_partition`` with the working days.

    Args:
        connection: Has ``now_partition``.
        tables: Marts that are there.
        today: Day on which the run stands; it may not be over.
        calendar: The city's working days.
    """
    found = []
    for table in CASE_TABLES:
        if table not in tables:
            continue
        query = "SELECT partition_on, row_count FROM now_partition WHERE table_name = ? AND partition_on IS NOT NULL"
        days = dict(connection.execute(query, [table]).fetchall())
        expected = _expected(days, today, calendar)
        missing = tuple(day for day in expected if day not in days)
        found.append(PartitionCheck(check_id(table), table, len(expected), missing, tuple(sorted(day for day in days if day > today))))
    return found


def note_checks(connection: duckdb.DuckDBPyConnection, run_id: str, checks: Sequence[PartitionCheck]) -> None:
    """Keeps the checks in ``marts.quality_check``, one row a partition that is missing or unexpected, in place of earlier ones."""
    for check in checks:
        connection.execute("DELETE FROM marts.quality_check WHERE rule_id = ?", [check.rule_id])
        rows: list[list[object]] = [[run_id, check.rule_id, check.table, None, check.expected, len(check.missing) + len(check.unexpected), 0, "evaluated" if check.expected else "empty", None]]
        rows += [[run_id, check.rule_id, check.table, day, 0, 1, 0, "missing", "工作日没有任何数据"] for day in check.missing]
        rows += [[run_id, check.rule_id, check.table, day, 0, 1, 0, "unexpected", "晚于数据截止日"] for day in check.unexpected]
        connection.executemany("INSERT INTO marts.quality_check VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _expected(days: Mapping[date, int], today: date, calendar: WorkCalendar) -> list[date]:
    past = [day for day in days if day < today]
    if not past:
        return []
    working = calendar.working_days[bisect_left(calendar.working_days, min(past)) : bisect_left(calendar.working_days, today)]
    window: deque[int] = deque(maxlen=BEFORE)
    expected = []
    for day in working:
        is_regular = len(window) >= BEFORE / 2 and sum(map(bool, window)) >= SHARE * len(window)
        is_expected = is_regular and sum(window) >= USUAL * len(window)
        if is_expected:
            expected.append(day)
        if not is_expected or day in days:
            window.append(days.get(day, 0))
    return expected
