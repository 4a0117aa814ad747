"""The door of the sync: sources into the raw layer of the working warehouse.

Read from ``sources.yml``, typed in SQL, carried by dlt as Arrow, merged in one transaction per subject.
Incremental, idempotent, resumable after a kill; nothing is lost silently (see docs/sources.md).
"""

from collections.abc import Sequence

from models.domain.contracts import SUBJECTS
from models.domain.progress import NoProgress, Progress
from models.domain.settings import Settings
from pipelines.sources.config import FieldSpec, Source, SourceFile, load_sources
from pipelines.sources.preview import Preview, preview
from pipelines.sources.runs import finish_run, horizon, lock_holder, run_lock, set_as_of, start_run
from pipelines.sources.store import prepare, use_digest_key, warehouse
from pipelines.sources.sync import sync_subject
from pipelines.sources.types import RunRef, SyncCount

__all__ = [
    "FieldSpec",
    "Preview",
    "RunRef",
    "Source",
    "SourceFile",
    "SyncCount",
    "finish_run",
    "horizon",
    "load_sources",
    "lock_holder",
    "missing_columns",
    "prepare",
    "preview",
    "run_lock",
    "set_as_of",
    "start_run",
    "sync",
    "unmapped_columns",
]


def sync(
    settings: Settings,
    source_file: SourceFile,
    run: RunRef,
    subjects: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[SyncCount]:
    """Read what is new or has changed in the sources into ``raw``, subject by subject.

    Each subject of each source commits by itself: after an error or a kill the next sync reads what is missing.

    Args:
        settings: Home, memory, threads, digest key.
        source_file: The sources.
        run: The run in whose name rows are written.
        subjects: Only these; default: all that the sources have.
        progress: Receives a stage for each subject of each source, in rows.

    Returns:
        One count for each subject of each source, also where nothing was read.

    Raises:
        YiwangError: YW-SYNC-002, YW-SYNC-003 or YW-SYNC-004, naming source, file and columns.
    """
    order = list(SUBJECTS)
    wanted = [source for source in source_file.sources if subjects is None or source.subject in subjects]
    wanted.sort(key=lambda source: order.index(source.subject))
    with warehouse(settings) as connection:
        use_digest_key(settings, connection)
        return [sync_subject(settings, connection, source_file, source, run, progress or NoProgress()) for source in wanted]


def unmapped_columns(settings: Settings, run_id: str) -> list[tuple[str, str, str]]:
    """Columns of the files read in a run that nothing maps: source, subject and column, in that order.

    A run that read no file of a subject has none of it. The warehouse must be prepared.
    """
    return _columns(settings, "unmapped_column", run_id)


def missing_columns(settings: Settings, run_id: str) -> list[tuple[str, str, str]]:
    """Columns that filled a field before and that no record read in a run has: source, subject and column, in that order.

    Only of sources whose records differ by nature; of all others such a column stops the sync (YW-SYNC-003).
    """
    return _columns(settings, "missing_column", run_id)


def _columns(settings: Settings, table: str, run_id: str) -> list[tuple[str, str, str]]:
    with warehouse(settings) as connection:
        return connection.execute(
            f"SELECT source, subject, column_name FROM ops.{table} WHERE run_id = ? ORDER BY ALL", [run_id]  # noqa: S608 - a name of ours
        ).fetchall()
