"""The door to ways in: keys of systems, sessions of people, and the lock after failed attempts.

Secrets are random (256 bits) and kept as digests only; who reads the store can come in as nobody. What does not belong here: HTTP,
and what the identity provider says (``serving.auth``).
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.organisation.staff import ADMINISTRATORS, check_role, principal_of
from models.core.organisation.units import in_use
from models.core.policy.service import EVERYWHERE, Grant, Principal, policy
from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import ApiKey, Attempts, Identity, LoginSession, Once, Party

KEY_PREFIX = "yw_"
_TOUCH = timedelta(minutes=1)
"""How often at most the last use of a session is written."""


@dataclass(frozen=True)
class Issued:
    """Something new with its secret, which is shown once."""

    id: UUID
    secret: str


@dataclass(frozen=True)
class Known:
    """Whose session it is.

    Attributes:
        principal: With the roles that hold now.
        session_id: The session.
        is_to_be_touched: Its last use is to be written, which is done at most once a minute.
    """

    principal: Principal
    session_id: UUID
    is_to_be_touched: bool


def issue_key(now: Work, name: str, grants: Sequence[Grant], expires_at: datetime, unit_code: str = EVERYWHERE) -> Issued:
    """A key for a system; nobody comes in with it before somebody else has confirmed it (:func:`confirm_key`).

    Raises:
        YiwangError: YW-ACCESS-001 without a role, for one that systems may not hold, or an end in the past; YW-ORG-001 and YW-STORE-011 for a
            role without its unit, or a unit that is not there.
    """
    rules = policy()
    if not grants or any(each.role not in rules.systems for each in grants):
        raise YiwangError("YW-ACCESS-001", detail=f"须有至少一个角色，且只能是{'、'.join(rules.roles[role].title for role in rules.systems)}")
    for each in grants:
        check_role(now, each.role, each.unit_code)
    if unit_code != EVERYWHERE:
        in_use(now, unit_code)
    if expires_at <= now.at:
        raise YiwangError("YW-ACCESS-001", detail="到期时间应晚于现在")
    secret, key_id = secrets.token_urlsafe(32), now.new_id()
    now.session.add(ApiKey(
        id=key_id, name=name.strip(), digest=_digest(secret), grants=sorted(f"{each.role}@{each.unit_code}" for each in grants), unit_code=unit_code,
        expires_at=expires_at, revoked_at=None, confirmed_at=None, confirmed_by=None, created_by=now.actor.name, created_at=now.at,
    ))  # fmt: skip
    now.session.flush()
    now.record("key.issued", f"key:{key_id}", grants=sorted(f"{each.role}@{each.unit_code}" for each in grants))
    return Issued(key_id, f"{KEY_PREFIX}{key_id.hex}_{secret}")


def confirm_key(now: Work, key_id: UUID) -> ApiKey:
    """Let a key work: by another one than its issuer, so that nobody gives himself a role by a key. Again: nothing.

    Raises:
        YiwangError: YW-STORE-011 where there is none; YW-ACCESS-001 for its issuer, or one that is over.
    """
    found = now.session.get(ApiKey, key_id)
    if found is None:
        raise YiwangError("YW-STORE-011", what="系统密钥", key=key_id)
    if found.created_by == now.actor.name:
        raise YiwangError("YW-ACCESS-001", detail="须由签发人以外的管理员确认")
    if found.revoked_at is not None or found.expires_at <= now.at:
        raise YiwangError("YW-ACCESS-001", detail="已吊销或到期，请重新签发")
    if found.confirmed_at is None:
        found.confirmed_at, found.confirmed_by = now.at, now.actor.name
        now.session.flush()
        now.record("key.confirmed", f"key:{key_id}", grants=found.grants)
    return found


def revoke_key(now: Work, key_id: UUID) -> ApiKey:
    """End a key from now on; again: nothing.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    found = now.session.get(ApiKey, key_id)
    if found is None:
        raise YiwangError("YW-STORE-011", what="系统密钥", key=key_id)
    if found.revoked_at is None:
        found.revoked_at = now.at
        now.session.flush()
        now.record("key.revoked", f"key:{key_id}")
    return found


def keys(session: Session, paging: Paging) -> Page[ApiKey]:
    """All keys, the oldest first."""
    return page(session, sa.select(ApiKey), [ApiKey.id], paging)


def by_key(session: Session, token: str, at: datetime) -> Principal | None:
    """Whose key it is; None for a wrong, unconfirmed, expired or revoked one. One query by key."""
    head, _, secret = token.removeprefix(KEY_PREFIX).partition("_")
    try:
        key_id = UUID(hex=head)
    except ValueError:
        return None
    found = session.get(ApiKey, key_id)
    is_right = hmac.compare_digest(found.digest if found else "", _digest(secret))
    if found is None or not is_right or found.confirmed_at is None or found.revoked_at is not None or found.expires_at <= at:
        return None
    grants = frozenset(Grant(*each.split("@", 1)) for each in found.grants)
    return Principal(f"key:{key_id}", grants, unit_code=found.unit_code)


def begin_session(
    now: Work, settings: Settings, subject: str, *, methods: Sequence[str] = (), issuer: str | None = None, provider_subject: str | None = None,
    provider_session: str | None = None,
) -> Issued:  # fmt: skip
    """A session for somebody who was let in; of more than ``sessions_per_person`` the oldest end."""
    secret, session_id = secrets.token_urlsafe(32), now.new_id()
    mine = sa.select(LoginSession).where(LoginSession.subject == subject, LoginSession.ended_at.is_(None), LoginSession.expires_at > now.at)
    open_ones = list(now.session.scalars(mine.order_by(LoginSession.created_at.desc())))
    for old in open_ones[settings.sessions_per_person - 1 :]:
        _end(now, old, "too_many")
    now.session.add(LoginSession(
        id=session_id, digest=_digest(secret), subject=subject, issuer=issuer, provider_subject=provider_subject, provider_session=provider_session,
        methods=list(methods), created_at=now.at, used_at=now.at, expires_at=now.at + timedelta(hours=settings.session_hours), ended_at=None, ended_why=None,
    ))  # fmt: skip
    now.session.flush()
    now.record("session.begun", f"session:{session_id}", subject=subject, methods=sorted(methods))
    return Issued(session_id, secret)


def by_session(session: Session, settings: Settings, secret: str, at: datetime, of_token: Callable[[str], Principal | None] = lambda subject: None) -> Known | None:
    """Whose session it is, with the roles that hold now; None for one that is wrong, ended, idle for too long or too old.

    Two queries by index: the session, and the person.

    Args:
        session: The transaction.
        settings: Limits of sessions, kinds of proof.
        secret: The session's number.
        at: Now.
        of_token: Whose a session of a token of the settings (``token:…``) is.
    """
    found = session.scalars(sa.select(LoginSession).where(LoginSession.digest == _digest(secret))).one_or_none()
    idle = timedelta(minutes=settings.session_idle_minutes)
    if found is None or found.ended_at is not None or found.expires_at <= at or found.used_at + idle <= at:
        return None
    kind, _, key = found.subject.partition(":")
    match kind:
        case "staff":
            principal = principal_of(session, UUID(key), at)
            if principal is not None and not _is_proved(settings, principal, found.methods):
                return None
        case "party":
            party = session.get(Party, UUID(key))
            principal = Principal(found.subject, frozenset({Grant("applicant")}), party.id) if party is not None and party.deleted_at is None else None
        case "token":
            principal = of_token(found.subject)
        case _:
            principal = None
    return Known(principal, found.id, at - found.used_at >= _TOUCH) if principal is not None else None


def touch(session: Session, session_id: UUID, at: datetime) -> None:
    """Write down that a session was used."""
    session.execute(sa.update(LoginSession).where(LoginSession.id == session_id, LoginSession.used_at < at).values(used_at=at))


def end_session(now: Work, session_id: UUID, why: str) -> LoginSession:
    """End a session; again: nothing.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    found = now.session.get(LoginSession, session_id)
    if found is None:
        raise YiwangError("YW-STORE-011", what="会话", key=session_id)
    if found.ended_at is None:
        _end(now, found, why)
    return found


def end_by_secret(now: Work, secret: str, why: str) -> LoginSession | None:
    """End the session with this number; None where none is open."""
    found = now.session.scalars(sa.select(LoginSession).where(LoginSession.digest == _digest(secret), LoginSession.ended_at.is_(None))).one_or_none()
    if found is not None:
        _end(now, found, why)
    return found


def party_of(session: Session, issuer: str, subject: str) -> UUID | None:
    """The party as which somebody at the identity provider is known; one query by key. None for nobody, or one out of use."""
    query = sa.select(Identity.party_id).join(Party, Party.id == Identity.party_id)
    return session.scalar(query.where(Identity.issuer == issuer, Identity.subject == subject, Party.deleted_at.is_(None)))


def identify(now: Work, issuer: str, subject: str, party_id: UUID) -> None:
    """Write down as which party somebody at the identity provider is known from now on."""
    known = now.session.get(Identity, (issuer, subject))
    if known is None:
        now.session.add(Identity(issuer=issuer, subject=subject, party_id=party_id, created_at=now.at))
    else:
        known.party_id = party_id
    now.session.flush()
    now.record("identity.linked", f"party:{party_id}", issuer=issuer)


def disown(now: Work, party_id: UUID) -> None:
    """Nobody is known as this party any more, and no session of it holds."""
    now.session.execute(sa.delete(Identity).where(Identity.party_id == party_id))
    mine = sa.select(LoginSession).where(LoginSession.subject == f"party:{party_id}", LoginSession.ended_at.is_(None))
    for each in now.session.scalars(mine):
        _end(now, each, "number changed")
    now.record("identity.unlinked", f"party:{party_id}")


def end_of_provider(now: Work, issuer: str, subject: str | None, provider_session: str | None) -> int:
    """End what the identity provider says has ended (back-channel log-out).

    Returns:
        Number of sessions ended.
    """
    query = sa.select(LoginSession).where(LoginSession.issuer == issuer, LoginSession.ended_at.is_(None))
    if provider_session is not None:
        query = query.where(LoginSession.provider_session == provider_session)
    if subject is not None:
        query = query.where(LoginSession.provider_subject == subject)
    found = list(now.session.scalars(query)) if subject or provider_session else []
    for each in found:
        _end(now, each, "provider")
    return len(found)


def sessions(session: Session, paging: Paging, at: datetime, *, subject: str | None = None) -> Page[LoginSession]:
    """Sessions that hold, the oldest first."""
    query = sa.select(LoginSession).where(LoginSession.ended_at.is_(None), LoginSession.expires_at > at)
    return page(session, query if subject is None else query.where(LoginSession.subject == subject), [LoginSession.id], paging)


def remember_once(now: Work, secret: str, content: str | None, expires_at: datetime) -> bool:
    """Keep something that may be used once; False where it was seen before."""
    digest = _digest(secret)
    if now.session.get(Once, digest) is not None:
        return False
    now.session.add(Once(digest=digest, content=content, expires_at=expires_at))
    now.session.flush()
    return True


def take_once(now: Work, secret: str) -> str | None:
    """What was kept under a secret, and no more from now on; None for what is unknown, used or expired."""
    taken = now.session.execute(sa.delete(Once).where(Once.digest == _digest(secret)).returning(Once.content, Once.expires_at)).one_or_none()
    return taken.content if taken is not None and taken.expires_at > now.at else None


def needs_second_factor(settings: Settings, principal: Principal, methods: Sequence[str]) -> bool:
    """Whether an administrator came in by one kind of proof only (GB/T 22239-2019 level 3, 8.1.4.1 d)."""
    return not _is_proved(settings, principal, methods)


def prune(database: Database, at: datetime, limit: int = 10_000) -> int:
    """Forget what may no longer be used, sessions over for a month, and failures of yesterday.

    Returns:
        Number of rows forgotten; call again while it is ``limit`` or more.
    """
    old = (
        (Once.digest, Once.expires_at < at), (LoginSession.id, LoginSession.expires_at < at - timedelta(days=30)),
        (Attempts.name, Attempts.updated_at < at - timedelta(days=1)),
    )  # fmt: skip
    count = 0
    with database.write() as session:
        for key, is_over in old:
            removing = sa.delete(key.class_).where(key.in_(sa.select(key).where(is_over).limit(limit))).execution_options(synchronize_session=False)
            count += int(getattr(session.execute(removing), "rowcount", 0))
    return count


def _is_proved(settings: Settings, principal: Principal, methods: Sequence[str]) -> bool:
    is_administrator = any(each.role in ADMINISTRATORS for each in principal.grants)
    accepted = {each.strip() for each in settings.second_factors.split(",") if each.strip()}
    return not is_administrator or not accepted or not accepted.isdisjoint(methods)


def _end(now: Work, found: LoginSession, why: str) -> None:
    found.ended_at, found.ended_why = now.at, why
    now.session.flush()
    now.record("session.ended", f"session:{found.id}", subject=found.subject, why=why)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
