"""The first score: routine indicators per department and month."""

import dagster as dg

from models.capability.service import load_system, score
from models.store.scores import read_facts, write_scores
from pipelines.defs.resources import EACH_DAY, OWNERS, Platform, mart

STAGE = "能力评分"


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The score as an asset."""

    @dg.asset(
        key=mart("score_department_month"), group_name="capability", owners=OWNERS, deps=[mart("mart_department_day"), mart("dim_department")],
        partitions_def=partitions, backfill_policy=EACH_DAY, kinds={"python"}, description="部门按月的能力得分（自评）",
    )
    def score_department_month(platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult[None]:
        platform.progress.start(STAGE)
        system = load_system("routine")
        scores = score(system, read_facts(platform.settings.marts))
        write_scores(platform.settings.marts, scores)
        platform.progress.finish(STAGE)
        return dg.MaterializeResult(metadata={"system": system.system_code, "department_months": scores.totals.num_rows})

    return score_department_month
