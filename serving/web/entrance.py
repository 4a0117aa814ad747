"""The outermost part of the server, for browsers: which application answers, whose session it is, how errors look.

Two applications stand behind it: the public one, which holds the matter directory, the log-in and the style sheet, and
everything else behind the guard. A session's cookie becomes the credentials that the guard knows; a problem becomes a
page for whoever asks for pages. What does not belong here: deciding who may do what (:mod:`serving.auth`).
"""

import base64
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.auth.service import Authenticator
from serving.problems import MEDIA_TYPE
from serving.web.sessions import COOKIE, Sessions
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
        authenticator: Tells whether a session's token is still good.
        sessions: Opens session cookies.
        templates: Renders errors.
    """

    def __init__(self, public: ASGIApp, guarded: ASGIApp, authenticator: Authenticator, sessions: Sessions, templates: Templates) -> None:
        self._public, self._guarded = public, guarded
        self._authenticator, self._sessions, self._templates = authenticator, sessions, templates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request to its application."""
        if scope["type"] == "lifespan":
            await self._guarded(scope, receive, send)
            return
        is_public = any(scope["path"] == page or scope["path"].startswith(page + "/") for page in PUBLIC_PAGES)
        headers = Headers(scope=scope)
        if not is_public:
            scope = self._with_session(scope, headers)
        if scope["type"] == "http" and not scope["path"].startswith(_API):
            send = _Pages(scope, headers, send, self._templates, is_public)
        await (self._public if is_public else self._guarded)(scope, receive, send)

    def _with_session(self, scope: Scope, headers: Headers) -> Scope:
        """The request with its session's token, as the scheme that browsers send by themselves (origin is checked)."""
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE)
        if cookie is None or "authorization" in headers:
            return scope
        token = self._sessions.open(cookie)
        if token is None:
            return scope
        credentials = "Basic " + base64.b64encode(b":" + token.encode()).decode()
        peer = scope["client"][0] if scope.get("client") else None
        given = {name.lower(): value for name, value in headers.items()} | {"authorization": credentials}
        if self._authenticator.principal(given, peer) is None:
            return scope
        return {**scope, "headers": [*scope["headers"], (b"authorization", credentials.encode())]}


class _Pages:
    """Turns a problem into a page on its way out, for a client that takes HTML; nobody is to log on to is sent to log in."""

    def __init__(self, scope: Scope, headers: Headers, send: Send, templates: Templates, is_public: bool) -> None:
        self._scope, self._send, self._templates, self._is_public = scope, send, templates, is_public
        self._is_wanted = "text/html" in headers.get("accept", "")
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
        else:
            page = self._templates.render("error.html", problem=body, is_public=self._is_public)
            answer = HTMLResponse(page, body["status"], kept | {"content-security-policy": PAGE_POLICY})
        answer.headers["cache-control"] = "no-store"
        await answer(self._scope, _nothing, self._send)


def _is_security(name: str) -> bool:
    return name.startswith(("x-content-type", "x-frame", "referrer-policy", "cross-origin-", "permissions-policy"))


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
