"""The Dagster graph of the platform: ``dagster dev -m pipelines.definitions``.

Everything hangs on one job, ``city``: sync → warehouse → checks → score → snapshot and report.
"""

import warnings

import dagster as dg

from models.domain.settings import Settings, get_settings
from pipelines.defs.capability import assets as capability
from pipelines.defs.publish import assets as publish
from pipelines.defs.quality.checks import quality
from pipelines.defs.resources import Platform, daily
from pipelines.defs.sync.assets import raw
from pipelines.defs.warehouse import assets as warehouse

JOB = "city"


def build(settings: Settings, platform: Platform) -> dg.Definitions:
    """The graph for one home."""
    warnings.filterwarnings("ignore", category=dg.BetaWarning)  # backfill policies: ours run day by day
    days = daily(settings)
    marts = warehouse.build(settings)
    mart_keys = sorted(key for key, group in marts.group_names_by_key.items() if group == "marts")
    city = dg.define_asset_job(JOB, selection=dg.AssetSelection.all(), description="全流程：同步、加工、检查、评分、发布", partitions_def=days)
    return dg.Definitions(
        assets=[raw, marts, capability.build(days), *publish.build(days, mart_keys)],
        asset_checks=[quality],
        jobs=[city],
        schedules=[
            dg.build_schedule_from_partitioned_job(
                city, name="every_night", hour_of_day=2, description="每日 02:00 处理前一日（系统时区见设置 YIWANG_ZONE）",
            )
        ],
        resources={"platform": platform, "dbt": warehouse.dbt_resource()},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The graph of the configured home, for ``dagster dev``."""
    settings = get_settings()
    return build(settings, Platform(settings))
