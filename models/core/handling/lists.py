"""Lists of cases and of what is to be done, by the caller's rights; each a bounded number of queries."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.handling.reach import in_reach
from models.core.policy.service import Access
from models.core.processes.published import published
from models.store.operational.paging import Listing, Page, Paging
from models.store.operational.tables import CaseFile, ProcessVersion, Task

_PAUSED, _NEVER = date(9999, 12, 30), date(9999, 12, 31)
_URGENCY = sa.case((Task.is_paused, sa.literal(_PAUSED, sa.Date())), else_=sa.func.coalesce(Task.due_on, Task.provisional_due_on, sa.literal(_NEVER, sa.Date()), type_=sa.Date()))
"""By its day, or the estimate of one; then what stands still, then what has none."""
_ASKED: dict[str, sa.ColumnElement[bool]] = {
    name: getattr(CaseFile, name) == sa.bindparam(name) for name in ("kind", "case_number", "phase", "matter_code", "unit_code", "applicant_id")
} | {
    "due_from": CaseFile.due_on >= sa.bindparam("due_from"), "due_to": CaseFile.due_on <= sa.bindparam("due_to"),
    "received_from": CaseFile.received_at >= sa.bindparam("received_from"), "received_before": CaseFile.received_at < sa.bindparam("received_before"),
}  # fmt: skip
"""Field of :class:`CaseFilter` → its condition."""
_CASES_OF_TASKS = (
    sa.select(CaseFile.id, ProcessVersion.digest, CaseFile.case_number, CaseFile.matter_name, CaseFile.phase, CaseFile.is_suspended, CaseFile.received_at)
    .join(ProcessVersion, sa.and_(ProcessVersion.process == CaseFile.process, ProcessVersion.number == CaseFile.process_number))
    .where(CaseFile.id.in_(sa.bindparam("ids", expanding=True)))
)


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
    values = {name: value for name, value in vars(wanted).items() if value is not None}
    return _cases(access, frozenset(values)).page(session, paging, values | {"at": at})


@lru_cache(maxsize=512)
def _cases(access: Access, asked: frozenset[str]) -> Listing[CaseFile]:
    """The list for somebody who asks by these fields of the filter."""
    query = sa.select(CaseFile).where(CaseFile.deleted_at.is_(None), in_reach(access, sa.bindparam("at")), *(_ASKED[name] for name in sorted(asked)))
    if "applicant_id" in asked:  # only among cases whose applicant the caller sees: else the filter would tell whose the others are
        query = query.where(in_reach(access.seeing("case.applicant"), sa.bindparam("at")))
    return Listing(query, [CaseFile.id], is_descending=True)


def work_list(session: Session, access: Access, wanted: TaskFilter, paging: Paging) -> Page[TaskRow]:
    """What the caller's roles have to do, the most urgent first; two queries, and one for each version of a process that is new here."""
    values = {name: value for name, value in vars(wanted).items() if value is not None}
    found = _tasks(access, frozenset(values), wanted.is_mine).page(session, paging, values)
    cases = {row.id: row for row in session.execute(_CASES_OF_TASKS, {"ids": [task.case_id for task in found.items]})}
    titles = {digest: {step.step: step.title for step in published(session, digest).steps} for digest in {row.digest for row in cases.values()}}
    rows = [TaskRow(task, titles[row.digest].get(task.step, task.step), *row[2:]) for task in found.items for row in [cases[task.case_id]]]
    return Page(rows, found.next)


@lru_cache(maxsize=512)
def _tasks(access: Access, asked: frozenset[str], is_mine: bool | None) -> Listing[Task]:
    """The work list of somebody who asks by these fields of the filter."""
    roles = sorted({grant.role for grant in access.principal.grants})
    by = {"role": Task.role == sa.bindparam("role"), "unit_code": Task.unit_code == sa.bindparam("unit_code"), "due_before": Task.due_on < sa.bindparam("due_before")}
    query = sa.select(Task).where(Task.closed_at.is_(None), access.rows(Task.unit_code), Task.role.in_(roles), *(by[name] for name in by if name in asked))
    if is_mine is not None:
        own = Task.assignee == access.principal.name
        query = query.where(own if is_mine else sa.or_(Task.assignee.is_(None), sa.not_(own)))
    return Listing(query, [_URGENCY, Task.id], place=lambda task: (_urgency(task), task.id))


def _urgency(task: Task) -> date:
    return _PAUSED if task.is_paused else task.due_on or task.provisional_due_on or _NEVER
