"""``yiwang sync``: a run that ends after the sync. Without Dagster, which takes seconds to load."""

from contextlib import suppress
from pathlib import Path

import duckdb

from models.domain.progress import Progress
from models.domain.settings import Settings
from pipelines.sources.service import SyncCount, finish_run, load_sources, run_lock, start_run, sync
from pipelines.upkeep.home import open_home
from pipelines.warehouse.books import damage_of, mend


def sync_only(settings: Settings, sources: Path | None, progress: Progress) -> list[SyncCount]:
    """Synchronise every source; the rows come out with the next whole run.

    Args:
        settings: Settings.
        sources: Source configuration, ``sources.yml`` of the home when None.
        progress: Receiver of progress.

    Raises:
        YiwangError: The source's own error; YW-RUN-001, YW-RUN-006, YW-RUN-008 to YW-RUN-010 as in a whole run.
    """
    source_file = load_sources(sources or settings.home / "sources.yml")
    with run_lock(settings):
        mend(settings)
        open_home(settings)
        reference = start_run(settings)
        try:
            counts = sync(settings, source_file, reference, progress=progress)
        except Exception as error:  # a kill leaves the run "running": the doctor tells them apart by it
            with suppress(duckdb.Error, OSError):  # the failure itself is what people must hear of
                finish_run(settings, reference, "failed", str(error)[:2000])
            if damage := damage_of(settings, [error]):
                raise damage from error
            raise
        finish_run(settings, reference, "synced")
    return counts
