"""A real server of the operational API with an organisation, matters, people and systems of its own."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import sqlalchemy as sa

from models.core.access.service import begin_session
from models.core.cases.service import publish
from models.core.crypto.service import provider
from models.core.crypto.types import CryptoProvider
from models.core.matters.service import NewVersion
from models.core.matters.service import publish as publish_matter
from models.core.organisation.staff import add, grant
from models.core.parties.service import register
from models.core.policy.service import Grant
from models.core.processes.service import shipped
from models.core.work.service import Actor, Work, work
from models.domain.clock import Limits
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import Unit
from serving.auth.accounts import COOKIE
from tests.support.operational import system_key
from tests.support.server import running

SETTER_UP = Actor("set-up", frozenset(), authority="test")
MATTER = "11430104MB1500000100M1"
LICENCE = Limits(type_code="01", promised_limit=10, promised_limit_unit="wd", statutory_limit=20, statutory_limit_unit="wd")
ROLES = ("clerk", "handler", "reviewer", "approver", "issuer", "head")
IDS = ("11010519491231002X", "440524188001010014")
_KEYS = itertools.count()


def key() -> dict[str, str]:
    """A header with an idempotency key that nobody used."""
    return {"idempotency-key": f"test-key-{next(_KEYS):08d}"}


@dataclass
class City:
    """Who is who.

    Attributes:
        client: Of the server, without credentials.
        keys: Role → headers of a system that holds it in B01; ``other``: a clerk, handler and approver of B02; administrators are people.
        citizens: Headers of two citizens, with sessions.
        parties: Their parties.
        staff: Role → headers of a person who holds it.
    """

    client: httpx.Client
    settings: Settings
    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    citizens: list[dict[str, str]] = field(default_factory=list)
    parties: list[UUID] = field(default_factory=list)
    staff: dict[str, dict[str, str]] = field(default_factory=dict)

    def post(self, path: str, headers: dict[str, str], body: Any = None, **more: str) -> httpx.Response:
        """A POST with a new key."""
        return self.client.post(path, json=body, headers=headers | key() | more)

    def get(self, path: str, headers: dict[str, str], **parameters: Any) -> httpx.Response:
        """A GET."""
        return self.client.get(path, headers=headers, params=parameters)

    def draft(self, who: int = 0, **more: Any) -> dict[str, Any]:
        """A citizen's draft."""
        answer = self.post("/api/v1/cases", self.citizens[who], {"matter_code": MATTER, "channel_code": "2", "form": {"场所名称": "清风浴室"}} | more)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def act(self, case_id: str, headers: dict[str, str], action: str, **more: Any) -> httpx.Response:
        """An action on a case."""
        return self.post(f"/api/v1/cases/{case_id}/actions", headers, {"action": action} | more)


def set_up(now: Work, crypto: CryptoProvider) -> None:
    """Units, processes, a matter."""
    for code, parent in (("C", None), ("B01", "C"), ("B02", "C"), ("B01-1", "B01")):
        path = {"C": "/C/", "B01": "/C/B01/", "B02": "/C/B02/", "B01-1": "/C/B01/B01-1/"}[code]
        now.session.add(Unit(code=code, name=f"机构 {code}", kind="bureau", parent_code=parent, path=path, created_at=now.at, updated_at=now.at))
        now.session.flush()
    for process in shipped().values():
        publish(now, process)
    now.session.flush()
    publish_matter(now, NewVersion(MATTER, "公共场所卫生许可", "B01", "licence", date(2026, 1, 1), LICENCE, is_commitment=True))


@contextmanager
def city(settings: Settings) -> Iterator[City]:
    """A server with everybody in it."""
    with running(settings) as client:
        database, crypto, at = Database(settings), provider(settings), datetime.now(UTC)
        known = City(client, settings)
        with work(database, SETTER_UP, at) as now:
            if now.session.scalar(sa.select(sa.func.count()).select_from(Unit)) == 0:
                set_up(now, crypto)
            for role in ROLES:
                known.keys[role] = _bearer(system_key(now, role, [Grant(role, "B01")], at + timedelta(days=1), "B01"))
            elsewhere = [Grant(role, "B02") for role in ROLES]
            known.keys["other"] = _bearer(system_key(now, "other", elsewhere, at + timedelta(days=1), "B02"))
            known.keys["all"] = _bearer(system_key(now, "all", [Grant(role, "B01") for role in ROLES], at + timedelta(days=1), "B01"))
            for name, number in zip(("甲某", "乙某"), IDS, strict=True):
                party = register(now, crypto, "person", name, "111", number, "13900000000")
                known.parties.append(party.id)
                known.citizens.append(_cookie(begin_session(now, settings, f"party:{party.id}").secret))
            for role in ("system_administrator", "security_administrator", "audit_administrator"):
                person = add(now, crypto, role, role, "C")
                grant(now, person.id, role)
                known.staff[role] = _cookie(begin_session(now, settings, f"staff:{person.id}", methods=["pwd", "otp"]).secret)
        database.close()
        yield known


def _bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def _cookie(secret: str) -> dict[str, str]:
    return {"cookie": f"{COOKIE}={secret}"}
