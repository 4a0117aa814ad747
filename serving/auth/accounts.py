"""Systems and people whom the store knows: keys in the ``Authorization`` header, sessions in a cookie.

Every call asks the database and so runs on a thread, never on the event loop. What does not belong here: tokens of the settings and
the development principal (:mod:`serving.auth.credentials`), which need no store.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie

from models.core.access import service, throttle
from models.core.crypto.types import CryptoProvider
from models.core.policy.service import Principal
from models.core.work.service import Actor, work
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from serving.auth.credentials import Authenticator, same_origin

COOKIE = "yiwang_session"
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
        authenticator: Knows the tokens of the settings, with which sessions may begin.
    """

    def __init__(self, settings: Settings, database: Database, crypto: CryptoProvider, clock: Callable[[], datetime], authenticator: Authenticator) -> None:
        self.settings, self.database, self.crypto, self.clock, self.authenticator = settings, database, crypto, clock, authenticator
        self._proxies = frozenset(each.strip() for each in settings.trusted_proxies.split(",") if each.strip())
        self._locked: dict[str, datetime] = {}
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
                self.refuse([self.address(headers, peer)], "key")
            else:
                self._keep(token, found, at)
            return found
        number = session_of(headers)
        if number is None or not same_origin(headers):
            return None
        known = self._known(number)
        return known.principal if known is not None else None

    def holds(self, headers: Mapping[str, str], is_used: bool) -> bool:
        """Whether the session of a socket that is open still holds; True where it hangs on no session.

        Args:
            headers: With which it was opened.
            is_used: Somebody did something on it, which counts as use of the session.
        """
        number = session_of(headers)
        return number is None or self._known(number, is_used) is not None

    def _known(self, number: str, is_used: bool = True) -> service.Known | None:
        at = self.clock()
        with self.database.read() as session:
            known = service.by_session(session, self.settings, number, at, self.authenticator.of_subject)
        if known is not None and known.is_to_be_touched and is_used:
            # a store that is too busy for this refuses nobody who is let in
            with suppress(YiwangError), self.database.write() as session:
                service.touch(session, known.session_id, at)
        return known

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

    def address(self, headers: Mapping[str, str], peer: str | None) -> str:
        """The name under which failures of a client's address are counted.

        Behind proxies that are trusted it is the last address that none of them has: what stands before it the client may have made up.
        """
        client = peer or "unknown"
        if client in self._proxies:
            hops = [each.strip() for each in headers.get("x-forwarded-for", "").split(",") if each.strip()]
            client = next((hop for hop in reversed(hops) if hop not in self._proxies), client)
        return f"address:{self.crypto.digest('address', client[:100])}"

    def account(self, name: str) -> str:
        """The name under which failures of an account are counted and written down, which tells nothing about who it is."""
        return f"account:{self.crypto.digest('account', name)}"

    def refuse(self, names: list[str], why: str) -> None:
        """Count a failure, and write it down.

        Args:
            names: Of the address, and of the account where one is known.
            why: What was not right.

        Raises:
            YiwangError: YW-ACCESS-002 while one of the names is locked.
        """
        at = self.clock()
        self.check(names)
        try:
            until = self._failed(names, why, at)
        except YiwangError as error:
            if error.code != "YW-STORE-010":
                raise
            until = self._failed(names, why, at)  # two first failures at once: now there is a row
        if until is not None:
            self._lock(names, until)
            raise YiwangError("YW-ACCESS-002", seconds=_seconds(until, at))

    def _failed(self, names: list[str], why: str, at: datetime) -> datetime | None:
        with work(self.database, NOBODY, at) as now:
            until = throttle.failed(now, self.settings, names)
            now.record("login.failed", names[-1], why=why)
            if until is not None:
                now.record("login.locked", names[-1], until=until.isoformat())
        return until

    def refuse_token(self, headers: Mapping[str, str], peer: str | None) -> None:
        """Count a wrong token of the settings; while the store is away nothing is counted, and the token is as wrong.

        Raises:
            YiwangError: YW-ACCESS-002 while the address is locked.
        """
        try:
            self.refuse([self.address(headers, peer)], "token")
        except YiwangError as error:
            if error.code == "YW-ACCESS-002":
                raise

    def check(self, names: list[str]) -> None:
        """Nobody is let in under a locked name, not even with the right credentials.

        Raises:
            YiwangError: YW-ACCESS-002.
        """
        at = self.clock()
        with self.database.read() as session:
            until = throttle.locked_until(session, names, at)
        if until is not None:
            self._lock(names, until)
            raise YiwangError("YW-ACCESS-002", seconds=_seconds(until, at))

    def check_here(self, headers: Mapping[str, str], peer: str | None) -> None:
        """As :meth:`check` for the address, by what this process knows: without the database, for tokens that must work without it.

        Raises:
            YiwangError: YW-ACCESS-002.
        """
        if not self._locked:
            return
        at, until = self.clock(), self._locked.get(self.address(headers, peer))
        if until is not None and until > at:
            raise YiwangError("YW-ACCESS-002", seconds=_seconds(until, at))

    def _lock(self, names: list[str], until: datetime) -> None:
        if len(self._locked) >= _MOST_KEPT:
            self._locked.clear()
        self._locked |= dict.fromkeys(names, until)


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
