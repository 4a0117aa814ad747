"""Snapshots with a ledger of violations, as the checks of a run leave it, for tests of reporting.

Violations are found by each rule's own SQL, one rule at a time: slow, plain, and independent of the engine.
"""

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

import duckdb

from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from quality.catalogue.loading import load_rules
from quality.catalogue.model import Rule
from quality.catalogue.subjects import TABLES
from tests.support.snapshots import AS_OF, write_marts

RUNS = ("019f1a2b-0000-7000-8000-000000000001", "019f1a2b-0000-7000-8000-000000000002", "019f1a2b-0000-7000-8000-000000000003",
        "019f1a2b-0000-7000-8000-000000000004", "019f1a2b-0000-7000-8000-000000000005")  # fmt: skip

LEDGER = """
CREATE OR REPLACE TABLE marts.quality_violation (rule_id VARCHAR, table_name VARCHAR, source VARCHAR, record_key VARCHAR, field VARCHAR, value VARCHAR,
    department_code VARCHAR, partition_on DATE, severity VARCHAR, dimension VARCHAR, message VARCHAR, first_seen_run VARCHAR, first_seen_at TIMESTAMPTZ,
    last_seen_run VARCHAR, last_seen_at TIMESTAMPTZ, healed_run VARCHAR, healed_at TIMESTAMPTZ);
CREATE OR REPLACE TABLE marts.quality_check (run_id VARCHAR, rule_id VARCHAR, table_name VARCHAR, partition_on DATE, rows_checked BIGINT, rows_failed BIGINT,
    rows_listed BIGINT, status VARCHAR, reason VARCHAR);
"""

_FIT = """
UPDATE marts.fct_case_event SET occurred_on = CAST(occurred_at AS DATE);
UPDATE marts.mart_sync_run SET inserted = n, rows_read = n + quarantined FROM (
    SELECT 'case' AS of, count(*) AS n FROM marts.fct_case UNION ALL SELECT 'case_event', count(*) FROM marts.fct_case_event) WHERE subject = of;
UPDATE marts.fct_case SET matter_code = (SELECT min(matter_code) FROM marts.dim_matter)
    WHERE matter_code NOT IN (SELECT matter_code FROM marts.dim_matter);
INSERT INTO marts.mart_sync_run BY NAME SELECT * REPLACE ('certificate' AS subject, (SELECT count(*) FROM marts.fct_certificate) AS inserted, 3 AS superseded)
    FROM marts.mart_sync_run WHERE subject = 'case';
INSERT INTO marts.mart_sync_run BY NAME SELECT * REPLACE ('review' AS subject, (SELECT count(*) FROM marts.fct_review) AS inserted)
    FROM marts.mart_sync_run WHERE subject = 'case';
"""

RULES = """
- id: case_kind_known
  table: fct_case
  field: case_kind_code
  dimension: validity
  severity: blocks
  standard: GB/T 39046-2020
  clause: 表5 第5项
  codes: {case_kind_code: A.6}
  message: 办件类型“{case_kind_code}”不在代码表中
- id: case_region_given
  table: fct_case
  field: region_code
  dimension: completeness
  severity: blocks
  standard: GB/T 39046-2020
  clause: 表5 第19项
  required: [region_code]
  message: 缺少行政区划
- id: case_channel_given
  table: fct_case
  dimension: completeness
  severity: counts
  standard: GB/T 39046-2020
  clause: 表5 第16项
  required: [channel_code]
  message: 缺少申报来源
- id: matter_named
  table: dim_matter
  dimension: completeness
  severity: blocks
  standard: GB/T 39046-2020
  clause: 表4 第1项
  required: [matter_name]
  message: 缺少事项名称
- id: event_named
  table: fct_case_event
  dimension: completeness
  severity: blocks
  standard: GB/T 39046-2020
  clause: 表7
  required: [activity]
  message: 缺少环节名称
"""
"""A small catalogue: two rules that block a case, one that does not, one each for matters and steps."""


def write_rules(folder: Path) -> Path:
    """The small catalogue as a folder of rule files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sample.yml").write_text(RULES, encoding="utf-8")
    return folder


def publish(settings: Settings, rules: Path | None, *, run: int = 0, changes: Sequence[str] = (), cases: int = 400, as_of: datetime = AS_OF) -> Path:
    """Publish a snapshot with its ledger of violations.

    Args:
        settings: The home.
        rules: Folder of rules; the shipped ones when None.
        run: Which of :data:`RUNS` it is from.
        changes: Statements on the marts before they are checked; an ``!`` in front: after.
        cases: Number of cases.
        as_of: Instant to which it is valid.
    """
    settings.work.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_base(cases, as_of), settings.marts)
    with duckdb.connect(str(settings.marts)) as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        for change in changes:
            if not change.startswith("!"):
                connection.execute(change)
        check(connection, load_rules(rules), RUNS[run], as_of)
        for change in changes:
            if change.startswith("!"):
                connection.execute(change[1:])
    return SnapshotStore(settings).publish(settings.marts, RUNS[run], as_of, as_of)


@cache
def _base(cases: int, as_of: datetime) -> Path:
    """Marts without faults in their relations, made once a process."""
    path = Path(tempfile.mkdtemp(prefix="yiwang-reporting-")) / "base.duckdb"
    atexit.register(shutil.rmtree, path.parent, True)
    write_marts(path, cases, as_of=as_of)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        connection.execute(_FIT)
    return path


def check(connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule], run_id: str, as_of: datetime) -> None:
    """Fill the ledger of violations by each rule's own SQL."""
    connection.execute(LEDGER)
    for rule in rules:
        on = TABLES[rule.table]
        day = f"({on.day})" if on.day else "NULL::DATE"
        value = f"any_value(CAST(t.{rule.at_fault} AS VARCHAR))" if rule.at_fault else "NULL"
        connection.execute(
            f"""INSERT INTO marts.quality_violation
            SELECT $id, $table, {on.source or "NULL"}, {on.record_key}, $field, {value}, any_value({on.department or "NULL"}), any_value({day}), $severity,
                $dimension, any_value({rule.message_sql}), $run, $as_of, $run, $as_of, NULL, NULL
            FROM marts.{rule.table} AS t WHERE {rule.condition} GROUP BY ALL""",
            {"id": rule.id, "table": rule.table, "field": rule.at_fault, "severity": rule.severity, "dimension": rule.dimension, "run": run_id, "as_of": as_of},
        )
        connection.execute(
            "INSERT INTO marts.check_result BY NAME SELECT $run AS run_id, $id AS check_name, $sql AS sql", {"run": run_id, "id": rule.id, "sql": rule.sql}
        )
        connection.execute(
            f"""INSERT INTO marts.quality_check
            SELECT $run, $id, $table, {day}, count_if({rule.checked}), count_if({rule.condition}), count_if({rule.condition}), 'evaluated', NULL
            FROM marts.{rule.table} AS t GROUP BY ALL""",
            {"run": run_id, "id": rule.id, "table": rule.table},
        )
