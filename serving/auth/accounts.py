"""Systems and people whom the store knows: keys in the ``Authorization`` header, sessions in a cookie.

Every call asks the database and so runs on a thread, never on the event loop. What does not belong here: tokens of the settings and
the development principal (:mod:`serving.auth.credentials`), which need no store.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie

from models.core.access import service, throttle
from models.core.crypto.types import CryptoProvider
from models.core.policy.service import Principal
from models.core.work.service import Actor, work
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from serving.auth.credentials import same_origin

COOKIE = "yiwang_login"
"""The session's number. It reads nothing and says nothing; who has it is found in the store."""
_REMEMBERED = timedelta(seconds=1)
_MOST_KEPT = 10_000
NOBODY = Actor("nobody", frozenset(), authority="log-in")


class Accounts:
    """Answers who comes with a key or a session.

    Args:
        settings: Limits of sessions, failures before a lock.
        database: The store.
        crypto: Digests addresses.
        clock: Says what time it is.
    """

    def __init__(self, settings: Settings, database: Database, crypto: CryptoProvider, clock: Callable[[], datetime]) -> None:
        self.settings, self.database, self.crypto, self.clock = settings, database, crypto, clock
        self._kept: dict[bytes, tuple[Principal, datetime]] = {}

    def principal(self, headers: Mapping[str, str], peer: str | None) -> Principal | None:
        """Who asks, None for nobody.

        Args:
            headers: Header name in lower case → value.
            peer: Address at the other end of the connection.

        Raises:
            YiwangError: YW-ACCESS-002 after too many wrong keys from this address; YW-STORE-008 where the database is away.
        """
        token = key_of(headers)
        if token is not None:
            at = self.clock()
            with self.database.read() as session:
                found = service.by_key(session, token, at)
            if found is None:
                self.refuse([self.address(peer)])
            else:
                self._keep(token, found, at)
            return found
        number = session_of(headers)
        if number is None or not same_origin(headers):
            return None
        at = self.clock()
        with self.database.read() as session:
            known = service.by_session(session, self.settings, number, at)
        if known is None:
            return None
        if known.is_to_be_touched:
            with self.database.write() as session:
                service.touch(session, known.session_id, at)
        return known.principal

    def remembered(self, headers: Mapping[str, str]) -> Principal | None:
        """Whose key it is, where it was looked up within the last second: without the database, and so on the event loop.

        A key that is revoked or expires holds for a second more.
        """
        token = key_of(headers)
        kept = self._kept.get(_digest(token)) if token is not None else None
        return kept[0] if kept is not None and timedelta() <= self.clock() - kept[1] < _REMEMBERED else None

    def _keep(self, token: str, principal: Principal, at: datetime) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[_digest(token)] = (principal, at)

    def address(self, peer: str | None) -> str:
        """The name under which failures of an address are counted."""
        return f"address:{self.crypto.digest('address', peer or 'unknown')}"

    def refuse(self, names: list[str]) -> None:
        """Count a failure.

        Raises:
            YiwangError: YW-ACCESS-002 while the names are locked.
        """
        at = self.clock()
        self.check(names)
        with work(self.database, NOBODY, at) as now:
            until = throttle.failed(now, self.settings, names)
            if until is not None:
                now.record("login.locked", names[0], until=until.isoformat())
        if until is not None:
            raise YiwangError("YW-ACCESS-002", seconds=_seconds(until, at))

    def check(self, names: list[str]) -> None:
        """Nobody is let in under a locked name, not even with the right credentials.

        Raises:
            YiwangError: YW-ACCESS-002.
        """
        at = self.clock()
        with self.database.read() as session:
            until = throttle.locked_until(session, names, at)
        if until is not None:
            raise YiwangError("YW-ACCESS-002", seconds=_seconds(until, at))


def key_of(headers: Mapping[str, str]) -> str | None:
    """The key of a system in the ``Authorization`` header; None for none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token.startswith(service.KEY_PREFIX) else None


def session_of(headers: Mapping[str, str]) -> str | None:
    """The session's number in the cookie; None for none, or where the client says who it is in another way."""
    if "authorization" in headers or COOKIE not in headers.get("cookie", ""):
        return None
    try:
        found = SimpleCookie(headers["cookie"]).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None and 20 <= len(found.value) <= 100 else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _seconds(until: datetime, at: datetime) -> int:
    return max(1, int((until - at).total_seconds()) + 1)
