"""Whether a DuckDB file is whole: opening one reads its catalogue only, so each block is read here.

What does not belong here: what is done about a damaged file (:mod:`pipelines.warehouse.books`, the doctor).
"""

# ruff: noqa: S608 - names come through store.name()

from pathlib import Path

import duckdb

from models.domain.settings import Settings
from pipelines.sources.store import literal, name

_SIGNS = ("not a valid DuckDB database file", "Could not read enough bytes", "Corrupt database file", "does not match stored checksum")


def tells_damage(error: BaseException) -> bool:
    """Whether an error says that a file is damaged, whichever it is: DuckDB does not name it."""
    return any(sign in str(error) for sign in _SIGNS)


def is_damaged(path: Path, settings: Settings) -> bool:
    """Whether the file has a block that is not what was written; reads every column of every table (some 100 MB/s).

    Args:
        path: A DuckDB file that no other process writes.
        settings: Threads and memory.

    Raises:
        duckdb.Error: When it cannot be read for another reason: rights, another process, a newer DuckDB.
    """
    options: dict[str, str | bool | int | float | list[str]] = {"threads": settings.threads, "memory_limit": settings.memory_limit, "autoinstall_known_extensions": False}
    try:
        with duckdb.connect(config=options) as connection:
            connection.execute(f"ATTACH {literal(str(path))} AS looked_at (READ_ONLY)")
            tables = connection.execute("SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'looked_at'").fetchall()
            for schema, table in tables:
                connection.execute(f"SELECT max(hash(columns(*))) FROM looked_at.{name(schema)}.{name(table)}").fetchall()
    except duckdb.Error as error:
        if tells_damage(error):
            return True
        raise
    return False
