"""Where the marts changed since the rules were last evaluated.

A partition changed when its number of rows, the newest run that wrote one of them, or for marts without run numbers its
content differs from what the ledger remembers of it. What changed elsewhere concerns a row through its case; the case
keys of changed rows are read from the marts, those of rows that left are handed in by the pipelines.
"""

# ruff: noqa: S608 - tables and columns come from the catalogue or the database's own catalogue

from collections.abc import Mapping, Sequence
from datetime import date

import duckdb
import pyarrow as pa

from quality.catalogue.subjects import TABLES
from quality.engine.reading import CASE_TABLES, SCOPED

Partition = date | None


def note_partitions(connection: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> None:
    """Fills the temporary table ``now_partition`` with the partitions of the marts as they are."""
    connection.execute("CREATE OR REPLACE TEMP TABLE now_partition (table_name VARCHAR, partition_on DATE, row_count BIGINT, newest BIGINT, content VARCHAR)")
    for table in tables:
        day = (TABLES[table].day if table in TABLES else None) or "NULL::DATE"
        state = "max(t._run_seq), NULL" if table in CASE_TABLES else "NULL, sum(hash(t)::HUGEINT)::VARCHAR"
        connection.execute(f"INSERT INTO now_partition SELECT '{table}', {day}, count(*), {state} FROM marts.{table} AS t GROUP BY 2")


def changed_partitions(connection: duckdb.DuckDBPyConnection, table: str, run_id: str) -> set[Partition]:
    """Partitions of a mart that came, went or changed; those that a run wrote which is checked once more count as changed."""
    return {
        row[0] for row in connection.execute(
            """
            SELECT coalesce(n.partition_on, b.partition_on)
            FROM (FROM now_partition WHERE table_name = $table) AS n
            FULL JOIN (FROM marts.quality_partition WHERE table_name = $table) AS b ON n.partition_on IS NOT DISTINCT FROM b.partition_on
            WHERE n.row_count IS DISTINCT FROM b.row_count OR n.newest IS DISTINCT FROM b.newest OR n.content IS DISTINCT FROM b.content
                OR (n.newest IS NULL AND n.content IS NULL)
                OR n.newest >= (SELECT min(newest) FROM (
                    SELECT max(newest) AS newest FROM marts.quality_partition WHERE table_name = $table HAVING bool_or(run_id = $run)))
            """,
            {"table": table, "run": run_id},
        ).fetchall()
    }  # fmt: skip


def note_cases(connection: duckdb.DuckDBPyConnection, table: str, run_id: str, left: Mapping[str, pa.Table]) -> None:
    """Fills the temporary table ``case_<table>`` with the keys of the cases of which a row changed or left.

    Args:
        connection: The marts and ``now_partition``.
        table: One of the marts of cases.
        run_id: Run in hand; its own rows count as changed when it checks a second time.
        left: Mart → source and case number of rows that were replaced or deleted.
    """
    since = "(SELECT coalesce(max(newest) - bool_or(run_id = $run)::INTEGER, -1) FROM marts.quality_partition WHERE table_name = $table)"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE case_{table} AS SELECT DISTINCT source, case_number FROM marts.{table} WHERE _run_seq > {since}",
        {"run": run_id, "table": table},
    )
    if table in left:
        connection.register("left_cases", left[table])
        connection.execute(f"INSERT INTO case_{table} SELECT DISTINCT source, case_number FROM left_cases")
        connection.unregister("left_cases")


def partitions_of_cases(connection: duckdb.DuckDBPyConnection, table: str, reads: frozenset[str]) -> set[Partition]:
    """Partitions of a mart that hold rows of cases of which a row in other marts changed."""
    found: set[Partition] = set()
    for other in sorted(reads):
        query = f"SELECT DISTINCT {TABLES[table].day} FROM marts.{table} AS t SEMI JOIN case_{other} AS c ON c.source = t.source AND c.case_number = t.case_number"
        found |= {row[0] for row in connection.execute(query).fetchall()}
    return found


def partitions_of_answers(connection: duckdb.DuckDBPyConnection, table: str, conditions: Sequence[tuple[str, str]], known: set[Partition]) -> set[Partition]:
    """Partitions of a mart with rows of which a condition says something else than with the answers of the last run.

    Args:
        connection: The marts.
        table: The mart.
        conditions: A condition with the answers of now, and with those of then.
        known: Partitions that need not be looked at.
    """
    differs = " OR ".join(f"({now}) IS TRUE <> ({then}) IS TRUE" for now, then in conditions)
    query = f"SELECT DISTINCT {TABLES[table].day or 'NULL::DATE'} FROM marts.{table} AS t WHERE NOT {rows_in(table, known)} AND ({differs})"
    return {row[0] for row in connection.execute(query).fetchall()}


def scope_cases(connection: duckdb.DuckDBPyConnection, rows: Mapping[str, str], reads: frozenset[str]) -> None:
    """Makes the tables :data:`SCOPED`: rows of the cases to which the rows in hand belong.

    Args:
        connection: The marts.
        rows: Mart → condition of the rows in hand.
        reads: Marts to narrow.
    """
    keys = " UNION ".join(f"SELECT source, case_number FROM marts.{table} AS t WHERE {condition}" for table, condition in rows.items() if table in CASE_TABLES)
    if not keys:
        return
    connection.execute(f"CREATE OR REPLACE TEMP TABLE case_in_hand AS {keys}")
    for table in sorted(reads):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {SCOPED.format(table=table)} AS "
            f"SELECT t.* FROM marts.{table} AS t SEMI JOIN case_in_hand AS c ON c.source = t.source AND c.case_number = t.case_number"
        )


def rows_in(table: str, partitions: set[Partition]) -> str:
    """SQL condition of the rows ``t`` of some partitions."""
    day = TABLES[table].day
    if not day:
        return "true" if partitions else "false"
    days = ", ".join(f"DATE '{day}'" for day in sorted(partition for partition in partitions if partition))
    parts = [f"({day}) IN ({days})"] if days else []
    if None in partitions:
        parts.append(f"({day}) IS NULL")
    return f"({' OR '.join(parts)})" if parts else "false"
