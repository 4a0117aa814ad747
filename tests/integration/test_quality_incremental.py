"""Evaluating only what changed finds what evaluating everything finds."""

import random
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from models.domain.calendar import work_calendar
from quality.engine.evaluation import Limits
from quality.engine.reading import CASE_TABLES
from quality.ledger.checking import Checking, Outcome
from quality.ledger.rows import FORMERLY, attach_former
from quality.ledger.tables import TABLES as LEDGER
from quality.ledger.tables import open_ledger
from quality.service import load_rules
from tests.support.quality_marts import write_good_marts
from tests.support.snapshots import AS_OF

_OPEN = """
    SELECT rule_id, source, record_key, field, value, department_code, partition_on, severity, dimension, message
    FROM marts.quality_violation WHERE healed_at IS NULL ORDER BY ALL"""
_CHECKED = "SELECT rule_id, partition_on, rows_checked, rows_failed, rows_listed, status, reason FROM marts.quality_check ORDER BY ALL"
_DAYS = "SELECT date, department_code, rule_id, rows_checked, rows_failed FROM marts.mart_quality_department_day ORDER BY ALL"

_CHANGES = {
    "fct_case": [
        "channel_code = '8'", "department_code = (SELECT max(department_code) FROM marts.dim_department)", "is_matter_known = false",
        "case_number = case_number || 'x'", "received_on = received_on - 3", "completed_at = TIMESTAMPTZ '2029-01-01 00:00:00+00'",
        "applicant_id_digest = 'same', matter_code = 'm', received_at = TIMESTAMPTZ '2026-01-05 02:00:00+00'",
    ],
    "fct_case_event": [
        "sequence = sequence + 10", "activity_code = 'odd'", "case_number = (SELECT min(case_number) FROM marts.fct_case)",
        "occurred_at = NULL, occurred_on = NULL", "department_code = NULL", "occurred_at = occurred_at - INTERVAL 2 DAY, occurred_on = occurred_on - 2",
    ],
    "fct_certificate": [
        "case_number = (SELECT max(case_number) FROM marts.fct_case)", "case_number = NULL", "valid_to = valid_from - 1",
        "certificate_id = (SELECT min(certificate_id) FROM marts.fct_certificate)", "issued_on = issued_on - 400",
    ],
    "fct_review": ["case_number = 'gone'", "reviewed_at = NULL, reviewed_on = NULL", "is_bad = true, is_default = true", "satisfaction_code = '9'"],
}  # fmt: skip
_ELSEWHERE = [
    "UPDATE marts.fct_case SET as_of = as_of - INTERVAL 40 DAY, _run_seq = {seq}",
    "UPDATE marts.dim_department SET department_kind_code = 'unknown' WHERE department_code = (SELECT max(department_code) FROM marts.dim_department)",
    "DELETE FROM marts.dim_region WHERE region_code = (SELECT max(region_code) FROM marts.dim_region)",
    "UPDATE marts.mart_department_day SET denominator = denominator + 1 WHERE date = DATE '2026-02-02'",
    "UPDATE marts.dim_matter SET promised_limit = 90 WHERE matter_code = (SELECT min(matter_code) FROM marts.dim_matter)",
]


RULES = [rule for rule in load_rules() if "select" in rule.condition.lower() or rule.id in ("case_channel_code", "event_activity_code", "review_satisfaction_code")]
"""The shipped rules that read more than their row, and a few that do not."""


def publish(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Makes the marts as they are the snapshot with which the next check compares."""
    connection.execute(f"DETACH DATABASE IF EXISTS {FORMERLY}")
    connection.execute("CHECKPOINT")
    shutil.copyfile(path, path.with_suffix(".published"))
    attach_former(connection, path.with_suffix(".published"))


def check(connection: duckdb.DuckDBPyConnection, run: int, left: dict[str, pa.Table] | None = None) -> Outcome:
    return Checking(connection, f"run-{run}", AS_OF + timedelta(days=run), RULES, Limits(), left, work_calendar()).run()


def change(connection: duckdb.DuckDBPyConnection, table: str, what: str | None, share: int, seed: int, seq: int, left: dict[str, pa.Table]) -> None:
    """Rewrites or deletes some rows as dbt does: a new run number; what they were before is handed on."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE chosen AS SELECT * FROM marts.{table} WHERE hash(rowid, {seed}) % {share} = 0")
    gone = connection.sql("SELECT source, case_number FROM chosen").to_arrow_table()
    left[table] = pa.concat_tables([left[table], gone]) if table in left else gone
    connection.execute(f"DELETE FROM marts.{table} WHERE hash(rowid, {seed}) % {share} = 0")
    if what:
        connection.execute(f"UPDATE chosen SET {what}")
        connection.execute(f"UPDATE chosen SET _run_seq = {seq}")
        connection.execute(f"INSERT INTO marts.{table} FROM chosen")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("marts") / "masked.duckdb"
    write_good_marts(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        for table in CASE_TABLES:
            connection.execute(f"UPDATE marts.{table} SET _run_seq = 1")
        connection.execute("UPDATE marts.fct_case_event SET occurred_on = occurred_at::DATE")
        check(connection, 1)
    return path


@pytest.fixture
def marts(good: Path, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    shutil.copyfile(good, tmp_path / "masked.duckdb")
    with duckdb.connect(str(tmp_path / "masked.duckdb")) as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        yield connection


def state(connection: duckdb.DuckDBPyConnection) -> list[list[tuple[object, ...]]]:
    return [connection.execute(query).fetchall() for query in (_OPEN, _CHECKED, _DAYS)]


STEP = st.tuples(st.sampled_from([(t, c) for t, cs in _CHANGES.items() for c in [*cs, None]]), st.sampled_from([7, 60, 400]), st.integers(0, 10**6))


Step = tuple[tuple[str, str | None], int, int]
Runs = list[tuple[list[Step], str | None]]


def incremental_and_full(good: Path, path: Path, runs: Runs, published: bool = False) -> tuple[list[list[tuple[object, ...]]], list[list[tuple[object, ...]]]]:
    """The state after checking each run's changes, with a snapshot of the run before or without, and after evaluating everything at the end."""
    shutil.copyfile(good, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        for number, (steps, elsewhere) in enumerate(runs, start=2):
            if published:
                publish(connection, path)
            left: dict[str, pa.Table] = {}
            for (table, what), share, seed in steps:
                change(connection, table, what, share, seed, number, left)
            if elsewhere:
                connection.execute(elsewhere.format(seq=number))
            check(connection, number, left)
        incremental = state(connection)
        for table in ("quality_violation", "quality_rule", "quality_check", "quality_partition", "mart_quality_department_day"):
            connection.execute(f"DELETE FROM marts.{table}")
        connection.execute(f"DETACH DATABASE IF EXISTS {FORMERLY}")
        check(connection, 9)
        full = state(connection)
    path.unlink()
    return incremental, full


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(runs=st.lists(st.tuples(st.lists(STEP, max_size=4), st.sampled_from([None, *_ELSEWHERE])), min_size=1, max_size=3), published=st.booleans())
def test_incremental_is_full(good: Path, tmp_path: Path, runs: Runs, published: bool) -> None:
    """Without shrinking, which would take minutes: the example is small as it is."""
    note(f"runs = {runs!r}, published = {published}")
    incremental, full = incremental_and_full(good, tmp_path / f"{random.random()}.duckdb", runs, published)  # noqa: S311 - a name
    for name, one, other in zip(("open", "checked", "days"), incremental, full, strict=True):
        assert set(one) ^ set(other) == set(), (name, runs, published)
        assert one == other, (name, runs, published)


def test_rows_without_a_day_stay_in_the_ledger_when_others_are_evaluated(good: Path, tmp_path: Path) -> None:
    """Events without an instant are a partition of their own, in which some rules have nothing to look at; a change elsewhere does not concern it."""
    runs: Runs = [([(("fct_case_event", "occurred_at = NULL, occurred_on = NULL"), 60, 5718)], None), ([(("fct_case", "channel_code = '8'"), 60, 0)], None)]
    incremental, full = incremental_and_full(good, tmp_path / "masked.duckdb", runs)
    assert ("event_window_unknown", None, 0, 0, 0, "empty", "没有适用的行") in full[1]
    assert incremental == full


def test_what_did_not_change_is_not_looked_at(marts: duckdb.DuckDBPyConnection) -> None:
    before = state(marts)
    assert (check(marts, 2, {}).rows, state(marts)) == (0, before)
    left: dict[str, pa.Table] = {}
    marts.execute("CREATE TEMP TABLE one AS FROM marts.fct_case WHERE is_completed ORDER BY received_on LIMIT 1")
    marts.execute("DELETE FROM marts.fct_case WHERE case_number IN (SELECT case_number FROM one)")
    marts.execute("INSERT INTO marts.fct_case SELECT * REPLACE (3 AS _run_seq, '8' AS channel_code) FROM one")
    outcome = check(marts, 3, left)
    rows = marts.execute("SELECT (SELECT count(*) FROM marts.fct_case), (SELECT count(*) FROM marts.fct_case_event)").fetchall()[0]
    partitions = outcome.evaluated["case_channel_code"]
    assert partitions == {marts.execute("SELECT received_on FROM one").fetchall()[0][0]}
    assert outcome.rows < sum(rows) / 10
    found = marts.execute("SELECT value, first_seen_run, healed_at FROM marts.quality_violation WHERE rule_id = 'case_channel_code'").fetchall()
    assert found == [("8", "run-3", None)]


def test_without_the_list_of_what_left_rules_about_a_case_are_evaluated_in_full(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("DELETE FROM marts.fct_case WHERE case_number = (SELECT max(case_number) FROM marts.fct_case)")
    outcome = check(marts, 2)
    assert outcome.evaluated["event_case_unknown"] is None
    assert marts.execute("SELECT count(*) FROM marts.quality_violation WHERE rule_id = 'event_case_unknown' AND healed_at IS NULL").fetchall()[0][0] > 0


def test_opened_still_there_healed_and_opened_again(marts: duckdb.DuckDBPyConnection) -> None:
    """One violation over five runs; each step rewrites the case as a run does."""
    key = marts.execute("SELECT min(case_number) FROM marts.fct_case WHERE is_completed").fetchall()[0][0]

    def step(run: int, **values: str) -> tuple[object, ...]:
        changes = ", ".join(f"{column} = '{value}'" for column, value in values.items())
        marts.execute(f"UPDATE marts.fct_case SET _run_seq = {run}, {changes} WHERE case_number = $key", {"key": key})
        check(marts, run, {})
        query = """SELECT first_seen_run, first_seen_at, last_seen_run, healed_run, healed_at, times_reopened, department_code
            FROM marts.quality_violation WHERE rule_id = 'case_channel_code'"""
        rows = marts.execute(query).fetchall()
        assert len(rows) == 1
        return rows[0]

    def at(run: int) -> datetime:
        return AS_OF + timedelta(days=run)

    assert step(2, channel_code="8")[:5] == ("run-2", at(2), "run-2", None, None)
    other = marts.execute("SELECT max(department_code) FROM marts.dim_department").fetchall()[0][0]
    assert step(3, department_code=other)[:7] == ("run-2", at(2), "run-3", None, None, 0, other)
    assert step(4, channel_code="1")[:5] == ("run-2", at(2), "run-3", "run-4", at(4))
    assert step(5, channel_code="8")[:6] == ("run-2", at(2), "run-5", None, None, 1)
    assert marts.execute("SELECT date::VARCHAR, opened, healed, rows_failed FROM marts.mart_quality_rule_day WHERE rule_id = 'case_channel_code' ORDER BY date").fetchall() == [
        ("2026-07-01", 0, 0, 0), ("2026-07-02", 1, 0, 1), ("2026-07-03", 0, 0, 1), ("2026-07-04", 0, 1, 0), ("2026-07-05", 0, 0, 1),
    ]  # fmt: skip


def test_a_second_check_of_one_run_looks_again_at_what_the_run_wrote(marts: duckdb.DuckDBPyConnection) -> None:
    for channel, expected in (("8", 1), ("1", 0)):  # the same run is built twice: counts and run numbers stay as they are
        marts.execute(f"UPDATE marts.fct_case SET _run_seq = 2, channel_code = '{channel}' WHERE case_number = (SELECT min(case_number) FROM marts.fct_case)")
        check(marts, 2, {})
        assert marts.execute("SELECT count(*) FROM marts.quality_violation WHERE rule_id = 'case_channel_code' AND healed_at IS NULL").fetchall() == [(expected,)]


def test_a_file_without_a_ledger_takes_it_from_the_one_before(marts: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    marts.execute("UPDATE marts.fct_case SET _run_seq = 2, channel_code = '8'")
    check(marts, 2, {})
    known = marts.execute("SELECT rule_id, record_key, first_seen_run FROM marts.quality_violation ORDER BY ALL").fetchall()
    marts.execute("CHECKPOINT")
    shutil.copyfile(tmp_path / "masked.duckdb", tmp_path / "before.duckdb")
    for dropped in (LEDGER, {"quality_partition", "quality_rule", "quality_check", "mart_quality_department_day"}):  # damaged; of an older project
        for table in dropped:
            marts.execute(f"DROP TABLE marts.{table}")
        open_ledger(marts, tmp_path / "before.duckdb")
        assert marts.execute("SELECT rule_id, record_key, first_seen_run FROM marts.quality_violation ORDER BY ALL").fetchall() == known
        check(marts, 3, {})
        assert marts.execute("SELECT rule_id, record_key, first_seen_run FROM marts.quality_violation ORDER BY ALL").fetchall() == known
