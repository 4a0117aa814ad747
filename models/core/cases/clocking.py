"""Due days and timers of running cases, counted anew when the calendar has changed: a day decided, a year published.

A case says with which calendar it was counted, so whoever was interrupted, came too late or counted with an older one leaves it to the
next page. Nothing has happened to the case: its version stays, and nobody who has it open is turned away.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from models.core.cases.service import Settled, clocked, clocked_task, load
from models.core.organisation.calendar import calendar
from models.domain.errors import YiwangError
from models.store.operational.database import Database
from models.store.operational.tables import Base, CaseFile, Task

_Counted = tuple[int, dict[str, Any], list[dict[str, Any]]]


def clock_anew(database: Database, at: datetime, limit: int = 100, zone: str = "Asia/Shanghai") -> Settled:
    """Count the days of a page of cases that were counted with an older calendar; they are read first and written in one short transaction.

    Returns:
        How many were looked at; call again while it equals ``limit``. One that cannot be counted keeps its days and holds up no other.

    Raises:
        YiwangError: YW-STORE-008 where the database is away.
    """
    counted: dict[UUID, _Counted] = {}
    failed: list[UUID] = []
    with database.read() as session:
        version = calendar(session).version
        query = sa.select(CaseFile.id).where(CaseFile.calendar_version < version).order_by(CaseFile.calendar_version, CaseFile.id).limit(limit)
        found = session.scalars(query).all()
        for case_id in found:
            try:
                case, state, engine = load(session, case_id, zone)
                open_tasks = session.scalars(sa.select(Task).where(Task.case_id == case_id, Task.closed_at.is_(None)))
                tasks = [{"task_id": task.id} | clocked_task(engine, state, task, at) for task in open_tasks]
                columns = clocked(engine, state, at)
                if case.kind == "internal":  # their steps have limits, they have none; what was poured may state one
                    columns["due_on"] = case.due_on
                counted[case_id] = case.version, columns, tasks
            except Exception as error:
                if isinstance(error, YiwangError) and error.code == "YW-STORE-008":
                    raise
                failed.append(case_id)
    if found:
        _write(database, counted, failed, version, at)
    return Settled(len(found), failed)


def _write(database: Database, counted: dict[UUID, _Counted], failed: list[UUID], version: int, at: datetime) -> None:
    """Where nobody was faster; who works on a case at this moment counts with the new calendar, or is found by the next page."""
    cases, tasks = Base.metadata.tables[CaseFile.__tablename__], Base.metadata.tables[Task.__tablename__]
    with database.write() as session:
        standing = sa.select(CaseFile.id, CaseFile.version, CaseFile.kind, CaseFile.updated_at).where(CaseFile.id.in_(counted)).order_by(CaseFile.id)
        same = [row for row in session.execute(standing.with_for_update(skip_locked=True)) if row.version == counted[row.id][0]]
        changes = [{"case_id": row.id} | counted[row.id][1] for row in same]
        moved = [task for row in same for task in counted[row.id][2]]
        connection = session.connection()
        if changes:
            names = [name for name in changes[0] if name != "case_id"]
            moving = sa.update(cases).where(cases.c.id == sa.bindparam("case_id"))
            connection.execute(moving.values({name: sa.bindparam(name) for name in names}), changes)
        if moved:
            names = [name for name in moved[0] if name != "task_id"]
            moving = sa.update(tasks).where(tasks.c.id == sa.bindparam("task_id"))
            connection.execute(moving.values({name: sa.bindparam(name) for name in names}), moved)
        if told := [row for row in same if row.kind == "internal"]:  # by which day a bad review is put right leaves for the warehouse
            moving = sa.update(cases).where(cases.c.id == sa.bindparam("case_id"))
            later = [{"case_id": row.id, "at": max(at, row.updated_at + timedelta(microseconds=1))} for row in told]
            connection.execute(moving.values(updated_at=sa.bindparam("at")), later)
        if failed:
            connection.execute(sa.update(cases).where(cases.c.id.in_(failed)).values(calendar_version=version))
