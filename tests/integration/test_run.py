"""The whole job through the command line: first run, second run, an added day, a broken file, kills."""

import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from models.domain.errors import YiwangError
from pipelines.sample.service import write_sample
from pipelines.sample.sources import WRITTEN
from quality.service import CheckResult, check
from tests.support.city import CASES, ENVIRONMENT, YIWANG

NEXT_DAY = date(2026, 6, 30)
FACTS = ("fct_case", "fct_case_event", "fct_certificate", "fct_review", "dim_matter", "dim_department", "mart_department_day", "quarantine",
         "score_indicator_month", "score_department_month")
BOOKS = {"_run_seq", "run_id", "as_of"}
"""Columns that say which run wrote a row: they differ between a full and an incremental build."""


def yiwang(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([YIWANG, *arguments, "--home", str(home)], capture_output=True, text=True, check=False, env=environment())


def environment() -> dict[str, str]:
    return {**os.environ, **ENVIRONMENT}


def current(home: Path) -> Path:
    return home / "snapshots" / json.loads((home / "snapshots" / "current.json").read_text())["file"]


@contextmanager
def snapshot(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(current(home)), read_only=True) as connection:
        yield connection


def content(home: Path, table: str) -> tuple[int, int]:
    """Rows of a published mart and a checksum that no order changes."""
    with snapshot(home) as connection:
        names = [row[0] for row in connection.execute(f"describe marts.{table}").fetchall() if row[0] not in BOOKS]
        columns = ", ".join(f'"{name}"' for name in names)
        row = connection.execute(f"select count(*), sum(hash({columns})::hugeint) from marts.{table}").fetchone()
    assert row is not None
    return row


def same(one: Path, other: Path) -> None:
    differing = [table for table in FACTS if content(one, table) != content(other, table)]
    assert not differing


@pytest.fixture(scope="module")
def first(city: Path) -> Path:
    """A home after its first run."""
    return city


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, first: Path) -> Path:
    """A home built in one run from the sample that holds the added day."""
    home = tmp_path_factory.mktemp("full")
    shutil.copytree(first / "sample", home / "sample")
    shutil.copy(first / "sources.yml", home)
    write_sample(home, cases=CASES, until=NEXT_DAY, errors=0.02)
    done = yiwang(home, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def test_the_first_run_publishes_and_reports(first: Path) -> None:
    with snapshot(first) as connection:
        cases, events = connection.execute("select (select count(*) from marts.fct_case), (select count(*) from marts.fct_case_event)").fetchone()  # type: ignore[misc]
        scored = connection.execute("select count(distinct department_code) from marts.score_department_month where score is not null").fetchone()
        blocking = connection.execute("select count(*) from marts.check_result where gate and not passed").fetchone()
    assert cases > 900 and events > 4 * cases
    assert scored is not None and scored[0] >= 15
    assert blocking == (0,)
    assert (first / "reports" / "latest.html").stat().st_size > 10_000


def test_dbt_unit_tests_pass(tmp_path: Path, first: Path) -> None:
    """Production runs leave them out: they test the SQL, not the data."""
    from models.domain.settings import Settings
    from pipelines.warehouse import service

    home = tmp_path / "home"
    shutil.copytree(first, home)
    project = str(service.project_dir())
    command = [service.executable(), "test", "--select", "test_type:unit", "--project-dir", project, "--profiles-dir", project]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | service.environment(Settings(home=home)))
    assert done.returncode == 0, done.stdout
    assert "PASS=4" in done.stdout


def test_rows_read_reconcile(first: Path) -> None:
    with snapshot(first) as connection:
        rows = connection.execute(
            "select rows_read, inserted + updated + unchanged + superseded + deleted + quarantined, subject from marts.mart_sync_run"
        ).fetchall()
    assert len(rows) == len(WRITTEN)
    assert all(read == accounted and read > 0 for read, accounted, _ in rows)


def test_the_warehouse_is_private_and_the_snapshot_masked(first: Path) -> None:
    assert (first / "work" / "warehouse.duckdb").stat().st_mode & 0o077 == 0
    with snapshot(first) as connection:
        names = {row[0] for row in connection.execute("select column_name from information_schema.columns where table_schema = 'marts'").fetchall()}
        clear = connection.execute("select count(*) from marts.fct_case where applicant_id_masked similar to '[0-9]{17}[0-9X]'").fetchone()
    assert not names & {"applicant_name", "applicant_id", "contact_phone", "contact_name", "address", "actor", "holder_id"}
    assert clear == (0,)


def test_the_command_prints_what_came_out(first: Path) -> None:
    done = yiwang(first, "status")
    assert done.returncode == 0
    for words in ("办件", "检查：通过", "部门能力得分", "隔离"):
        assert words in done.stdout


def test_an_added_day_gives_what_a_full_build_gives(tmp_path: Path, first: Path, full: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(first, home)
    write_sample(home, cases=CASES, until=NEXT_DAY, errors=0.02)
    done = yiwang(home, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    same(home, full)
    again = yiwang(home, "run")
    assert again.returncode == 0, again.stdout + again.stderr
    same(home, full)


def test_a_broken_file_leaves_the_published_snapshot_and_its_mending_heals(tmp_path: Path, first: Path, full: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(first, home)
    before = current(home)
    write_sample(home, cases=CASES, until=NEXT_DAY, errors=0.02)
    part = max((home / "sample" / "case").glob("*.parquet"))
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    done = yiwang(home, "run")
    assert done.returncode == 2
    assert "YW-SYNC-004" in done.stderr and part.name in done.stderr.replace("\n", "")
    assert current(home) == before
    part.write_bytes(whole)
    # what a full disk and a crash leave: the beginning of the marts, half a pointer
    marts = home / "work" / "masked.duckdb"
    marts.write_bytes(marts.read_bytes()[:50_000])
    (home / "snapshots" / "current.json").write_text('{"run')
    healed = yiwang(home, "run")
    assert healed.returncode == 0, healed.stdout + healed.stderr
    same(home, full)


def test_a_damaged_warehouse_is_named_and_left_alone(tmp_path: Path, first: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(first, home)
    (home / "work" / "warehouse.duckdb").write_bytes(b"no database")
    done = yiwang(home, "run")
    assert done.returncode == 2
    assert "YW-RUN-006" in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert (home / "work" / "warehouse.duckdb").read_bytes() == b"no database"


@pytest.mark.slow
def test_a_disk_that_is_full_is_said_in_one_sentence(tmp_path: Path, first: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(home)], check=False, capture_output=True).returncode:
        pytest.skip("a small file system can be mounted by root only")
    try:
        shutil.copytree(first / "sample", home / "sample")
        shutil.copy(first / "sources.yml", home)
        done = yiwang(home, "run")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr and "磁盘空间" in done.stderr
        subprocess.run(["mount", "-o", "remount,size=400m", str(home)], check=True)
        healed = yiwang(home, "run")
        assert healed.returncode == 0, healed.stdout + healed.stderr
    finally:
        subprocess.run(["umount", str(home)], check=True)


def killed(home: Path, after: float) -> None:
    """Starts a run and kills it, its children included, after some seconds."""
    process = subprocess.Popen([YIWANG, "run", "--home", str(home)], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def kills(tmp_path: Path, first: Path, full: Path, moments: list[float]) -> None:
    home = tmp_path / "home"
    shutil.copytree(first, home)
    write_sample(home, cases=CASES, until=NEXT_DAY, errors=0.02)
    for moment in moments:
        killed(home, moment)
        assert current(home).is_file(), "a snapshot is always in service"
    done = yiwang(home, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    same(home, full)


def test_killed_runs_are_healed_by_the_next(tmp_path: Path, first: Path, full: Path) -> None:
    length = float((first / "seconds").read_text())
    kills(tmp_path, first, full, [length * share for share in (0.3, 0.6, 0.9)])


@pytest.mark.slow
def test_runs_killed_at_random_moments(tmp_path: Path, first: Path, full: Path) -> None:
    dice = random.Random(7)
    length = float((first / "seconds").read_text())
    kills(tmp_path, first, full, [dice.uniform(0.05, 1) * length for _ in range(100)])


# dagster-dbt 0.29 uses what dagster 1.13 deprecates: https://github.com/dagster-io/dagster/issues/16417
@pytest.mark.filterwarnings("ignore:AssetExecutionContext:DeprecationWarning")
def test_a_failed_severe_check_stops_publishing(tmp_path: Path, first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, so that a check can be made to fail: no planted error may be severe."""
    from models.domain.settings import Settings
    from pipelines.defs.quality import checks
    from pipelines.run.service import run

    def one_fails(*arguments: Any, **named: Any) -> list[CheckResult]:
        results = check(*arguments, **named)
        severe = next(index for index, result in enumerate(results) if result.gate)
        results[severe] = replace(results[severe], passed=False, failed_rows=1, message="对账不平")
        return results

    monkeypatch.setenv("YIWANG_DIGEST_KEY", environment()["YIWANG_DIGEST_KEY"])
    monkeypatch.setattr(checks, "check", one_fails)
    home = tmp_path / "home"
    shutil.copytree(first, home)
    before = current(home)
    with pytest.raises(YiwangError) as raised:
        run(Settings(home=home), as_of=datetime(2026, 6, 30, 4, tzinfo=UTC))
    assert raised.value.code == "YW-RUN-005", raised.value.message
    assert "对账不平" in raised.value.message
    assert current(home) == before
    monkeypatch.undo()
    assert yiwang(home, "run").returncode == 0


def test_the_second_run_at_once_says_so_and_leaves(tmp_path: Path, first: Path) -> None:
    """The lock is held in this process: how long a first run lasts must not decide."""
    from models.domain.settings import Settings
    from pipelines.sources.service import run_lock

    home = tmp_path / "home"
    shutil.copytree(first, home)
    with run_lock(Settings(home=home)):
        done = yiwang(home, "run")
    assert done.returncode == 2
    assert "YW-RUN-001" in done.stderr and str(os.getpid()) in done.stderr
    assert yiwang(home, "run").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--as-of", "2026-02-30"], "YW-DOMAIN-001"),
        (["run", "--as-of", "1999-01-01"], "YW-RUN-004"),
        (["run", "--sources", "none.yml"], "YW-SYNC-005"),
        (["sql", "drop table marts.fct_case"], "YW-STORE-002"),
        (["sql", "select * from read_csv('/etc/passwd')"], "YW-STORE-002"),
        (["sql", "select 1", "--format", "xml"], "YW-SERVE-005"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(first: Path, arguments: list[str], words: str) -> None:
    done = yiwang(first, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("form", ["csv", "json"])
def test_sql_reads_the_published_marts(first: Path, form: str) -> None:
    done = yiwang(first, "sql", "select count(*) as n, min(received_on) as d from marts.fct_case", "--format", form)
    assert done.returncode == 0
    with snapshot(first) as connection:
        n, day = connection.execute("select count(*), min(received_on) from marts.fct_case").fetchone()  # type: ignore[misc]
    expected = f"n,d\n{n},{day}\n" if form == "csv" else [{"n": n, "d": str(day)}]
    assert (done.stdout if form == "csv" else json.loads(done.stdout)) == expected


def test_nothing_published_yet(tmp_path: Path) -> None:
    done = yiwang(tmp_path, "status")
    assert done.returncode == 2
    assert "YW-STORE-001" in done.stderr
