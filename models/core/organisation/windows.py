"""Windows, and places in their slots: a slot never takes more people than it has places."""

from collections.abc import Collection, Sequence
from datetime import date
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.matters.service import in_force
from models.core.organisation.calendar import calendar
from models.core.organisation.units import in_use
from models.core.policy.service import Access
from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.domain.identifiers import mask_text
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import Appointment, MatterVersion, Party, Window

NEXT = {"booked": ("called", "cancelled", "missed"), "called": ("served", "missed")}
"""State of an appointment → those that may come next."""
_CANCELLED = "cancelled"


def listed(session: Session, access: Access, paging: Paging, *, unit_code: str | None = None) -> Page[Window]:
    """Windows in use by code."""
    query = sa.select(Window).where(Window.deleted_at.is_(None), access.rows(Window.unit_code))
    return page(session, query if unit_code is None else query.where(Window.unit_code == unit_code), [Window.code], paging)


def names(session: Session, units: Collection[str] = (), limit: int = 2_000) -> dict[str, tuple[str, list[str]]]:
    """Code → name and slots of the windows in use, for people to choose from: of some units, or of all; one query."""
    query = sa.select(Window.code, Window.name, Window.opens).where(Window.deleted_at.is_(None))
    if units:
        query = query.where(Window.unit_code.in_(sorted(units)))
    return {code: (name, opens) for code, name, opens in session.execute(query.order_by(Window.code).limit(limit))}


def get(session: Session, code: str, *, is_shared: bool = False, is_locked: bool = False) -> Window:
    """A window in use.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    query = sa.select(Window).where(Window.code == code, Window.deleted_at.is_(None))
    if is_shared or is_locked:  # bookings share it, retirement has it alone: neither passes the other by
        query = query.with_for_update(read=is_shared)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="窗口", key=code)
    return found


def create(
    now: Work, code: str, name: str, unit_code: str, place: str | None, opens: Sequence[str], capacity: int, matters: Sequence[str] = ()
) -> Window:
    """A new window.

    Args:
        now: The unit of work.
        code: Its code.
        name: Its name.
        unit_code: The unit that runs it.
        place: Where it is.
        opens: Slots of a working day, ``09:00-10:00``; they do not overlap.
        capacity: People who can be booked into a slot.
        matters: Codes of the matters that it takes; none: all.

    Raises:
        YiwangError: YW-ORG-001 where the code is taken or slots overlap; YW-STORE-011 where unit or matter are not there.
    """
    if now.session.get(Window, code) is not None:
        raise YiwangError("YW-ORG-001", detail=f"窗口代码 {code} 已使用过，请换一个")
    in_use(now, unit_code)
    made = Window(
        code=code, name=name.strip(), unit_code=unit_code, place=place, opens=_slots(opens), capacity=capacity, matters=_known(now.session, matters),
        created_at=now.at, updated_at=now.at,
    )  # fmt: skip
    now.session.add(made)
    now.session.flush()
    now.record("window.created", f"window:{code}", unit=unit_code)
    return made


def change(
    now: Work, code: str, version: int, *, name: str | None = None, place: str | None = None, opens: Sequence[str] | None = None, capacity: int | None = None,
    matters: Sequence[str] | None = None,
) -> Window:  # fmt: skip
    """Change what is given; places that are booked stay.

    Raises:
        YiwangError: YW-STORE-011, YW-STORE-010, YW-ORG-001 as :func:`create`.
    """
    window = get(now.session, code)
    if window.version != version:
        raise YiwangError("YW-STORE-010")
    for column, value in (
        ("name", name), ("place", place), ("opens", None if opens is None else _slots(opens)), ("capacity", capacity),
        ("matters", None if matters is None else _known(now.session, matters)),
    ):  # fmt: skip
        if value is not None:
            setattr(window, column, value)
    window.updated_at = now.at
    now.session.flush()
    now.record("window.changed", f"window:{code}")
    return window


def retire(now: Work, code: str, version: int, reason: str) -> Window:
    """Take a window out of use.

    Raises:
        YiwangError: YW-STORE-011, YW-STORE-010; YW-ORG-001 while people are booked.
    """
    window = get(now.session, code, is_locked=True)
    if window.version != version:
        raise YiwangError("YW-STORE-010")
    if now.session.scalar(sa.select(Appointment.id).where(Appointment.window_code == code, Appointment.state.in_(("booked", "called"))).limit(1)):
        raise YiwangError("YW-ORG-001", detail="窗口还有未办的预约，请先取消或办完")
    window.deleted_at, window.deleted_reason, window.updated_at = now.at, mask_text(reason), now.at
    now.session.flush()
    now.record("window.retired", f"window:{code}", reason=mask_text(reason))
    return window


def book(now: Work, access: Access, window_code: str, day: date, slot: str, *, zone: str = "Asia/Shanghai", party_id: UUID | None = None, matter_code: str | None = None) -> Appointment:
    """A place in a slot, for oneself or, by a clerk of the window's unit, for a party.

    Places have numbers and a unique index: of many at once for the last place one gets it, the others are told that it is taken.

    Raises:
        YiwangError: YW-STORE-011 where window or party is not there, or the matter is not in force on the day; YW-APPOINTMENT-001
            where the day, slot or matter is not one of the window's, the slot is full, or the party has an appointment then.
    """
    window = get(now.session, window_code, is_shared=True)
    party_id = party_id or access.principal.party_id
    party = now.session.get(Party, party_id) if party_id else None
    if party is None or party.deleted_at is not None or not access.covers(now.session, window.unit_code, party.id):
        raise YiwangError("YW-STORE-011", what="办事主体", key=party_id or "（未指明）")
    local = now.at.astimezone(ZoneInfo(zone))
    if day < local.date() or not calendar(now.session).is_working(day):
        raise YiwangError("YW-APPOINTMENT-001", detail=f"{day} 不是可预约的工作日")
    if slot not in window.opens:
        raise YiwangError("YW-APPOINTMENT-001", detail=f"可预约的时段有 {'、'.join(window.opens) or '（无）'}")
    if day == local.date() and slot[-5:] <= f"{local:%H:%M}":
        raise YiwangError("YW-APPOINTMENT-001", detail="该时段今天已过")
    if matter_code is not None:
        in_force(now.session, matter_code, day)
        if window.matters and matter_code not in window.matters:
            raise YiwangError("YW-APPOINTMENT-001", detail=f"窗口不受理事项 {matter_code}")
    if now.is_postgresql:  # SQLite has one writer
        now.session.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:slot))"), {"slot": f"{window_code} {day} {slot}"})
    standing = sa.select(Appointment).where(Appointment.day == day, Appointment.slot == slot, Appointment.state != _CANCELLED)
    if now.session.scalars(standing.where(Appointment.party_id == party.id)).first() is not None:
        raise YiwangError("YW-APPOINTMENT-001", detail="该时段已有预约")
    taken = set(now.session.scalars(standing.with_only_columns(Appointment.place).where(Appointment.window_code == window_code)))
    free = next((place for place in range(1, window.capacity + 1) if place not in taken), None)
    if free is None:
        raise YiwangError("YW-APPOINTMENT-001", detail="该时段已约满，请选择其他时段")
    made = Appointment(
        id=now.new_id(), window_code=window_code, unit_code=window.unit_code, day=day, slot=slot, place=free, party_id=party.id, matter_code=matter_code,
        state="booked", created_at=now.at, updated_at=now.at,
    )  # fmt: skip
    now.session.add(made)
    now.session.flush()
    now.record("appointment.booked", f"appointment:{made.id}", window=window_code, day=str(day), slot=slot)
    now.announce("appointment.booked", "appointment", str(made.id), window=window_code)
    return made


def appointments(
    session: Session, access: Access, paging: Paging, *, day: date | None = None, window_code: str | None = None, state: str | None = None
) -> Page[Appointment]:
    """Appointments in reach, as they were made."""
    query = sa.select(Appointment).where(access.rows(Appointment.unit_code, Appointment.party_id))
    if day is not None:
        query = query.where(Appointment.day == day)
    if window_code is not None:
        query = query.where(Appointment.window_code == window_code)
    if state is not None:
        query = query.where(Appointment.state == state)
    return page(session, query, [Appointment.id], paging)


def appointment(session: Session, access: Access, appointment_id: UUID) -> Appointment:
    """One in reach.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    query = sa.select(Appointment).where(Appointment.id == appointment_id, access.rows(Appointment.unit_code, Appointment.party_id))
    found = session.scalars(query).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="预约", key=appointment_id)
    return found


def proceed(now: Work, access: Access, appointment_id: UUID, version: int, state: str) -> Appointment:
    """Call, serve, note as missed, or cancel; a party itself can only cancel.

    Raises:
        YiwangError: YW-STORE-011 out of reach, YW-STORE-010 where it was changed since, YW-APPOINTMENT-001 where it cannot come next.
    """
    found = appointment(now.session, access, appointment_id)
    if found.version != version:
        raise YiwangError("YW-STORE-010")
    is_clerk = access.is_everywhere or found.unit_code in access.units
    if state not in NEXT.get(found.state, ()) or (not is_clerk and state != _CANCELLED):
        raise YiwangError("YW-APPOINTMENT-001", detail="预约当前的状态不能这样处理")
    found.state, found.updated_at = state, now.at
    now.session.flush()
    now.record(f"appointment.{state}", f"appointment:{found.id}")
    now.announce(f"appointment.{state}", "appointment", str(found.id), window=found.window_code)
    return found


def _slots(opens: Sequence[str]) -> list[str]:
    slots = sorted(set(opens))
    if wrong := next((slot for slot in slots if slot[:5] >= slot[-5:]), None):
        raise YiwangError("YW-ORG-001", detail=f"时段 {wrong} 的结束时间应晚于开始时间")
    if wrong := next((later for earlier, later in pairwise(slots) if later[:5] < earlier[-5:]), None):
        raise YiwangError("YW-ORG-001", detail=f"时段 {wrong} 与前一时段重叠")
    return slots


def _known(session: Session, codes: Sequence[str]) -> list[str]:
    wanted = sorted(set(codes))
    known = set(session.scalars(sa.select(MatterVersion.code).where(MatterVersion.code.in_(wanted)))) if wanted else set()
    if missing := [code for code in wanted if code not in known]:
        raise YiwangError("YW-STORE-011", what="事项", key="、".join(missing))
    return wanted
