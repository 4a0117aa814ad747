"""What no rule says, as assets: the profile of every column with its drift, and suspicious records."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from models.store.snapshots import SnapshotStore
from pipelines.defs.resources import EACH_DAY, OWNERS, Platform, as_of_of, mart
from pipelines.warehouse.books import latest_run
from pipelines.warehouse.quality_inputs import review_texts
from quality.profile.service import PROFILE, profile
from quality.profile.tables import SUSPICION, make_tables
from quality.suspicion.service import DAYS, suspect

KEYS = [mart(PROFILE), mart(SUSPICION)]


def build(partitions: dg.PartitionsDefinition, marts: list[dg.AssetKey]) -> dg.AssetsDefinition:
    """Profiles wait for every mart and for what blocks: what is not published is not profiled."""
    descriptions = {PROFILE: "各集市每一列的画像及与上月的差异", SUSPICION: "规则没有说、但与同类明显不同的记录；不是问题，不计分"}

    @dg.multi_asset(
        name="profiles", group_name="quality", partitions_def=partitions, backfill_policy=EACH_DAY,
        specs=[dg.AssetSpec(key, deps=[*marts, mart("score_department_month")], owners=OWNERS, kinds={"duckdb"}, description=descriptions[key.path[-1]]) for key in KEYS],
    )  # fmt: skip
    def profiles(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[dg.MaterializeResult[None]]:
        settings, run, as_of = platform.settings, latest_run(platform.settings), as_of_of(context, platform.settings)
        current = SnapshotStore(settings).current()
        previous = current.path if current else None
        if not settings.quality_profile:
            make_tables(settings.marts, previous)
            yield from (dg.MaterializeResult(asset_key=key) for key in KEYS)
            return
        found = profile(
            settings.marts, run.run_id, as_of, zone=settings.zone, memory=settings.memory_limit, previous=previous, every=settings.quality_profile_days, progress=platform.progress,
        )  # fmt: skip
        yield dg.MaterializeResult(asset_key=KEYS[0], metadata={"tables": found.tables, "columns": found.columns, "drifted": found.drifted} if found else {"still_good": True})
        texts = review_texts(settings, as_of.date() - timedelta(days=DAYS))
        kinds = suspect(settings.marts, run.run_id, as_of, zone=settings.zone, memory=settings.memory_limit, texts=texts, progress=platform.progress)
        yield dg.MaterializeResult(asset_key=KEYS[1], metadata={**kinds})

    return profiles
