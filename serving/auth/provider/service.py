"""The door of the local provider: its addresses, by OpenID Connect Core, Discovery, RP-Initiated and Back-Channel Logout 1.0."""

import base64
import binascii
import hmac
from typing import Annotated, Any
from urllib.parse import unquote, urlencode

from fastapi import FastAPI, Form, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from serving.auth.credentials import is_loopback, same_origin
from serving.auth.provider.state import ALGORITHM, Client, Opened, Provider
from serving.auth.provider.users import FILE, Users

__all__ = ["Provider", "Users", "client_of", "provider_app", "users_of"]
COOKIE = "yiwang_provider"
_HEADERS = {
    "cache-control": "no-store", "x-frame-options": "DENY", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
}
"""No ``form-action``: a log-in is a form that leads to another address."""


def users_of(settings: Settings) -> Users:
    """The accounts of a home."""
    return Users(settings.home / FILE)


def client_of(settings: Settings, address: str) -> Client:
    """The platform as the provider's client.

    Args:
        settings: Name and secret of the client.
        address: Where browsers reach the platform.
    """
    base = address.rstrip("/")
    secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else None
    return Client(settings.oidc_client_id, secret, frozenset({f"{base}/login/callback"}), frozenset({f"{base}/login"}), f"{base}/logout/back-channel")


def provider_app(provider: Provider, host: str) -> FastAPI:
    """The application.

    Args:
        provider: Answers.
        host: Address that it will listen to.

    Raises:
        YiwangError: YW-ACCESS-007 where that is not on this machine.
    """
    if not is_loopback(host):
        raise YiwangError("YW-ACCESS-007", host=host)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"], www_redirect=False)
    pages = Environment(loader=PackageLoader("serving.auth.provider"), autoescape=True, undefined=StrictUndefined)

    def page(template: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(pages.get_template(template).render(**values), status, _HEADERS)

    def answer(asked: dict[str, str], **given: str) -> Response:
        """Back to the client."""
        more = given | ({"state": asked["state"]} if "state" in asked else {}) | {"iss": provider.issuer}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(more)}", 303, _HEADERS)

    def granted(asked: dict[str, str], opened: Opened) -> Response:
        code = provider.give_code(opened, asked["redirect_uri"], asked.get("nonce", ""), asked["code_challenge"])
        back = answer(asked, code=code)
        back.set_cookie(COOKIE, opened.sid, httponly=True, samesite="lax")
        return back

    def refused(asked: dict[str, str]) -> Response | None:
        """What is wrong with a request: told to the person while it is not known who asks, then to the client."""
        if asked.get("client_id") != provider.client.id or asked.get("redirect_uri") not in provider.client.back:
            return page("message.html", 400, title="不能登录", message="不认识发起登录的系统或它的返回地址，请检查 YIWANG_OIDC_CLIENT_ID 和平台的访问地址。")
        if asked.get("response_type") != "code":
            return answer(asked, error="unsupported_response_type")
        if "openid" not in asked.get("scope", "").split():
            return answer(asked, error="invalid_scope")
        if asked.get("code_challenge_method") != "S256" or not 43 <= len(asked.get("code_challenge", "")) <= 128:
            return answer(asked, error="invalid_request")
        return None

    @app.get("/.well-known/openid-configuration")
    def describe() -> dict[str, Any]:
        base = provider.issuer
        return {
            "issuer": base, "authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token", "userinfo_endpoint": f"{base}/userinfo",
            "jwks_uri": f"{base}/jwks", "end_session_endpoint": f"{base}/end-session", "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"], "subject_types_supported": ["public"], "scopes_supported": ["openid", "profile"],
            "id_token_signing_alg_values_supported": [ALGORITHM], "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "authorization_response_iss_parameter_supported": True, "backchannel_logout_supported": True, "backchannel_logout_session_supported": True,
        }  # fmt: skip

    @app.get("/jwks")
    def keys() -> dict[str, Any]:
        return {"keys": [provider.key.as_dict(private=False)]}

    @app.get("/authorize")
    def ask(request: Request) -> Response:
        asked = dict(request.query_params)
        if (wrong := refused(asked)) is not None:
            return wrong
        opened = provider.opened(request.cookies.get(COOKIE, "")) if asked.get("prompt") != "login" else None
        if opened is not None:
            return granted(asked, opened)
        return answer(asked, error="login_required") if asked.get("prompt") == "none" else page("log_in.html", message="", account="")

    @app.post("/authorize")
    def log_in(request: Request, account: Annotated[str, Form(max_length=64)] = "", password: Annotated[str, Form(max_length=1000)] = "", code: Annotated[str, Form(max_length=20)] = "") -> Response:
        asked = dict(request.query_params)
        if (wrong := refused(asked)) is not None:
            return wrong
        if not same_origin(request.headers):
            return page("message.html", 403, title="不能登录", message="请求不是从登录页面发出的，请重新登录。")
        opened = provider.log_in(account, password, code)
        return granted(asked, opened) if isinstance(opened, Opened) else page("log_in.html", 403, message=opened, account=account)

    @app.post("/token")
    def redeem(
        request: Request, grant_type: Annotated[str, Form()] = "", code: Annotated[str, Form()] = "", redirect_uri: Annotated[str, Form()] = "",
        code_verifier: Annotated[str, Form()] = "", client_id: Annotated[str, Form()] = "", client_secret: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        name, secret = _basic(request.headers.get("authorization")) or (client_id, client_secret)
        if name != provider.client.id or not hmac.compare_digest((provider.client.secret or "").encode(), secret.encode()):
            return JSONResponse({"error": "invalid_client"}, 401, _HEADERS)
        if grant_type != "authorization_code":
            return JSONResponse({"error": "unsupported_grant_type"}, 400, _HEADERS)
        given = provider.redeem(code, redirect_uri, code_verifier)
        return JSONResponse(given, headers=_HEADERS) if given is not None else JSONResponse({"error": "invalid_grant"}, 400, _HEADERS)

    @app.get("/userinfo")
    def about(request: Request) -> Response:
        found = provider.userinfo(request.headers.get("authorization", "").removeprefix("Bearer "))
        return JSONResponse(found, headers=_HEADERS) if found is not None else JSONResponse({"error": "invalid_token"}, 401, _HEADERS)

    @app.get("/end-session")
    def ask_to_leave(request: Request) -> Response:
        if provider.opened(request.cookies.get(COOKIE, "")) is None:
            return after(request)
        return page("log_out.html")  # somebody else's page may have sent the browser here: it is asked

    @app.post("/end-session")
    def leave(request: Request) -> Response:
        if not same_origin(request.headers):
            return page("message.html", 403, title="没有退出", message="请求不是从退出页面发出的，请重试。")
        is_told = provider.end(request.cookies.get(COOKIE, ""))
        gone = after(request) if is_told else page("message.html", 502, title="已退出", message="已退出统一身份认证，但没有通知到平台；平台的会话到期后自动结束。")
        gone.delete_cookie(COOKIE, httponly=True, samesite="lax")
        return gone

    def after(request: Request) -> Response:
        wanted = request.query_params.get("post_logout_redirect_uri", "")
        is_ours = wanted in provider.client.after and request.query_params.get("client_id", provider.client.id) == provider.client.id
        return RedirectResponse(wanted, 303, _HEADERS) if is_ours else page("message.html", title="已退出", message="您已退出统一身份认证。")

    return app


def _basic(header: str | None) -> tuple[str, str] | None:
    """Name and secret of a client in an ``Authorization`` header (RFC 6749, 2.3.1)."""
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote(name), unquote(secret)
