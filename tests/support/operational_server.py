"""The operational API as a process of its own, to be killed, with clients that remember what was acknowledged."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from models.core.crypto.service import provider
from models.core.parties.service import register
from models.core.policy.service import Grant
from models.core.work.service import work
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.migration import upgrade
from tests.support.operational import system_key
from tests.support.operational_api import MATTER, ROLES, SETTER_UP, set_up

YIWANG = str(Path(sys.executable).with_name("yiwang"))
LIFE = ("submit", "pass", "accept", "handle", "review", "grant", "issue", "deliver")
_HANDS = {"review": 1, "grant": 2}
"""Action → which of the systems takes it: review and decision stand apart from handling; all else is the first one's."""


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """For processes on the same store."""
    url = {"YIWANG_DATABASE_URL": settings.database_url.get_secret_value()} if settings.database_url else {}
    return os.environ | url | {"YIWANG_HOME": str(settings.home)} | more


def prepared(settings: Settings) -> tuple[list[dict[str, str]], str]:
    """A store with an organisation and a matter; headers of three systems that hold all roles, and a party."""
    database, crypto, at = Database(settings), provider(settings), datetime.now(UTC)
    upgrade(database)
    with work(database, SETTER_UP, at) as now:
        set_up(now, crypto)
        grants = [Grant(role, "B01") for role in ROLES]
        secrets = [system_key(now, f"all {number}", grants, at + timedelta(days=1), "B01") for number in range(3)]
        party = register(now, crypto, "person", "甲某", "111", "11010519491231002X").id
    database.close()
    return [{"authorization": f"Bearer {secret}"} for secret in secrets], str(party)


@contextmanager
def serving(settings: Settings, port: int, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """The server on a port, ready to answer."""
    process = subprocess.Popen([YIWANG, "serve", "--no-worker", "--port", str(port)], env=environment(settings, **more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until_alive(port, process)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def until_alive(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait for the server."""
    end = time.monotonic() + 60
    while True:
        assert process.poll() is None and time.monotonic() < end
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)


@dataclass
class Client:
    """Takes case after case through its life; asks again with the same key where no answer came.

    Attributes:
        acknowledged: Case → actions that were answered with success, in order.
        drafted: Cases whose drafting was acknowledged.
        refused: Answers that were no success, and no sign of a dead server.
    """

    port: int
    headers: list[dict[str, str]]
    party: str
    number: int
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _count: int = 0

    def run(self) -> None:
        """Until ``over``."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10) as asking:
            while not self.over.is_set():
                made = self._sure(asking, "/api/v1/cases", {"matter_code": MATTER, "applicant_id": self.party, "channel_code": "1", "form": {"n": str(self.number)}})
                if made is None:
                    continue
                done = self.acknowledged.setdefault(made["id"], [])
                for action in LIFE:
                    if self.over.is_set() or self._sure(asking, f"/api/v1/cases/{made['id']}/actions", {"action": action}, _HANDS.get(action, 0)) is None:
                        break
                    done.append(action)

    def _sure(self, asking: httpx.Client, path: str, body: dict[str, Any], hand: int = 0) -> dict[str, Any] | None:
        """The same request with the same key until it is answered; None where it was refused, or all is over."""
        self._count += 1
        headers = self.headers[hand] | {"idempotency-key": f"client-{self.number}-{self._count:06d}"}
        while not self.over.is_set():
            try:
                answer = asking.post(path, json=body, headers=headers)
            except httpx.HTTPError:
                time.sleep(0.02)
                continue
            if answer.status_code in (200, 201):
                return dict(answer.json())
            if answer.status_code != 503:
                self.refused.append(answer.text)
                return None
            time.sleep(0.02)
        return None
