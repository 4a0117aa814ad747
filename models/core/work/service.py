"""A unit of work: one transaction in which somebody changes something, with its audit and its announcements.

Services take a :class:`Work`, change rows in its session and never commit: state, event, outbox and audit are written
together or not at all. What does not belong here: whether the actor may (policy), and what is changed.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from models.core.crypto.types import CryptoProvider, Place
from models.domain.errors import YiwangError
from models.domain.ids import uuid7
from models.store.operational.database import Database
from models.store.operational.tables import Audit, Idempotency, Outbox


def _into(table: Any) -> tuple[sa.Insert, sa.Insert]:
    """How a row is put into a table whose rows are read in order of commit: on SQLite, and on PostgreSQL, where it carries its transaction."""
    plain = sa.insert(table).inline()
    return plain, plain.values(transaction=sa.text("pg_current_xact_id()::text::bigint"))


# built once: every change writes into these tables, and building a statement costs as much as running it
_INTO_AUDIT, _INTO_OUTBOX = _into(Audit.__table__), _into(Outbox.__table__)
_INTO_ANSWERS = sa.insert(Idempotency.__table__)  # type: ignore[arg-type]
_ANSWERED = sa.select(Idempotency.request_digest, Idempotency.answer).where(Idempotency.id == sa.bindparam("name"))


@dataclass(frozen=True)
class Actor:
    """Who does something.

    Attributes:
        name: Identifier of the person, system or timer.
        roles: Roles held for what is done.
        unit_code: Organisation unit on whose behalf.
        authority: On what the right rests, for the record: role and unit, or an authorisation.
    """

    name: str
    roles: frozenset[str]
    unit_code: str = ""
    authority: str = ""


@dataclass(frozen=True)
class Work:
    """One transaction of one actor.

    Attributes:
        session: The transaction.
        actor: Who.
        at: When: one instant for the whole.
        is_postgresql: Positions are given before commits are ordered: rows carry their transaction.
    """

    session: Session
    actor: Actor
    at: datetime
    is_postgresql: bool

    def new_id(self) -> UUID:
        """An identifier that sorts by time (UUIDv7, RFC 9562)."""
        return uuid7(self.at)

    def record(self, action: str, target: str, **detail: Any) -> None:
        """Write down for the audit what is done; no personal data in clear."""
        row = {"at": self.at, "actor": self.actor.name, "authority": self.actor.authority, "action": action, "target": target, "detail": detail}
        self.session.execute(_INTO_AUDIT[self.is_postgresql], row)

    def announce(self, topic: str, aggregate: str, aggregate_id: str, **payload: Any) -> None:
        """Tell the sync, webhooks and notifications, at least once, after the commit."""
        row = {"event_id": self.new_id(), "topic": topic, "aggregate": aggregate, "aggregate_id": aggregate_id, "payload": payload, "created_at": self.at}
        self.session.execute(_INTO_OUTBOX[self.is_postgresql], row)

    def answered(self, crypto: CryptoProvider, key: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """What the same request with this key was answered, None when it is new.

        Raises:
            YiwangError: YW-CORE-005 where the key was used for another request.
        """
        name = _named(self.actor, key)
        known = self.session.execute(_ANSWERED, {"name": name}).one_or_none()
        if known is None:
            return None
        if known.request_digest != _digest(request):
            raise YiwangError("YW-CORE-005", key=key)
        answer: dict[str, Any] = json.loads(crypto.decrypt(known.answer, _place(name)))
        return answer

    def answer(self, crypto: CryptoProvider, key: str, request: Mapping[str, Any], answer: dict[str, Any]) -> None:
        """Keep the answer to a request, encrypted; of two at once the second fails and reads the first's."""
        name = _named(self.actor, key)
        kept = crypto.encrypt(json.dumps(answer, ensure_ascii=False), _place(name))
        self.session.execute(_INTO_ANSWERS, {"id": name, "request_digest": _digest(request), "answer": kept, "created_at": self.at})


@contextmanager
def work(database: Database, actor: Actor, at: datetime) -> Iterator[Work]:
    """Begin a unit of work; it is committed when the block ends well.

    Raises:
        YiwangError: YW-STORE-010 where somebody else was faster; YW-STORE-008 where the database is away.
    """
    try:
        with database.write() as session:
            yield Work(session, actor, at, not database.is_sqlite)
    except StaleDataError as error:
        raise YiwangError("YW-STORE-010") from error
    except sa.exc.IntegrityError as error:
        raise YiwangError("YW-STORE-010") from error


def prune_answers(database: Database, before: datetime, limit: int = 10_000) -> int:
    """Forget answers to requests older than ``before``: the same request again is then a new one.

    Returns:
        Number of answers forgotten; call again while it equals ``limit``. A day's answers at once would hold up every writer.
    """
    old = sa.select(Idempotency.id).where(Idempotency.created_at < before).order_by(Idempotency.created_at).limit(limit)
    with database.write() as session:
        removing = sa.delete(Idempotency).where(Idempotency.id.in_(old)).execution_options(synchronize_session=False)
        return int(getattr(session.execute(removing), "rowcount", 0))


def _named(actor: Actor, key: str) -> UUID:
    return UUID(bytes=hashlib.sha256(f"{actor.name}\n{key}".encode()).digest()[:16])


def _place(name: UUID) -> Place:
    return Place(Idempotency.__tablename__, "answer", name)


def _digest(request: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()
