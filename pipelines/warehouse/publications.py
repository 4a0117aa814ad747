"""What was published when, under which conditions, and a digest of every mart: proof that outlives the snapshots.

What does not belong here: making the marts of a past day again (:mod:`pipelines.replay`).
"""

# ruff: noqa: S608 - names come from the database's own catalogue and are quoted

import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from importlib.metadata import version
from zoneinfo import ZoneInfo

import duckdb

from models.domain.settings import Settings
from pipelines.sources.service import RunRef
from pipelines.warehouse.books import warehouse
from pipelines.warehouse.service import rules_fingerprint

_BOOKS = {"run_id", "as_of"}
"""Columns that name the run which wrote a row; so do those that begin with an underscore. They are no data."""
_NO_FIGURES = {"run"}
"""Marts about the runs themselves."""
_REMEMBERING = ("catalogue_", "quality_", "mart_quality_")
"""Beginnings of the names of marts that tell of this home and its earlier runs: a past day made again cannot have them."""
_OF_ONE_RUN = {"check_result"}
"""Marts that keep the rows of earlier runs."""


@dataclass(frozen=True)
class Publication:
    """A publication.

    Attributes:
        run: The run that published.
        as_of: Instant on which it stood.
        rules: Fingerprint of dbt project, quality rules, indicators and code.
        calendar: Version of the holiday calendar.
        zone: Zone in which instants became days.
        engine: Version of the database; digests of another one may differ.
        is_belated: A later day had been published before: the day was over, and this is not how it was first told.
    """

    run: RunRef
    as_of: datetime
    rules: str
    calendar: str
    zone: str
    engine: str
    is_belated: bool


@dataclass(frozen=True)
class MartDigest:
    """The content of a mart, whatever the order of its rows.

    Attributes:
        rows: Number of rows.
        digest: Sum of the hashes of its rows.
        columns: Column → sum of the hashes of its values.
    """

    rows: int
    digest: str
    columns: dict[str, str]


def note_publication(settings: Settings, run: RunRef, as_of: datetime) -> None:
    """Write down that a run is about to be published: conditions and digests of its marts."""
    with warehouse(settings) as connection:
        digests = mart_digests(connection, "masked", run.run_id)
        connection.begin()
        for table in ("publication", "mart_digest"):
            connection.execute(f"DELETE FROM ops.{table} WHERE run_seq = ?", [run.run_seq])
        connection.execute(
            "INSERT INTO ops.publication BY NAME SELECT ? AS run_seq, ? AS run_id, ?::TIMESTAMPTZ AS as_of, now() AS published_at, "
            "? AS rules, ? AS calendar, ? AS zone, ? AS engine",
            [run.run_seq, run.run_id, as_of, *conditions(settings)],
        )
        connection.executemany(
            "INSERT INTO ops.mart_digest VALUES (?, ?, ?, ?, ?)",
            [[run.run_seq, mart, d.rows, d.digest, json.dumps(d.columns)] for mart, d in digests.items()],
        )
        connection.commit()


def conditions(settings: Settings) -> tuple[str, str, str, str]:
    """What the figures depend on beside the data: rules, calendar, zone, engine."""
    return rules_fingerprint(), version("chinesecalendar"), settings.zone, f"duckdb {duckdb.__version__}"


def mart_digests(connection: duckdb.DuckDBPyConnection, database: str, run_id: str) -> dict[str, MartDigest]:
    """Mart → digest, for every mart that holds figures.

    Args:
        connection: Has the marts attached.
        database: Name under which they are.
        run_id: The run; rows of other runs are left out where a mart keeps them.
    """
    tables: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = ? AND schema_name = 'marts' ORDER BY table_name, column_index",
        [database],
    ).fetchall():
        if table not in _NO_FIGURES and not table.startswith(_REMEMBERING) and column not in _BOOKS and not column.startswith("_"):
            tables.setdefault(table, []).append(column)
    return {table: _digest(connection, database, table, columns, run_id) for table, columns in tables.items()}


def _digest(connection: duckdb.DuckDBPyConnection, database: str, table: str, columns: list[str], run_id: str) -> MartDigest:
    names = [f"h{n}" for n in range(len(columns))]
    hashes = ", ".join(f'hash("{column}") AS {name}' for name, column in zip(names, columns, strict=True))  # each value is hashed once
    sums = ", ".join(f"sum({name}::HUGEINT)::VARCHAR" for name in names)
    where, parameters = ("WHERE run_id = ?", [run_id]) if table in _OF_ONE_RUN else ("", [])
    row = connection.execute(
        f'SELECT count(*), sum(hash({", ".join(names)})::HUGEINT)::VARCHAR, {sums} FROM (SELECT {hashes} FROM {database}.marts."{table}" {where})',
        parameters,
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate gives a row
    return MartDigest(row[0], row[1] or "0", {column: total or "0" for column, total in zip(columns, row[2:], strict=True)})


def published_digests(settings: Settings, run: RunRef) -> dict[str, MartDigest]:
    """Mart → digest as it was published."""
    with warehouse(settings) as connection:
        rows = connection.execute("SELECT mart, row_count, digest, columns FROM ops.mart_digest WHERE run_seq = ?", [run.run_seq]).fetchall()
    return {mart: MartDigest(count, digest, json.loads(columns)) for mart, count, digest, columns in rows}


_PUBLISHED = """
    SELECT p.run_id, p.run_seq, p.as_of, p.rules, p.calendar, p.zone, p.engine
    FROM ops.publication AS p JOIN ops.run AS r ON p.run_id = r.run_id AND r.state = 'published'
    ORDER BY p.run_seq DESC
"""


def publications(settings: Settings) -> list[Publication]:
    """Publications that can be made again, latest first. The home must hold a prepared warehouse."""
    with warehouse(settings) as connection:
        rows = connection.execute(_PUBLISHED).fetchall()
    found: list[Publication] = []
    newest = date.min
    for run_id, run_seq, as_of, rules, calendar, zone, engine in reversed(rows):
        day = day_in(as_of, zone)
        found.append(Publication(RunRef(run_id, run_seq), as_of, rules, calendar, zone, engine, day < newest))
        newest = max(newest, day)
    return found[::-1]


def day_end(day: date, zone: str) -> datetime:
    """The last moment of a day."""
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)) - timedelta(microseconds=1)


def day_in(instant: datetime, zone: str) -> date:
    """The day of an instant."""
    return instant.astimezone(ZoneInfo(zone)).date()
