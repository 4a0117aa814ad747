"""What every unit of work writes beside its change: outbox, audit, answers to repeated requests."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.store.operational.tables.base import SECRET, Base
from models.store.operational.types import Position


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
    is_waited_for: Mapped[bool] = mapped_column(server_default=sa.true(), default=True)
    """What it has not read is kept; a webhook that is switched off is not waited for."""


class Idempotency(Base):
    """What a POST was answered, so that the same one again changes nothing; an answer may name somebody."""

    __tablename__ = "idempotency"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """Made of who asked and the key."""
    request_digest: Mapped[str]
    answer: Mapped[str] = mapped_column(info=SECRET)
    """JSON, encrypted."""
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
