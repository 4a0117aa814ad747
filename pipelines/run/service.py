"""The whole job in this process, with its own Dagster instance in the home."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from models.domain.errors import YiwangError
from models.domain.progress import NoProgress, Progress
from models.domain.settings import Settings
from models.store.snapshots import Snapshot, SnapshotStore
from pipelines.definitions import JOB, build
from pipelines.defs.resources import AS_OF_TAG, Platform, partition_of
from pipelines.sources.service import finish_run, horizon, run_lock, set_as_of, unmapped_columns
from pipelines.warehouse.books import failed_checks, is_published_as_it_stands, latest_run, mend, sync_counts
from pipelines.warehouse.service import rules_fingerprint

_NO_SPACE = "No space left on device"


@dataclass(frozen=True)
class RunResult:
    """What a run did.

    Attributes:
        run_id: The run.
        as_of: Instant on which it stands.
        counts: What became of the rows read since the last publication, by source and subject.
        unmapped: Columns of the files read that no field takes: source, subject, column.
        snapshot: The snapshot in service after it.
        report: The report of that snapshot.
        is_unchanged: Nothing had changed since the published snapshot, which therefore stays.
    """

    run_id: str
    as_of: datetime
    counts: list[dict[str, Any]]
    unmapped: list[tuple[str, str, str]]
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
    with run_lock(settings), _quietly(settings), _instance(settings) as instance, _named_errors(settings):
        mend(settings)
        job = build(settings, platform).resolve_job_def(JOB)
        keys = job.asset_layer.executable_asset_keys
        raw = [key for key in keys if key.path[0] == "raw"]
        _execute(settings, job, instance, raw, partition=None, tags={})
        reference = latest_run(settings)
        try:
            instant = stated or horizon(settings)
            set_as_of(settings, reference, instant)
            unchanged = _is_unchanged(settings, instant)
            if not unchanged:
                tags = {AS_OF_TAG: instant.isoformat()}
                rest = [key for key in keys if key not in raw]
                _execute(settings, job, instance, rest, partition_of(instant, settings), tags)
                _stamp(settings).write_text(rules_fingerprint())
        except BaseException as error:
            with suppress(duckdb.Error, OSError):  # the failure itself is what people must hear of
                finish_run(settings, reference, "failed", str(error)[:2000])
            raise
        if unchanged:
            finish_run(settings, reference, "unchanged")
        counts, unmapped = sync_counts(settings, reference), unmapped_columns(settings, reference.run_id)
    snapshot = SnapshotStore(settings).in_service()
    report = settings.home / "reports" / f"{snapshot.run_id}.html"
    return RunResult(reference.run_id, instant, counts, unmapped, snapshot, report, unchanged)


def _is_unchanged(settings: Settings, as_of: datetime) -> bool:
    store, stamp = SnapshotStore(settings), _stamp(settings)
    current = store.current()
    if current is None or not store.is_sound() or not stamp.is_file() or stamp.read_text() != rules_fingerprint():
        return False
    return is_published_as_it_stands(settings, current.run_id, as_of)


def _stamp(settings: Settings) -> Path:
    """Fingerprint of the rules by which the published snapshot was made."""
    return settings.work / "rules.sha256"


def _execute(
    settings: Settings, job: dg.JobDefinition, instance: dg.DagsterInstance, keys: list[dg.AssetKey], partition: str | None, tags: dict[str, str]
) -> None:
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    try:
        job.execute_in_process(instance=instance, asset_selection=keys, partition_key=partition, tags=tags, run_config=quiet)
    except YiwangError:
        raise
    except Exception as error:
        if _NO_SPACE in "".join(map(str, _chain(error))):
            raise YiwangError("YW-RUN-007", path=settings.home, detail="磁盘空间不足") from error
        if broken := failed_checks(settings, latest_run(settings)):
            raise YiwangError("YW-RUN-005", detail="；".join(broken)) from error
        ours = next((link for link in _chain(error) if isinstance(link, YiwangError)), None)
        if ours:
            raise ours from error
        step = getattr(error, "step_key", None) or getattr(error, "op_name", None) or JOB
        cause = _chain(error)[-1]
        lines = [line for line in str(cause).splitlines() if line.strip()] or [type(cause).__name__]
        raise YiwangError("YW-RUN-002", step=step, detail=lines[0]) from error


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it came from, to the first cause."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    return chain


@contextmanager
def _named_errors(settings: Settings) -> Iterator[None]:
    """Turns DuckDB's errors outside the job's steps into ours."""
    try:
        yield
    except duckdb.Error as error:
        if _NO_SPACE in str(error):
            raise YiwangError("YW-RUN-007", path=settings.home, detail="磁盘空间不足") from error
        raise YiwangError("YW-RUN-002", step=JOB, detail=str(error).splitlines()[0]) from error


@contextmanager
def _instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    home = settings.home.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text("telemetry:\n  enabled: false\n")
    os.environ["DAGSTER_HOME"] = str(home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@contextmanager
def _quietly(settings: Settings) -> Iterator[None]:
    """Sends what dbt and Dagster print to a log file: the command line shows progress and results only."""
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "run.log").open("w", encoding="utf-8") as log, redirect_stdout(log):
        yield
