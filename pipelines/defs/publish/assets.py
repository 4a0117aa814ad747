"""The published snapshot and the report: what everybody but the pipelines reads."""

import dagster as dg

from models.reporting.service import write_report
from models.store.snapshots import SnapshotStore
from pipelines.catalogue.service import write_catalogue
from pipelines.defs.capability.forecast import KEY as FORECAST
from pipelines.defs.quality.profile import KEYS
from pipelines.defs.resources import EACH_DAY, OWNERS, Platform, as_of_of, mart
from pipelines.sources.service import finish_run
from pipelines.warehouse.books import latest_run, write_run_mart
from pipelines.warehouse.publications import note_publication

STAGE = "发布"


def build(partitions: dg.PartitionsDefinition, marts: list[dg.AssetKey]) -> list[dg.AssetsDefinition]:
    """Publishing waits for every mart and its blocking checks."""

    @dg.asset(
        name="snapshot", group_name="publish", owners=OWNERS, deps=[*marts, mart("score_department_month"), FORECAST, *KEYS], partitions_def=partitions, backfill_policy=EACH_DAY,
        kinds={"duckdb"}, description="已发布的快照：脱敏后的集市，供接口、页面和分析使用",
    )
    def snapshot(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult[None]:
        platform.progress.start(STAGE)
        settings, run, as_of = platform.settings, latest_run(platform.settings), as_of_of(context, platform.settings)
        write_run_mart(settings, run, as_of)
        write_catalogue(settings, platform.sources, as_of, _asset_graph(context))
        note_publication(settings, run, as_of)
        path = SnapshotStore(settings).publish(settings.marts, run.run_id, as_of)
        finish_run(settings, run, "published")
        platform.progress.finish(STAGE)
        return dg.MaterializeResult(metadata={"run_id": run.run_id, "as_of": as_of.isoformat(), "bytes": path.stat().st_size})

    @dg.asset(
        name="report", group_name="publish", owners=OWNERS, deps=["snapshot"], partitions_def=partitions, backfill_policy=EACH_DAY,
        kinds={"html"}, description="评估与运行报告（HTML）",
    )
    def report(platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult[None]:
        platform.progress.start("生成报告")
        current = SnapshotStore(platform.settings).in_service()
        path = write_report(platform.settings, current.path, current.run_id)
        platform.progress.finish("生成报告")
        return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(str(path))})

    return [snapshot, report]


def _asset_graph(context: dg.AssetExecutionContext) -> dict[str, list[str]]:
    """Asset → what it is made from, as ``<layer>.<name>``."""
    graph = context.job_def.asset_layer.asset_graph
    keys = graph.get_all_asset_keys()
    names = {key: ".".join(key.path if len(key.path) > 1 else (graph.get(key).group_name or "assets", *key.path)) for key in keys}
    return {names[key]: sorted(names[parent] for parent in graph.get(key).parent_keys) for key in keys}
