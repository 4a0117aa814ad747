"""Logging in and out: by a token of the settings, at the identity provider, and whatever ends it.

Every call asks the store, some the provider, too: they belong on a thread. What does not belong here: addresses and cookies
(``serving.web``), and what a token of the provider must look like (:mod:`serving.auth.oidc`).
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from models.core.access import service, throttle
from models.core.organisation.staff import principal_of, staff_by_account
from models.core.parties import service as parties
from models.core.policy.service import Grant, Principal
from models.core.work.service import Actor, Work, work
from models.domain.errors import YiwangError
from models.domain.identifiers import is_credit_code, is_resident_id, normalise
from serving.auth.accounts import NOBODY, Accounts
from serving.auth.oidc import SKEW, Oidc, Proved, Secret

UNDER_WAY = timedelta(minutes=10)
"""How long somebody may take at the provider."""


@dataclass(frozen=True)
class Visitor:
    """Whoever is to be let in.

    Attributes:
        headers: Of the request; header name in lower case → value.
        peer: Address at the other end of the connection.
        session: Number of the session that the browser has already; it ends with the new one.
    """

    headers: Mapping[str, str]
    peer: str | None
    session: str | None


class Login:
    """Lets people in and out.

    Args:
        accounts: Sessions, and the lock after failures.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts, self._settings = accounts, accounts.settings
        self.oidc = Oidc(accounts.settings, accounts.clock) if accounts.settings.oidc_issuer else None

    def by_token(self, token: str, visitor: Visitor) -> str | None:
        """A session for whoever has a token of the settings, None for a wrong one.

        Raises:
            YiwangError: YW-ACCESS-002 after too many failures from this address, also for a right token.
        """
        names = [self._accounts.address(visitor.headers, visitor.peer)]
        self._accounts.check(names)
        subject = self._accounts.authenticator.subject_of(token)
        if subject is None:
            self._accounts.refuse(names, "token")
            return None
        with work(self._accounts.database, _as(subject), self._accounts.clock()) as now:
            throttle.succeeded(now, names)
            return self._begin(now, visitor, subject, ("pwd",))

    def begin(self, wanted: str, back: str) -> tuple[str, str]:
        """Begin a log-in at the provider.

        Args:
            wanted: Where to go afterwards, on this server.
            back: Address of this server that the provider sends the browser back to.

        Returns:
            What the browser keeps meanwhile, and where it is sent.

        Raises:
            YiwangError: YW-ACCESS-005 where there is no provider, or it is away.
        """
        secret = Secret(secrets.token_urlsafe(32))
        address = self._provider().address(secret, back)
        at = self._accounts.clock()
        with work(self._accounts.database, NOBODY, at) as now:
            service.remember_once(now, secret.text, wanted, at + UNDER_WAY)
        return secret.text, address

    def finish(self, kept: str, back: str, answer: Mapping[str, str], visitor: Visitor) -> tuple[str, str]:
        """End a log-in at the provider with a session.

        Args:
            kept: What the browser kept.
            back: As in :meth:`begin`.
            answer: Parameters with which the provider sent the browser back.
            visitor: Who.

        Returns:
            The session's number, and where to go.

        Raises:
            YiwangError: YW-ACCESS-002 after too many failures, -003 for an administrator with one kind of proof, -004 for an answer or
                token that is not meant for this log-in, was used or is too old, -005 where the provider is away, -009 for who is not known.
        """
        names = [self._accounts.address(visitor.headers, visitor.peer)]
        self._accounts.check(names)
        try:
            secret = Secret(kept)
            if not secret.is_state(answer.get("state", "")):
                raise YiwangError("YW-ACCESS-004", detail="登录已过期，或不是从本浏览器发起的")
            with work(self._accounts.database, NOBODY, self._accounts.clock()) as now:
                wanted = service.take_once(now, kept)  # before anything is asked of the provider: of two at once one goes on
            if wanted is None:
                raise YiwangError("YW-ACCESS-004", detail="登录已过期，或已经用过")
            proved = self._provider().proved(secret, back, answer)
            names.append(self._accounts.account(f"{proved.issuer} {proved.subject}"))
            self._accounts.check(names)
            return self._let_in(proved, names, visitor), wanted
        except YiwangError as error:
            if error.code in ("YW-ACCESS-003", "YW-ACCESS-004", "YW-ACCESS-009"):
                self._accounts.refuse(names, error.code)
            raise

    def leave(self, visitor: Visitor, back: str) -> str | None:
        """End the browser's session.

        Returns:
            Where the browser is sent to log out of the provider, too; None where it need not, or the provider is away.
        """
        if visitor.session is None:
            return None
        with work(self._accounts.database, NOBODY, self._accounts.clock()) as now:
            ended = service.end_by_secret(now, visitor.session, "logout")
        if ended is None or self.oidc is None or ended.issuer != self.oidc.issuer:
            return None
        try:
            return self.oidc.farewell(back)
        except YiwangError:
            return None

    def ended_at_provider(self, token: str) -> int:
        """End what a log-out token of the provider names.

        Returns:
            Number of sessions ended.

        Raises:
            YiwangError: YW-ACCESS-005 where the provider is away, YW-ACCESS-006 for a token that is none, or came before.
        """
        ended = self._provider().ended(token)
        at = self._accounts.clock()
        with work(self._accounts.database, Actor(f"provider:{ended.issuer}", frozenset(), authority="back-channel log-out"), at) as now:
            if not service.remember_once(now, f"log-out {ended.issuer} {ended.number}", None, at + timedelta(seconds=min(max(0, ended.until - at.timestamp()), 86_400) + 2 * SKEW)):
                raise YiwangError("YW-ACCESS-006", detail="这条通知已经收到过")
            return service.end_of_provider(now, ended.issuer, ended.subject if ended.session is None else None, ended.session)

    def _let_in(self, proved: Proved, names: list[str], visitor: Visitor) -> str:
        at = self._accounts.clock()
        with work(self._accounts.database, NOBODY, at) as looking:
            principal = self._staff(looking, proved) or self._citizen(looking, proved)
            if principal is None:
                raise YiwangError("YW-ACCESS-009")
            if service.needs_second_factor(self._settings, principal, proved.methods):
                raise YiwangError("YW-ACCESS-003")
            now = Work(looking.session, _as(principal.name), at, looking.is_postgresql)
            throttle.succeeded(now, names)
            return self._begin(now, visitor, principal.name, proved.methods, proved)

    def _staff(self, now: Work, proved: Proved) -> Principal | None:
        account = proved.claims.get(self._settings.oidc_staff_claim)
        found = staff_by_account(now.session, account) if isinstance(account, str) and account else None
        return principal_of(now.session, found.id, now.at) if found is not None else None

    def _citizen(self, now: Work, proved: Proved) -> Principal | None:
        """The party that somebody is: known since their first log-in, and then found or registered by what the provider has certified."""
        party_id = service.party_of(now.session, proved.issuer, proved.subject)
        if party_id is None:
            number, name = (proved.claims.get(each) if each else None for each in (self._settings.oidc_citizen_claim, "name"))
            if not isinstance(number, str) or not isinstance(name, str):
                return None
            plain = normalise(number)
            kind: parties.Kind = "enterprise" if is_credit_code(plain) else "person"
            if kind == "person" and not is_resident_id(plain):
                return None
            id_type = parties.CREDIT if kind == "enterprise" else parties.RESIDENT
            found = parties.find(now.session, self._accounts.crypto, id_type, plain)
            party_id = (found or parties.register(now, self._accounts.crypto, kind, name, id_type, plain)).id
            service.identify(now, proved.issuer, proved.subject, party_id)
        return Principal(f"party:{party_id}", frozenset({Grant("applicant")}), party_id)

    def _begin(self, now: Work, visitor: Visitor, subject: str, methods: tuple[str, ...], proved: Proved | None = None) -> str:
        if visitor.session is not None:
            service.end_by_secret(now, visitor.session, "renewed")
        made = service.begin_session(
            now, self._settings, subject, methods=methods, issuer=proved.issuer if proved else None, provider_subject=proved.subject if proved else None,
            provider_session=proved.session if proved else None,
        )  # fmt: skip
        return made.secret

    def _provider(self) -> Oidc:
        if self.oidc is None:
            raise YiwangError("YW-ACCESS-005")
        return self.oidc


def _as(subject: str) -> Actor:
    return Actor(subject, frozenset(), authority="log-in")
