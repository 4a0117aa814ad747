"""The published snapshot and the report: what everybody but the pipelines reads."""

import dagster as dg

from models.reporting.service import write_report
from models.store.snapshots import SnapshotStore
from pipelines.defs.resources import OWNERS, Platform, as_of_of
from pipelines.sources.service import finish_run, latest_run, write_run_mart

STAGE = "发布"


def build(partitions: dg.PartitionsDefinition, marts: list[dg.AssetKey]) -> list[dg.AssetsDefinition]:
    """Publishing waits for every mart and its blocking checks."""

    @dg.asset(
        name="snapshot", group_name="publish", owners=OWNERS, deps=[*marts, "score_department_month"], partitions_def=partitions,
        kinds={"duckdb"}, description="已发布的快照：脱敏后的集市，供接口、页面和分析使用",
    )
    def snapshot(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult:
        platform.progress.start(STAGE)
        settings, run, as_of = platform.settings, latest_run(platform.settings), as_of_of(context, platform.settings)
        finish_run(settings, run, "published")
        write_run_mart(settings)
        path = SnapshotStore(settings).publish(settings.marts, run.run_id, as_of)
        platform.progress.finish(STAGE)
        return dg.MaterializeResult(metadata={"run_id": run.run_id, "as_of": as_of.isoformat(), "bytes": path.stat().st_size})

    @dg.asset(
        name="report", group_name="publish", owners=OWNERS, deps=["snapshot"], partitions_def=partitions,
        kinds={"html"}, description="评估与运行报告（HTML）",
    )
    def report(platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult:
        platform.progress.start("生成报告")
        current = SnapshotStore(platform.settings).current()
        path = write_report(platform.settings, platform.settings.snapshots / current.file, current.run_id)
        platform.progress.finish("生成报告")
        return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(str(path))})

    return [snapshot, report]
