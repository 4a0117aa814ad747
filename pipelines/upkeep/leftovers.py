"""Files that runs leave behind: spilled blocks, load packages, drafts, logs, reports, and what Dagster stores of a run.

The caller holds the home's lock, so that none of them is in use by a run.
"""

import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.sources.service import load_sources
from pipelines.upkeep.compaction import COMPACT

LEAST_DAGSTER_RUNS = 20
"""Newest runs that Dagster keeps whatever their age, so that its pages still show when each asset was made last."""
_PACKAGE = "*__*"


@dataclass(frozen=True)
class Tidying:
    """What the removal of files goes by.

    Attributes:
        settings: Home, and how long things are kept.
        sources: Source configuration.
        now: The moment by which age is measured.
        old_runs: Runs whose books are closed.
        kept_runs: Runs of kept snapshots.
        dry_run: Look only.
    """

    settings: Settings
    sources: Path
    now: datetime
    old_runs: Collection[str]
    kept_runs: Collection[str]
    dry_run: bool

    def is_older(self, path: Path, days: int) -> bool:
        """Whether a file was last written longer ago."""
        return path.stat().st_mtime < (self.now - timedelta(days=days)).timestamp()


def _spilled(tidying: Tidying) -> Iterator[Path]:
    yield from (tidying.settings.work / "duckdb_tmp").glob("*")


def _drafts(tidying: Tidying) -> Iterator[Path]:
    home = tidying.settings.home
    yield from home.glob("digest.[0-9]*")
    yield from (home / "alerts").glob(".*.json.*")
    yield from tidying.settings.work.glob(f"*{COMPACT}*")


def _packages(tidying: Tidying) -> Iterator[Path]:
    """Load packages that no configured source resumes, and those that have waited too long; their rows are read again."""
    try:
        resumed = {f"{source.name}__{source.subject}" for source in load_sources(tidying.sources).sources}
    except YiwangError:  # what is configured is not known: nothing is surely left over
        return
    for folder in (tidying.settings.work / "dlt").glob(_PACKAGE):
        if folder.name not in resumed or tidying.is_older(folder, tidying.settings.keep_logs_days):
            yield folder


def _logs(tidying: Tidying) -> Iterator[Path]:
    for path in (tidying.settings.home / "logs").rglob("*"):
        if path.is_file() and tidying.is_older(path, tidying.settings.keep_logs_days):
            yield path


def _reports(tidying: Tidying) -> Iterator[Path]:
    folder = tidying.settings.home / "reports"
    for path in [*folder.glob("*.html"), *folder.glob("checks/*")]:
        if path.stem in tidying.old_runs and path.stem not in tidying.kept_runs:
            yield path


FOLDERS: dict[str, Callable[[Tidying], Iterator[Path]]] = {
    "溢出到磁盘的数据": _spilled, "未完成的临时文件": _drafts, "遗留的装载包": _packages, "日志": _logs, "报告": _reports,
}  # fmt: skip
"""What is removed, by its Chinese title."""


def remove_files(tidying: Tidying) -> dict[str, tuple[int, int]]:
    """Files and folders removed, and their bytes, by title."""
    removed = {}
    for title, find in FOLDERS.items():
        number = size = 0
        for path in list(find(tidying)):
            number, size = number + 1, size + _size(path)
            if not tidying.dry_run:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        removed[title] = (number, size)
    return removed


def remove_dagster_runs(tidying: Tidying) -> tuple[int, int]:
    """Dagster's runs that ended before, and the bytes of storage that this freed."""
    storage = tidying.settings.home / "dagster"
    if not (storage / "dagster.yaml").is_file():
        return 0, 0
    import dagster as dg  # late: a second, and many homes have little of it
    from dagster._core.storage.dagster_run import FINISHED_STATUSES

    before, size = tidying.now - timedelta(days=tidying.settings.keep_runs_days), _size(storage)
    with dg.DagsterInstance.from_config(str(storage)) as instance:
        newest = {record.dagster_run.run_id for record in instance.get_run_records(limit=LEAST_DAGSTER_RUNS)}
        ended = dg.RunsFilter(statuses=list(FINISHED_STATUSES), created_before=before)
        old = [record.dagster_run.run_id for record in instance.get_run_records(ended) if record.dagster_run.run_id not in newest]
        if tidying.dry_run:
            return len(old), 0
        for run_id in old:
            instance.delete_run(run_id)
            shutil.rmtree(storage / "storage" / run_id, ignore_errors=True)  # what its steps printed
    if old:
        _shrink(storage)
    return len(old), max(0, size - _size(storage))


def _shrink(storage: Path) -> None:
    """Give back the free pages of Dagster's databases, where nobody has them open."""
    for path in storage.rglob("*.db"):
        try:
            with closing(sqlite3.connect(path, timeout=1)) as connection:
                connection.execute("VACUUM")
        except sqlite3.Error:
            continue


def _size(path: Path) -> int:
    try:
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    except FileNotFoundError:
        return 0
