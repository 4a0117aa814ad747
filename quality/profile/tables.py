"""The tables of profiles and suspicions, in the file of the masked marts: what they hold, and how they are written.

What does not belong here: what is worked out (:mod:`quality.profile.columns`, :mod:`quality.suspicion`).
"""

# ruff: noqa: S608 - names of tables, constants

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from quality.ledger.tables import TABLES as LEDGER

PROFILE, SUSPICION = "quality_profile", "quality_suspicion"
COLUMNS: dict[str, dict[str, tuple[str, str]]] = {
    PROFILE: {
        "month": ("DATE", "First day of the month of `profiled_at`. The newest run of a month replaces those before it; 13 months are kept."),
        "run_id": ("VARCHAR", "Run that profiled."),
        "profiled_at": ("TIMESTAMPTZ", "Instant on which that run stood."),
        "table_name": ("VARCHAR", "Mart."),
        "column_name": ("VARCHAR", "Column of the mart."),
        "position": ("INTEGER", "Place of the column, from 1."),
        "data_type": ("VARCHAR", "Its type."),
        "is_personal": ("BOOLEAN", "It comes from personal data: no values are shown, shapes only."),
        "row_count": ("BIGINT", "Rows of the mart."),
        "null_count": ("BIGINT", "Rows without a value."),
        "distinct_count": ("BIGINT", "Different values; an estimate (HyperLogLog) above 20,000 rows."),
        "minimum": ("VARCHAR", "Least value."),
        "p05": ("VARCHAR", "Quantile .05 of the sample; numbers and times only, as the other quantiles."),
        "p25": ("VARCHAR", "Quantile .25."),
        "p50": ("VARCHAR", "Median."),
        "p75": ("VARCHAR", "Quantile .75."),
        "p95": ("VARCHAR", "Quantile .95."),
        "maximum": ("VARCHAR", "Greatest value."),
        "mean": ("DOUBLE", "Mean; numbers only."),
        "frequent": ("VARCHAR", "JSON: the ten most frequent values and their share of the filled rows of the sample."),
        "shapes": ("VARCHAR", "JSON: the five most frequent shapes and their share; 9 stands for digits, A and a for letters, 文 for ideographs."),
        "sampled_rows": ("BIGINT", "Rows from which quantiles, values and shapes were taken, chosen by their key."),
        "recent": ("VARCHAR", "JSON: how the column is distributed in the rows of the last 30 days, of all where the mart has no days."),
        "drift_measure": ("VARCHAR", "psi (population stability index, of values or shapes) or ks (Kolmogorov-Smirnov, of numbers)."),
        "drift": ("DOUBLE", "Its value against the month before."),
        "null_share_change": ("DOUBLE", "Share of rows without a value, less that of the month before."),
        "drift_basis": ("VARCHAR", "month: against the profile of an earlier month. rows: against the rows of the 30 days before. Null: nothing to compare with."),
        "is_drifted": ("BOOLEAN", "The change is large, and too large for chance."),
        "drift_reason": ("VARCHAR", "What changed, in Chinese; null where nothing did."),
    },
    SUSPICION: {
        "run_id": ("VARCHAR", "Run that looked."),
        "detected_at": ("TIMESTAMPTZ", "Instant on which that run stood."),
        "kind": ("VARCHAR", "duration, steps, volume, levels, channel, staff, text or pattern."),
        "table_name": ("VARCHAR", "Mart whose record looks odd."),
        "source": ("VARCHAR", "Its source; null for a department as a whole."),
        "record_key": ("VARCHAR", "Its key; of a department as a whole: what of it looks odd."),
        "department_code": ("VARCHAR", "Department that answers for it."),
        "partition_on": ("DATE", "Day on which it falls."),
        "score": ("DOUBLE", "How odd, from 0 to 1; to be compared within a kind only."),
        "rank": ("INTEGER", "Place within the kind, the oddest first."),
        "breaks_rule": ("BOOLEAN", "The record has an open violation that counts or blocks, so that a rule says something of it already."),
        "reason": ("VARCHAR", "What makes it suspicious, in Chinese, with the figures."),
    },
}  # fmt: skip
"""Table → column → type and meaning."""
MONTHS = 13
"""Months whose profiles are kept."""


def open_tables(connection: duckdb.DuckDBPyConnection, previous: Path | None = None) -> None:
    """Makes the tables that are not there, or that an older program left with other columns.

    Args:
        connection: The masked marts, open for writing.
        previous: The published snapshot, from which earlier months are taken when the file has none: marts that were built anew.
    """
    connection.execute("CREATE SCHEMA IF NOT EXISTS marts")
    for table, columns in COLUMNS.items():
        there = _columns(connection, table)
        if there and there != list(columns):
            connection.execute(f"DROP TABLE marts.{table}")
        if there != list(columns):
            connection.execute(f"CREATE TABLE marts.{table} ({', '.join(f'{name} {kind}' for name, (kind, _) in columns.items())})")
            if table == PROFILE and previous is not None and previous.is_file():
                _carry(connection, previous)


def make_tables(masked: Path, previous: Path | None = None) -> None:
    """Makes the tables in a file, for readers who want them whether or not there is anything in them."""
    with duckdb.connect(str(masked)) as connection:
        open_tables(connection, previous)


def write_profile(connection: duckdb.DuckDBPyConnection, month: date, rows: Sequence[dict[str, Any]]) -> None:
    """Puts the profile of a month in place of the one it has."""
    connection.begin()
    connection.execute(f"DELETE FROM marts.{PROFILE} WHERE month = $1 OR month < $1 - to_months($2)", [month, MONTHS])
    _insert(connection, PROFILE, rows)
    connection.commit()


def write_suspicions(connection: duckdb.DuckDBPyConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Puts the suspicions of a run in place of those of the run before."""
    connection.begin()
    connection.execute(f"DELETE FROM marts.{SUSPICION}")
    _insert(connection, SUSPICION, rows)
    connection.commit()


def earlier_profile(connection: duckdb.DuckDBPyConnection, month: date) -> dict[tuple[str, str], str]:
    """Mart and column → ``recent`` of the newest month before this one, at most three months back."""
    query = f"""SELECT table_name, column_name, recent FROM marts.{PROFILE}
        WHERE month = (SELECT max(month) FROM marts.{PROFILE} WHERE month < $1 AND month >= $1 - to_months(3)) AND recent IS NOT NULL"""
    return {(table, column): recent for table, column, recent in connection.execute(query, [month]).fetchall()}


def is_bookkeeping(table: str) -> bool:
    """Whether a table of the marts tells of the checks, the catalogue or the runs, not of the city."""
    return table in LEDGER or table in COLUMNS or table in ("check_result", "run") or table.startswith(("catalogue_", "quality_"))


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        types = {"DATE": pa.date32(), "TIMESTAMPTZ": pa.timestamp("us", "UTC"), "INTEGER": pa.int32(), "BIGINT": pa.int64(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_()}
        schema = pa.schema([(name, types.get(kind, pa.string())) for name, (kind, _) in COLUMNS[table].items()])
        new = pa.Table.from_pylist(list(rows), schema)
        connection.register("_new", new)
        connection.execute(f"INSERT INTO marts.{table} BY NAME FROM _new")
        connection.unregister("_new")


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    query = (
        "SELECT column_name FROM duckdb_columns() WHERE database_name = current_database() AND schema_name = 'marts' AND table_name = ? ORDER BY column_index"
    )
    return [row[0] for row in connection.execute(query, [table]).fetchall()]


def _carry(connection: duckdb.DuckDBPyConnection, previous: Path) -> None:
    literal = "'" + str(previous).replace("'", "''") + "'"
    connection.execute(f"ATTACH {literal} AS previous (READ_ONLY)")
    try:
        query = "SELECT column_name FROM duckdb_columns() WHERE database_name = 'previous' AND schema_name = 'marts' AND table_name = ? ORDER BY column_index"
        if [row[0] for row in connection.execute(query, [PROFILE]).fetchall()] == list(COLUMNS[PROFILE]):
            connection.execute(f"INSERT INTO marts.{PROFILE} BY NAME FROM previous.marts.{PROFILE}")
    finally:
        connection.execute("DETACH previous")
