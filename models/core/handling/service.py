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

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.cases.service import advance, load, open_case, open_tasks
from models.core.crypto.types import CryptoProvider
from models.core.handling import forms
from models.core.handling.history import Told, events, sees
from models.core.handling.lists import CaseFilter, TaskFilter, TaskRow, listed, work_list
from models.core.handling.reach import case_in_reach
from models.core.handling.rights import APPLICANT, Rights, is_anothers
from models.core.handling.terms import Terms, terms
from models.core.matters.service import in_force, newest_process, next_case_number
from models.core.organisation import windows
from models.core.organisation.units import in_use, known_regions, unit_for
from models.core.parties.service import may_act
from models.core.policy.service import Access, policy, role_title
from models.core.processes.definition import Action, Effect, Phase, Process
from models.core.processes.engine import CaseState, Command
from models.core.work.service import Work
from models.domain.clock import Limits
from models.domain.codes import label
from models.domain.errors import YiwangError
from models.domain.identifiers import mask_text
from models.domain.settings import Settings
from models.store.operational.tables import CaseFile, Party, Task

__all__ = [
    "CaseFilter", "Draft", "Look", "Move", "TaskFilter", "TaskRow", "Told", "act", "amend", "claim", "draft", "events", "listed", "look", "release", "remove",
    "work_list",
]  # fmt: skip
EDITABLE = (Phase.DRAFT, Phase.RETURNED, Phase.CORRECTING)


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
        is_applicant_hidden: Nor who applies.
        possible: Actions that the caller may take now.
        tasks: What is to be done.
        terms: By when it is to be decided, and what time will bring.
        process: Its process.
    """

    case: CaseFile
    form: dict[str, Any] | None
    is_form_hidden: bool
    is_applicant_hidden: bool
    possible: list[Action]
    tasks: list[Task]
    terms: Terms
    process: Process


def draft(now: Work, crypto: CryptoProvider, settings: Settings, access: Access, wanted: Draft) -> CaseFile:
    """Begin an application: one's own, as an agent, or as a clerk for a party.

    Raises:
        YiwangError: YW-STORE-011 for a matter, party, region or window that is not there; YW-POLICY-003 where one may not apply for the party or at
            the unit; YW-CORE-003 where the matter does not take the channel or a promise.
    """
    day = now.at.astimezone(settings.tzinfo).date()
    matter = in_force(now.session, wanted.matter_code, day)
    principal = access.principal
    applicant_id = wanted.applicant_id or principal.party_id
    party = now.session.get(Party, applicant_id) if applicant_id else None
    if party is None or party.deleted_at is not None:
        raise YiwangError("YW-STORE-011", what="申请人", key=applicant_id or "（未指明）")
    own = principal.party_id
    authority = may_act(now.session, own, party.id, matter.code, now.at, "submit", wanted.is_commitment) if own else None
    unit_code = matter.unit_code
    if wanted.region_code is not None:  # the unit of the place, where one answers for it there
        unit_code = unit_for(now.session, matter.code, known_regions(now.session, wanted.region_code), day) or unit_code
    if authority is None and not (access.is_everywhere or unit_code in access.units):
        raise YiwangError("YW-POLICY-003")
    if matter.channels and wanted.channel_code not in matter.channels:
        raise YiwangError("YW-CORE-003", action="申请", detail=f"本事项不能通过“{label('L.channel', wanted.channel_code)}”申请" if wanted.channel_code else "须写明渠道")
    if wanted.is_commitment and not matter.is_commitment:
        raise YiwangError("YW-CORE-003", action="申请", detail="本事项不适用告知承诺")
    if wanted.window_code is not None and (takes := windows.get(now.session, wanted.window_code).matters) and matter.code not in takes:
        raise YiwangError("YW-CORE-003", action="申请", detail=f"窗口 {wanted.window_code} 不受理本事项")
    case_id = now.new_id()
    on_behalf = principal.party_id is not None and principal.party_id != party.id
    return open_case(
        now, newest_process(now.session, matter.process), next_case_number(now, unit_code, day), unit_code, limits=Limits(**matter.limits),
        matter={"code": matter.code, "version": str(matter.number), "name": matter.name}, applicant_id=party.id,
        agent_id=principal.party_id if on_behalf else None, channel_code=wanted.channel_code, region_code=wanted.region_code or matter.region_code,
        window_code=wanted.window_code, form=forms.sealed(crypto, case_id, wanted.form), case_id=case_id, is_commitment=wanted.is_commitment,
        expires_on=wanted.expires_on, units=matter.units, opened_by=principal.name, zone=settings.zone,
    )  # fmt: skip


def amend(now: Work, crypto: CryptoProvider, access: Access, case_id: UUID, version: int, form: dict[str, Any]) -> CaseFile:
    """Change what is declared, while the application is the applicant's.

    Raises:
        YiwangError: YW-STORE-011 out of reach, YW-STORE-010 where it was changed since, YW-CORE-001 once it was handed in, YW-POLICY-003 where
            the agent's authorisation does not go so far.
    """
    case, _, engine = load(now.session, case_id, query=case_in_reach(access, is_locked=True), at=now.at)
    if case.version != version:
        raise YiwangError("YW-STORE-010")
    if case.phase not in EDITABLE:
        raise YiwangError("YW-CORE-001", action="修改申请", detail="申请已提交")
    _declares(now, access, case, engine.process)
    case.form = forms.sealed(crypto, case_id, forms.merged(crypto, case, access.principal, form))
    case.updated_at = _later(case, now)
    now.session.flush()
    now.record("case.amended", f"case:{case.case_number}")
    return case


def act(now: Work, settings: Settings, access: Access, case_id: UUID, move: Move, version: int | None = None) -> CaseFile:
    """Do something to a case.

    A clock that lies behind the case's last event by no more than the setting ``clock_skew_seconds`` takes that event's instant.

    Raises:
        YiwangError: YW-STORE-011 out of reach, YW-STORE-010 where it was changed since, YW-CORE-001, -002, -003 as the engine,
            YW-CORE-007 where this server's clock is wrong, YW-CORE-008 where the task is somebody else's, YW-CORE-009 where the caller
            did a step that stands apart from this one.
    """
    case, state, engine = load(now.session, case_id, settings.zone, case_in_reach(access, with_parts=True, is_locked=True), now.at)
    if version is not None and case.version != version:
        raise YiwangError("YW-STORE-010")
    at = _instant(state, now.at, settings.clock_skew_seconds)
    tasks = open_tasks(now.session, case_id)
    action, unit = _meant(engine.process, tasks, case, move)
    rights = Rights(now.session, access.principal, case, engine.process, now.at)
    roles, authority = rights.roles(unit), now.actor.authority
    if action is not None and (basis := rights.basis(action, unit)) is not None:
        authority = basis
        _is_free(now, access, rights, engine.process, action, tasks)
        if action.effect is Effect.TRANSFER and move.unit_code:
            _receives(now, action, move.unit_code)
    elif action is not None:  # the engine says whose it is
        roles -= {engine.process.role_of(action)}
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
        YiwangError: YW-STORE-011 out of reach, YW-STORE-010 where it was changed since, YW-CORE-001 once it was handed in, YW-POLICY-003 as
            :func:`amend`.
    """
    case, _, engine = load(now.session, case_id, query=case_in_reach(access, is_locked=True), at=now.at)
    if case.version != version:
        raise YiwangError("YW-STORE-010")
    if case.phase != Phase.DRAFT:
        raise YiwangError("YW-CORE-001", action="删除", detail="申请已提交，请改为撤回")
    _declares(now, access, case, engine.process)
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
    case, state, engine = load(session, case_id, settings.zone, case_in_reach(access, with_parts=True), at)
    is_hidden, is_anonymous = (not sees(session, access, case_id, field, at) for field in ("case.form", "case.applicant"))
    rights = Rights(session, access.principal, case, engine.process, at)
    at = max(at, state.entries[-1].at) if state.entries else at
    tasks = open_tasks(session, case_id)
    units = {task.step: task.unit_code for task in tasks}
    held = frozenset().union(*(rights.roles(unit) for unit in {case.unit_code, *units.values()}))
    possible = [
        action for action in engine.possible(state, held, at)
        if rights.basis(action, units.get(action.at or "", case.unit_code)) is not None and rights.barred(action.at) is None
    ]  # fmt: skip
    form = None if is_hidden else forms.shown(crypto, case, access.principal)
    return Look(case, form, is_hidden, is_anonymous, possible, tasks, terms(engine, state, at), engine.process)


def reveal(now: Work, crypto: CryptoProvider, access: Access, case_id: UUID, reason: str) -> dict[str, Any] | None:
    """What is declared in a case in reach, in clear; errors as :func:`models.core.handling.forms.reveal`.

    Raises:
        YiwangError: YW-STORE-011 out of reach.
    """
    case, _, _ = load(now.session, case_id, query=case_in_reach(access, with_parts=True), at=now.at)
    return forms.reveal(now, crypto, case, reason)


def claim(now: Work, access: Access, task_id: UUID) -> Task:
    """Take a task upon oneself; again: nothing.

    Raises:
        YiwangError: YW-STORE-011 out of reach, YW-CORE-008 where it is somebody else's, YW-CORE-009 where the caller did a step that stands
            apart from it.
    """
    task = _task(now.session, access, task_id)
    name = access.principal.name
    if task.role not in policy().roles_in(now.session, access.principal, access.permission, task.unit_code):
        raise YiwangError("YW-CORE-002", action="领取待办", role=role_title(task.role))
    if is_anothers(now.session, task, access.principal, now.at):
        raise YiwangError("YW-CORE-008")
    case, _, engine = load(now.session, task.case_id)
    _stands_apart(Rights(now.session, access.principal, case, engine.process, now.at), engine.process, "领取待办", task.step)
    taken = sa.update(Task).where(Task.id == task_id, Task.closed_at.is_(None), sa.or_(Task.assignee.is_(None), Task.assignee.in_((name, task.assignee))))
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


def _declares(now: Work, access: Access, case: CaseFile, process: Process) -> None:
    """Whoever changes what is declared may also hand it in."""
    rights = Rights(now.session, access.principal, case, process, now.at)
    handing_in = [action for action in process.actions if action.at in case.open_steps and process.role_of(action) == APPLICANT]
    if not any(rights.basis(action, case.unit_code) for action in handing_in):
        raise YiwangError("YW-POLICY-003")


def _task(session: Session, access: Access, task_id: UUID) -> Task:
    query = sa.select(Task).where(Task.id == task_id, Task.closed_at.is_(None), access.rows(Task.unit_code))
    found = session.scalars(query.with_for_update()).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="待办", key=task_id)
    return found


def _meant(process: Process, tasks: list[Task], case: CaseFile, move: Move) -> tuple[Action | None, str]:
    """The action that is meant, and the unit whose work it is; None where the engine must say what is wrong."""
    units = {task.step: task.unit_code for task in tasks}
    named = [action for action in process.actions if action.action == move.action and move.step in (None, action.at)]
    here = [action for action in named if action.at in units] or [action for action in named if action.at is None]
    return (here[0], units.get(here[0].at or "", case.unit_code)) if len(here) == 1 else (None, case.unit_code)


def _is_free(now: Work, access: Access, rights: Rights, process: Process, action: Action, tasks: list[Task]) -> None:
    """The step is nobody else's, and the caller did none that stands apart from it."""
    role = process.role_of(action)  # another role's action at the step is not its holder's: an applicant takes a promise back whoever looks at it
    task = next((task for task in tasks if task.step == action.at and task.role == role), None)
    if task is not None and is_anothers(now.session, task, access.principal, now.at):
        raise YiwangError("YW-CORE-008")
    _stands_apart(rights, process, action.title, action.at)


def _stands_apart(rights: Rights, process: Process, title: str, step: str | None) -> None:
    if step is not None and (done := rights.barred(step)) is not None:
        raise YiwangError("YW-CORE-009", action=title, step=process.step(step).title, done=process.step(done).title)


def _receives(now: Work, action: Action, unit_code: str) -> None:
    """The unit that a case is handed over to is there, and stays there until it has it."""
    try:
        in_use(now, unit_code)
    except YiwangError as error:
        raise YiwangError("YW-CORE-003", action=action.title, detail=f"没有机构 {unit_code}，或它已停用") from error


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



