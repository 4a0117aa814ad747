"""The organisation: units, jurisdictions, windows, staff, the roles that they hold, work days, notices."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.store.operational.tables.base import SECRET, Base

_STANDS = sa.text("state <> 'cancelled'")
_LIVE: dict[str, Any] = {"sqlite_where": _STANDS, "postgresql_where": _STANDS}


class Unit(Base):
    """An organisation unit: a bureau, a section of it, a street, a community; a tree."""

    __tablename__ = "unit"
    __table_args__ = (sa.Index(None, "path"), sa.Index(None, "parent_code"))

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    parent_code: Mapped[str | None] = mapped_column(sa.ForeignKey("unit.code"))
    path: Mapped[str]
    """Codes from the root down to the unit itself, each followed by ``/``: all below a unit are those whose path begins with its own."""
    region_code: Mapped[str | None]
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    deleted_reason: Mapped[str | None]

    __mapper_args__ = {"version_id_col": version}


class Jurisdiction(Base):
    """Which unit handles a matter, or all matters, in a region; ``*`` stands for all matters."""

    __tablename__ = "jurisdiction"
    __table_args__ = (sa.Index(None, "region_code", "matter_code"), sa.Index(None, "matter_code", "id"), sa.Index(None, "unit_code", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit_code: Mapped[str] = mapped_column(sa.ForeignKey("unit.code"))
    region_code: Mapped[str]
    matter_code: Mapped[str]
    valid_from: Mapped[date]
    valid_to: Mapped[date | None]
    """First day on which it no longer holds."""
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime]

    __mapper_args__ = {"version_id_col": version}


class Window(Base):
    """A service window of a unit: where, how many people a slot takes, when it is open."""

    __tablename__ = "service_window"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    unit_code: Mapped[str] = mapped_column(sa.ForeignKey("unit.code"), index=True)
    place: Mapped[str | None]
    opens: Mapped[list[str]]
    """Slots of a working day, ``09:00-10:00``."""
    capacity: Mapped[int]
    """People who can be booked into a slot."""
    matters: Mapped[list[str]] = mapped_column(server_default="[]")
    """Codes of the matters that it takes; none: all of its unit."""
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    deleted_reason: Mapped[str | None]

    __mapper_args__ = {"version_id_col": version}


class Staff(Base):
    """Somebody who works here."""

    __tablename__ = "staff"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(unique=True)
    """What the identity provider calls them."""
    name: Mapped[str]
    unit_code: Mapped[str] = mapped_column(sa.ForeignKey("unit.code"), index=True)
    phone: Mapped[str | None] = mapped_column(info=SECRET)
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    left_at: Mapped[datetime | None]

    __mapper_args__ = {"version_id_col": version}


class StaffGrant(Base):
    """A role that somebody holds in a unit (``""``: on the whole platform), from and to when, given by whom."""

    __tablename__ = "staff_grant"
    __table_args__ = (sa.Index(None, "staff_id"), sa.Index(None, "role", "id"), sa.Index(None, "unit_code", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    staff_id: Mapped[UUID] = mapped_column(sa.ForeignKey("staff.id"))
    role: Mapped[str]
    unit_code: Mapped[str]
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    given_by: Mapped[str]
    created_at: Mapped[datetime]

    staff: Mapped[Staff] = relationship(lazy="raise")
    """Who holds it; a list asks for it with its rows, or not at all."""

    @property
    def account(self) -> str:
        """What the identity provider calls the holder."""
        return self.staff.account


class CalendarDay(Base):
    """A day that an administrator added to the work calendar, or changed; the newest row of a day holds."""

    __tablename__ = "calendar_day"

    day: Mapped[date] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    is_working: Mapped[bool]
    reason: Mapped[str]
    decided_by: Mapped[str]
    created_at: Mapped[datetime]


class Notice(Base):
    """A notice to everybody, to roles, or to a unit."""

    __tablename__ = "notice"
    __table_args__ = (sa.Index(None, "published_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    title: Mapped[str]
    body: Mapped[str]
    unit_code: Mapped[str]
    roles: Mapped[list[str]]
    """Roles that it is for; none: everybody."""
    published_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}


class Appointment(Base):
    """A place in a slot of a window; one row a place, so that the database itself keeps the capacity."""

    __tablename__ = "appointment"
    __table_args__ = (
        sa.Index("uq_appointment__place", "window_code", "day", "slot", "place", unique=True, **_LIVE),
        sa.Index("uq_appointment__party", "party_id", "day", "slot", unique=True, **_LIVE),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    window_code: Mapped[str] = mapped_column(sa.ForeignKey("service_window.code"))
    unit_code: Mapped[str]
    day: Mapped[date]
    slot: Mapped[str]
    place: Mapped[int]
    party_id: Mapped[UUID] = mapped_column(sa.ForeignKey("party.id"))
    matter_code: Mapped[str | None]
    state: Mapped[str]
    """``booked``, ``called``, ``served``, ``missed``, ``cancelled``."""
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __mapper_args__ = {"version_id_col": version}
