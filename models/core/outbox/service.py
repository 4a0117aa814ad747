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

_MOST_COUNTED = 10_000


@dataclass(frozen=True)
class Lag:
    """How far a consumer is behind.

    Attributes:
        consumer: Which one.
        is_waited_for: Whether what it has not read is kept for it.
        unread: Messages that it has not read; 10,001 stands for more than 10,000.
        oldest_at: When the oldest of them was announced.
    """

    consumer: str
    is_waited_for: bool
    unread: int
    oldest_at: datetime | None


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
    now.session.add(Consumer(name=consumer, transaction=place[0], position=place[1], updated_at=now.at, is_waited_for=True))
    now.session.flush()


def wait_for(now: Work, consumer: str, is_waited_for: bool) -> None:
    """Whether messages that a consumer has not read are kept for it within a unit of work; one that is not waited for goes on with what is left."""
    now.session.execute(sa.update(Consumer).where(Consumer.name == consumer).values(is_waited_for=is_waited_for))


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
        end = next_transaction(session)
        if end is not None and _known(session, consumer).transaction >= end:
            raise YiwangError("YW-OUTBOX-002", consumer=consumer)
        return [message_of(row) for row in session.scalars(sa.select(Outbox).where(is_unread(session, consumer)).order_by(*keys(session)).limit(limit))]


def message_of(row: Outbox) -> Message:
    """A row as consumers see it."""
    return Message(row.event_id, row.topic, row.aggregate, row.aggregate_id, row.payload, row.created_at, (row.transaction or 0, row.position))


def is_unread(session: Session, consumer: str) -> sa.ColumnElement[bool]:
    """Whether a row is one that a consumer may read next, or after that.

    Raises:
        YiwangError: YW-OUTBOX-001 for a consumer nobody knows.
    """
    return sa.and_(is_after(session, consumer), is_settled(session, Outbox.transaction))


def is_after(session: Session, consumer: str) -> sa.ColumnElement[bool]:
    """Whether a consumer has not dealt with a row yet, which may still be held back.

    Raises:
        YiwangError: YW-OUTBOX-001 for a consumer nobody knows.
    """
    known = _known(session, consumer)
    return _is_after(session, (known.transaction, known.position))


def keys(session: Session) -> list[Any]:
    """What orders rows by commit."""
    return [Outbox.position] if _is_sqlite(session) else [Outbox.transaction, Outbox.position]


def done(database: Database, consumer: str, message: Message, at: datetime) -> None:
    """A consumer has dealt with this message and all before it; saying so again, or late, changes nothing."""
    with database.write() as session:
        move(session, consumer, message, at)


def move(session: Session, consumer: str, message: Message, at: datetime) -> None:
    """As :func:`done`, within a transaction."""
    place = sa.tuple_(*(sa.literal(number, sa.BigInteger) for number in message.place))
    moving = sa.update(Consumer).where(Consumer.name == consumer, sa.tuple_(Consumer.transaction, Consumer.position) < place)
    session.execute(moving.values(transaction=message.place[0], position=message.place[1], updated_at=at))


def lags(session: Session) -> list[Lag]:
    """How far each consumer is behind; one query, by index, that counts no further than 10,000 each."""
    after = Outbox.position > Consumer.position
    if not _is_sqlite(session):
        after = sa.tuple_(Outbox.transaction, Outbox.position) > sa.tuple_(Consumer.transaction, Consumer.position)
    some = sa.select(Outbox.position).where(after).correlate(Consumer).limit(_MOST_COUNTED + 1).subquery()
    count = sa.select(sa.func.count()).select_from(some).scalar_subquery()
    oldest = sa.select(Outbox.created_at).where(after).correlate(Consumer).order_by(*keys(session)).limit(1).scalar_subquery()
    rows = session.execute(sa.select(Consumer.name, Consumer.is_waited_for, count, oldest).order_by(Consumer.name))
    return [Lag(*row) for row in rows]


def prune(database: Database, before: datetime, limit: int = 10_000) -> int:
    """Remove messages older than ``before`` that all consumers have dealt with for whom is waited; all of that age where there is none.

    The newest message always stays: SQLite would give its position again.

    Returns:
        Number of messages removed; call again while it equals ``limit``.
    """
    with database.write() as session:
        places = [(row.transaction, row.position) for row in session.scalars(sa.select(Consumer).where(Consumer.is_waited_for))]
        is_read = sa.not_(_is_after(session, min(places))) if places else sa.true()
        newest = sa.select(sa.func.max(Outbox.position)).scalar_subquery()
        old = sa.select(Outbox.position).where(Outbox.created_at < before, is_read, Outbox.position < newest)
        removing = sa.delete(Outbox).where(Outbox.position.in_(old.order_by(*keys(session)).limit(limit).scalar_subquery()))
        return int(getattr(session.execute(removing.execution_options(synchronize_session=False)), "rowcount", 0))


def rebase(database: Database) -> None:
    """After a logical backup was read into another PostgreSQL server, whose transactions count anew.

    Every consumer reads what is kept once more, in order of position, before anything new.
    """
    with database.write() as session:
        if not database.is_sqlite:
            session.execute(sa.update(Outbox).values(transaction=0))
            session.execute(sa.update(Consumer).values(transaction=0, position=0))


def _known(session: Session, consumer: str) -> Consumer:
    if (known := session.get(Consumer, consumer)) is None:
        raise YiwangError("YW-OUTBOX-001", consumer=consumer)
    return known


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def _is_after(session: Session, place: tuple[int, int]) -> sa.ColumnElement[bool]:
    if _is_sqlite(session):
        return Outbox.position > place[1]
    return sa.tuple_(Outbox.transaction, Outbox.position) > sa.tuple_(*(sa.literal(number, sa.BigInteger) for number in place))
