"""``yiwang tidy``: books, files and free blocks that are no longer needed."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from pipelines.sources.service import run_lock
from pipelines.upkeep.compaction import Compaction, compact
from pipelines.upkeep.home import open_home
from pipelines.upkeep.leftovers import Tidying, remove_dagster_runs, remove_files
from pipelines.upkeep.retention import old_run_ids, prune
from pipelines.warehouse.books import mend, warehouse


@dataclass(frozen=True)
class Tidied:
    """What was removed, or would be.

    Attributes:
        rows: Rows, by what they are.
        files: Files or folders and their bytes, by what they are.
        compactions: What became of the databases.
    """

    rows: dict[str, int]
    files: dict[str, tuple[int, int]]
    compactions: list[Compaction]

    @property
    def freed(self) -> int:
        """Bytes given back to the disk."""
        return sum(size for _, size in self.files.values()) + sum(c.before - c.after for c in self.compactions)


def tidy(settings: Settings, now: datetime, sources: Path | None = None, dry_run: bool = False) -> Tidied:
    """Remove what is older than the settings keep it, and compact the databases.

    Published snapshots, records that a source still has, and everything that a run needs to go on stay. May be killed at
    any moment and simply run again.

    Args:
        settings: Home, and how long things are kept.
        now: The moment by which age is measured.
        sources: Source configuration, ``sources.yml`` of the home when None.
        dry_run: Say what would go, change nothing.

    Raises:
        YiwangError: YW-RUN-001 while a run is at work, YW-RUN-006 or YW-RUN-008 when the warehouse cannot be used.
    """
    with run_lock(settings):
        rows: dict[str, int] = {}
        old: set[str] = set()
        store = SnapshotStore(settings)
        published = [snapshot.run_id for snapshot in store.kept()]
        store.close()
        if settings.warehouse.is_file():
            if not dry_run:
                mend(settings)
                open_home(settings)
            try:
                with warehouse(settings) as connection:
                    rows = prune(connection, settings, now, published, dry_run)
                    old = old_run_ids(connection)
            except duckdb.Error as error:
                raise YiwangError("YW-RUN-006", path=settings.warehouse) from error
        tidying = Tidying(settings, sources or settings.home / "sources.yml", now, old, published, dry_run)
        files = remove_files(tidying) | {"Dagster 的运行记录": remove_dagster_runs(tidying)}
        done = [compact(path, settings, dry_run) for path in (settings.warehouse, settings.marts)]
    return Tidied(rows, files, [compaction for compaction in done if compaction])
