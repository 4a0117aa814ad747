"""A home that an older program made, under today's program. The homes are kept: tests/fixtures/homes/README.md."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.sources.service import load_sources, run_lock, start_run, sync
from pipelines.upkeep import home as home_module
from pipelines.upkeep.home import VERSION, noted, open_home, version_of
from pipelines.upkeep.tidy import tidy

HOMES = Path(__file__).parents[1] / "fixtures" / "homes"
BOOKS = {"_run_seq", "run_id", "as_of", "started_at", "finished_at"}
"""Columns that say which run wrote a row."""
CHANGED: dict[str, set[str]] = {}
"""Mart → columns that mean something else than when the home was made. Each entry needs its reason beside it."""
GROWING = {"run", "mart_sync_run", "check_result"}
"""Marts with rows of each run: those of before must all be there."""


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("YIWANG_")}


def yiwang(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("yiwang")), *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment())


def current(home: Path) -> Path:
    return home / "snapshots" / json.loads((home / "snapshots" / "current.json").read_text())["file"]


@pytest.fixture(scope="module", params=sorted(HOMES.glob("v*.tar.xz")), ids=lambda path: path.name.split(".")[0])
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as an older program left it."""
    home = tmp_path_factory.mktemp("old") / "home"
    with tarfile.open(request.param) as packed:
        packed.extractall(home, filter="data")
    return home


@pytest.fixture
def copy(old: Path, tmp_path: Path) -> Settings:
    """A copy of it."""
    shutil.copytree(old, tmp_path / "home")
    return Settings(home=tmp_path / "home", threads=1)


@pytest.fixture(scope="module")
def upgraded(old: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it after a run of today's program."""
    home = tmp_path_factory.mktemp("upgraded") / "home"
    shutil.copytree(old, home)
    done = yiwang(home, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def raw_rows(settings: Settings) -> dict[str, int]:
    """Rows of every raw table of records; calendar and labels are the program's own and grow with it."""
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw' AND NOT ends_with(table_name, '_history') AND table_name NOT IN ('calendar', 'code_label')").fetchall()
        return {table: connection.execute(f'SELECT count(*) FROM raw."{table}"').fetchall()[0][0] for (table,) in tables}


def built(path: Path, schemas: tuple[str, ...]) -> set[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE list_contains($1, schema_name) "
            "UNION ALL SELECT view_name FROM duckdb_views() WHERE list_contains($1, schema_name)", [list(schemas)]
        ).fetchall()
    return {row[0] for row in found}


def test_published_figures_come_out_as_before(old: Path, upgraded: Path) -> None:
    with duckdb.connect() as connection:
        for name, home in (("before", old), ("after", upgraded)):
            connection.execute(f"ATTACH '{current(home)}' AS {name} (READ_ONLY)")
        (same_day,) = connection.execute("SELECT (SELECT max(as_of) FROM before.marts.run) = (SELECT max(as_of) FROM after.marts.run)").fetchall()[0]
        assert same_day
        columns: dict[str, dict[str, list[str]]] = {"before": {}, "after": {}}
        for database, table, column in connection.execute(
            "SELECT database_name, table_name, column_name FROM duckdb_columns() WHERE schema_name = 'marts' ORDER BY column_index"
        ).fetchall():
            columns[database].setdefault(table, []).append(column)
        assert len(columns["before"]) >= 15
        assert columns["before"].keys() <= columns["after"].keys(), "no mart is lost"
        for table, names in columns["before"].items():
            assert set(names) <= set(columns["after"][table]), f"no column of {table} is lost"
            if table in GROWING:
                lost = f"SELECT run_id FROM before.marts.{table} EXCEPT SELECT run_id FROM after.marts.{table}"
                assert connection.execute(lost).fetchall() == [], table
                continue
            kept = ", ".join(f'"{name}"' for name in names if name not in BOOKS | CHANGED.get(table, set()))
            one, other = (f"(SELECT {kept} FROM {database}.marts.{table})" for database in ("before", "after"))
            differing = connection.execute(f"SELECT count(*) FROM (({one} EXCEPT ALL {other}) UNION ALL ({other} EXCEPT ALL {one}))").fetchall()
            assert differing == [(0,)], table


def test_raw_records_stay(old: Path, upgraded: Path) -> None:
    before, after = raw_rows(Settings(home=old)), raw_rows(Settings(home=upgraded))
    assert before.items() <= after.items() and before["case"] == 300


def test_the_doctor_finds_no_error_in_it(upgraded: Path) -> None:
    examined = yiwang(upgraded, "doctor", "--json")
    assert [finding for finding in json.loads(examined.stdout) if finding["state"] == "error"] == []
    assert examined.returncode == 0
    status = yiwang(upgraded, "status")
    assert "数据源是否及时" in status.stdout


def test_tidying_it_takes_nothing_that_the_next_run_needs(upgraded: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(upgraded, home)
    settings, years_later = Settings(home=home, keep_runs_days=1, keep_deleted_days=1, threads=1), datetime.now(UTC) + timedelta(days=1000)
    before, published = raw_rows(settings), current(home)
    would = tidy(settings, years_later, dry_run=True)
    assert raw_rows(settings) == before
    tidied = tidy(settings, years_later)
    assert tidied.rows == would.rows and tidied.rows["运行账"] == 1, "of three runs, two have their snapshots kept"
    assert tidied.rows["检查结果"] == 0
    after = raw_rows(settings)
    assert sum(before.values()) - sum(after.values()) == tidied.rows["已删除的记录"]
    assert sum(tidy(settings, years_later).rows.values()) == 0, "all is done the first time"
    assert current(home) == published
    with run_lock(settings):
        open_home(settings)
        counts = sync(settings, load_sources(home / "sources.yml"), start_run(settings))
    assert sum(count.rows_read for count in counts) == 0, "nothing is read anew"
    assert raw_rows(settings) == after


def test_opening_brings_the_version_and_forgets_what_an_older_project_built(copy: Settings) -> None:
    before = raw_rows(copy)
    open_home(copy)
    with duckdb.connect(str(copy.warehouse), read_only=True) as connection:
        assert version_of(connection) == VERSION
        assert noted(connection, "digest_key") is not None
    assert built(copy.marts, ("marts",)) == {"check_result"}, "results of earlier runs cannot be made again"
    assert built(copy.warehouse, ("staging", "intermediate")) == set()
    assert before.items() <= raw_rows(copy).items()


def test_what_the_present_project_built_stays(copy: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    open_home(copy)
    with duckdb.connect(str(copy.marts)) as connection:
        connection.execute("CREATE TABLE marts.fct_case (i INTEGER)")
    open_home(copy)
    assert built(copy.marts, ("marts",)) == {"check_result", "fct_case"}
    monkeypatch.setattr(home_module, "models_fingerprint", lambda: "another project")
    open_home(copy)
    assert built(copy.marts, ("marts",)) == {"check_result"}


def test_a_newer_home_is_refused_and_left_alone(copy: Settings) -> None:
    open_home(copy)
    with duckdb.connect(str(copy.warehouse)) as connection:
        connection.execute("UPDATE ops.home SET value = ? WHERE name = 'version'", [str(VERSION + 1)])
    content = copy.warehouse.read_bytes()
    done = yiwang(copy.home, "sync")
    assert done.returncode == 2 and "YW-RUN-008" in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert copy.warehouse.read_bytes() == content


def test_another_digest_key_is_refused(copy: Settings) -> None:
    open_home(copy)
    (copy.home / "digest.key").write_text("00" * 32)
    with pytest.raises(YiwangError) as raised:
        open_home(copy)
    assert raised.value.code == "YW-RUN-009"


def test_a_step_that_fails_leaves_the_version_before_it(copy: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("DROP TABLE raw.review")
        raise duckdb.OutOfMemoryException("in the middle")

    monkeypatch.setattr(home_module, "STEPS", {**home_module.STEPS, VERSION + 1: fails})
    monkeypatch.setattr(home_module, "VERSION", VERSION + 1)
    with pytest.raises(duckdb.OutOfMemoryException):
        open_home(copy)
    with duckdb.connect(str(copy.warehouse), read_only=True) as connection:
        assert version_of(connection) == VERSION
    assert raw_rows(copy)["review"] == 187
    monkeypatch.undo()
    open_home(copy)


def test_a_new_home_begins_with_the_present_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YIWANG_DIGEST_KEY", raising=False)
    settings = Settings(home=tmp_path)
    with run_lock(settings):
        open_home(settings)
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        assert version_of(connection) == VERSION
    assert (tmp_path / "digest.key").stat().st_mode & 0o077 == 0


OPEN = """
import sys
from pathlib import Path
from models.domain.settings import Settings
from pipelines.upkeep.home import open_home
print("ready", flush=True)
open_home(Settings(home=Path(sys.argv[1]), threads=1))
"""


def test_a_kill_while_upgrading_is_healed(copy: Settings) -> None:
    before, dice = raw_rows(copy), random.Random(7)
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", OPEN, str(copy.home)], stdout=subprocess.PIPE, text=True, env=environment()) as process:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            try:
                process.wait(dice.uniform(0, 0.4))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
    open_home(copy)
    assert before.items() <= raw_rows(copy).items()
    assert built(copy.marts, ("marts",)) == {"check_result"}
    with duckdb.connect(str(copy.warehouse), read_only=True) as connection:
        assert version_of(connection) == VERSION
