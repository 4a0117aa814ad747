"""Work that waits, and who is told of what happens."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.store.operational.tables.base import SECRET, Base


class Job(Base):
    """Something to be done once; taken by one worker at a time, for as long as its lease lasts."""

    __tablename__ = "job"
    __table_args__ = (
        sa.Index("ix_job__waiting", "priority", "due_at", "id", postgresql_where=sa.text("ended_at IS NULL"), sqlite_where=sa.text("ended_at IS NULL")),
        sa.Index("uq_job__key", "kind", "key", unique=True, postgresql_where=sa.text("ended_at IS NULL"), sqlite_where=sa.text("ended_at IS NULL")),
        sa.Index(None, "kind", "key"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    key: Mapped[str | None]
    """The same key is not enqueued twice while one waits."""
    payload: Mapped[dict[str, Any]]
    priority: Mapped[int]
    """The smaller, the sooner."""
    due_at: Mapped[datetime]
    attempts: Mapped[int]
    leased_by: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    error: Mapped[str | None]
    """Code of the last failure; never its text, which may hold values."""
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    """``done``, ``dead`` or ``cancelled``."""
    created_at: Mapped[datetime]
    progress_done: Mapped[int] = mapped_column(server_default="0", default=0)
    """How much is done, in what its kind counts."""
    progress_total: Mapped[int | None]
    """Of how much, where that is known."""
    result: Mapped[dict[str, Any] | None]
    """What came out: figures and codes, no personal data."""
    cancel_at: Mapped[datetime | None]
    """Since when somebody wants it to end."""


class Webhook(Base):
    """An address that is told of what happens; a consumer of the outbox of its own."""

    __tablename__ = "webhook"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    url: Mapped[str]
    topics: Mapped[list[str]]
    secret: Mapped[str] = mapped_column(info=SECRET)
    is_active: Mapped[bool]
    failures: Mapped[int]
    """In a row, since the last delivery that went well."""
    failing_since: Mapped[datetime | None]
    retry_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    leased_by: Mapped[str | None]
    """The worker that tells it, so that two do not tell it everything twice."""
    leased_until: Mapped[datetime | None]

    __mapper_args__ = {"version_id_col": version}


class Heartbeat(Base):
    """A worker's last round."""

    __tablename__ = "heartbeat"

    worker: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    round_at: Mapped[datetime]
    errors: Mapped[dict[str, Any]]
    """Part of the round → code of its last failure."""
