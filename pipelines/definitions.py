"""The Dagster graph of the platform: ``dagster dev -m pipelines.definitions``.

Everything hangs on one job, ``city``: sync → warehouse → checks → score → snapshot and report. The job ``past_days`` makes
days anew, by partition, beside what is in service.
"""

import warnings
from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from models.domain.settings import Settings, get_settings
from pipelines.defs.capability import assets as capability
from pipelines.defs.capability import forecast
from pipelines.defs.history import assets as history
from pipelines.defs.publish import assets as publish
from pipelines.defs.quality import checks as rules
from pipelines.defs.quality import profile
from pipelines.defs.resources import Platform, daily
from pipelines.defs.sync.assets import raw
from pipelines.defs.warehouse import assets as warehouse
from pipelines.defs.watch import checks, sensors
from pipelines.sources.service import run_lock

JOB, PAST_DAYS = "city", "past_days"


def build(settings: Settings, platform: Platform | dg.ResourceDefinition, tests: bool = True) -> dg.Definitions:
    """The graph for one home.

    Args:
        settings: Home.
        platform: What the stages share.
        tests: Whether dbt's tests run. They do for whatever is published; a day made again from rows that passed them leaves
            them out (the quality rules always run: their results are a mart).
    """
    warnings.filterwarnings("ignore", category=dg.BetaWarning)  # backfill policies: ours run day by day
    days = daily(settings)
    marts, policies = warehouse.build(settings, tests), checks.policies(settings)
    mart_keys = sorted(key for key, group in marts.group_names_by_key.items() if group == "marts")
    past = dg.AssetSelection.groups(history.GROUP)
    city = dg.define_asset_job(JOB, selection=dg.AssetSelection.all() - past, description="全流程：同步、加工、检查、评分、发布")
    past_days = dg.define_asset_job(PAST_DAYS, selection=past, description="逐日重算过去的集市和得分，不影响当前快照")
    return dg.Definitions(
        assets=[checks.with_policies(raw, policies), marts, capability.build(days), forecast.build(days), profile.build(days, mart_keys), *(checks.with_policies(one, policies) for one in publish.build(days, mart_keys)), history.build(settings)],
        asset_checks=[rules.build(settings), checks.sources_are_fresh],
        jobs=[city, past_days],
        schedules=[_every_night(settings)],
        sensors=sensors.build(settings, JOB),
        resources={"platform": platform, "dbt": warehouse.dbt_resource()},
        executor=dg.in_process_executor,
    )


def _every_night(settings: Settings) -> dg.ScheduleDefinition:
    """Runs the day before; by hand, since Dagster's own would take the last partition, which lies ahead of the clock."""

    @dg.schedule(job_name=JOB, cron_schedule="0 2 * * *", execution_timezone=settings.zone, description="每日 02:00 处理前一日")
    def every_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        now = context.scheduled_execution_time.astimezone(ZoneInfo(settings.zone))
        day = (now - timedelta(days=1)).date().isoformat()
        return dg.RunRequest(run_key=day, partition_key=day)

    return every_night


@dg.definitions
def defs() -> dg.Definitions:
    """The graph of the configured home, for ``dagster dev``."""
    settings = get_settings()
    return build(settings, locked_platform(settings))


def locked_platform(settings: Settings) -> dg.ResourceDefinition:
    """The platform for runs that Dagster itself starts: each holds the home while it lasts, as ``yiwang run`` does."""

    @dg.resource
    def platform(context: dg.InitResourceContext) -> Iterator[Platform]:
        with run_lock(settings):
            yield Platform(settings)

    return platform
