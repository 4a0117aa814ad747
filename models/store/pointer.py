"""Which snapshots there are: by the pointer, else by the files themselves, and only those that are whole.

What does not belong here: putting one into service and reading it (:mod:`models.store.snapshots`).
"""

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import structlog

POINTER = "current.json"
CONFIG: dict[str, str | bool | int | float | list[str]] = {"python_enable_replacements": False}
"""How every connection on a snapshot is opened; DuckDB wants the same of all in a process. A table name must not find
a variable of this process."""
_HEADERS = 3 * 4096
"""Bytes before the first block of a DuckDB file: https://duckdb.org/docs/stable/internals/storage."""

Stamp = tuple[int, int, int]

# over the standard logging, which goes to stderr: stdout belongs to what a command prints
_log = structlog.wrap_logger(
    logging.getLogger("yiwang.store"), wrapper_class=structlog.stdlib.BoundLogger,
    processors=[structlog.stdlib.filter_by_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
)


@dataclass(frozen=True)
class Snapshot:
    """A published snapshot.

    Attributes:
        run_id: Run that published it (UUIDv7).
        path: Its DuckDB file; a file is never written again once it has this name.
        as_of: Instant to which its data is valid.
        published_at: Instant of publication.
    """

    run_id: str
    path: Path
    as_of: datetime
    published_at: datetime

    @property
    def file(self) -> str:
        """Name of the file in the snapshots' folder; unlike the run, it never comes twice."""
        return self.path.name


class Inventory:
    """The snapshots of a folder; remembers which files it found whole, and of what it warned.

    Args:
        folder: The snapshots' folder.
        most: Most snapshots to look for without a pointer.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most
        self._whole: dict[Path, Stamp] = {}
        self._sizes: dict[Path, int] = {}
        self._began: Stamp | None = None
        self._warned: set[tuple[str, str]] = set()

    def look(self) -> tuple[tuple[Snapshot, ...], bool]:
        """The snapshots that can be read, newest first, and whether the pointer and its current snapshot are sound."""
        self._began = stamp_of(self._folder / POINTER)
        named = self.named()
        if named is None:
            return self._found(), False
        whole = tuple(snapshot for snapshot in named if self._is_whole(snapshot.path))
        return whole, whole[:1] == named[:1]

    def named(self) -> tuple[Snapshot, ...] | None:
        """What the pointer names, the current one first; None when it cannot be read."""
        path = self._folder / POINTER
        try:
            pointer = json.loads(path.read_text(encoding="utf-8"))
            return tuple(self._from_json(entry) for entry in [pointer, *pointer.get("kept", [])])
        except FileNotFoundError:
            if any(self._folder.glob("*.duckdb")):
                self._warn("snapshot_pointer_missing", POINTER)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._warn("snapshot_pointer_unreadable", POINTER)
        return None

    def forget(self, path: Path) -> None:
        """Look at a file again that was found whole."""
        self._whole.pop(path, None)

    def _found(self) -> tuple[Snapshot, ...]:
        """The newest whole snapshots among the files, without a pointer."""
        files = [(stamp, path) for path in self._folder.glob("*.duckdb") if (stamp := stamp_of(path))]
        found: list[Snapshot] = []
        for stamp, path in sorted(files, reverse=True):
            if len(found) == self._most:
                break
            run_id = path.name.split(".")[0]
            if self._is_whole(path) and (as_of := _as_of(path, run_id)):
                found.append(Snapshot(run_id, path, as_of, datetime.fromtimestamp(stamp[0] / 1e9, UTC)))
        if found:
            self._warn("snapshot_fallback", found[0].run_id)
        return tuple(found)

    def _is_whole(self, path: Path) -> bool:
        stamp = stamp_of(path)
        if stamp is None:
            if stamp_of(self._folder / POINTER) == self._began:  # else a publication took it away meanwhile
                self._warn("snapshot_missing", path.stem)
            return False
        if self._whole.get(path) != stamp:
            if self._sizes.get(path, stamp[2]) != stamp[2] or not _can_be_read(path, size=stamp[2]):
                self._warn("snapshot_unreadable", path.stem)
                return False
            self._whole[path] = stamp
        return True

    def _from_json(self, entry: dict[str, Any]) -> Snapshot:
        as_of, published_at = (datetime.fromisoformat(entry[name]) for name in ("as_of", "published_at"))
        if as_of.tzinfo is None or published_at.tzinfo is None or not isinstance(entry["run_id"], str):
            raise ValueError("instants need a zone, runs a name")
        path = self._folder / Path(entry["file"]).name
        if isinstance(size := entry.get("bytes"), int):  # pointers of before have none
            self._sizes[path] = size
        return Snapshot(entry["run_id"], path, as_of, published_at)

    def _warn(self, event: str, about: str) -> None:
        if (event, about) not in self._warned:
            self._warned.add((event, about))
            _log.warning(event, about=about)


def stamp_of(path: Path) -> Stamp | None:
    """What changes when a file is replaced (modification time first), None when there is none."""
    try:
        state = path.stat()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None
    return state.st_mtime_ns, state.st_ino, state.st_size


def _can_be_read(path: Path, size: int) -> bool:
    """Whether a file is a DuckDB database that is long enough; DuckDB itself opens one that lacks the last blocks.

    Free blocks at the end need not be in the file, so that this alone does not find every shortened one: the pointer
    has the size.
    """
    try:
        with duckdb.connect(str(path), read_only=True, config=CONFIG) as connection:
            found = connection.execute("SELECT block_size * used_blocks FROM pragma_database_size()").fetchone()
    except duckdb.ConnectionException:  # this process has it open in another way: then it can be opened
        return True
    except duckdb.Error:
        return False
    return found is not None and int(found[0]) + _HEADERS <= size


def _as_of(path: Path, run_id: str) -> datetime | None:
    """The instant of a snapshot's data by its own account."""
    sql = "SELECT epoch_us(coalesce(max(as_of) FILTER (run_id = ?), max(as_of))) FROM marts.run"
    try:
        with duckdb.connect(str(path), read_only=True, config=CONFIG) as connection:
            found = connection.execute(sql, [run_id]).fetchone()
    except duckdb.Error:
        return None
    return datetime.fromtimestamp(found[0] / 1e6, UTC) if found and found[0] is not None else None
