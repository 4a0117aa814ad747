"""The door to the outbox: what was announced, in order of commit, to each consumer at least once.

Messages are written by :meth:`models.core.work.service.Work.announce` within the change that they tell of. A consumer reads,
does what it does, and says how far it has come; after a crash in between it reads the same again and knows it by ``event_id``.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.store.operational.database import Database
from models.store.operational.order import is_settled, next_transaction, oldest_open
from models.store.operational.tables import Consumer, Outbox


@dataclass(frozen=True)
class Message:
    """Something that happened.

    Attributes:
        event_id: What consumers know it by, should it come twice.
        topic: What happened, ``case.moved``.
        aggregate: To what kind of thing.
        aggregate_id: To which.
        payload: What else is told.
        created_at: When.
        place: Where it stands in the order of commit: transaction (0 on SQLite) and position.
    """

    event_id: UUID
    topic: str
    aggregate: str
    aggregate_id: str
    payload: dict[str, Any]
    created_at: datetime
    place: tuple[int, int]


def subscribe(database: Database, consumer: str, at: datetime) -> None:
    """Make a consumer known: it reads from the oldest message kept, and nothing is pruned that it has not read. Again: nothing."""
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    with database.write() as session:
        new = insert(Consumer).values(name=consumer, transaction=0, position=0, updated_at=at)
        session.execute(new.on_conflict_do_nothing())


def join(now: Work, consumer: str) -> None:
    """Make a consumer known within a unit of work: it reads what is announced from now on, on PostgreSQL also what commits meanwhile."""
    oldest = oldest_open(now.session)
    if oldest is None:
        place = (0, now.session.scalar(sa.select(sa.func.max(Outbox.position))) or 0)
    else:
        place = (oldest - 1, 2**62)
    now.session.add(Consumer(name=consumer, transaction=place[0], position=place[1], updated_at=now.at))
    now.session.flush()


def leave(now: Work, consumer: str) -> None:
    """Forget a consumer within a unit of work."""
    now.session.execute(sa.delete(Consumer).where(Consumer.name == consumer))


def unsubscribe(database: Database, consumer: str) -> None:
    """Forget a consumer: nothing is kept for it any more."""
    with database.write() as session:
        session.execute(sa.delete(Consumer).where(Consumer.name == consumer))


def read(database: Database, consumer: str, limit: int = 100) -> list[Message]:
    """The next messages of a consumer, in order of commit; the same again until it says :func:`done`.

    A transaction that is open holds back what was committed after it began, so that nothing is ever passed over.

    Raises:
        YiwangError: YW-OUTBOX-001 for a consumer nobody knows; YW-OUTBOX-002 where its position is of another server.
    """
    with database.read() as session:
        known = session.get(Consumer, consumer)
        if known is None:
            raise YiwangError("YW-OUTBOX-001", consumer=consumer)
        end = next_transaction(session)
        if end is not None and known.transaction >= end:
            raise YiwangError("YW-OUTBOX-002", consumer=consumer)
        query = sa.select(Outbox).where(_is_after(session, (known.transaction, known.position)), is_settled(session, Outbox.transaction))
        rows = session.scalars(query.order_by(*_order(session)).limit(limit)).all()
        return [
            Message(row.event_id, row.topic, row.aggregate, row.aggregate_id, row.payload, row.created_at, (row.transaction or 0, row.position))
            for row in rows
        ]  # fmt: skip


def done(database: Database, consumer: str, message: Message, at: datetime) -> None:
    """A consumer has dealt with this message and all before it; saying so again, or late, changes nothing."""
    with database.write() as session:
        place = sa.tuple_(*(sa.literal(number, sa.BigInteger) for number in message.place))
        moving = sa.update(Consumer).where(Consumer.name == consumer, sa.tuple_(Consumer.transaction, Consumer.position) < place)
        session.execute(moving.values(transaction=message.place[0], position=message.place[1], updated_at=at))


def prune(database: Database, before: datetime, limit: int = 10_000) -> int:
    """Remove messages older than ``before`` that all consumers have dealt with; none where there is no consumer.

    The newest message always stays: SQLite would give its position again.

    Returns:
        Number of messages removed; call again while it equals ``limit``.
    """
    with database.write() as session:
        places = [(row.transaction, row.position) for row in session.scalars(sa.select(Consumer))]
        if not places:
            return 0
        old = sa.select(Outbox.position).where(
            Outbox.created_at < before, sa.not_(_is_after(session, min(places))), Outbox.position < sa.select(sa.func.max(Outbox.position)).scalar_subquery()
        )  # fmt: skip
        removing = sa.delete(Outbox).where(Outbox.position.in_(old.order_by(*_order(session)).limit(limit).scalar_subquery()))
        return int(getattr(session.execute(removing.execution_options(synchronize_session=False)), "rowcount", 0))


def rebase(database: Database) -> None:
    """After a logical backup was read into another PostgreSQL server, whose transactions count anew.

    Every consumer reads what is kept once more, in order of position, before anything new.
    """
    with database.write() as session:
        if not database.is_sqlite:
            session.execute(sa.update(Outbox).values(transaction=0))
            session.execute(sa.update(Consumer).values(transaction=0, position=0))


def _is_after(session: Session, place: tuple[int, int]) -> sa.ColumnElement[bool]:
    if session.get_bind().dialect.name == "sqlite":
        return Outbox.position > place[1]
    return sa.tuple_(Outbox.transaction, Outbox.position) > sa.tuple_(*(sa.literal(number, sa.BigInteger) for number in place))


def _order(session: Session) -> tuple[Any, ...]:
    return (Outbox.position,) if session.get_bind().dialect.name == "sqlite" else (Outbox.transaction, Outbox.position)
