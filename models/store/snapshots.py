"""Published snapshots: how the pipelines put one into service and how readers follow them.

A snapshot is one DuckDB file of masked marts under ``snapshots/``. The pointer ``current.json`` names the one in
service; it is replaced atomically, so that a reader sees the old snapshot or the new one and never a mixture.
Readers open a snapshot by its own file name and finish on it whatever is published meanwhile (renaming over one
path does not work: DuckDB gives a new connection the old data while any old one is open).
What does not belong here: what is asked of a snapshot (:mod:`models.store.warehouse`).
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.arrangement import arrange
from models.store.pointer import CONFIG, POINTER, Inventory, Stamp, stamp_of
from models.store.pointer import Snapshot as Snapshot

_TEMPORARY = ".tmp"
_RETRIES = 5
_LOOK_AGAIN = 30
"""Seconds after which a broken state is looked at again."""
_Seen = tuple[Stamp | None, Stamp | None, Stamp | None, int]
"""Pointer, current snapshot's file, and while something is broken folder and time."""
_LOCKED_DOWN = (
    "TimeZone = 'UTC'",
    "late_materialization_max_rows = 0",  # DuckDB 2.0.0 fails in it when a condition names rowid; pages do it themselves
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "temp_directory = ''",  # a reader writes nothing, not even to spill
    "enable_external_access = false",  # after what it forbids, and the lock last
    "lock_configuration = true",
)


@dataclass
class _Opened:
    """The one connection of a snapshot and how many readers are on it."""

    connection: duckdb.DuckDBPyConnection
    readers: int = 0


class SnapshotStore:
    """The snapshots of one home: publishing, and reading from many threads at once.

    Args:
        settings: Home, number of snapshots kept.
        threads: DuckDB threads that the readers of a snapshot share.
        memory_limit: DuckDB's memory limit of a snapshot's connection.
    """

    def __init__(self, settings: Settings, *, threads: int = 2, memory_limit: str = "1GB") -> None:
        self.folder = settings.snapshots
        self.home, self.zone = settings.home, settings.zone
        self._settings = settings
        self._options = (f"threads = {int(threads)}", f"memory_limit = '{memory_limit}'", *_LOCKED_DOWN)
        self._lock = threading.Lock()
        self._opened: dict[Path, _Opened] = {}
        self._inventory = Inventory(self.folder, settings.keep_snapshots)
        self._looking = threading.Lock()
        self._seen: _Seen | None = None
        self._kept: tuple[Snapshot, ...] = ()
        self._sound = False

    def current(self) -> Snapshot | None:
        """The snapshot in service, None when there is none to read."""
        kept = self.kept()
        return kept[0] if kept else None

    def is_sound(self) -> bool:
        """Whether the pointer can be read and the snapshot that it puts into service is there and whole.

        False means that nothing is published or that readers make do with what is left: publish again.
        """
        self.kept()
        return self._sound

    def in_service(self) -> Snapshot:
        """The snapshot in service.

        Raises:
            YiwangError: YW-STORE-001 when there is none to read.
        """
        current = self.current()
        if current is None:
            raise YiwangError("YW-STORE-001", home=self.home)
        return current

    def kept(self) -> tuple[Snapshot, ...]:
        """The snapshots that can be read, newest first; costs two ``stat`` while nothing new is published.

        Files that are missing or damaged are left out. Without a readable pointer it is the newest whole files.
        """
        if self._state() != self._seen:
            with self._looking:
                for _ in range(_RETRIES):  # again when something is published meanwhile, which may remove what was looked at
                    if (state := self._state()) == self._seen:
                        break
                    self._look(state)
        return self._kept

    @contextmanager
    def acquire(self, snapshot: Snapshot | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection on a snapshot for the time of the ``with`` block.

        Each block has a connection of its own; a connection must not leave its block. Instants come in UTC.

        Args:
            snapshot: The snapshot to read; None for the one in service.

        Raises:
            YiwangError: YW-STORE-001 when nothing is published, YW-STORE-004 when ``snapshot`` is no longer kept.
        """
        opened, cursor = self._take(snapshot)
        try:
            yield cursor
        finally:
            self._give_back(opened, cursor)

    def rows(self, snapshot: Snapshot, sql: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of a query on a snapshot, each as column → value.

        Args:
            snapshot: The snapshot to read.
            sql: The query; names in it are constants of the code.
            values: Values of its parameters.

        Raises:
            YiwangError: YW-STORE-007 when the snapshot lacks what is asked for: it is older than this version; as :meth:`acquire`.
        """
        with self.acquire(snapshot) as connection:
            try:
                found = connection.execute(sql, list(values))
                names = [column[0] for column in found.description or ()]
                return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
            except (duckdb.CatalogException, duckdb.BinderException) as error:
                raise YiwangError("YW-STORE-007", detail=str(error).splitlines()[0]) from error

    def publish(self, masked: Path, run_id: str, as_of: datetime, published_at: datetime | None = None) -> Path:
        """Put a copy of the masked marts into service.

        A kill at any point leaves the old snapshot in service; the next publication removes what it left behind.
        One publication at a time: the run holds the lock of its home.

        Args:
            masked: DuckDB file with schema ``marts``, closed by its writer.
            run_id: Run that made it.
            as_of: Instant to which the data is valid.
            published_at: Instant of publication; None for now.

        Returns:
            The file of the snapshot.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(f"*{_TEMPORARY}*"):
            left.unlink(missing_ok=True)
        older = self.kept()
        path = self._free_name(run_id)
        temporary = path.with_name(path.name + _TEMPORARY)
        _checkpoint(masked)
        shutil.copyfile(masked, temporary)
        arrange(temporary, self._settings)
        _sync(temporary)
        os.rename(temporary, path)
        published = Snapshot(run_id, path, as_of, published_at or datetime.now(UTC))
        kept = (published, *older)[: self._settings.keep_snapshots]
        self._write_pointer(kept)
        self._prune()
        return path

    def close(self) -> None:
        """Close every connection; for the end of the process and of tests."""
        with self._lock:
            for opened in self._opened.values():
                opened.connection.close()
            self._opened.clear()

    # reading

    def _take(self, snapshot: Snapshot | None) -> tuple[_Opened, duckdb.DuckDBPyConnection]:
        for attempt in range(_RETRIES):
            wanted = snapshot or self.current()
            if wanted is None:
                raise YiwangError("YW-STORE-001", home=self.home)
            try:
                with self._lock:
                    opened = self._opened.get(wanted.path) or self._open(wanted.path)
                    opened.readers += 1
                    return opened, opened.connection.cursor()
            except (duckdb.IOException, duckdb.SerializationException) as error:
                # the file went between the pointer and here: a newer one is in service, or an older one is left
                if snapshot is not None:
                    raise YiwangError("YW-STORE-004", run_id=wanted.run_id) from error
                if attempt == _RETRIES - 1:
                    raise YiwangError("YW-STORE-001", home=self.home) from error
                self._inventory.forget(wanted.path)
                self._seen = None
        raise AssertionError("unreachable")

    def _give_back(self, opened: _Opened, cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.close()
        with self._lock:
            opened.readers -= 1
            self._close_retired()

    def _open(self, path: Path) -> _Opened:
        connection = duckdb.connect(str(path), read_only=True, config=CONFIG)
        # DuckDB shares a file's instance in a process: another store may have set and locked it already
        if connection.execute("SELECT current_setting('lock_configuration')").fetchone() != (True,):
            for option in self._options:
                connection.execute(f"SET GLOBAL {option}")
        opened = self._opened[path] = _Opened(connection)
        return opened

    def _close_retired(self) -> None:
        """Close what is no longer in the pointer and has no reader; the lock is held."""
        kept = {snapshot.path for snapshot in self._kept}
        for path in [path for path, opened in self._opened.items() if path not in kept and not opened.readers]:
            self._opened.pop(path).connection.close()

    # the pointer

    def _look(self, state: _Seen) -> None:
        """Find out what is there; ``state`` is what made it necessary."""
        if self._seen is not None and state[1] != self._seen[1]:  # the current file changed, which never is right
            with self._lock:
                opened = self._opened.get(self._kept[0].path)
                if opened and not opened.readers:  # DuckDB would show the check what it remembers of the file
                    self._opened.pop(self._kept[0].path).connection.close()
        kept, sound = self._inventory.look()
        with self._lock:
            self._kept, self._sound = kept, sound
            self._close_retired()
        self._seen = (state[0], *self._state()[1:])  # the pointer as it was before

    def _state(self) -> _Seen:
        """What tells that the snapshots may be others than when last looked at."""
        current = stamp_of(self._kept[0].path) if self._kept else None
        if self._sound:
            return stamp_of(self.folder / POINTER), current, None, 0
        # while something is broken: when files come or go, and now and then, for what passes by itself
        return stamp_of(self.folder / POINTER), current, stamp_of(self.folder), int(time.monotonic() // _LOOK_AGAIN)

    def _write_pointer(self, kept: tuple[Snapshot, ...]) -> None:
        current, *older = [
            {
                "run_id": snapshot.run_id,
                "file": snapshot.path.name,
                "as_of": snapshot.as_of.isoformat(),
                "published_at": snapshot.published_at.isoformat(),
                "bytes": snapshot.path.stat().st_size,
            }
            for snapshot in kept
        ]
        temporary = self.folder / (POINTER + _TEMPORARY)
        temporary.write_text(json.dumps({**current, "kept": older}, indent=1), encoding="utf-8")
        _sync(temporary)
        if (pointer := self.folder / POINTER).is_dir():  # replaces a file whatever it holds, but not a folder
            shutil.rmtree(pointer)
        os.replace(temporary, pointer)
        _sync(self.folder)

    def _free_name(self, run_id: str) -> Path:
        """A name that no file has: a run that publishes again must not write under its readers."""
        taken = {snapshot.path for snapshot in self._inventory.named() or ()}  # also those whose file is gone
        path, number = self.folder / f"{run_id}.duckdb", 1
        while path.exists() or path in taken:
            number += 1
            path = self.folder / f"{run_id}.{number}.duckdb"
        return path

    def _prune(self) -> None:
        """Remove snapshots that are neither in the pointer, nor read by this process, nor newer than the pointer."""
        pointer = (self.folder / POINTER).stat().st_mtime_ns
        kept = {snapshot.path for snapshot in self._inventory.named() or ()} | set(self._opened)
        for path in self.folder.glob("*.duckdb"):
            if path not in kept and path.stat().st_mtime_ns <= pointer:
                path.unlink(missing_ok=True)


def _checkpoint(database: Path) -> None:
    """Bring a write-ahead log that a killed writer left into its file, which alone is copied."""
    if database.with_name(database.name + ".wal").exists():
        with duckdb.connect(str(database)) as connection:
            connection.execute("CHECKPOINT")


def _sync(path: Path) -> None:
    """Make a file or folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
