"""Which partitions are expected, missing or unexpected: the rule, on days made up for it."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.calendar import calendar_table, work_calendar
from pipelines.catalogue.partitions import read_series, write_partitions
from pipelines.catalogue.types import PartitionSpec, catalogue_file

RULE = catalogue_file().rule
FIRST, LAST = date(2026, 1, 1), date(2026, 6, 30)
AS_OF = datetime(2026, 6, 30, 15, 59, 59, 999999, tzinfo=UTC)
"""Last moment of the last day, in Shanghai."""
DAYS = [FIRST + timedelta(n) for n in range((LAST - FIRST).days + 1)]
WORKING = [day for day in DAYS if work_calendar().is_working(day)]
calendar = cache(calendar_table)
Rows = Iterable[tuple[str, date | None, int]]


def judged(rows: Rows, as_of: datetime = AS_OF, instants: bool = False) -> tuple[list[dict[str, Any]], dict[tuple[str, str], dict[str, Any]]]:
    """Partitions and series of a table with so many rows by source and day."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA marts")
        connection.register("calendar", calendar())
        connection.execute("CREATE TABLE marts.fct_case (source VARCHAR, day DATE, instant TIMESTAMPTZ)")
        for source, day, n in rows:
            # half past midnight in Shanghai is still the day before in UTC
            connection.execute(
                "INSERT INTO marts.fct_case SELECT $source, $day, ($day::TIMESTAMP + INTERVAL 30 MINUTE) AT TIME ZONE 'Asia/Shanghai' FROM range($n)",
                {"source": source, "day": day, "n": n},
            )
        spec = PartitionSpec(subject="case", instant="instant") if instants else PartitionSpec(subject="case", day="day")
        write_partitions(connection, {"marts.fct_case": spec}, RULE, as_of, "Asia/Shanghai", catalog="memory", calendar="calendar")
        found = connection.sql("FROM marts.catalogue_partition").to_arrow_table().to_pylist()
        return found, read_series(connection, catalog="memory")


def daily(source: str = "city", days: Iterable[date] = WORKING, n: int = 5) -> list[tuple[str, date | None, int]]:
    return [(source, day, n) for day in days]


def by_verdict(partitions: list[dict[str, Any]], verdict: str, source: str = "city") -> list[date | None]:
    return [row["partition_on"] for row in partitions if row["verdict"] == verdict and row["source"] == source]


@pytest.mark.parametrize("instants", [False, True])
def test_a_working_day_without_rows_is_missing_and_a_rest_day_is_not(instants: bool) -> None:
    lost = WORKING[40]
    found, series = judged(daily(days=[day for day in WORKING if day != lost]), instants=instants)
    assert by_verdict(found, "missing") == [lost]
    assert by_verdict(found, "unexpected") == []
    assert by_verdict(found, "ok") == [day for day in WORKING if day != lost]
    assert series["city", "case"]["habit"] == "daily" and series["city", "case"]["missing"] == 1
    (row,) = [row for row in found if row["verdict"] == "missing"]
    assert (row["row_count"], row["is_expected"], row["reason"]) == (0, True, "no_rows_on_working_day")


def test_rows_on_a_rest_day_are_in_order() -> None:
    rest = next(day for day in DAYS[10:] if day not in WORKING)
    found, _ = judged([*daily(), ("city", rest, 1)])
    (row,) = [row for row in found if row["partition_on"] == rest]
    assert (row["verdict"], row["is_expected"], row["row_count"]) == ("ok", False, 1)


@pytest.mark.parametrize(
    ("day", "reason"),
    [(date(1, 1, 1), "too_early"), (date(1989, 12, 31), "too_early"), (date(2019, 5, 6), "before_start"), (date(2026, 7, 1), "after_as_of"), (date(9999, 12, 31), "after_as_of"), (None, "no_day")],
)
def test_a_partition_that_cannot_be_is_unexpected(day: date | None, reason: str) -> None:
    found, series = judged([*daily(), ("city", day, 1)])
    (row,) = [row for row in found if row["verdict"] == "unexpected"]
    assert (row["partition_on"], row["reason"], row["row_count"], row["is_expected"]) == (day, reason, 1, False)
    assert series["city", "case"]["started_on"] == WORKING[0] and series["city", "case"]["unexpected"] == 1
    assert not by_verdict(found, "missing")


def test_a_source_that_starts_late_misses_nothing_before() -> None:
    late = [day for day in WORKING if day >= date(2026, 4, 1)]
    found, series = judged([*daily(), *daily("late", late)])
    assert by_verdict(found, "missing", "late") == [] and by_verdict(found, "missing") == []
    assert series["late", "case"]["started_on"] == late[0]


def test_an_outage_of_months_is_missing_day_by_day() -> None:
    """Whole stretches without rows do not change what is usual."""
    lost = [day for day in WORKING if date(2026, 2, 1) <= day < date(2026, 5, 1)]
    found, _ = judged(daily(days=[day for day in WORKING if day not in lost]))
    assert by_verdict(found, "missing") == lost


def test_a_source_that_went_silent_is_missing_up_to_as_of() -> None:
    found, series = judged(daily(days=[day for day in WORKING if day <= date(2026, 6, 20)]))
    silent = [day for day in WORKING if day > date(2026, 6, 20)]
    assert by_verdict(found, "missing") == silent
    assert series["city", "case"]["missing_at_end"] == len(silent)


def test_the_day_of_as_of_is_expected_once_it_is_over() -> None:
    rows = daily(days=WORKING[:-1])
    assert by_verdict(judged(rows)[0], "missing") == [WORKING[-1]]
    noon = datetime(2026, 6, 30, 4, tzinfo=UTC)
    assert by_verdict(judged(rows, noon)[0], "missing") == []
    assert by_verdict(judged([*rows, ("city", WORKING[-1], 1)], noon)[0], "unexpected") == []


def test_rows_by_the_month_are_expected_by_the_month() -> None:
    months = [date(2025, month, 11) for month in range(1, 13)] + [date(2026, month, 11) for month in (1, 2, 4, 5, 6)]
    found, series = judged(daily(days=months, n=9))
    assert series["city", "case"]["habit"] == "monthly"
    assert {row["grain"] for row in found} == {"month"}
    assert by_verdict(found, "missing") == [date(2026, 3, 1)]
    assert by_verdict(judged(daily(days=months[:-1], n=9), datetime(2026, 6, 29, tzinfo=UTC))[0], "missing") == [date(2026, 3, 1)]


def test_rows_without_a_habit_miss_nothing() -> None:
    found, series = judged(daily(days=[date(2026, 1, 5), date(2026, 1, 20), date(2026, 5, 6)], n=4))
    assert series["city", "case"]["habit"] == "irregular"
    assert {row["verdict"] for row in found} == {"ok"}


def test_no_rows_make_no_partitions() -> None:
    assert judged([]) == ([], {})


COUNTS = st.dictionaries(
    st.sampled_from([None, date(1, 1, 1), *DAYS[::7], date(2026, 7, 15), date(9999, 12, 31)]), st.integers(1, 9), max_size=25
)


@given(COUNTS)
@settings(max_examples=40)
def test_every_row_is_in_one_partition_and_every_verdict_has_its_reason(counts: dict[date | None, int]) -> None:
    found, _ = judged([("city", day, n) for day, n in counts.items()])
    assert sum(row["row_count"] for row in found) == sum(counts.values())
    keys = [(row["grain"], row["partition_on"], row["reason"]) for row in found]
    assert len(keys) == len(set(keys))
    for row in found:
        assert (row["verdict"] == "ok") == (row["reason"] is None)
        assert (row["verdict"] == "missing") == (row["row_count"] == 0)
        assert row["is_expected"] or row["verdict"] != "missing"
