"""Feedback as it is read: lists, how the follow-up stands, visits; who is reviewed does not learn who reviewed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased, object_session

from models.core.crypto.types import CryptoProvider, Place
from models.core.policy.service import Access
from models.domain.errors import YiwangError
from models.domain.identifiers import mask_people, mask_text
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import CaseEvent, CaseFile, Feedback, Task, Visit

BAD = (4, 5)
"""Levels 不满意 and 非常不满意 (GB/T 39046-2020 A.8)."""
_BAD_FROM: sa.ColumnElement[int] = sa.literal_column("4")  # literal: the index of bad reviews is found by it
State = Literal["open", "overdue", "settled"]


@dataclass(frozen=True)
class FollowUp:
    """How the internal case that deals with a review or a complaint stands.

    Attributes:
        case_number: Its number.
        phase: Its phase.
        step: What is to be done; None where nothing is.
        due_on: Last day for that.
        is_overdue: That day is over.
        outcome_code: How it ended.
        completed_at: When.
    """

    case_number: str
    phase: str
    step: str | None
    due_on: date | None
    is_overdue: bool
    outcome_code: str | None
    completed_at: datetime | None


@dataclass(frozen=True)
class Seen:
    """Feedback with how its follow-up stands."""

    row: Feedback
    follow_up: FollowUp | None


@dataclass(frozen=True)
class Wanted:
    """Which feedback a list shows.

    Attributes:
        kind: ``review`` or ``complaint``.
        is_bad: Levels 4 and 5 only, or the others only.
        unit_code: About this unit.
        state: By the follow-up: ``open``, ``overdue`` among them, or ``settled``.
        is_visited: With a return visit, or without one although somebody could be asked.
    """

    kind: Literal["review", "complaint"]
    is_bad: bool | None = None
    unit_code: str | None = None
    state: State | None = None
    is_visited: bool | None = None


def get(session: Session, access: Access, feedback_id: UUID, kind: str | None = None, *, is_locked: bool = False) -> Feedback:
    """Feedback in reach.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    query = sa.select(Feedback).where(Feedback.id == feedback_id, access.rows(Feedback.unit_code, Feedback.party_id))
    if kind is not None:
        query = query.where(Feedback.kind == kind)
    found = session.scalars(query.with_for_update() if is_locked else query).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="评价或投诉", key=feedback_id)
    return found


def of_case(session: Session, access: Access, case_id: UUID) -> Feedback | None:
    """The feedback in reach that an internal case deals with, or is an appeal against; one query."""
    query = sa.select(Feedback).where(sa.or_(Feedback.follow_up_id == case_id, Feedback.appeal_id == case_id), access.rows(Feedback.unit_code, Feedback.party_id))
    return session.scalars(query.limit(1)).one_or_none()


def second_readings(session: Session, feedback_id: UUID) -> Sequence[Feedback]:
    """Second readings 追评 of a review; one query by index."""
    return session.scalars(sa.select(Feedback).where(Feedback.follows_id == feedback_id).order_by(Feedback.id)).all()


def numbers_of(session: Session, case_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Case → its number; one query."""
    return {row.id: row.case_number for row in session.execute(sa.select(CaseFile.id, CaseFile.case_number).where(CaseFile.id.in_(case_ids)))}


def listed(session: Session, access: Access, paging: Paging, *, kind: Literal["review", "complaint"]) -> Page[Feedback]:
    """Feedback in reach, the newest first; one query. What another review of the same step stands before is left out."""
    return page(session, _query(access, Wanted(kind), date.min), [Feedback.id], paging, is_descending=True)


def followed(session: Session, access: Access, paging: Paging, wanted: Wanted, today: date) -> Page[Seen]:
    """As :func:`listed`, with how each follow-up stands; two queries.

    Args:
        session: The transaction.
        access: What the caller may see.
        paging: Which page.
        wanted: Which feedback.
        today: Day by which things are overdue.
    """
    found = page(session, _query(access, wanted, today), [Feedback.id], paging, is_descending=True)
    standing = follow_ups(session, found.items, today)
    return Page([Seen(row, standing.get(row.id)) for row in found.items], found.next)


def _query(access: Access, wanted: Wanted, today: date) -> sa.Select[tuple[Feedback]]:
    query = sa.select(Feedback).where(Feedback.kind == wanted.kind, access.rows(Feedback.unit_code, Feedback.party_id))
    if wanted.is_bad is not None:
        query = query.where(Feedback.level >= _BAD_FROM if wanted.is_bad else Feedback.level < _BAD_FROM)
    if wanted.kind == "review":
        other = aliased(Feedback)
        same_step = (other.case_id == Feedback.case_id, other.sequence == Feedback.sequence, other.kind == "review", other.follows_id.is_(None))
        stands_before = (sa.not_(other.is_default), sa.or_(Feedback.is_default, sa.not_(other.is_coded)))
        query = query.where(sa.not_(sa.and_(sa.or_(Feedback.is_default, Feedback.is_coded), sa.exists().where(*same_step, *stands_before))))
    if wanted.unit_code is not None:
        query = query.where(Feedback.unit_code == wanted.unit_code)
    if wanted.state is not None:
        over = sa.exists().where(CaseFile.id == Feedback.follow_up_id, CaseFile.phase.in_(("completed", "closed")))
        query = query.where(Feedback.follow_up_id.is_not(None), over if wanted.state == "settled" else sa.not_(over))
    if wanted.state == "overdue":
        query = query.where(sa.exists().where(Task.case_id == Feedback.follow_up_id, Task.closed_at.is_(None), Task.due_on < today))
    if wanted.is_visited is not None:
        visited = sa.exists().where(Visit.feedback_id == Feedback.id)
        query = query.where(visited) if wanted.is_visited else query.where(Feedback.party_id.is_not(None), sa.not_(visited))
    return query


def follow_ups(session: Session, rows: Sequence[Feedback], today: date) -> dict[UUID, FollowUp]:
    """Feedback → how its follow-up stands; one query for any number of rows."""
    wanted = {row.follow_up_id: row.id for row in rows if row.follow_up_id is not None}
    if not wanted:
        return {}
    query = (
        sa.select(CaseFile.id, CaseFile.case_number, CaseFile.phase, CaseFile.outcome_code, CaseFile.completed_at, Task.step, Task.due_on)
        .outerjoin(Task, sa.and_(Task.case_id == CaseFile.id, Task.closed_at.is_(None)))
        .where(CaseFile.id.in_(wanted)).order_by(Task.due_on)
    )  # fmt: skip
    found: dict[UUID, FollowUp] = {}
    for case in session.execute(query):
        is_overdue = case.due_on is not None and case.due_on < today
        found.setdefault(wanted[case.id], FollowUp(case.case_number, case.phase, case.step, case.due_on, is_overdue, case.outcome_code, case.completed_at))
    return found


def visits_of(session: Session, feedback_id: UUID) -> Sequence[Visit]:
    """The return visits to whoever spoke, the first one first."""
    return session.scalars(sa.select(Visit).where(Visit.feedback_id == feedback_id).order_by(Visit.visited_at, Visit.id)).all()


def visit_rate(session: Session, access: Access, since: datetime, until: datetime) -> tuple[int, int]:
    """Bad reviews with a name that were given from ``since`` until before ``until`` and count, and those of them with a return visit; one query."""
    visited = sa.exists().where(Visit.feedback_id == Feedback.id)
    query = sa.select(sa.func.count(), sa.func.count(sa.case((visited, 1)))).where(
        Feedback.kind == "review", Feedback.level >= _BAD_FROM, Feedback.party_id.is_not(None), Feedback.follows_id.is_(None), Feedback.excluded_at.is_(None),
        Feedback.given_at >= since, Feedback.given_at < until, access.rows(Feedback.unit_code, Feedback.party_id),
    )  # fmt: skip
    named, done = session.execute(query).one()
    return int(named), int(done)


def text_of(crypto: CryptoProvider, row: Feedback) -> str | None:
    """What was said in own words, with numbers and phones masked."""
    return mask_text(crypto.decrypt(row.text, Place(Feedback.__tablename__, "text", row.id))) if row.text else None


def letter_of(crypto: CryptoProvider, row: Feedback) -> str | None:
    """The number of the letter that a complaint is about; nobody's own number."""
    return mask_people(crypto.decrypt(row.letter_number, Place(Feedback.__tablename__, "letter_number", row.id))) if row.letter_number else None


def note_of(crypto: CryptoProvider, row: Visit) -> str | None:
    """What was written down of a visit, with numbers and phones masked."""
    return mask_text(crypto.decrypt(row.note, Place(Visit.__tablename__, "note", row.id))) if row.note else None


def answer_of(session: Session, row: Feedback) -> str | None:
    """What whoever spoke was answered: the newest answer, or why it was not taken up."""
    told = sa.select(CaseEvent.reason).where(CaseEvent.case_id == row.follow_up_id, CaseEvent.activity.in_(("answered", "refused")), CaseEvent.reason.is_not(None))
    return session.scalar(told.order_by(CaseEvent.sequence.desc()).limit(1)) if row.follow_up_id is not None else None


def shows_party(access: Access, row: Feedback) -> bool:
    """Whether the caller may know who spoke: not in a role of the unit that was spoken about."""
    session = object_session(row)
    if session is None:
        raise ValueError("feedback is shown while it is read")
    return access.seeing("feedback.party").covers(session, row.unit_code, row.party_id)


def shows_case(access: Access, row: Feedback) -> bool:
    """Whether the caller may know from which case it came, which tells who spoke.

    Who was reviewed learns it only where they must deal with it and the reviewer did not ask to stay unknown.
    """
    return shows_party(access, row) or row.is_default or (row.party_id is not None and (row.level is None or row.level in BAD))
