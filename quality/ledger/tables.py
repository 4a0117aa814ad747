"""The tables of the ledger, in the file of the masked marts, where they stay from run to run.

What does not belong here: what is written into them (:mod:`quality.ledger.merge`).
"""

# ruff: noqa: S608 - names of tables, constants

from collections.abc import Mapping
from pathlib import Path

import duckdb

KEPT = "quality"
"""Schema of what only the ledger needs, to tell what changed: answers of subqueries, the stamp of its state."""
TABLES: dict[str, str] = {
    "quality_violation": """
        rule_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, source VARCHAR, record_key VARCHAR NOT NULL, field VARCHAR, value VARCHAR,
        department_code VARCHAR, partition_on DATE, severity VARCHAR NOT NULL, dimension VARCHAR NOT NULL, message VARCHAR,
        first_seen_run VARCHAR NOT NULL, first_seen_at TIMESTAMPTZ NOT NULL, last_seen_run VARCHAR NOT NULL, last_seen_at TIMESTAMPTZ NOT NULL,
        healed_run VARCHAR, healed_at TIMESTAMPTZ, times_reopened INTEGER NOT NULL""",
    "quality_check": """
        run_id VARCHAR NOT NULL, rule_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, partition_on DATE, rows_checked BIGINT NOT NULL,
        rows_failed BIGINT NOT NULL, rows_listed BIGINT NOT NULL, status VARCHAR NOT NULL, reason VARCHAR""",
    "quality_rule": """
        rule_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, subject VARCHAR NOT NULL, dimension VARCHAR NOT NULL, severity VARCHAR NOT NULL,
        gate BOOLEAN NOT NULL, title VARCHAR NOT NULL, owner VARCHAR NOT NULL, standard VARCHAR NOT NULL, clause VARCHAR NOT NULL,
        remedy VARCHAR, run_id VARCHAR NOT NULL, status VARCHAR NOT NULL, reason VARCHAR, sampled BIGINT NOT NULL, fingerprint VARCHAR NOT NULL, inputs VARCHAR""",
    "quality_partition": """
        table_name VARCHAR NOT NULL, partition_on DATE, row_count BIGINT NOT NULL, newest BIGINT, content VARCHAR, run_id VARCHAR NOT NULL""",
    "mart_quality_department_day": """
        date DATE, department_code VARCHAR, rule_id VARCHAR NOT NULL, subject VARCHAR NOT NULL, dimension VARCHAR NOT NULL, severity VARCHAR NOT NULL,
        rows_checked BIGINT NOT NULL, rows_failed BIGINT NOT NULL""",
    "mart_quality_rule_day": """
        date DATE NOT NULL, rule_id VARCHAR NOT NULL, rows_checked BIGINT NOT NULL, rows_failed BIGINT NOT NULL, opened BIGINT NOT NULL,
        healed BIGINT NOT NULL, status VARCHAR NOT NULL""",
}
"""Table → its columns.

``quality_violation``: one row a rule, source and record; open while ``healed_at`` is null.
``quality_check``: what the rule's latest evaluation of a partition looked at.
``quality_rule``: the rules as they were last evaluated, and whether they were.
``quality_partition``: the partitions as they were when they were last evaluated.
``mart_quality_department_day``: rows looked at and failed, by rule, day of the records and department.
``mart_quality_rule_day``: the same by rule on the day of each run: the trend.
"""
EVALUATED = ("evaluated", "empty")
"""States of a rule that was evaluated: it looked at rows, or had none to look at."""
KEPT_ROWS = 100_000
"""Rows up to which an answer is kept; a larger one that changed has its rules evaluated in full."""
_REMEMBERED = ("quality_violation", "mart_quality_rule_day")
"""What cannot be worked out anew; the others tell of partitions that another file may not have."""


def open_ledger(connection: duckdb.DuckDBPyConnection, previous: Path | None = None) -> None:
    """Makes the tables that are not there, and anew those that lack a column: nobody but damage takes one out.

    Args:
        connection: The masked marts, open for writing.
        previous: An earlier state of the file, the published snapshot for example, from which the ledger is taken when
            the file has none, or not whole: marts that were damaged are built anew, and the ledger must not forget what it saw.
    """
    connection.execute("CREATE SCHEMA IF NOT EXISTS marts")
    connection.begin()
    connection.execute("ALTER TABLE IF EXISTS marts.quality_rule ADD COLUMN IF NOT EXISTS remedy VARCHAR")  # a ledger of an older program
    absent = set(TABLES) - _whole(connection)
    for table in sorted(absent):
        connection.execute(f"CREATE OR REPLACE TABLE marts.{table} ({TABLES[table]})")
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {KEPT}")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {KEPT}.answer (name VARCHAR NOT NULL, digest VARCHAR NOT NULL)")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {KEPT}.state (stamp VARCHAR NOT NULL)")
    connection.commit()
    if previous is not None and previous.is_file():
        _carry(connection, previous, absent & set(_REMEMBERED))


def is_there(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the file has a ledger."""
    return set(TABLES) <= _whole(connection)


def forget_state(connection: duckdb.DuckDBPyConnection) -> None:
    """Has the next run evaluate everything."""
    connection.execute("UPDATE marts.quality_rule SET fingerprint = ''")


def kept_answers(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Answers of the last run that are kept, each in a table of its name in the schema :data:`KEPT` → their digests."""
    return dict(connection.execute(f"SELECT name, digest FROM {KEPT}.answer").fetchall())


def keep_answers(connection: duckdb.DuckDBPyConnection, digests: Mapping[str, str]) -> None:
    """Keeps the answers in the temporary tables of these names, within a transaction of the caller, and drops all others."""
    before = kept_answers(connection)
    changed = {name for name, digest in digests.items() if before.get(name) != digest}
    for name in sorted(changed | (before.keys() - digests.keys())):
        connection.execute(f"DROP TABLE IF EXISTS {KEPT}.{name}")
        connection.execute(f"DELETE FROM {KEPT}.answer WHERE name = ?", [name])
    for name in sorted(changed):
        if int(digests[name].split(":")[0]) <= KEPT_ROWS:
            connection.execute(f"CREATE TABLE {KEPT}.{name} AS FROM temp.main.{name}")
            connection.execute(f"INSERT INTO {KEPT}.answer VALUES (?, ?)", [name, digests[name]])


def stamp(connection: duckdb.DuckDBPyConnection) -> None:
    """Gives the ledger's state a stamp that no other has, so that a copy of it can be told from one of another state."""
    connection.execute(f"DELETE FROM {KEPT}.state")
    connection.execute(f"INSERT INTO {KEPT}.state SELECT uuid()::VARCHAR")


def _whole(connection: duckdb.DuckDBPyConnection, database: str | None = None) -> set[str]:
    """Tables of the ledger that a database, the one in use when None, has with all their columns."""
    query = "SELECT table_name, list(column_name) FROM duckdb_columns() WHERE database_name = coalesce(?, current_database()) AND schema_name = 'marts' GROUP BY 1"
    there = dict(connection.execute(query, [database]).fetchall())
    return {table for table, columns in TABLES.items() if {column.split()[0] for column in columns.split(",")} <= set(there.get(table, ()))}


def _carry(connection: duckdb.DuckDBPyConnection, previous: Path, wanted: set[str]) -> None:
    if not wanted:
        return
    literal = "'" + str(previous).replace("'", "''") + "'"
    connection.execute(f"ATTACH {literal} AS previous (READ_ONLY)")
    try:
        there = _whole(connection, "previous")
        connection.begin()
        for table in sorted(wanted & there):
            connection.execute(f"INSERT INTO marts.{table} BY NAME FROM previous.marts.{table}")
        connection.commit()
    finally:
        connection.execute("DETACH previous")
