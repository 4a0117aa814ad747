"""What the engine does with rules and marts that are not as they should be: defined, told, and never taken for good."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from models.domain.calendar import work_calendar
from models.domain.errors import YiwangError
from quality import service
from quality.catalogue.model import Rule
from quality.engine import evaluation
from quality.engine.evaluation import Limits, Task
from quality.ledger.checking import Checking, Outcome
from quality.ledger.partitions import check_partitions, note_checks
from quality.ledger.tables import is_there, open_ledger
from tests.support.quality_marts import write_good_marts
from tests.support.snapshots import AS_OF

_RUNAWAY = "(select count(*) from range(1000000000) as r(i) where sqrt(i + length(t.case_number)) < 0) > 0"


def rule(name: str, **values: Any) -> Rule:
    """A rule of a city's own."""
    said: dict[str, Any] = {
        "id": name, "subject": "case", "table": "fct_case", "dimension": "accuracy", "severity": "counts", "standard": "平台设计", "clause": "一",
        "message": "办件 {case_number} 不合理", "failing": "channel_code = '1'",
    }  # fmt: skip
    if set(values) & {"required", "unique", "codes", "format", "length"}:
        del said["failing"]
    return Rule.model_validate(said | values)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("marts") / "masked.duckdb"
    write_good_marts(path)
    return path


@pytest.fixture
def marts(good: Path, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    shutil.copyfile(good, tmp_path / "masked.duckdb")
    with duckdb.connect(str(tmp_path / "masked.duckdb"), config={"temp_directory": str(tmp_path / "spilled")}) as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        yield connection


def check(connection: duckdb.DuckDBPyConnection, *rules: Rule, run: str = "run-1", limits: Limits | None = None) -> Outcome:
    return Checking(connection, run, AS_OF, rules, limits or Limits(), None, work_calendar()).run()


def of(connection: duckdb.DuckDBPyConnection, name: str) -> list[tuple[Any, ...]]:
    query = "SELECT status, sum(rows_checked)::BIGINT, sum(rows_failed)::BIGINT, sum(rows_listed)::BIGINT FROM marts.quality_check WHERE rule_id = ? GROUP BY 1 ORDER BY 1"
    return connection.execute(query, [name]).fetchall()


@pytest.mark.parametrize("failing", [_RUNAWAY, "exists (select 1 from range(100000) a, range(100000) b where sqrt(a.range + b.range) < 0)"])
def test_a_runaway_rule_is_stopped_and_the_others_go_on(marts: duckdb.DuckDBPyConnection, failing: str) -> None:
    fine, runaway = rule("fine"), rule("runaway", failing=failing)
    outcome = check(marts, fine, runaway, limits=Limits(seconds=1))
    cases, failing_rows = marts.execute("SELECT count(*), count_if(channel_code = '1') FROM marts.fct_case").fetchall()[0]
    assert of(marts, "runaway") == [("not_evaluated", 0, 0, 0)] and "时限 1 秒" in outcome.failed["runaway"]
    assert of(marts, "fine") == [("evaluated", cases, failing_rows, failing_rows)]
    assert marts.execute("SELECT status, reason FROM marts.quality_rule WHERE rule_id = 'runaway'").fetchall() == [("not_evaluated", outcome.failed["runaway"])]


def test_the_runaway_is_found_without_passing_once_for_each_rule(marts: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[set[str]] = []

    def attempt(connection: duckdb.DuckDBPyConnection, tasks: Sequence[Task], *rest: Any) -> str | None:
        passes.append({task.rule.id for task in tasks})
        return attempted(connection, tasks, *rest)

    attempted = evaluation._attempt
    monkeypatch.setattr(evaluation, "_attempt", attempt)
    plain = [rule(f"plain_{number}", failing=f"channel_code = '{number}'") for number in range(20)]
    others = [rule("runaway", failing=_RUNAWAY), rule("other", failing="exists (select 1 from marts.fct_review r where r.review_id = t.case_number)")]
    outcome = check(marts, *plain, *others, limits=Limits(seconds=1))
    assert set(outcome.failed) == {"runaway"} and all(of(marts, one.id)[0][0] == "evaluated" for one in (*plain, others[1]))
    assert passes[1:] == [{one.id for one in plain}, {"runaway"}, {"other"}]


def test_a_rule_that_was_not_evaluated_heals_nothing_and_is_tried_again(marts: duckdb.DuckDBPyConnection) -> None:
    check(marts, rule("odd"))
    known = of(marts, "odd")[0][3]
    broken = rule("odd", failing="channel_code = '1' or error('on purpose') is null")
    assert "on purpose" in check(marts, broken, run="run-2").failed["odd"]
    assert of(marts, "odd") == [("not_evaluated", 0, 0, 0)]
    assert marts.execute("SELECT count(*) FROM marts.quality_violation WHERE healed_at IS NULL").fetchall() == [(known,)]
    assert marts.execute("SELECT count(*) FROM marts.mart_quality_department_day WHERE rule_id = 'odd'").fetchall() == [(0,)]
    assert check(marts, rule("odd"), run="run-3").evaluated == {"odd": None}
    assert of(marts, "odd")[0][3] == known


def test_too_much_memory_is_a_limit_too(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("SET memory_limit = '60MB'; SET max_temp_directory_size = '0MB'")
    outcome = check(marts, rule("fine"), rule("wide", failing="(select len(list(i::VARCHAR || repeat('x', 200))) from range(3000000) as r(i)) < 0"))
    assert set(outcome.failed) == {"wide"} and of(marts, "fine")[0][0] == "evaluated"


def test_a_mart_that_is_missing(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("DROP TABLE marts.fct_review")
    own = rule("of_reviews", subject="review", table="fct_review", message="评价不合理", failing="is_bad")
    outcome = check(marts, rule("fine"), own, rule("reads_it", failing="case_number in (select case_number from marts.fct_review)"))
    assert set(outcome.failed) == {"of_reviews", "reads_it"} and all("fct_review" in reason for reason in outcome.failed.values())
    assert [of(marts, name)[0][0] for name in ("fine", "of_reviews", "reads_it")] == ["evaluated", "missing", "missing"]


def test_a_mart_without_rows_is_not_good(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("DELETE FROM marts.fct_review")
    own = rule("of_reviews", subject="review", table="fct_review", message="评价不合理", failing="is_bad")
    check(marts, own)
    assert of(marts, "of_reviews") == [("empty", 0, 0, 0)]
    assert marts.execute("SELECT status FROM marts.quality_rule").fetchall() == [("empty",)]
    assert check(marts, own, run="run-2").evaluated == {}, "evaluated once, and nothing changed"
    assert marts.execute("SELECT status FROM marts.quality_rule").fetchall() == [("empty",)]
    assert check(marts, own, run="run-3").evaluated == {}, "evaluated once, and nothing changed"


def test_a_column_of_nulls(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("UPDATE marts.fct_case SET channel_code = NULL")
    rows = marts.execute("SELECT count(*) FROM marts.fct_case").fetchall()[0][0]
    check(
        marts, rule("needed", required=["channel_code"]), rule("known", codes={"channel_code": "L.channel"}), rule("shaped", format={"channel_code": "[0-9]"}),
        rule("where_there", applies="channel_code is not null"),
    )  # fmt: skip
    assert of(marts, "needed") == [("evaluated", rows, rows, rows)]
    assert of(marts, "known") == of(marts, "shaped") == [("evaluated", rows, 0, 0)]
    assert [(status, checked) for status, checked, *_ in of(marts, "where_there")] == [("empty", 0)]
    assert marts.execute("SELECT any_value(value), any_value(field) FROM marts.quality_violation WHERE rule_id = 'needed'").fetchall() == [(None, "channel_code")]


def test_of_very_many_violations_an_even_sample_is_listed(marts: duckdb.DuckDBPyConnection) -> None:
    limits = Limits(listed=100)
    many = rule("many", failing="true", field="channel_code")
    check(marts, many, limits=limits)
    cases = marts.execute("SELECT count(*) FROM marts.fct_case").fetchall()[0][0]
    [(status, checked, failed, listed)] = of(marts, "many")
    assert (status, checked, failed) == ("evaluated", cases, cases) and 50 < listed < 150
    share = marts.execute("SELECT sampled FROM marts.quality_rule").fetchall()[0][0]
    assert share >= cases / 100 and marts.execute("SELECT count(*) FROM marts.quality_check WHERE reason LIKE '%只列出一部分%'").fetchall()[0][0] > 0
    first = marts.execute("SELECT record_key FROM marts.quality_violation ORDER BY 1").fetchall()
    check(marts, many, run="run-2", limits=limits)
    assert marts.execute("SELECT record_key FROM marts.quality_violation WHERE healed_at IS NULL ORDER BY 1").fetchall() == first
    marts.execute("DELETE FROM marts.fct_case WHERE case_number NOT IN (SELECT case_number FROM marts.fct_case ORDER BY hash(case_number) LIMIT 90)")
    check(marts, many, run="run-3", limits=limits)
    assert of(marts, "many") == [("evaluated", 90, 90, 90)]


@pytest.mark.slow
def test_ten_million_violations_of_one_rule(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute(
        "CREATE OR REPLACE TABLE marts.fct_review AS SELECT * REPLACE ('r' || i AS review_id, DATE '2026-01-01' + (i % 100)::INTEGER AS reviewed_on) "
        "FROM (FROM marts.fct_review LIMIT 1), range(10000000) AS r(i)"
    )
    own = rule("many", subject="review", table="fct_review", message="评价 {review_id} 不合理", failing="review_id <> ''")
    marts.execute("SET memory_limit = '2GB'")
    outcome = check(marts, own)
    [(status, checked, failed, listed)] = of(marts, "many")
    assert not outcome.failed and (status, checked, failed) == ("evaluated", 10**7, 10**7) and 50_000 < listed <= 100_000 * 1.1
    assert marts.execute("SELECT sampled FROM marts.quality_rule").fetchall() == [(128,)]


@pytest.mark.parametrize("run", ["run-1", "run-2"])
def test_a_recount_that_fails_leaves_no_violation_twice(marts: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: str) -> None:
    """The ledger is written before Great Expectations counts: the same run again, or the next, finds each violation as it is."""
    path = tmp_path / "masked.duckdb"
    marts.execute("UPDATE marts.fct_case SET channel_code = '8' WHERE hash(case_number) % 3 = 0")
    marts.execute("UPDATE marts.fct_case_event SET activity_code = 'odd' WHERE hash(case_number) % 3 = 1")
    marts.close()

    def broken(*_: object) -> Iterator[tuple[str, int]]:
        raise YiwangError("YW-QUALITY-002", detail="on purpose")

    def found() -> list[tuple[Any, ...]]:
        with duckdb.connect(str(path), read_only=True) as connection:
            return connection.execute("SELECT rule_id, source, record_key, count(*), min(first_seen_run), bool_or(healed_at IS NOT NULL) FROM marts.quality_violation GROUP BY ALL ORDER BY ALL").fetchall()

    with monkeypatch.context() as patched:
        patched.setattr("quality.service.unexpected_rows", broken)
        with pytest.raises(YiwangError) as raised:
            service.check(path, "run-1", left={})
    assert raised.value.code == "YW-QUALITY-002"
    first = found()
    assert {row[3:] for row in first} == {(1, "run-1", False)} and {"case_channel_code", "event_activity_code"} <= {row[0] for row in first}
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE marts.fct_case SET _run_seq = _run_seq + 1 WHERE hash(case_number) % 50 = 0")  # a part of them is evaluated again
    service.check(path, run, left={}, recount=False)
    assert found() == first


def _open(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT rule_id, source, record_key, first_seen_run FROM marts.quality_violation WHERE healed_at IS NULL ORDER BY ALL").fetchall()


def test_a_ledger_that_lost_a_column_is_taken_from_the_published_snapshot(marts: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    check(marts, rule("odd"))
    known = _open(marts)
    path, published = tmp_path / "masked.duckdb", tmp_path / "published.duckdb"
    marts.close()
    shutil.copyfile(path, published)
    for previous, first_seen in ((published, "run-1"), (None, "run-3")):
        with duckdb.connect(str(path)) as connection:
            connection.execute("SET TimeZone = 'Asia/Shanghai'; ALTER TABLE marts.quality_violation DROP healed_at; ALTER TABLE marts.quality_check DROP reason")
            assert not is_there(connection)
            open_ledger(connection, previous)
            assert is_there(connection)
            check(connection, rule("odd"), run="run-2" if previous else "run-3")
            assert _open(connection) == [(*row[:3], first_seen) for row in known]


@pytest.mark.parametrize("damage", [
    "DELETE FROM marts.quality_violation WHERE rule_id = 'odd' AND hash(record_key) % 2 = 0",
    "UPDATE marts.quality_violation SET healed_run = 'run-1', healed_at = first_seen_at WHERE rule_id = 'odd'",
    "INSERT INTO marts.quality_violation FROM marts.quality_violation WHERE rule_id = 'odd' AND hash(record_key) % 2 = 0",
    "INSERT INTO marts.quality_violation SELECT * REPLACE ('nobody' AS record_key) FROM marts.quality_violation WHERE rule_id = 'odd' LIMIT 1",
    "DELETE FROM marts.quality_violation WHERE rule_id = 'odd'; UPDATE marts.quality_check SET rows_listed = 0 WHERE rule_id = 'odd'",
    "UPDATE marts.quality_check SET rows_failed = 0 WHERE rule_id = 'odd'",
    "DELETE FROM marts.quality_check WHERE rule_id = 'odd'",
    "INSERT INTO marts.quality_check FROM marts.quality_check WHERE rule_id = 'odd'",
    "DELETE FROM marts.mart_quality_department_day WHERE rule_id = 'odd' AND department_code = (SELECT min(department_code) FROM marts.mart_quality_department_day)",
    "DROP TABLE marts.quality_violation",
    "DROP TABLE marts.quality_check",
])  # fmt: skip
def test_a_ledger_that_contradicts_itself_is_made_right(marts: duckdb.DuckDBPyConnection, damage: str) -> None:
    rules = rule("odd"), rule("fine", failing="channel_code = 'none'")
    check(marts, *rules)
    known, counted = _open(marts), of(marts, "odd")
    by_department = marts.execute("FROM marts.mart_quality_department_day ORDER BY ALL").fetchall()
    marts.execute(damage)
    marts.execute("UPDATE marts.fct_case SET _run_seq = _run_seq + 1 WHERE case_number = (SELECT min(case_number) FROM marts.fct_case)")
    outcome = check(marts, *rules, run="run-2")
    assert "odd" in outcome.mended and outcome.evaluated["odd"] is None
    assert [row[:3] for row in _open(marts)] == [row[:3] for row in known] and (of(marts, "odd")) == counted
    assert marts.execute("FROM marts.mart_quality_department_day ORDER BY ALL").fetchall() == by_department
    assert marts.execute("SELECT count(*), count(DISTINCT (rule_id, source, record_key)) FROM marts.quality_violation WHERE healed_at IS NULL").fetchall() == [(len(known),) * 2]
    assert not check(marts, *rules, run="run-3").mended


def test_rows_of_one_key_are_one_violation_and_no_contradiction(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("INSERT INTO marts.fct_case FROM marts.fct_case WHERE channel_code = '1' LIMIT 3")
    check(marts, rule("odd"))
    [(_, _, failed, listed)] = of(marts, "odd")
    assert failed == listed + 3 and not check(marts, rule("odd"), run="run-2").mended


def test_a_rule_that_is_gone_closes_its_violations(marts: duckdb.DuckDBPyConnection) -> None:
    check(marts, rule("fine"), rule("gone"))
    check(marts, rule("fine"), run="run-2")
    counts = dict(marts.execute("SELECT rule_id, count(*) FILTER (healed_at IS NULL) FROM marts.quality_violation GROUP BY 1").fetchall())
    assert counts["gone"] == 0 < counts["fine"] and of(marts, "gone") == []


def test_missing_and_unexpected_partitions(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute(
        "CREATE OR REPLACE TABLE marts.fct_case AS SELECT * REPLACE (case_number || d AS case_number, d::DATE AS received_on) "
        "FROM (FROM marts.fct_case LIMIT 12), range(DATE '2026-01-05', DATE '2026-07-03', INTERVAL 1 DAY) AS r(d) "
        "WHERE d NOT BETWEEN DATE '2026-05-11' AND DATE '2026-05-24' AND d::DATE <> DATE '2026-07-01' AND NOT (isodow(d) > 5 AND d < DATE '2026-06-30')"
    )
    outcome = check(marts, rule("fine"))
    [found] = [one for one in outcome.partitions if one.table == "fct_case"]
    assert [str(day) for day in found.missing if day.month == 5 and day.day >= 11] == [
        "2026-05-11", "2026-05-12", "2026-05-13", "2026-05-14", "2026-05-15", "2026-05-18", "2026-05-19", "2026-05-20", "2026-05-21", "2026-05-22",
    ]  # fmt: skip
    assert [str(day) for day in found.unexpected] == ["2026-07-02"]  # the first of July is the day after as_of, without rows
    rows = marts.execute("SELECT status, count(*) FROM marts.quality_check WHERE rule_id = 'case_partitions' AND partition_on IS NOT NULL GROUP BY 1").fetchall()
    assert dict(rows) == {"missing": len(found.missing), "unexpected": 1}


def test_a_department_that_sends_nothing_is_told_where_that_is_no_chance() -> None:
    calendar, today = work_calendar(), date(2026, 6, 29)
    days = [day for day in calendar.working_days if date(2026, 3, 2) <= day < today]
    gap, small_gap = days[40:43], days[50:60]
    with duckdb.connect() as connection:
        open_ledger(connection)
        connection.execute("CREATE TEMP TABLE now_partition (table_name VARCHAR, partition_on DATE, row_count BIGINT, newest BIGINT, content VARCHAR)")
        connection.execute("INSERT INTO now_partition SELECT 'fct_case', unnest($days::DATE[]), 100, 1, NULL", {"days": days})
        sent = [(day, code, rows) for day in days for code, rows, without in (("large", 40, gap), ("small", 5, small_gap)) if day not in without]
        connection.executemany("INSERT INTO marts.mart_quality_department_day VALUES (?, ?, 'rule', 'case', 'validity', 'counts', ?, 0)", sent)

        def silent(chance: float) -> dict[date, list[str]]:
            [found] = check_partitions(connection, ["fct_case"], today, calendar, {"fct_case": "rule"}, chance)
            assert found.missing == found.unexpected == ()
            note_checks(connection, "run-1", [found])
            return {day: [code for code, _ in who] for day, who in found.silent.items()}

        assert silent(1e-6) == {day: ["large"] for day in gap}  # the small one's silence is likely enough
        assert silent(1e-2) == {day: ["large"] for day in gap} | {small_gap[0]: ["small"], small_gap[1]: ["small"]}
        assert silent(0) == {}
        silent(1e-6)
        assert connection.execute("SELECT partition_on, rows_failed, status, reason FROM marts.quality_check WHERE partition_on IS NOT NULL ORDER BY 1").fetchone() == (
            gap[0], 1, "missing", "部门当日没有数据，不像是偶然：large（此前日均 40 行）",
        )  # fmt: skip


def test_a_source_that_speaks_once_a_week_misses_nothing() -> None:
    with duckdb.connect() as connection:
        open_ledger(connection)
        connection.execute("CREATE TEMP TABLE now_partition (table_name VARCHAR, partition_on DATE, row_count BIGINT, newest BIGINT, content VARCHAR)")
        connection.execute("INSERT INTO now_partition SELECT 'fct_case', DATE '2026-01-05' + (7 * i)::INTEGER, 500, 1, NULL FROM range(20) AS r(i)")
        [found] = check_partitions(connection, ["fct_case"], AS_OF.date(), work_calendar())
    assert (found.expected, found.missing, found.unexpected) == (0, (), ())
