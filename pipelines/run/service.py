"""The whole job in this process, with its own Dagster instance in the home."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from models.domain.progress import NoProgress, Progress
from models.domain.settings import Settings
from models.store.snapshots import Snapshot, SnapshotStore
from pipelines.definitions import JOB, build
from pipelines.defs.resources import AS_OF_TAG, Platform, partition_of
from pipelines.run.execution import execute, instance, named_errors, quietly
from pipelines.sources.service import finish_run, horizon, missing_columns, run_lock, set_as_of, unmapped_columns
from pipelines.upkeep.watch import watched
from pipelines.warehouse.books import is_published_as_it_stands, latest_run, mend, sync_counts
from pipelines.warehouse.service import rules_fingerprint


@dataclass(frozen=True)
class RunResult:
    """What a run did.

    Attributes:
        run_id: The run.
        as_of: Instant on which it stands.
        counts: What became of the rows read since the last publication, by source and subject.
        unmapped: Columns of the files read that no field takes: source, subject, column.
        missing: Columns that filled a field before and that no record read has: source, subject, column.
        snapshot: The snapshot in service after it.
        report: The report of that snapshot.
        is_unchanged: Nothing had changed since the published snapshot, which therefore stays.
    """

    run_id: str
    as_of: datetime
    counts: list[dict[str, Any]]
    unmapped: list[tuple[str, str, str]]
    missing: list[tuple[str, str, str]]
    snapshot: Snapshot
    report: Path
    is_unchanged: bool


def run(settings: Settings, sources: Path | None = None, as_of: datetime | None = None, progress: Progress | None = None) -> RunResult:
    """Runs the job ``city``: sync, warehouse, checks, score, snapshot, report.

    A step that fails leaves the last published snapshot in service; the next run takes up what is missing. When no
    source, no rule and no ``as_of`` changed since the published snapshot, the run ends after the sync.

    Args:
        settings: Settings; ``settings.home`` holds everything that the run makes.
        sources: Source configuration, ``sources.yml`` of the home when None.
        as_of: Instant on which the run stands; the configuration's, else the data's horizon when None.
        progress: Receiver of progress.

    Raises:
        YiwangError: The step's own error, or YW-RUN-002 that names the step.
    """
    platform = Platform(settings, sources, progress or NoProgress())
    source_file = platform.source_file()
    stated = as_of or source_file.as_of_instant(settings.zone)
    if stated:
        partition_of(stated, settings)  # refuses an impossible day before any work
    with watched(settings, sources), run_lock(settings), quietly(settings), instance(settings) as dagster, named_errors(settings):
        mend(settings)
        job = build(settings, platform).resolve_job_def(JOB)
        keys = job.asset_layer.executable_asset_keys
        raw = [key for key in keys if key.path[0] == "raw"]
        execute(settings, job, dagster, raw, partition=None, tags={})
        reference = latest_run(settings)
        try:
            instant = stated or horizon(settings)
            set_as_of(settings, reference, instant)
            unchanged = _is_unchanged(settings, instant)
            if not unchanged:
                tags = {AS_OF_TAG: instant.isoformat()}
                rest = [key for key in keys if key not in raw]
                execute(settings, job, dagster, rest, partition_of(instant, settings), tags)
                _stamp(settings).write_text(rules_fingerprint())
        except BaseException as error:
            with suppress(duckdb.Error, OSError):  # the failure itself is what people must hear of
                finish_run(settings, reference, "failed", str(error)[:2000])
            raise
        if unchanged:
            finish_run(settings, reference, "unchanged")
        counts, unmapped, missing = sync_counts(settings, reference), unmapped_columns(settings, reference.run_id), missing_columns(settings, reference.run_id)
    snapshot = SnapshotStore(settings).in_service()
    report = settings.home / "reports" / f"{snapshot.run_id}.html"
    return RunResult(reference.run_id, instant, counts, unmapped, missing, snapshot, report, unchanged)


def _is_unchanged(settings: Settings, as_of: datetime) -> bool:
    store, stamp = SnapshotStore(settings), _stamp(settings)
    current = store.current()
    if current is None or not store.is_sound() or not stamp.is_file() or stamp.read_text() != rules_fingerprint():
        return False
    return is_published_as_it_stands(settings, current.run_id, as_of)


def _stamp(settings: Settings) -> Path:
    """Fingerprint of the rules by which the published snapshot was made."""
    return settings.work / "rules.sha256"
