"""Processes, cases, their events, and what is to be done."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.store.operational.tables.base import SECRET, Base

_DUE: dict[str, Any] = {each: sa.text("due_on IS NOT NULL") for each in ("sqlite_where", "postgresql_where")}
_RECEIVED: dict[str, Any] = {each: sa.text("received_at IS NOT NULL") for each in ("sqlite_where", "postgresql_where")}


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
        sa.Index(None, "completed_at"),
        sa.Index("ix_case_file__unit_due", "unit_code", "due_on", **_DUE),
        sa.Index("ix_case_file__due", "due_on", **_DUE),
        sa.Index("ix_case_file__unit_received", "unit_code", "received_at", **_RECEIVED),
        sa.Index("ix_case_file__received", "received_at", **_RECEIVED),
        sa.Index("ix_case_file__clocked", "calendar_version", "id", postgresql_where=sa.text("calendar_version IS NOT NULL"), sqlite_where=sa.text("calendar_version IS NOT NULL")),
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
    opened_by: Mapped[str | None]
    """Who began it; None for internal cases, whose events are not to tell who spoke. A party's own draft is nobody else's."""
    unit_code: Mapped[str]
    region_code: Mapped[str | None]
    window_code: Mapped[str | None]
    channel_code: Mapped[str | None]
    form: Mapped[str | None] = mapped_column(info=SECRET)
    """What is declared, as JSON, encrypted."""
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
    provisional_due_on: Mapped[date | None]
    """An estimate, where the calendar up to the due day is not published."""
    next_timer_at: Mapped[datetime | None]
    calendar_version: Mapped[int | None]
    """With which calendar its days were counted; None where none is running."""
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    deleted_reason: Mapped[str | None]

    __mapper_args__ = {"version_id_col": version}

    @property
    def due_null_reason(self) -> str | None:
        """Why it has no due day; None where it has one."""
        if self.due_on is not None:
            return None
        if self.is_suspended:
            return "suspended"
        if self.provisional_due_on is not None:
            return "calendar_unpublished"
        return "not_accepted" if self.accepted_at is None else "no_limit"


class CaseEvent(Base):
    """One thing that was done to a case, or that time did; never changed."""

    __tablename__ = "case_event"
    __table_args__ = (sa.Index(None, "recorded_at", "case_id"),)

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
    provisional_due_on: Mapped[date | None]
    is_paused: Mapped[bool] = mapped_column(default=False)
    """Its clock stands still: the day is known when the special procedure has ended."""
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]

    @property
    def due_null_reason(self) -> str | None:
        """Why it has no due day; None where it has one."""
        if self.due_on is not None:
            return None
        return "suspended" if self.is_paused else "no_limit" if self.provisional_due_on is None else "calendar_unpublished"
