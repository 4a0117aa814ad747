"""The door to quality checks: one suite of rules over the masked marts, run by Great Expectations, results stored."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import duckdb

from models.domain.progress import NoProgress, Progress
from quality.catalogue.loading import load_rules
from quality.catalogue.model import DIMENSIONS, Rule
from quality.suite import Expectation, unexpected_rows

__all__ = ["CheckResult", "Rule", "check", "load_rules", "write_results"]

STAGE = "质量检查"
_COLUMNS = (
    "run_id VARCHAR NOT NULL, check_name VARCHAR NOT NULL, table_name VARCHAR NOT NULL, dimension VARCHAR NOT NULL, "
    "severity VARCHAR NOT NULL, passed BOOLEAN NOT NULL, failed_rows BIGINT NOT NULL, checked_rows BIGINT NOT NULL, "
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
        passed: No row failed.
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
    passed: bool
    failed_rows: int
    checked_rows: int
    message: str
    sql: str
    gate: bool


def check(masked: Path, run_id: str, rules: Path | None = None, progress: Progress | None = None) -> list[CheckResult]:
    """Runs every rule over the marts.

    Args:
        masked: DuckDB file of the masked marts; nothing may write it meanwhile.
        run_id: Run in hand.
        rules: Folder of rule files; the shipped ones when None.
        progress: Receiver of progress, one step a rule; stage :data:`STAGE`.

    Raises:
        YiwangError: YW-QUALITY-001 with file and line when a rule is broken, before any is run;
            YW-QUALITY-002 when one could not be run.
    """
    progress = progress or NoProgress()
    with duckdb.connect(str(masked), read_only=True, config={"enable_external_access": False}) as connection:
        suite = load_rules(rules, connection)
        checked = {rule.id: _count(connection, rule) for rule in suite}
    progress.start(STAGE, len(suite))
    failed: dict[str, int] = {}
    for name, unexpected in unexpected_rows(masked, [Expectation(r.id, r.table, r.condition) for r in suite]):
        failed[name] = unexpected
        progress.advance(STAGE)
    results = [_result(run_id, rule, failed[rule.id], checked[rule.id]) for rule in suite]
    progress.finish(STAGE, f"{sum(result.passed for result in results)}/{len(results)} 项通过")
    return results


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
        if results:
            connection.executemany("DELETE FROM marts.check_result WHERE run_id = ?", [[run] for run in {r.run_id for r in results}])
            connection.executemany(f"INSERT INTO marts.check_result VALUES ({', '.join('?' * 11)})", [astuple(r) for r in results])  # noqa: S608
        connection.commit()


def _count(connection: duckdb.DuckDBPyConnection, rule: Rule) -> int:
    return int(connection.execute(rule.checked_sql).fetchall()[0][0])


def _result(run_id: str, rule: Rule, failed: int, checked: int) -> CheckResult:
    if failed:
        message = f"{rule.title}：检查 {checked:,} 行，{failed:,} 行不符（{_share(failed, checked)}）"
    elif checked:
        message = f"{rule.title}：检查 {checked:,} 行，没有发现"
    else:
        message = f"{rule.title}：没有可检查的行"
    return CheckResult(
        run_id, rule.id, rule.table, DIMENSIONS[rule.dimension], rule.severity, not failed, failed, checked, message, rule.sql, rule.gate
    )


def _share(failed: int, checked: int) -> str:
    share = failed / max(checked, 1)
    return "不足 0.01%" if share < 0.0001 else f"{share:.2%}"
