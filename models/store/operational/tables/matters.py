"""Versions of matters, and running numbers."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.store.operational.tables.base import Base


class MatterVersion(Base):
    """A version of a matter, in force from one day to another; what cases were begun on is copied into them."""

    __tablename__ = "matter_version"
    __table_args__ = (sa.Index(None, "unit_code", "code"), sa.Index(None, "updated_at"))

    code: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    unit_code: Mapped[str]
    region_code: Mapped[str | None]
    process: Mapped[str]
    """Code of the process; a case begins on its newest published version."""
    limits: Mapped[dict[str, Any]]
    channels: Mapped[list[str]]
    units: Mapped[dict[str, Any]]
    """Part in the process → unit that plays it."""
    is_commitment: Mapped[bool]
    """The applicant may promise instead of proving."""
    body: Mapped[dict[str, Any]]
    """The other items of GB/T 39046-2020 table 4, by field of the contract."""
    effective_from: Mapped[date]
    effective_to: Mapped[date | None]
    """First day on which it is no longer in force."""
    published_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Serial(Base):
    """The last running number given under a name."""

    __tablename__ = "serial"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(sa.BigInteger)
