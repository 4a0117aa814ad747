"""What the report of a run shows, asked of one snapshot or of the masked marts."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

Row = dict[str, Any]

MONTHS = 12
"""Months that trends and charts show."""

_COUNTS = """
    SELECT
        (SELECT count(*) FROM marts.fct_case) AS cases,
        (SELECT count(*) FROM marts.fct_case WHERE is_completed) AS completed,
        (SELECT count(*) FROM marts.fct_case WHERE NOT is_completed) AS open,
        (SELECT count(*) FROM marts.fct_case WHERE is_late) AS late,
        (SELECT count(*) FROM marts.fct_case_event) AS events,
        (SELECT count(*) FROM marts.fct_certificate) AS certificates,
        (SELECT count(*) FROM marts.fct_review) AS reviews,
        (SELECT count(*) FROM marts.fct_review WHERE NOT is_default) AS active_reviews,
        (SELECT count(*) FROM marts.dim_matter) AS matters,
        (SELECT count(*) FROM marts.dim_department) AS departments,
        (SELECT count(*) FROM marts.quarantine) AS quarantined
"""
_HORIZON = """
    SELECT max(as_of) AS as_of, min(received_at) FILTER (received_at > as_of - INTERVAL 10 YEAR) AS first_received_at,
        max(greatest(received_at, completed_at)) FILTER (greatest(received_at, completed_at) <= as_of) AS last_case_at
    FROM marts.fct_case
"""
_SYNC = """
    SELECT source, subject, rows_read, inserted, updated, unchanged, superseded, deleted, quarantined,
        rows_read = inserted + updated + unchanged + superseded + deleted + quarantined AS reconciles
    FROM marts.mart_sync_run WHERE run_id = $run_id ORDER BY source, subject
"""
_QUARANTINE = """
    -- what is wrong, without the value that is wrong: it may be somebody's
    SELECT source, subject, reason_code, regexp_replace(any_value(reason), '[“「"][^”」"]*[”」"]', '“…”', 'g') AS reason, count(*) AS records
    FROM marts.quarantine GROUP BY source, subject, reason_code, regexp_replace(reason, '[“「"][^”」"]*[”」"]', '“…”', 'g')
    ORDER BY records DESC, source, subject, reason LIMIT 40
"""
_CHECKS = """
    SELECT check_name, table_name, dimension, severity, gate, passed, failed_rows, checked_rows, message, sql
    FROM marts.check_result WHERE run_id = $run_id
    ORDER BY passed, NOT gate, array_position(['blocks', 'counts', 'advises'], severity), failed_rows DESC, table_name, check_name
"""
_MONTH = """
    -- the last whole month that has a score, else the newest month that has one
    SELECT coalesce(max(month) FILTER (last_day(month) <= $as_of), max(month)) AS month FROM marts.score_department_month WHERE score IS NOT NULL
"""
_TOTALS = """
    SELECT t.*, d.department_kind_code
    FROM marts.score_department_month AS t LEFT JOIN marts.dim_department AS d ON t.department_code = d.department_code
    WHERE t.month = $month ORDER BY t.rank NULLS LAST, t.score DESC NULLS LAST, t.department_name
"""
_TREND = """
    SELECT department_code, month, score FROM marts.score_department_month
    WHERE month > $month::DATE - INTERVAL 12 MONTH AND month <= $month ORDER BY department_code, month
"""
_INDICATORS = "SELECT * FROM marts.score_indicator_month WHERE month = $month ORDER BY department_code, indicator_code"
_VOLUME = """
    SELECT date_trunc('month', date)::DATE AS month,
        sum(denominator) FILTER (measure_code = 'M15') AS received, sum(denominator) FILTER (measure_code = 'M17') AS completed,
        sum(numerator) FILTER (measure_code = 'M07') AS on_time, sum(denominator) FILTER (measure_code = 'M07') AS clocked
    FROM marts.mart_department_day GROUP BY 1 ORDER BY 1 DESC LIMIT 12
"""
_NOT_CLOCKED = """
    SELECT due_null_reason AS reason, count(*) AS cases FROM marts.fct_case WHERE is_late IS NULL GROUP BY 1 ORDER BY 2 DESC
"""
_MEASURES = "SELECT measure_code, formula FROM marts.measures ORDER BY measure_code"
_RUN = "SELECT * FROM marts.run WHERE run_id = $run_id"


@dataclass(frozen=True)
class ReportFigures:
    """Everything the report shows, as rows.

    Attributes:
        run: Row of ``marts.run``; None while the run is not published.
        as_of: Instant to which the data is valid; None for an empty warehouse of an unpublished run.
        month: Month of the scores shown (its first day), None when nothing is scored.
    """

    run_id: str
    run: Row | None
    as_of: datetime | None
    horizon: Row
    counts: Row
    sync: list[Row]
    quarantine: list[Row]
    checks: list[Row]
    month: date | None
    totals: list[Row]
    trend: list[Row]
    indicators: list[Row]
    volume: list[Row]
    not_clocked: list[Row]
    formulas: dict[str, str]


def report_figures(path: Path, run_id: str, zone: str) -> ReportFigures:
    """Reads the figures of a run.

    Args:
        path: A snapshot or the masked marts.
        run_id: Run of the sync counts and check results.
        zone: Zone of the instants that come back and of the months.
    """
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = $zone", {"zone": zone})
        tables = {row[0] for row in connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'marts'").fetchall()}

        def rows(sql: str, needs: str, **values: Any) -> list[Row]:
            return _rows(connection, sql, values) if needs in tables else []

        run = next(iter(rows(_RUN, "run", run_id=run_id)), None)
        horizon = _rows(connection, _HORIZON, {})[0]
        as_of = (run and run["as_of"]) or horizon["as_of"]
        chosen = rows(_MONTH, "score_department_month", as_of=as_of.date()) if as_of else []
        month = chosen[0]["month"] if chosen else None
        return ReportFigures(
            run_id=run_id,
            run=run,
            as_of=as_of,
            horizon=horizon,
            counts=_rows(connection, _COUNTS, {})[0],
            sync=rows(_SYNC, "mart_sync_run", run_id=run_id),
            quarantine=rows(_QUARANTINE, "quarantine"),
            checks=rows(_CHECKS, "check_result", run_id=run_id),
            month=month,
            totals=rows(_TOTALS, "score_department_month", month=month) if month else [],
            trend=rows(_TREND, "score_department_month", month=month) if month else [],
            indicators=rows(_INDICATORS, "score_indicator_month", month=month) if month else [],
            volume=rows(_VOLUME, "mart_department_day")[::-1],
            not_clocked=rows(_NOT_CLOCKED, "fct_case"),
            formulas={row["measure_code"]: row["formula"] for row in rows(_MEASURES, "measures")},
        )


def evidence_sql(measure_code: str, month: date) -> str:
    """Query that gives the numerators and denominators of a measure by department in a month, for people to run themselves."""
    return (
        "SELECT department_code, sum(numerator) AS numerator, sum(denominator) AS denominator\n"  # noqa: S608 - codes of ours
        "FROM marts.mart_department_day\n"
        f"WHERE measure_code = '{measure_code}' AND date_trunc('month', date) = DATE '{month:%Y-%m-01}'\n"
        "GROUP BY department_code ORDER BY department_code"
    )


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any]) -> list[Row]:
    found = connection.execute(sql, values)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
