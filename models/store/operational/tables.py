"""Tables of the operational store, as SQLAlchemy sees them; Alembic's migrations make them.

Rules about them live in ``models.core``. Instants are UTC. Every table whose rows people change carries ``version``, which grows
with each change: who writes says which version was read, and loses against whoever was faster.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from models.store.operational.types import Instant, Json, Position

_NAMES = {
    "ix": "ix_%(table_name)s__%(column_0_N_name)s",
    "uq": "uq_%(table_name)s__%(column_0_N_name)s",
    "ck": "ck_%(table_name)s__%(constraint_name)s",
    "fk": "fk_%(table_name)s__%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All tables."""

    metadata = sa.MetaData(naming_convention=_NAMES)
    type_annotation_map = {datetime: Instant(), dict[str, Any]: Json, list[str]: Json}


class ProcessVersion(Base):
    """A version of a process that cases have run on or will: never changed, never removed."""

    __tablename__ = "process_version"

    process: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    body: Mapped[dict[str, Any]]
    digest: Mapped[str]
    published_at: Mapped[datetime]


class CaseFile(Base):
    """A case: what its process knows of it, and where it belongs. Its history is in :class:`CaseEvent`."""

    __tablename__ = "case_file"
    __table_args__ = (
        sa.Index(None, "unit_code", "phase", "id"),
        sa.Index(None, "applicant_id", "id"),
        sa.Index(None, "updated_at", "id"),
        sa.Index("ix_case_file__timer", "next_timer_at", postgresql_where=sa.text("next_timer_at IS NOT NULL"), sqlite_where=sa.text("next_timer_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    case_number: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    process: Mapped[str]
    process_number: Mapped[int]
    matter_code: Mapped[str | None]
    matter_version: Mapped[str | None]
    matter_name: Mapped[str | None]
    limits: Mapped[dict[str, Any]]
    applicant_id: Mapped[UUID | None]
    agent_id: Mapped[UUID | None]
    unit_code: Mapped[str]
    region_code: Mapped[str | None]
    window_code: Mapped[str | None]
    channel_code: Mapped[str | None]
    form: Mapped[dict[str, Any]]
    phase: Mapped[str]
    open_steps: Mapped[list[str]]
    waiting: Mapped[list[str]]
    is_corrected: Mapped[bool]
    received_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    is_deemed_accepted: Mapped[bool]
    completed_at: Mapped[datetime | None]
    outcome_code: Mapped[str | None]
    is_suspended: Mapped[bool]
    is_extended: Mapped[bool]
    is_commitment: Mapped[bool]
    missing: Mapped[list[str]]
    due_on: Mapped[date | None]
    next_timer_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    deleted_reason: Mapped[str | None]

    __mapper_args__ = {"version_id_col": version}


class CaseEvent(Base):
    """One thing that was done to a case, or that time did; never changed."""

    __tablename__ = "case_event"

    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("case_file.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    activity: Mapped[str]
    action: Mapped[str]
    step: Mapped[str | None]
    occurred_at: Mapped[datetime]
    phase_before: Mapped[str]
    phase_after: Mapped[str]
    role: Mapped[str]
    actor: Mapped[str]
    authority: Mapped[str]
    unit_code: Mapped[str]
    reason: Mapped[str | None]
    special_kind: Mapped[str | None]
    special_code: Mapped[str | None]
    has_written_notice: Mapped[bool | None]
    extension_days: Mapped[int | None]
    missing: Mapped[list[str]]
    documents: Mapped[list[str]]
    recorded_at: Mapped[datetime]


class Task(Base):
    """A step of a case that somebody has to do: the row of a work list."""

    __tablename__ = "task"
    __table_args__ = (
        sa.Index("ix_task__open", "unit_code", "role", "due_on", "id", postgresql_where=sa.text("closed_at IS NULL"), sqlite_where=sa.text("closed_at IS NULL")),
        sa.Index(None, "case_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("case_file.id"))
    step: Mapped[str]
    role: Mapped[str]
    unit_code: Mapped[str]
    assignee: Mapped[str | None]
    opened_at: Mapped[datetime]
    due_on: Mapped[date | None]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]


class Outbox(Base):
    """What others must hear of, written with the change itself; read in order of commit."""

    __tablename__ = "outbox"
    __table_args__ = (sa.Index(None, "transaction", "position"),)

    position: Mapped[int] = mapped_column(Position, primary_key=True, autoincrement=True)
    transaction: Mapped[int | None] = mapped_column(sa.BigInteger)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    topic: Mapped[str]
    aggregate: Mapped[str]
    aggregate_id: Mapped[str]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class Consumer(Base):
    """How far somebody has read the outbox: ``position`` on SQLite, ``(transaction, position)`` on PostgreSQL."""

    __tablename__ = "consumer"

    name: Mapped[str] = mapped_column(primary_key=True)
    transaction: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    position: Mapped[int] = mapped_column(sa.BigInteger)
    updated_at: Mapped[datetime]


class Idempotency(Base):
    """What a POST with this key answered, so that the same one again changes nothing."""

    __tablename__ = "idempotency"

    actor: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_digest: Mapped[str]
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(index=True)


class Audit(Base):
    """Who did what to what, when, on whose authority; written with the change, chained by the sealer, never changed."""

    __tablename__ = "audit"
    __table_args__ = (
        sa.Index("ix_audit__unsealed", "transaction", "position", postgresql_where=sa.text("chain_number IS NULL"), sqlite_where=sa.text("chain_number IS NULL")),
    )

    position: Mapped[int] = mapped_column(Position, primary_key=True, autoincrement=True)
    transaction: Mapped[int | None] = mapped_column(sa.BigInteger)
    at: Mapped[datetime]
    actor: Mapped[str]
    authority: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    detail: Mapped[dict[str, Any]]
    chain_number: Mapped[int | None] = mapped_column(sa.BigInteger, unique=True)
    chain_hash: Mapped[str | None]


class AuditHead(Base):
    """The end of the audit chain as a sealing left it, signed; never changed. Its copies outside the store are what it is checked by."""

    __tablename__ = "audit_head"

    number: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[str]
    at: Mapped[datetime]
    signature: Mapped[str]


_SECRET = {"encrypted": True}
"""Marks a column whose values are sealed by :mod:`models.core.crypto`: rotation of keys finds them by it."""


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
    name: Mapped[str] = mapped_column(info=_SECRET)
    number: Mapped[str] = mapped_column(info=_SECRET)
    phone: Mapped[str | None] = mapped_column(info=_SECRET)
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
    evidence: Mapped[str]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime]

    __mapper_args__ = {"version_id_col": version}
