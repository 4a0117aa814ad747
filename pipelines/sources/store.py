"""The working warehouse as the sync knows it: connection, tables of the layers ``raw`` and ``ops``.

What does not belong here: what is written into the tables, and the tables of the layers above (dbt's).
"""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from models.domain.codes import code_tables
from models.domain.contracts import SUBJECTS
from models.domain.identifiers import set_digest_key
from models.domain.schema import raw_columns
from models.domain.settings import Settings
from models.store.key_files import made_once

_TABLES = {
    "raw.quarantine": {
        "source": "VARCHAR", "subject": "VARCHAR", "record_key": "VARCHAR", "reason_code": "VARCHAR", "reason": "VARCHAR",
        "raw": "VARCHAR", "raw_masked": "VARCHAR", "file": "VARCHAR", "file_row": "BIGINT", "run_id": "VARCHAR",
        "_run_seq": "INTEGER", "record_hash": "VARCHAR",
    },
    "raw.calendar": {
        "day": "DATE", "is_working_day": "BOOLEAN", "wd_number": "INTEGER", "is_published": "BOOLEAN", "holiday": "VARCHAR",
        "next_working_day": "DATE",
    },
    "raw.code_label": {"code_table": "VARCHAR", "code": "VARCHAR", "label": "VARCHAR"},
    "ops.run": {
        "run_id": "VARCHAR", "run_seq": "INTEGER", "as_of": "TIMESTAMPTZ", "started_at": "TIMESTAMPTZ",
        "finished_at": "TIMESTAMPTZ", "state": "VARCHAR", "detail": "VARCHAR",
    },
    "ops.sync_count": {
        "run_id": "VARCHAR", "run_seq": "INTEGER", "source": "VARCHAR", "subject": "VARCHAR", "rows_read": "BIGINT",
        "inserted": "BIGINT", "updated": "BIGINT", "unchanged": "BIGINT", "superseded": "BIGINT", "deleted": "BIGINT",
        "quarantined": "BIGINT",
    },
    "ops.source_file": {
        "file_id": "INTEGER", "source": "VARCHAR", "subject": "VARCHAR", "path": "VARCHAR", "size": "BIGINT",
        "mtime_ns": "BIGINT", "fingerprint": "VARCHAR", "run_seq": "INTEGER",
    },
    "ops.source_position": {"source": "VARCHAR", "subject": "VARCHAR", "settings": "VARCHAR", "position": "VARCHAR", "run_seq": "INTEGER"},
    "ops.unmapped_column": {"run_id": "VARCHAR", "source": "VARCHAR", "subject": "VARCHAR", "column_name": "VARCHAR"},
    "ops.filled_field": {"source": "VARCHAR", "subject": "VARCHAR", "field": "VARCHAR", "column_name": "VARCHAR", "run_seq": "INTEGER"},
    "ops.missing_column": {"run_id": "VARCHAR", "source": "VARCHAR", "subject": "VARCHAR", "column_name": "VARCHAR"},
    "ops.publication": {
        "run_seq": "INTEGER", "run_id": "VARCHAR", "as_of": "TIMESTAMPTZ", "published_at": "TIMESTAMPTZ", "rules": "VARCHAR",
        "calendar": "VARCHAR", "zone": "VARCHAR", "engine": "VARCHAR",
    },
    "ops.mart_digest": {"run_seq": "INTEGER", "mart": "VARCHAR", "row_count": "BIGINT", "digest": "VARCHAR", "columns": "VARCHAR"},
    "ops.touched_partition": {
        "run_seq": "INTEGER", "mart": "VARCHAR", "day": "DATE", "department_code": "VARCHAR", "row_count": "BIGINT",
    },
}  # fmt: skip


QUARANTINE = "quarantine"
"""Name of the raw table of rows that are set aside."""


def history_of(table: str) -> str:
    """Name of the table that keeps the replaced versions of a raw table (:mod:`pipelines.sources.history`)."""
    return f"{table}_history"


def versioned_tables() -> dict[str, dict[str, str]]:
    """Raw tables whose replaced versions are kept: name → column → DuckDB type."""
    return {subject: raw_columns(contract) for subject, contract in SUBJECTS.items()} | {QUARANTINE: _TABLES[f"raw.{QUARANTINE}"]}


def literal(value: str | int | None) -> str:
    """A value as an SQL literal."""
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def name(identifier: str) -> str:
    """A quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


@contextmanager
def warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The working warehouse, open for writing; closed at the end so that the next process can open it.

    The file has mode 0600 and its folder 0700: it and its neighbours (write-ahead log, load packages,
    spilled blocks) hold personal data in clear.
    """
    settings.work.mkdir(parents=True, exist_ok=True)
    settings.work.chmod(0o700)
    temporary = settings.work / "duckdb_tmp"
    temporary.mkdir(exist_ok=True)
    connection = duckdb.connect(
        str(settings.warehouse),
        config={
            "threads": settings.threads,
            "memory_limit": settings.memory_limit,
            "temp_directory": str(temporary),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
        },
    )
    try:
        settings.warehouse.chmod(0o600)
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def prepare(settings: Settings) -> None:
    """Create what is missing of the warehouse (schemas, tables, columns) and refresh calendar and code labels."""
    with warehouse(settings) as connection:
        create_tables(connection)
        labels = [
            {"code_table": table, "code": code, "label": label} for table, codes in code_tables().items() for code, label in codes.items()
        ]
        _refresh(connection, "raw.code_label", pa.Table.from_pylist(labels))
        from models.domain.calendar import calendar_table  # imported late: it loads the holiday tables

        _refresh(connection, "raw.calendar", calendar_table())


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create what is missing of the schemas, tables and columns."""
    for schema in ("raw", "ops", "staging", "intermediate"):
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    current = {f"raw.{name(table)}": columns for table, columns in versioned_tables().items()}
    history = {f"raw.{name(history_of(table))}": columns | {"_known_to_seq": "INTEGER"} for table, columns in versioned_tables().items()}
    for table, table_columns in (current | history | _TABLES).items():
        definition = ", ".join(f"{name(column)} {sql_type}" for column, sql_type in table_columns.items())
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({definition})")
        for column, sql_type in table_columns.items():
            connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name(column)} {sql_type}")
    # Numbers of files are never given twice: a package left by a kill holds its own until it is resumed.
    used = connection.execute("SELECT coalesce(max(file_id), 0) + 1 FROM ops.source_file").fetchone()
    connection.execute(f"CREATE SEQUENCE IF NOT EXISTS ops.file_number START {used[0] if used else 1}")


def _refresh(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    connection.begin()
    connection.execute(f"DELETE FROM {table}")
    connection.register("_rows", rows)
    connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM _rows")
    connection.unregister("_rows")
    connection.commit()


def use_digest_key(settings: Settings, connection: duckdb.DuckDBPyConnection) -> None:
    """Give the connection the key that digests identifiers: the setting, else one made once in the home (0600)."""
    if settings.digest_key is not None:
        key = settings.digest_key.get_secret_value().encode()
    else:
        key = bytes.fromhex(made_once(settings.home / "digest.key"))
    set_digest_key(connection, key)
