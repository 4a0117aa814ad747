"""What the quality checks are told of the warehouse, which they do not see: records that left, the city's working days."""

# ruff: noqa: S608 - names are constants

from datetime import date

import duckdb
import pyarrow as pa

from models.domain.calendar import WorkCalendar, work_calendar
from models.domain.settings import Settings
from pipelines.sources.service import RunRef
from pipelines.sources.store import history_of, name
from pipelines.warehouse.books import warehouse

_MARTS = {"fct_case": "case", "fct_case_event": "case_event", "fct_certificate": "certificate", "fct_review": "review"}
"""Mart → subject of its rows."""


def left_since(settings: Settings, checked: str | None, run: RunRef) -> dict[str, pa.Table] | None:
    """Mart of cases → source and case number of its rows that were replaced or deleted since a run was checked.

    Args:
        settings: Home.
        checked: The run that was checked last; None when none was.
        run: The run in hand; when it was checked before, what it did itself is included.

    Returns:
        None when the run is not in the books.
    """
    with warehouse(settings) as connection:
        rows = connection.execute("SELECT run_seq FROM ops.run WHERE run_id = ?", [checked]).fetchall()
        if not rows:
            return None
        since = rows[0][0] - 1 if checked == run.run_id else rows[0][0]
        return {mart: _left(connection, subject, since) for mart, subject in _MARTS.items()}


def city_calendar(settings: Settings) -> WorkCalendar:
    """The official calendar with the days that the city decided laid over it."""
    with warehouse(settings) as connection:
        if not connection.execute("FROM duckdb_tables() WHERE schema_name = 'intermediate' AND table_name = 'int_calendar'").fetchall():
            return work_calendar()
        query = "SELECT c.day, c.is_working_day FROM intermediate.int_calendar AS c JOIN raw.calendar AS o ON c.day = o.day WHERE c.is_working_day <> o.is_working_day"
        return work_calendar().with_days(dict(connection.execute(query).fetchall()))


def review_texts(settings: Settings, since: date) -> pa.Table:
    """Reviews that people wrote something in since a day: the marts only say that they did."""
    with warehouse(settings) as connection:
        return connection.sql(
            "SELECT source, review_id, department_code, (reviewed_at)::DATE AS reviewed_on, satisfaction_code, comment FROM staging.stg_review "
            "WHERE NOT coalesce(is_default, false) AND trim(comment) <> '' AND reviewed_at >= $since ORDER BY source, review_id",
            params={"since": since},
        ).to_arrow_table()


def _left(connection: duckdb.DuckDBPyConnection, subject: str, since: int) -> pa.Table:
    raw, history = f"raw.{name(subject)}", f"raw.{name(history_of(subject))}"
    return connection.sql(
        f"SELECT source, case_number FROM {raw} WHERE _is_deleted AND _run_seq > {int(since)} "
        f"UNION SELECT source, case_number FROM {history} WHERE _known_to_seq > {int(since)}"
    ).to_arrow_table()
