"""The outermost part of the server, for browsers: which application answers, how errors look.

Two applications stand behind it: the public one, which holds the matter directory, the log-in and the style sheet, and
everything else behind the guard. A problem becomes a page for whoever asks for pages. What does not belong here: deciding who may do what (:mod:`serving.auth`).
"""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.auth.service import COOKIE
from serving.problems import MEDIA_TYPE
from serving.web.templating import PAGE_POLICY, Templates

PUBLIC_PAGES = ("/matters", "/login", "/logout", "/assets")
"""Addresses, with everything below them, of the public application."""
_API = "/api/"
_KEPT = ("x-request-id", "allow", "retry-after")


class Entrance:
    """ASGI application in front of the two.

    Args:
        public: Answers :data:`PUBLIC_PAGES` to anybody.
        guarded: Answers everything else, behind the guard.
        templates: Renders errors.
    """

    def __init__(self, public: ASGIApp, guarded: ASGIApp, templates: Templates) -> None:
        self._public, self._guarded, self._templates = public, guarded, templates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request to its application."""
        if scope["type"] == "lifespan":
            await self._guarded(scope, receive, send)
            return
        is_public = any(scope["path"] == page or scope["path"].startswith(page + "/") for page in PUBLIC_PAGES)
        headers = Headers(scope=scope)
        if scope["type"] == "http" and not scope["path"].startswith(_API):
            send = _Pages(scope, headers, send, self._templates, is_public)
        await (self._public if is_public else self._guarded)(scope, receive, send)


class _Pages:
    """Turns a problem into a page on its way out, for a client that takes HTML; nobody is to log on to is sent to log in."""

    def __init__(self, scope: Scope, headers: Headers, send: Send, templates: Templates, is_public: bool) -> None:
        self._scope, self._send, self._templates, self._is_public = scope, send, templates, is_public
        self._is_wanted = "text/html" in headers.get("accept", "")
        self._has_session = COOKIE in headers.get("cookie", "")
        self._problem: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        """Sends a part of the answer, or keeps it until it is whole."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if headers.get("www-authenticate", "").startswith("Basic"):
                headers["www-authenticate"] = 'Bearer realm="yiwang"'  # no dialogue of the browser's own: there is a page
            if self._is_wanted and headers.get("content-type", "").startswith(MEDIA_TYPE):
                self._problem = message
                return
        elif self._problem is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._answer(self._problem, orjson.loads(self._body))
            return
        await self._send(message)

    async def _answer(self, problem: Message, body: dict[str, Any]) -> None:
        headers = MutableHeaders(scope=problem)
        kept = {name: headers[name] for name in headers if name in _KEPT or _is_security(name)}
        answer: Response
        if body["status"] == HTTPStatus.UNAUTHORIZED and self._scope["method"] in ("GET", "HEAD"):
            query = self._scope["query_string"].decode("latin-1")
            wanted = self._scope["path"] + (f"?{query}" if query else "")
            answer = RedirectResponse(f"/login?next={quote(wanted, safe='')}", HTTPStatus.SEE_OTHER, kept)
            if self._has_session:  # it is over; a browser that keeps its cookie would never be the developer again
                answer.delete_cookie(COOKIE, httponly=True, samesite="lax")
        else:
            page = self._templates.render("error.html", problem=body, is_public=self._is_public)
            answer = HTMLResponse(page, body["status"], kept | {"content-security-policy": PAGE_POLICY})
        answer.headers["cache-control"] = "no-store"
        await answer(self._scope, _nothing, self._send)


def _is_security(name: str) -> bool:
    return name.startswith(("x-content-type", "x-frame", "referrer-policy", "cross-origin-", "permissions-policy"))


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
