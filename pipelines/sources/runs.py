"""Runs of the pipelines: one at a time in a home, each numbered, each with the instant it speaks of."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.sources.store import warehouse
from pipelines.sources.types import RunRef

_PAUSES = (0.02, 0.05)
"""Seconds between attempts to take the lock: :func:`lock_holder` holds it for a moment to see whether it is free."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HORIZON = """
WITH instants AS (
    SELECT unnest(CASE WHEN updated_at IS NULL THEN [received_at, applied_at, completed_at] ELSE [updated_at] END) AS t
    FROM raw."case" WHERE NOT _is_deleted
    UNION ALL SELECT coalesce(updated_at, occurred_at) FROM raw.case_event WHERE NOT _is_deleted
    UNION ALL SELECT coalesce(updated_at, reviewed_at) FROM raw.review WHERE NOT _is_deleted
    UNION ALL SELECT updated_at FROM raw.certificate WHERE NOT _is_deleted
),
days AS (SELECT epoch_us(t) // 86400000000 AS day, max(epoch_us(t)) AS latest, count(*) AS n FROM instants WHERE isfinite(t) GROUP BY day),
backed AS (
    SELECT latest, sum(n) OVER () AS total, sum(n) OVER (ORDER BY day RANGE BETWEEN 30 PRECEDING AND CURRENT ROW) AS near FROM days
)
SELECT max(latest) FROM backed WHERE near >= greatest(total / 1000, least(total / 100, 3))
"""


@contextmanager
def run_lock(settings: Settings) -> Iterator[None]:
    """Hold the home for one run.

    The lock belongs to the process: it vanishes with it, however it ends.

    Raises:
        YiwangError: YW-RUN-001 with the process that holds the lock.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    with open(settings.home / "run.lock", "a+", encoding="ascii") as file:
        for pause in (*_PAUSES, None):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if pause is None:
                    file.seek(0)
                    raise YiwangError("YW-RUN-001", home=settings.home, pid=file.read().strip() or "?") from None
                time.sleep(pause)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def lock_holder(settings: Settings) -> str | None:
    """The process that holds the home, ``?`` when it does not say who it is; None when the home is free."""
    try:
        with open(settings.home / "run.lock", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "?"
    except FileNotFoundError:
        pass
    return None


def start_run(settings: Settings, run_id: str | None = None) -> RunRef:
    """Begin a run, or go on with the one of that id; runs that were left running by a kill are closed as failed."""
    row: tuple[str, int] | None
    with warehouse(settings) as connection:
        connection.begin()
        known = connection.execute("SELECT run_seq FROM ops.run WHERE run_id = ?", [run_id]).fetchone() if run_id else None
        connection.execute(
            "UPDATE ops.run SET state = 'failed', finished_at = now(), detail = '进程中断' "
            "WHERE state = 'running' AND run_id IS DISTINCT FROM ?",
            [run_id],
        )
        if run_id and known:
            connection.execute("UPDATE ops.run SET state = 'running', finished_at = NULL, detail = NULL WHERE run_id = ?", [run_id])
            row = (run_id, known[0])
        else:
            row = connection.execute(
                "INSERT INTO ops.run (run_id, run_seq, started_at, state) "
                "SELECT coalesce(?, uuidv7()::VARCHAR), coalesce(max(run_seq), 0) + 1, now(), 'running' FROM ops.run "
                "RETURNING run_id, run_seq",
                [run_id],
            ).fetchone()
        connection.commit()
    assert row is not None  # noqa: S101 - RETURNING gives the row that was written
    return RunRef(*row)


def set_as_of(settings: Settings, run: RunRef, as_of: datetime) -> None:
    """Write down the instant that the run speaks of."""
    with warehouse(settings) as connection:
        connection.execute("UPDATE ops.run SET as_of = ? WHERE run_id = ?", [as_of, run.run_id])


def finish_run(settings: Settings, run: RunRef, state: str, detail: str | None = None) -> None:
    """End a run: ``state`` is ``published`` or ``failed``, ``detail`` one sentence for people."""
    with warehouse(settings) as connection:
        connection.execute(
            "UPDATE ops.run SET state = ?, detail = ?, finished_at = now() WHERE run_id = ?", [state, detail, run.run_id]
        )


def horizon(settings: Settings) -> datetime:
    """The last instant that the data speaks of, in UTC: default of a run's ``as_of``.

    The latest time of change (``updated_at``) of cases, events, reviews and certificates, and where a record has
    none, of its received, applied, completed, occurred or reviewed times, that is backed by its neighbourhood:
    the 31 days up to it hold at least 0.1 % of all those times (and three of them, from 300 on). A few records
    dated in the future by mistake therefore do not move it (unless they fall within a month of the true end; give
    ``as_of`` in sources.yml where that matters). Nothing here reads the clock.

    Raises:
        YiwangError: YW-RUN-003 where no record has a time.
    """
    with warehouse(settings) as connection:
        row = connection.execute(_HORIZON).fetchone()
    if row is None or row[0] is None:
        raise YiwangError("YW-RUN-003")
    return _EPOCH + timedelta(microseconds=row[0])
