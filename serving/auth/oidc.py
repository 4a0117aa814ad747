"""OpenID Connect as its client: the way to the identity provider and back, and what it says checked to the letter.

Code flow with PKCE (RFC 7636), state and nonce; tokens by OpenID Connect Core 3.1.3.7, the issuer of an answer by RFC 9207, log-out by
RP-Initiated and Back-Channel Logout 1.0. Calls wait for the network and belong on a thread. What does not belong here: sessions, and who
somebody is on the platform (:mod:`serving.auth.login`).
"""

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from authlib.common.urls import add_params_to_uri  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from serving.auth.credentials import is_loopback

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that are taken: by a key that the provider alone has. Neither ``none`` nor HMAC, of which the key would be ours, too."""
SKEW = 60
"""Seconds by which the provider's clock may be off."""
_FRESH = 600
"""Seconds after which a token that was just fetched is none."""
_KEPT = 3600.0
"""Seconds for which the provider's description and keys are kept."""
_AGAIN = 10.0
"""Seconds between two looks for new keys, whatever unknown keys somebody names; and between two tries of a provider that is away."""
_TIMEOUT = httpx.Timeout(5.0)
_LARGEST = 1_000_000
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True)
class Secret:
    """What one log-in hangs on; it stays in the browser's cookie, and all three values follow from it.

    Attributes:
        text: 256 random bits.
    """

    text: str

    @property
    def state(self) -> str:
        """Ties the answer to the browser that asked."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """Ties the token to this log-in."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """Ties the code to this log-in (RFC 7636)."""
        return self._derived("verifier")

    def is_state(self, given: str) -> bool:
        """Whether an answer is to this log-in."""
        return hmac.compare_digest(self.state.encode(), given.encode())

    def _derived(self, purpose: str) -> str:
        return base64.urlsafe_b64encode(hmac.digest(self.text.encode(), purpose.encode(), hashlib.sha256)).decode().rstrip("=")


@dataclass(frozen=True)
class Proved:
    """Whom the provider let in.

    Attributes:
        issuer: The provider.
        subject: What it calls somebody, for ever.
        session: Its own session; None where it names none.
        methods: How it was proved (``amr``, RFC 8176).
        claims: All that the token says.
    """

    issuer: str
    subject: str
    session: str | None
    methods: tuple[str, ...]
    claims: Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """What the provider says has ended.

    Attributes:
        issuer: The provider.
        subject: Whose sessions; None where only one session is named.
        session: Which one; None for all of the subject.
        number: Of the message, which counts once.
        until: When the message itself expires (seconds since 1970).
    """

    issuer: str
    subject: str | None
    session: str | None
    number: str
    until: float


class Oidc:
    """The identity provider of the settings.

    Args:
        settings: Issuer, client, scope.
        clock: Says what time it is.

    Raises:
        YiwangError: From all methods YW-ACCESS-005 where the provider is away or describes itself wrongly; it is then asked again after
            ten seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        if settings.oidc_issuer is None:
            raise ValueError("no issuer")
        self.issuer = settings.oidc_issuer
        self._client_id, self._scope, self._clock = settings.oidc_client_id, settings.oidc_scope, clock
        self._secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else None
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Any]] = {}
        self._failed_at = -_AGAIN

    def address(self, secret: Secret, back: str) -> str:
        """Where the browser is sent to log in.

        Args:
            secret: Of this log-in.
            back: Address that it comes back to.
        """
        asked = {
            "response_type": "code", "client_id": self._client_id, "redirect_uri": back, "scope": self._scope, "state": secret.state, "nonce": secret.nonce,
            "code_challenge": create_s256_code_challenge(secret.verifier), "code_challenge_method": "S256",
        }  # fmt: skip
        return str(add_params_to_uri(self._endpoint("authorization_endpoint"), list(asked.items())))

    def proved(self, secret: Secret, back: str, answer: Mapping[str, str]) -> Proved:
        """Whom the provider let in, by the answer that the browser brought.

        Raises:
            YiwangError: YW-ACCESS-004 for an answer or a token that is not this provider's to this log-in.
        """
        self._check_answer(secret, answer)
        body = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": back, "code_verifier": secret.verifier}
        given = self._token(body if self._secret else body | {"client_id": self._client_id})
        header, claims = self._read(given.get("id_token"))
        options = {"iss": {"essential": True, "value": self.issuer}, "aud": {"essential": True, "value": self._client_id}}
        expected = {"nonce": secret.nonce, "client_id": self._client_id, "access_token": given.get("access_token")}
        now = int(self._clock().timestamp())
        try:
            CodeIDToken(claims, header, options, expected).validate(now=now, leeway=SKEW)
        except JoseError as error:
            raise _not_done("身份令牌不是发给本平台的，或已过期") from error
        if claims["iat"] < now - _FRESH - SKEW:
            raise _not_done("身份令牌不是刚刚签发的")
        methods = claims.get("amr") or []
        session = claims.get("sid")
        return Proved(
            self.issuer, _named(claims["sub"]), session if isinstance(session, str) and session else None,
            tuple(each for each in methods if isinstance(each, str)), claims,
        )  # fmt: skip

    def ended(self, token: str) -> Ended:
        """What a back-channel log-out says, by Back-Channel Logout 1.0, 2.6.

        Raises:
            YiwangError: YW-ACCESS-006 for anything but a valid log-out token.
        """
        now = int(self._clock().timestamp())
        options: Any = {"iss": {"essential": True, "value": self.issuer}, "aud": {"essential": True, "value": self._client_id},
                        "iat": {"essential": True}, "exp": {"essential": True}, "jti": {"essential": True}}  # fmt: skip
        try:
            _, claims = self._read(token)
            jwt.JWTClaimsRegistry(now=now, leeway=SKEW, **options).validate(claims)
        except (JoseError, YiwangError) as error:
            if isinstance(error, YiwangError) and error.code != "YW-ACCESS-004":
                raise
            raise YiwangError("YW-ACCESS-006", detail="令牌不是发给本平台的，或已过期") from error
        events, subject, session = claims.get("events"), claims.get("sub"), claims.get("sid")
        is_logout = isinstance(events, dict) and isinstance(events.get(_LOGOUT_EVENT), dict) and "nonce" not in claims
        if not is_logout or claims["iat"] < now - _FRESH - SKEW:
            raise YiwangError("YW-ACCESS-006", detail="不是退出通知，或不是刚刚签发的")
        if not all(each is None or (isinstance(each, str) and each) for each in (subject, session)) or subject is session is None:
            raise YiwangError("YW-ACCESS-006", detail="没有写明哪个会话")
        return Ended(self.issuer, subject, session, str(claims["jti"]), float(claims["exp"]))

    def farewell(self, back: str) -> str | None:
        """Where the browser is sent to log out of the provider, too; None where it offers nothing."""
        place = self._described().get("end_session_endpoint")
        if not isinstance(place, str):
            return None
        return str(add_params_to_uri(_safe(place), [("client_id", self._client_id), ("post_logout_redirect_uri", back)]))

    def _check_answer(self, secret: Secret, answer: Mapping[str, str]) -> None:
        if not secret.is_state(answer.get("state", "")):
            raise _not_done("登录已过期，或不是从本浏览器发起的")
        named = answer.get("iss")
        if named != self.issuer and (named is not None or self._described().get("authorization_response_iss_parameter_supported") is True):
            raise _not_done("应答不是统一身份认证发出的")
        if answer.get("error") or not answer.get("code"):
            raise _not_done("统一身份认证没有给出授权")

    def _read(self, token: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims of a token that the provider signed."""
        if not isinstance(token, str):
            raise _not_done("没有得到身份令牌")
        for is_again in (False, True):
            try:
                read = jwt.decode(token, self._keys(is_again), registry=JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False))
                return dict(read.header), dict(read.claims)
            except (JoseError, ValueError, TypeError, AttributeError, KeyError) as error:
                # a key that nobody knows, or knows no longer, may be a new one: looked for at most every few seconds
                if is_again:
                    raise _not_done("身份令牌的签名不正确") from error
        raise AssertionError("unreachable")

    def _keys(self, is_again: bool) -> KeySet:
        place = self._endpoint("jwks_uri")
        found: KeySet = self._remembered("keys", lambda: KeySet.import_key_set(self._json(place)), _AGAIN if is_again else _KEPT)
        return found

    def _described(self) -> dict[str, Any]:
        return dict(self._remembered("description", self._describe, _KEPT))

    def _describe(self) -> dict[str, Any]:
        found = self._json(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise ValueError("another issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            _safe(found[name])
        return dict(found)

    def _endpoint(self, name: str) -> str:
        return str(self._described()[name])

    def _remembered(self, name: str, fetch: Callable[[], Any], seconds: float) -> Any:
        """Something of the provider's, not older than that; of several at once one asks."""
        with self._lock:
            at, found = self._kept.get(name, (0.0, None))
            now = time.monotonic()
            if found is not None and now - at < seconds:
                return found
            if now - self._failed_at < _AGAIN:
                raise YiwangError("YW-ACCESS-005")
            try:
                found = fetch()
            except (httpx.HTTPError, ValueError, KeyError, TypeError, JoseError) as error:
                self._failed_at = time.monotonic()
                raise YiwangError("YW-ACCESS-005") from error
            self._kept[name] = (time.monotonic(), found)
            return found

    def _json(self, url: str) -> Any:
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as http:
            return _content(http.get(url, headers={"accept": "application/json"}))

    def _token(self, body: dict[str, str]) -> dict[str, Any]:
        # RFC 6749, 2.3.1: both parts of the client's credentials are form-encoded first
        credentials = httpx.BasicAuth(quote(self._client_id, safe=""), quote(self._secret, safe="")) if self._secret else httpx.USE_CLIENT_DEFAULT
        endpoint = self._endpoint("token_endpoint")
        try:
            with httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as http:
                answer = http.post(endpoint, data=body, auth=credentials, headers={"accept": "application/json"})
            if 400 <= answer.status_code < 500:
                raise _not_done("统一身份认证没有接受授权码")
            return _content(answer)
        except (httpx.HTTPError, ValueError) as error:
            raise YiwangError("YW-ACCESS-005") from error


def _content(answer: httpx.Response) -> dict[str, Any]:
    answer.raise_for_status()
    if len(answer.content) > _LARGEST:
        raise ValueError("too large")
    found: Any = answer.json()
    if answer.status_code != 200 or not isinstance(found, dict):
        raise ValueError("no object")
    return dict(found)


def _safe(address: str) -> str:
    """An address of the provider's that may be used.

    Raises:
        ValueError: Neither https nor on this machine.
    """
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname and is_loopback(parts.hostname)):
        raise ValueError("not https")
    return address


def _named(subject: Any) -> str:
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise _not_done("身份令牌没有写明是谁")
    return subject


def _not_done(detail: str) -> YiwangError:
    return YiwangError("YW-ACCESS-004", detail=detail)
