"""The door to feedback: reviews 好差评 of steps, complaints, visits and appeals (国办发〔2019〕51号, GB/T 39734/39735-2020).

What was said is never changed. A bad review opens its follow-up in the same unit of work; one that was found malicious is left out of
the count with reason and authority, and stays. How feedback is read: :mod:`models.core.feedback.reading`.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from models.core.crypto.types import CryptoProvider, Place
from models.core.feedback.followup import begin, exclude, followup_process, internal_process, take_back
from models.core.feedback.reading import BAD, get, listed, text_of
from models.core.handling.reach import in_reach
from models.core.policy.service import Access
from models.core.work.service import Actor, Work, work
from models.domain.codes import code_tables, label
from models.domain.errors import YiwangError
from models.domain.identifiers import mask_text
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import CaseEvent, CaseFile, Feedback, MatterVersion, ReviewCode, Unit, Visit

__all__ = [
    "REVIEWABLE", "NewReview", "appeal", "case_numbered", "complain", "get", "hand_out_code", "listed", "newest_step", "reached_case", "review", "review_again", "review_by_code", "settle_appeal",
    "settle_appeals", "settle_reviews", "text_of", "visit", "withdraw",
]  # fmt: skip

REVIEWABLE = ("accepted", "completed", "refused", "issued", "delivered")
"""Activities that are a service to the applicant; each can be reviewed once."""
_DEFAULT_LEVEL = 1
_LOOK_BACK = timedelta(days=30)
"""How old the oldest decisions are that the first call of all reviews by default: what was decided before the platform came stays as it is."""
_SLACK = timedelta(days=1)
"""How much later than its instant a decision may have been committed, and still be found."""
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

    Whoever holds the code speaks, which may be the unit that handed it out: so it is written down who handed the review in, and one that
    is given under the log-in of whoever was served stands before it, whichever came first.

    Raises:
        YiwangError: YW-FEEDBACK-001 for a value that is wrong, a code that is wrong, used or too old, or a step that was reviewed with a code.
    """
    _check(new)
    taken = sa.delete(ReviewCode).where(ReviewCode.digest == _digest(code), ReviewCode.expires_at > now.at)
    found = now.session.execute(taken.returning(ReviewCode.case_id, ReviewCode.sequence)).one_or_none()
    if found is None:
        raise YiwangError("YW-FEEDBACK-001", detail="评价码不正确、已使用或已过期")
    return _give(now, crypto, settings, found.case_id, found.sequence, new, None, is_coded=True)


def review(now: Work, crypto: CryptoProvider, settings: Settings, access: Access, case_id: UUID, sequence: int, new: NewReview) -> Feedback:
    """Review a step of one's own case, or of one's principal's; nobody of the staff does so, for then the reviewed unit could.

    Raises:
        YiwangError: YW-STORE-011 for a case out of reach; YW-FEEDBACK-001 for a value that is wrong, a step that cannot be reviewed or
            is reviewed already.
    """
    _check(new)
    reached_case(now, access, case_id)
    party_id = None if new.is_anonymous else access.principal.party_id
    return _give(now, crypto, settings, case_id, sequence, new, party_id)


def review_again(now: Work, crypto: CryptoProvider, access: Access, feedback_id: UUID, new: NewReview) -> Feedback:
    """A second reading 追评 after rectification: a record of its own that replaces nothing.

    Raises:
        YiwangError: YW-STORE-011 out of reach; YW-FEEDBACK-001 where the first one is not over with, was read again before, or a value is wrong.
    """
    _check(new)
    first = get(now.session, access, feedback_id, "review", is_locked=True)
    follow_up = now.session.get(CaseFile, first.follow_up_id) if first.follow_up_id else None
    if first.follows_id is not None or follow_up is None or follow_up.completed_at is None:
        raise YiwangError("YW-FEEDBACK-001", detail="整改办结之后才能追评")
    if now.session.scalar(sa.select(Feedback.id).where(Feedback.follows_id == first.id).limit(1)) is not None:
        raise YiwangError("YW-FEEDBACK-001", detail="这个评价已经追评过")
    party_id = None if new.is_anonymous else access.principal.party_id
    made = _row(now, crypto, "review", first.unit_code, first.region_code, party_id, new, case_id=first.case_id, case_number=first.case_number, sequence=first.sequence)
    made.follows_id = first.id
    now.session.add(made)
    now.session.flush()
    now.record("review.given_again", f"feedback:{made.id}", follows=str(first.id), level=new.level)
    return made


def complain(
    now: Work, crypto: CryptoProvider, settings: Settings, access: Access, unit_code: str, text: str, *, case_id: UUID | None = None,
    matter_code: str | None = None, letter_number: str | None = None, tags: Sequence[str] = (), is_anonymous: bool = False, party_id: UUID | None = None,
) -> Feedback:  # fmt: skip
    """A complaint about a unit: about it, one's case, a matter or a published letter; an internal case deals with it.

    At the window it is written down for whoever stands there (``party_id``); nobody else speaks for another one.

    Raises:
        YiwangError: YW-STORE-011 for a unit, case or matter that is not there.
    """
    case = reached_case(now, access, case_id) if case_id else None
    unit = now.session.get(Unit, unit_code)
    if unit is None or unit.deleted_at is not None:
        raise YiwangError("YW-STORE-011", what="机构", key=unit_code)
    if matter_code is not None and now.session.scalar(sa.select(MatterVersion.code).where(MatterVersion.code == matter_code).limit(1)) is None:
        raise YiwangError("YW-STORE-011", what="事项", key=matter_code)
    party_id = None if is_anonymous else access.principal.party_id or party_id or (case.applicant_id if case else None)
    made = _row(
        now, crypto, "complaint", unit_code, unit.region_code, party_id, NewReview(1, tags=tags, text=text), case_id=case_id, case_number=case.case_number if case else None,
        sequence=None,
    )  # fmt: skip
    made.level, made.matter_code = None, matter_code
    made.letter_number = crypto.encrypt(letter_number, Place(Feedback.__tablename__, "letter_number", made.id)) if letter_number else None
    follow_up = begin(now, internal_process(now, "complaint"), unit_code, "TS", "file", "applicant", "complaint", settings.zone)
    made.follow_up_id = follow_up.id
    now.session.add(made)
    now.session.flush()
    now.record("complaint.filed", f"feedback:{made.id}", unit=unit_code, follow_up=follow_up.case_number)
    now.announce("complaint.filed", "feedback", str(made.id), unit=unit_code)
    return made


def withdraw(now: Work, settings: Settings, access: Access, feedback_id: UUID, reason: str) -> Feedback:
    """Take a complaint back; nobody but whoever made it does, and the unit learns only that it was.

    Raises:
        YiwangError: YW-STORE-011 out of reach; YW-FEEDBACK-001 where it is somebody else's or anonymous; YW-CORE-001 where it is over.
    """
    found = get(now.session, access, feedback_id, "complaint", is_locked=True)
    if found.party_id is None or found.party_id != access.principal.party_id or found.follow_up_id is None:
        raise YiwangError("YW-FEEDBACK-001", detail="投诉只能由投诉人本人撤回，匿名的不能撤回")
    take_back(now, now.session.get_one(CaseFile, found.follow_up_id), mask_text(reason), settings.zone)
    found.updated_at = now.at
    now.session.flush()
    now.record("complaint.withdrawn", f"feedback:{found.id}")
    return found


def appeal(now: Work, settings: Settings, access: Access, feedback_id: UUID, reason: str) -> Feedback:
    """The body holds that a bad review is mistaken or malicious and asks for it to be looked at again.

    Raises:
        YiwangError: YW-STORE-011 out of reach; YW-FEEDBACK-001 where it is no bad review, was appealed against before, or no
            unit stands above that could decide.
    """
    found = get(now.session, access, feedback_id, "review", is_locked=True)
    if found.level not in BAD or found.appeal_id is not None:
        raise YiwangError("YW-FEEDBACK-001", detail="只能对未曾申诉的差评申诉")
    above = now.session.scalar(sa.select(Unit.parent_code).where(Unit.code == found.unit_code))
    if above is None:
        raise YiwangError("YW-FEEDBACK-001", detail="被评价的机构没有上级机构可以复核，请先由系统管理员把它归到上级之下")
    process = internal_process(now, "review_appeal")
    case = begin(now, process, found.unit_code, "SS", "appeal", "handler", f"appeal:{found.id}", settings.zone, by=now.actor.name, superior=above)
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
    if found.follow_up_id is not None:
        follow_up = now.session.get_one(CaseFile, found.follow_up_id)
        exclude(now, follow_up, f"申诉成立：{decision.reason}", f"appeal:{case.case_number}", settings.zone)
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


def settle_reviews(database: Database, settings: Settings, at: datetime, limit: int = 200) -> int:
    """Decisions that nobody reviewed in time count as reviewed by default: level 1, marked, never counted as active.

    Goes on from the newest decision that was reviewed by default, the first time from a month before the limit; one transaction a call.
    Again, after a kill, by two at once: nothing is doubled.

    Returns:
        Number of default reviews made; call again while it equals ``limit``.
    """
    until = at - timedelta(days=settings.review_default_days)
    step = aliased(CaseEvent)
    reviewed = sa.exists().where(Feedback.case_id == CaseFile.id, Feedback.sequence == step.sequence, Feedback.kind == "review")
    with work(database, TIME, at) as now:
        query = (
            sa.select(CaseFile.id, CaseFile.case_number, CaseFile.unit_code, CaseFile.region_code, step.sequence)
            .join(step, sa.and_(step.case_id == CaseFile.id, step.activity.in_(("completed", "refused"))))
            .where(CaseFile.completed_at <= until, CaseFile.completed_at > _gone_on_from(now.session, until, at))
            .where(CaseFile.kind == "public", CaseFile.deleted_at.is_(None), sa.not_(reviewed))
            .order_by(CaseFile.completed_at).limit(limit)
        )  # fmt: skip
        rows = now.session.execute(query).all()
        made = [
            {
                "id": now.new_id(), "kind": "review", "case_id": row.id, "case_number": row.case_number, "sequence": row.sequence, "unit_code": row.unit_code,
                "region_code": row.region_code, "level": _DEFAULT_LEVEL, "is_default": True, "tags": [], "given_at": at, "updated_at": at,
            }
            for row in rows
        ]  # fmt: skip
        if made:
            insert = postgresql.insert if now.is_postgresql else sqlite.insert
            now.session.execute(insert(Feedback).values(made).on_conflict_do_nothing())  # another worker was faster
            now.record("review.defaulted", "feedback", count=len(made))
    return len(rows)


def settle_appeals(database: Database, settings: Settings, at: datetime, limit: int = 50) -> int:
    """What decided appeals mean for their reviews, each in a transaction of its own; one that fails holds up no other. Again: nothing.

    Returns:
        Number of reviews left out of the count.

    Raises:
        YiwangError: That of an appeal that could not be settled, after the others; YW-STORE-008 where the database is away.
    """
    upheld = sa.select(Feedback.appeal_id).join(CaseFile, CaseFile.id == Feedback.appeal_id)
    with database.read() as session:
        query = upheld.where(Feedback.appeal_id.is_not(None), Feedback.excluded_at.is_(None), CaseFile.outcome_code == "upheld").limit(limit)
        decided = [each for each in session.scalars(query) if each is not None]
    failed: YiwangError | None = None
    for appeal_id in decided:
        try:
            with work(database, TIME, at) as now:
                settle_appeal(now, settings, appeal_id)
        except YiwangError as error:
            if error.code == "YW-STORE-008":
                raise
            failed = error
    if failed is not None:
        raise failed
    return len(decided)


def _gone_on_from(session: Session, until: datetime, at: datetime) -> datetime:
    """After which decisions to look: what was decided before has its review, of whichever kind."""
    last = sa.select(sa.func.max(Feedback.given_at)).where(Feedback.is_default, Feedback.given_at <= at).scalar_subquery()
    query = sa.select(sa.func.max(CaseFile.completed_at)).join(Feedback, Feedback.case_id == CaseFile.id).where(Feedback.is_default, Feedback.given_at == last)
    newest = session.scalar(query)
    return newest - _SLACK if newest is not None else until - _LOOK_BACK


def _give(now: Work, crypto: CryptoProvider, settings: Settings, case_id: UUID, sequence: int, new: NewReview, party_id: UUID | None, *, is_coded: bool = False) -> Feedback:
    case, step = _step(now.session, case_id, sequence)
    of_step = (Feedback.case_id == case_id, Feedback.sequence == sequence, Feedback.kind == "review")
    twice = sa.select(Feedback.id).where(*of_step, sa.not_(Feedback.is_default), Feedback.is_coded if is_coded else sa.not_(Feedback.is_coded))
    if now.session.scalar(twice.limit(1)) is not None:
        raise YiwangError("YW-FEEDBACK-001", detail="这个环节已经评价过")
    made = _row(now, crypto, "review", step.unit_code, case.region_code, party_id, new, case_id=case_id, case_number=case.case_number, sequence=sequence)
    made.is_coded = is_coded
    if new.level in BAD:
        process = followup_process(now, settings)
        made.follow_up_id = begin(now, process, step.unit_code, "ZG", "open", "supervisor", "bad review", settings.zone).id
    now.session.add(made)
    others = sa.update(Feedback).where(*of_step, sa.or_(Feedback.is_default, Feedback.is_coded))
    now.session.execute(others.values(updated_at=now.at))  # they may be superseded: those who read by this column look again
    now.session.flush()
    now.record("review.given", f"feedback:{made.id}", case=case.case_number, sequence=sequence, level=new.level)
    now.announce("review.given", "feedback", str(made.id), level=new.level, unit=step.unit_code)
    return made


def _row(
    now: Work, crypto: CryptoProvider, kind: str, unit_code: str, region_code: str | None, party_id: UUID | None, new: NewReview, *, case_id: UUID | None,
    case_number: str | None, sequence: int | None,
) -> Feedback:  # fmt: skip
    row_id = now.new_id()
    return Feedback(
        id=row_id, kind=kind, case_id=case_id, case_number=case_number, sequence=sequence, unit_code=unit_code, region_code=region_code, party_id=party_id,
        level=new.level, is_default=False, channel_code=new.channel_code, tags=sorted({mask_text(tag) for tag in new.tags}),
        given_by=None if now.actor.name.startswith("party:") else now.actor.name,
        text=crypto.encrypt(new.text, Place(Feedback.__tablename__, "text", row_id)) if new.text else None, given_at=now.at, updated_at=now.at,
    )  # fmt: skip


def _check(new: NewReview) -> None:
    """What is wrong whatever the step: before it is looked at, or the answer would tell whether it is reviewed."""
    if not 1 <= new.level <= 5:
        raise YiwangError("YW-FEEDBACK-001", detail="满意度应为 1（非常满意）到 5（非常不满意）")
    if new.channel_code is not None and new.channel_code not in code_tables()["L.review_channel"]:
        raise YiwangError("YW-FEEDBACK-001", detail=f"没有评价渠道 {new.channel_code}")


def _step(session: Session, case_id: UUID, sequence: int) -> tuple[CaseFile, CaseEvent]:
    found = session.get(CaseEvent, (case_id, sequence))
    case = session.get(CaseFile, case_id)
    if case is None or case.deleted_at is not None or case.kind != "public" or found is None or found.activity not in REVIEWABLE:
        raise YiwangError("YW-FEEDBACK-001", detail="没有这个环节，或它不是可以评价的服务")
    return case, found


def reached_case(now: Work, access: Access, case_id: UUID) -> CaseFile:
    """A case in reach.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    query = sa.select(CaseFile).where(CaseFile.id == case_id, CaseFile.deleted_at.is_(None), in_reach(access, now.at))
    found = now.session.scalars(query).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="办件", key=case_id)
    return found


def case_numbered(now: Work, access: Access, case_number: str) -> CaseFile:
    """A case in reach, by its number.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    case_id = now.session.scalar(sa.select(CaseFile.id).where(CaseFile.case_number == case_number))
    if case_id is None:
        raise YiwangError("YW-STORE-011", what="办件", key=case_number)
    return reached_case(now, access, case_id)


def newest_step(session: Session, case_id: UUID, activity: str) -> int:
    """The newest event of a case with an activity that can be reviewed.

    Raises:
        YiwangError: YW-FEEDBACK-001 where there is none.
    """
    last = sa.select(sa.func.max(CaseEvent.sequence)).where(CaseEvent.case_id == case_id, CaseEvent.activity == activity)
    if activity not in REVIEWABLE or (found := session.scalar(last)) is None:
        raise YiwangError("YW-FEEDBACK-001", detail=f"办件还没有“{label('L.activity', activity)}”这个环节")
    return found


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
