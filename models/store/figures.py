"""The figures of the published run that the command line prints after it."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb

from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore


@dataclass(frozen=True)
class RunFigures:
    """Sync counts, check results and the scores of the newest whole month (else the newest one)."""

    run_id: str
    as_of: datetime
    sync: list[dict[str, Any]]
    checks: list[dict[str, Any]]
    month: date | None
    scores: list[dict[str, Any]]


def run_figures(settings: Settings) -> RunFigures:
    """Reads the figures from the current snapshot.

    Raises:
        YiwangError: YW-STORE-001 when nothing is published.
    """
    store = SnapshotStore(settings)
    current = store.in_service()
    with store.acquire() as reader:
        sync = _rows(reader, "SELECT * FROM marts.mart_sync_run WHERE run_id = ? ORDER BY source, subject", current.run_id)
        worst_first = "passed, array_position(['blocks', 'counts', 'advises'], severity), check_name"
        checks = _rows(reader, f"SELECT * FROM marts.check_result WHERE run_id = ? ORDER BY {worst_first}", current.run_id)  # noqa: S608
        scored = "SELECT max(month) AS month FROM marts.score_department_month WHERE score IS NOT NULL"
        whole = _rows(reader, scored + " AND last_day(month) <= (?::TIMESTAMPTZ AT TIME ZONE ?)::DATE", current.as_of, settings.zone)
        month = whole[0]["month"] or _rows(reader, scored)[0]["month"]
        scores = _rows(
            reader, "SELECT * FROM marts.score_department_month WHERE month = ? AND score IS NOT NULL ORDER BY rank, department_name", month
        )
    return RunFigures(current.run_id, current.as_of, sync, checks, month, scores)


def _rows(reader: duckdb.DuckDBPyConnection, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = reader.sql(sql, params=list(parameters)).to_arrow_table().to_pylist()
    return rows
