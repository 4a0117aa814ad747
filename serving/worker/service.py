"""The door of the worker: rounds of everything that nobody asks for, each part on its own, until it is told to stop.

An error in one part is written down and stops no other; while the database is away the worker waits, longer each time, and goes on
by itself. Several workers may run: each part knows how to share. What does not belong here: what the parts do.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from models.core.access.service import prune as prune_access
from models.core.audit.service import heads_of, seal
from models.core.cases.service import settle
from models.core.crypto.types import CryptoProvider
from models.core.feedback.service import settle_appeals, settle_reviews
from models.core.jobs import service as jobs
from models.core.outbox.service import prune as prune_outbox
from models.core.webhooks import service as webhooks
from models.core.work.service import prune_answers
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

Job = Callable[[dict[str, Any]], None]


@dataclass
class Worker:
    """Runs rounds.

    Attributes:
        settings: Limits, what may be called.
        database: The store.
        crypto: Signs heads, reads secrets of webhooks.
        kinds: Kind of job → what does it; a job is done at least once and must bear being done again.
        send: Delivers webhooks.
        clock: Says what time it is.
        name: Of this worker, for leases and the log.
    """

    settings: Settings
    database: Database
    crypto: CryptoProvider
    kinds: dict[str, Job] = field(default_factory=dict)
    send: webhooks.Sender | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._log = structlog.get_logger("yiwang.worker")
        self._next: dict[str, datetime] = {}
        self._is_relaying = False
        self._errors: dict[str, str] = {}
        self._started = self.clock()
        self._send = self.send or HttpSender(self.settings.webhook_private)

    def run(self) -> None:
        """Rounds until :meth:`stop`; about one a second, at once again while there is more to do."""
        rest, relay = 0.0, threading.Thread(target=self._relay_on, daemon=True)
        self._is_relaying = True  # a receiver that takes its time holds up neither sealing nor the end
        relay.start()
        while not self._stop.wait(rest):
            try:
                rest = 0.0 if self.round() else 1.0
            except YiwangError as error:  # the database is away
                rest = min(max(1.0, rest * 2), _LONGEST_REST)
                self._log.warning("worker_waits", code=error.code, seconds=rest)
        relay.join(2)

    def _relay_on(self) -> None:
        while not self._stop.wait(1.0):
            try:
                self._relay(self.clock())
            except YiwangError as error:
                self._log.warning("relay_waits", code=error.code)
                self._stop.wait(5.0)

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
            at = self.clock()
            if self._stop.is_set() or at < self._next.get(name, at):
                continue
            try:
                is_more |= part(at)
                self._errors.pop(name, None)
            except Exception as error:
                if isinstance(error, YiwangError) and error.code == "YW-STORE-008":
                    raise
                self._errors[name] = error.code if isinstance(error, YiwangError) else type(error).__name__
                self._log.error("worker_part_failed", part=name, error=self._errors[name])
            self._next[name] = at + every if every > _SECOND else at
        self._beat()
        return is_more

    def _parts(self) -> Sequence[tuple[str, timedelta, Callable[[datetime], bool]]]:
        relay = () if self._is_relaying else (("webhooks", _SECOND, self._relay),)
        return (*relay, ("seal", _SECOND, self._seal), ("time", _SECOND, self._settle), ("reviews", _MINUTE, self._reviews), ("jobs", _SECOND, self._work), ("tidy", _DAY, self._tidy))

    def _seal(self, at: datetime) -> bool:
        page = 200
        return seal(self.database, self.crypto, heads_of(self.settings), at, page) == page

    def _settle(self, at: datetime) -> bool:
        page = 50
        settled = settle(self.database, at, page, self.settings.zone)
        for case_id in settled.failed:
            self._log.error("case_not_settled", case_id=str(case_id))
        return settled.due == page

    def _reviews(self, at: datetime) -> bool:
        page = 200
        return settle_reviews(self.database, self.settings, at, page) == page or settle_appeals(self.database, self.settings, at) > 0

    def _relay(self, at: datetime) -> bool:
        """Each webhook for ten seconds at most, so that the slow one does not keep the others waiting; errors of one are its own."""
        for webhook_id in webhooks.due(self.database, at):
            until = time.monotonic() + _TURN

            def is_over(until: float = until) -> bool:
                return self._stop.is_set() or time.monotonic() > until

            if self._stop.is_set():
                break
            try:
                webhooks.deliver(self.database, self.crypto, self.settings, webhook_id, self.clock(), self._send, is_over)
            except Exception as error:
                if isinstance(error, YiwangError) and error.code == "YW-STORE-008":
                    raise
                self._log.error("webhook_failed", webhook_id=str(webhook_id), error=error.code if isinstance(error, YiwangError) else type(error).__name__)
        return False

    def _work(self, at: datetime) -> bool:
        """One job, so that sealing does not wait for many; its lease is renewed while it runs."""
        taken = jobs.take(self.database, self.name, at, sorted(self.kinds))
        if taken is None:
            return False
        over = threading.Event()
        beating = threading.Thread(target=self._hold, args=(taken, over), daemon=True)
        beating.start()
        try:
            self.kinds[taken.kind](taken.payload)
        except Exception as error:
            code = error.code if isinstance(error, YiwangError) else type(error).__name__
            self._log.error("job_failed", job_id=str(taken.id), kind=taken.kind, attempt=taken.attempt, error=code)
            jobs.failed(self.database, taken, self.name, self.clock(), code)
        else:
            jobs.done(self.database, taken, self.name, self.clock())
        finally:
            over.set()
            beating.join()
        return True

    def _hold(self, taken: jobs.Taken, over: threading.Event) -> None:
        while not over.wait(jobs.LEASE.total_seconds() / 3):
            try:
                jobs.still_at_it(self.database, taken, self.name, self.clock())
            except YiwangError as error:
                self._log.warning("lease_not_renewed", job_id=str(taken.id), code=error.code)

    def _tidy(self, at: datetime) -> bool:
        page, messages = 10_000, at - timedelta(days=self.settings.keep_messages_days)
        while not self._stop.is_set() and prune_outbox(self.database, messages, page) == page:
            pass
        while not self._stop.is_set() and jobs.prune(self.database, messages, page) == page:
            pass
        prune_answers(self.database, at - timedelta(days=self.settings.keep_answers_days))
        prune_access(self.database, at)
        return False

    def _beat(self) -> None:
        with self.database.write() as session:
            session.merge(Heartbeat(worker=self.name, started_at=self._started, round_at=self.clock(), errors=dict(self._errors)))
            session.execute(sa.delete(Heartbeat).where(Heartbeat.round_at < self.clock() - _DAY))
