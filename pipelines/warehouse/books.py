"""The pipelines' books of runs, as the stages after the sync read and publish them."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.sources.service import RunRef
from pipelines.sources.types import COUNTS
from pipelines.warehouse.damage import is_damaged, tells_damage

HELD = 10.0
"""Seconds for which a run waits until another process lets go of a working file: what a killed run began ends with it, not at the same instant."""


@contextmanager
def warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse with the masked marts attached, as dbt sees it; both files are free again afterwards."""
    with duckdb.connect(str(settings.warehouse), config={"autoinstall_known_extensions": False}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"ATTACH '{str(settings.marts).replace(chr(39), chr(39) * 2)}' AS masked")
        yield connection


def mend(settings: Settings) -> None:
    """Puts away what a full disk or a crash of the machine left unreadable, so that a run can make it anew.

    The marts are derived from the warehouse and are simply built again; a warehouse that never got its first page is
    too. Any other damaged warehouse is left to its owner. Damage behind the catalogue shows only where a run reads it
    (:func:`damage_of`).

    Raises:
        YiwangError: YW-RUN-006 for a damaged warehouse.
    """
    for path in (settings.marts, settings.warehouse):
        if not path.exists():
            continue
        try:
            _open_once(path)
        except duckdb.Error as error:
            if not tells_damage(error):
                continue  # held by another process, or the like: told where it is opened for work
            if path == settings.warehouse and path.stat().st_size:
                raise YiwangError("YW-RUN-006", path=path) from error
            _put_away(path)


def damage_of(settings: Settings, chain: Iterable[BaseException]) -> YiwangError | None:
    """What to say of an error that comes from a damaged working file; damaged marts are put away for the next run.

    Args:
        settings: Home; nothing has its files open any more.
        chain: An error and what it came from.

    Returns:
        YW-RUN-006 or YW-RUN-010 with the file; None where the error is none of damage, or of a file that is not ours.
    """
    if not any(map(tells_damage, chain)):
        return None
    for path, code in ((settings.warehouse, "YW-RUN-006"), (settings.marts, "YW-RUN-010")):
        with suppress(duckdb.Error):
            if path.is_file() and is_damaged(path, settings):
                if path == settings.marts:
                    _put_away(path)
                return YiwangError(code, path=path)
    return None


def _open_once(path: Path) -> None:
    """Opens a file, as soon as nobody else has it open any more."""
    last = time.monotonic() + HELD
    while True:
        try:
            duckdb.connect(str(path)).close()
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error) or time.monotonic() > last:
                raise
            time.sleep(0.1)
        else:
            return


def _put_away(path: Path) -> None:
    path.unlink()
    path.with_name(path.name + ".wal").unlink(missing_ok=True)


def latest_run(settings: Settings) -> RunRef:
    """The run in hand: the newest one that the sync began."""
    with warehouse(settings) as connection:
        row = connection.execute("SELECT run_id, run_seq FROM ops.run ORDER BY run_seq DESC LIMIT 1").fetchone()
    assert row is not None, "the sync begins a run before anything else"  # noqa: S101 - an invariant of the job
    return RunRef(*row)


def sync_counts(settings: Settings, run: RunRef) -> list[dict[str, Any]]:
    """What became of the rows read since the last publication before this run, one row a source and subject.

    Runs that were killed between their sync and their publication are counted too: their rows come out with this run.
    """
    query = f"""
        SELECT source, subject, {", ".join(f"sum({name})::BIGINT AS {name}" for name in COUNTS)}
        FROM ops.sync_count
        WHERE run_seq BETWEEN (SELECT coalesce(max(run_seq), 0) + 1 FROM ops.run WHERE state = 'published' AND run_seq < $seq) AND $seq
        GROUP BY source, subject ORDER BY source, subject
    """  # noqa: S608 - names of columns, a constant
    with warehouse(settings) as connection:
        rows: list[dict[str, Any]] = connection.sql(query, params={"seq": run.run_seq}).to_arrow_table().to_pylist()
    return rows


def failed_checks(settings: Settings, run: RunRef) -> list[str]:
    """What the severe checks that failed in the run say: each stops publishing."""
    with warehouse(settings) as connection:
        # a table of an older program has no gates: this run has written nothing yet
        if not connection.execute("FROM duckdb_columns() WHERE database_name = 'masked' AND table_name = 'check_result' AND column_name = 'gate'").fetchall():
            return []
        query = "SELECT message FROM masked.marts.check_result WHERE run_id = ? AND gate AND NOT passed ORDER BY check_name"
        return [row[0] for row in connection.execute(query, [run.run_id]).fetchall()]


def is_published_as_it_stands(settings: Settings, published_run_id: str, as_of: datetime) -> bool:
    """Whether a new build could only repeat the published one: no source changed since, it stands on the same instant, and the marts are there."""
    with warehouse(settings) as connection:
        if not connection.execute("FROM duckdb_schemas() WHERE database_name = 'masked' AND schema_name = 'marts'").fetchall():
            return False  # put away by mend()
        row = connection.execute(
            """
            SELECT count(*) FILTER (run_id = $published AND as_of = $as_of AND state = 'published'),
                (SELECT coalesce(sum(rows_read), 0) FROM ops.sync_count WHERE run_seq > (SELECT run_seq FROM ops.run WHERE run_id = $published))
            FROM ops.run
            """,
            {"published": published_run_id, "as_of": as_of},
        ).fetchone()
    return row == (1, 0)


def write_run_mart(settings: Settings, run: RunRef, as_of: datetime) -> None:
    """Puts the runs so far into ``marts.run``, this one as the one about to be published."""
    with warehouse(settings) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS masked.marts")
        connection.execute(
            """
            CREATE OR REPLACE TABLE masked.marts.run AS
            SELECT run_id, run_seq,
                CASE run_id WHEN $run_id THEN $as_of::TIMESTAMPTZ ELSE as_of END AS as_of, started_at,
                CASE run_id WHEN $run_id THEN now() ELSE finished_at END AS finished_at,
                CASE run_id WHEN $run_id THEN 'published' ELSE state END AS state
            FROM ops.run ORDER BY run_seq DESC LIMIT 400
            """,
            {"run_id": run.run_id, "as_of": as_of},
        )
