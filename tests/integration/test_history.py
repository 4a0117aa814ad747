"""What was known when: past days made again as they were published, corrections that rewrite only what they touch."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from models.domain.settings import Settings, get_settings
from models.store.snapshots import SnapshotStore
from pipelines.sample.service import write_sample
from pipelines.sources import history
from pipelines.sources.service import load_sources, prepare, start_run, sync
from pipelines.warehouse import service as dbt
from pipelines.warehouse.publications import day_end, mart_digests
from pipelines.warehouse.touched import note_touched
from tests.support.city import CASES, ENVIRONMENT, UNTIL, YIWANG
from tests.support.snapshots import publish
from tests.support.sync import SyncHome

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it


# raw as a run knew it

ROW = st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans())
STEP = st.lists(ROW, max_size=5)


CALM = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
STEPS = st.lists(st.dictionaries(st.sampled_from(["a.csv", "b.csv"]), STEP, min_size=1), min_size=2, max_size=4)
Steps = list[dict[str, list[tuple[int, int, bool]]]]


@hypothesis_settings(CALM, max_examples=4)
@given(steps=STEPS, vanished=st.booleans())
def test_raw_as_known_to_a_run_is_raw_as_that_run_left_it(steps: Steps, vanished: bool) -> None:
    """For every run of a random history of new, changed, deleted, vanished, set aside and unchanged records."""
    as_left(steps, vanished)


@pytest.mark.slow
@hypothesis_settings(CALM, max_examples=60)
@given(steps=STEPS, vanished=st.booleans())
def test_raw_as_known_to_a_run_over_many_histories(steps: Steps, vanished: bool) -> None:
    as_left(steps, vanished)


def test_raw_as_known_through_every_kind_of_change() -> None:
    """Changed, gone, back again, set aside and mended, vanished, and a run that says nothing new."""
    one: Steps = [
        {"a.csv": [(1, 0, False), (2, 0, False), (3, 0, False)], "b.csv": [(0, 0, False)]}, {"a.csv": [(1, 1, False), (2, 0, True)]},
        {"a.csv": [(1, 1, False), (2, 0, False)], "b.csv": [(3, 2, False)]}, {"a.csv": [(1, 1, False), (2, 0, False)]},
    ]  # fmt: skip
    as_left(one, vanished=True)


def as_left(steps: Steps, vanished: bool) -> None:
    with TemporaryDirectory() as folder:
        home = SyncHome.make(Path(folder))
        home.configure(
            {"subject": "region", "location": "*.csv", "deleted": "gone", "fields": {"effective_from": "since"}}
            | ({"vanished": "delete", "vanished_limit": 1} if vanished else {})
        )
        left: list[dict[str, list[Any]]] = []
        for step in steps:
            for file, rows in step.items():
                # key 0 is blank: the row is set aside
                home.csv(file, ["region_code", "region_name", "since", "gone"], [[key or "", value, "2026-01-01", "是" if gone else ""] for key, value, gone in rows])
            home.sync()
            left.append({table: home.rows(query.format(f"raw.{table}")) for table, query in WRITTEN.items()})
        with duckdb.connect(str(home.settings.warehouse), read_only=True) as connection:
            for seq, tables in enumerate(left, 1):
                for table, rows in tables.items():
                    assert connection.execute(WRITTEN[table].format(history.as_known(table, seq))).fetchall() == rows, (seq, table)


WRITTEN = {
    # not the place in a file: a record that only moved is the same version
    "region": "SELECT * EXCLUDE (_file_id, _file_row) FROM {} ORDER BY ALL",
    "quarantine": "SELECT * FROM {} ORDER BY ALL",
}


# a past day as it was published

NEXT_DAY = UNTIL + timedelta(days=1)


def yiwang(home: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run([YIWANG, *arguments, "--home", str(home)], capture_output=True, text=True, check=False, env={**os.environ, **ENVIRONMENT})
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def current(home: Path) -> Path:
    return home / "snapshots" / str(json.loads((home / "snapshots" / "current.json").read_text())["file"])


@contextmanager
def reading(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def copied(city: Path, home: Path) -> Path:
    return Path(shutil.copytree(city, home))


def correct_a_case(home: Path) -> tuple[str, date, str]:
    """A case of last March came through the window, not online: number, day of receipt, department."""
    with reading(current(home)) as connection:
        number, received_on, department = connection.execute(
            "SELECT case_number, received_on, department_code FROM marts.fct_case WHERE received_on BETWEEN DATE '2026-03-01' AND DATE '2026-03-31' "
            "AND is_completed AND channel_code = '2' AND source = 'sample' AND is_matter_known ORDER BY case_number LIMIT 1"
        ).fetchone()  # type: ignore[misc]
    cases = home / "sample" / "case"
    with duckdb.connect() as connection:
        column = "channel_code"
        connection.execute(
            f"COPY (SELECT * REPLACE ('1' AS {column}, updated_at + INTERVAL 1 HOUR AS updated_at) FROM read_parquet('{cases}/*.parquet') "
            f"WHERE case_number = ? ORDER BY updated_at DESC LIMIT 1) TO '{cases}/part-20260701-correction.parquet'", [number]
        )
    return number, received_on, department


def take_reviews_away(home: Path) -> int:
    """The source no longer holds the reviews of one of its files but one; the sync is told to take that as deletions."""
    path = sorted((home / "sample" / "review").glob("*.parquet"))[3]
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE kept AS FROM read_parquet('{path}')")
        rows = connection.execute("SELECT count(*) FROM kept").fetchall()[0][0]
        connection.execute(f"COPY (FROM kept LIMIT 1) TO '{path}' (FORMAT parquet)")
    sources = home / "sources.yml"
    text = sources.read_text().replace("  subject: review\n", "  subject: review\n  vanished: delete\n")
    sources.write_text(text)
    return int(rows) - 1


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, city: Path) -> Path:
    """A home that published two days; on the second a case of last March was corrected, reviews went and records came late."""
    home = copied(city, tmp_path_factory.mktemp("second") / "home")
    write_sample(home, cases=CASES, until=NEXT_DAY, errors=0.02)
    correct_a_case(home)
    assert take_reviews_away(home) > 0
    yiwang(home, "run")
    return home


def test_a_past_day_is_made_again_as_it_was_published(city: Path, second: Path) -> None:
    before = current(second)
    out = yiwang(second, "run", "--as-of", str(UNTIL))
    assert f"与 {UNTIL} 发布的结果一致" in out
    assert current(second) == before, "the snapshot in service stays"
    assert not list((second / "work" / "replay").iterdir())
    again = second / "history" / f"{UNTIL}.duckdb"
    with reading(current(city)) as connection:
        connection.execute(f"ATTACH '{again}' AS again (READ_ONLY)")
        tables = [row[0] for row in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'marts' AND database_name <> 'again' AND table_name <> 'run' "
            "AND table_name NOT LIKE 'catalogue%'"
        ).fetchall()]
        assert len(tables) > 20
        for table in tables:
            columns = ", ".join(
                f'"{row[0]}"' for row in connection.execute(f"DESCRIBE marts.{table}").fetchall()
                if row[0] not in ("run_id", "as_of") and not row[0].startswith("_")
            )
            one, other = f"SELECT {columns} FROM marts.{table}", f"SELECT {columns} FROM again.marts.{table}"
            assert connection.execute(f"({one} EXCEPT ALL {other}) UNION ALL ({other} EXCEPT ALL {one})").fetchall() == [], table
        # the ledger of quality remembers runs: the past day's own is compared row by row above, and is no figure of the day
        assert mart_digests(connection, "again", _run_id(city)).keys() == {table for table in tables if not table.startswith(("quality_", "mart_quality_"))}


def test_a_past_day_stays_past_whatever_was_published_since(tmp_path: Path, second: Path) -> None:
    """Earlier days that were put into service later neither make a day current again nor take the place of its publication."""
    from pipelines.replay.service import past_publication

    home = copied(second, tmp_path / "home")
    settings = Settings(home=home)
    january = date(2026, 1, 31)
    with duckdb.connect(str(settings.warehouse)) as connection:
        for seq, day in ((3, january), (4, UNTIL)):
            connection.execute("INSERT INTO ops.run BY NAME SELECT * REPLACE (? AS run_seq, ? AS run_id) FROM ops.run WHERE run_seq = 2", [seq, f"run {seq}"])
            connection.execute(
                "INSERT INTO ops.publication BY NAME SELECT * REPLACE (? AS run_seq, ? AS run_id, ?::TIMESTAMPTZ AS as_of) FROM ops.publication WHERE run_seq = 2",
                [seq, f"run {seq}", day_end(day, settings.zone)],
            )
    repeated = {day: past_publication(settings, day_end(day, settings.zone)) for day in (january, UNTIL, UNTIL - timedelta(days=1), NEXT_DAY)}
    assert {day: one and one.run.run_seq for day, one in repeated.items()} == {january: 3, UNTIL: 1, UNTIL - timedelta(days=1): None, NEXT_DAY: None}
    shutil.rmtree(home / "snapshots")
    again = past_publication(settings, day_end(UNTIL, settings.zone))
    assert again and again.run.run_seq == 1


@pytest.mark.slow
def test_a_past_day_without_publication_is_kept_and_not_put_into_service(tmp_path: Path, second: Path) -> None:
    home = copied(second, tmp_path / "home")
    before = current(home), json.loads((home / "snapshots" / "current.json").read_text())
    day = UNTIL - timedelta(days=1)
    out = yiwang(home, "run", "--as-of", str(day))
    assert f"{day} 按现在所知计算（这一天没有可重算的发布）" in out and "当前快照不变" in out
    assert (current(home), json.loads((home / "snapshots" / "current.json").read_text())) == before
    with reading(home / "history" / f"{day}.duckdb") as connection:
        assert connection.execute("SELECT max(date) FROM marts.mart_department_day").fetchone() == (day,)


def test_days_taken_out_of_one_scratch_home_leave_no_complaint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from pipelines.replay.days import keep_day

    settings, scratch = Settings(home=tmp_path / "home"), Settings(home=tmp_path / "scratch")
    for day in (UNTIL, NEXT_DAY):
        publish(scratch)
        run_id = SnapshotStore(scratch).in_service().run_id
        (scratch.home / "reports").mkdir(exist_ok=True)
        (scratch.home / "reports" / f"{run_id}.html").write_text("")
        kept = keep_day(settings, scratch, day, day_end(day, settings.zone), run_id, "now", 1, None)
        assert kept.marts.is_file()
    assert not caplog.records


def test_a_difference_without_a_changed_condition_accuses_nobody() -> None:
    from rich.console import Console

    from pipelines.replay.days import DayFile
    from pipelines.replay.proof import Difference, Verdict
    from serving.cli.history import print_verdict

    out = Console(record=True, width=200, file=StringIO())
    day = DayFile(UNTIL, "", "", "then", 1, False, "", Path("marts"), Path("report"))
    print_verdict(out, day, Verdict(20, (Difference("fct_case", 3, 3, ("correction_count",)),), ()))
    said = out.export_text()
    assert "fct_case" in said and "correction_count" in said and "原因不明" in said and "改动" not in said


def _run_id(home: Path) -> str:
    return str(json.loads((home / "snapshots" / "current.json").read_text())["run_id"])


def test_a_difference_names_mart_and_column_and_what_changed_since(tmp_path: Path, second: Path) -> None:
    """A published figure that cannot be reproduced is said, with the conditions that are others now."""
    from pipelines.replay.proof import compare
    from pipelines.warehouse.publications import publications

    home = copied(second, tmp_path / "home")
    settings = Settings(home=home)
    then = publications(settings)[-1]
    scratch = Settings(home=tmp_path / "scratch")
    prepare(scratch)
    for database in ("warehouse.duckdb", "masked.duckdb"):
        shutil.copy(home / "work" / database, scratch.work / database)
    assert compare(settings, scratch, then).is_same
    with duckdb.connect(str(scratch.warehouse)) as connection:
        connection.execute(
            "UPDATE ops.mart_digest SET digest = '1', columns = json_merge_patch(columns, '{\"channel_code\": \"1\"}') WHERE mart = 'fct_case'"
        )
        connection.execute("DELETE FROM ops.mart_digest WHERE mart = 'dim_window'")
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("UPDATE ops.publication SET rules = 'older', calendar = '1.9'")
    verdict = compare(settings, scratch, publications(settings)[-1])
    assert [(d.mart, d.columns, d.rows_now is None) for d in verdict.differences] == [("dim_window", (), True), ("fct_case", ("channel_code",), False)]
    assert len(verdict.reasons) == 2 and "工作日历" in verdict.reasons


# corrections rewrite what they touch

def build(settings: Settings, as_of: datetime, *more: str) -> int:
    """Sync, then the warehouse up to the departments' days; the number of the run."""
    prepare(settings)
    run = start_run(settings)
    sync(settings, load_sources(settings.home / "sources.yml"), run)
    project = str(dbt.project_dir())
    command = [
        dbt.executable(), "--quiet", "run", "--select", "+mart_department_day", "--project-dir", project, "--profiles-dir", project,
        "--vars", dbt.variables(settings, run.run_id, run.run_seq, as_of), *more,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **ENVIRONMENT, **dbt.environment(settings)})
    assert done.returncode == 0, done.stdout + done.stderr
    note_touched(settings, run)
    return run.run_seq


def test_a_correction_rewrites_only_the_partitions_it_touches(tmp_path: Path, city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIWANG_DIGEST_KEY", ENVIRONMENT["YIWANG_DIGEST_KEY"])
    home = copied(city, tmp_path / "home")
    number, day, department = correct_a_case(home)
    settings = Settings(home=home)
    as_of = datetime.fromisoformat(json.loads((home / "snapshots" / "current.json").read_text())["as_of"])
    with reading(settings.marts) as connection:
        before = connection.execute("SELECT count(*), sum(hash(*COLUMNS(*))::HUGEINT) FROM marts.fct_case WHERE case_number <> ?", [number]).fetchone()
    seq = build(settings, as_of)
    with reading(settings.warehouse) as connection:
        touched = connection.execute("SELECT mart, day, department_code FROM ops.touched_partition WHERE run_seq = ? ORDER BY mart", [seq]).fetchall()
    assert touched == [("fct_case", day, department), ("mart_department_day", day, department)]
    with reading(settings.marts) as connection:
        # every column, the number of the run that wrote the row included
        after = connection.execute("SELECT count(*), sum(hash(*COLUMNS(*))::HUGEINT) FROM marts.fct_case WHERE case_number <> ?", [number]).fetchone()
        connection.execute(f"ATTACH '{current(home)}' AS published (READ_ONLY)")
        moved = connection.execute(
            "SELECT DISTINCT date, department_code, measure_code FROM (FROM marts.mart_department_day EXCEPT ALL FROM published.marts.mart_department_day)"
        ).fetchall()
    assert after == before
    assert moved == [(day, department, "M15")]
    incremental = _digest(settings)
    build(settings, as_of, "--full-refresh")
    assert _digest(settings) == incremental


@pytest.mark.slow
def test_a_decided_work_day_clocks_anew_what_counted_it(tmp_path: Path, city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIWANG_DIGEST_KEY", ENVIRONMENT["YIWANG_DIGEST_KEY"])
    home = copied(city, tmp_path / "home")
    settings = Settings(home=home)
    as_of = datetime.fromisoformat(json.loads((home / "snapshots" / "current.json").read_text())["as_of"])
    with reading(settings.marts) as connection:
        before = dict(connection.execute("SELECT case_number, due_on FROM marts.fct_case WHERE due_on IS NOT NULL").fetchall())
    rest = next(day for offset in range(60) if (day := UNTIL - timedelta(days=40 - offset)).weekday() == 2)
    (home / "days.csv").write_text(f"day,is_working,reason,updated_at\n{rest},false,市政府临时放假通知,2026-01-01T00:00:00+08:00\n", encoding="utf-8")
    sources = home / "sources.yml"
    written = yaml.safe_load(sources.read_text())
    sources.write_text(yaml.safe_dump({"sources": [*written["sources"], {"name": "sample", "subject": "calendar_day", "location": "days.csv"}]}))
    build(settings, as_of)
    with reading(settings.marts) as connection:
        after = dict(connection.execute("SELECT case_number, due_on FROM marts.fct_case WHERE due_on IS NOT NULL").fetchall())
    moved = {number for number, due in before.items() if after[number] != due}
    assert moved and all(before[number] >= rest for number in moved), "what was due before that day is due as it was"
    assert all(after[number] > before[number] for number in moved), "a day of rest gives time"
    incremental = _digest(settings)
    build(settings, as_of, "--full-refresh")
    assert _digest(settings) == incremental


def _digest(settings: Settings) -> dict[str, str]:
    with reading(settings.marts) as connection:
        return {mart: digest.digest for mart, digest in mart_digests(connection, "masked", "").items() if mart in ("fct_case", "mart_department_day")}


# many days

DAYS = [UNTIL - timedelta(days=n) for n in (2, 1, 0)]


@pytest.mark.slow
def test_a_backfill_goes_on_where_it_was_killed(tmp_path: Path, second: Path) -> None:
    home = copied(second, tmp_path / "home")
    shutil.rmtree(home / "history", ignore_errors=True)
    before = current(home)
    command = [YIWANG, "backfill", "--from", str(DAYS[0]), "--to", str(DAYS[-1]), "--home", str(home)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **ENVIRONMENT})
    notes = home / "history"
    while process.poll() is None and not list(notes.glob("*.json")):
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (done,) = notes.glob("*.json")
    made = done.stat().st_mtime_ns
    assert list((home / "work" / "replay").iterdir()), "the kill left a scratch home"
    out = yiwang(home, "backfill", "--from", str(DAYS[0]), "--to", str(DAYS[-1]))
    assert done.stat().st_mtime_ns == made, "a day that is there is not made again"
    assert out.count("按现在所知") == 2 and out.count("按当时所知，与发布结果一致") == 1
    assert sorted(path.stem for path in notes.glob("*.duckdb")) == [str(day) for day in DAYS]
    assert not list((home / "work" / "replay").iterdir())
    assert current(home) == before
    stood = []
    for day in DAYS:
        with reading(notes / f"{day}.duckdb") as connection:
            stood.append(connection.execute("SELECT max(date), (SELECT count(*) FROM marts.score_department_month) > 0 FROM marts.mart_department_day").fetchone())
    assert stood == [(day, True) for day in DAYS]


@pytest.mark.slow
# dagster-dbt 0.29 uses what dagster 1.13 deprecates: https://github.com/dagster-io/dagster/issues/16417
@pytest.mark.filterwarnings("ignore:AssetExecutionContext:DeprecationWarning")
def test_dagster_makes_a_past_day_by_partition(tmp_path: Path, second: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a backfill of the job ``past_days`` does for each of its partitions; a day that still holds is not made again."""
    import dagster as dg

    from pipelines.definitions import PAST_DAYS, defs

    monkeypatch.setenv("YIWANG_DIGEST_KEY", ENVIRONMENT["YIWANG_DIGEST_KEY"])
    home = copied(second, tmp_path / "home")
    monkeypatch.setenv("YIWANG_HOME", str(home))
    get_settings.cache_clear()
    try:
        job = defs().resolve_job_def(PAST_DAYS)
        for _ in range(2):
            with dg.DagsterInstance.ephemeral() as instance:
                done = job.execute_in_process(instance=instance, partition_key=str(UNTIL))
            (materialised,) = done.asset_materializations_for_node("past_day")
            assert materialised.metadata["known"].value == "then"
            assert materialised.metadata["reproduces_publication"].value == "True"
    finally:
        get_settings.cache_clear()


@pytest.mark.slow
def test_known_now_puts_todays_knowledge_of_a_past_day_into_service_when_told_to(tmp_path: Path, city: Path, second: Path) -> None:
    home = copied(second, tmp_path / "home")
    with reading(current(city)) as connection:
        before = connection.execute("SELECT count(*) FROM marts.fct_review").fetchone()
    out = yiwang(home, "run", "--as-of", str(UNTIL), "--known", "now", "--publish")
    assert "按现在所知计算。" in out
    with reading(current(home)) as connection:
        after = connection.execute("SELECT count(*) FROM marts.fct_review").fetchone()
        connection.execute(f"ATTACH '{current(city)}' AS published (READ_ONLY)")
        corrected = connection.execute(
            "SELECT p.channel_code, n.channel_code FROM published.marts.fct_case AS p JOIN marts.fct_case AS n USING (source, case_number) "
            "WHERE p.channel_code IS DISTINCT FROM n.channel_code"
        ).fetchall()
    assert before and after and after[0] < before[0]
    assert ("2", "1") in corrected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backfill", "--from", "2026-06-30", "--to", "2026-06-29"], "YW-RUN-020"),
        (["backfill", "--from", "2026-06-01", "--to", "2026-06-29", "--every", "week"], "YW-RUN-020"),
        (["backfill", "--from", "1999-01-01", "--to", "1999-01-01"], "YW-RUN-004"),
        (["run", "--as-of", "2026-06-29", "--known", "later"], "YW-SERVE-005"),
    ],
)
def test_bad_ranges_get_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str) -> None:
    from typer.testing import CliRunner

    from serving.cli.main import app

    monkeypatch.setenv("YIWANG_HOME", str(tmp_path))
    try:
        done = CliRunner().invoke(app, [*arguments, "--home", str(tmp_path)])
    finally:
        get_settings.cache_clear()
    assert done.exit_code == 2
    said = [line for line in done.stderr.splitlines() if "YW-" in line]
    assert len(said) == 1 and words in said[0]


def test_months_end_with_their_last_day() -> None:
    from pipelines.replay.service import each

    assert each(date(2026, 1, 30), date(2026, 3, 2), "month") == [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 2)]
    assert each(date(2026, 1, 30), date(2026, 2, 1)) == [date(2026, 1, 30), date(2026, 1, 31), date(2026, 2, 1)]
