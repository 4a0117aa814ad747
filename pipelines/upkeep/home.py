"""The home's own book: its version, what its tables were built by, which key digested its identifiers.

A home made by an older program is brought up to date here, step by step, before anything is written into it; one that
a newer program made is refused. What does not belong here: missing tables and columns of ``raw`` and ``ops``, which
:func:`pipelines.sources.service.prepare` adds by itself.
"""

import hashlib
from collections.abc import Callable
from importlib.metadata import version as installed

import duckdb

from models.domain.errors import YiwangError
from models.domain.identifiers import sql_digest
from models.domain.settings import Settings
from pipelines.sources.store import literal, name, prepare, use_digest_key, warehouse
from pipelines.warehouse.service import project_dir

_KEY_PROBE = "digest key"
"""Nobody's identifier: its digest tells keys apart and reveals nothing of them."""
_KEPT_MARTS = ("check_result", "quality_violation", "mart_quality_rule_day", "quality_profile")
"""Marts that dbt does not build and that no run makes again: results of earlier runs, since when a violation is known, profiles of earlier months."""

Step = Callable[[duckdb.DuckDBPyConnection], None]


def _book(connection: duckdb.DuckDBPyConnection) -> None:
    """1 → 2: the book itself; before it a home had no version."""
    connection.execute("CREATE TABLE IF NOT EXISTS ops.home (name VARCHAR PRIMARY KEY, value VARCHAR)")


STEPS: dict[int, Step] = {2: _book}
"""Version → what makes it out of the version before. A step runs in one transaction on the warehouse together with the
note of its version, so that a kill leaves either version, whole. Never change a step that was released: add one."""
VERSION = max(STEPS)
"""Version of the homes that this program makes. Raise it, by a step, when missing tables and columns are not all."""


def open_home(settings: Settings) -> None:
    """Make the home ready for a run of this program: upgrade it, create what is missing, or refuse it.

    The caller holds the home's lock.

    Raises:
        YiwangError: YW-RUN-008 for a home of a newer program, YW-RUN-009 where identifiers were digested with another key.
    """
    with warehouse(settings) as connection:
        upgrade(connection)
    prepare(settings)
    with warehouse(settings) as connection:
        _check_key(settings, connection)
        _forget_built(settings, connection)
        note(connection, "program", installed("yiwang"))


def version_of(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Version of the home, None for one that was never run."""
    if not _has(connection, "ops", "run"):
        return None
    return int(noted(connection, "version") or 1)


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the warehouse up to this program's version, one step after the other.

    Raises:
        YiwangError: YW-RUN-008 for a home of a newer program; nothing is changed then.
    """
    found = version_of(connection)
    if found is not None and found > VERSION:
        raise YiwangError("YW-RUN-008", found=found, known=VERSION)
    connection.execute("CREATE SCHEMA IF NOT EXISTS ops")
    for number in range(2 if found is None else found + 1, VERSION + 1):
        connection.begin()
        try:
            STEPS[number](connection)
            note(connection, "version", str(number))
            connection.commit()
        except BaseException:
            connection.rollback()
            raise


def noted(connection: duckdb.DuckDBPyConnection, what: str) -> str | None:
    """What the book says, None where it says nothing."""
    if not _has(connection, "ops", "home"):
        return None
    row = connection.execute("SELECT value FROM ops.home WHERE name = ?", [what]).fetchone()
    return row[0] if row else None


def note(connection: duckdb.DuckDBPyConnection, what: str, value: str) -> None:
    """Write into the book."""
    if noted(connection, what) != value:
        connection.execute("INSERT OR REPLACE INTO ops.home VALUES (?, ?)", [what, value])


def key_digest(settings: Settings, connection: duckdb.DuckDBPyConnection) -> str:
    """What tells the present digest key from another one; makes the home's key where there is none."""
    use_digest_key(settings, connection)
    row = connection.execute(f"SELECT {sql_digest(literal(_KEY_PROBE))}").fetchone()
    return str(row[0]) if row else ""


def models_fingerprint() -> str:
    """What the tables of dbt depend on beside the data: every file of the dbt project."""
    digest, folder = hashlib.sha256(), project_dir()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in {".sql", ".yml", ".csv"}):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _check_key(settings: Settings, connection: duckdb.DuckDBPyConnection) -> None:
    present, before = key_digest(settings, connection), noted(connection, "digest_key")
    if before is not None and before != present:
        raise YiwangError("YW-RUN-009", path=settings.warehouse)
    note(connection, "digest_key", present)


def _forget_built(settings: Settings, connection: duckdb.DuckDBPyConnection) -> None:
    """Drop what dbt built when its project has changed since: the next run builds it anew from raw.

    Incremental tables would otherwise keep rows by the old rules, or refuse the new columns. The masked marts go
    first: a kill in between leaves the old fingerprint, and the next run drops the rest.
    """
    fingerprint = models_fingerprint()
    if noted(connection, "models") == fingerprint:
        return
    connection.execute(f"ATTACH {literal(str(settings.marts))} AS masked")
    _drop_all(connection, "masked", ("marts",), keep=_KEPT_MARTS)
    connection.execute("DETACH masked")
    connection.begin()
    try:
        _drop_all(connection, connection.execute("SELECT current_database()").fetchall()[0][0], ("staging", "intermediate"))
        note(connection, "models", fingerprint)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def _drop_all(connection: duckdb.DuckDBPyConnection, database: str, schemas: tuple[str, ...], keep: tuple[str, ...] = ()) -> None:
    found = connection.execute(
        "SELECT schema_name, view_name, 'VIEW' FROM duckdb_views() WHERE database_name = $1 AND list_contains($2, schema_name) "
        "UNION ALL SELECT schema_name, table_name, 'TABLE' FROM duckdb_tables() WHERE database_name = $1 AND list_contains($2, schema_name)",
        [database, list(schemas)],
    ).fetchall()
    for schema, table, kind in found:
        if table not in keep:
            connection.execute(f"DROP {kind} {name(database)}.{name(schema)}.{name(table)}")


def _has(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    query = "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = ? AND table_name = ?"
    return bool(connection.execute(query, [schema, table]).fetchall())
