"""The tree of units: make, change, move, retire; which unit answers for a matter in a region."""

from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.policy.service import Access
from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.domain.identifiers import mask_text
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import Jurisdiction, MatterVersion, Staff, StaffGrant, Task, Unit, Window

ALL_MATTERS = "*"


def listed(session: Session, access: Access, paging: Paging, *, parent_code: str | None = None, name: str | None = None) -> Page[Unit]:
    """Units in use by code: all, those right below one, or those whose name contains something."""
    query = sa.select(Unit).where(Unit.deleted_at.is_(None), access.rows(Unit.code))
    if parent_code is not None:
        query = query.where(Unit.parent_code == parent_code)
    if name is not None:
        query = query.where(Unit.name.contains(name, autoescape=True))
    return page(session, query, [Unit.code], paging)


def get(session: Session, access: Access, code: str, *, is_locked: bool = False) -> Unit:
    """A unit in use.

    Raises:
        YiwangError: YW-STORE-011 where there is none in reach.
    """
    query = sa.select(Unit).where(Unit.code == code, Unit.deleted_at.is_(None), access.rows(Unit.code))
    found = session.scalars(query.with_for_update() if is_locked else query).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="机构", key=code)
    return found


def create(now: Work, access: Access, code: str, name: str, kind: str, parent_code: str | None = None, region_code: str | None = None) -> Unit:
    """A new unit below another one, or a root.

    Raises:
        YiwangError: YW-ORG-001 where the code is taken; YW-STORE-011 where the parent is not there.
    """
    one_at_a_time(now)
    if now.session.get(Unit, code) is not None:
        raise YiwangError("YW-ORG-001", detail=f"机构代码 {code} 已使用过，请换一个")
    parent = get(now.session, access, parent_code) if parent_code else None
    made = Unit(
        code=code, name=name.strip(), kind=kind, parent_code=parent_code, path=f"{parent.path if parent else '/'}{code}/", region_code=region_code,
        created_at=now.at, updated_at=now.at,
    )  # fmt: skip
    now.session.add(made)
    now.session.flush()
    now.record("unit.created", f"unit:{code}", parent=parent_code)
    return made


def change(now: Work, access: Access, code: str, version: int, *, name: str | None = None, kind: str | None = None, region_code: str | None = None) -> Unit:
    """Change what is given; the rest stays.

    Raises:
        YiwangError: YW-STORE-011 where there is none, YW-STORE-010 where it was changed since.
    """
    unit = _seen(now, access, code, version)
    given = {name_: value for name_, value in (("name", name), ("kind", kind), ("region_code", region_code)) if value is not None}
    for column, value in given.items():
        setattr(unit, column, value)
    unit.updated_at = now.at
    now.session.flush()
    now.record("unit.changed", f"unit:{code}", fields=sorted(given))
    return unit


def move(now: Work, access: Access, code: str, version: int, parent_code: str | None) -> Unit:
    """Put a unit, with all below it, under another one.

    Raises:
        YiwangError: YW-ORG-001 where the new parent is the unit itself or stands below it; as :func:`change`.
    """
    one_at_a_time(now)
    unit = _seen(now, access, code, version)
    parent = get(now.session, access, parent_code) if parent_code else None
    if parent is not None and parent.path.startswith(unit.path):
        raise YiwangError("YW-ORG-001", detail="不能移到自己或自己的下级之下")
    old, new = unit.path, f"{parent.path if parent else '/'}{code}/"
    unit.parent_code, unit.path, unit.updated_at = parent_code, new, now.at
    now.session.flush()
    moving = sa.update(Unit).where(sa.func.substr(Unit.path, 1, len(old)) == old, Unit.code != code)  # not LIKE, which on SQLite ignores case
    now.session.execute(moving.values(path=sa.literal(new) + sa.func.substr(Unit.path, len(old) + 1)), execution_options={"synchronize_session": False})
    now.record("unit.moved", f"unit:{code}", parent=parent_code)
    return unit


def retire(now: Work, access: Access, code: str, version: int, reason: str) -> Unit:
    """Take a unit out of use; what was done in its name stays.

    Raises:
        YiwangError: YW-ORG-001 while it has something to do, people, roles, regions, windows or units below it; as :func:`change`.
    """
    one_at_a_time(now)
    unit = _seen(now, access, code, version)
    standing: dict[str, sa.Select[tuple[Any]]] = {
        "下级机构": sa.select(Unit.code).where(Unit.parent_code == code, Unit.deleted_at.is_(None)),
        "人员": sa.select(Staff.id).where(Staff.unit_code == code, Staff.left_at.is_(None)),
        "窗口": sa.select(Window.code).where(Window.unit_code == code, Window.deleted_at.is_(None)),
        "授予的角色": sa.select(StaffGrant.id).where(StaffGrant.unit_code == code, sa.or_(StaffGrant.valid_to.is_(None), StaffGrant.valid_to > now.at)),
        "辖区": sa.select(Jurisdiction.id).where(Jurisdiction.unit_code == code, sa.or_(Jurisdiction.valid_to.is_(None), Jurisdiction.valid_to > now.at.date())),
        "未办完的待办": sa.select(Task.id).where(Task.unit_code == code, Task.closed_at.is_(None)),
    }
    if left := [what for what, query in standing.items() if now.session.execute(query.limit(1)).first() is not None]:
        raise YiwangError("YW-ORG-001", detail=f"机构还有{'、'.join(left)}，请先移交")
    unit.deleted_at, unit.deleted_reason, unit.updated_at = now.at, mask_text(reason), now.at
    now.session.flush()
    now.record("unit.retired", f"unit:{code}", reason=mask_text(reason))
    return unit


def claim_region(now: Work, unit_code: str, region_code: str, matter_code: str, valid_from: date, valid_to: date | None = None) -> Jurisdiction:
    """Say that a unit handles a matter, or all (``*``), in a region.

    Raises:
        YiwangError: YW-ORG-001 where another unit does at the same time; YW-STORE-011 where unit, region or matter are not there.
    """
    one_at_a_time(now)
    in_use(now, unit_code)
    if not (region_code.isascii() and region_code.isdigit() and len(region_code) in (6, 9, 12)):
        known_regions(now.session, region_code)  # an area of the city's own, with a unit in it
    if matter_code != ALL_MATTERS and now.session.scalar(sa.select(MatterVersion.code).where(MatterVersion.code == matter_code).limit(1)) is None:
        raise YiwangError("YW-STORE-011", what="事项", key=matter_code)
    if valid_to is not None and valid_to <= valid_from:
        raise YiwangError("YW-ORG-001", detail="辖区的失效日期应晚于生效日期")
    overlapping = sa.select(Jurisdiction.unit_code).where(
        Jurisdiction.region_code == region_code, Jurisdiction.matter_code == matter_code,
        sa.or_(Jurisdiction.valid_to.is_(None), Jurisdiction.valid_to > valid_from),
        *([Jurisdiction.valid_from < valid_to] if valid_to else []),
    )  # fmt: skip
    if (other := now.session.scalar(overlapping.limit(1))) is not None:
        raise YiwangError("YW-ORG-001", detail=f"机构 {other} 同一时期已负责该区划的该事项，请先终止")
    made = Jurisdiction(
        id=now.new_id(), unit_code=unit_code, region_code=region_code, matter_code=matter_code, valid_from=valid_from, valid_to=valid_to, created_at=now.at
    )  # fmt: skip
    now.session.add(made)
    now.session.flush()
    now.record("jurisdiction.given", f"unit:{unit_code}", region=region_code, matter=matter_code)
    return made


def jurisdiction(session: Session, jurisdiction_id: UUID) -> Jurisdiction:
    """One jurisdiction.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    found = session.get(Jurisdiction, jurisdiction_id)
    if found is None:
        raise YiwangError("YW-STORE-011", what="辖区", key=jurisdiction_id)
    return found


def end_jurisdiction(now: Work, jurisdiction_id: UUID, version: int, valid_to: date) -> Jurisdiction:
    """Let a jurisdiction end on a day (the first on which it no longer holds).

    Raises:
        YiwangError: YW-STORE-011, YW-STORE-010; YW-ORG-001 where the day lies before its begin.
    """
    found = jurisdiction(now.session, jurisdiction_id)
    if found.version != version:
        raise YiwangError("YW-STORE-010")
    if valid_to <= found.valid_from:
        raise YiwangError("YW-ORG-001", detail="辖区的失效日期应晚于生效日期")
    if found.valid_to is not None and valid_to > found.valid_to:
        raise YiwangError("YW-ORG-001", detail="辖区只能提前终止；要延长请另行确定")
    found.valid_to = valid_to
    now.session.flush()
    now.record("jurisdiction.ended", f"unit:{found.unit_code}", region=found.region_code, matter=found.matter_code)
    return found


def jurisdictions(
    session: Session, paging: Paging, *, unit_code: str | None = None, region_code: str | None = None, matter_code: str | None = None
) -> Page[Jurisdiction]:
    """Jurisdictions, oldest first; ``matter_code`` may be ``*``: those for all matters."""
    query = sa.select(Jurisdiction)
    if unit_code is not None:
        query = query.where(Jurisdiction.unit_code == unit_code)
    if region_code is not None:
        query = query.where(Jurisdiction.region_code == region_code)
    if matter_code is not None:
        query = query.where(Jurisdiction.matter_code == matter_code)
    return page(session, query, [Jurisdiction.id], paging)


def regions_of(region_code: str) -> list[str]:
    """A region and those above it, the nearest first, by its code: villages have twelve digits, streets nine, divisions six (GB/T 2260)."""
    above = [region_code[:length] for length in (9, 6) if len(region_code) > length] if region_code.isdigit() else []
    return [region_code, *above]


def known_regions(session: Session, region_code: str) -> list[str]:
    """As :func:`regions_of`.

    Raises:
        YiwangError: YW-STORE-011 where no unit, matter or jurisdiction lies in one of them.
    """
    regions = regions_of(region_code)
    lying = [sa.select(sa.literal(1)).where(table.region_code.in_(regions)) for table in (Unit, Jurisdiction, MatterVersion)]
    if session.execute(sa.union_all(*lying).limit(1)).first() is None:
        raise YiwangError("YW-STORE-011", what="区划", key=region_code)
    return regions


def unit_for(session: Session, matter_code: str, region_codes: list[str], day: date) -> str | None:
    """The unit that answers for a matter on a day; one query.

    Args:
        session: The transaction.
        matter_code: The matter.
        region_codes: The region and those above it, the nearest first.
        day: The day.

    Returns:
        Its code: of the nearest region, there of the matter itself before all matters; None where nobody does.
    """
    query = sa.select(Jurisdiction).join(Unit, sa.and_(Unit.code == Jurisdiction.unit_code, Unit.deleted_at.is_(None))).where(
        Jurisdiction.region_code.in_(region_codes), Jurisdiction.matter_code.in_((matter_code, ALL_MATTERS)), Jurisdiction.valid_from <= day,
        sa.or_(Jurisdiction.valid_to.is_(None), Jurisdiction.valid_to > day),
    )  # fmt: skip
    found = min(session.scalars(query), key=lambda row: (region_codes.index(row.region_code), row.matter_code == ALL_MATTERS), default=None)
    return found.unit_code if found else None


def names(session: Session, limit: int = 2_000) -> dict[str, str]:
    """Code → name of units in use, for people to choose from; one query."""
    rows = session.execute(sa.select(Unit.code, Unit.name).where(Unit.deleted_at.is_(None)).order_by(Unit.code).limit(limit))
    return {code: name for code, name in rows}


def _seen(now: Work, access: Access, code: str, version: int) -> Unit:
    unit = get(now.session, access, code, is_locked=True)  # nobody joins it meanwhile (``in_use``)
    if unit.version != version:
        raise YiwangError("YW-STORE-010")
    return unit


def in_use(now: Work, code: str) -> Unit:
    """A unit that somebody or something is about to belong to: it is not retired before this unit of work ends.

    Raises:
        YiwangError: YW-STORE-011 where it is not there, or retired.
    """
    found = now.session.scalars(sa.select(Unit).where(Unit.code == code, Unit.deleted_at.is_(None)).with_for_update(read=True)).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="机构", key=code)
    return found


def one_at_a_time(now: Work) -> None:
    """Changes of the tree wait for one another, or two moves could make a circle, two claims overlap (SQLite has one writer anyway)."""
    if now.is_postgresql:
        now.session.execute(sa.text("SELECT pg_advisory_xact_lock(7316429)"))
