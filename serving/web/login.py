"""The addresses of logging in and out: forms, the way to the identity provider and back, the cookies.

Public: whoever comes here is not logged in yet. The work is done by :class:`serving.auth.service.Login`, on threads of its own, so that
a provider that is slow to answer holds nobody else up.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from fastapi import APIRouter, Form, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from serving.auth.service import COOKIE, Login, Visitor, is_loopback, same_origin, session_of
from serving.web.templating import PAGE_POLICY, Templates

UNDER_WAY = "yiwang_login"
"""Cookie of a log-in that is under way at the provider."""
_MINUTES = 10
_AT_ONCE = 4
_NO_STORE = {"cache-control": "no-store"}
_ANSWER = ("code", "state", "iss", "error")
T = TypeVar("T")


def login_router(login: Callable[[], Login], settings: Settings, templates: Templates) -> APIRouter:
    """``/login`` and ``/logout`` with what lies below.

    Args:
        login: Lets people in and out; there once the server has started.
        settings: Address of the server, how long sessions last.
        templates: Renders the pages.
    """
    router = APIRouter(include_in_schema=False)
    threads = anyio.CapacityLimiter(_AT_ONCE)

    async def on_thread(do: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(do, limiter=threads)

    def page(wanted: str, status: int = HTTPStatus.OK, message: str = "", retry_after: str | None = None) -> Response:
        text = templates.render("login.html", wanted=wanted, message=message, has_provider=settings.oidc_issuer is not None, hours=settings.session_hours, idle=settings.session_idle_minutes)
        headers = {"content-security-policy": PAGE_POLICY, **_NO_STORE} | ({"retry-after": retry_after} if retry_after else {})
        return HTMLResponse(text, status, headers)

    def refused(error: YiwangError, wanted: str) -> Response:
        """The page again, with what was wrong; a problem (and a page without form) for what is no fault of the log-in."""
        if not error.code.startswith("YW-ACCESS-"):
            raise error
        status = HTTPStatus.FORBIDDEN if error.status is HTTPStatus.UNAUTHORIZED else error.status  # 401 would lead here again
        return page(wanted, status, error.message, str(error.values["seconds"]) if "seconds" in error.values else None)

    @router.get("/login")
    def ask(next: str = "/") -> Response:
        return page(local(next))

    @router.post("/login")
    async def by_token(request: Request, token: Annotated[str, Form(max_length=500)] = "", next: Annotated[str, Form(max_length=2000)] = "/") -> Response:
        _from_here(request)
        try:
            secret = await on_thread(lambda: login().by_token(token.strip(), _visitor(request)))
        except YiwangError as error:
            return refused(error, local(next))
        if secret is None:
            return page(local(next), HTTPStatus.FORBIDDEN, "访问令牌不正确或已停用，请核对后重新输入。")
        return let_in(request, secret, local(next))

    @router.get("/login/provider")
    async def to_provider(request: Request, next: str = "/") -> Response:
        back = _base(request, settings) + "/login/callback"
        try:
            kept, address = await on_thread(lambda: login().begin(local(next)[:2000], back))
        except YiwangError as error:
            return refused(error, local(next))
        answer = RedirectResponse(address, HTTPStatus.SEE_OTHER, _NO_STORE)
        answer.set_cookie(UNDER_WAY, kept, _MINUTES * 60, path="/login", httponly=True, samesite="lax", secure=_is_secure(request))
        return answer

    @router.get("/login/callback")
    async def from_provider(request: Request) -> Response:
        back = _base(request, settings) + "/login/callback"
        given = {name: value for name in _ANSWER if (value := request.query_params.get(name)) is not None}
        is_twice = any(len(request.query_params.getlist(name)) > 1 for name in _ANSWER)  # RFC 6749, 3.1: no parameter more than once
        kept = request.cookies.get(UNDER_WAY, "")
        try:
            secret, wanted = await on_thread(lambda: login().finish(kept, back, {} if is_twice else given, _visitor(request)))
        except YiwangError as error:
            answer = refused(error, "/")
        else:
            answer = let_in(request, secret, local(wanted))
        answer.delete_cookie(UNDER_WAY, path="/login", httponly=True, samesite="lax", secure=_is_secure(request))
        return answer

    @router.post("/logout")
    async def leave(request: Request) -> Response:
        _from_here(request)
        farewell = None
        if session_of(request.headers) is not None:
            farewell = await on_thread(lambda: login().leave(_visitor(request), _base(request, settings) + "/login"))
        answer: Response
        if farewell is None:
            answer = RedirectResponse("/login", HTTPStatus.SEE_OTHER, _NO_STORE)
        else:  # a page that leads on: what a form was sent to may not redirect to another site (form-action)
            text = templates.render("logout.html", farewell=farewell)
            answer = HTMLResponse(text, headers={"content-security-policy": PAGE_POLICY, **_NO_STORE})
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=_is_secure(request))
        return answer

    @router.post("/logout/back-channel")
    async def ended(logout_token: Annotated[str, Form(max_length=20_000)]) -> Response:
        """The provider says that a session has ended; whoever says so, the token proves it."""
        await on_thread(lambda: login().ended_at_provider(logout_token))
        return JSONResponse({}, headers=_NO_STORE)

    def let_in(request: Request, secret: str, wanted: str) -> Response:
        answer = RedirectResponse(wanted, HTTPStatus.SEE_OTHER, _NO_STORE)
        answer.set_cookie(COOKIE, secret, settings.session_hours * 3600, httponly=True, samesite="lax", secure=_is_secure(request))
        return answer

    return router


def local(address: str) -> str:
    """An address on this server to go to after log-in; the start page for any other."""
    is_local = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable() and "\\" not in address
    return address if is_local else "/"


def _visitor(request: Request) -> Visitor:
    headers: Any = request.headers
    return Visitor(headers, request.client.host if request.client else None, session_of(headers))


def _from_here(request: Request) -> None:
    """Refuse forms of other sites: nobody is to be logged in, or out, by somebody else's page.

    Raises:
        YiwangError: YW-SOURCES-002.
    """
    if not same_origin(request.headers) or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise YiwangError("YW-SOURCES-002")


def _base(request: Request, settings: Settings) -> str:
    """The address under which the browser reaches this server; the ``Host`` header is believed on this machine only.

    Raises:
        YiwangError: YW-CONFIG-001 where it is not known.
    """
    if settings.public_url is not None:
        return settings.public_url.rstrip("/")
    host = request.headers.get("host", "")
    if not is_loopback(_name(host)):
        raise YiwangError("YW-CONFIG-001", name="YIWANG_PUBLIC_URL", detail="统一身份认证需要知道本平台的访问地址，请设置")
    return f"http://{host}"


def _is_secure(request: Request) -> bool:
    """Whether cookies go over TLS only: everywhere but on this machine.

    A proxy in front says what the browser spoke to it; believing it can only make the cookie stricter.
    """
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto")) or not is_loopback(_name(request.headers.get("host", "")))


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
