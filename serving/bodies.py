"""How much somebody may send, and how slowly: a body is there, whole and no larger than allowed, before anything is made of it.

Parsing turns a body of JSON into thirty times its size, on the loop that answers everybody: the limit stands before it, also for bodies
whose length nobody has said (chunked). How long the head of a request may take is the reverse proxy's business.
"""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.domain.errors import YiwangError

_FORM = "application/x-www-form-urlencoded"
_PERCENT = 3
"""A form of a page writes each byte as three."""
Refusal = Callable[[Scope, Receive, Send, YiwangError], Awaitable[None]]


class Bodies:
    """ASGI middleware: refuses a body that is too large or too slow, and hands any other on whole.

    Args:
        app: What receives the bodies.
        most: Bytes of a body at most; three times as many of a form of a page.
        seconds: In which it must have come.
        refuse: Answers a refusal.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float, refuse: Refusal) -> None:
        self._app, self._most, self._seconds, self._refuse = app, most, seconds, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        headers = Headers(scope=scope) if scope["type"] == "http" else None
        if headers is None or ("content-length" not in headers and "transfer-encoding" not in headers):
            await self._app(scope, receive, send)
            return
        most = self._most * (_PERCENT if headers.get("content-type", "").startswith(_FORM) else 1)
        try:
            if int(headers.get("content-length", "0")) > most:
                raise YiwangError("YW-SERVE-014", most=most)
            async with asyncio.timeout(self._seconds):
                body = await _whole(receive, most)
        except (YiwangError, TimeoutError) as error:
            refusal = error if isinstance(error, YiwangError) else YiwangError("YW-SERVE-015", waited=round(self._seconds))
            await self._refuse(scope, receive, send, refusal)
            return
        if body is not None:  # else who asked is gone
            await self._app(scope, _handed_on(body, receive), send)


async def _whole(receive: Receive, most: int) -> bytes | None:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise YiwangError("YW-SERVE-014", most=most)
        if not message.get("more_body", False):
            return b"".join(parts)


def _handed_on(body: bytes, receive: Receive) -> Receive:
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_one() -> Message:
        return first.pop() if first else await receive()

    return next_one
