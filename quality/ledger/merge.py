"""Lays what a run found over what the ledger holds: opened, still there, healed, opened again.

Only what was evaluated is touched: a violation of a rule that could not be evaluated stays as it is.
"""

# ruff: noqa: S608 - names of tables and rules come from the catalogue

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import duckdb
import pyarrow as pa

from quality.catalogue.model import Rule
from quality.catalogue.subjects import TABLES
from quality.engine.evaluation import sample_condition
from quality.ledger.changes import Partition, rows_in

_OF_RULE = ("rule_id", "table_name", "subject", "dimension", "severity")
_KEPT = "rule_id, table_name, source, record_key, field, value, department_code, partition_on, severity, dimension, message"


def note_scope(connection: duckdb.DuckDBPyConnection, whole: Sequence[str], partial: Mapping[str, tuple[Sequence[str], set[Partition]]], by_rows: Sequence[str] = ()) -> None:
    """Fills the temporary tables ``in_scope``, ``scope_partition`` and ``scope_rule`` with what was evaluated.

    Args:
        connection: The marts.
        whole: Rules evaluated over all rows, or that are no more.
        partial: Mart → rules evaluated over some of its partitions, and which.
        by_rows: Rules evaluated over the rows whose keys are in ``row_record``; ``row_scope`` has the partitions whose counts moved.
    """
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS row_record (table_name VARCHAR, source VARCHAR, record_key VARCHAR)")
    connection.execute("CREATE OR REPLACE TEMP TABLE scope_rule AS SELECT unnest($names::VARCHAR[]) AS rule_id", {"names": list(by_rows)})
    connection.execute("CREATE OR REPLACE TEMP TABLE in_scope (rule_id VARCHAR, is_whole BOOLEAN)")
    connection.execute("CREATE OR REPLACE TEMP TABLE scope_partition (rule_id VARCHAR, partition_on DATE)")
    connection.execute("INSERT INTO in_scope SELECT unnest($names), true", {"names": list(whole)})
    for rules, partitions in partial.values():
        connection.execute("INSERT INTO in_scope SELECT unnest($names), false", {"names": list(rules)})
        connection.execute(
            "INSERT INTO scope_partition SELECT r, p FROM (SELECT unnest($rules) AS r), (SELECT unnest($partitions::DATE[]) AS p)",
            {"rules": list(rules), "partitions": list(partitions)},
        )
    if by_rows:
        connection.execute("INSERT INTO in_scope SELECT rule_id, false FROM scope_rule")
        connection.execute("INSERT INTO scope_partition SELECT rule_id, partition_on FROM row_scope SEMI JOIN scope_rule USING (rule_id)")


_EVALUATED = """
    (l.rule_id IN (SELECT rule_id FROM in_scope WHERE is_whole)
     OR EXISTS (SELECT 1 FROM scope_partition AS s WHERE s.rule_id = l.rule_id AND s.partition_on IS NOT DISTINCT FROM l.{day}))"""


_LOOKED_AT = f"""
    CASE WHEN l.rule_id IN (SELECT rule_id FROM scope_rule)
    THEN EXISTS (SELECT 1 FROM row_record AS r WHERE r.table_name = l.table_name AND r.record_key = l.record_key AND r.source IS NOT DISTINCT FROM l.source)
    ELSE {_EVALUATED.format(day="partition_on")} END"""


def merge_violations(connection: duckdb.DuckDBPyConnection, run_id: str, as_of: datetime, sampled: Mapping[str, int]) -> None:
    """Brings ``marts.quality_violation`` up to ``found_violation``, within a transaction of the caller.

    Args:
        connection: The marts with the tables of :func:`note_scope` and of the engine.
        run_id: Run in hand.
        as_of: Instant on which it stands.
        sampled: Rule → binary digits of its sample; violations that left the sample are not healed, they go.
    """
    for rule_id, bits in sampled.items():
        connection.execute(
            f"DELETE FROM marts.quality_violation AS l WHERE rule_id = $rule AND NOT ({sample_condition(bits, 'source', 'record_key')})", {"rule": rule_id}
        )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE before AS
        SELECT l.*, l.rowid AS row_id, {_LOOKED_AT} AS is_evaluated FROM marts.quality_violation AS l
        WHERE (l.healed_at IS NULL AND is_evaluated)
            OR EXISTS (SELECT 1 FROM found_violation AS f
                WHERE f.rule_id = l.rule_id AND f.source IS NOT DISTINCT FROM l.source AND f.record_key = l.record_key)
        """
    )
    connection.execute("DELETE FROM marts.quality_violation WHERE rowid IN (SELECT row_id FROM before)")
    # rows of one key in two partitions are one violation, of the earlier: it stays there when only the later was evaluated
    is_kept = "f.rule_id IS NULL OR coalesce(NOT b.is_evaluated AND b.healed_at IS NULL AND b.partition_on <= f.partition_on, false)"
    chosen = ", ".join(f"CASE WHEN {is_kept} THEN b.{column} ELSE f.{column} END AS {column}" for column in _KEPT.split(", "))
    connection.execute(
        f"""
        INSERT INTO marts.quality_violation BY NAME
        SELECT {chosen},
            coalesce(b.first_seen_run, $run) AS first_seen_run, coalesce(b.first_seen_at, $as_of) AS first_seen_at,
            CASE WHEN f.rule_id IS NULL THEN b.last_seen_run ELSE $run END AS last_seen_run,
            CASE WHEN f.rule_id IS NULL THEN b.last_seen_at ELSE $as_of END AS last_seen_at,
            CASE WHEN f.rule_id IS NULL THEN coalesce(b.healed_run, $run) END AS healed_run,
            CASE WHEN f.rule_id IS NULL THEN coalesce(b.healed_at, $as_of) END AS healed_at,
            coalesce(b.times_reopened, 0) + (f.rule_id IS NOT NULL AND b.healed_at IS NOT NULL)::INTEGER AS times_reopened
        FROM found_violation AS f
        FULL JOIN before AS b ON f.rule_id = b.rule_id AND f.source IS NOT DISTINCT FROM b.source AND f.record_key = b.record_key
        ORDER BY rule_id, partition_on
        """,
        {"run": run_id, "as_of": as_of},
    )


def merge_counts(connection: duckdb.DuckDBPyConnection, run_id: str, rules: Sequence[Rule], sampled: Mapping[str, int]) -> None:
    """Brings ``marts.quality_check`` and ``marts.mart_quality_department_day`` up to ``found_count``."""
    of_rules = [
        {"rule_id": r.id, "table_name": r.table, "subject": r.subject, "dimension": r.dimension, "severity": r.severity, "has_source": r.on.source is not None}
        for r in rules
    ]
    connection.register("of_rules", pa.Table.from_pylist(of_rules, pa.schema([*((name, pa.string()) for name in _OF_RULE), ("has_source", pa.bool_())])))
    connection.execute("CREATE OR REPLACE TEMP TABLE rule_now AS FROM of_rules")
    connection.unregister("of_rules")
    connection.execute(f"DELETE FROM marts.quality_check AS l WHERE {_EVALUATED.format(day='partition_on')}")
    connection.execute(f"DELETE FROM marts.mart_quality_department_day AS l WHERE {_EVALUATED.format(day='date')}")
    connection.execute(  # what was said of a mart without rows that has some now; rows without a day are a partition like others
        """
        DELETE FROM marts.quality_check AS l WHERE status = 'empty' AND partition_on IS NULL AND rule_id IN (SELECT rule_id FROM in_scope)
            AND NOT EXISTS (SELECT 1 FROM now_partition AS n WHERE n.table_name = l.table_name AND n.partition_on IS NULL)
        """
    )
    connection.execute(
        """
        INSERT INTO marts.quality_check
        SELECT $run, c.rule_id, c.table_name, c.partition_on, c.checked, c.failed, 0,
            CASE WHEN c.checked = 0 THEN 'empty' ELSE 'evaluated' END,
            CASE WHEN c.checked = 0 THEN '没有适用的行' WHEN c.failed > 0 AND list_contains($sampled, c.rule_id) THEN '问题过多，只列出一部分，其余只计数' END
        FROM (SELECT rule_id, table_name, partition_on, sum(rows_checked)::BIGINT AS checked, sum(rows_failed)::BIGINT AS failed
            FROM found_count GROUP BY ALL) AS c
        ORDER BY c.rule_id, c.partition_on
        """,
        {"run": run_id, "sampled": list(sampled)},
    )
    connection.execute(
        """
        INSERT INTO marts.quality_check
        SELECT $run, q.rule_id, q.table_name, NULL, 0, 0, 0, 'empty', '数据表没有行' FROM rule_now AS q
        WHERE q.rule_id IN (SELECT rule_id FROM in_scope) AND q.rule_id NOT IN (SELECT rule_id FROM marts.quality_check)
        """,
        {"run": run_id},
    )
    connection.execute(
        """
        UPDATE marts.quality_check AS c SET rows_listed = l.listed
        FROM (
            SELECT k.rule_id, k.partition_on, coalesce(v.listed, 0) AS listed
            FROM marts.quality_check AS k
            LEFT JOIN (SELECT rule_id, partition_on, count(*) AS listed FROM marts.quality_violation WHERE healed_at IS NULL GROUP BY ALL) AS v
                ON k.rule_id = v.rule_id AND k.partition_on IS NOT DISTINCT FROM v.partition_on
            WHERE k.rows_listed <> coalesce(v.listed, 0)
        ) AS l
        WHERE c.rule_id = l.rule_id AND c.partition_on IS NOT DISTINCT FROM l.partition_on
        """
    )
    connection.execute(
        """
        INSERT INTO marts.mart_quality_department_day
        SELECT c.partition_on, c.department_code, c.rule_id, r.subject, r.dimension, r.severity, c.rows_checked, c.rows_failed
        FROM found_count AS c JOIN rule_now AS r ON c.rule_id = r.rule_id WHERE c.rows_checked > 0 AND r.has_source
        ORDER BY c.rule_id, c.partition_on
        """
    )


def note_not_evaluated(connection: duckdb.DuckDBPyConnection, run_id: str, rules: Iterable[Rule], status: str, reason: Mapping[str, str]) -> None:
    """One row for each rule that was not evaluated, in place of what its last evaluation looked at: that is no longer known."""
    for rule in rules:
        connection.execute("DELETE FROM marts.quality_check WHERE rule_id = ?", [rule.id])
        connection.execute("DELETE FROM marts.mart_quality_department_day WHERE rule_id = ?", [rule.id])
        connection.execute("INSERT INTO marts.quality_check VALUES (?, ?, ?, NULL, 0, 0, 0, ?, ?)", [run_id, rule.id, rule.table, status, reason[rule.id]])


def note_day(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """Brings ``marts.mart_quality_rule_day`` up to the ledger, for the day of ``as_of`` in the connection's zone."""
    connection.execute("DELETE FROM marts.mart_quality_rule_day WHERE date = $as_of::TIMESTAMPTZ::DATE", {"as_of": as_of})
    connection.execute(
        """
        INSERT INTO marts.mart_quality_rule_day
        SELECT $as_of::TIMESTAMPTZ::DATE, r.rule_id, coalesce(c.checked, 0), coalesce(c.failed, 0), coalesce(v.opened, 0), coalesce(v.healed, 0), r.status
        FROM marts.quality_rule AS r
        LEFT JOIN (SELECT rule_id, sum(rows_checked)::BIGINT AS checked, sum(rows_failed)::BIGINT AS failed FROM marts.quality_check GROUP BY 1) AS c
            ON r.rule_id = c.rule_id
        LEFT JOIN (
            SELECT rule_id, count(*) FILTER (first_seen_at::DATE = $as_of::TIMESTAMPTZ::DATE) AS opened,
                count(*) FILTER (healed_at::DATE = $as_of::TIMESTAMPTZ::DATE) AS healed
            FROM marts.quality_violation GROUP BY 1
        ) AS v ON r.rule_id = v.rule_id
        """,
        {"as_of": as_of},
    )


def violations_elsewhere(connection: duckdb.DuckDBPyConnection, table: str, partitions: set[Partition]) -> dict[str, int]:
    """Rule of a mart → rows that failed in its other partitions, as the ledger knows them."""
    there = rows_in(table, partitions).replace(f"({TABLES[table].day})", "(partition_on)")
    query = f"SELECT rule_id, sum(rows_failed)::BIGINT FROM marts.quality_check WHERE table_name = $table AND ({there}) IS NOT TRUE GROUP BY 1"
    return dict(connection.execute(query, {"table": table}).fetchall())
