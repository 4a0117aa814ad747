"""Publishing and reading snapshots on a real file system, with publishers killed on the way."""

import gc
import json
import os
import shutil
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


DAMAGED_POINTERS = [
    b"", b"{", b'{"run', b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000, b'{"run_id": "x", "file": "x", "as_of": "then", "published_at": "then"}',
    b'{"run_id": "x", "file": 5, "as_of": "2026-06-30T00:00:00Z", "published_at": "2026-06-30T00:00:00Z"}',
    b'{"run_id": "x", "file": "x.duckdb", "as_of": "2026-06-30", "published_at": "2026-06-30"}',
    b'{"run_id": "x", "file": "x", "as_of": "2026-06-30T00:00:00Z", "published_at": "2026-06-30T00:00:00Z", "kept": 1}',
]


def three(settings: Settings) -> list[Path]:
    """Three snapshots, oldest first; the second has three cases and another day, the third two."""
    paths = [SnapshotStore(settings).in_service().path]
    for number, cases in ((2, 3), (3, 2)):
        paths.append(publish(settings, f"run-{number}", AS_OF + timedelta(days=number), cases))
    for age, path in enumerate(reversed(paths)):
        os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    return paths


def cases_of(store: SnapshotStore) -> int:
    with store.acquire() as connection:
        return connection.execute("SELECT count(*) FROM marts.fct_case").fetchone()[0]


@pytest.mark.parametrize("content", [*DAMAGED_POINTERS, None, "folder"], ids=lambda content: str(content)[:30])
def test_without_a_readable_pointer_the_newest_files_are_read(snapshot_settings: Settings, content: bytes | str | None) -> None:
    three(snapshot_settings)
    served = SnapshotStore(snapshot_settings)
    before = served.kept()
    assert served.is_sound()
    pointer = snapshot_settings.snapshots / "current.json"
    pointer.unlink()
    if content == "folder":
        (pointer / "inside").mkdir(parents=True)
    elif content is not None:
        pointer.write_bytes(content)
    for store in (served, SnapshotStore(snapshot_settings)):
        assert [(each.run_id, each.path, each.as_of) for each in store.kept()] == [(each.run_id, each.path, each.as_of) for each in before]
        assert cases_of(store) == 2
        assert not store.is_sound()
    path = publish(snapshot_settings, "mends-it", cases=10)
    for store in (served, SnapshotStore(snapshot_settings)):
        assert store.in_service().path == path and store.is_sound()
        assert [each.run_id for each in store.kept()] == ["mends-it", "run-3", "run-2"]


def damage(path: Path, how: str) -> None:
    """Puts something else in a file's place; never writes into the file, which other tests share."""
    whole = path.read_bytes()
    path.unlink()
    match how:
        case "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        case "without its end":
            path.write_bytes(whole[:-1])
        case "text":
            path.write_text("not a database " * 1000)
        case "empty":
            path.touch()
        case "folder":
            path.mkdir()


@pytest.mark.parametrize("how", ["gone", "truncated", "without its end", "text", "empty", "folder"])
@pytest.mark.parametrize("is_pointer_lost", [False, True])
def test_damaged_files_are_left_out(snapshot_settings: Settings, how: str, is_pointer_lost: bool, caplog: pytest.LogCaptureFixture) -> None:
    paths = three(snapshot_settings)
    served = SnapshotStore(snapshot_settings)
    assert cases_of(served) == 2
    damage(paths[2], how)
    if is_pointer_lost:
        (snapshot_settings.snapshots / "current.json").write_text("{")
    for _ in range(3):
        assert [each.run_id for each in served.kept()] == ["run-2", RUN_ID]
        assert served.in_service().as_of == AS_OF + timedelta(days=2)
        assert cases_of(served) == 3
        assert not served.is_sound()
    messages = [record.getMessage() for record in caplog.records]
    assert messages and len(messages) == len(set(messages)), "each is told once"
    assert not any(str(snapshot_settings.home) in message for message in messages)
    for path in paths[:2]:
        damage(path, how)
    for store in (served, SnapshotStore(snapshot_settings)):
        assert store.current() is None and store.kept() == () and not store.is_sound()
        with pytest.raises(YiwangError) as told, store.acquire():
            pass
        assert told.value.code == "YW-STORE-001"


def test_damaged_older_snapshot_leaves_the_current_one_sound(snapshot_settings: Settings) -> None:
    paths = three(snapshot_settings)
    damage(paths[1], "text")
    store = SnapshotStore(snapshot_settings)
    assert [each.run_id for each in store.kept()] == ["run-3", RUN_ID]
    assert store.is_sound()


def test_file_damaged_in_place_under_an_idle_connection(snapshot_settings: Settings) -> None:
    paths = three(snapshot_settings)
    store = SnapshotStore(snapshot_settings)
    assert cases_of(store) == 2
    with paths[2].open("r+b") as file:
        file.write(b"x" * 20_000)
    assert store.in_service().run_id == "run-2"
    assert cases_of(store) == 3


def test_file_that_comes_back_is_read_again(snapshot_settings: Settings) -> None:
    paths = three(snapshot_settings)
    store = SnapshotStore(snapshot_settings)
    paths[2].rename(aside := snapshot_settings.home / "aside.duckdb")
    assert store.in_service().run_id == "run-2"
    aside.rename(paths[2])
    assert store.in_service().run_id == "run-3" and store.is_sound()


def test_run_published_again_gets_another_file_than_the_lost_one(snapshot_settings: Settings) -> None:
    lost = publish(snapshot_settings, "again", cases=10)
    lost.unlink()
    path = publish(snapshot_settings, "again", cases=11)
    assert path != lost
    assert [each.path for each in SnapshotStore(snapshot_settings).kept()].count(path) == 1


def test_file_without_an_account_of_its_instant_is_not_guessed_at(snapshot_settings: Settings) -> None:
    """``as_of`` comes from the run of the file's name, else the latest; a file without any is left out."""
    folder = snapshot_settings.snapshots
    shared = SnapshotStore(snapshot_settings).in_service().path
    path = Path(shutil.copy(shared, snapshot_settings.home / "copy.duckdb")).replace(shared)
    (folder / "current.json").unlink()
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO marts.run (run_id, as_of) VALUES ('later', TIMESTAMPTZ '2026-07-09 00:00:00+00')")
    assert SnapshotStore(snapshot_settings).in_service().as_of == AS_OF
    path.rename(other := folder / "other.2.duckdb")
    found = SnapshotStore(snapshot_settings).in_service()
    assert (found.run_id, found.as_of) == ("other", datetime(2026, 7, 9, tzinfo=UTC))
    with duckdb.connect(str(other)) as connection:
        connection.execute("DROP TABLE marts.run")
    assert SnapshotStore(snapshot_settings).current() is None


def test_nothing_changed_costs_two_stats(snapshot_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SnapshotStore(snapshot_settings)
    store.kept()
    asked = []
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self, **more: (asked.append(self.name), stat(self, **more))[1])
    monkeypatch.setattr("models.store.pointer.Inventory.look", lambda self: pytest.fail("looked again"))
    current = store.in_service()
    assert store.is_sound()
    assert sorted(asked) == sorted(["current.json", current.file] * 2)


def test_pointer_does_not_leave_its_folder(snapshot_settings: Settings) -> None:
    pointer = snapshot_settings.snapshots / "current.json"
    inside = SnapshotStore(snapshot_settings).in_service()
    inside.path.rename(snapshot_settings.home / "elsewhere.duckdb")
    pointer.write_text(json.dumps(json.loads(pointer.read_text()) | {"file": "../elsewhere.duckdb"}))
    assert SnapshotStore(snapshot_settings).current() is None


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
