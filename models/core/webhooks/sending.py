"""One message to one receiver: its body, its signature, its moment."""

import hashlib
import hmac
from datetime import datetime
from typing import Protocol

import orjson

from models.core.outbox.service import Message
from models.domain.errors import YiwangError


class Sender(Protocol):
    """Delivers a body to an address."""

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer.

        Raises:
            OSError: It could not be delivered.
            YiwangError: YW-WEBHOOK-001 where the address may not be called.
        """


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What ``Yiwang-Signature`` holds: HMAC-SHA256 over ``<timestamp>.<body>``, in hex."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def tell(message: Message, url: str, secret: str, at: datetime, send: Sender) -> str | None:
    """Deliver one message; what went wrong, None for nothing.

    Args:
        message: What happened.
        url: Where to.
        secret: Signs it.
        at: The moment of this attempt, which is signed: receivers refuse what is old.
        send: Delivers.
    """
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
