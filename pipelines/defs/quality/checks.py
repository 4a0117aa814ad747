"""The Great Expectations suite as asset checks; a failed gate blocks what is downstream."""

from collections.abc import Iterator

import dagster as dg

from pipelines.defs.resources import Platform, mart
from pipelines.warehouse.books import latest_run
from quality.service import check, load_rules, write_results

RULES = load_rules()


@dg.multi_asset_check(
    name="quality",
    specs=[
        dg.AssetCheckSpec(
            rule.id, asset=mart(rule.table), description=rule.title, blocking=rule.gate,
            metadata={"dimension": rule.dimension},
        )
        for rule in RULES
    ],
)
def quality(context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[dg.AssetCheckResult]:
    """Runs the rules over the masked marts and keeps their results."""
    results = check(platform.settings.marts, latest_run(platform.settings).run_id, progress=platform.progress)
    write_results(platform.settings.marts, results)
    for result in results:
        yield dg.AssetCheckResult(
            passed=result.passed, check_name=result.check_name, asset_key=mart(result.table_name),
            severity=dg.AssetCheckSeverity.ERROR if result.gate else dg.AssetCheckSeverity.WARN,
            metadata={"message": result.message, "failed_rows": result.failed_rows, "checked_rows": result.checked_rows, "sql": result.sql},
        )
