"""Facts that scores are made of, and the scores themselves, in the file of the masked marts."""

from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow as pa

_TABLES = {
    "score_indicator_month": """
        system_code VARCHAR NOT NULL, department_code VARCHAR NOT NULL, department_name VARCHAR, month DATE NOT NULL,
        indicator_code VARCHAR NOT NULL, indicator_name VARCHAR, numerator DOUBLE, denominator DOUBLE, value DOUBLE, score DOUBLE,
        weight DOUBLE, null_reason VARCHAR""",
    "score_department_month": """
        system_code VARCHAR NOT NULL, department_code VARCHAR NOT NULL, department_name VARCHAR, month DATE NOT NULL, score DOUBLE,
        rank INTEGER, indicators_scored INTEGER, indicators_total INTEGER, label VARCHAR, null_reason VARCHAR""",
}
"""Grain: a department, month and indicator of a system; a department and month of a system. ``null_reason`` says why
there is no score, or why a department with a score has no rank."""


class ScoreTables(Protocol):
    """What :func:`write_scores` stores: ``models.capability.service.Scores``."""

    @property
    def indicators(self) -> pa.Table:
        """Rows of ``marts.score_indicator_month``."""

    @property
    def totals(self) -> pa.Table:
        """Rows of ``marts.score_department_month``."""


def read_facts(masked: Path) -> pa.Table:
    """The facts of every department: ``marts.mart_department_day`` with the departments' names.

    Args:
        masked: DuckDB file of the masked marts.
    """
    with duckdb.connect(str(masked), read_only=True) as connection:
        return connection.sql("""
            SELECT f.date, f.department_code, coalesce(d.department_name, f.department_code) AS department_name, f.measure_code,
                f.numerator, f.denominator
            FROM marts.mart_department_day AS f
            LEFT JOIN marts.dim_department AS d ON f.department_code = d.department_code
        """).to_arrow_table()


def write_scores(masked: Path, scores: ScoreTables) -> None:
    """Replaces the scores of the systems that ``scores`` holds, in one transaction; other systems stay.

    Args:
        masked: DuckDB file of the masked marts.
        scores: The tables, complete for their systems.
    """
    with duckdb.connect(str(masked)) as connection:
        connection.begin()
        for table, rows in zip(_TABLES, (scores.indicators, scores.totals), strict=True):
            connection.execute(f"CREATE TABLE IF NOT EXISTS marts.{table} ({_TABLES[table]})")
            connection.register("incoming", rows)
            connection.execute(f"DELETE FROM marts.{table} WHERE system_code IN (SELECT system_code FROM incoming)")  # noqa: S608
            connection.execute(f"INSERT INTO marts.{table} BY NAME SELECT * FROM incoming")  # noqa: S608
            connection.unregister("incoming")
        connection.commit()
