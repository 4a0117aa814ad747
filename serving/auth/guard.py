"""Default deny: nothing is answered before it is known who asks, but for the addresses listed here.

:class:`Guard` stands before every route, mounted application and socket. :func:`require` then says on each route what
its principal must be allowed to do.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.core.policy.service import Principal
from models.domain.errors import YiwangError
from serving.auth.accounts import Accounts, key_of, session_of
from serving.auth.credentials import Authenticator
from serving.auth.principal import WAREHOUSE_READ

PUBLIC = frozenset({"/health", "/ready", "/ready/data", "/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc", "/favicon.ico"})
"""Addresses that anybody may ask for: is it alive, what can it do. None of them shows data."""
PUBLIC_FOLDERS = ("/static-offline-docs/",)
"""Folders of the same kind: the documentation's own scripts."""
WITH_OWN_RIGHTS = ("/api/", "/desk")
"""Addresses whose routes each name their permission."""

LOOK_SECONDS = 20.0
"""Seconds between two looks whether the session of an open socket still holds; its page sends signs of life more often."""
_SOMEBODY = '42["event"'
"""How what somebody does on a page begins (Socket.IO, NiceGUI); signs of life are no use of a session."""

Refusal = Callable[[Scope, Receive, Send, YiwangError], Awaitable[None]]


class Guard:
    """ASGI middleware: sets ``scope["state"]["principal"]`` or refuses.

    Args:
        app: What it guards.
        authenticator: Checks credentials.
        refuse: Answers a refusal.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator, refuse: Refusal) -> None:
        self._app = app
        self._authenticator = authenticator
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the request through, or refuses it."""
        if scope["type"] == "lifespan" or is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        peer = scope["client"][0] if scope.get("client") else None
        headers = Headers(scope=scope)
        accounts: Accounts = scope["app"].state.accounts
        try:
            principal = await self._principal(accounts, headers, peer)
        except YiwangError as error:
            await self._refuse(scope, receive, send, error)
            return
        scope.setdefault("state", {})["principal"] = principal
        if principal is None:
            await self._refuse(scope, receive, send, YiwangError("YW-SERVE-003"))
        elif scope["path"] == "/" and scope["type"] == "http" and principal.grants and not principal.may(WAREHOUSE_READ):
            # the start page shows the warehouse; who does not see that begins with the desk, a citizen with the directory
            answer = RedirectResponse("/desk" if principal.party_id is None else "/matters", 303, {"cache-control": "no-store"})
            await answer(scope, receive, send)
        elif not scope["path"].startswith(WITH_OWN_RIGHTS) and not principal.may(WAREHOUSE_READ):
            # the other pages and their sockets are applications of their own: they show the warehouse and nothing else
            await self._refuse(scope, receive, send, YiwangError("YW-SERVE-004"))
        elif scope["type"] == "websocket" and session_of(headers) is not None:
            await self._app(scope, _Watched(accounts, headers, receive), send)
        else:
            await self._app(scope, receive, send)

    async def _principal(self, accounts: Accounts, headers: Headers, peer: str | None) -> Principal | None:
        if session_of(headers) is None and key_of(headers) is None:
            found = self._authenticator.principal(headers, peer)
            if "authorization" in headers:
                accounts.check_here(headers, peer)
                if found is None:
                    await anyio.to_thread.run_sync(accounts.refuse_token, headers, peer)
            return found
        return accounts.remembered(headers) or await anyio.to_thread.run_sync(accounts.principal, headers, peer)


class _Watched:
    """What an open socket receives, until its session is over: a socket stays open for as long as it likes, and asks the guard once.

    Args:
        accounts: Knows sessions.
        headers: With which the socket was opened.
        receive: What comes.
    """

    def __init__(self, accounts: Accounts, headers: Headers, receive: Receive) -> None:
        self._accounts, self._headers, self._receive = accounts, headers, receive
        self._looked_at, self._is_used = time.monotonic(), False

    async def __call__(self) -> Message:
        """The next message, or the end."""
        message = await self._receive()
        self._is_used = self._is_used or str(message.get("text") or "").startswith(_SOMEBODY)
        if message["type"] == "websocket.receive" and time.monotonic() - self._looked_at >= LOOK_SECONDS:
            try:
                holds = await anyio.to_thread.run_sync(self._accounts.holds, self._headers, self._is_used)
            except YiwangError:  # the store is away: the page goes on, the next look decides
                holds = True
            self._looked_at, self._is_used = time.monotonic(), False
            if not holds:
                return {"type": "websocket.disconnect", "code": 1008}
        return message


def is_public(path: str) -> bool:
    """Whether anybody may ask for an address."""
    return path in PUBLIC or path.startswith(PUBLIC_FOLDERS)


def require(permission: str) -> Any:
    """A route's dependency: its principal must have the permission.

    Raises:
        YiwangError: YW-SERVE-003 for nobody, YW-SERVE-004 without the permission.
    """

    async def allowed(request: Request) -> Principal:
        principal: Principal | None = getattr(request.state, "principal", None)
        if principal is None:
            raise YiwangError("YW-SERVE-003")
        if not principal.may(permission):
            raise YiwangError("YW-SERVE-004")
        return principal

    allowed.permission = permission  # type: ignore[attr-defined]
    return Depends(allowed)
