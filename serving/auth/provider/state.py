"""What the provider knows between two requests: its key, its sessions, codes and access tokens; and how it lets people in.

Kept in memory: after a restart everybody logs in again, and clients find a new key.
"""

import base64
import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

from models.core.access.passwords import hashed, is_due, matches
from models.core.access.throttle import lock_after
from models.domain.settings import Settings
from serving.auth.provider import totp
from serving.auth.provider.users import User, Users, rules_of

ALGORITHM = "ES256"
_CODE, _TOKEN = timedelta(seconds=60), timedelta(minutes=5)
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True)
class Client:
    """The one system that logs people in here.

    Attributes:
        id: Name.
        secret: None for a public client.
        back: Addresses to which people may come back from the log-in.
        after: Those from the log-out.
        told: Address that hears of ended sessions.
    """

    id: str
    secret: str | None
    back: frozenset[str]
    after: frozenset[str]
    told: str | None = None


@dataclass
class Opened:
    """A session at the provider."""

    sid: str
    user: User
    methods: list[str]
    at: datetime
    used_at: datetime


@dataclass(frozen=True)
class Code:
    """A code that was given out, and what it is worth."""

    opened: Opened
    back: str
    nonce: str
    challenge: str
    until: datetime


class Provider:
    """The provider.

    Args:
        issuer: Its address.
        client: Who logs people in.
        users: Who they are.
        settings: Failures before a lock, idle time, rules of passwords.
        clock: Says what time it is.
    """

    def __init__(self, issuer: str, client: Client, users: Users, settings: Settings, clock: Callable[[], datetime]) -> None:
        self.issuer, self.client, self._users, self._settings, self.clock = issuer, client, users, settings, clock
        self.key = _key()
        self._lock = threading.Lock()
        self._opened: dict[str, Opened] = {}
        self._codes: dict[str, Code] = {}
        self._access: dict[str, tuple[User, datetime]] = {}
        self._failures: dict[str, tuple[int, datetime]] = {}
        self._last_steps: dict[str, int] = {}
        self._nobody = hashed(secrets.token_urlsafe(16))

    def log_in(self, account: str, password: str, code: str) -> str | Opened:
        """A session for whoever proves who they are; else what to tell them, which never says what was wrong."""
        at = self.clock()
        with self._lock:
            failures, failed_at = self._failures.get(account, (0, at))
        lock = lock_after(failures, self._settings.login_failures)
        if lock is not None and failed_at + lock > at:
            return f"登录失败次数过多，请在 {int((failed_at + lock - at).total_seconds()) + 1} 秒后再试。"
        user = self._users.all().get(account)
        is_right = matches(password, user.passwords[0] if user else self._nobody)  # as long for nobody
        if user is None or not is_right or not self._is_code(user, code, at):
            with self._lock:
                self._failures[account] = (failures + 1, at)
            return "账号、口令或动态口令不正确。"
        with self._lock:
            self._failures.pop(account, None)
        if is_due(datetime.fromisoformat(user.changed_at), at, rules_of(self._settings)):
            return f"口令已满 {self._settings.password_days} 天，请用 yiwang login-provider user {account} 更换后再登录。"
        opened = Opened(secrets.token_urlsafe(16), user, ["pwd", "otp"] if user.otp else ["pwd"], at, at)
        with self._lock:
            self._opened[opened.sid] = opened
        return opened

    def opened(self, sid: str) -> Opened | None:
        """A session that is neither ended nor idle for too long."""
        with self._lock:
            found = self._opened.get(sid)
            at = self.clock()
            if found is None or found.used_at + timedelta(minutes=self._settings.session_idle_minutes) <= at:
                self._opened.pop(sid, None)
                return None
            found.used_at = at
            return found

    def give_code(self, opened: Opened, back: str, nonce: str, challenge: str) -> str:
        """A code for the client, good for one minute and one time."""
        code = secrets.token_urlsafe(32)
        with self._lock:
            self._codes[code] = Code(opened, back, nonce, challenge, self.clock() + _CODE)
        return code

    def redeem(self, code: str, back: str, verifier: str) -> dict[str, Any] | None:
        """Tokens for a code; None for one that is unknown, used, too old, or another log-in's."""
        at = self.clock()
        with self._lock:
            found = self._codes.pop(code, None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if found is None or found.until <= at or found.back != back or not hmac.compare_digest(found.challenge, challenge):
            return None
        access = secrets.token_urlsafe(32)
        with self._lock:
            self._access[access] = (found.opened.user, at + _TOKEN)
        return {"access_token": access, "token_type": "Bearer", "expires_in": int(_TOKEN.total_seconds()), "id_token": self.id_token(found, access)}

    def id_token(self, code: Code, access: str) -> str:
        """Says to the client who logged in, how and when."""
        opened, at = code.opened, int(self.clock().timestamp())
        half = hashlib.sha256(access.encode()).digest()[:16]
        return self.signed({
            **self.about(opened.user), "iss": self.issuer, "aud": self.client.id, "exp": at + int(_TOKEN.total_seconds()), "iat": at, "nonce": code.nonce,
            "sid": opened.sid, "auth_time": int(opened.at.timestamp()), "amr": opened.methods, "acr": "2" if "otp" in opened.methods else "1",
            "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("="),
        })  # fmt: skip

    def userinfo(self, access: str) -> dict[str, Any] | None:
        """About whoever an access token is; None for one that is unknown or too old."""
        with self._lock:
            user, until = self._access.get(access, (None, self.clock()))
        return self.about(user) if user is not None and until > self.clock() else None

    def about(self, user: User) -> dict[str, Any]:
        """What is said of somebody."""
        return {**user.claims, "sub": user.account, "preferred_username": user.account, "name": user.name}

    def end(self, sid: str) -> bool:
        """End a session and tell the client.

        Returns:
            Whether the client has heard it, or there was nothing to tell.
        """
        with self._lock:
            found = self._opened.pop(sid, None)
        if found is None or self.client.told is None:
            return True
        try:
            return httpx.post(self.client.told, data={"logout_token": self.logout_token(found)}, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def logout_token(self, opened: Opened) -> str:
        """Says to the client that a session has ended."""
        at = int(self.clock().timestamp())
        claims = {"iss": self.issuer, "aud": self.client.id, "iat": at, "exp": at + 120, "jti": secrets.token_urlsafe(16), "sub": opened.user.account,
                  "sid": opened.sid, "events": {LOGOUT_EVENT: {}}}  # fmt: skip
        return self.signed(claims, "logout+jwt")

    def signed(self, claims: dict[str, Any], kind: str = "JWT") -> str:
        """A token of the provider."""
        return jwt.encode({"alg": ALGORITHM, "kid": self.key.kid, "typ": kind}, claims, self.key, algorithms=[ALGORITHM])

    def renew_key(self) -> None:
        """Sign with a new key from now on; the old one is known no more."""
        self.key = _key()

    def _is_code(self, user: User, given: str, at: datetime) -> bool:
        if user.otp is None:
            return True
        with self._lock:
            step = totp.accepted(user.otp, given, at, self._last_steps.get(user.account, -1))
            if step is not None:
                self._last_steps[user.account] = step
        return step is not None


def _key() -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
