"""Lists of cases and of what is to be done, by the caller's rights; each a bounded number of queries."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.handling.reach import in_reach
from models.core.policy.service import Access
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import CaseFile, ProcessVersion, Task

_PAUSED, _NEVER = date(9999, 12, 30), date(9999, 12, 31)
_URGENCY = sa.case((Task.is_paused, sa.literal(_PAUSED, sa.Date())), else_=sa.func.coalesce(Task.due_on, Task.provisional_due_on, sa.literal(_NEVER, sa.Date()), type_=sa.Date()))
"""By its day, or the estimate of one; then what stands still, then what has none."""


@dataclass(frozen=True)
class CaseFilter:
    """Which cases; None: whatever.

    Attributes:
        case_number: With this number.
        phase: In this phase.
        matter_code: Of this matter.
        unit_code: Handled by this unit.
        applicant_id: Of this applicant, as far as the caller may know whose a case is.
        due_from: To be decided on this day or later.
        due_to: To be decided on this day at the latest.
        received_from: Received at this instant or later.
        received_before: Received before this instant.
        kind: ``public`` (cases 办件) or ``internal``.
    """

    case_number: str | None = None
    phase: str | None = None
    matter_code: str | None = None
    unit_code: str | None = None
    applicant_id: UUID | None = None
    due_from: date | None = None
    due_to: date | None = None
    received_from: datetime | None = None
    received_before: datetime | None = None
    kind: str = "public"


@dataclass(frozen=True)
class TaskFilter:
    """Which tasks; None: whatever.

    Attributes:
        role: For this role.
        unit_code: Of this unit.
        is_mine: Claimed by the caller.
        due_before: Due before this day.
    """

    role: str | None = None
    unit_code: str | None = None
    is_mine: bool | None = None
    due_before: date | None = None


@dataclass(frozen=True)
class TaskRow:
    """A task with what a work list shows of its case."""

    task: Task
    step_title: str
    case_number: str
    matter_name: str | None
    phase: str
    is_suspended: bool
    received_at: datetime | None


def span(first: date | None, last: date | None, zone: tzinfo) -> tuple[datetime | None, datetime | None]:
    """From which instant, and before which, days lie; None where there is no such end."""
    after = last + timedelta(1) if last is not None and last < date.max else None
    start, end = (datetime.combine(day, time(), zone) if day is not None else None for day in (first, after))
    return start, end


def listed(session: Session, access: Access, wanted: CaseFilter, paging: Paging, at: datetime) -> Page[CaseFile]:
    """Cases in reach at an instant, the newest first; one query."""
    query = sa.select(CaseFile).where(CaseFile.deleted_at.is_(None), CaseFile.kind == wanted.kind, in_reach(access, at))
    asked: dict[str, Any] = {name: getattr(wanted, name) for name in ("case_number", "phase", "matter_code", "unit_code")}
    query = query.where(*(getattr(CaseFile, name) == value for name, value in asked.items() if value is not None))
    ranges = (
        (wanted.due_from, CaseFile.due_on.__ge__), (wanted.due_to, CaseFile.due_on.__le__), (wanted.received_from, CaseFile.received_at.__ge__),
        (wanted.received_before, CaseFile.received_at.__lt__),
    )  # fmt: skip
    query = query.where(*(is_within(value) for value, is_within in ranges if value is not None))
    if wanted.applicant_id is not None:  # only among cases whose applicant the caller sees: else the filter would tell whose the others are
        query = query.where(CaseFile.applicant_id == wanted.applicant_id, in_reach(access.seeing("case.applicant"), at))
    return page(session, query, [CaseFile.id], paging, is_descending=True)


def work_list(session: Session, access: Access, wanted: TaskFilter, paging: Paging) -> Page[TaskRow]:
    """What the caller's roles have to do, the most urgent first; three queries."""
    roles = sorted({grant.role for grant in access.principal.grants})
    query = sa.select(Task).where(Task.closed_at.is_(None), access.rows(Task.unit_code), Task.role.in_(roles))
    if wanted.role is not None:
        query = query.where(Task.role == wanted.role)
    if wanted.unit_code is not None:
        query = query.where(Task.unit_code == wanted.unit_code)
    if wanted.is_mine is not None:
        own = Task.assignee == access.principal.name
        query = query.where(own if wanted.is_mine else sa.or_(Task.assignee.is_(None), sa.not_(own)))
    if wanted.due_before is not None:
        query = query.where(Task.due_on < wanted.due_before)
    found = page(session, query, [_URGENCY, Task.id], paging, place=lambda task: (_urgency(task), task.id))
    columns = (CaseFile.id, CaseFile.process, CaseFile.process_number, CaseFile.case_number, CaseFile.matter_name, CaseFile.phase, CaseFile.is_suspended, CaseFile.received_at)
    cases = {row.id: row for row in session.execute(sa.select(*columns).where(CaseFile.id.in_([task.case_id for task in found.items])))}
    titles = _titles(session, {(row.process, row.process_number) for row in cases.values()})
    rows = [TaskRow(task, titles[row.process, row.process_number].get(task.step, task.step), *row[3:]) for task in found.items for row in [cases[task.case_id]]]
    return Page(rows, found.next)


def _urgency(task: Task) -> date:
    return _PAUSED if task.is_paused else task.due_on or task.provisional_due_on or _NEVER


def _titles(session: Session, versions: set[tuple[str, int]]) -> dict[tuple[str, int], dict[str, str]]:
    """Version of a process → step → its Chinese name; one query."""
    query = sa.select(ProcessVersion.process, ProcessVersion.number, ProcessVersion.body).where(sa.tuple_(ProcessVersion.process, ProcessVersion.number).in_(versions))
    return {(row.process, row.number): {step["step"]: step["title"] for step in row.body["steps"]} for row in session.execute(query)} if versions else {}
