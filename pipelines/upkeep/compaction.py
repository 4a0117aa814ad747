"""A DuckDB file without its free blocks: copied beside, then put in place in one step.

DuckDB reuses the blocks of deleted rows, but gives none back. A kill at any moment leaves the old file or the new one;
a copy that was not finished is removed by the next run of :func:`compact`.
"""

# ruff: noqa: S608 - names come through store.name()

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb

from models.domain.settings import Settings
from pipelines.sources.store import literal, name

COMPACT = ".compact"
LEAST_BYTES = 16 << 20
"""Free bytes below which a copy is not worth its time."""
LEAST_SHARE = 0.25
"""Share of free blocks below which it is not: what the next run writes will fill them again."""


@dataclass(frozen=True)
class Compaction:
    """What became of a file.

    Attributes:
        path: The file.
        before: Bytes before.
        after: Bytes afterwards; in a dry run about how many it would have.
        skipped: Why nothing was done, in Chinese; None when it was.
    """

    path: Path
    before: int
    after: int
    skipped: str | None = None


def compact(path: Path, settings: Settings, dry_run: bool = False, least_bytes: int = LEAST_BYTES) -> Compaction | None:
    """Compact the file when that is worth it; None when there is no such file.

    The caller holds the home's lock.

    Args:
        path: DuckDB file that nobody has open.
        settings: Threads and memory.
        dry_run: Measure only.
        least_bytes: Free bytes below which nothing is done.
    """
    temporary = path.with_name(path.name + COMPACT)
    for left in (temporary, temporary.with_name(temporary.name + ".wal")):
        if not dry_run:
            left.unlink(missing_ok=True)
    if not path.is_file():
        return None
    before = path.stat().st_size
    try:
        with duckdb.connect(str(path), config={"autoinstall_known_extensions": False}) as connection:
            connection.execute("CHECKPOINT")
            used, free, share = _sizes(connection)
            if free < least_bytes or share < LEAST_SHARE:
                return Compaction(path, before, before, "空闲空间不多，不必压缩")
            if dry_run:
                return Compaction(path, before, before - free)
            if shutil.disk_usage(path.parent).free < used * 1.1:
                return Compaction(path, before, before, "磁盘剩余空间放不下副本，未压缩")
            _copy(connection, path, temporary, settings)
    except duckdb.Error as error:
        temporary.unlink(missing_ok=True)
        busy = "lock" in str(error).lower()
        return Compaction(path, before, before, "文件正被其他程序打开，未压缩" if busy else "文件无法复制，未压缩，请运行 yiwang doctor")
    return _put_in_place(path, temporary, before)


def _sizes(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, float]:
    """Used bytes, free bytes, free share."""
    row = connection.execute("SELECT block_size * used_blocks, block_size * free_blocks, free_blocks / total_blocks FROM pragma_database_size()").fetchone()
    return (int(row[0]), int(row[1]), float(row[2] or 0)) if row else (0, 0, 0.0)


def _copy(connection: duckdb.DuckDBPyConnection, path: Path, temporary: Path, settings: Settings) -> None:
    """Copy everything, views and sequences included, and look whether the copy holds as many rows of each table."""
    connection.execute(f"SET threads = {settings.threads}")
    connection.execute(f"SET memory_limit = {literal(settings.memory_limit)}")
    connection.execute("SET temp_directory = ?", [str(settings.work / "duckdb_tmp")])
    connection.execute(f"ATTACH {literal(str(temporary))} AS compacted")
    temporary.chmod(path.stat().st_mode & 0o777)  # its folder is the pipelines' alone (0700)
    source = connection.execute("SELECT current_database()").fetchall()[0][0]
    connection.execute(f"COPY FROM DATABASE {name(source)} TO compacted")
    for schema, table in connection.execute("SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ?", [source]).fetchall():
        both = " = ".join(f"(SELECT count(*) FROM {name(database)}.{name(schema)}.{name(table)})" for database in (source, "compacted"))
        if connection.execute(f"SELECT {both}").fetchall() != [(True,)]:
            raise duckdb.DataError("the copy lacks rows")
    connection.execute("CHECKPOINT compacted")
    connection.execute("DETACH compacted")


def _put_in_place(path: Path, temporary: Path, before: int) -> Compaction:
    if path.with_name(path.name + ".wal").exists() or temporary.with_name(temporary.name + ".wal").exists():
        temporary.unlink(missing_ok=True)  # a log belongs to one file: it must not meet the other
        return Compaction(path, before, before, "文件还有未合并的日志，未压缩")
    _make_durable(temporary)
    os.replace(temporary, path)
    _make_durable(path.parent)
    return Compaction(path, before, path.stat().st_size)


def _make_durable(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
