"""What tests of the background share: jobs, a receiver of webhooks, real workers."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from models.core.crypto.service import provider
from models.core.jobs import service as jobs
from models.core.webhooks import service
from models.core.work.service import Actor, work
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import Job, Webhook
from serving.worker.sending import HttpSender

AT = datetime(2026, 3, 2, 1, tzinfo=UTC)
NOTED = {"noted": jobs.MOST_ATTEMPTS}
WHO = Actor("u1", frozenset(), authority="test")


def enqueue(database: Database, kind: str = "noted", key: str | None = None, at: datetime = AT, **more: object) -> UUID | None:
    """One job; None where one waits under the key."""
    with work(database, WHO, at) as now:
        return jobs.enqueue(now, kind, {"n": 1}, key=key, **more)  # type: ignore[arg-type]


def state(database: Database, job_id: UUID | None) -> tuple[int, str | None, str | None]:
    """Attempts, outcome and error of a job."""
    with database.read() as session:
        found = session.get_one(Job, job_id)
        return found.attempts, found.outcome, found.error


@dataclass
class Receiver:
    """A receiver of webhooks.

    Attributes:
        answers: Status of each next request; then 204.
        heard: Event ids in the order in which they came.
        requests: Headers and bodies.
    """

    answers: list[int] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    wait: float = 0.0


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A real receiver."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            found.heard.append(self.headers["yiwang-event-id"])
            time.sleep(found.wait)
            self.send_response(found.answers.pop(0) if found.answers else 204)
            self.send_header("location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/hook?x=1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


SEND = HttpSender(is_private_allowed=True)


def hook(database: Database, settings: Settings, url: str, *topics: str) -> service.Made:
    """A webhook that is told of these topics."""
    with work(database, WHO, AT) as now:
        return service.create(now, provider(settings), "系统", url, topics)


def announce(database: Database, count: int, topic: str = "case.moved") -> list[str]:
    """So many messages; their event ids."""
    with work(database, WHO, AT) as now:
        for number in range(count):
            now.announce(topic, "case", str(number), number=number)
    with database.read() as session:
        return [str(each) for each in session.scalars(sa.text("SELECT event_id FROM outbox ORDER BY position"))][-count:]


def deliver(database: Database, settings: Settings, webhook_id: UUID, at: datetime, worker: str = "w1") -> int:
    """Have a worker tell a webhook what is due."""
    return service.deliver(database, provider(settings), settings, webhook_id, worker, lambda: at, SEND)


def expire(database: Database) -> None:
    """As if the leases of whoever was killed were over."""
    with database.write() as session:
        for table in (Job, Webhook):
            session.execute(sa.update(table).where(table.leased_until.is_not(None)).values(leased_until=AT))


def environment(settings: Settings) -> dict[str, str]:
    """Of a process that works on this store."""
    more = {"YIWANG_DATABASE_URL": settings.database_url.get_secret_value()} if settings.database_url else {}
    return os.environ | more | {"YIWANG_WEBHOOK_PRIVATE": "1", "YIWANG_HOME": str(settings.home)}


@contextmanager
def running(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A real ``yiwang worker``; killed at the end where it has not ended."""
    process = subprocess.Popen([str(Path(sys.executable).with_name("yiwang")), "worker"], env=environment(settings), stderr=subprocess.DEVNULL)
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
