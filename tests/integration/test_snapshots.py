"""Publishing and reading snapshots on a real file system, with publishers killed on the way."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.arrangement import arrange
from models.store.snapshots import SnapshotStore
from models.store.sql import query
from tests.support.snapshots import AS_OF, RUN_ID, publish, write_marts


def test_fixture_has_rows_in_every_mart(snapshot_settings: Settings) -> None:
    store = SnapshotStore(snapshot_settings)
    with store.acquire() as connection:
        tables = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        empty = [name for name in tables if connection.execute(f"SELECT count(*) FROM marts.{name}").fetchone() == (0,)]
    assert len(tables) >= 15
    assert empty == []


# publishing

KILLS = {
    "while the copy is written": "shutil.copyfile = lambda source, target: (Path(target).write_bytes(b'half'), die())",
    "after the copy": "arrangement_of = snapshots.arrange; snapshots.arrange = lambda *given: die()",
    "while the copy is made durable": "snapshots._sync = lambda path: die()",
    "before the copy has its name": "os.rename = lambda *given: die()",
    "before the pointer is written": "snapshots.SnapshotStore._write_pointer = lambda *given: die()",
    "while the pointer is written": "Path.write_text = lambda self, text, **more: (open(self, 'w').write(text[:20]), die())",
    "before the pointer is replaced": "os.replace = lambda *given: die()",
    "before old snapshots are removed": "snapshots.SnapshotStore._prune = lambda *given: die()",
}
PUBLISHER = """
import os, shutil, signal, sys
from pathlib import Path
from models.domain.settings import Settings
from models.store import snapshots
from tests.support.snapshots import AS_OF
def die():
    os.kill(os.getpid(), signal.SIGKILL)
{kill}
settings = Settings(home=Path(sys.argv[1]))
snapshots.SnapshotStore(settings).publish(settings.marts, "killed", AS_OF)
"""


@pytest.mark.parametrize("moment", KILLS)
def test_killed_publication_leaves_one_that_can_be_read(snapshot_settings: Settings, moment: str) -> None:
    settings, store = snapshot_settings, SnapshotStore(snapshot_settings)
    write_marts(settings.marts, 50, run_id="killed")
    with store.acquire() as reading:
        script = PUBLISHER.format(kill=KILLS[moment])
        killed = subprocess.run([sys.executable, "-c", script, str(settings.home)], cwd=Path(__file__).parents[2], check=False)  # noqa: S603
        assert killed.returncode == -signal.SIGKILL
        assert reading.execute("SELECT count(*) FROM marts.fct_case").fetchone() == (600,)
    expected = ("killed", 50) if moment == "before old snapshots are removed" else (RUN_ID, 600)
    for each in (store, SnapshotStore(settings)):
        with each.acquire() as connection:
            found = each.in_service().run_id, connection.execute("SELECT count(*) FROM marts.fct_case").fetchone()[0]
        assert found == expected
    # the next publication works, even of the same run, and takes away what was left behind
    path = SnapshotStore(settings).publish(settings.marts, "killed", AS_OF)
    assert store.in_service().path == path
    with store.acquire() as connection:
        assert connection.execute("SELECT run_id FROM marts.run").fetchall() == [("killed",)]
    kept = {snapshot.file for snapshot in store.kept()}
    assert {file.name for file in settings.snapshots.iterdir()} == kept | {"current.json"}


def test_newest_are_kept_and_readers_finish(snapshot_settings: Settings) -> None:
    settings = snapshot_settings.model_copy(update={"keep_snapshots": 2})
    reader, publisher = SnapshotStore(settings), SnapshotStore(settings)
    oldest = reader.in_service()
    with reader.acquire() as connection:
        for number in range(1, 4):
            write_marts(marts := settings.home / f"{number}.duckdb", 10 + number, run_id=f"run-{number}")
            publisher.publish(marts, f"run-{number}", AS_OF + timedelta(days=number))
            with reader.acquire() as newest:
                assert newest.execute("SELECT count(*) FROM marts.fct_case").fetchone() == (10 + number,)
        assert connection.execute("SELECT count(*) FROM marts.fct_case").fetchone() == (600,)
        assert [snapshot.run_id for snapshot in reader.kept()] == ["run-3", "run-2"]
        assert {path.name for path in reader._opened} == {oldest.file, "run-2.duckdb", "run-3.duckdb"}, "kept, or still read"
    assert {path.name for path in reader._opened} == {"run-2.duckdb", "run-3.duckdb"}
    with pytest.raises(YiwangError) as gone, reader.acquire(oldest):
        pass
    assert gone.value.code == "YW-STORE-004"


def test_what_this_process_reads_is_not_removed(snapshot_settings: Settings) -> None:
    settings = snapshot_settings.model_copy(update={"keep_snapshots": 2})
    store = SnapshotStore(settings)
    write_marts(marts := settings.home / "m.duckdb", 10)
    with store.acquire():
        held = store.in_service().path
        for number in range(3):
            store.publish(marts, f"run-{number}", AS_OF)
        assert held.exists()
    store.publish(marts, "last", AS_OF)
    assert not held.exists()


def test_pointer_says_what_the_plan_says(snapshot_settings: Settings) -> None:
    now = datetime(2026, 7, 1, 2, 3, tzinfo=UTC)
    path = publish(snapshot_settings, "run-2", AS_OF, 10, now)
    pointer = json.loads((snapshot_settings.snapshots / "current.json").read_text())
    assert {name: pointer[name] for name in ("run_id", "file", "as_of", "published_at")} == {
        "run_id": "run-2", "file": path.name, "as_of": AS_OF.isoformat(), "published_at": now.isoformat(),
    }
    assert [each["run_id"] for each in pointer["kept"]] == [RUN_ID]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"run_id": "x", "file": "x", "as_of": "then", "published_at": "then"}'])
def test_damaged_pointer_is_told(snapshot_settings: Settings, text: str) -> None:
    (snapshot_settings.snapshots / "current.json").write_text(text)
    with pytest.raises(YiwangError) as told:
        SnapshotStore(snapshot_settings).current()
    assert told.value.code == "YW-STORE-003"
    publish(snapshot_settings, "mends-it", cases=10)
    assert SnapshotStore(snapshot_settings).in_service().run_id == "mends-it"


def test_pointer_does_not_leave_its_folder(snapshot_settings: Settings) -> None:
    pointer = snapshot_settings.snapshots / "current.json"
    pointer.write_text(json.dumps(json.loads(pointer.read_text()) | {"file": "../../elsewhere.duckdb"}))
    assert SnapshotStore(snapshot_settings).in_service().path == snapshot_settings.snapshots / "elsewhere.duckdb"


def test_log_of_a_killed_writer_is_published_too(snapshot_settings: Settings) -> None:
    """The run's last changes may lie beside its file, which alone is copied."""
    write_marts(snapshot_settings.marts, 10)
    script = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute(\"SET wal_autocheckpoint = '1GB'\");"
        "c.execute(\"UPDATE marts.run SET state = 'late'\"); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(snapshot_settings.marts)], check=True)  # noqa: S603
    assert snapshot_settings.marts.with_name(snapshot_settings.marts.name + ".wal").exists()
    store = SnapshotStore(snapshot_settings)
    store.publish(snapshot_settings.marts, "run-2", AS_OF)
    with store.acquire() as connection:
        assert connection.execute("SELECT state FROM marts.run").fetchone() == ("late",)


def test_many_threads_read_and_follow(snapshot_settings: Settings) -> None:
    store, over, wrong = SnapshotStore(snapshot_settings), threading.Event(), []

    def read() -> None:
        while not over.is_set():
            with store.acquire() as connection:
                counted = connection.execute("SELECT count(*), count(DISTINCT as_of) FROM marts.fct_case").fetchone()
            if counted not in {(600, 1), (30, 1)}:
                wrong.append(counted)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    write_marts(marts := snapshot_settings.home / "m.duckdb", 30)
    for number in range(5):
        SnapshotStore(snapshot_settings).publish(marts, f"run-{number}", AS_OF)
    over.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    with store.acquire() as connection:
        assert connection.execute("SELECT count(*) FROM marts.fct_case").fetchone() == (30,)
    assert set(store._opened) <= {snapshot.path for snapshot in store.kept()}


def test_cases_are_laid_out_only_when_far_from_order(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with duckdb.connect(str(tmp_path / "m.duckdb")) as connection:
        connection.execute("CREATE SCHEMA marts")
        connection.execute(
            "CREATE TABLE marts.fct_case AS SELECT 's' AS source, i::VARCHAR AS case_number, TIMESTAMPTZ '2026-01-01' + to_seconds((hash(i) % 9000000)::BIGINT) "
            "AS received_at FROM range(500000) AS r(i)"
        )
        before = connection.execute("SELECT count(*), sum(hash(source, case_number, received_at)) FROM marts.fct_case").fetchone()
    assert arrange(tmp_path / "m.duckdb", settings)
    with duckdb.connect(str(tmp_path / "m.duckdb")) as connection:
        assert connection.execute("SELECT count(*), sum(hash(source, case_number, received_at)) FROM marts.fct_case").fetchone() == before
        # a day of new and changed cases comes at the end: still near enough
        connection.execute("INSERT INTO marts.fct_case FROM marts.fct_case USING SAMPLE 4000 ROWS")
    assert not arrange(tmp_path / "m.duckdb", settings)


# SQL that people write

@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("select count(*) from marts.fct_case", 1), ("FROM marts.run;", 1), ("with a as (select 1) select * from a", 1), ("values (1), (2)", 2),
        ("describe marts.run", 6), ("show all tables", 15), ("summarize marts.run", 6), ("explain select 1", 1), ("-- why\nselect 1", 1),
        ("select * from range(25000)", 25000), ("select * from marts.fct_case where false", 0),
    ],
)
def test_query_reads(snapshot_settings: Settings, sql: str, rows: int) -> None:
    assert query(snapshot_settings, sql).read_all().num_rows >= rows


@pytest.mark.parametrize(
    "sql",
    [
        "", ";", "-- nothing", "selec 1", "select 1; select 2", "select * from nothing",
        "insert into marts.run select * from marts.run", "update marts.run set state = 'x'", "delete from marts.run", "drop table marts.run",
        "create table marts.x as select 1", "create temp table x as select 1", "create macro f() as 1", "truncate marts.run", "vacuum", "checkpoint",
        "attach ':memory:' as m", "detach m", "use marts", "set threads = 8", "set lock_configuration = false", "reset threads", "begin", "pragma database_list",
        "call pragma_version()", "install httpfs", "load httpfs", "export database 'x'", "import database 'x'", "prepare p as select 1", "execute p",
        "copy marts.run to 'leak.csv'", "copy (select 1) to '/dev/stdout'", "explain copy marts.run to 'leak.csv'",
        "select * from read_csv('/etc/passwd')", "select * from '/etc/passwd'", "select * from read_text('/etc/hostname')", "select * from glob('/*')",
        "select * from read_blob('/etc/hostname')", "select * from parquet_metadata('x.parquet')", "select * from sniff_csv('/etc/passwd')",
        "select * from read_parquet('https://example.com/x.parquet')", "select * from duckdb_secrets()", "select getenv('HOME')",
        "select * from settings", "select * from snapshot_settings", "select error('no')", "select ('a' || i)::int from range(3) r(i)",
    ],
)
def test_query_refuses(snapshot_settings: Settings, sql: str) -> None:
    with pytest.raises(YiwangError) as refused:
        query(snapshot_settings, sql).read_all()
    assert refused.value.code == "YW-STORE-002"
    assert "\n" not in refused.value.message
    assert not Path("leak.csv").exists() and not (snapshot_settings.snapshots / "leak.csv").exists()


def test_query_says_that_nothing_is_published(tmp_path: Path) -> None:
    with pytest.raises(YiwangError) as refused:
        query(Settings(home=tmp_path), "select 1")
    assert refused.value.code == "YW-STORE-001"


def test_query_streams_and_lets_go(snapshot_settings: Settings) -> None:
    reader = query(snapshot_settings, "select * from range(100000000)")
    assert reader.read_next_batch().num_rows > 0
    del reader
    gc.collect()
    assert query(snapshot_settings, "select 1 as one").read_all().to_pylist() == [{"one": 1}]


def test_snapshot_is_never_written(snapshot_settings: Settings) -> None:
    path = SnapshotStore(snapshot_settings).in_service().path
    before = path.stat().st_mtime_ns, path.stat().st_size
    query(snapshot_settings, "select * from marts.fct_case order by hash(case_number)").read_all()
    assert (path.stat().st_mtime_ns, path.stat().st_size) == before
    assert {file.name for file in snapshot_settings.snapshots.iterdir()} == {path.name, "current.json"}
    assert os.access(path, os.R_OK)
