"""The door to work that waits: a durable queue in the operational database.

A job is enqueued within the unit of work that wants it done: both commit or neither. Own tables rather than huey, procrastinate or
pgqueuer: none of them enqueues in our SQLAlchemy transaction on SQLite and on PostgreSQL alike. What does not belong here: the process
that runs jobs (``serving.worker``), and what they do.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.store.operational.database import Database
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import Job

LEASE = timedelta(seconds=60)
"""How long a worker has a job without saying that it is still at it; then another one takes it."""
MOST_ATTEMPTS = 8
_FIRST_WAIT = timedelta(seconds=10)
_LONGEST_WAIT = timedelta(hours=6)


@dataclass(frozen=True)
class Taken:
    """A job that a worker has.

    Attributes:
        id: The job.
        kind: What is to be done.
        payload: With what.
        attempt: Which attempt this is, from 1.
    """

    id: UUID
    kind: str
    payload: dict[str, Any]
    attempt: int


def enqueue(now: Work, kind: str, payload: Mapping[str, Any], *, key: str | None = None, due_at: datetime | None = None, priority: int = 100) -> UUID | None:
    """Have something done, once this unit of work has committed.

    Args:
        now: The unit of work.
        kind: What.
        payload: With what; identifiers, no personal data.
        key: While a job of this kind with this key waits, no second one is made.
        due_at: Not before.
        priority: The smaller, the sooner.

    Returns:
        The job; None where one with the key waits already.
    """
    insert = postgresql.insert if now.is_postgresql else sqlite.insert
    new = insert(Job).values(id=now.new_id(), kind=kind, key=key, payload=dict(payload), priority=priority, due_at=due_at or now.at, attempts=0, created_at=now.at)
    waits = new.on_conflict_do_nothing(index_elements=[Job.kind, Job.key], index_where=Job.ended_at.is_(None))
    return now.session.scalar(waits.returning(Job.id))  # of two at once the second waits for the first and makes none


def take(database: Database, worker: str, at: datetime, kinds: list[str]) -> Taken | None:
    """The next job for a worker: due, and nobody's or of somebody who no longer says that he is at it.

    A job whose worker was killed has used up an attempt: one that kills its workers ends as dead.
    """
    with database.write() as session:
        free = sa.or_(Job.leased_until.is_(None), Job.leased_until <= at)
        query = sa.select(Job).where(Job.ended_at.is_(None), Job.kind.in_(kinds), Job.due_at <= at, free)
        found = session.scalars(query.order_by(Job.priority, Job.due_at, Job.id).limit(1).with_for_update(skip_locked=True)).one_or_none()
        if found is None:
            return None
        if found.attempts >= MOST_ATTEMPTS:
            found.ended_at, found.outcome, found.error = at, "dead", found.error or "YW-JOB-001"
            return None
        found.attempts, found.leased_by, found.leased_until = found.attempts + 1, worker, at + LEASE
        return Taken(found.id, found.kind, found.payload, found.attempts)


def still_at_it(database: Database, taken: Taken, worker: str, at: datetime) -> bool:
    """Say that a worker is still at a job; False where it has been given to another one meanwhile."""
    return _update(database, taken, worker, leased_until=at + LEASE)


def done(database: Database, taken: Taken, worker: str, at: datetime) -> bool:
    """A job is done; False where it has been given to another worker meanwhile."""
    return _update(database, taken, worker, ended_at=at, outcome="done", error=None, leased_by=None, leased_until=None)


def failed(database: Database, taken: Taken, worker: str, at: datetime, code: str) -> bool:
    """A job did not succeed: it comes again later, each time after twice the wait, and ends as dead after the last attempt."""
    if taken.attempt >= MOST_ATTEMPTS:
        return _update(database, taken, worker, ended_at=at, outcome="dead", error=code, leased_by=None, leased_until=None)
    return _update(database, taken, worker, due_at=at + wait(taken.attempt), error=code, leased_by=None, leased_until=None)


def wait(attempt: int) -> timedelta:
    """How long to wait after an attempt, spread by a quarter, so that what failed together does not come again together."""
    whole = min(_FIRST_WAIT * (1 << min(attempt - 1, 20)), _LONGEST_WAIT)
    return whole * random.uniform(0.75, 1.25)  # noqa: S311 - not for secrets


def retry(now: Work, job_id: UUID) -> Job:
    """Have a dead job done once more.

    Raises:
        YiwangError: YW-STORE-011 where there is none, or it is not dead.
    """
    found = now.session.scalars(sa.select(Job).where(Job.id == job_id, Job.outcome == "dead")).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="失败的后台任务", key=job_id)
    found.ended_at, found.outcome, found.attempts, found.due_at = None, None, 0, now.at
    now.session.flush()
    now.record("job.retried", f"job:{job_id}", kind=found.kind)
    return found


def listed(session: Session, paging: Paging, *, is_dead: bool | None = None) -> Page[Job]:
    """Jobs, the newest first."""
    query = sa.select(Job)
    if is_dead is not None:
        query = query.where(Job.outcome == "dead" if is_dead else sa.or_(Job.outcome.is_(None), Job.outcome != "dead"))
    return page(session, query, [Job.id], paging, is_descending=True)


def prune(database: Database, before: datetime, limit: int = 10_000) -> int:
    """Remove jobs that were done before; dead ones stay until somebody has looked.

    Returns:
        Number of jobs removed; call again while it equals ``limit``.
    """
    with database.write() as session:
        old = sa.select(Job.id).where(Job.outcome == "done", Job.ended_at < before).limit(limit)
        return int(getattr(session.execute(sa.delete(Job).where(Job.id.in_(old.scalar_subquery()))), "rowcount", 0))


def _update(database: Database, taken: Taken, worker: str, **values: Any) -> bool:
    with database.write() as session:
        mine = sa.update(Job).where(Job.id == taken.id, Job.leased_by == worker, Job.attempts == taken.attempt, Job.ended_at.is_(None))
        return int(getattr(session.execute(mine.values(**values)), "rowcount", 0)) == 1
