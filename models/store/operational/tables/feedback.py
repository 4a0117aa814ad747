"""Feedback: reviews 好差评, complaints, and the visits that follow."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from models.store.operational.tables.base import SECRET, Base

_FIRST = sa.text("kind = 'review' AND follows_id IS NULL")
_BAD = sa.text("level >= 4")
_OPEN = sa.text("appeal_id IS NOT NULL AND excluded_at IS NULL")


class Feedback(Base):
    """A review of a step, a second reading after rectification, or a complaint; never changed, only left out of the count.

    One review a step at most that whoever was served gave, one with a code and one by default: the unique index sees to it whoever comes at once.
    """

    __tablename__ = "feedback"
    __table_args__ = (
        sa.Index("uq_feedback__step", "case_id", "sequence", "is_default", "is_coded", unique=True, sqlite_where=_FIRST, postgresql_where=_FIRST),
        sa.Index("ix_feedback__bad", "id", sqlite_where=_BAD, postgresql_where=_BAD),
        sa.Index(None, "is_default", "given_at"),
        sa.Index("ix_feedback__appeal", "appeal_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        sa.Index(None, "unit_code", "kind", "id"),
        sa.Index(None, "case_id", "sequence"),
        sa.Index(None, "party_id"),
        sa.Index(None, "updated_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    """``review`` or ``complaint``."""
    case_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("case_file.id"))
    case_number: Mapped[str | None]
    sequence: Mapped[int | None]
    """The step: number of the event within the case."""
    matter_code: Mapped[str | None]
    letter_number: Mapped[str | None] = mapped_column(info=SECRET)
    """A published letter that a complaint is about, by its number, encrypted: people write others' numbers there."""
    unit_code: Mapped[str]
    region_code: Mapped[str | None]
    party_id: Mapped[UUID | None]
    """Who speaks; None for anonymous feedback."""
    level: Mapped[int | None]
    """1 非常满意 to 5 非常不满意 (GB/T 39046-2020 A.8); None for complaints."""
    is_default: Mapped[bool]
    is_coded: Mapped[bool] = mapped_column(server_default=sa.false(), default=False)
    """Given with a code, by whoever held it; what somebody says under their own log-in stands before it."""
    given_by: Mapped[str | None]
    """System or person of the staff that handed it in; None where whoever speaks did so themselves."""
    channel_code: Mapped[str | None]
    tags: Mapped[list[str]]
    text: Mapped[str | None] = mapped_column(info=SECRET)
    follows_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("feedback.id"), index=True)
    """The review that a second reading follows."""
    follow_up_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("case_file.id"), index=True)
    """The internal case that deals with it."""
    appeal_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("case_file.id"))
    excluded_at: Mapped[datetime | None]
    excluded_reason: Mapped[str | None]
    excluded_by: Mapped[str | None]
    given_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Visit(Base):
    """A return visit 回访: whether whoever complained is content with what was done."""

    __tablename__ = "visit"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    feedback_id: Mapped[UUID] = mapped_column(sa.ForeignKey("feedback.id"), index=True)
    is_satisfied: Mapped[bool | None]
    """None where nobody was reached."""
    note: Mapped[str | None] = mapped_column(info=SECRET)
    visited_by: Mapped[str]
    visited_at: Mapped[datetime]


class ReviewCode(Base):
    """A code handed out with a step, with which it may be reviewed once without log-in; kept as a digest only."""

    __tablename__ = "review_code"

    digest: Mapped[str] = mapped_column(primary_key=True)
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("case_file.id"))
    sequence: Mapped[int]
    expires_at: Mapped[datetime]
