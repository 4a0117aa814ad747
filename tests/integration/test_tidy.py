"""What ``yiwang tidy`` removes and what it must not; databases that are compacted under kills."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.sources.service import run_lock
from pipelines.upkeep import leftovers
from pipelines.upkeep.compaction import Compaction, compact
from pipelines.upkeep.home import open_home
from pipelines.upkeep.tidy import tidy
from tests.support.dbt_models import Warehouse
from tests.support.sync import SyncHome

NOW = datetime(2026, 7, 1, tzinfo=UTC)
HEADER = ["review_id", "case_number", "satisfaction_code", "reviewed_at", "is_gone"]


@pytest.fixture(scope="module")
def _six_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six runs, one every hundred days, the last one today; the file of each adds a review and deletes one."""
    home = SyncHome.make(tmp_path_factory.mktemp("six"))
    open_home(home.settings)
    home.configure({"subject": "review", "location": "reviews.csv", "deleted": "is_gone"})
    for number in range(6):
        rows = [[f"R{i}", f"C{i}", "1", "2026-06-01 10:00:00", int(i < number)] for i in range(number + 2)]
        home.csv("reviews.csv", HEADER, rows)
        home.sync()
    with duckdb.connect(str(home.settings.warehouse)) as connection:
        connection.execute("UPDATE ops.run SET started_at = ?::TIMESTAMPTZ - to_days((6 - run_seq) * 100)", [NOW])
        connection.execute("UPDATE ops.sync_count SET rows_read = 0 WHERE run_seq = 6")
    return home.folder


@pytest.fixture
def home(_six_runs: Path, tmp_path: Path) -> SyncHome:
    """A copy of the home of six runs."""
    shutil.copytree(_six_runs, tmp_path / "six")
    return SyncHome(tmp_path / "six", Settings(home=tmp_path / "six" / "home", threads=1, memory_limit="1GB"))


def settings_of(home: SyncHome, **days: int) -> Settings:
    return home.settings.model_copy(update={"keep_runs_days": 250, "keep_deleted_days": 250, **days})


def numbers(home: SyncHome, table: str) -> list[int]:
    return sorted(home.rows(f"SELECT run_seq FROM {table}"))


def test_books_of_old_runs_go_but_not_the_last_news_of_a_source(home: SyncHome) -> None:
    settings = settings_of(home, keep_runs_days=50)
    tidied = tidy(settings, NOW, home.yml)
    assert numbers(home, "ops.run") == [5, 6] and numbers(home, "ops.sync_count") == [5, 6], "run 5 read last, run 6 is the last one"
    assert (tidied.rows["运行账"], tidied.rows["同步计数"]) == (4, 4)


def test_deleted_records_go_when_their_time_is_over(home: SyncHome) -> None:
    assert tidy(settings_of(home), NOW, home.yml).rows["已删除的记录"] == 2
    assert sorted(home.rows("SELECT review_id FROM raw.review WHERE _is_deleted")) == ["R2", "R3", "R4"]
    assert sorted(home.rows("SELECT review_id FROM raw.review WHERE NOT _is_deleted")) == ["R5", "R6"]


def test_a_deletion_that_no_publication_has_taken_up_stays(home: SyncHome) -> None:
    with duckdb.connect(str(home.settings.warehouse)) as connection:
        connection.execute("UPDATE ops.run SET state = 'failed' WHERE run_seq > 2")
    tidy(settings_of(home, keep_deleted_days=1), NOW, home.yml)
    assert sorted(home.rows("SELECT review_id FROM raw.review WHERE _is_deleted")) == ["R1", "R2", "R3", "R4"]


def test_the_last_publication_stays_however_old(home: SyncHome) -> None:
    with duckdb.connect(str(home.settings.warehouse)) as connection:
        connection.execute("UPDATE ops.run SET state = 'failed' WHERE run_seq > 2")
    tidy(settings_of(home, keep_runs_days=1), NOW + timedelta(days=3650), home.yml)
    assert 2 in numbers(home, "ops.run") and 6 in numbers(home, "ops.run")


def test_tidying_changes_no_figure(tmp_path: Path) -> None:
    """A version of a matter that its source deleted long ago stays deleted, though the history of matters is kept for ever."""
    warehouse = Warehouse(tmp_path / "home")
    matter = {"matter_code": "m", "matter_name": "m", "promised_limit_unit": "cd", "type_code": "20", "matter_state_code": "active"}
    warehouse.put("matter", [
        matter | {"version": "1", "effective_from": date(2025, 6, 1), "promised_limit": 1}, matter | {"version": "2", "effective_from": date(2025, 1, 1), "promised_limit": 90},
    ])  # fmt: skip
    received = datetime(2025, 9, 1, tzinfo=UTC)
    warehouse.put("case", [
        {"case_number": "C1", "matter_code": "m", "received_at": received, "accepted_at": received, "completed_at": received + timedelta(days=30)},
        {"case_number": "C2", "matter_code": "m", "received_at": received, "accepted_at": received, "_is_deleted": True},
    ])  # fmt: skip
    warehouse.replace("matter", "version = '1'", run_seq=2, _is_deleted=True)
    with warehouse.connected() as connection:
        connection.execute("INSERT INTO ops.run (run_id, run_seq, started_at, state) SELECT 'run-' || i, i, ?::TIMESTAMPTZ - to_days(800), 'published' FROM range(1, 4) AS r(i)", [NOW])
    models, marts = "+fct_case +dim_matter +dim_matter_version +mart_case_timeliness", ("fct_case", "dim_matter", "dim_matter_version", "mart_case_timeliness")
    warehouse.build(models, NOW, run_seq=3)
    before = {mart: warehouse.rows(f"SELECT * FROM masked.marts.{mart} ORDER BY ALL") for mart in marts}
    assert [row["version"] for row in before["dim_matter_version"]] == ["2"] and before["fct_case"]
    assert tidy(warehouse.settings, NOW).rows["已删除的记录"] == 1, "the case, which no model reads once it is deleted"
    warehouse.build(models, NOW, run_seq=3, full_refresh=True)
    assert {mart: warehouse.rows(f"SELECT * FROM masked.marts.{mart} ORDER BY ALL") for mart in marts} == before


def test_a_dry_run_says_the_same_and_changes_nothing(home: SyncHome) -> None:
    settings = settings_of(home, keep_runs_days=50)
    (settings.work / "duckdb_tmp" / "left").write_bytes(b"0" * 1000)
    before = settings.warehouse.read_bytes()
    would = tidy(settings, NOW, home.yml, dry_run=True)
    assert settings.warehouse.read_bytes() == before and (settings.work / "duckdb_tmp" / "left").exists()
    done = tidy(settings, NOW, home.yml)
    assert (done.rows, done.files) == (would.rows, would.files)
    assert done.freed >= 1000


def test_a_sync_after_tidying_reads_nothing_anew(home: SyncHome) -> None:
    tidy(settings_of(home, keep_runs_days=50, keep_deleted_days=50), NOW, home.yml)
    assert home.one().rows_read == 0
    home.csv("reviews.csv", HEADER, [["R9", "C9", "1", "2026-06-01 10:00:00", 0]])
    count = home.one()
    assert (count.rows_read, count.inserted) == (1, 1)


def test_files_that_are_left_over(home: SyncHome) -> None:
    settings = settings_of(home, keep_runs_days=50, keep_logs_days=30)
    old_run, kept_run = (home.rows("SELECT run_id FROM ops.run WHERE run_seq = ?", seq)[0] for seq in (1, 6))
    gone = [
        settings.work / "duckdb_tmp" / "spilled.block", settings.work / "dlt" / "other__case" / "package", settings.home / "digest.12345",
        settings.home / "alerts" / ".id.json.123", settings.work / "warehouse.duckdb.compact", settings.home / "logs" / "old.log",
        settings.home / "reports" / f"{old_run}.html",
    ]  # fmt: skip
    kept = [
        settings.work / "dlt" / "city__review" / "package", settings.home / "logs" / "new.log", settings.home / "reports" / f"{kept_run}.html",
        settings.home / "reports" / "latest.html", settings.home / "alerts" / "id.json", settings.home / "alerts" / "open.json", settings.home / "digest.key",
    ]  # fmt: skip
    for path in (*gone, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text("{}")
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
        os.utime(path.parent, (NOW.timestamp(), NOW.timestamp()))
    os.utime(settings.home / "logs" / "old.log", (1, 1))
    tidied = tidy(settings, NOW, home.yml)
    assert [path.name for path in gone if path.exists()] == []
    assert [path.name for path in kept if not path.exists()] == []
    assert sum(number for number, _ in tidied.files.values()) == len(gone)


def test_packages_stay_while_nobody_knows_what_is_configured(home: SyncHome) -> None:
    package = home.settings.work / "dlt" / "other__case"
    package.mkdir(parents=True)
    home.yml.write_text("sources: [")
    tidy(home.settings, NOW, home.yml)
    assert package.is_dir()


def test_dagsters_runs_go_but_the_newest(home: SyncHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "LEAST_DAGSTER_RUNS", 1)
    storage = home.settings.home.resolve() / "dagster"
    storage.mkdir()
    (storage / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    job = dg.GraphDefinition(name="nothing").to_job()
    with dg.DagsterInstance.from_config(str(storage)) as instance:
        runs = [job.execute_in_process(instance=instance).run_id for _ in range(3)]
        with sqlite3.connect(storage / "history" / "runs.db") as connection:
            connection.execute("UPDATE runs SET create_timestamp = '2020-01-01 00:00:00'")
    tidied = tidy(home.settings, NOW, home.yml)
    with dg.DagsterInstance.from_config(str(storage)) as instance:
        left = {run.run_id for run in instance.get_runs()}
    assert tidied.files["Dagster 的运行记录"][0] == 2
    assert left == set(runs[2:])


def test_nothing_is_tidied_while_a_run_is_at_work(home: SyncHome) -> None:
    with run_lock(home.settings), pytest.raises(YiwangError) as raised:
        tidy(home.settings, NOW, home.yml)
    assert raised.value.code == "YW-RUN-001"


def test_an_empty_home(tmp_path: Path) -> None:
    tidied = tidy(Settings(home=tmp_path), NOW)
    assert tidied.freed == 0 and tidied.rows == {}


# compaction

ROWS, LEFT = 400_000, 30_000


@pytest.fixture
def bloated(tmp_path: Path) -> Settings:
    """A warehouse most of whose blocks are free, with a view and a sequence."""
    settings = Settings(home=tmp_path, threads=1)
    settings.work.mkdir(mode=0o700)
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("CREATE SCHEMA raw; CREATE SEQUENCE raw.number; CREATE TABLE raw.kept AS SELECT range AS i, sha256(range::VARCHAR) AS s FROM range(30000)")
        connection.execute("SELECT nextval('raw.number') FROM range(41)").fetchall()
        connection.execute("CREATE VIEW raw.seen AS SELECT * FROM raw.kept")
        connection.execute(f"CREATE TABLE raw.bulk AS SELECT sha256(range::VARCHAR) AS s FROM range({ROWS})")
        connection.execute("CHECKPOINT")
        connection.execute("DELETE FROM raw.bulk")
        connection.execute("CHECKPOINT")
    settings.warehouse.chmod(0o600)
    return settings


def holds_all(path: Path) -> bool:
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute("SELECT count(*), count(DISTINCT s), (SELECT count(*) FROM raw.seen) FROM raw.kept").fetchall()
        next_number = connection.execute("SELECT last_value FROM duckdb_sequences()").fetchall()
    return rows == [(LEFT, LEFT, LEFT)] and next_number == [(41,)]


def squeeze(settings: Settings, dry_run: bool = False) -> Compaction:
    done = compact(settings.warehouse, settings, dry_run, least_bytes=1 << 20)
    assert done is not None
    return done


def test_a_bloated_file_is_compacted_and_keeps_everything(bloated: Settings) -> None:
    would, done = squeeze(bloated, dry_run=True), squeeze(bloated)
    assert done.skipped is None and done.after < done.before / 2
    assert would.after == pytest.approx(done.after, rel=0.5) and bloated.warehouse.stat().st_size == done.after
    assert holds_all(bloated.warehouse) and bloated.warehouse.stat().st_mode & 0o777 == 0o600
    assert squeeze(bloated).skipped is not None, "once is enough"
    assert [path.name for path in bloated.work.iterdir()] in (["warehouse.duckdb"], ["warehouse.duckdb", "duckdb_tmp"], ["duckdb_tmp", "warehouse.duckdb"])


SQUEEZE = """
import sys
from pathlib import Path
from models.domain.settings import Settings
from pipelines.upkeep.compaction import compact
settings = Settings(home=Path(sys.argv[1]), threads=1)
print("ready", flush=True)
compact(settings.warehouse, settings, least_bytes=1)
"""


def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(bloated: Settings) -> None:
    dice = random.Random(7)
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", SQUEEZE, str(bloated.home)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            try:
                process.wait(dice.uniform(0, 0.25))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        assert holds_all(bloated.warehouse)
    squeeze(bloated)
    assert holds_all(bloated.warehouse)
    assert not list(bloated.work.glob("*.compact*"))


def test_a_file_that_another_program_has_open_is_left(bloated: Settings) -> None:
    held = f"import duckdb, time\nc = duckdb.connect({str(bloated.warehouse)!r})\nprint('open', flush=True)\ntime.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", held], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        skipped = squeeze(bloated).skipped
        process.kill()
    assert skipped is not None and "其他程序" in skipped
    assert holds_all(bloated.warehouse)


def test_a_damaged_file_is_left(bloated: Settings) -> None:
    bloated.warehouse.write_bytes(b"no database")
    assert squeeze(bloated).skipped is not None
    assert bloated.warehouse.read_bytes() == b"no database"
