"""Notices: published to everybody or to roles, withdrawn, never changed."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.policy.service import Access, policy
from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import Notice


def publish(now: Work, access: Access, title: str, body: str, unit_code: str, roles: Sequence[str] = ()) -> Notice:
    """Publish a notice in the name of a unit.

    Raises:
        YiwangError: YW-STORE-011 where the unit is not in reach; YW-ORG-001 for a role that is not there.
    """
    if not access.covers(now.session, unit_code):
        raise YiwangError("YW-STORE-011", what="机构", key=unit_code)
    if unknown := sorted(set(roles) - set(policy().roles)):
        raise YiwangError("YW-ORG-001", detail=f"没有角色 {'、'.join(unknown)}")
    made = Notice(id=now.new_id(), title=title.strip(), body=body, unit_code=unit_code, roles=sorted(set(roles)), published_at=now.at, withdrawn_at=None)
    now.session.add(made)
    now.session.flush()
    now.record("notice.published", f"notice:{made.id}", unit=unit_code)
    now.announce("notice.published", "notice", str(made.id))
    return made


def get(session: Session, access: Access, notice_id: UUID) -> Notice:
    """One that stands and is for the caller.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    found = session.scalars(sa.select(Notice).where(Notice.id == notice_id, _for(access))).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="公告", key=notice_id)
    return found


def withdraw(now: Work, access: Access, notice_id: UUID, version: int) -> Notice:
    """Take a notice back.

    Raises:
        YiwangError: YW-STORE-011 out of reach, YW-STORE-010 where it was changed since, YW-ORG-001 where it is withdrawn already.
    """
    found = now.session.scalars(sa.select(Notice).where(Notice.id == notice_id, access.rows(Notice.unit_code))).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="公告", key=notice_id)
    if found.version != version:
        raise YiwangError("YW-STORE-010")
    if found.withdrawn_at is not None:
        raise YiwangError("YW-ORG-001", detail="公告已经撤下")
    found.withdrawn_at = now.at
    now.session.flush()
    now.record("notice.withdrawn", f"notice:{notice_id}")
    return found


def listed(session: Session, access: Access, paging: Paging) -> Page[Notice]:
    """Notices that stand and are for one of the caller's roles, the newest first; one query."""
    return page(session, sa.select(Notice).where(_for(access)), [Notice.id], paging, is_descending=True)


def _for(access: Access) -> sa.ColumnElement[bool]:
    named = sa.cast(Notice.roles, sa.String)  # ["clerk", "head"]: names of roles hold no quotation marks
    mine = [named.contains(f'"{role}"', autoescape=True) for role in sorted({grant.role for grant in access.principal.grants})]
    return sa.and_(Notice.withdrawn_at.is_(None), sa.or_(named == "[]", *mine))
