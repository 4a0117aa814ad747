"""Whether the ledger agrees with itself: what it lists, what it says that it lists, and what it counted.

Runs bring the ledger up to date by what changed, so that what was lost from it meanwhile would stay lost, or come to be counted as
mended. A rule of which the ledger contradicts itself is evaluated anew. What does not belong here: whether the counts are
right, which Great Expectations counts again (:mod:`quality.face`).
"""

# ruff: noqa: S608 - names come from the catalogue

import duckdb

from quality.catalogue.subjects import TABLES
from quality.ledger.tables import EVALUATED

_OF_PARTITIONS = """
    WITH listed AS (
        SELECT rule_id, partition_on, count(*) AS listed FROM marts.quality_violation WHERE healed_at IS NULL GROUP BY ALL),
    counted AS (
        SELECT rule_id, partition_on, count(*) AS lines, sum(rows_listed) AS listed, sum(rows_checked) AS checked, sum(rows_failed) AS failed
        FROM marts.quality_check GROUP BY ALL),
    by_department AS (
        SELECT rule_id, date AS partition_on, sum(rows_checked) AS checked, sum(rows_failed) AS failed FROM marts.mart_quality_department_day GROUP BY ALL)
    SELECT rule_id FROM listed AS l FULL JOIN counted AS c USING (rule_id, partition_on) WHERE partition_on IS NOT NULL AND l.listed IS DISTINCT FROM nullif(c.listed, 0)
    UNION SELECT rule_id FROM (FROM listed WHERE partition_on IS NULL) AS l FULL JOIN (FROM counted WHERE partition_on IS NULL) AS c USING (rule_id)
        WHERE l.listed IS DISTINCT FROM nullif(c.listed, 0)
    UNION SELECT rule_id FROM counted WHERE lines > 1
    UNION SELECT rule_id FROM (
            SELECT rule_id, partition_on, checked, failed FROM counted WHERE checked <> 0 OR failed <> 0
            UNION ALL SELECT rule_id, partition_on, -checked, -failed FROM by_department)
        WHERE rule_id IN (SELECT rule_id FROM marts.quality_rule WHERE list_contains($of_departments, table_name))
        GROUP BY rule_id, partition_on HAVING sum(checked) <> 0 OR sum(failed) <> 0
    UNION SELECT rule_id FROM marts.quality_violation GROUP BY rule_id HAVING count(*) <> count(DISTINCT (source, record_key))
    UNION SELECT rule_id FROM marts.quality_rule WHERE rule_id NOT IN (SELECT rule_id FROM marts.quality_check)
"""
_UNLISTED = """
    SELECT r.table_name, c.rule_id, sum(c.rows_failed) - sum(c.rows_listed) AS rows FROM marts.quality_check AS c JOIN marts.quality_rule AS r USING (rule_id)
    WHERE r.sampled = 1 GROUP BY ALL HAVING rows <> 0
"""


def contradicted(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Rules that were evaluated and of which the ledger contradicts itself; a violation that it lists twice, it lists once from then on.

    Args:
        connection: The masked marts with their ledger, open for writing.
    """
    of_departments = [table for table, on in TABLES.items() if on.source is not None]
    found = {row[0] for row in connection.execute(_OF_PARTITIONS, {"of_departments": of_departments}).fetchall()}
    repeated: dict[str, int] = {}
    for table, rule, unlisted in connection.execute(_UNLISTED).fetchall():
        if table not in repeated:
            repeated[table] = _repeated(connection, table)
        if not 0 <= unlisted <= repeated[table]:
            found.add(rule)
    found &= {row[0] for row in connection.execute("SELECT rule_id FROM marts.quality_rule WHERE list_contains($states, status)", {"states": list(EVALUATED)}).fetchall()}
    connection.execute(
        """
        DELETE FROM marts.quality_violation WHERE list_contains($rules, rule_id) AND rowid NOT IN (
            SELECT arg_min(rowid, (healed_at IS NOT NULL, first_seen_at)) FROM marts.quality_violation GROUP BY rule_id, source, record_key)
        """,
        {"rules": sorted(found)},
    )
    return found


def _repeated(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Rows of a mart that have the key of another one: they fail each and are one violation."""
    there = "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = 'marts' AND table_name = ?"
    on = TABLES.get(table)
    if on is None or not connection.execute(there, [table]).fetchall():
        return 0
    query = f"SELECT count(*) - count(DISTINCT ({on.source or 'NULL'}, {on.record_key})) FROM marts.{table} AS t"
    return int(connection.execute(query).fetchall()[0][0])
