"""Who asks for what: systems of many units with keys of their own, and the mix of their requests."""

import itertools
import json
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from bench.load.client import Connections
from models.core.access.service import confirm_key, issue_key
from models.core.policy.service import Grant
from models.core.work.service import Actor, Work, work
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import CaseFile, MatterVersion, Party

MIX = {"case": 0.35, "events": 0.10, "party": 0.05, "tasks": 0.18, "cases": 0.12, "write": 0.20}
"""Share of each kind of request: half single reads, three tenths lists, a fifth writes."""
ROLES = ("clerk", "handler", "reviewer", "approver", "issuer")
LIFE = ("submit", "pass", "accept", "handle", "review", "grant", "issue", "deliver")
_HANDS = {"review": 1, "grant": 2}
"""Action → which of a unit's systems takes it: review and decision stand apart from handling; all else is the first one's."""
_UNITS = 20


@dataclass
class Desk:
    """A unit's systems: their keys, cases to look at, what they may apply for, cases under way with their next step."""

    headers: list[str]
    cases: list[UUID]
    matters: list[str]
    under_way: deque[tuple[str, int]] = field(default_factory=deque)


@dataclass
class Town:
    """All of them.

    Attributes:
        desks: One a unit.
        parties: Parties to look at and to apply for.
        connections: To the server.
        wrong: What was answered other than asked for, by status and code.
    """

    desks: list[Desk]
    parties: list[UUID]
    connections: Connections
    wrong: dict[str, int] = field(default_factory=dict)
    _keys: "itertools.count[int]" = field(default_factory=itertools.count)
    _run: str = field(default_factory=lambda: f"{datetime.now(UTC):%H%M%S%f}")

    async def ask(self, randomly: random.Random) -> tuple[str, int]:
        """One request by the mix."""
        desk = randomly.choice(self.desks)
        match randomly.choices(list(MIX), list(MIX.values()))[0]:
            case "case":
                return "read", await self._get(desk, f"/api/v1/cases/{randomly.choice(desk.cases)}")
            case "events":
                return "read", await self._get(desk, f"/api/v1/cases/{randomly.choice(desk.cases)}/events")
            case "party":
                return "read", await self._get(desk, f"/api/v1/parties/{randomly.choice(self.parties)}")
            case "tasks":
                return "list", await self._get(desk, "/api/v1/tasks?limit=20")
            case "cases":
                return "list", await self._get(desk, f"/api/v1/cases?limit=20&phase={randomly.choice(('closed', 'in_approval', 'received'))}")
            case _:
                return "write", await self._write(desk, randomly)

    async def _write(self, desk: Desk, randomly: random.Random) -> int:
        """The next step of a case under way, or a new application."""
        if not desk.under_way or randomly.random() < 1 / len(LIFE):
            body = {"matter_code": randomly.choice(desk.matters), "applicant_id": str(randomly.choice(self.parties)), "channel_code": "1", "form": {"说明": "压力测试", "地址": "样例路 1 号"}}
            status, made = await self._post(desk, "/api/v1/cases", body)
            if status == 201:
                desk.under_way.append((made["id"], 0))
            return status
        case_id, done = desk.under_way.popleft()
        status, _ = await self._post(desk, f"/api/v1/cases/{case_id}/actions", {"action": LIFE[done]}, _HANDS.get(LIFE[done], 0))
        if status == 200 and done + 1 < len(LIFE):
            desk.under_way.append((case_id, done + 1))
        return status

    async def _get(self, desk: Desk, path: str) -> int:
        answer = await self.connections.ask("GET", path, desk.headers[0])
        return self._noted(answer.status, answer.body)

    async def _post(self, desk: Desk, path: str, body: Mapping[str, object], hand: int = 0) -> tuple[int, dict[str, str]]:
        header = f"{desk.headers[hand]}idempotency-key: load-{self._run}-{next(self._keys)}\r\n"
        answer = await self.connections.ask("POST", path, header, json.dumps(body).encode())
        return self._noted(answer.status, answer.body), json.loads(answer.body) if answer.status in (200, 201) else {}

    def _noted(self, status: int, body: bytes) -> int:
        if not 200 <= status < 300:
            what = f"{status} {json.loads(body).get('code', '')}" if body[:1] == b"{" else str(status)
            self.wrong[what] = self.wrong.get(what, 0) + 1
        return status


def _key(now: Work, unit: str) -> str:
    issued = issue_key(now, f"bench {unit}", [Grant(role, unit) for role in ROLES], now.at + timedelta(days=1), unit)
    confirm_key(replace(now, actor=Actor("bench too", frozenset())), issued.id)
    return issued.secret


def settle_in(settings: Settings, port: int, connections: int) -> Town:
    """Keys for the largest units, and what they will ask for."""
    database, at, desks = Database(settings), datetime.now(UTC), []
    with database.read() as session:
        recent = sa.select(CaseFile.unit_code).where(CaseFile.kind == "public").order_by(CaseFile.id.desc()).limit(50_000).subquery()
        units = session.scalars(sa.select(recent.c.unit_code).group_by(recent.c.unit_code).order_by(sa.func.count().desc()).limit(_UNITS)).all()
        parties = list(session.scalars(sa.select(Party.id).limit(5000)))
        for unit in units:
            cases = list(session.scalars(sa.select(CaseFile.id).where(CaseFile.unit_code == unit, CaseFile.kind == "public").limit(2000)))
            current = sa.select(MatterVersion.code).where(MatterVersion.unit_code == unit, MatterVersion.effective_to.is_(None))
            desks.append((unit, cases, list(session.scalars(current.limit(100)))))
    with work(database, Actor("bench", frozenset()), at) as now:
        made = [Desk([f"authorization: Bearer {_key(now, unit)}\r\n" for _ in range(3)], cases, matters) for unit, cases, matters in desks if cases and matters]
    database.close()
    return Town(made, parties, Connections(port, connections))
