"""Running one job: its lease held while it runs, its progress told, its end heeded, whatever the end is."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from models.core.crypto.types import CryptoProvider
from models.core.jobs import service as jobs
from models.core.webhooks.sending import Sender
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database

_QUICK = timedelta(hours=1)
_SAY = 1.0
"""Seconds between two words of a job on its progress that reach the store."""


@dataclass(frozen=True)
class Tools:
    """What jobs work with.

    Attributes:
        settings: Limits.
        database: The store.
        crypto: Signs and reads secrets.
        send: Delivers webhooks.
        clock: Says what time it is; by :func:`models.core.jobs.service.clock`.
    """

    settings: Settings
    database: Database
    crypto: CryptoProvider
    send: Sender
    clock: Callable[[], datetime]


class Interrupted(Exception):  # noqa: N818 - no fault
    """A job ends before it is done: cancelled, lost to another worker, or its worker stops."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Run:
    """A job under way, as what does it sees it.

    Args:
        tools: What it works with.
        taken: The job.
        worker: Who runs it.
        longest: How long it may take.
        is_stopping: Whether the worker was told to stop.
    """

    def __init__(self, tools: Tools, taken: jobs.Taken, worker: str, longest: timedelta, is_stopping: Callable[[], bool]) -> None:
        self.tools = tools
        self._taken, self._worker, self._is_stopping = taken, worker, is_stopping
        self._standing: jobs.Standing = "mine"
        self._progress: tuple[int, int | None] | None = None
        self._said = float("-inf")
        self._begun, self._longest = time.monotonic(), longest

    @property
    def id(self) -> UUID:
        """The job; the same at each attempt."""
        return self._taken.id

    @property
    def payload(self) -> dict[str, Any]:
        """With what it is to be done."""
        return self._taken.payload

    def tell(self, done: int, total: int | None = None) -> None:
        """Say how far it is, between two steps; cheap, so say it often.

        Raises:
            Interrupted: It is to end here, with what it has done so far.
        """
        self._progress = (done, total)
        if time.monotonic() - self._said >= _SAY:
            self._said = time.monotonic()
            self.hold()
        if self._standing != "mine":
            raise Interrupted(self._standing)
        if self.is_overdue():
            raise YiwangError("YW-JOB-005")
        if self._is_stopping():
            raise Interrupted("stopping")

    def is_overdue(self) -> bool:
        """Whether it takes longer than its kind may."""
        return time.monotonic() - self._begun > self._longest.total_seconds()

    def hold(self) -> None:
        """Renew the lease and hear what became of the job."""
        tools = self.tools
        self._standing = jobs.still_at_it(tools.database, self._taken, self._worker, tools.clock(), self._progress)


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    Attributes:
        title: For people.
        do: Does it, and returns what came out; it is done at least once and must bear being done again.
        attempts: After how many failures it is given up.
        every: How often the worker has it done by itself, at night by the city's clock.
        longest: How long an attempt may take; then its lease is no longer held, so that one that hangs ends as dead too.
        is_free: It takes no payload: whoever has the right may have it done at any time.
    """

    title: str
    do: Callable[[Run], Mapping[str, Any] | None]
    attempts: int = jobs.MOST_ATTEMPTS
    every: Literal["day", "week"] | None = None
    longest: timedelta = _QUICK
    is_free: bool = False

    @property
    def is_long(self) -> bool:
        """It has a lane of its own, so that what is quick does not wait for it."""
        return self.longest > _QUICK


@dataclass(frozen=True)
class Ran:
    """How an attempt at a job ended.

    Attributes:
        job: Which one.
        why: ``done``, ``failed``, ``cancelled``, ``lost``, ``stopping``.
        code: Of what went wrong.
    """

    job: jobs.Taken
    why: str
    code: str | None = None


def run_next(tools: Tools, kinds: Mapping[str, Kind], worker: str, is_stopping: Callable[[], bool], begun: Callable[[Run], object] = lambda run: None) -> Ran | None:
    """Run the next job that is due, to its end or until it is interrupted; None where none is due.

    Args:
        tools: What it works with.
        kinds: What the worker can do.
        worker: Who runs it.
        is_stopping: Whether the worker was told to stop.
        begun: Is told of the job before it begins: nobody can end one that hangs, but somebody can say that it does.

    Raises:
        YiwangError: YW-STORE-008 where the database is away; the job comes back when its lease is over.
    """
    database, clock = tools.database, tools.clock
    taken = jobs.take(database, worker, clock(), {name: kind.attempts for name, kind in kinds.items()})
    if taken is None:
        return None
    run, over = Run(tools, taken, worker, kinds[taken.kind].longest, is_stopping), threading.Event()
    holding = threading.Thread(target=_hold, args=(run, over), daemon=True)
    holding.start()
    begun(run)
    try:
        result = kinds[taken.kind].do(run)
    except Interrupted as interrupted:
        _leave(database, taken, worker, clock, interrupted.why)
        return Ran(taken, interrupted.why)
    except Exception as error:
        code = error.code if isinstance(error, YiwangError) else type(error).__name__
        jobs.failed(database, taken, worker, clock(), code)
        return Ran(taken, "failed", code)
    finally:
        over.set()
        holding.join()
    return Ran(taken, "done" if jobs.done(database, taken, worker, clock(), result) else "lost")


def _leave(database: Database, taken: jobs.Taken, worker: str, clock: Callable[[], datetime], why: str) -> None:
    if why == "cancelled":
        jobs.cancelled(database, taken, worker, clock())
    elif why == "stopping":
        jobs.put_back(database, taken, worker)


def _hold(run: Run, over: threading.Event) -> None:
    """While a step takes long; a database that is away for less than the lease loses nothing."""
    while not over.wait(jobs.LEASE.total_seconds() / 3) and not run.is_overdue():
        with suppress(Exception):
            run.hold()
