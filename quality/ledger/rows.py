"""Rows that a change concerns, as they are and as they were when the rules were evaluated last.

A partition of a large city has a few changed rows among thousands. What the rules say of these rows alone, now and then,
is the difference by which the ledger's counts move. How they were is in the published snapshot, attached as
:data:`FORMERLY`, if the ledger in it is the one that is to be brought up to date: after a run that was not published it
is not, and whole partitions are evaluated.
"""

# ruff: noqa: S608 - names come from the catalogue or are made here

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from quality.catalogue.subjects import TABLES
from quality.engine.evaluation import Limits, Rows, Task, count_former, evaluate
from quality.engine.reading import CASE_TABLES, FORMER, SCOPED
from quality.ledger.changes import Partition
from quality.ledger.tables import KEPT

FORMERLY = "formerly"
"""Name under which the published snapshot is attached."""
MOSTLY = 0.3
"""Share of the cases from which on evaluating everything costs less than looking at rows now and then."""

_PLACES = ((SCOPED, "marts"), (FORMER, f"{FORMERLY}.marts"))
_SAME = "{0}.source IS NOT DISTINCT FROM {1}.source AND {0}.case_number IS NOT DISTINCT FROM {1}.case_number"


def attach_former(connection: duckdb.DuckDBPyConnection, snapshot: Path | None) -> None:
    """Attaches a snapshot, read only, for as long as the connection is open; a file that is no database is left aside."""
    if snapshot is None or not snapshot.is_file():
        return
    literal = "'" + str(snapshot).replace("'", "''") + "'"
    try:
        connection.execute(f"ATTACH {literal} AS {FORMERLY} (READ_ONLY)")
    except duckdb.Error:  # damaged: the rules are evaluated without it
        return


def has_former(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether rows can be seen as they were: the snapshot is attached, of the ledger's state, and its marts are those of that state."""
    there = {row[0] for row in connection.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = ?", [FORMERLY]).fetchall()}
    if not {f"{KEPT}.state", *(f"marts.{table}" for table in CASE_TABLES)} <= there:
        return False
    query = f"SELECT count(*) FROM {KEPT}.state SEMI JOIN {FORMERLY}.{KEPT}.state USING (stamp)"
    if not connection.execute(query).fetchall()[0][0]:
        return False
    for table in CASE_TABLES:
        counted = f"SELECT {TABLES[table].day} AS partition_on, count(*) AS row_count, max(t._run_seq) AS newest FROM {FORMERLY}.marts.{table} AS t GROUP BY 1"
        known = f"SELECT partition_on, row_count, newest FROM marts.quality_partition WHERE table_name = '{table}'"
        if connection.execute(f"SELECT 1 FROM (({counted}) EXCEPT ({known}) UNION ALL ({known}) EXCEPT ({counted})) LIMIT 1").fetchall():
            return False
        if not connection.execute(f"{known} LIMIT 1").fetchall():  # a mart without rows has a line that says so
            return False
    return True


def note_rows(connection: duckdb.DuckDBPyConnection, differing: Mapping[str, Sequence[tuple[str, str]]]) -> int | None:
    """Fills the tables :data:`SCOPED` and :data:`FORMER` with the rows of the cases concerned, and ``row_record`` with their keys.

    Args:
        connection: The marts, the snapshot, and the tables ``case_<mart>`` of changed cases.
        differing: Mart → conditions, with the answers of now and of then, whose rows are concerned where the two differ.

    Returns:
        How many rows there are now; None when there are so many cases that they are not worth telling apart, and no table is filled.
    """
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE case_in_hand AS " + " UNION ".join(f"SELECT source, case_number FROM case_{table}" for table in CASE_TABLES)
    )
    for table, conditions in differing.items():
        differs = " OR ".join(f"({now}) IS TRUE <> ({then}) IS TRUE" for now, then in conditions)
        _add_cases(connection, f"SELECT source, case_number FROM marts.{table} AS t WHERE {differs}")
    while True:
        cases, share = connection.execute(f"SELECT count(*), count(*) > {MOSTLY} * (SELECT count(*) FROM marts.fct_case) FROM case_in_hand").fetchall()[0]
        if share:
            return None
        for table in CASE_TABLES:
            for name, place in _PLACES:
                found = f"SELECT t.rowid FROM {place}.{table} AS t SEMI JOIN case_in_hand AS c ON {_SAME.format('c', 't')}"
                # by row number: the other columns are then read for these rows only
                connection.execute(f"CREATE OR REPLACE TEMP TABLE {name.format(table=table)} AS FROM {place}.{table} WHERE rowid IN ({found})")
        _note_records(connection)
        for table in CASE_TABLES:
            if "case_number" not in TABLES[table].key:  # rows of several cases may have one key, and are one violation
                for _, place in _PLACES:
                    key = f"r.source IS NOT DISTINCT FROM t.source AND r.record_key = {TABLES[table].record_key}"
                    _add_cases(connection, f"SELECT source, case_number FROM {place}.{table} AS t SEMI JOIN (FROM row_record WHERE table_name = '{table}') AS r ON {key}")
        if cases == connection.execute("SELECT count(*) FROM case_in_hand").fetchall()[0][0]:
            rows = [connection.execute(f"SELECT count(*) FROM {SCOPED.format(table=table)}").fetchall()[0][0] for table in CASE_TABLES]
            return int(sum(rows))


@dataclass(frozen=True)
class RowRules:
    """Rules of a mart and the rows of it for which they are evaluated.

    Attributes:
        now: The rows as they are.
        then: The rows as they were.
        tasks: Each rule for the rows as they are and as they were.
    """

    now: Rows
    then: Rows
    tasks: Sequence[tuple[Task, Task]]


def evaluate_rows(connection: duckdb.DuckDBPyConnection, marts: Sequence[RowRules], limits: Limits) -> tuple[dict[str, str], set[str]]:
    """Evaluates rules over the rows in hand, and brings the counts of their partitions up to it.

    Returns:
        Rules that could not be evaluated → why; rules that could not for the rows as they were, and have to be for all.
    """
    lost: set[str] = set()
    for one in marts:
        lost |= count_former(connection, one.then, [then for _, then in one.tasks], limits).keys()
    elsewhere = dict(
        connection.execute(
            "SELECT rule_id, sum(failed)::BIGINT FROM (SELECT rule_id, rows_failed AS failed FROM marts.quality_check UNION ALL "
            "SELECT rule_id, -rows_failed FROM former_count) GROUP BY 1"
        ).fetchall()
    )
    failed: dict[str, str] = {}
    for one in marts:
        failed |= evaluate(connection, one.now, [now for now, _ in one.tasks if now.rule.id not in lost], limits, elsewhere)
    _merge_rows(connection, [rule for one in marts for now, _ in one.tasks if (rule := now.rule.id) not in lost and rule not in failed])
    return failed, lost


def violations_outside(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rule → rows that failed in the partitions of which ``found_count`` does not tell, for rules evaluated by rows."""
    query = """
        SELECT rule_id, sum(rows_failed)::BIGINT FROM marts.quality_check AS k WHERE NOT EXISTS (
            SELECT 1 FROM row_scope AS s WHERE s.rule_id = k.rule_id AND s.partition_on IS NOT DISTINCT FROM k.partition_on) GROUP BY 1"""
    return dict(connection.execute(query).fetchall())


def _merge_rows(connection: duckdb.DuckDBPyConnection, rules: Sequence[str]) -> None:
    """Makes of what was found now and then in the rows in hand what partitions hold in all.

    ``found_count`` gets the counts of the rules in each partition in which one of them moved, ``row_scope`` says which these are.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE row_moved AS
        SELECT rule_id, table_name, partition_on, department_code, sum(checked)::BIGINT AS checked, sum(failed)::BIGINT AS failed
        FROM (SELECT rule_id, table_name, partition_on, department_code, rows_checked AS checked, rows_failed AS failed FROM found_count
            UNION ALL SELECT rule_id, table_name, partition_on, department_code, -rows_checked, -rows_failed FROM former_count)
        WHERE list_contains($rules, rule_id) GROUP BY ALL
        """,
        {"rules": list(rules)},
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE row_scope AS
        SELECT DISTINCT rule_id, table_name, partition_on FROM row_moved AS m
        WHERE checked <> 0 OR failed <> 0
            OR NOT EXISTS (SELECT 1 FROM marts.quality_check AS k WHERE k.rule_id = m.rule_id AND k.partition_on IS NOT DISTINCT FROM m.partition_on)
            OR NOT EXISTS (SELECT 1 FROM now_partition AS n WHERE n.table_name = m.table_name AND n.partition_on IS NOT DISTINCT FROM m.partition_on)
        """
    )
    connection.execute("DELETE FROM found_count WHERE list_contains($rules, rule_id)", {"rules": list(rules)})
    connection.execute(
        """
        INSERT INTO found_count
        SELECT s.rule_id, s.table_name, s.partition_on, c.department_code, sum(c.checked)::BIGINT, sum(c.failed)::BIGINT
        FROM row_scope AS s
        JOIN (SELECT rule_id, partition_on, department_code, checked, failed FROM row_moved
            UNION ALL SELECT rule_id, date, department_code, rows_checked, rows_failed FROM marts.mart_quality_department_day) AS c
            ON s.rule_id = c.rule_id AND s.partition_on IS NOT DISTINCT FROM c.partition_on
        WHERE EXISTS (SELECT 1 FROM now_partition AS n WHERE n.table_name = s.table_name AND n.partition_on IS NOT DISTINCT FROM s.partition_on)
        GROUP BY ALL
        """
    )


def mostly_changed(connection: duckdb.DuckDBPyConnection, table: str) -> set[Partition]:
    """Partitions of a mart at least half of whose rows are in hand."""
    query = f"""
        SELECT n.partition_on FROM (SELECT {TABLES[table].day} AS day, count(*) AS rows FROM {SCOPED.format(table=table)} AS t GROUP BY 1) AS h
        JOIN now_partition AS n ON n.table_name = '{table}' AND n.partition_on IS NOT DISTINCT FROM h.day WHERE h.rows >= 0.5 * n.row_count"""
    return {row[0] for row in connection.execute(query).fetchall()}


def _add_cases(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    connection.execute(f"INSERT INTO case_in_hand SELECT DISTINCT source, case_number FROM ({query}) AS q WHERE NOT EXISTS (SELECT 1 FROM case_in_hand AS c WHERE {_SAME.format('c', 'q')})")


def _note_records(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE OR REPLACE TEMP TABLE row_record (table_name VARCHAR, source VARCHAR, record_key VARCHAR)")
    for table in CASE_TABLES:
        keys = " UNION ".join(f"SELECT t.source, {TABLES[table].record_key} FROM {name.format(table=table)} AS t" for name, _ in _PLACES)
        connection.execute(f"INSERT INTO row_record SELECT '{table}', * FROM ({keys})")
