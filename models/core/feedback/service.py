"""The door to feedback: reviews 好差评 of steps, complaints, visits and appeals (国办发〔2019〕51号, GB/T 39734/39735-2020).

What was said is never changed. A bad review opens its follow-up in the same unit of work; one that was found malicious is left out of
the count with reason and authority, and stays.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from models.core.crypto.types import CryptoProvider, Place
from models.core.feedback.followup import begin, conclude, followup_process, shipped_process
from models.core.policy.service import Access
from models.core.work.service import Actor, Work, work
from models.domain.codes import code_tables
from models.domain.errors import YiwangError
from models.domain.identifiers import mask_text
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import CaseEvent, CaseFile, Feedback, ReviewCode, Task, Unit, Visit

REVIEWABLE = ("accepted", "completed", "refused", "issued", "delivered")
"""Activities that are a service to the applicant; each can be reviewed once."""
BAD = (4, 5)
_DEFAULT_LEVEL = 1
_LOOK_BACK = timedelta(days=30)
TIME = Actor("system", frozenset(), authority="time")


@dataclass(frozen=True)
class NewReview:
    """A review that somebody gives.

    Attributes:
        level: 1 非常满意 to 5 非常不满意.
        channel_code: Channel (L.review_channel).
        tags: Short statements that were picked.
        text: In own words.
        is_anonymous: The name is not kept.
    """

    level: int
    channel_code: str | None = None
    tags: Sequence[str] = field(default_factory=tuple)
    text: str | None = None
    is_anonymous: bool = False


def hand_out_code(now: Work, case_id: UUID, sequence: int, valid_days: int = 15) -> str:
    """A code for a device at the window or a paper, with which a step may be reviewed once without log-in.

    Raises:
        YiwangError: YW-FEEDBACK-001 for a step that cannot be reviewed.
    """
    _step(now.session, case_id, sequence)
    code = secrets.token_urlsafe(16)
    now.session.add(ReviewCode(digest=_digest(code), case_id=case_id, sequence=sequence, expires_at=now.at + timedelta(days=valid_days)))
    now.session.flush()
    now.record("review.code_handed_out", f"case:{case_id}", sequence=sequence)
    return code


def review_by_code(now: Work, crypto: CryptoProvider, settings: Settings, code: str, new: NewReview) -> Feedback:
    """Review a step with a code; it is used up by that.

    Raises:
        YiwangError: YW-FEEDBACK-001 for a code that is wrong, used or too old, or a step that is reviewed already.
    """
    taken = sa.delete(ReviewCode).where(ReviewCode.digest == _digest(code), ReviewCode.expires_at > now.at)
    found = now.session.execute(taken.returning(ReviewCode.case_id, ReviewCode.sequence)).one_or_none()
    if found is None:
        raise YiwangError("YW-FEEDBACK-001", detail="评价码不正确、已使用或已过期")
    return _give(now, crypto, settings, found.case_id, found.sequence, new, None)


def review(now: Work, crypto: CryptoProvider, settings: Settings, access: Access, case_id: UUID, sequence: int, new: NewReview) -> Feedback:
    """Review a step of one's own case, or take down at the window what its applicant says.

    Raises:
        YiwangError: YW-STORE-011 for a case out of reach; YW-FEEDBACK-001 for a step that cannot be reviewed or is reviewed already.
    """
    case = reached_case(now.session, access, case_id)
    party_id = None if new.is_anonymous else access.principal.party_id or case.applicant_id
    return _give(now, crypto, settings, case_id, sequence, new, party_id)


def review_again(now: Work, crypto: CryptoProvider, access: Access, feedback_id: UUID, new: NewReview) -> Feedback:
    """A second reading 追评 after rectification: a record of its own that replaces nothing.

    Raises:
        YiwangError: YW-STORE-011 out of reach; YW-FEEDBACK-001 where the first one is not over with, or a value is wrong.
    """
    first = get(now.session, access, feedback_id)
    follow_up = now.session.get(CaseFile, first.follow_up_id) if first.follow_up_id else None
    if first.kind != "review" or first.follows_id is not None or follow_up is None or follow_up.completed_at is None:
        raise YiwangError("YW-FEEDBACK-001", detail="整改办结之后才能追评")
    made = _row(now, crypto, "review", first.unit_code, first.region_code, access.principal.party_id, new, case_id=first.case_id, case_number=first.case_number, sequence=first.sequence)
    made.follows_id = first.id
    now.session.add(made)
    now.session.flush()
    now.record("review.given_again", f"feedback:{made.id}", follows=str(first.id), level=new.level)
    return made


def complain(
    now: Work, crypto: CryptoProvider, settings: Settings, access: Access, unit_code: str, text: str, *, case_id: UUID | None = None,
    tags: Sequence[str] = (), is_anonymous: bool = False,
) -> Feedback:  # fmt: skip
    """A complaint about a unit, or about one's case; an internal case deals with it.

    Raises:
        YiwangError: YW-STORE-011 for a unit or case that is not there.
    """
    case = reached_case(now.session, access, case_id) if case_id else None
    unit = now.session.get(Unit, unit_code)
    if unit is None or unit.deleted_at is not None:
        raise YiwangError("YW-STORE-011", what="机构", key=unit_code)
    party_id = None if is_anonymous else access.principal.party_id
    made = _row(
        now, crypto, "complaint", unit_code, unit.region_code, party_id, NewReview(1, tags=tags, text=text), case_id=case_id, case_number=case.case_number if case else None,
        sequence=None,
    )  # fmt: skip
    made.level = None
    follow_up = begin(now, shipped_process(now, "complaint"), unit_code, "TS", "file", frozenset({"applicant"}), "complaint", settings.zone)
    made.follow_up_id = follow_up.id
    now.session.add(made)
    now.session.flush()
    now.record("complaint.filed", f"feedback:{made.id}", unit=unit_code, follow_up=follow_up.case_number)
    now.announce("complaint.filed", "feedback", str(made.id), unit=unit_code)
    return made


def appeal(now: Work, settings: Settings, access: Access, feedback_id: UUID, reason: str) -> Feedback:
    """The body holds that a bad review is mistaken or malicious and asks for it to be looked at again.

    Raises:
        YiwangError: YW-STORE-011 out of reach; YW-FEEDBACK-001 where it is no bad review, or was appealed against before.
    """
    found = get(now.session, access, feedback_id, is_locked=True)
    if found.kind != "review" or found.level not in BAD or found.appeal_id is not None:
        raise YiwangError("YW-FEEDBACK-001", detail="只能对未曾申诉的差评申诉")
    case = begin(now, shipped_process(now, "review_appeal"), found.unit_code, "SS", "appeal", frozenset({"handler"}), "appeal", settings.zone)
    found.appeal_id, found.updated_at = case.id, now.at
    now.session.flush()
    now.record("review.appealed", f"feedback:{found.id}", reason=mask_text(reason), appeal=case.case_number)
    return found


def settle_appeal(now: Work, settings: Settings, appeal_id: UUID) -> Feedback | None:
    """What a decided appeal means for its review: upheld, it is left out of the count, and its follow-up ends as unfounded.

    Returns:
        The review; None where nothing was to be done.
    """
    case = now.session.get(CaseFile, appeal_id)
    query = sa.select(Feedback).where(Feedback.appeal_id == appeal_id, Feedback.excluded_at.is_(None)).with_for_update()
    found = now.session.scalars(query).one_or_none()
    if case is None or found is None or case.outcome_code != "upheld":
        return None
    last = sa.select(CaseEvent).where(CaseEvent.case_id == appeal_id, CaseEvent.activity == "completed").limit(1)
    decision = now.session.scalars(last).one()
    found.excluded_at, found.excluded_reason, found.excluded_by, found.updated_at = now.at, decision.reason, decision.actor, now.at
    if found.follow_up_id is not None and _is_open_at(now.session, found.follow_up_id, "verify"):
        conclude(now, found.follow_up_id, "exclude", "supervisor", f"申诉成立：{decision.reason}", "unfounded", f"appeal:{case.case_number}", settings.zone)
    now.session.flush()
    now.record("review.excluded", f"feedback:{found.id}", appeal=case.case_number)
    now.announce("review.excluded", "feedback", str(found.id))
    return found


def visit(now: Work, crypto: CryptoProvider, access: Access, feedback_id: UUID, is_satisfied: bool | None, note: str | None = None) -> Visit:
    """A return visit: a record beside the review, which stays as it is.

    Raises:
        YiwangError: YW-STORE-011 out of reach; YW-FEEDBACK-001 for anonymous feedback, whose author nobody can ask.
    """
    found = get(now.session, access, feedback_id)
    if found.party_id is None:
        raise YiwangError("YW-FEEDBACK-001", detail="匿名的评价和投诉无法回访")
    made = Visit(id=now.new_id(), feedback_id=feedback_id, is_satisfied=is_satisfied, visited_by=now.actor.name, visited_at=now.at)
    made.note = crypto.encrypt(note, Place(Visit.__tablename__, "note", made.id)) if note else None
    now.session.add(made)
    found.updated_at = now.at
    now.session.flush()
    now.record("feedback.visited", f"feedback:{feedback_id}", is_satisfied=is_satisfied)
    return made


def get(session: Session, access: Access, feedback_id: UUID, *, is_locked: bool = False) -> Feedback:
    """Feedback in reach.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    query = sa.select(Feedback).where(Feedback.id == feedback_id, access.rows(Feedback.unit_code, Feedback.party_id))
    found = session.scalars(query.with_for_update() if is_locked else query).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="评价或投诉", key=feedback_id)
    return found


def listed(session: Session, access: Access, paging: Paging, *, kind: str, is_bad: bool | None = None, unit_code: str | None = None) -> Page[Feedback]:
    """Feedback in reach, the newest first; one query."""
    query = sa.select(Feedback).where(Feedback.kind == kind, access.rows(Feedback.unit_code, Feedback.party_id))
    if is_bad is not None:
        query = query.where(Feedback.level.in_(BAD) if is_bad else Feedback.level.not_in(BAD))
    if unit_code is not None:
        query = query.where(Feedback.unit_code == unit_code)
    return page(session, query, [Feedback.id], paging, is_descending=True)


def text_of(crypto: CryptoProvider, row: Feedback) -> str | None:
    """What was said in own words, with numbers and phones masked."""
    return mask_text(crypto.decrypt(row.text, Place(Feedback.__tablename__, "text", row.id))) if row.text else None


def follow_ups(session: Session, rows: Sequence[Feedback]) -> dict[UUID, dict[str, Any]]:
    """Feedback → how its follow-up stands: number, phase, outcome, the open task's due day; two queries for any number of rows."""
    wanted = {row.follow_up_id: row.id for row in rows if row.follow_up_id is not None}
    columns = (CaseFile.id, CaseFile.case_number, CaseFile.phase, CaseFile.outcome_code, CaseFile.completed_at)
    cases = session.execute(sa.select(*columns).where(CaseFile.id.in_(wanted))).all()
    due = session.execute(sa.select(Task.case_id, sa.func.min(Task.due_on)).where(Task.case_id.in_(wanted), Task.closed_at.is_(None)).group_by(Task.case_id))
    due_on = dict(due.tuples().all())
    return {
        wanted[case.id]: {
            "case_number": case.case_number, "phase": case.phase, "outcome_code": case.outcome_code, "completed_at": case.completed_at,
            "due_on": due_on.get(case.id),
        }
        for case in cases
    }  # fmt: skip


def settle_reviews(database: Database, settings: Settings, at: datetime, limit: int = 200) -> int:
    """Decisions that nobody reviewed in time count as reviewed by default: level 1, marked, never counted as active.

    Looks at decisions of the month before the limit; one transaction a call, again after a kill: nothing is doubled.

    Returns:
        Number of default reviews made; call again while it equals ``limit``.
    """
    until = at - timedelta(days=settings.review_default_days)
    step = aliased(CaseEvent)
    reviewed = sa.exists().where(Feedback.case_id == CaseFile.id, Feedback.sequence == step.sequence, Feedback.kind == "review")
    query = (
        sa.select(CaseFile.id, CaseFile.case_number, CaseFile.unit_code, CaseFile.region_code, step.sequence)
        .join(step, sa.and_(step.case_id == CaseFile.id, step.activity.in_(("completed", "refused"))))
        .where(CaseFile.completed_at <= until, CaseFile.completed_at > until - _LOOK_BACK, CaseFile.kind == "public", CaseFile.deleted_at.is_(None), sa.not_(reviewed))
        .order_by(CaseFile.completed_at).limit(limit)
    )  # fmt: skip
    with work(database, TIME, at) as now:
        rows = now.session.execute(query).all()
        for row in rows:
            now.session.add(Feedback(
                id=now.new_id(), kind="review", case_id=row.id, case_number=row.case_number, sequence=row.sequence, unit_code=row.unit_code,
                region_code=row.region_code, party_id=None, level=_DEFAULT_LEVEL, is_default=True, channel_code=None, tags=[], text=None, given_at=at,
                updated_at=at,
            ))  # fmt: skip
        if rows:
            now.record("review.defaulted", "feedback", count=len(rows))
    return len(rows)


def settle_appeals(database: Database, settings: Settings, at: datetime, limit: int = 50) -> int:
    """What decided appeals mean for their reviews; again: nothing.

    Returns:
        Number of reviews left out of the count.
    """
    upheld = sa.select(Feedback.appeal_id).join(CaseFile, CaseFile.id == Feedback.appeal_id)
    with database.read() as session:
        query = upheld.where(Feedback.excluded_at.is_(None), CaseFile.outcome_code == "upheld").limit(limit)
        decided = [each for each in session.scalars(query) if each is not None]
    for appeal_id in decided:
        with work(database, TIME, at) as now:
            settle_appeal(now, settings, appeal_id)
    return len(decided)


def _give(now: Work, crypto: CryptoProvider, settings: Settings, case_id: UUID, sequence: int, new: NewReview, party_id: UUID | None) -> Feedback:
    case, step = _step(now.session, case_id, sequence)
    twice = sa.select(Feedback.id).where(Feedback.case_id == case_id, Feedback.sequence == sequence, Feedback.kind == "review", sa.not_(Feedback.is_default))
    if now.session.scalar(twice.limit(1)) is not None:
        raise YiwangError("YW-FEEDBACK-001", detail="这个环节已经评价过")
    made = _row(now, crypto, "review", step.unit_code, case.region_code, party_id, new, case_id=case_id, case_number=case.case_number, sequence=sequence)
    if new.level in BAD:
        process = followup_process(now, settings)
        made.follow_up_id = begin(now, process, step.unit_code, "ZG", "open", frozenset({"supervisor"}), "bad review", settings.zone).id
    now.session.add(made)
    now.session.flush()
    now.record("review.given", f"feedback:{made.id}", case=case.case_number, sequence=sequence, level=new.level)
    now.announce("review.given", "feedback", str(made.id), level=new.level, unit=step.unit_code)
    return made


def _row(
    now: Work, crypto: CryptoProvider, kind: str, unit_code: str, region_code: str | None, party_id: UUID | None, new: NewReview, *, case_id: UUID | None,
    case_number: str | None, sequence: int | None,
) -> Feedback:  # fmt: skip
    if not 1 <= new.level <= 5:
        raise YiwangError("YW-FEEDBACK-001", detail="满意度应为 1（非常满意）到 5（非常不满意）")
    if new.channel_code is not None and new.channel_code not in code_tables()["L.review_channel"]:
        raise YiwangError("YW-FEEDBACK-001", detail=f"没有评价渠道 {new.channel_code}")
    row_id = now.new_id()
    return Feedback(
        id=row_id, kind=kind, case_id=case_id, case_number=case_number, sequence=sequence, unit_code=unit_code, region_code=region_code, party_id=party_id,
        level=new.level, is_default=False, channel_code=new.channel_code, tags=sorted(set(new.tags)),
        text=crypto.encrypt(new.text, Place(Feedback.__tablename__, "text", row_id)) if new.text else None, given_at=now.at, updated_at=now.at,
    )  # fmt: skip


def _step(session: Session, case_id: UUID, sequence: int) -> tuple[CaseFile, CaseEvent]:
    found = session.get(CaseEvent, (case_id, sequence))
    case = session.get(CaseFile, case_id)
    if case is None or case.deleted_at is not None or case.kind != "public" or found is None or found.activity not in REVIEWABLE:
        raise YiwangError("YW-FEEDBACK-001", detail="没有这个环节，或它不是可以评价的服务")
    return case, found


def reached_case(session: Session, access: Access, case_id: UUID) -> CaseFile:
    """A case in reach.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    rows = access.rows(CaseFile.unit_code, CaseFile.applicant_id, CaseFile.agent_id)
    found = session.scalars(sa.select(CaseFile).where(CaseFile.id == case_id, CaseFile.deleted_at.is_(None), rows)).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="办件", key=case_id)
    return found


def _is_open_at(session: Session, case_id: UUID, step: str) -> bool:
    return session.scalar(sa.select(Task.id).where(Task.case_id == case_id, Task.step == step, Task.closed_at.is_(None))) is not None


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
