"""The quality rules as asset checks; a failed gate blocks what is downstream."""

from collections.abc import Iterator

import dagster as dg

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from pipelines.defs.resources import Platform, as_of_of, mart
from pipelines.warehouse.books import latest_run
from pipelines.warehouse.quality_inputs import city_calendar, left_since
from quality.service import Limits, check, checked_run, load_rules, partition_checks, write_results


def build(settings: Settings) -> dg.AssetChecksDefinition:
    """One check a rule, the city's own among them, and one a mart of cases for its partitions.

    Args:
        settings: Home.

    Raises:
        YiwangError: YW-QUALITY-001 with file and line when a rule is broken.
    """
    return dg.multi_asset_check(
        name="quality",
        specs=[
            *(
                dg.AssetCheckSpec(rule.id, asset=mart(rule.table), description=rule.title, blocking=rule.gate, metadata={"dimension": rule.dimension})
                for rule in load_rules(own=settings.own_rules)
            ),
            *(
                dg.AssetCheckSpec(name, asset=mart(table), description="每个应有数据的工作日都有数据，没有晚于数据截止日的数据")
                for name, table in partition_checks().items()
            ),
        ],
    )(_quality)


def _quality(context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[dg.AssetCheckResult]:
    """Evaluates the rules over what changed in the masked marts, keeps the ledger and the results."""
    settings, run = platform.settings, latest_run(platform.settings)
    try:
        previous = SnapshotStore(settings).in_service().path
    except YiwangError:  # nothing was published yet
        previous = None
    results = check(
        settings.marts, run.run_id, progress=platform.progress, as_of=as_of_of(context, settings), zone=settings.zone,
        limits=Limits(settings.quality_rule_seconds, settings.memory_limit, settings.quality_listed),
        left=left_since(settings, checked_run(settings.marts), run), previous=previous, calendar=city_calendar(settings),
        docs=settings.home / "reports" / "checks" / run.run_id if settings.quality_docs else None,
        own=settings.own_rules,
        recount=settings.quality_recount, silence=settings.quality_silence,
    )  # fmt: skip
    write_results(settings.marts, results)
    for result in results:
        yield dg.AssetCheckResult(
            passed=result.passed is not False, check_name=result.check_name, asset_key=mart(result.table_name),
            severity=dg.AssetCheckSeverity.ERROR if result.gate else dg.AssetCheckSeverity.WARN,
            metadata={"message": result.message, "failed_rows": result.failed_rows, "checked_rows": result.checked_rows, "sql": result.sql},
        )
