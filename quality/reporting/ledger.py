"""The reporting ledger: what was reported, in which version and package. One DuckDB file, the commit point of every package.

A package is made whole under ``building/`` and made durable; then one transaction of the ledger records it; then its folders are
renamed into place. So a kill leaves either no trace of a package in the ledger, and its folder is removed, or a package that
the ledger has, and its folders are moved on: :func:`opened` does either before anybody reads or writes.
"""

# ruff: noqa: S608 - names are ours

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from quality.reporting.items import Subject
from quality.reporting.manifest import NUMBER
from quality.reporting.period import Period
from quality.reporting.tables import KNOWN, make_or_require

PACKAGE, HELD = "package", "held"
"""Folders of what is being built: the package, and the lists of records held back."""


@dataclass(frozen=True)
class Package:
    """A package that the ledger has.

    Attributes:
        number: Its number, ``case-000001``.
        subject: What it reports.
        kind: ``build``; ``correct`` or ``withdraw`` on demand.
        period: Its period; None on demand.
        run_id: Run whose snapshot it was made from.
        as_of: Instant to which that was valid.
        built_at: When it was made.
        rows: Lines in it.
        held: Records held back from it.
        manifest_sm3: Digest of its manifest, in hex.
    """

    number: str
    subject: str
    kind: str
    period: Period | None
    run_id: str
    as_of: datetime
    built_at: datetime
    rows: int
    held: int
    manifest_sm3: str


@dataclass(frozen=True)
class Folders:
    """Where reporting keeps its files in a home."""

    root: Path

    @classmethod
    def of(cls, settings: Settings) -> "Folders":
        """The folders of a home."""
        return cls(settings.home / "reporting")

    @property
    def ledger(self) -> Path:
        """The ledger."""
        return self.root / "ledger.duckdb"

    @property
    def building(self) -> Path:
        """What is being built, a folder a package."""
        return self.root / "building"

    @property
    def packages(self) -> Path:
        """Packages, a folder each."""
        return self.root / "packages"

    @property
    def held(self) -> Path:
        """Lists of records held back, a folder a package."""
        return self.root / "held"


@contextmanager
def opened(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The ledger as ``ledger`` in a connection of its own; nobody else has it meanwhile.

    What a kill left is finished or removed first. The connection spills to ``building/`` and holds instants in the home's zone.

    Raises:
        YiwangError: YW-REPORT-010 while another process has it, YW-REPORT-007 where it is damaged, incomplete, lost or older than the
            packages, YW-RUN-007 where the disk is full.
    """
    folders = Folders.of(settings)
    folders.building.mkdir(parents=True, exist_ok=True)
    with (folders.root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise YiwangError("YW-REPORT-010") from error
        built = {path.name for folder in (folders.packages, folders.held) for path in folder.glob("*") if NUMBER.fullmatch(path.name)}
        is_new = not folders.ledger.exists()
        if is_new and built:
            raise YiwangError("YW-REPORT-007", what=folders.ledger, detail="台账不在，但已有上报包，继续会重复上报")
        spill = folders.building / "spill"
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": settings.memory_limit, "threads": settings.threads, "temp_directory": str(spill),
            "autoinstall_known_extensions": False, "autoload_known_extensions": False, "python_enable_replacements": False,
        }  # fmt: skip
        with duckdb.connect(config=config) as connection:
            try:
                connection.execute(f"SET TimeZone = '{settings.zone}'")
                connection.execute("SET enable_progress_bar = false")  # Python without a file draws one by itself, into what people read
                connection.execute(f"ATTACH '{_quoted(folders.ledger)}' AS ledger")
                recorded = make_or_require(connection, folders.ledger, built)
            except duckdb.Error as error:
                detail = str(error).splitlines()[0]
                if is_new or isinstance(error, duckdb.OutOfMemoryException):
                    raise YiwangError("YW-RUN-007", path=folders.root, detail=detail) from error
                raise YiwangError("YW-REPORT-007", what=folders.ledger, detail=f"台账损坏（{detail}）") from error
            _recover(recorded, folders)
            yield connection


def attach_snapshot(connection: duckdb.DuckDBPyConnection, path: Path, folder: Path) -> None:
    """Reads a snapshot from now on: ``marts.…`` is its; files are written to a folder only."""
    connection.execute(f"ATTACH '{_quoted(path)}' AS snapshot (READ_ONLY)")
    connection.execute("USE snapshot")
    connection.execute(f"SET allowed_directories = ['{_quoted(folder)}/']")
    connection.execute("SET enable_external_access = false")  # rules of a city are SQL


def packages(connection: duckdb.DuckDBPyConnection, subject: str | None = None) -> list[Package]:
    """The packages of a subject, or all, in order."""
    rows = connection.execute(
        "SELECT number, subject, kind, first, last, run_id, epoch_us(as_of), epoch_us(built_at), rows, held, manifest_sm3 "
        "FROM ledger.package WHERE subject = coalesce($1, subject) ORDER BY built_at, number", [subject],
    ).fetchall()  # fmt: skip
    return [
        Package(number, of, kind, Period(first, last) if first else None, run, _instant(as_of), _instant(built), lines, held, digest)
        for number, of, kind, first, last, run, as_of, built, lines, held, digest in rows
    ]


def commit(connection: duckdb.DuckDBPyConnection, folders: Folders, package: Package, subject: Subject) -> None:
    """Records a package that is whole under ``building/`` and puts it into place.

    Args:
        connection: Has ``outgoing`` (source, record_key, key, day, digest, state) and ``closing`` (line, rule_id, rows).
        folders: Where the package is.
        package: What is recorded of it.
        subject: Its subject.
    """
    building = folders.building / package.number
    if (recorded := connection.execute("SELECT count(*) FROM outgoing").fetchall()[0][0]) != package.rows:
        raise YiwangError("YW-REPORT-005", detail=f"包内 {package.rows} 行，台账将记 {recorded} 行")
    _make_durable(building)
    period = package.period
    connection.begin()
    try:
        connection.execute(
            "DELETE FROM ledger.reported AS r USING outgoing AS o WHERE r.subject = $1 AND r.source = o.source AND r.record_key = o.record_key", [subject.name]
        )
        connection.execute(
            "INSERT INTO ledger.reported SELECT $1, source, record_key, key, day, digest, state, $2 FROM outgoing", [subject.name, package.number]
        )
        connection.execute("INSERT INTO ledger.reconciliation SELECT $1, line, rule_id, rows FROM closing", [package.number])
        connection.execute(
            "INSERT INTO ledger.reconciliation SELECT $1, $2, NULL, count(*) FROM ledger.reported WHERE subject = $3", [package.number, KNOWN, subject.name]
        )
        connection.execute(
            "INSERT INTO ledger.package VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [package.number, package.subject, package.kind, period and period.first, period and period.last, package.run_id, package.as_of,
             package.built_at, package.rows, package.held, package.manifest_sm3],
        )  # fmt: skip
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    _put_into_place(building, folders, package.number)


def abandon(connection: duckdb.DuckDBPyConnection, folders: Folders, number: str) -> None:
    """Removes what was built of a package, unless the ledger has it: then the next to open the ledger puts it into place."""
    try:
        recorded = connection.execute("SELECT 1 FROM ledger.package WHERE number = ?", [number]).fetchall()
    except duckdb.Error:  # the connection did not survive what happened: the next one looks
        return
    if not recorded:
        shutil.rmtree(folders.building / number, ignore_errors=True)


def _recover(recorded: set[str], folders: Folders) -> None:
    for left in folders.building.iterdir():
        if left.name in recorded:
            _put_into_place(left, folders, left.name)
        else:
            shutil.rmtree(left)


def _put_into_place(building: Path, folders: Folders, number: str) -> None:
    for name, target in ((PACKAGE, folders.packages), (HELD, folders.held)):
        target.mkdir(exist_ok=True)
        if (building / name).exists():
            os.rename(building / name, target / number)
        _sync(target)
    _sync(folders.root)
    shutil.rmtree(building)


def _make_durable(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _instant(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("'", "''")
