"""Parties and authorisations within somebody's rights: citizens reach their own, clerks what their work needs."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.crypto.types import CryptoProvider
from models.core.parties import service
from models.core.parties.authority import authorise, revoke
from models.core.policy.service import Access, policy
from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import Authorisation, CaseFile, Party


def reached(session: Session, access: Access, party_id: UUID) -> Party:
    """A party in reach.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    found = session.scalars(_in_reach(access), {"party_id": party_id}).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="办事主体", key=party_id)
    return found


@lru_cache(maxsize=512)
def _in_reach(access: Access) -> sa.Select[tuple[Party]]:
    return sa.select(Party).where(Party.id == sa.bindparam("party_id"), Party.deleted_at.is_(None), access.rows(None, Party.id))


def shown(session: Session, crypto: CryptoProvider, party_id: UUID | None) -> service.Masked | None:
    """A party of a row that is in reach itself, masked; None for none."""
    found = session.get(Party, party_id) if party_id is not None else None
    return service.masked(crypto, found) if found is not None else None


def search(
    now: Work, crypto: CryptoProvider, access: Access, *, id_type_code: str | None = None, number: str | None = None, phone: str | None = None
) -> Sequence[Party]:
    """Parties with a number or a phone; that somebody looked is in the audit.

    Raises:
        YiwangError: YW-PARTY-001 without a number with its type, or a phone.
    """
    if number is not None and id_type_code is not None:
        one = service.find(now.session, crypto, id_type_code, number)
        found: Sequence[Party] = [one] if one else []
    elif phone is not None:
        found = service.find_by_phone(now.session, crypto, phone)
    else:
        raise YiwangError("YW-PARTY-001", field="查找条件", detail="请给出证件类型和证件号码，或电话")
    mine = [party for party in found if access.covers(now.session, None, party.id)]
    now.record("party.searched", "party", found=[str(party.id) for party in mine])
    return mine


def amend(now: Work, crypto: CryptoProvider, access: Access, party_id: UUID, version: int, **given: Any) -> Party:
    """Change a party in reach; errors as :func:`models.core.parties.service.amend`.

    Raises:
        YiwangError: YW-POLICY-001 for a name or number without the right to certify them: a phone is one's own to change, they are not.
    """
    reached(now.session, access, party_id)
    if given.get("name") is not None or given.get("number") is not None:
        policy().access(access.principal, "party:certify")
    return service.amend(now, crypto, party_id, version, **given)


def remove(now: Work, access: Access, party_id: UUID, reason: str) -> UUID:
    """Take a party out of use, which ends its log-in: that is nobody's to take from who also deals with other bodies.

    Raises:
        YiwangError: YW-STORE-011 where there is no such party with cases, all of them of units in reach; YW-PARTY-004 while one is open.
    """
    of_party = sa.select(CaseFile.id).where(sa.or_(CaseFile.applicant_id == party_id, CaseFile.agent_id == party_id), CaseFile.deleted_at.is_(None)).limit(1)
    in_reach = access.rows(CaseFile.unit_code)
    if now.session.scalar(of_party.where(in_reach)) is None or now.session.scalar(of_party.where(sa.not_(in_reach))) is not None:
        raise YiwangError("YW-STORE-011", what="办事主体", key=party_id)
    if now.session.scalar(of_party.where(CaseFile.phase.not_in(("completed", "closed")))) is not None:
        raise YiwangError("YW-PARTY-004")
    service.remove(now, party_id, reason)
    return party_id


def reveal(now: Work, crypto: CryptoProvider, access: Access, party_id: UUID, field: service.Field, reason: str) -> str | None:
    """A field of a party in reach in clear; errors as :func:`models.core.parties.service.reveal`."""
    reached(now.session, access, party_id)
    return service.reveal(now, crypto, party_id, field, reason)


def authorisations(session: Session, access: Access, paging: Paging, *, party_id: UUID | None = None) -> Page[Authorisation]:
    """Authorisations given or received in reach, the oldest first."""
    query = sa.select(Authorisation).where(access.rows(None, Authorisation.principal_id, Authorisation.agent_id))
    if party_id is not None:
        query = query.where(sa.or_(Authorisation.principal_id == party_id, Authorisation.agent_id == party_id))
    return page(session, query, [Authorisation.id], paging)


def give(
    now: Work, crypto: CryptoProvider, access: Access, *, principal_id: UUID, agent_id: UUID, matters: Sequence[str], actions: Sequence[str], valid_from: datetime,
    valid_to: datetime, evidence: str, is_special: bool = False,
) -> Authorisation:  # fmt: skip
    """Let an agent act for somebody in reach: for oneself, or at the window on a letter of authorisation.

    Raises:
        YiwangError: YW-PARTY-001 where a value is wrong or has no zone; YW-STORE-011 where a party is not in reach.
    """
    reached(now.session, access, principal_id)
    if valid_from.tzinfo is None or valid_to.tzinfo is None:
        raise YiwangError("YW-PARTY-001", field="授权期限", detail="时间须写明时区，如 2026-07-01T00:00:00+08:00")
    return authorise(now, crypto, principal_id, agent_id, matters, actions, valid_from, valid_to, evidence, is_special)


def revoke_given(now: Work, access: Access, authorisation_id: UUID, reason: str) -> Authorisation:
    """End an authorisation that somebody in reach gave.

    Raises:
        YiwangError: YW-STORE-011 where there is none in reach.
    """
    query = sa.select(Authorisation).where(Authorisation.id == authorisation_id, access.rows(None, Authorisation.principal_id))
    found = now.session.scalars(query).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="授权", key=authorisation_id)
    revoke(now, authorisation_id, reason)
    return found
