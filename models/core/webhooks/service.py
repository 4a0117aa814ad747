"""The door to webhooks: who is told of what, and the telling: in order, at least once, signed.

Each webhook is a consumer of the outbox of its own, so that a receiver that is slow or dead holds back nobody else. What is told are
identifiers; who wants to know more asks the API, with its own rights.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.crypto.types import CryptoProvider, Place
from models.core.jobs.service import wait
from models.core.outbox import service as outbox
from models.core.webhooks.addresses import checked
from models.core.webhooks.sending import Sender, tell
from models.core.webhooks.topics import checked_topics
from models.core.work.service import Actor, Work, work
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import Webhook

RELAY = Actor("system", frozenset(), authority="relay")
LEASE = timedelta(seconds=30)
"""How long a worker has a webhook without renewing it: longer than one delivery takes."""
_RENEW = timedelta(seconds=5)
_PAGE = 50


@dataclass(frozen=True)
class Made:
    """A webhook with its secret, which is shown once."""

    id: UUID
    secret: str


def create(now: Work, crypto: CryptoProvider, name: str, url: str, topics: Sequence[str]) -> Made:
    """A new webhook; it is told of what happens from now on.

    Raises:
        YiwangError: YW-WEBHOOK-001 for an address that may not be called; YW-WEBHOOK-004 for a topic that is not there.
    """
    webhook_id, secret = now.new_id(), secrets.token_urlsafe(32)
    now.session.add(Webhook(
        id=webhook_id, name=name.strip(), url=checked(url), topics=checked_topics(topics), secret=crypto.encrypt(secret, place_of(webhook_id)), is_active=True,
        failures=0, failing_since=None, retry_at=None, last_error=None, created_at=now.at, updated_at=now.at, deleted_at=None,
        leased_by=None, leased_until=None,
    ))  # fmt: skip
    outbox.join(now, consumer_of(webhook_id))
    now.session.flush()
    now.record("webhook.created", f"webhook:{webhook_id}", topics=sorted(set(topics)))
    return Made(webhook_id, secret)


def get(session: Session, webhook_id: UUID) -> Webhook:
    """A webhook in use.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    found = session.scalars(sa.select(Webhook).where(Webhook.id == webhook_id, Webhook.deleted_at.is_(None))).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="推送订阅", key=webhook_id)
    return found


def listed(session: Session, paging: Paging) -> Page[Webhook]:
    """Webhooks in use, the oldest first."""
    return page(session, sa.select(Webhook).where(Webhook.deleted_at.is_(None)), [Webhook.id], paging)


def change(
    now: Work, webhook_id: UUID, version: int, *, name: str | None = None, url: str | None = None, topics: Sequence[str] | None = None,
    is_active: bool | None = None,
) -> Webhook:  # fmt: skip
    """Change what is given; switched on again, it goes on where it stopped, or with the oldest message that is left.

    While it is switched off nothing is kept for it beyond ``keep_messages_days``.

    Raises:
        YiwangError: YW-STORE-011, YW-STORE-010, YW-WEBHOOK-001, -004.
    """
    found = get(now.session, webhook_id)
    if found.version != version:
        raise YiwangError("YW-STORE-010")
    given = (("name", name), ("url", checked(url) if url is not None else None), ("topics", checked_topics(topics) if topics is not None else None), ("is_active", is_active))
    for column, value in given:
        if value is not None:
            setattr(found, column, value)
    found.failures, found.failing_since, found.retry_at, found.updated_at = 0, None, None, now.at
    outbox.wait_for(now, consumer_of(webhook_id), found.is_active)
    now.session.flush()
    now.record("webhook.changed", f"webhook:{webhook_id}", fields=[column for column, value in given if value is not None])
    return found


def new_secret(now: Work, crypto: CryptoProvider, webhook_id: UUID) -> Made:
    """Sign with another secret from now on.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    found, secret = get(now.session, webhook_id), secrets.token_urlsafe(32)
    found.secret, found.updated_at = crypto.encrypt(secret, place_of(webhook_id)), now.at
    now.session.flush()
    now.record("webhook.secret_changed", f"webhook:{webhook_id}")
    return Made(webhook_id, secret)


def remove(now: Work, webhook_id: UUID, version: int) -> Webhook:
    """Take a webhook out of use.

    Raises:
        YiwangError: YW-STORE-011, YW-STORE-010.
    """
    found = get(now.session, webhook_id)
    if found.version != version:
        raise YiwangError("YW-STORE-010")
    found.deleted_at = found.updated_at = now.at
    outbox.leave(now, consumer_of(webhook_id))
    now.session.flush()
    now.record("webhook.removed", f"webhook:{webhook_id}")
    return found


def due(database: Database, at: datetime) -> list[UUID]:
    """Webhooks that are to be served now, and that no worker has."""
    with database.read() as session:
        return list(session.scalars(sa.select(Webhook.id).where(*_is_due(at)).order_by(Webhook.id)))


def deliver(
    database: Database, crypto: CryptoProvider, settings: Settings, webhook_id: UUID, worker: str, clock: Callable[[], datetime], send: Sender,
    is_over: Callable[[], bool] = lambda: False,
) -> int:  # fmt: skip
    """Tell one webhook what it has not heard yet, until nothing is left or a delivery fails.

    One worker at a time has a webhook, so that each message is told once and in order however many workers there are; of one that was killed, and after a lost
    lease, a message may come twice. No transaction is open while the receiver is spoken to. It ends early where ``is_over`` says so. After a failure it is tried
    again, each time after twice the wait; after ``webhook_days`` without success the webhook is switched off, which the audit says.

    Args:
        database: The store.
        crypto: Reads the webhook's secret.
        settings: After how many days it is switched off.
        webhook_id: Which one.
        worker: Who tells it; no two workers have one name.
        clock: Says what time it is; each attempt is signed with its own.
        send: Delivers.
        is_over: Whether to leave off before the next message.

    Returns:
        Number of messages delivered.
    """
    lease = _Lease(database, webhook_id, worker, clock)
    try:
        if not outbox.read(database, consumer_of(webhook_id), 1) or not lease.begin():  # asking first: a lease a second each would be felt by all who write
            return 0
        try:
            count, fault = _tell_all(database, crypto, webhook_id, lease, clock, send, is_over)
            if fault is not None:
                _failed(database, settings, webhook_id, clock(), fault, is_first=count > 0)
                return count
        finally:
            lease.end()
    except YiwangError as error:
        if error.code == "YW-OUTBOX-001":  # removed meanwhile
            return 0
        raise
    if count:
        with database.write() as session:
            well = sa.update(Webhook).where(Webhook.id == webhook_id, Webhook.failures > 0)
            session.execute(well.values(failures=0, failing_since=None, retry_at=None, last_error=None))
    return count


def _tell_all(
    database: Database, crypto: CryptoProvider, webhook_id: UUID, lease: "_Lease", clock: Callable[[], datetime], send: Sender, is_over: Callable[[], bool]
) -> tuple[int, str | None]:
    """How many messages were told, and what went wrong then."""
    consumer, count, is_more = consumer_of(webhook_id), 0, True
    with database.read() as session:
        found = session.get_one(Webhook, webhook_id)
        url, topics, secret = found.url, set(found.topics), crypto.decrypt(found.secret, place_of(webhook_id))
    while is_more and not is_over():
        messages, passed = outbox.read(database, consumer, _PAGE), None  # passed: of other topics, said to be done together
        is_more, fault = len(messages) == _PAGE, None
        for message in messages:
            if topics and message.topic not in topics:
                passed = message
                continue
            if is_over() or not lease.holds():
                is_more = False
                break
            if (fault := tell(message, url, secret, clock(), send)) is not None:
                break
            outbox.done(database, consumer, message, clock())
            count, passed = count + 1, None
        if passed is not None:
            outbox.done(database, consumer, passed, clock())
        if fault is not None:
            return count, fault
    return count, None


class _Lease:
    """That one worker has a webhook."""

    def __init__(self, database: Database, webhook_id: UUID, worker: str, clock: Callable[[], datetime]) -> None:
        self._database, self._webhook_id, self._worker, self._clock = database, webhook_id, worker, clock
        self._since = datetime.min

    def begin(self) -> bool:
        """Take it; False where it is not due, or another worker has it."""
        self._since = self._clock()
        return self._set(self._since + LEASE, *_is_due(self._since))

    def holds(self) -> bool:
        """Renew it when it is some seconds old; False where another worker has it by now, or it is out of use."""
        at = self._clock()
        if at - self._since < _RENEW:
            return True
        self._since = at
        return self._set(at + LEASE, Webhook.leased_by == self._worker, Webhook.deleted_at.is_(None), Webhook.is_active.is_(True))

    def end(self) -> None:
        """Leave it to whoever comes next."""
        self._set(None, Webhook.leased_by == self._worker)

    def _set(self, until: datetime | None, *conditions: sa.ColumnElement[bool]) -> bool:
        with self._database.write() as session:
            mine = sa.update(Webhook).where(Webhook.id == self._webhook_id, *conditions)
            taking = mine.values(leased_until=until, leased_by=self._worker if until else None).execution_options(synchronize_session=False)
            return int(getattr(session.execute(taking), "rowcount", 0)) == 1


def _is_due(at: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        Webhook.deleted_at.is_(None), Webhook.is_active.is_(True), sa.or_(Webhook.retry_at.is_(None), Webhook.retry_at <= at),
        sa.or_(Webhook.leased_until.is_(None), Webhook.leased_until <= at),
    )  # fmt: skip


def _failed(database: Database, settings: Settings, webhook_id: UUID, at: datetime, fault: str, *, is_first: bool) -> None:
    with work(database, RELAY, at) as now:
        found = now.session.get(Webhook, webhook_id, with_for_update=True)
        if found is None:
            return
        if is_first:  # what was delivered just before ends the row of failures
            found.failures, found.failing_since = 0, None
        found.failures, found.last_error, found.failing_since = found.failures + 1, fault, found.failing_since or at
        found.retry_at = at + wait(found.failures)
        if at - found.failing_since >= timedelta(days=settings.webhook_days):
            found.is_active = False
            outbox.wait_for(now, consumer_of(webhook_id), is_waited_for=False)
            now.record("webhook.switched_off", f"webhook:{webhook_id}", since=found.failing_since.isoformat(), error=fault)


def consumer_of(webhook_id: UUID) -> str:
    """The webhook as a consumer of the outbox."""
    return f"webhook:{webhook_id}"


def place_of(webhook_id: UUID) -> Place:
    """Where its secret is kept."""
    return Place(Webhook.__tablename__, "secret", webhook_id)
