"""The door to the handling of cases with rights: apply, submit, act, look, work lists.

Everybody comes through here: citizens, agents, clerks, approvers, systems. Rows are reached by the caller's
:class:`~models.core.policy.service.Access`; the roles for an action are those held **for the unit whose work it is**; what the engine
then allows is the engine's (:mod:`models.core.cases`). Doors: :func:`draft`, :func:`amend`, :func:`act`, :func:`remove`,
:func:`look`, :func:`listed`, :func:`events`, :func:`work_list`, :func:`claim`, :func:`release`.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.cases.service import advance, load, open_case
from models.core.crypto.types import CryptoProvider, Place
from models.core.handling.lists import CaseFilter, TaskFilter, TaskRow, listed, work_list
from models.core.matters.service import in_force, newest_process, next_case_number
from models.core.parties.service import may_act
from models.core.policy.service import Access, Principal, policy
from models.core.processes.definition import Action, Phase, Process
from models.core.processes.engine import CaseState, Command
from models.core.work.service import Work
from models.domain.clock import Limits
from models.domain.errors import YiwangError
from models.domain.identifiers import mask_text
from models.domain.settings import Settings
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import CaseEvent, CaseFile, Party, Task

__all__ = [
    "CaseFilter", "Draft", "Look", "Move", "TaskFilter", "TaskRow", "act", "amend", "claim", "draft", "events", "listed", "look", "release", "remove",
    "work_list",
]  # fmt: skip
_EDITABLE = (Phase.DRAFT, Phase.RETURNED, Phase.CORRECTING)
APPLICANT = "applicant"


@dataclass(frozen=True)
class Draft:
    """An application that is begun.

    Attributes:
        matter_code: What for.
        applicant_id: For whom; None: for the caller's own party.
        channel_code: Through which channel (L.channel).
        form: What is declared.
        is_commitment: The applicant promises instead of proving.
        expires_on: Last day of the licence that is to be renewed.
        region_code: Where.
        window_code: At which window.
    """

    matter_code: str
    applicant_id: UUID | None = None
    channel_code: str | None = None
    form: dict[str, Any] | None = None
    is_commitment: bool = False
    expires_on: date | None = None
    region_code: str | None = None
    window_code: str | None = None


@dataclass(frozen=True)
class Move:
    """An action and what it needs; fields as :class:`~models.core.processes.engine.Command`."""

    action: str
    step: str | None = None
    reason: str | None = None
    outcome: str | None = None
    special_kind: str | None = None
    has_written_notice: bool = False
    extension_days: int | None = None
    missing: tuple[str, ...] = ()
    unit_code: str | None = None


@dataclass(frozen=True)
class Look:
    """A case as somebody sees it.

    Attributes:
        case: Its row.
        form: What is declared; None where it is not shown.
        is_form_hidden: The caller's roles do not see it.
        possible: Actions that the caller may take now.
        tasks: What is to be done.
        due_on: Promised, or else statutory, due day.
        process: Its process.
    """

    case: CaseFile
    form: dict[str, Any] | None
    is_form_hidden: bool
    possible: list[Action]
    tasks: list[Task]
    due_on: date | None
    process: Process


def draft(now: Work, crypto: CryptoProvider, settings: Settings, access: Access, wanted: Draft) -> CaseFile:
    """Begin an application: one's own, as an agent, or as a clerk for a party.

    Raises:
        YiwangError: YW-STORE-011 for a matter or party that is not there; YW-POLICY-003 where one may not apply for the party or at
            the unit; YW-CORE-003 where the matter does not take the channel or a promise.
    """
    day = now.at.astimezone(settings.tzinfo).date()
    matter = in_force(now.session, wanted.matter_code, day)
    principal = access.principal
    applicant_id = wanted.applicant_id or principal.party_id
    party = now.session.get(Party, applicant_id) if applicant_id else None
    if party is None or party.deleted_at is not None:
        raise YiwangError("YW-STORE-011", what="申请人", key=applicant_id or "（未指明）")
    authority = _for_party(now, principal, party.id, matter.code, "submit", wanted.is_commitment)
    if authority is None and not (access.is_everywhere or matter.unit_code in access.units):
        raise YiwangError("YW-POLICY-003")
    if matter.channels and wanted.channel_code not in matter.channels:
        raise YiwangError("YW-CORE-003", action="申请", detail=f"本事项不能通过渠道 {wanted.channel_code} 申请")
    if wanted.is_commitment and not matter.is_commitment:
        raise YiwangError("YW-CORE-003", action="申请", detail="本事项不适用告知承诺")
    case_id = now.new_id()
    on_behalf = principal.party_id is not None and principal.party_id != party.id
    return open_case(
        now, newest_process(now.session, matter.process), next_case_number(now, matter.unit_code, day), matter.unit_code, limits=Limits(**matter.limits),
        matter={"code": matter.code, "version": str(matter.number), "name": matter.name}, applicant_id=party.id,
        agent_id=principal.party_id if on_behalf else None, channel_code=wanted.channel_code, region_code=wanted.region_code or matter.region_code,
        window_code=wanted.window_code, form=_sealed(crypto, case_id, wanted.form), case_id=case_id, is_commitment=wanted.is_commitment,
        expires_on=wanted.expires_on, units=matter.units, zone=settings.zone,
    )  # fmt: skip


def amend(now: Work, crypto: CryptoProvider, access: Access, case_id: UUID, version: int, form: dict[str, Any]) -> CaseFile:
    """Change what is declared, while the application is the applicant's.

    Raises:
        YiwangError: YW-STORE-011 out of reach, YW-STORE-010 where it was changed since, YW-CORE-001 once it was handed in.
    """
    case = _reached(now.session, access, case_id, is_locked=True)
    if case.version != version:
        raise YiwangError("YW-STORE-010")
    if case.phase not in _EDITABLE:
        raise YiwangError("YW-CORE-001", action="修改申请", detail="申请已提交")
    case.form, case.updated_at = _sealed(crypto, case_id, form), _later(case, now)
    now.session.flush()
    now.record("case.amended", f"case:{case.case_number}")
    return case


def act(now: Work, settings: Settings, access: Access, case_id: UUID, move: Move, version: int | None = None) -> CaseFile:
    """Do something to a case.

    A clock that lies behind the case's last event by no more than the setting ``clock_skew_seconds`` takes that event's instant.

    Raises:
        YiwangError: YW-STORE-011 out of reach, YW-STORE-010 where it was changed since, YW-CORE-001, -002, -003 as the engine,
            YW-CORE-007 where this server's clock is wrong, YW-CORE-008 where the task is somebody else's.
    """
    case, state, engine = load(now.session, case_id, settings.zone, is_locked=True, reached=_in_reach(access))
    if version is not None and case.version != version:
        raise YiwangError("YW-STORE-010")
    at = _instant(state, now.at, settings.clock_skew_seconds)
    tasks = _open_tasks(now.session, case_id)
    action, unit = _meant(engine.process, tasks, case, move)
    roles, authority = _right(now, access, case, action, engine.process, unit)
    if action is not None and action.at is not None:
        _is_holder(tasks, action.at, access.principal)
    named = replace(now, at=at, actor=replace(now.actor, roles=roles, unit_code=unit, authority=authority))
    reason = mask_text(move.reason.strip()) if move.reason else None
    advance(named, case, state, engine, Command(
        move.action, at, roles, reason=reason, outcome=move.outcome, special_kind=move.special_kind, has_written_notice=move.has_written_notice,
        extension_days=move.extension_days, missing=move.missing, step=move.step, unit_code=move.unit_code,
    ))  # fmt: skip
    return case


def remove(now: Work, access: Access, case_id: UUID, version: int, reason: str) -> CaseFile:
    """Take a draft out of use; a case that was handed in is withdrawn instead.

    Raises:
        YiwangError: YW-STORE-011 out of reach, YW-STORE-010 where it was changed since, YW-CORE-001 once it was handed in.
    """
    case = _reached(now.session, access, case_id, is_locked=True)
    if case.version != version:
        raise YiwangError("YW-STORE-010")
    if case.phase != Phase.DRAFT:
        raise YiwangError("YW-CORE-001", action="删除", detail="申请已提交，请改为撤回")
    case.deleted_at, case.deleted_reason, case.updated_at = now.at, mask_text(reason), _later(case, now)
    closing = sa.update(Task).where(Task.case_id == case_id, Task.closed_at.is_(None))
    now.session.execute(closing.values(closed_at=now.at, closed_by=now.actor.name))
    now.session.flush()
    now.record("case.removed", f"case:{case.case_number}", reason=mask_text(reason))
    now.announce("case.removed", "case", str(case.id), case_number=case.case_number, kind=case.kind)
    return case


def look(session: Session, crypto: CryptoProvider, settings: Settings, access: Access, case_id: UUID, at: datetime) -> Look:
    """A case, and what the caller may do to it now; a fixed number of queries.

    Raises:
        YiwangError: YW-STORE-011 out of reach.
    """
    case, state, engine = load(session, case_id, settings.zone, reached=_in_reach(access))
    at = max(at, state.entries[-1].at) if state.entries else at
    tasks = _open_tasks(session, case_id)
    units = {task.step: task.unit_code for task in tasks}
    principal = access.principal
    roles = {unit: _roles(session, principal, case, unit) for unit in {case.unit_code, *units.values()}}
    held = frozenset().union(*roles.values())
    possible = [
        action for action in engine.possible(state, held, at)
        if engine.process.role_of(action) in roles[units.get(action.at or "", case.unit_code)]
    ]  # fmt: skip
    is_hidden = not access.shows("case.form")
    form = None if is_hidden or case.form is None else orjson.loads(crypto.decrypt(case.form, _place(case_id)))
    due_on = engine.clocks(state, at).due_on if state.entries else None
    return Look(case, form, is_hidden, possible, tasks, due_on, engine.process)


def events(session: Session, access: Access, case_id: UUID, paging: Paging) -> Page[CaseEvent]:
    """What was done to a case, in order.

    Raises:
        YiwangError: YW-STORE-011 out of reach.
    """
    _reached(session, access, case_id)
    return page(session, sa.select(CaseEvent).where(CaseEvent.case_id == case_id), [CaseEvent.sequence], paging)


def claim(now: Work, access: Access, task_id: UUID) -> Task:
    """Take a task upon oneself; again: nothing.

    Raises:
        YiwangError: YW-STORE-011 out of reach, YW-CORE-008 where it is somebody else's.
    """
    task = _task(now.session, access, task_id)
    name = access.principal.name
    if task.role not in policy().roles_in(now.session, access.principal, access.permission, task.unit_code):
        raise YiwangError("YW-CORE-002", action="领取待办", role=task.role)
    if task.assignee not in (None, name):
        raise YiwangError("YW-CORE-008")
    taken = sa.update(Task).where(Task.id == task_id, Task.closed_at.is_(None), sa.or_(Task.assignee.is_(None), Task.assignee == name))
    if getattr(now.session.execute(taken.values(assignee=name)), "rowcount", 0) != 1:
        raise YiwangError("YW-CORE-008")
    now.record("task.claimed", f"task:{task_id}")
    return task


def release(now: Work, access: Access, task_id: UUID) -> Task:
    """Give a task back: one's own, or as head of the unit anybody's.

    Raises:
        YiwangError: YW-STORE-011 out of reach, YW-CORE-008 where it is somebody else's.
    """
    task = _task(now.session, access, task_id)
    roles = policy().roles_in(now.session, access.principal, access.permission, task.unit_code)
    if task.assignee not in (None, access.principal.name) and "head" not in roles:
        raise YiwangError("YW-CORE-008")
    held_by, task.assignee = task.assignee, None
    now.session.flush()
    now.record("task.released", f"task:{task_id}", held_by=held_by)
    return task


def _in_reach(access: Access) -> sa.ColumnElement[bool]:
    """Cases of the caller's units and parties, and those in which the caller's units take part."""
    taking_part = sa.exists().where(Task.case_id == CaseFile.id, access.rows(Task.unit_code))
    return sa.or_(access.rows(CaseFile.unit_code, CaseFile.applicant_id, CaseFile.agent_id), taking_part)


def _reached(session: Session, access: Access, case_id: UUID, *, is_locked: bool = False) -> CaseFile:
    query = sa.select(CaseFile).where(CaseFile.id == case_id, CaseFile.deleted_at.is_(None), _in_reach(access))
    found = session.scalars(query.with_for_update(of=CaseFile) if is_locked else query).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="办件", key=case_id)
    return found


def _task(session: Session, access: Access, task_id: UUID) -> Task:
    query = sa.select(Task).where(Task.id == task_id, Task.closed_at.is_(None), access.rows(Task.unit_code))
    found = session.scalars(query.with_for_update()).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="待办", key=task_id)
    return found


def _open_tasks(session: Session, case_id: UUID) -> list[Task]:
    return list(session.scalars(sa.select(Task).where(Task.case_id == case_id, Task.closed_at.is_(None)).order_by(Task.step)))


def _meant(process: Process, tasks: list[Task], case: CaseFile, move: Move) -> tuple[Action | None, str]:
    """The action that is meant, and the unit whose work it is; None where the engine must say what is wrong."""
    units = {task.step: task.unit_code for task in tasks}
    named = [action for action in process.actions if action.action == move.action and move.step in (None, action.at)]
    here = [action for action in named if action.at in units] or [action for action in named if action.at is None]
    return (here[0], units.get(here[0].at or "", case.unit_code)) if len(here) == 1 else (None, case.unit_code)


def _right(now: Work, access: Access, case: CaseFile, action: Action | None, process: Process, unit: str) -> tuple[frozenset[str], str]:
    """Roles for an action, and on what the right to it rests, for the record."""
    principal = access.principal
    roles = _roles(now.session, principal, case, unit)
    role = process.role_of(action) if action else None
    if role != APPLICANT or case.applicant_id is None:
        return roles, f"{role}@{unit}" if role in roles else now.actor.authority
    own = _for_party(now, principal, case.applicant_id, case.matter_code or "", action.action if action else "", case.is_commitment)
    if own is not None:
        return roles | {APPLICANT}, own
    if "clerk" in roles:  # at the window, at the request of the applicant who stands there
        return roles | {APPLICANT}, f"clerk@{unit} for party:{case.applicant_id}"
    return roles - {APPLICANT}, now.actor.authority


def _roles(session: Session, principal: Principal, case: CaseFile, unit: str) -> frozenset[str]:
    held = policy().roles_in(session, principal, "case:act", unit)
    if principal.party_id in (case.applicant_id, case.agent_id) and principal.party_id is not None:
        return held | {APPLICANT}
    return held | {APPLICANT} if "clerk" in held else held - {APPLICANT} if principal.party_id is not None else held


def _for_party(now: Work, principal: Principal, party_id: UUID, matter_code: str, action: str, is_commitment: bool) -> str | None:
    if principal.party_id is None:
        return None
    return may_act(now.session, principal.party_id, party_id, matter_code, now.at, action, is_commitment)


def _is_holder(tasks: list[Task], step: str, principal: Principal) -> None:
    task = next((task for task in tasks if task.step == step), None)
    if task is not None and task.assignee not in (None, principal.name):
        raise YiwangError("YW-CORE-008")


def _instant(state: CaseState, at: datetime, tolerated: int) -> datetime:
    last = state.entries[-1].at if state.entries else at
    if at >= last:
        return at
    if last - at > timedelta(seconds=tolerated):
        raise YiwangError("YW-CORE-007", seconds=int((last - at).total_seconds()))
    return last


def _later(case: CaseFile, now: Work) -> datetime:
    """Never before the last change, whatever the clocks of hosts say: the sync reads by it."""
    return max(now.at, case.updated_at + timedelta(microseconds=1))


def _sealed(crypto: CryptoProvider, case_id: UUID, form: dict[str, Any] | None) -> str | None:
    return crypto.encrypt(orjson.dumps(form).decode(), _place(case_id)) if form else None


def _place(case_id: UUID) -> Place:
    return Place(CaseFile.__tablename__, "form", case_id)

