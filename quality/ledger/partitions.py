"""Partitions that should be there and are not, and partitions that should not be: days of marts filled by sources.

A working day is expected to have rows where nine in ten of the twenty before it had, ten rows a day on average: by chance alone
none would be without, and a source that speaks once a week misses nothing on the other days. Days that are missing do not count among the twenty, so
that a long gap is missing to its end.

Within a day that has rows one department may have sent none. It is silent where that would hardly happen by chance: rows that come independently of each
other, *m* a day, are none with probability exp(-m). Steps of one case come together; *m* is divided by how much more the counts scatter than independent
rows would (variance of the days with rows, by mean). Silent days count among the twenty, so that a department that was closed is silent for some days
and not for ever.
"""

# ruff: noqa: S608 - constants

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
        silent: Day → departments without rows on it, and how many they had a day before.
    """

    rule_id: str
    table: str
    expected: int
    missing: tuple[date, ...]
    unexpected: tuple[date, ...]
    silent: Mapping[date, tuple[tuple[str, float], ...]] = field(default_factory=dict)


def check_id(table: str) -> str:
    """Key of the check of a mart's partitions."""
    return f"{TABLES[table].subject}_partitions"


def check_partitions(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[str], today: date, calendar: WorkCalendar, counting: Mapping[str, str] | None = None, chance: float = 0
) -> list[PartitionCheck]:
    """Compares the partitions in ``now_partition`` with the working days, and departments with what they had before.

    Args:
        connection: Has ``now_partition`` and the ledger.
        tables: Marts that are there.
        today: Day on which the run stands; it may not be over.
        calendar: The city's working days.
        counting: Mart → rule that looked at each of its rows, whose counts tell how many rows a department had.
        chance: Probability below which a department's day without rows is told; 0 tells none.
    """
    found = []
    for table in CASE_TABLES:
        if table not in tables:
            continue
        query = "SELECT partition_on, row_count FROM now_partition WHERE table_name = ? AND partition_on IS NOT NULL"
        days = dict(connection.execute(query, [table]).fetchall())
        expected = _expected(days, today, calendar)
        missing = tuple(day for day in expected if day not in days)
        silent = _silent(connection, counting[table], [day for day in _working(days, today, calendar) if day in days], chance) if counting and table in counting and chance > 0 else {}
        found.append(PartitionCheck(check_id(table), table, len(expected), missing, tuple(sorted(day for day in days if day > today)), silent))
    return found


def note_checks(connection: duckdb.DuckDBPyConnection, run_id: str, checks: Sequence[PartitionCheck]) -> None:
    """Keeps the checks in ``marts.quality_check``, one row a partition that is missing or unexpected, in place of earlier ones."""
    for check in checks:
        connection.execute("DELETE FROM marts.quality_check WHERE rule_id = ?", [check.rule_id])
        rows: list[list[object]] = [[run_id, check.rule_id, check.table, None, check.expected, len(check.missing) + len(check.unexpected) + len(check.silent), 0, "evaluated" if check.expected else "empty", None]]
        rows += [[run_id, check.rule_id, check.table, day, 0, 1, 0, "missing", "工作日没有任何数据"] for day in check.missing]
        rows += [[run_id, check.rule_id, check.table, day, 0, 1, 0, "unexpected", "晚于数据截止日"] for day in check.unexpected]
        rows += [[run_id, check.rule_id, check.table, day, 0, len(who), 0, "missing", said_silent(who)] for day, who in check.silent.items()]
        connection.executemany("INSERT INTO marts.quality_check VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def said_silent(departments: Sequence[tuple[str, float]]) -> str:
    """Which departments are silent, in Chinese."""
    named = "、".join(f"{code}（此前日均 {usual:.0f} 行）" for code, usual in departments[:5])
    return f"部门当日没有数据，不像是偶然：{named}{f' 等 {len(departments)} 个' if len(departments) > 5 else ''}"


def _silent(connection: duckdb.DuckDBPyConnection, rule_id: str, days: Sequence[date], chance: float) -> dict[date, tuple[tuple[str, float], ...]]:
    rows = connection.execute(
        f"""
        WITH day AS (SELECT unnest($days::DATE[]) AS date),
        had AS (SELECT date, department_code, rows_checked FROM marts.mart_quality_department_day WHERE rule_id = $rule AND department_code IS NOT NULL),
        grid AS (
            SELECT d.date, w.department_code, coalesce(h.rows_checked, 0) AS rows
            FROM day AS d JOIN (SELECT department_code, min(date) AS since FROM had GROUP BY 1) AS w ON d.date >= w.since
            LEFT JOIN had AS h ON h.date = d.date AND h.department_code = w.department_code
        )
        SELECT date, department_code, usual FROM (
            SELECT *, avg(rows) OVER before AS usual, greatest(1, coalesce(var_samp(nullif(rows, 0)) OVER before / nullif(usual, 0), 1)) AS scatter, count(*) OVER before AS known FROM grid
            WINDOW before AS (PARTITION BY department_code ORDER BY date ROWS BETWEEN {BEFORE} PRECEDING AND 1 PRECEDING)
        ) WHERE rows = 0 AND known >= {BEFORE // 2} AND usual / scatter > $least ORDER BY date, department_code
        """,
        {"days": list(days), "rule": rule_id, "least": -math.log(chance)},
    ).fetchall()
    found: dict[date, tuple[tuple[str, float], ...]] = {}
    for day, department, usual in rows:
        found[day] = (*found.get(day, ()), (department, usual))
    return found


def _working(days: Mapping[date, int], today: date, calendar: WorkCalendar) -> list[date]:
    past = [day for day in days if day < today]
    return list(calendar.working_days[bisect_left(calendar.working_days, min(past)) : bisect_left(calendar.working_days, today)]) if past else []


def _expected(days: Mapping[date, int], today: date, calendar: WorkCalendar) -> list[date]:
    window: deque[int] = deque(maxlen=BEFORE)
    expected = []
    for day in _working(days, today, calendar):
        is_regular = len(window) >= BEFORE / 2 and sum(map(bool, window)) >= SHARE * len(window)
        is_expected = is_regular and sum(window) >= USUAL * len(window)
        if is_expected:
            expected.append(day)
        if not is_expected or day in days:
            window.append(days.get(day, 0))
    return expected
