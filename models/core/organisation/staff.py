"""People who work here, and the roles that they hold; three kinds of administrators that are never one person."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from models.core.crypto.types import CryptoProvider, Place
from models.core.organisation.units import in_use, one_at_a_time
from models.core.policy.service import EVERYWHERE, Access, Grant, Principal, policy
from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.domain.identifiers import mask_phone
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import Staff, StaffGrant, Task, Unit

ADMINISTRATORS = ("system_administrator", "security_administrator", "audit_administrator")


@dataclass(frozen=True)
class Person:
    """Somebody as they are shown.

    Attributes:
        id: Identifier.
        account: What the identity provider calls them.
        name: Name.
        unit_code: Unit.
        phone: Masked.
        left_at: When they left.
        version: For who wants to change it.
    """

    id: UUID
    account: str
    name: str
    unit_code: str
    phone: str | None
    left_at: datetime | None
    version: int


def listed(session: Session, access: Access, paging: Paging, *, unit_code: str | None = None, account: str | None = None) -> Page[Staff]:
    """People in reach, by when they came."""
    query = sa.select(Staff).where(access.rows(Staff.unit_code))
    if unit_code is not None:
        query = query.where(Staff.unit_code == unit_code)
    if account is not None:
        query = query.where(Staff.account == account)
    return page(session, query, [Staff.id], paging)


def names(session: Session, access: Access, limit: int = 2_000) -> dict[str, str]:
    """Account → name of the people in reach who are here, to choose from; one query."""
    query = sa.select(Staff.account, Staff.name).where(access.rows(Staff.unit_code), Staff.left_at.is_(None))
    return {account: name for account, name in session.execute(query.order_by(Staff.account).limit(limit))}


def get(session: Session, access: Access, staff_id: UUID) -> Staff:
    """Somebody in reach.

    Raises:
        YiwangError: YW-STORE-011 where there is nobody.
    """
    found = session.scalars(sa.select(Staff).where(Staff.id == staff_id, access.rows(Staff.unit_code))).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="人员", key=staff_id)
    return found


def shown(crypto: CryptoProvider, row: Staff) -> Person:
    """Somebody with a masked phone."""
    phone = mask_phone(crypto.decrypt(row.phone, _place(row.id))) if row.phone else None
    return Person(row.id, row.account, row.name, row.unit_code, phone, row.left_at, row.version)


def add(now: Work, crypto: CryptoProvider, account: str, name: str, unit_code: str, phone: str | None = None) -> Staff:
    """Somebody new, without any role yet.

    Raises:
        YiwangError: YW-ORG-001 where the account is taken; YW-STORE-011 where the unit is not there.
    """
    if staff_by_account(now.session, account) is not None:
        raise YiwangError("YW-ORG-001", detail=f"账号 {account} 已属于另一人")
    in_use(now, unit_code)
    made = Staff(id=now.new_id(), account=account, name=name.strip(), unit_code=unit_code, created_at=now.at, updated_at=now.at)
    made.phone = crypto.encrypt(phone, _place(made.id)) if phone else None
    now.session.add(made)
    now.session.flush()
    now.record("staff.added", f"staff:{made.id}", unit=unit_code)
    return made


def change(
    now: Work, crypto: CryptoProvider, access: Access, staff_id: UUID, version: int, *, name: str | None = None, unit_code: str | None = None,
    phone: str | None = None,
) -> Staff:  # fmt: skip
    """Change what is given; the rest stays. Roles stay with their units: who moves must be given the new ones.

    Raises:
        YiwangError: YW-STORE-011, YW-STORE-010.
    """
    row = _seen(now, access, staff_id, version)
    if name is not None:
        row.name = name.strip()
    if unit_code is not None:
        in_use(now, unit_code)
        row.unit_code = unit_code
    if phone is not None:
        row.phone = crypto.encrypt(phone, _place(row.id))
    row.updated_at = now.at
    now.session.flush()
    now.record("staff.changed", f"staff:{staff_id}", fields=[n for n, v in (("name", name), ("unit_code", unit_code), ("phone", phone)) if v is not None])
    return row


def leave(now: Work, access: Access, staff_id: UUID, version: int) -> Staff:
    """Somebody leaves: from now on no role of theirs holds, and their next request is refused.

    An administrator's role is withdrawn first, by whoever gives roles: else who keeps the list of people would end the others' power over him.

    Raises:
        YiwangError: YW-STORE-011, YW-STORE-010; YW-ORG-001 for an administrator.
    """
    row = _seen(now, access, staff_id, version)
    now.session.scalars(sa.select(Staff.id).where(Staff.id == staff_id).with_for_update()).one()  # nobody is given a role meanwhile
    if held := sorted({each.role for each in grants_of(now.session, staff_id, now.at)} & set(ADMINISTRATORS)):
        raise YiwangError("YW-ORG-001", detail=f"此人是{'、'.join(policy().roles[role].title for role in held)}，请先由安全管理员收回角色")
    row.left_at = row.updated_at = now.at
    ending = sa.update(StaffGrant).where(StaffGrant.staff_id == staff_id, sa.or_(StaffGrant.valid_to.is_(None), StaffGrant.valid_to > now.at))
    now.session.execute(ending.values(valid_to=now.at))
    holding = sa.update(Task).where(Task.assignee == f"staff:{staff_id}", Task.closed_at.is_(None))
    now.session.execute(holding.values(assignee=None))  # lists show that what they had claimed is free
    now.session.flush()
    now.record("staff.left", f"staff:{staff_id}")
    return row


def grant(now: Work, staff_id: UUID, role: str, unit_code: str = EVERYWHERE, valid_to: datetime | None = None) -> StaffGrant:
    """Give somebody a role.

    Of two at once for the same person the second waits and sees the first, so that roles that exclude one another never meet.

    Raises:
        YiwangError: YW-ORG-001 for a role that is not there, or not of its kind of unit, or for oneself; YW-POLICY-002 where a role
            that is held excludes it; YW-STORE-011 where person or unit is not there.
    """
    if valid_to is not None and (valid_to.tzinfo is None or valid_to <= now.at):
        raise YiwangError("YW-ORG-001", detail="截止时间须写明时区并晚于现在")
    check_role(now, role, unit_code)
    rules = policy().roles
    if now.actor.name == f"staff:{staff_id}":
        raise YiwangError("YW-ORG-001", detail="不能给自己授予角色")
    person = now.session.scalars(sa.select(Staff).where(Staff.id == staff_id).with_for_update()).one_or_none()
    if person is None or person.left_at is not None:
        raise YiwangError("YW-STORE-011", what="人员", key=staff_id)
    held = grants_of(now.session, staff_id, now.at)
    if others := policy().conflicts([each.role for each in held], role):
        raise YiwangError("YW-POLICY-002", role=rules[role].title, others="、".join(rules[other].title for other in others))
    if any((each.role, each.unit_code) == (role, unit_code) for each in held):
        raise YiwangError("YW-ORG-001", detail=f"已经有“{rules[role].title}”")
    made = StaffGrant(
        id=now.new_id(), staff_id=staff_id, role=role, unit_code=unit_code, valid_from=now.at, valid_to=valid_to, given_by=now.actor.name, created_at=now.at
    )  # fmt: skip
    now.session.add(made)
    now.session.flush()
    now.record("role.given", f"staff:{staff_id}", role=role, unit=unit_code)
    return made


def check_role(now: Work, role: str, unit_code: str) -> None:
    """Whether there is such a role to be held there.

    Raises:
        YiwangError: YW-ORG-001 for a role that is not there, or not of its kind of unit; YW-STORE-011 where the unit is not there.
    """
    rules = policy().roles
    if role not in rules:
        raise YiwangError("YW-ORG-001", detail=f"没有角色 {role}")
    if (rules[role].of == "platform") != (unit_code == EVERYWHERE):
        raise YiwangError("YW-ORG-001", detail=f"“{rules[role].title}”{'不按机构授予' if rules[role].of == 'platform' else '须写明机构'}")
    if unit_code != EVERYWHERE:
        in_use(now, unit_code)


def withdraw(now: Work, grant_id: UUID) -> StaffGrant:
    """End a role from now on; again: nothing.

    Raises:
        YiwangError: YW-STORE-011 where there is no such grant; YW-ORG-001 for one's own, or the last of an administrator's role.
    """
    found = now.session.get(StaffGrant, grant_id)
    if found is None:
        raise YiwangError("YW-STORE-011", what="授予的角色", key=grant_id)
    if now.actor.name == f"staff:{found.staff_id}":
        raise YiwangError("YW-ORG-001", detail="不能收回自己的角色")
    if found.valid_to is None or found.valid_to > now.at:
        if found.role in ADMINISTRATORS:
            one_at_a_time(now)
            if now.session.scalar(_holders(found.role, now.at).where(StaffGrant.staff_id != found.staff_id).limit(1)) is None:
                raise YiwangError("YW-ORG-001", detail=f"这是唯一的“{policy().roles[found.role].title}”，请先授予接任的人")
        found.valid_to = now.at
        now.session.flush()
        now.record("role.withdrawn", f"staff:{found.staff_id}", role=found.role, unit=found.unit_code)
    return found


def grants(
    session: Session, paging: Paging, *, staff_id: UUID | None = None, account: str | None = None, role: str | None = None, unit_code: str | None = None
) -> Page[StaffGrant]:
    """Grants with their holders, ended ones too, the oldest first; one query."""
    query = sa.select(StaffGrant).options(joinedload(StaffGrant.staff))
    if staff_id is not None:
        query = query.where(StaffGrant.staff_id == staff_id)
    if account is not None:
        query = query.where(StaffGrant.staff_id.in_(sa.select(Staff.id).where(Staff.account == account)))
    if role is not None:
        query = query.where(StaffGrant.role == role)
    if unit_code is not None:
        query = query.where(StaffGrant.unit_code == unit_code)
    return page(session, query, [StaffGrant.id], paging)


def grants_of(session: Session, staff_id: UUID, at: datetime) -> list[StaffGrant]:
    """Grants in force; one query."""
    query = sa.select(StaffGrant).where(
        StaffGrant.staff_id == staff_id, StaffGrant.valid_from <= at, sa.or_(StaffGrant.valid_to.is_(None), StaffGrant.valid_to > at)
    )  # fmt: skip
    return list(session.scalars(query))


def principal_of(session: Session, staff_id: UUID, at: datetime) -> Principal | None:
    """Somebody with the roles in force; None for who is not, or no longer, here. One query."""
    in_force = sa.and_(StaffGrant.staff_id == Staff.id, StaffGrant.valid_from <= at, sa.or_(StaffGrant.valid_to.is_(None), StaffGrant.valid_to > at))
    query = sa.select(Staff.unit_code, StaffGrant.role, StaffGrant.unit_code).outerjoin(StaffGrant, in_force)
    rows = session.execute(query.where(Staff.id == staff_id, Staff.left_at.is_(None))).all()
    if not rows:
        return None
    return Principal(f"staff:{staff_id}", frozenset(Grant(role, unit) for _, role, unit in rows if role is not None), unit_code=rows[0][0])


def staff_by_account(session: Session, account: str) -> Staff | None:
    """Whoever has this account; one query by index."""
    return session.scalars(sa.select(Staff).where(Staff.account == account)).one_or_none()


def bootstrap(now: Work, crypto: CryptoProvider, account: str, name: str, unit_code: str, role: str) -> Staff:
    """The first holder of an administrator's role, named by whoever has the machine; once somebody holds it, they are named by people.

    Raises:
        YiwangError: YW-ORG-001 for another role, or where somebody holds it already.
    """
    if role not in ADMINISTRATORS:
        raise YiwangError("YW-ORG-001", detail=f"命令行只能设置首位 {'、'.join(ADMINISTRATORS)}，其余由安全管理员授予")
    one_at_a_time(now)
    if now.session.scalar(_holders(role, now.at).limit(1)) is not None:
        raise YiwangError("YW-ORG-001", detail=f"已有“{policy().roles[role].title}”，请由安全管理员授予")
    if now.session.get(Unit, unit_code) is None:
        now.session.add(Unit(code=unit_code, name=unit_code, kind="office", path=f"/{unit_code}/", created_at=now.at, updated_at=now.at))
        now.session.flush()
    person = staff_by_account(now.session, account) or add(now, crypto, account, name, unit_code)
    grant(now, person.id, role)
    return person


def _holders(role: str, at: datetime) -> sa.Select[tuple[UUID]]:
    return sa.select(StaffGrant.id).where(StaffGrant.role == role, sa.or_(StaffGrant.valid_to.is_(None), StaffGrant.valid_to > at))


def _seen(now: Work, access: Access, staff_id: UUID, version: int) -> Staff:
    row = get(now.session, access, staff_id)
    if row.version != version:
        raise YiwangError("YW-STORE-010")
    return row


def _place(staff_id: UUID) -> Place:
    return Place(Staff.__tablename__, "phone", staff_id)
