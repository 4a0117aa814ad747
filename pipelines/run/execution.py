"""How the job is executed in this process: its Dagster instance, what it prints, the names of its errors."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stderr, redirect_stdout

import dagster as dg
import duckdb

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.definitions import JOB
from pipelines.defs.resources import TOLD_TAG
from pipelines.warehouse.books import damage_of, failed_checks, latest_run

_NO_SPACE = "No space left on device"
_LITTLE = 1 << 20


def execute(
    settings: Settings, job: dg.JobDefinition, instance: dg.DagsterInstance, keys: list[dg.AssetKey], partition: str | None, tags: dict[str, str]
) -> None:
    """Executes the job's assets of these keys.

    Raises:
        YiwangError: The step's own error; YW-RUN-005 with the severe checks that failed; YW-RUN-002 that names the step;
            YW-RUN-007 for a full disk; YW-RUN-006 or YW-RUN-010 for a damaged working file.
    """
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    try:
        job.execute_in_process(instance=instance, asset_selection=keys, partition_key=partition, tags={TOLD_TAG: "true", **tags}, run_config=quiet)
    except Exception as error:
        if _is_full(settings, "".join(map(str, _chain(error)))):  # first: a full disk also leaves files that look damaged
            raise YiwangError("YW-RUN-007", path=settings.home, detail="磁盘空间不足") from error
        if damage := damage_of(settings, _chain(error)):
            raise damage from error
        if isinstance(error, YiwangError):
            raise
        if broken := failed_checks(settings, latest_run(settings)):
            raise YiwangError("YW-RUN-005", detail="；".join(broken)) from error
        ours = next((link for link in _chain(error) if isinstance(link, YiwangError)), None)
        if ours:
            raise ours from error
        step = getattr(error, "step_key", None) or getattr(error, "op_name", None) or JOB
        cause = _chain(error)[-1]
        lines = [line for line in str(cause).splitlines() if line.strip()] or [type(cause).__name__]
        raise YiwangError("YW-RUN-002", step=step, detail=lines[0]) from error


def _is_full(settings: Settings, text: str) -> bool:
    """Whether the disk is full: SQLite says only that it cannot write, and readers of a cut file that it is damaged."""
    return _NO_SPACE in text or shutil.disk_usage(settings.home).free < _LITTLE


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it came from, to the first cause."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    return chain


@contextmanager
def named_errors(settings: Settings) -> Iterator[None]:
    """Turns DuckDB's errors outside the job's steps into ours."""
    try:
        yield
    except duckdb.Error as error:
        if _is_full(settings, str(error)):
            raise YiwangError("YW-RUN-007", path=settings.home, detail="磁盘空间不足") from error
        raise damage_of(settings, [error]) or YiwangError("YW-RUN-002", step=JOB, detail=str(error).splitlines()[0]) from error


@contextmanager
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of the home."""
    home = settings.home.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text("telemetry:\n  enabled: false\n")
    os.environ["DAGSTER_HOME"] = str(home)
    with dg.DagsterInstance.from_config(str(home)) as opened, ExitStack() as held:
        # Dagster connects anew for each of its hundreds of events. While somebody else is connected, SQLite need not move
        # its log into the file and remove it each time.
        for path in (home / "history" / "runs.db", home / "history" / "runs" / "index.db"):
            connection = held.enter_context(closing(sqlite3.connect(path)))
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield opened


@contextmanager
def quietly(settings: Settings) -> Iterator[None]:
    """Sends what dbt and Dagster print to a log file, on both streams: the command line shows progress and results only.

    Whoever shows progress meanwhile writes to the stream that was there before.
    """
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "run.log").open("w", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        yield
