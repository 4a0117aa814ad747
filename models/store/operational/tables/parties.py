"""Persons, enterprises, and who may act for whom."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.store.operational.tables.base import SECRET, Base


class Party(Base):
    """A person or an enterprise. Names, numbers and phones are ciphertexts; numbers and phones are found by their digests."""

    __tablename__ = "party"
    __table_args__ = (
        sa.Index(
            "uq_party__number", "id_type_code", "number_digest", unique=True,
            postgresql_where=sa.text("deleted_at IS NULL"), sqlite_where=sa.text("deleted_at IS NULL"),
        ),
        sa.Index(None, "phone_digest"),
    )  # fmt: skip

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    id_type_code: Mapped[str]
    name: Mapped[str] = mapped_column(info=SECRET)
    number: Mapped[str] = mapped_column(info=SECRET)
    phone: Mapped[str | None] = mapped_column(info=SECRET)
    number_digest: Mapped[str]
    phone_digest: Mapped[str | None]
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    deleted_reason: Mapped[str | None]

    __mapper_args__ = {"version_id_col": version}


class Authorisation(Base):
    """What an agent may do for a principal, and until when."""

    __tablename__ = "authorisation"
    __table_args__ = (sa.Index(None, "agent_id", "principal_id"), sa.Index(None, "principal_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    principal_id: Mapped[UUID] = mapped_column(sa.ForeignKey("party.id"))
    agent_id: Mapped[UUID] = mapped_column(sa.ForeignKey("party.id"))
    matters: Mapped[list[str]]
    actions: Mapped[list[str]]
    is_special: Mapped[bool]
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime]
    evidence: Mapped[str] = mapped_column(info=SECRET)
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime]

    __mapper_args__ = {"version_id_col": version}
