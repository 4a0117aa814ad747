"""The platform and a local identity provider, each a real server, and browsers between them."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import sqlalchemy as sa
import uvicorn
from starlette.types import ASGIApp

from models.core.crypto.service import CryptoProvider, provider
from models.core.organisation.staff import add, grant
from models.core.work.service import Actor, Work, work
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import Audit, LoginSession, Unit
from serving.app import listen
from serving.auth.provider.service import Provider, client_of, provider_app, users_of
from serving.auth.provider.totp import code, step_at
from serving.auth.provider.users import rules_of
from tests.support.server import running

HTML = {"accept": "text/html"}
PASSWORD = "Qingfeng-2026"  # noqa: S105
OTP = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
SETTER_UP = Actor("setter-up", frozenset())


class Tampering(Provider):
    """A provider whose tokens a test may change before they go out."""

    change: Callable[["Tampering", dict[str, Any]], str] | None = None
    is_plain = True

    def signed(self, claims: dict[str, Any], kind: str = "JWT") -> str:
        """As the test wants it."""
        return super().signed(claims, kind) if self.change is None or not self.is_plain else self._changed(claims)

    def _changed(self, claims: dict[str, Any]) -> str:
        self.is_plain = False
        try:
            assert self.change is not None
            return self.change(self, claims)
        finally:
            self.is_plain = True


@dataclass
class World:
    """Both servers.

    Attributes:
        settings: Of the platform.
        base: Its address.
        provider: The provider behind the other.
        database: The platform's store.
        shift: Seconds by which the provider's clock is off.
    """

    settings: Settings
    base: str
    provider: Tampering
    database: Database
    crypto: CryptoProvider
    shift: list[float] = field(default_factory=lambda: [0.0])
    known: dict[str, str] = field(default_factory=dict)
    """Account → its session at the provider, which any browser of the tests may take: hashes of passwords take their time."""

    @contextmanager
    def browser(self) -> Iterator["Browser"]:
        """A browser of its own; each server's cookies go to that server, as they do by the path, not by the port."""
        with httpx.Client(headers=HTML, timeout=20) as client:
            yield Browser(self, client)

    def audit(self) -> list[tuple[str, str, str, str]]:
        """Actor, action, target and detail of all rows."""
        with self.database.read() as session:
            return [(row.actor, row.action, row.target, str(row.detail)) for row in session.scalars(sa.select(Audit).order_by(Audit.position))]

    def sessions(self) -> list[LoginSession]:
        """All sessions, the oldest first."""
        with self.database.read() as session:
            return list(session.scalars(sa.select(LoginSession).order_by(LoginSession.id)))

    def staff(self, account: str, *roles: str) -> Any:
        """Somebody who works here and can log in; administrators with an authenticator."""
        is_administrator = any(role.endswith("_administrator") for role in roles)
        users_of(self.settings).set(account, PASSWORD, rules_of(self.settings), datetime.now(UTC), name="甲某", otp=OTP if is_administrator else None)
        with work(self.database, SETTER_UP, datetime.now(UTC)) as now:
            _unit(now)
            person = add(now, self.crypto, account, "甲某", "B01")
            for role in roles:
                grant(now, person.id, role, "" if is_administrator or role in ("viewer", "operator") else "B01")
            return person.id


@dataclass
class Browser:
    """Somebody's browser: it goes where it is sent."""

    world: World
    client: httpx.Client

    def get(self, url: str, **more: Any) -> httpx.Response:
        """A page of the platform, or any address; redirects are not followed."""
        return self.client.get(url if url.startswith("http") else self.world.base + url, **more)

    def post(self, url: str, **more: Any) -> httpx.Response:
        """A form."""
        return self.client.post(url if url.startswith("http") else self.world.base + url, **more)

    def to_form(self, wanted: str = "/") -> str:
        """Goes to the provider; the address of its form."""
        sent = self.get("/login/provider", params={"next": wanted})
        assert sent.status_code == 303, sent.text
        return sent.headers["location"]

    def to_callback(self, account: str, otp: str | None = None, wanted: str = "/") -> str:
        """Fills the provider's form in; the address of the platform that it leads to."""
        form = self.to_form(wanted)
        if account in self.world.known and self.world.provider.opened(self.world.known[account]):  # the provider knows this browser: no password
            self.client.cookies.set("yiwang_provider", self.world.known[account], domain="127.0.0.1", path="/")
            return self.get(form).headers["location"]
        assert "动态口令" in self.get(form).text
        sent = self.post(form, data={"account": account, "password": PASSWORD, "code": otp or ""})
        assert sent.status_code == 303, sent.text
        self.world.known[account] = sent.cookies["yiwang_provider"]
        return sent.headers["location"]

    def log_in(self, account: str, otp: str | None = None, wanted: str = "/") -> httpx.Response:
        """The whole way; the platform's answer."""
        return self.get(self.to_callback(account, otp, wanted))

    def who(self) -> int:
        """Status of an address that anybody who is known to the operational API may ask for."""
        return self.get("/api/v1/notices", headers={"accept": "application/json"}).status_code


def otp_now(steps: int = 0) -> str:
    """The code that the administrators' authenticators show."""
    return code(OTP, step_at(datetime.now(UTC)) + steps)


def message(answer: httpx.Response) -> str:
    """What a page of ours says was wrong."""
    found = re.search(r'role="alert"[^>]*>([^<]*)<', answer.text)
    return found.group(1) if found else ""


@contextmanager
def serving(app: ASGIApp, listening: Any) -> Iterator[None]:
    """An application on a bound socket, on a thread."""
    server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_config=None, server_header=False, proxy_headers=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@contextmanager
def world(settings: Settings, **more: Any) -> Iterator[World]:
    """Both servers, empty."""
    listening = listen("127.0.0.1", 0)
    issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = settings.model_copy(update={"oidc_issuer": issuer, **more})
    shift = [0.0]
    made = Tampering(issuer, client_of(settings, "http://127.0.0.1:1"), users_of(settings), settings, lambda: datetime.fromtimestamp(time.time() + shift[0], UTC))
    with serving(provider_app(made, "127.0.0.1"), listening), running(settings) as client:
        base = str(client.base_url).rstrip("/")
        made.client = client_of(settings, base)
        database = Database(settings)
        try:
            yield World(settings, base, made, database, provider(settings), shift)
        finally:
            database.close()


def _unit(now: Work) -> None:
    if now.session.get(Unit, "B01") is None:
        now.session.add(Unit(code="B01", name="机构", kind="bureau", path="/B01/", created_at=now.at, updated_at=now.at))
        now.session.flush()
