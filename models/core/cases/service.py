"""The door to cases: open one, do something to it, what is to be done, what time brings about.

The rules are the engine's (:mod:`models.core.processes.engine`); here a case is loaded, the engine asked, and state, events,
tasks, outbox and audit are written in the caller's unit of work.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.organisation.calendar import calendar
from models.core.processes.deadlines import case_deadline, step_deadline
from models.core.processes.definition import Phase, Process
from models.core.processes.engine import SYSTEM, CaseState, Command, Engine, Entry, Transition
from models.core.processes.marking import Marking
from models.core.processes.published import published
from models.core.work.service import Actor, Work, work
from models.domain.clock import Limits
from models.domain.codes import label
from models.domain.errors import YiwangError
from models.store.operational.database import Database
from models.store.operational.tables import CaseEvent, CaseFile, ProcessVersion, Task

TIME = Actor("system", frozenset({SYSTEM}), authority="time")
"""The platform itself, when time is up."""
_AGAIN = timedelta(hours=1)

# built once: building a query costs as much as asking it
CASE = (
    sa.select(CaseFile, ProcessVersion.digest)
    .join(ProcessVersion, sa.and_(ProcessVersion.process == CaseFile.process, ProcessVersion.number == CaseFile.process_number))
    .where(CaseFile.id == sa.bindparam("case_id"), CaseFile.deleted_at.is_(None))
)
"""The query of one case, and which process it runs on; for :func:`load`."""
LOCKED_CASE = CASE.with_for_update(of=CaseFile)
"""The same; nobody else may change the case until the transaction ends."""
_IS_PUBLISHED = sa.select(ProcessVersion.number).where(ProcessVersion.process == sa.bindparam("process"), ProcessVersion.number == sa.bindparam("number"))
_EVENTS = sa.select(*CaseEvent.__table__.columns).where(CaseEvent.case_id == sa.bindparam("case_id")).order_by(CaseEvent.sequence)
_INTO_EVENTS, _INTO_TASKS = sa.insert(CaseEvent.__table__), sa.insert(Task.__table__)  # type: ignore[arg-type]
_CLOSE_TASKS = (
    sa.update(Task.__table__)  # type: ignore[arg-type]
    .where(Task.case_id == sa.bindparam("of"), Task.closed_at.is_(None), Task.step.in_(sa.bindparam("ended", expanding=True)))
    .values(closed_at=sa.bindparam("now"), closed_by=sa.bindparam("who"))
)
_OPEN_TASKS = sa.select(Task).where(Task.case_id == sa.bindparam("case_id"), Task.closed_at.is_(None)).order_by(Task.step)


class Settled(NamedTuple):
    """What a settling did.

    Attributes:
        due: Number of cases that were due.
        failed: Those that could not be settled: they hold up no other, and are tried again after an hour.
    """

    due: int
    failed: list[UUID]


def publish(now: Work, process: Process) -> None:
    """Make a version of a process known to the store, so that cases may begin on it.

    Raises:
        YiwangError: YW-CORE-006 where the version is there with another content: what cases run on never changes.
    """
    known = now.session.get(ProcessVersion, (process.process, process.version))
    body = process.model_dump(mode="json")
    if known is not None:
        if Process.model_validate(known.body) != process:  # what is left out there means what it always meant
            raise YiwangError("YW-CORE-006", process=process.title, version=process.version)
        return
    now.session.add(ProcessVersion(process=process.process, number=process.version, kind=process.kind, body=body, digest=_digest(process), published_at=now.at))
    now.record("process.published", f"process:{process.process}/{process.version}")


def open_case(
    now: Work, process: Process, case_number: str, unit_code: str, *, limits: Limits | None = None, matter: Mapping[str, str | None] | None = None,
    applicant_id: UUID | None = None, agent_id: UUID | None = None, channel_code: str | None = None, region_code: str | None = None,
    window_code: str | None = None, form: str | None = None, case_id: UUID | None = None, is_commitment: bool = False, expires_on: date | None = None,
    units: Mapping[str, str] | None = None, opened_by: str | None = None, zone: str = "Asia/Shanghai",
) -> CaseFile:  # fmt: skip
    """A new case, not handed in yet.

    Args:
        now: The unit of work.
        process: A published process.
        case_number: Its number, unique.
        unit_code: Unit that handles it.
        limits: Limits of the matter, kept as they are today.
        matter: ``code``, ``version`` and ``name``.
        applicant_id: Party that applies.
        agent_id: Party that acts for it.
        channel_code: Channel (L.channel).
        region_code: Region.
        window_code: Window.
        form: What is declared, encrypted for the place that ``case_id`` names.
        case_id: Identifier of the case, from :meth:`Work.new_id`; none: a new one.
        is_commitment: The applicant promises instead of proving.
        expires_on: Last day of the licence that is to be renewed; for renewals, and only for them.
        units: Units that take part, by their part in the process (``planning``); those left out are ``unit_code``.
        opened_by: Who begins it; none for internal cases.
        zone: Zone of days.

    Raises:
        YiwangError: YW-CORE-003 where the process does not take the channel or a commitment, or renews a licence whose last day is
            not stated or over; YW-STORE-011 where it is not published.
    """
    if now.session.scalar(_IS_PUBLISHED, {"process": process.process, "number": process.version}) is None:
        raise YiwangError("YW-STORE-011", what="流程", key=f"{process.process}/{process.version}")
    if process.channels and channel_code not in process.channels:
        raise YiwangError("YW-CORE-003", action="申请", detail=f"本事项不能通过“{label('L.channel', channel_code)}”申请" if channel_code else "须写明渠道")
    if is_commitment and not process.rules.commitment:
        raise YiwangError("YW-CORE-003", action="申请", detail="本事项不适用告知承诺")
    if process.is_renewal != (expires_on is not None):
        detail = "延续须写明原证件的有效期截止日" if process.is_renewal else "本事项不是延续，不需要有效期截止日"
        raise YiwangError("YW-CORE-003", action="申请", detail=detail)
    matter = matter or {}
    terms: dict[str, Any] = asdict(limits or Limits())
    terms |= {"expires_on": expires_on.isoformat() if expires_on else None, "units": dict(units or {})}
    engine = _engine(now.session, process, terms, zone)
    if engine.has_expired(now.at):
        raise YiwangError("YW-CORE-003", action="申请", detail=f"原证件已于 {expires_on} 到期，不能再延续，请重新申请")
    state = engine.new(is_commitment)
    case = CaseFile(
        id=case_id or now.new_id(), case_number=case_number, kind=process.kind, process=process.process, process_number=process.version,
        matter_code=matter.get("code"), matter_version=matter.get("version"), matter_name=matter.get("name"), limits=terms,
        applicant_id=applicant_id, agent_id=agent_id, opened_by=opened_by, unit_code=unit_code, region_code=region_code, window_code=window_code,
        channel_code=channel_code, form=form, created_at=now.at, updated_at=now.at,
        **_columns(state),
    )  # fmt: skip
    now.session.add(case)
    now.session.flush()
    _open_tasks(now, engine, case, state, state.marking.open_steps)
    now.record("case.opened", f"case:{case_number}", process=f"{process.process}/{process.version}")
    return case


def act(now: Work, case_id: UUID, command: Command, *, version: int | None = None, zone: str = "Asia/Shanghai") -> Transition:
    """Do something to a case.

    Args:
        now: The unit of work; its actor is who acts.
        case_id: The case.
        command: What, when, why.
        version: Version of the case that the actor saw; None where only the engine's judgement counts.
        zone: Zone of days.

    Raises:
        YiwangError: YW-STORE-011 where there is no such case, YW-STORE-010 where it was changed since, YW-CORE-001, -002, -003 as the engine.
    """
    case, state, engine = load(now.session, case_id, zone, LOCKED_CASE)
    if version is not None and version != case.version:
        raise YiwangError("YW-STORE-010")
    return advance(now, case, state, engine, command)


def advance(now: Work, case: CaseFile, state: CaseState, engine: Engine, command: Command) -> Transition:
    """Do something to a case that was loaded and locked in this transaction.

    Raises:
        YiwangError: YW-CORE-001, -002, -003 as the engine.
    """
    transition = engine.apply(state, command)
    _store(now, engine, case, state, transition)
    return transition


def settle(database: Database, at: datetime, limit: int = 200, zone: str = "Asia/Shanghai") -> Settled:
    """Let what is due by itself happen: deemed acceptance, lapses, silence. Each case is a transaction of its own.

    Returns:
        What was due; call again while it equals ``limit``.

    Raises:
        YiwangError: YW-STORE-008 where the database is away.
    """
    with database.read() as session:
        due = session.scalars(sa.select(CaseFile.id).where(CaseFile.next_timer_at <= at).order_by(CaseFile.next_timer_at).limit(limit)).all()
    failed = []
    for case_id in due:
        try:
            _settle_one(database, case_id, at, zone)
        except Exception as error:
            if isinstance(error, YiwangError) and error.code == "YW-STORE-008":
                raise
            failed.append(case_id)
            with database.write() as session:
                session.execute(sa.update(CaseFile).where(CaseFile.id == case_id).values(next_timer_at=at + _AGAIN))
    return Settled(len(due), failed)


def _settle_one(database: Database, case_id: UUID, at: datetime, zone: str) -> None:
    with work(database, TIME, at) as now:
        case, state, engine = load(now.session, case_id, zone, LOCKED_CASE)
        transition = engine.settle(state, at)
        if transition.entries:
            _store(now, engine, case, state, transition)
        else:  # somebody was faster, or the calendar has changed since
            case.next_timer_at = clocked(engine, state, at)["next_timer_at"]


def tasks(session: Session, units: Sequence[str], roles: Sequence[str], limit: int = 50) -> Sequence[Task]:
    """What holders of the roles in the units have to do, most urgent first; one query."""
    query = sa.select(Task).where(Task.closed_at.is_(None), Task.unit_code.in_(units), Task.role.in_(roles))
    return session.scalars(query.order_by(Task.due_on.is_(None), Task.due_on, Task.id).limit(limit)).all()


def open_tasks(session: Session, case_id: UUID) -> list[Task]:
    """What is to be done in a case, by step; one query."""
    return list(session.scalars(_OPEN_TASKS, {"case_id": case_id}))


def history(session: Session, case_id: UUID) -> Sequence[CaseEvent]:
    """What was done to a case, in order."""
    return session.scalars(sa.select(CaseEvent).where(CaseEvent.case_id == case_id).order_by(CaseEvent.sequence)).all()


def load(
    session: Session, case_id: UUID, zone: str = "Asia/Shanghai", query: sa.Select[tuple[CaseFile, str]] = CASE, at: datetime | None = None
) -> tuple[CaseFile, CaseState, Engine]:
    """A case as it is stored, as its engine sees it, and the engine: to ask what is possible, when it is due.

    Args:
        session: The transaction.
        case_id: The case.
        zone: Zone of days.
        query: :data:`CASE`, :data:`LOCKED_CASE`, or one of them with a condition.
        at: Now, where that condition asks for it.

    Raises:
        YiwangError: YW-STORE-011 where there is no such case.
    """
    found = session.execute(query, {"case_id": case_id, "at": at}).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="办件", key=case_id)
    case, digest = found
    process = published(session, digest)
    entries = tuple(_entry(event) for event in session.execute(_EVENTS, {"case_id": case_id}))  # plain rows: nobody changes them
    state = CaseState(
        Marking(Phase(case.phase), frozenset(case.open_steps), frozenset(case.waiting), case.is_corrected, case.is_commitment), entries, case.received_at,
        case.accepted_at, case.is_deemed_accepted, case.completed_at, case.outcome_code, case.is_suspended, case.is_extended, tuple(case.missing),
    )  # fmt: skip
    return case, state, _engine(session, process, case.limits, zone)


def _store(now: Work, engine: Engine, case: CaseFile, before: CaseState, transition: Transition) -> None:
    state = transition.state
    for column, value in _columns(state).items():
        setattr(case, column, value)
    for column, value in clocked(engine, state, now.at).items():
        setattr(case, column, value)
    case.updated_at = max(now.at, case.updated_at + timedelta(microseconds=1))  # never back, whatever the clocks of hosts say: the sync reads by it
    for entry in transition.entries:
        if entry.unit_code:
            _hand_over(now, case, entry.unit_code)
    events = [
        _event(now, case, number, entry) for number, entry in enumerate(transition.entries, start=len(before.entries) + 1)
    ]  # fmt: skip
    now.session.execute(_INTO_EVENTS, events)
    if transition.ended:
        closing = {"of": case.id, "ended": sorted(transition.ended), "now": now.at, "who": now.actor.name}
        now.session.execute(_CLOSE_TASKS, closing)
    if before.marking.open_steps - transition.ended:  # what else is open moves with the case
        _clock_tasks(now, engine, case, state)
    _open_tasks(now, engine, case, state, transition.opened)
    activities = [entry.activity for entry in transition.entries]
    now.announce("case.moved", "case", str(case.id), case_number=case.case_number, kind=case.kind, phase=case.phase, activities=activities)
    now.record("case.moved", f"case:{case.case_number}", actions=[entry.action for entry in transition.entries], phase=case.phase)
    now.session.flush()


def _event(now: Work, case: CaseFile, number: int, entry: Entry) -> dict[str, Any]:
    who = TIME if entry.role == SYSTEM else now.actor
    return {
        "case_id": case.id, "sequence": number, "activity": entry.activity, "action": entry.action, "step": entry.step, "occurred_at": entry.at,
        "phase_before": entry.phase_before, "phase_after": entry.phase_after, "role": entry.role, "actor": who.name, "authority": who.authority,
        "unit_code": case.unit_code, "reason": entry.reason, "special_kind": entry.special_kind, "special_code": entry.special_code,
        "has_written_notice": entry.has_written_notice, "extension_days": entry.extension_days, "missing": list(entry.missing),
        "documents": list(entry.documents), "recorded_at": now.at,
    }  # fmt: skip


def _hand_over(now: Work, case: CaseFile, unit_code: str) -> None:
    """What the unit of the case had to do is another's; what other units do in it stays theirs."""
    tasks_of_unit = sa.update(Task).where(Task.case_id == case.id, Task.closed_at.is_(None), Task.unit_code == case.unit_code)
    now.session.execute(tasks_of_unit.values(unit_code=unit_code, assignee=None))
    case.unit_code = unit_code


def _clock_tasks(now: Work, engine: Engine, case: CaseFile, state: CaseState) -> None:
    """What was open before moves with the case: accepted, paused, resumed, extended, decided."""
    for task in open_tasks(now.session, case.id):
        for column, value in clocked_task(engine, state, task, now.at).items():
            setattr(task, column, value)


def _open_tasks(now: Work, engine: Engine, case: CaseFile, state: CaseState, steps: frozenset[str]) -> None:
    opened = []
    for name in sorted(steps):
        step = engine.process.step(name)
        unit = case.limits["units"].get(step.unit, case.unit_code)
        due = step_deadline(engine, state, name, now.at, now.at)
        opened.append({
            "id": now.new_id(), "case_id": case.id, "step": name, "role": step.role, "unit_code": unit, "opened_at": now.at, "due_on": due.on,
            "provisional_due_on": due.provisional_on, "is_paused": due.is_paused,
        })  # fmt: skip
    if opened:
        now.session.execute(_INTO_TASKS, opened)


def clocked(engine: Engine, state: CaseState, at: datetime) -> dict[str, Any]:
    """Columns of a case that say until when: they follow its events and the calendar, and are of no day while its clock stands still."""
    due, timer = case_deadline(engine, state, at), engine.next_timer(state)
    is_running = bool(state.marking.open_steps) and state.marking.phase is not Phase.DRAFT
    return {
        "due_on": due.on, "provisional_due_on": due.provisional_on, "next_timer_at": timer[1] if timer else None,
        "calendar_version": engine.calendar.version if is_running else None,
    }  # fmt: skip


def clocked_task(engine: Engine, state: CaseState, task: Task, at: datetime) -> dict[str, Any]:
    """The same for a task."""
    due = step_deadline(engine, state, task.step, task.opened_at, at)
    return {"due_on": due.on, "provisional_due_on": due.provisional_on, "is_paused": due.is_paused}


def _columns(state: CaseState) -> dict[str, Any]:
    return {
        "phase": state.marking.phase.value, "open_steps": sorted(state.marking.open_steps), "waiting": sorted(state.marking.waiting),
        "is_corrected": state.marking.is_corrected, "is_commitment": state.marking.is_commitment, "received_at": state.received_at, "accepted_at": state.accepted_at,
        "is_deemed_accepted": state.is_deemed_accepted, "completed_at": state.completed_at, "outcome_code": state.outcome,
        "is_suspended": state.is_suspended, "is_extended": state.is_extended, "missing": list(state.missing),
    }  # fmt: skip


def _entry(event: Any) -> Entry:
    return Entry(
        event.activity, event.action, event.occurred_at, Phase(event.phase_before), Phase(event.phase_after), event.role, event.step, event.reason,
        event.special_kind, event.special_code, event.has_written_notice, event.extension_days, tuple(event.missing), tuple(event.documents),
        event.unit_code if event.activity == "transferred" else None,
    )  # fmt: skip


def _engine(session: Session, process: Process, terms: Mapping[str, Any], zone: str) -> Engine:
    """The engine on what was fixed when the case began (``CaseFile.limits``): the matter's limits, expiry, units."""
    limits = Limits(**{name: value for name, value in terms.items() if name not in ("expires_on", "units")})
    expires_on = date.fromisoformat(terms["expires_on"]) if terms["expires_on"] else None
    return Engine(process, limits, calendar(session), ZoneInfo(zone), expires_on)


def _digest(process: Process) -> str:
    return hashlib.sha256(process.model_dump_json().encode()).hexdigest()
