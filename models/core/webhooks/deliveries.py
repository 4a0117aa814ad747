"""What a webhook has heard and has not, and what an operator does about it: test, tell again, pass over.

There is no log of deliveries: the outbox is the list, and the webhook's place in it says which messages have passed.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.crypto.types import CryptoProvider
from models.core.jobs.service import enqueue
from models.core.outbox import service as outbox
from models.core.outbox.service import Message
from models.core.webhooks.sending import Sender, tell
from models.core.webhooks.service import consumer_of, get, place_of
from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.store.operational.database import Database
from models.store.operational.order import is_settled
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import Job, Outbox, Webhook

TEST, RESEND = "webhook.test", "webhook.resend"
"""Kinds of jobs, and the topic of a test."""


@dataclass(frozen=True)
class Delivery:
    """A message of a webhook's topics, without what it says.

    Attributes:
        event_id: What the receiver knows it by.
        topic: What happened.
        aggregate: To what kind of thing.
        aggregate_id: To which.
        created_at: When.
        state: ``failing``: it is tried again; ``pending``: its turn has not come; ``passed``: told, or passed over by hand.
    """

    event_id: UUID
    topic: str
    aggregate: str
    aggregate_id: str
    created_at: datetime
    state: Literal["failing", "pending", "passed"]


def deliveries(session: Session, webhook_id: UUID, paging: Paging, *, is_passed: bool = False) -> Page[Delivery]:
    """Messages that a webhook has not heard, the next one first; or those that have passed and are still kept, the newest first.

    Raises:
        YiwangError: YW-STORE-011 where there is no such webhook.
    """
    hook = get(session, webhook_id)
    found = page(session, _of(session, hook, is_passed=is_passed), outbox.keys(session), paging, is_descending=is_passed)
    is_failing = hook.failures > 0 and not is_passed and paging.cursor is None  # what comes first in order is what fails
    return Page([_shown(row, "passed" if is_passed else "failing" if is_failing and not n else "pending") for n, row in enumerate(found.items)], found.next)


def skip(now: Work, webhook_id: UUID, event_id: UUID) -> Webhook:
    """Pass over the message that fails, which the receiver will not take and which holds back all after it.

    Raises:
        YiwangError: YW-STORE-011 where there is no such webhook; YW-WEBHOOK-003 where it is not this message that fails.
    """
    hook = get(now.session, webhook_id)
    first = now.session.scalars(_of(now.session, hook).order_by(*outbox.keys(now.session)).limit(1)).one_or_none()
    if first is None or first.event_id != event_id or hook.failures == 0:
        raise YiwangError("YW-WEBHOOK-003")
    outbox.move(now.session, consumer_of(webhook_id), outbox.message_of(first), now.at)
    hook.failures, hook.failing_since, hook.retry_at, hook.updated_at = 0, None, None, now.at
    now.session.flush()
    now.record("webhook.skipped", f"webhook:{webhook_id}", event_id=str(event_id), error=hook.last_error)
    return hook


def resend(now: Work, webhook_id: UUID, event_id: UUID) -> Job:
    """Have a message told once more that has passed: same event id, signed anew, out of order.

    Raises:
        YiwangError: YW-STORE-011 where there is no such webhook or it has no such message behind it; YW-JOB-002 where it waits already.
    """
    hook = get(now.session, webhook_id)
    if now.session.scalar(sa.select(_of(now.session, hook, is_passed=True).where(Outbox.event_id == event_id).exists())) is not True:
        raise YiwangError("YW-STORE-011", what="已推送的消息", key=event_id)
    return _asked(now, RESEND, webhook_id, {"webhook_id": str(webhook_id), "event_id": str(event_id)}, f"{webhook_id}:{event_id}")


def ask_test(now: Work, webhook_id: UUID) -> Job:
    """Have a test message told, also to a webhook that is switched off.

    Raises:
        YiwangError: YW-STORE-011 where there is no such webhook; YW-JOB-002 where a test waits already.
    """
    get(now.session, webhook_id)
    return _asked(now, TEST, webhook_id, {"webhook_id": str(webhook_id)}, str(webhook_id))


def tell_test(database: Database, crypto: CryptoProvider, payload: dict[str, Any], job_id: UUID, at: datetime, send: Sender) -> dict[str, Any]:
    """Tell the test message; what came of it, which is no failure of the webhook."""
    hook, secret = _hook(database, crypto, payload)
    message = Message(job_id, TEST, "webhook", str(hook.id), {}, at, (0, 0))
    fault = tell(message, hook.url, secret, at, send)
    return {"is_delivered": fault is None, "error": fault}


def tell_again(database: Database, crypto: CryptoProvider, payload: dict[str, Any], at: datetime, send: Sender) -> dict[str, Any]:
    """Tell a message once more.

    Raises:
        YiwangError: YW-STORE-011 where it is no longer kept; YW-WEBHOOK-002 where it was not delivered.
    """
    hook, secret = _hook(database, crypto, payload)
    with database.read() as session:
        row = session.scalars(_of(session, hook, is_passed=True).where(Outbox.event_id == UUID(payload["event_id"]))).one_or_none()
    if row is None:
        raise YiwangError("YW-STORE-011", what="已推送的消息", key=payload["event_id"])
    if (fault := tell(outbox.message_of(row), hook.url, secret, at, send)) is not None:
        raise YiwangError("YW-WEBHOOK-002", detail=fault)
    return {"is_delivered": True, "error": None}


def _of(session: Session, hook: Webhook, *, is_passed: bool = False) -> sa.Select[tuple[Outbox]]:
    """Messages of a webhook's topics before or after its place; nothing from before it was there."""
    is_after = outbox.is_after(session, consumer_of(hook.id))
    query = sa.select(Outbox).where(sa.not_(is_after) if is_passed else is_after, is_settled(session, Outbox.transaction))
    if is_passed:
        query = query.where(Outbox.created_at >= hook.created_at)
    return query.where(Outbox.topic.in_(hook.topics)) if hook.topics else query


def _shown(row: Outbox, state: Literal["failing", "pending", "passed"]) -> Delivery:
    return Delivery(row.event_id, row.topic, row.aggregate, row.aggregate_id, row.created_at, state)


def _asked(now: Work, kind: str, webhook_id: UUID, payload: dict[str, Any], key: str) -> Job:
    if (job_id := enqueue(now, kind, payload, key=key, priority=10)) is None:
        raise YiwangError("YW-JOB-002")
    now.record(kind, f"webhook:{webhook_id}", job=str(job_id), **{name: value for name, value in payload.items() if name == "event_id"})
    return now.session.get_one(Job, job_id)


def _hook(database: Database, crypto: CryptoProvider, payload: dict[str, Any]) -> tuple[Webhook, str]:
    with database.read() as session:
        hook = get(session, UUID(payload["webhook_id"]))
    return hook, crypto.decrypt(hook.secret, place_of(hook.id))
