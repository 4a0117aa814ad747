"""One alert over HTTP: signed, within a time limit, tried again where that can help.

What does not belong here: what is kept when nothing helps (:mod:`pipelines.alerts.outbox`).
"""

import hashlib
import hmac
import time
from dataclasses import dataclass

import anyio
import httpx
from anyio.from_thread import start_blocking_portal
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

TIMESTAMP, SIGNATURE, EVENT = "X-Yiwang-Timestamp", "X-Yiwang-Signature", "X-Yiwang-Event"
_AGAIN = {408, 425, 429}
"""Answers below 500 after which the same request may succeed."""


class Undelivered(Exception):
    """The receiver did not take an alert; says why in a word that holds neither address nor content."""

    may_pass = False
    """Whether trying again may help."""


class _Passing(Undelivered):
    may_pass = True


@dataclass(frozen=True)
class Webhook:
    """Where alerts go.

    Attributes:
        address: http(s) address.
        secret: Key of the signature; None leaves alerts unsigned.
        seconds: Time limit of one attempt as a whole.
        attempts: Attempts for one event.
        pause: Seconds before the second attempt; doubled before each further one.
    """

    address: str
    secret: bytes | None = None
    seconds: float = 10
    attempts: int = 3
    pause: float = 1

    def post(self, event_id: str, body: bytes) -> None:
        """Deliver; any answer 2xx is a receipt. Redirects are not followed: they could lead the alert elsewhere.

        Raises:
            Undelivered: When the last attempt failed, or one whose repetition cannot help.
        """
        with start_blocking_portal() as portal:  # its own loop: the caller's thread may run one
            portal.call(self._try, event_id, body)

    async def _try(self, event_id: str, body: bytes) -> None:
        attempts = AsyncRetrying(
            stop=stop_after_attempt(self.attempts), wait=wait_exponential(multiplier=self.pause, max=30), reraise=True,
            retry=retry_if_exception_type(_Passing),
        )
        async for attempt in attempts:
            with attempt:
                await self._once(event_id, body)

    async def _once(self, event_id: str, body: bytes) -> None:
        headers = {"Content-Type": "application/json", EVENT: event_id} | signed(self.secret, body, int(time.time()))
        try:
            with anyio.fail_after(self.seconds):  # httpx's own limits are for each read: a receiver could drip for ever
                async with (
                    httpx.AsyncClient(timeout=self.seconds, follow_redirects=False) as client,
                    client.stream("POST", self.address, content=body, headers=headers) as answer,
                ):
                    status = answer.status_code  # of what the receiver writes nothing is read
        except TimeoutError:
            raise _Passing("timeout") from None
        except (httpx.HTTPError, OSError) as error:  # without its cause, whose text may hold the address
            raise _Passing(type(error).__name__) from None
        except (httpx.InvalidURL, ValueError):
            raise Undelivered("address") from None
        if status >= 500 or status in _AGAIN:
            raise _Passing(str(status))
        if not 200 <= status < 300:
            raise Undelivered(str(status))


def signed(secret: bytes | None, body: bytes, timestamp: int) -> dict[str, str]:
    """Headers that prove sender and moment: HMAC-SHA256 of ``<timestamp>.<body>``, timestamp in seconds since 1970."""
    headers = {TIMESTAMP: str(timestamp)}
    if secret:
        headers[SIGNATURE] = "sha256=" + hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return headers
