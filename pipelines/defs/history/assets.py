"""Past days, one by one or as a backfill: kept as files of their own, never put into service."""

from datetime import date

import dagster as dg

from models.domain.settings import Settings
from pipelines.defs.resources import EACH_DAY, OWNERS, daily

GROUP = "history"


def build(settings: Settings) -> dg.AssetsDefinition:
    """A past day as an asset. It holds the home only while it copies, so it takes the settings and not the job's platform."""

    @dg.asset(
        name="past_day", group_name=GROUP, owners=OWNERS, partitions_def=daily(settings), backfill_policy=EACH_DAY, kinds={"duckdb"},
        config_schema={"known": dg.Field(dg.Enum("known", [dg.EnumValue("then"), dg.EnumValue("now")]), default_value="then")},
        description="过去某日的集市和得分：发布过的日子按当时所知重算并核对，其他日子按现在所知",
    )
    def past_day(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        from pipelines.replay.service import backfill  # it builds these definitions for its scratch home

        (day,) = backfill(settings, [date.fromisoformat(context.partition_key)], known=context.op_execution_context.op_config["known"])
        return dg.MaterializeResult(metadata={
            "as_of": day.as_of, "known": day.known, "run_id": day.run_id, "marts": dg.MetadataValue.path(str(day.marts)),
            "report": dg.MetadataValue.path(str(day.report)), "reproduces_publication": "—" if day.is_same is None else str(day.is_same),
        })  # fmt: skip

    return past_day
