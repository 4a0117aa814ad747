"""The door to quality checks: rules evaluated over the masked marts, the ledger of violations, the checks' results."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from models.domain.calendar import WorkCalendar, work_calendar
from models.domain.errors import YiwangError
from models.domain.progress import NoProgress, Progress
from quality.catalogue.loading import load_rules
from quality.catalogue.model import DIMENSIONS, SEVERITIES, Rule
from quality.catalogue.subjects import TABLES
from quality.engine.evaluation import Limits
from quality.engine.reading import CASE_TABLES
from quality.face import compare, expectations_of, expected_counts
from quality.ledger.checking import Checking, Outcome
from quality.ledger.partitions import PartitionCheck, check_id, said_silent
from quality.ledger.rows import attach_former
from quality.ledger.tables import forget_state, is_there, open_ledger
from quality.opening import opened
from quality.suite import unexpected_rows

__all__ = ["DIMENSIONS", "SEVERITIES", "CheckResult", "Limits", "Rule", "check", "checked_run", "load_rules", "partition_checks", "write_results"]

STAGE = "质量检查"
_COLUMNS = (
    "run_id VARCHAR NOT NULL, check_name VARCHAR NOT NULL, table_name VARCHAR NOT NULL, dimension VARCHAR NOT NULL, "
    "severity VARCHAR NOT NULL, passed BOOLEAN, failed_rows BIGINT NOT NULL, checked_rows BIGINT NOT NULL, "
    "message VARCHAR NOT NULL, sql VARCHAR NOT NULL, gate BOOLEAN"
)


@dataclass(frozen=True)
class CheckResult:
    """What a rule found, a row of ``marts.check_result``.

    Attributes:
        run_id: Run that checked.
        check_name: Id of the rule.
        table_name: Mart that it checked.
        dimension: Its dimension, in Chinese.
        severity: Its severity: ``blocks``, ``counts`` or ``advises``.
        passed: It looked at rows and none failed; None when there was no row to look at, which says nothing.
        failed_rows: Rows that failed.
        checked_rows: Rows that it checked.
        message: One Chinese sentence with the figures.
        sql: Query that lists the rows that failed.
        gate: It stops publishing when it fails.
    """

    run_id: str
    check_name: str
    table_name: str
    dimension: str
    severity: str
    passed: bool | None
    failed_rows: int
    checked_rows: int
    message: str
    sql: str
    gate: bool


def check(
    masked: Path, run_id: str, rules: Path | None = None, progress: Progress | None = None, *, as_of: datetime | None = None,
    zone: str = "Asia/Shanghai", limits: Limits | None = None, left: Mapping[str, pa.Table] | None = None, previous: Path | None = None,
    calendar: WorkCalendar | None = None, docs: Path | None = None, own: Path | None = None, recount: bool = True,
    silence: float = 1e-6,
) -> list[CheckResult]:  # fmt: skip
    """Evaluates the rules over what changed in the marts, keeps the ledger in them, and has Great Expectations count again.

    Args:
        masked: DuckDB file of the masked marts; nothing else may have it open meanwhile.
        run_id: Run in hand.
        rules: Folder of rule files; the shipped ones when None.
        progress: Receiver of progress, one step a rule; stage :data:`STAGE`.
        as_of: Instant on which the run stands; that of the cases when None.
        zone: Zone in which instants become days.
        limits: What one rule may take.
        left: Mart of cases → ``source`` and ``case_number`` of its rows that were replaced or deleted since :func:`checked_run`;
            None when that is not known: rules that look at other rows of a case are then evaluated in full.
        previous: Published snapshot: from it the ledger is taken when the marts have none, and rows are seen as they were.
        calendar: The city's working days; the official ones when None.
        docs: Folder for the Data Docs, made anew; none are built when None.
        own: Folder of the city's own rule files, which need not be there, as of :func:`load_rules`.
        silence: Probability below which a department's day without rows is told; 0 tells none.
        recount: Great Expectations counts what was found, and writes the Data Docs.

    Returns:
        One result a rule, then one a mart of cases for its partitions.

    Raises:
        YiwangError: YW-QUALITY-001 with file and line when a rule is broken, before any is run; YW-QUALITY-002 when Great
            Expectations could not run; YW-QUALITY-004 when its counts are not the ledger's.
    """
    progress, limits = progress or NoProgress(), limits or Limits()
    with opened(masked, zone, limits.memory) as connection:
        connection.execute("SET preserve_insertion_order = false")  # rules count: the order of rows costs memory and says nothing
        open_ledger(connection, previous)
        attach_former(connection, previous)
        connection.execute("SET enable_external_access = false")  # from here on SQL of rules is read, which may open nothing
        suite = load_rules(rules, connection, own)
        progress.start(STAGE, len(suite))
        as_of = as_of or connection.execute("SELECT coalesce(max(as_of), to_timestamp(0)) FROM marts.fct_case").fetchall()[0][0]
        outcome = Checking(connection, run_id, as_of, suite, limits, left, calendar or work_calendar(), silence).run()
        expectations = expectations_of(suite, outcome.evaluated, outcome.failed)
        expected = expected_counts(connection, expectations)
        results = _results(connection, run_id, suite, outcome)
    if not recount:
        progress.advance(STAGE, len(suite))
        progress.finish(STAGE, _passed(results))
        return results
    found: dict[str, int] = {}
    for name, unexpected in unexpected_rows(masked, expectations, zone, docs, run_id):
        found[name] = unexpected
        progress.advance(STAGE)
    try:
        compare(expected, found)
    except YiwangError:
        with opened(masked, zone, limits.memory) as connection:
            forget_state(connection)
        raise
    progress.finish(STAGE, _passed(results))
    return results


def checked_run(masked: Path) -> str | None:
    """The run that evaluated the rules last, as far as the marts know; None when none did."""
    if not masked.is_file():
        return None
    with duckdb.connect(str(masked), read_only=True) as connection:
        if not is_there(connection):
            return None
        run: str | None = connection.execute("SELECT max(run_id) FROM marts.quality_partition").fetchall()[0][0]
    return run


def partition_checks() -> dict[str, str]:
    """Key of a check of partitions → its mart; their results follow those of the rules."""
    return {check_id(table): table for table in CASE_TABLES}


def write_results(masked: Path, results: Sequence[CheckResult]) -> None:
    """Keeps the results in ``marts.check_result``, in place of what their runs held there.

    Args:
        masked: DuckDB file of the masked marts.
        results: What :func:`check` returned.
    """
    with duckdb.connect(str(masked)) as connection:
        connection.begin()
        connection.execute(f"CREATE TABLE IF NOT EXISTS marts.check_result ({_COLUMNS})")
        connection.execute("ALTER TABLE marts.check_result ADD COLUMN IF NOT EXISTS gate BOOLEAN")  # null: a run of an older program
        connection.execute("ALTER TABLE marts.check_result ALTER passed DROP NOT NULL")  # an older program took "nothing to look at" for passed
        if results:
            connection.executemany("DELETE FROM marts.check_result WHERE run_id = ?", [[run] for run in {r.run_id for r in results}])
            connection.executemany(f"INSERT INTO marts.check_result VALUES ({', '.join('?' * 11)})", [astuple(r) for r in results])  # noqa: S608
        connection.commit()


def _results(connection: duckdb.DuckDBPyConnection, run_id: str, rules: Sequence[Rule], outcome: Outcome) -> list[CheckResult]:
    query = "SELECT rule_id, sum(rows_failed)::BIGINT, sum(rows_checked)::BIGINT FROM marts.quality_check GROUP BY 1"
    counts = {rule: (failed, checked) for rule, failed, checked in connection.execute(query).fetchall()}
    sampled = {row[0] for row in connection.execute("SELECT rule_id FROM marts.quality_rule WHERE sampled > 1").fetchall()}
    results = []
    for rule in rules:
        failed, checked = counts.get(rule.id, (0, 0))
        message = _said(rule.title, failed, checked, rule.id in sampled)
        if rule.id in outcome.mended:
            message += "（台账此前与计数不符，已重查全部行）"
        if reason := outcome.failed.get(rule.id):
            message = f"{rule.title}：未检查（{reason}）"
        results.append(
            CheckResult(
                run_id, rule.id, rule.table, DIMENSIONS[rule.dimension], rule.severity, not failed and not reason if checked or reason else None,
                failed, checked, message, rule.sql, rule.gate,
            )  # fmt: skip
        )
    return results + [_of_partitions(run_id, check) for check in outcome.partitions]


def _passed(results: Sequence[CheckResult]) -> str:
    empty = sum(result.passed is None for result in results)
    return f"{sum(bool(result.passed) for result in results)}/{len(results)} 项通过" + (f"，{empty} 项没有可检查的行" if empty else "")


def _of_partitions(run_id: str, check: PartitionCheck) -> CheckResult:
    failed = len(check.missing) + len(check.unexpected) + len(check.silent)
    message = f"{TABLES[check.table].title}的日期分区：应有数据的工作日 {check.expected:,} 个"
    if check.missing:
        message += f"，{len(check.missing):,} 个没有数据（{_days(check.missing)}）"
    if check.unexpected:
        message += f"，另有 {len(check.unexpected):,} 个晚于数据截止日（{_days(check.unexpected)}）"
    if check.silent:
        day = max(check.silent)
        message += f"，{len(check.silent):,} 个日子有部门没有数据（最近 {day}：{said_silent(check.silent[day])}）"
    return CheckResult(
        run_id, check.rule_id, check.table, DIMENSIONS["completeness"], "counts", not failed if check.expected or failed else None, failed, check.expected,
        message if failed else f"{message}，没有缺漏" if check.expected else message,
        f"SELECT * FROM marts.quality_check WHERE rule_id = '{check.rule_id}' AND status IN ('missing', 'unexpected')", False,  # noqa: S608 - our own
    )  # fmt: skip


def _days(days: Sequence[date]) -> str:
    return "、".join(map(str, days[:3])) + (" 等" if len(days) > 3 else "")


def _said(title: str, failed: int, checked: int, is_sampled: bool) -> str:
    if failed:
        listed = "，问题过多，只列出一部分" if is_sampled else ""
        return f"{title}：检查 {checked:,} 行，{failed:,} 行不符（{_share(failed, checked)}{listed}）"
    return f"{title}：检查 {checked:,} 行，没有发现" if checked else f"{title}：没有可检查的行"


def _share(failed: int, checked: int) -> str:
    share = failed / max(checked, 1)
    return "不足 0.01%" if share < 0.0001 else f"{share:.2%}"
