"""Who may act for whom: what a principal has let an agent do, for which matters, and until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.crypto.types import CryptoProvider, Place
from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.domain.identifiers import mask_people, mask_text
from models.store.operational.tables import Authorisation, Party

ALL = "*"
"""Any matter, any action."""
SELF = "self"


def authorise(
    now: Work, crypto: CryptoProvider, principal_id: UUID, agent_id: UUID, matters: Sequence[str], actions: Sequence[str], valid_from: datetime, valid_to: datetime,
    evidence: str, is_special: bool = False,
) -> Authorisation:
    """Write down what a principal lets an agent do.

    Args:
        now: The unit of work.
        crypto: Encrypts the evidence.
        principal_id: For whom.
        agent_id: Who may.
        matters: Codes of matters, or ``*``; at least one.
        actions: Actions of processes, or ``*``; at least one.
        valid_from: First instant.
        valid_to: First instant no more.
        evidence: Where the letter of authorisation is kept.
        is_special: Also promises instead of proofs (告知承诺), which ask for special authorisation.

    Raises:
        YiwangError: YW-PARTY-001 where a value is wrong; YW-STORE-011 where a party does not exist.
    """
    if not matters or not actions:
        raise YiwangError("YW-PARTY-001", field="授权范围", detail="请至少选择一个事项和一种操作")
    if valid_to <= valid_from:
        raise YiwangError("YW-PARTY-001", field="授权期限", detail="截止时间应晚于起始时间")
    if principal_id == agent_id:
        raise YiwangError("YW-PARTY-001", field="代理人", detail="不能授权给本人")
    if not evidence.strip():
        raise YiwangError("YW-PARTY-001", field="授权依据", detail="请填写授权书的存放位置或编号")
    for party_id in (principal_id, agent_id):
        party = now.session.get(Party, party_id)
        if party is None or party.deleted_at is not None:
            raise YiwangError("YW-STORE-011", what="办事主体", key=party_id)
    row_id = now.new_id()
    given = Authorisation(
        id=row_id, principal_id=principal_id, agent_id=agent_id, matters=sorted(set(matters)), actions=sorted(set(actions)),
        is_special=is_special, valid_from=valid_from, valid_to=valid_to, evidence=crypto.encrypt(evidence.strip(), _place(row_id)), created_at=now.at,
    )  # fmt: skip
    now.session.add(given)
    now.session.flush()
    now.record("authorisation.given", f"authorisation:{given.id}", principal=str(principal_id), agent=str(agent_id), is_special=is_special)
    return given


def evidence_of(crypto: CryptoProvider, given: Authorisation) -> str:
    """Where the letter of authorisation is kept, with people's numbers masked."""
    return mask_people(crypto.decrypt(given.evidence, _place(given.id)))


def _place(row_id: UUID) -> Place:
    return Place(Authorisation.__tablename__, "evidence", row_id)


def revoke(now: Work, authorisation_id: UUID, reason: str) -> None:
    """End an authorisation from now on; again: nothing.

    Raises:
        YiwangError: YW-STORE-011 where there is no such authorisation.
    """
    given = now.session.get(Authorisation, authorisation_id)
    if given is None:
        raise YiwangError("YW-STORE-011", what="授权", key=authorisation_id)
    if given.revoked_at is None:
        given.revoked_at, given.revoked_reason = now.at, mask_text(reason)
        now.session.flush()
        now.record("authorisation.revoked", f"authorisation:{given.id}", reason=mask_text(reason))


@dataclass(frozen=True)
class Standing:
    """On what somebody acts for somebody at an instant.

    Attributes:
        is_self: They are the same.
        given: Authorisations that hold.
    """

    is_self: bool
    given: tuple[Authorisation, ...] = ()

    def rests_on(self, matter_code: str, action: str, is_commitment: bool = False) -> str | None:
        """``self``, ``authorisation:<id>`` (for :attr:`~models.core.work.service.Actor.authority`), or None: may not.

        Args:
            matter_code: In which matter.
            action: What, as the process names it.
            is_commitment: It is, or rests on, a promise instead of a proof.
        """
        if self.is_self:
            return SELF
        for given in self.given:
            fits = not {matter_code, ALL}.isdisjoint(given.matters) and not {action, ALL}.isdisjoint(given.actions)
            if fits and (given.is_special or not is_commitment):
                return f"authorisation:{given.id}"
        return None


def standing(session: Session, agent_id: UUID, principal_id: UUID, at: datetime) -> Standing:
    """On what somebody acts for somebody, whatever it is; one query by index.

    Args:
        session: The transaction.
        agent_id: Who acts.
        principal_id: For whom.
        at: When.
    """
    live = sa.select(Party.id).where(Party.id.in_((agent_id, principal_id)), Party.deleted_at.is_(None))
    if agent_id == principal_id:
        return Standing(session.scalar(live) is not None)
    query = sa.select(Authorisation).where(
        Authorisation.principal_id == principal_id, _holds(agent_id, at), sa.select(sa.func.count()).select_from(live.subquery()).scalar_subquery() == 2
    )  # fmt: skip
    return Standing(False, tuple(session.scalars(query.order_by(Authorisation.valid_to.desc()))))


def may_act(
    session: Session, agent_id: UUID, principal_id: UUID, matter_code: str, at: datetime, action: str, is_commitment: bool = False
) -> str | None:
    """On what it rests that somebody may do something for somebody; None: may not. As :meth:`Standing.rests_on`."""
    return standing(session, agent_id, principal_id, at).rests_on(matter_code, action, is_commitment)


def lets(agent_id: UUID, at: datetime | sa.BindParameter[Any], principal: Any, matter: Any) -> sa.ColumnElement[bool]:
    """The condition under which a row is one of somebody who now lets the agent act in its matter, whatever the action.

    Args:
        agent_id: Who acts.
        at: Now, or the parameter that says so.
        principal: Column with the party of the row.
        matter: Column with the code of its matter.
    """
    matters = sa.cast(Authorisation.matters, sa.Text)
    quoted = sa.literal('"') + matter + sa.literal('"')  # not LIKE: a code may hold what LIKE makes something of
    named = sa.or_(*(sa.func.replace(matters, code, "") != matters for code in (f'"{ALL}"', quoted)))
    return sa.exists().where(Authorisation.principal_id == principal, _holds(agent_id, at), named)


def _holds(agent_id: UUID, at: datetime | sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    return sa.and_(
        Authorisation.agent_id == agent_id, Authorisation.valid_from <= at, Authorisation.valid_to > at,
        sa.or_(Authorisation.revoked_at.is_(None), Authorisation.revoked_at > at),
    )  # fmt: skip
