"""The organisation: units, jurisdictions, windows, staff, the roles that they hold, work days, notices."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.store.operational.tables.base import Base


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
