"""Tells alerts how a run ended, and which sources are late after it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.alerts.outbox import Outbox
from pipelines.alerts.service import deliver, run_ended, sources_judged
from pipelines.upkeep.freshness import freshness

_OTHER = "YW-RUN-002"
"""What errors that are none of ours count as."""


@contextmanager
def watched(settings: Settings, sources: Path | None = None) -> Iterator[None]:
    """Around a run: alerts when it fails, when it succeeds after a failure, and when it leaves a source stale.

    Costs nothing where no webhook is set; never changes how the run ends.
    """
    if settings.alert_webhook is None:
        yield
        return
    before = _last_run(settings)
    try:
        yield
    except Exception as error:
        last = _last_run(settings)
        with _harmless():
            run_ended(settings, error.code if isinstance(error, YiwangError) else _OTHER, *(last if last != before else (None, None)))
        raise
    with _harmless():
        last = _last_run(settings)
        run_ended(settings, None, *last, send=False)
        judge_sources(settings, sources, *last)  # delivers the end of the run too: each event is tried once a run


@contextmanager
def _harmless() -> Iterator[None]:
    """Nothing that telling runs into may change how the run ends."""
    try:
        yield
    except Exception as error:
        logging.getLogger("yiwang.alerts").warning("alert_failed", exc_info=error)


def judge_sources(settings: Settings, sources: Path | None = None, run_id: str | None = None, as_of: datetime | None = None) -> None:
    """Alerts for sources that became stale by the machine's clock, and for those that are fresh again; delivers all that waits."""
    try:
        with suppress(YiwangError):  # nothing is published yet, or by an older program
            judged = [(one.source, one.subject, one.is_stale) for one in freshness(settings, datetime.now(UTC), sources)]
            known = [(about.partition("/")[0], about.partition("/")[2]) for about in Outbox(settings).amiss() if "/" in about]
            fresh = [(source, subject) for source, subject, _ in judged]  # a source that is no longer configured is not late either
            sources_judged(settings, [(source, subject) for source, subject, late in judged if late], [*fresh, *known], run_id, as_of, send=False)
    finally:
        deliver(settings)


def _last_run(settings: Settings) -> tuple[str | None, datetime | None]:
    """The newest run and its instant; nothing where the warehouse cannot be read."""
    if settings.warehouse.is_file():
        with suppress(duckdb.Error), duckdb.connect(str(settings.warehouse), read_only=True) as connection:
            row = connection.execute("SELECT run_id, epoch_us(as_of) FROM ops.run ORDER BY run_seq DESC LIMIT 1").fetchone()
            if row:
                return row[0], datetime.fromtimestamp(row[1] / 1e6, UTC) if row[1] is not None else None
    return None, None
