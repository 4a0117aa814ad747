"""The door to webhooks: who is told of what, and the telling: in order, at least once, signed.

Each webhook is a consumer of the outbox of its own, so that a receiver that is slow or dead holds back nobody else. What is told are
identifiers; who wants to know more asks the API, with its own rights.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.crypto.types import CryptoProvider, Place
from models.core.jobs.service import wait
from models.core.outbox import service as outbox
from models.core.outbox.service import Message
from models.core.webhooks.addresses import checked
from models.core.work.service import Actor, Work, work
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import Webhook

RELAY = Actor("system", frozenset(), authority="relay")
_PAGE = 50


class Sender(Protocol):
    """Delivers a body to an address."""

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer.

        Raises:
            OSError: It could not be delivered.
            YiwangError: YW-WEBHOOK-001 where the address may not be called.
        """


@dataclass(frozen=True)
class Made:
    """A webhook with its secret, which is shown once."""

    id: UUID
    secret: str


def create(now: Work, crypto: CryptoProvider, name: str, url: str, topics: Sequence[str]) -> Made:
    """A new webhook; it is told of what happens from now on.

    Raises:
        YiwangError: YW-WEBHOOK-001 for an address that may not be called.
    """
    webhook_id, secret = now.new_id(), secrets.token_urlsafe(32)
    now.session.add(Webhook(
        id=webhook_id, name=name.strip(), url=checked(url), topics=sorted(set(topics)), secret=crypto.encrypt(secret, _place(webhook_id)), is_active=True,
        failures=0, failing_since=None, retry_at=None, last_error=None, created_at=now.at, updated_at=now.at, deleted_at=None,
    ))  # fmt: skip
    outbox.join(now, _consumer(webhook_id))
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
    """Change what is given; switched on again, it goes on where it stopped.

    Raises:
        YiwangError: YW-STORE-011, YW-STORE-010, YW-WEBHOOK-001.
    """
    found = get(now.session, webhook_id)
    if found.version != version:
        raise YiwangError("YW-STORE-010")
    given = (("name", name), ("url", checked(url) if url is not None else None), ("topics", sorted(set(topics)) if topics is not None else None), ("is_active", is_active))
    for column, value in given:
        if value is not None:
            setattr(found, column, value)
    found.failures, found.failing_since, found.retry_at, found.updated_at = 0, None, None, now.at
    now.session.flush()
    now.record("webhook.changed", f"webhook:{webhook_id}", fields=[column for column, value in given if value is not None])
    return found


def new_secret(now: Work, crypto: CryptoProvider, webhook_id: UUID) -> Made:
    """Sign with another secret from now on.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    found, secret = get(now.session, webhook_id), secrets.token_urlsafe(32)
    found.secret, found.updated_at = crypto.encrypt(secret, _place(webhook_id)), now.at
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
    outbox.leave(now, _consumer(webhook_id))
    now.session.flush()
    now.record("webhook.removed", f"webhook:{webhook_id}")
    return found


def due(database: Database, at: datetime) -> list[UUID]:
    """Webhooks that are to be served now."""
    with database.read() as session:
        query = sa.select(Webhook.id).where(Webhook.deleted_at.is_(None), Webhook.is_active, sa.or_(Webhook.retry_at.is_(None), Webhook.retry_at <= at))
        return list(session.scalars(query.order_by(Webhook.id)))


def deliver(database: Database, crypto: CryptoProvider, settings: Settings, webhook_id: UUID, at: datetime, send: Sender, is_over: Callable[[], bool] = lambda: False) -> int:
    """Tell one webhook what it has not heard yet, until nothing is left or a delivery fails.

    No transaction is open while the receiver is spoken to. It ends early where ``is_over`` says so. After a failure it is tried again, each time after twice the wait; after
    ``webhook_days`` without success the webhook is switched off, which the audit says.

    Returns:
        Number of messages delivered.
    """
    with database.read() as session:
        found = session.scalars(sa.select(Webhook).where(Webhook.id == webhook_id, Webhook.deleted_at.is_(None), Webhook.is_active)).one_or_none()
        if found is None:
            return 0
        url, topics, secret = found.url, set(found.topics), crypto.decrypt(found.secret, _place(webhook_id))
    count = 0
    for message in outbox.read(database, _consumer(webhook_id), _PAGE):
        if is_over():
            break
        if topics and message.topic not in topics:
            outbox.done(database, _consumer(webhook_id), message, at)
            continue
        if (fault := _tell(message, url, secret, at, send)) is not None:
            _failed(database, settings, webhook_id, at, fault, is_first=count > 0)
            return count
        outbox.done(database, _consumer(webhook_id), message, at)
        count += 1
    if count:
        with database.write() as session:
            well = sa.update(Webhook).where(Webhook.id == webhook_id, Webhook.failures > 0)
            session.execute(well.values(failures=0, failing_since=None, retry_at=None, last_error=None))
    return count


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What ``Yiwang-Signature`` holds: HMAC-SHA256 over ``<timestamp>.<body>``, in hex."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _tell(message: Message, url: str, secret: str, at: datetime, send: Sender) -> str | None:
    """Deliver one message; what went wrong, None for nothing."""
    body = orjson.dumps({
        "event_id": str(message.event_id), "topic": message.topic, "aggregate": message.aggregate, "aggregate_id": message.aggregate_id,
        "created_at": message.created_at, "payload": message.payload,
    }, option=orjson.OPT_UTC_Z)  # fmt: skip
    timestamp = str(int(at.timestamp()))
    headers = {
        "content-type": "application/json", "yiwang-event-id": str(message.event_id), "yiwang-timestamp": timestamp,
        "yiwang-signature": signature(secret, timestamp, body),
    }  # fmt: skip
    try:
        status = send(url, body, headers)
    except YiwangError as error:
        return error.code
    except Exception as error:  # whatever goes wrong with one receiver is its own and counts
        return type(error).__name__
    return None if 200 <= status < 300 else f"HTTP {status}"


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
            now.record("webhook.switched_off", f"webhook:{webhook_id}", since=found.failing_since.isoformat(), error=fault)


def _consumer(webhook_id: UUID) -> str:
    return f"webhook:{webhook_id}"


def _place(webhook_id: UUID) -> Place:
    return Place(Webhook.__tablename__, "secret", webhook_id)
