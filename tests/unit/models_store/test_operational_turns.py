"""Writers of several processes on one SQLite file: each gets its turn, or is told that it did not."""

import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

import models.store.operational.database as module
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database


@pytest.fixture
def two(tmp_path: Path) -> tuple[Database, Database]:
    """As two processes have them: they share the file and nothing else."""
    found = Database(Settings(home=tmp_path)), Database(Settings(home=tmp_path))
    with found[0].write() as session:
        session.execute(sa.text("CREATE TABLE counter (value INTEGER)"))
        session.execute(sa.text("INSERT INTO counter VALUES (0)"))
    return found


def test_writers_take_turns_and_none_is_lost(two: tuple[Database, Database]) -> None:
    def count(database: Database) -> None:
        for _ in range(50):
            with database.write() as session:
                value = session.scalar(sa.text("SELECT value FROM counter"))
                session.execute(sa.text("UPDATE counter SET value = :value"), {"value": value + 1})

    threads = [threading.Thread(target=count, args=(database,)) for database in (*two, *two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with two[0].read() as session:
        assert session.scalar(sa.text("SELECT value FROM counter")) == 200


def test_a_writer_that_waited_in_vain_is_told_so_and_waits_as_patiently_as_before(two: tuple[Database, Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUSY_SECONDS", 0.05)
    locker = sqlite3.connect(tmp_path / "operational.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    with pytest.raises(YiwangError) as told, two[0].write() as session:
        session.scalar(sa.text("SELECT value FROM counter"))
    assert told.value.code == "YW-STORE-008"
    locker.execute("ROLLBACK")
    for block in (two[0].write, two[0].read):
        with block() as session:
            assert session.scalar(sa.text("PRAGMA busy_timeout")) == 50
