"""The operational database: one engine in a process, transactions that read and transactions that write.

SQLite (write-ahead log) by default, PostgreSQL by one setting; everything above is the same on both. What does not
belong here: tables (:mod:`models.store.operational.tables`), and what is asked of them.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.domain.errors import YiwangError
from models.domain.settings import Settings

_BUSY_SECONDS = 5
"""How long a writer waits for others before it gives up with 503."""
_AGAIN_SECONDS = 0.001


class Database:
    """Sessions on the operational database.

    A session lives for one transaction and is committed when its block ends well, rolled back when it does not. On SQLite
    writers of this process queue in order of arrival (SQLite's own waiting is a lottery in which some starve), those of several
    processes try every millisecond, and take the write lock when they begin, so that what they have read cannot change under them.

    Args:
        settings: Home, and ``database_url`` where it is not the home's SQLite file.

    Raises:
        YiwangError: YW-STORE-008 from the blocks when the database is away, too busy, or does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        self.url = sa.engine.make_url(
            settings.database_url.get_secret_value() if settings.database_url else f"sqlite:///{settings.home / 'operational.db'}"
        )
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite and settings.database_url is None:
            settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_private(settings.home / "operational.db")
        self._engine = _sqlite(self.url) if self.is_sqlite else _postgresql(self.url)
        options: dict[str, Any] = {"is_reading": True} if self.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reading = self._engine.execution_options(**options)
        self._queue = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads: one consistent state of the database."""
        with _told(), Session(self._reading, expire_on_commit=False) as session:
            yield session
            session.expunge_all()  # what was read stays readable; the end of the transaction would forget it
            session.rollback()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that writes."""
        with self._turn(), _told(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @property
    def engine(self) -> sa.Engine:
        """For migrations."""
        return self._engine

    def close(self) -> None:
        """Let all connections go."""
        self._engine.dispose()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        if not self._queue.acquire(timeout=_BUSY_SECONDS):
            raise YiwangError("YW-STORE-008")
        try:
            yield
        finally:
            self._queue.release()


def _make_private(path: Path) -> None:
    """Nobody but this account reads the file; its log and shared memory take its mode."""
    with suppress(PermissionError):  # another account's, which has given us the right to write
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        for each in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
            with suppress(FileNotFoundError):
                each.chmod(each.stat().st_mode & 0o700)


def _sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {_BUSY_SECONDS * 1000}"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("is_reading"):
            connection.exec_driver_sql("BEGIN")
        else:
            _begin_writing(connection)

    return engine


def _begin_writing(connection: sa.Connection) -> None:
    """Take the write lock of SQLite as soon as other processes let it go: SQLite's own waiting sleeps up to a tenth of a second between two tries."""
    driver: Any = connection.connection.driver_connection
    until = time.monotonic() + _BUSY_SECONDS
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while time.monotonic() < until:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # the low byte: whatever keeps it busy
                    break
                time.sleep(_AGAIN_SECONDS)
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the last try: what is wrong, in the words of SQLAlchemy
    finally:
        driver.execute(f"PRAGMA busy_timeout = {round(_BUSY_SECONDS * 1000)}")


def _postgresql(url: sa.URL) -> sa.Engine:
    options = "-c statement_timeout=10000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000 -c timezone=UTC"
    # no ping before use, a round trip each: the first use after the server was away fails, and empties the pool
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg"), hide_parameters=True, pool_size=10, max_overflow=10, pool_timeout=_BUSY_SECONDS,
        connect_args={"connect_timeout": 3, "options": options},
    )  # fmt: skip


@contextmanager
def _told() -> Iterator[None]:
    """Turns what the database says when it cannot be used into ours; its own text may hold values and stays away."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        raise YiwangError("YW-STORE-008") from error
    except (sa.exc.DataError, OverflowError) as error:
        raise YiwangError("YW-STORE-012") from error
    except sa.exc.StatementError as error:  # what a value became before it reached the database; an instant of the year 0, text that is none
        if isinstance(error.orig, (OverflowError, UnicodeError, ValueError)):
            raise YiwangError("YW-STORE-012") from error
        raise
