"""The door of the worker: rounds of everything that nobody asks for, each part on its own, until it is told to stop.

An error in one part is written down and stops no other; while the database is away the worker waits, longer each time, and goes on
by itself. Several workers may run: each part knows how to share. What does not belong here: what the parts do.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from models.core.audit.service import heads_of, seal
from models.core.cases.clocking import clock_anew
from models.core.cases.service import Settled, settle
from models.core.crypto.types import CryptoProvider
from models.core.feedback.service import settle_appeals, settle_reviews
from models.core.jobs import service as jobs
from models.core.jobs.kinds import KINDS, schedule
from models.core.jobs.running import Kind, Run, Tools, run_next
from models.core.webhooks import service as webhooks
from models.core.webhooks.sending import Sender
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import Heartbeat
from serving.worker.sending import HttpSender

_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_LONGEST_REST = 30.0
_TURN = 10.0
"""Seconds for which one webhook is served at a time."""
_PATIENCE = 2.0
"""Seconds for which the end waits for what goes on beside the rounds."""

Part = Callable[[datetime], bool]
"""Does what is due at an instant; whether there is more to do at once."""


class _Partly(Exception):  # noqa: N818 - what it stands for did the rest
    """A part did not do all that was due."""

    def __init__(self, code: str, is_more: bool) -> None:
        super().__init__(code)
        self.code, self.is_more = code, is_more


def _code(error: Exception) -> str:
    """Never an error's text, which may hold values."""
    return error.code if isinstance(error, YiwangError | _Partly) else type(error).__name__


def _new_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"  # containers may share host name and process number


@dataclass
class Worker:
    """Runs rounds.

    Attributes:
        settings: Limits, what may be called.
        database: The store.
        crypto: Signs heads, reads secrets of webhooks.
        kinds: Kinds of jobs that it does.
        send: Delivers webhooks.
        clock: Says what time it is; the database's, which all workers share, where None.
        name: Of this worker, for leases and the log; no two have the same.
        errors: Part → code of its last failure, for as long as it fails.
    """

    settings: Settings
    database: Database
    crypto: CryptoProvider
    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS)
    send: Sender | None = None
    clock: Callable[[], datetime] | None = None
    name: str = field(default_factory=_new_name)
    errors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._log = structlog.get_logger("yiwang.worker")
        self._next: dict[str, datetime] = {}
        self._beside: dict[str, threading.Thread] = {}
        self._under_way: dict[str, Run] = {}
        self._started: datetime | None = None
        self._now = self.clock or (lambda: jobs.clock(self.database))
        self._tools = Tools(self.settings, self.database, self.crypto, self.send or HttpSender(self.settings.webhook_private), self._now)

    def run(self) -> None:
        """Rounds until :meth:`stop`; about one a second, at once again while there is more to do.

        Webhooks and jobs go on beside the rounds: a receiver or a job that takes its time holds up neither sealing nor time.
        """
        for name, part in (("webhooks", self._relay), ("jobs", self._work), ("long_jobs", self._work_long)):
            self._beside[name] = threading.Thread(target=self._go_on, args=(name, part), daemon=True)
        for thread in self._beside.values():
            thread.start()
        self._repeat(self.round)
        for thread in self._beside.values():
            thread.join(_PATIENCE)

    def _go_on(self, name: str, part: Part) -> None:
        self._repeat(lambda: self._do(name, part, self._now()))

    def _repeat(self, turn: Callable[[], bool]) -> None:
        rest = 0.0
        while not self._stop.wait(rest):
            try:
                rest = 0.0 if turn() else 1.0
            except Exception as error:  # the database is away; and whatever else it is, it must not end the worker unseen
                rest = min(max(1.0, rest * 2), _LONGEST_REST)
                self._log.warning("worker_waits", code=_code(error), seconds=rest)

    def stop(self) -> None:
        """End after the part that is under way."""
        self._stop.set()

    def round(self) -> bool:
        """Every part that is due, once.

        Returns:
            Whether there is more to do at once.

        Raises:
            YiwangError: YW-STORE-008 where the database is away.
        """
        is_more = False
        for name, every, part in self._parts():
            at = self._now()
            if self._stop.is_set() or at < self._next.get(name, at):
                continue
            is_more |= self._do(name, part, at)
            self._next[name] = at + every if every > _SECOND else at
        self._beat()
        return is_more

    def _do(self, name: str, part: Part, at: datetime) -> bool:
        """One part; what goes wrong in it is written down, and over when it goes well again."""
        try:
            is_more = part(at)
        except Exception as error:
            if isinstance(error, YiwangError) and error.code == "YW-STORE-008":
                raise
            self.errors[name] = _code(error)
            self._log.error("worker_part_failed", part=name, error=self.errors[name])
            return isinstance(error, _Partly) and error.is_more
        self.errors.pop(name, None)
        return is_more

    def _parts(self) -> Sequence[tuple[str, timedelta, Part]]:
        parts: tuple[tuple[str, timedelta, Part], ...] = (
            ("webhooks", _SECOND, self._relay), ("seal", _SECOND, self._seal), ("calendar", _SECOND, self._clock_anew), ("time", _SECOND, self._settle), ("reviews", _MINUTE, self._reviews),
            ("schedule", _MINUTE, self._schedule), ("jobs", _SECOND, self._work), ("long_jobs", _SECOND, self._work_long),
        )  # fmt: skip
        return [part for part in parts if part[0] not in self._beside]

    def _seal(self, at: datetime) -> bool:
        page = 200
        return seal(self.database, self.crypto, heads_of(self.settings), at, page) == page

    def _clock_anew(self, at: datetime) -> bool:
        page = 50
        return self._told("case_not_clocked", clock_anew(self.database, at, page, self.settings.zone), page)

    def _settle(self, at: datetime) -> bool:
        page = 50
        return self._told("case_not_settled", settle(self.database, at, page, self.settings.zone), page)

    def _told(self, what: str, settled: Settled, page: int) -> bool:
        for case_id in settled.failed:
            self._log.error(what, case_id=str(case_id))
        if settled.failed:
            raise _Partly(f"{what}: {len(settled.failed)}", settled.due == page)
        return settled.due == page

    def _reviews(self, at: datetime) -> bool:
        page = 200
        return settle_reviews(self.database, self.settings, at, page) == page or settle_appeals(self.database, self.settings, at) > 0

    def _schedule(self, at: datetime) -> bool:
        return schedule(self.database, self.settings, at, self.kinds) > 0

    def _relay(self, at: datetime) -> bool:
        """Each webhook for ten seconds at most, so that the slow one does not keep the others waiting; errors of one are its own."""
        is_more, failed = False, ""
        for webhook_id in webhooks.due(self.database, at):
            until = time.monotonic() + _TURN

            def is_over(until: float = until) -> bool:
                return self._stop.is_set() or time.monotonic() > until

            if self._stop.is_set():
                break
            try:
                told = webhooks.deliver(self.database, self.crypto, self.settings, webhook_id, self.name, self._now, self._tools.send, is_over)
                is_more |= told > 0
            except Exception as error:
                if isinstance(error, YiwangError) and error.code == "YW-STORE-008":
                    raise
                failed = _code(error)
                self._log.error("webhook_failed", webhook_id=str(webhook_id), error=_code(error))
        if failed:
            raise _Partly(failed, is_more)
        return is_more

    def _work(self, at: datetime) -> bool:
        return self._work_lane(is_long=False)

    def _work_long(self, at: datetime) -> bool:
        return self._work_lane(is_long=True)

    def _work_lane(self, *, is_long: bool) -> bool:
        """One job."""
        kinds = {name: kind for name, kind in self.kinds.items() if kind.is_long is is_long}
        lane = "long_jobs" if is_long else "jobs"
        try:
            ran = run_next(self._tools, kinds, self.name, self._stop.is_set, lambda run: self._under_way.update({lane: run})) if kinds else None
        finally:
            self._under_way.pop(lane, None)
        if ran is None:
            return False
        if ran.why != "done":
            self._log.warning("job_not_done", job_id=str(ran.job.id), kind=ran.job.kind, attempt=ran.job.attempt, why=ran.why, error=ran.code)
        if ran.why == "failed":
            raise _Partly(f"{ran.job.kind}: {ran.code}", is_more=True)
        return ran.why != "stopping"

    def _beat(self) -> None:
        at = self._now()
        self._started = self._started or at
        hung = {lane: "YW-JOB-006" for lane, run in list(self._under_way.items()) if run.is_overdue()}
        with self.database.write() as session:
            session.merge(Heartbeat(worker=self.name, started_at=self._started, round_at=at, errors=self.errors | hung))
            session.execute(sa.delete(Heartbeat).where(Heartbeat.round_at < at - _DAY))
