"""Which open cases will probably be late, as an asset."""

from zoneinfo import ZoneInfo

import dagster as dg

from models.forecast.service import forecast, no_forecast
from models.store.forecast import write_forecast
from pipelines.defs.resources import EACH_DAY, OWNERS, Platform, as_of_of, mart
from pipelines.warehouse.quality_inputs import city_calendar

KEY = mart("forecast_case")
STAGE = "超期预测"


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The forecast waits for the cases and their steps."""

    @dg.asset(
        key=KEY, group_name="capability", owners=OWNERS, deps=[mart("fct_case"), mart("fct_case_event")], partitions_def=partitions, backfill_policy=EACH_DAY,
        kinds={"python", "scikitlearn"}, description="在办件的超期可能性，及此前预测准不准",
    )  # fmt: skip
    def forecast_case(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult[None]:
        settings = platform.settings
        today = as_of_of(context, settings).astimezone(ZoneInfo(settings.zone)).date()
        if not settings.forecast:
            write_forecast(settings.marts, no_forecast(today, "设置（forecast）关闭了预测"))
            return dg.MaterializeResult(metadata={"skipped": True})
        platform.progress.start(STAGE)
        made = forecast(settings.marts, today, city_calendar(settings))
        write_forecast(settings.marts, made)
        platform.progress.finish(STAGE, f"在办 {made.cases.num_rows:,} 件")
        return dg.MaterializeResult(metadata={"cases": made.cases.num_rows, "method": made.method or "", "reason": made.judgement.reason or ""})

    return forecast_case
