"""Raw tables: what the sources hold, kept by ``pipelines.sources``."""

from collections.abc import Iterator

import dagster as dg

from models.domain.contracts import SUBJECT_TITLES, SUBJECTS
from pipelines.defs.resources import OWNERS, Platform
from pipelines.sources.service import finish_run, start_run, sync
from pipelines.upkeep.home import open_home


@dg.multi_asset(
    name="sync",
    can_subset=True,
    group_name="sync",
    specs=[
        dg.AssetSpec(["raw", subject], description=f"{SUBJECT_TITLES[subject]}：各数据源的记录", owners=OWNERS, kinds={"dlt", "duckdb"}, skippable=True)
        for subject in SUBJECTS
    ],
)
def raw(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[dg.MaterializeResult[None]]:
    """Reads what is new in each source and keeps it."""
    subjects = [key.path[-1] for key in context.selected_asset_keys]
    open_home(platform.settings)
    run = start_run(platform.settings)
    try:
        counts = sync(platform.settings, platform.source_file(), run, subjects, platform.progress)
    except Exception as error:
        finish_run(platform.settings, run, "failed", str(error)[:2000])
        raise
    for subject in subjects:
        own = [count for count in counts if count.subject == subject]
        yield dg.MaterializeResult(
            asset_key=["raw", subject],
            metadata={"run_id": run.run_id} | {name: sum(getattr(c, name) for c in own) for name in COUNTS},
        )


COUNTS = ("rows_read", "inserted", "updated", "unchanged", "superseded", "deleted", "quarantined")
