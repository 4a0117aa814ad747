"""The door to work that waits: a durable queue in the operational database.

A job is enqueued within the unit of work that wants it done: both commit or neither. Own tables rather than huey, procrastinate or
pgqueuer: none of them enqueues in our SQLAlchemy transaction on SQLite and on PostgreSQL alike. What does not belong here: the process
that runs jobs (``serving.worker``), and what they do (:mod:`models.core.jobs.kinds`).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import orjson
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
MOST_PAYLOAD = 16_384
"""Bytes of a job's payload: it names things, it does not carry them."""
_FIRST_WAIT = timedelta(seconds=10)
_LONGEST_WAIT = timedelta(hours=6)
Standing = Literal["mine", "cancelled", "lost"]
"""Of a job under way: still the worker's, no longer wanted, or given to another worker."""


@dataclass(frozen=True)
class Taken:
    """A job that a worker has.

    Attributes:
        id: The job.
        kind: What is to be done.
        payload: With what.
        attempt: Which attempt this is, from 1.
        attempts: After how many it is given up.
    """

    id: UUID
    kind: str
    payload: dict[str, Any]
    attempt: int
    attempts: int


def clock(database: Database) -> datetime:
    """What time it is for leases and due times: PostgreSQL's, as hosts' clocks differ; on SQLite, which is one host's, that host's."""
    if database.is_sqlite:
        return datetime.now(UTC)
    with database.read() as session:
        now: datetime = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return now


def enqueue(now: Work, kind: str, payload: Mapping[str, Any], *, key: str | None = None, due_at: datetime | None = None, priority: int = 100) -> UUID | None:
    """Have something done, once this unit of work has committed.

    Args:
        now: The unit of work.
        kind: What; one of :data:`models.core.jobs.kinds.KINDS`.
        payload: With what; identifiers, no personal data.
        key: While a job of this kind with this key waits or is under way, no second one is made.
        due_at: Not before; None: at once, also where this host's clock is ahead of the database's.
        priority: The smaller, the sooner.

    Returns:
        The job; None where one with the key waits already.

    Raises:
        YiwangError: YW-JOB-004 for a payload above :data:`MOST_PAYLOAD`.
    """
    if len(orjson.dumps(dict(payload))) > MOST_PAYLOAD:
        raise YiwangError("YW-JOB-004", kind=kind)
    insert = postgresql.insert if now.is_postgresql else sqlite.insert
    new = insert(Job).values(id=now.new_id(), kind=kind, key=key, payload=dict(payload), priority=priority, due_at=due_at or _at_once(now), attempts=0, created_at=now.at)
    waits = new.on_conflict_do_nothing(index_elements=[Job.kind, Job.key], index_where=Job.ended_at.is_(None))
    return now.session.scalar(waits.returning(Job.id))  # of two at once the second waits for the first and makes none


def take(database: Database, worker: str, at: datetime, kinds: Mapping[str, int]) -> Taken | None:
    """The next job for a worker: due, and nobody's or of somebody who no longer says that he is at it.

    A job whose worker was killed has used up an attempt: one that kills its workers ends as dead.

    Args:
        database: The store.
        worker: Who takes it; no two workers have one name.
        at: Now, by :func:`clock`.
        kinds: What the worker can do, and after how many attempts it is given up.
    """
    free = sa.or_(Job.leased_until.is_(None), Job.leased_until <= at)
    query = sa.select(Job).where(Job.ended_at.is_(None), Job.kind.in_(sorted(kinds)), Job.due_at <= at, free)
    next_one = query.order_by(Job.priority, Job.due_at, Job.id).limit(1).with_for_update(skip_locked=True)
    with database.write() as session:
        while (found := session.scalars(next_one).one_or_none()) is not None:
            if found.cancel_at is not None:  # its worker was killed before it heard of it
                _end(found, at, "cancelled")
            elif found.attempts >= kinds[found.kind]:
                _end(found, at, "dead")
                found.error = found.error or "YW-JOB-001"
            else:
                found.attempts, found.leased_by, found.leased_until = found.attempts + 1, worker, at + LEASE
                return Taken(found.id, found.kind, found.payload, found.attempts, kinds[found.kind])
            session.flush()
    return None


def still_at_it(database: Database, taken: Taken, worker: str, at: datetime, progress: tuple[int, int | None] | None = None) -> Standing:
    """Say that a worker is still at a job, and how far it is: done, and of how much."""
    values = {} if progress is None else {"progress_done": progress[0], "progress_total": progress[1]}
    with database.write() as session:
        row = session.execute(_mine(taken, worker).values(leased_until=at + LEASE, **values).returning(Job.cancel_at)).one_or_none()
    if row is None:
        return "lost"
    return "mine" if row.cancel_at is None else "cancelled"


def done(database: Database, taken: Taken, worker: str, at: datetime, result: Mapping[str, Any] | None = None) -> bool:
    """A job is done; False where it has been given to another worker meanwhile."""
    values = {} if result is None else {"result": dict(result)}
    return _update(database, taken, worker, ended_at=at, outcome="done", error=None, leased_by=None, leased_until=None, **values)


def failed(database: Database, taken: Taken, worker: str, at: datetime, code: str) -> bool:
    """A job did not succeed: it comes again later, each time after twice the wait, and ends as dead after the last attempt."""
    if taken.attempt >= taken.attempts:
        return _update(database, taken, worker, ended_at=at, outcome="dead", error=code, leased_by=None, leased_until=None)
    return _update(database, taken, worker, due_at=at + wait(taken.attempt), error=code, leased_by=None, leased_until=None)


def cancelled(database: Database, taken: Taken, worker: str, at: datetime) -> bool:
    """A job has ended because nobody wants it any more."""
    return _update(database, taken, worker, ended_at=at, outcome="cancelled", leased_by=None, leased_until=None)


def put_back(database: Database, taken: Taken, worker: str) -> bool:
    """A worker that is told to stop leaves a job to the next one; that is no attempt."""
    return _update(database, taken, worker, attempts=taken.attempt - 1, leased_by=None, leased_until=None)


def wait(attempt: int) -> timedelta:
    """How long to wait after an attempt, spread by a quarter, so that what failed together does not come again together."""
    whole = min(_FIRST_WAIT * (1 << min(attempt - 1, 20)), _LONGEST_WAIT)
    return whole * random.uniform(0.75, 1.25)  # noqa: S311 - not for secrets


def get(session: Session, job_id: UUID) -> Job:
    """A job.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    if (found := session.get(Job, job_id)) is None:
        raise YiwangError("YW-STORE-011", what="后台任务", key=job_id)
    return found


def cancel(now: Work, job_id: UUID) -> Job:
    """Have a job not done: at once where it waits or was given up; one under way ends at its next step and keeps what it has done.

    Raises:
        YiwangError: YW-STORE-011 where there is none; YW-JOB-003 where it is done or cancelled.
    """
    found = _held(now, job_id)
    if found.outcome in ("done", "cancelled"):
        raise YiwangError("YW-JOB-003")
    if found.leased_by is None:
        _end(found, now.at, "cancelled")
    found.cancel_at = found.cancel_at or now.at
    now.session.flush()
    now.record("job.cancelled", f"job:{job_id}", kind=found.kind)
    return found


def retry(now: Work, job_id: UUID) -> Job:
    """Have a dead or cancelled job done once more.

    Raises:
        YiwangError: YW-STORE-011 where there is none, or it is not over without success; YW-JOB-002 where the same waits already.
    """
    found = _held(now, job_id)
    if found.outcome not in ("dead", "cancelled"):
        raise YiwangError("YW-STORE-011", what="失败的后台任务", key=job_id)
    found.ended_at, found.outcome, found.attempts, found.due_at, found.cancel_at, found.progress_done = None, None, 0, _at_once(now), None, 0
    try:
        with now.session.begin_nested():
            now.session.flush()
    except sa.exc.IntegrityError as error:  # another one waits under its key; asking before would leave a gap
        raise YiwangError("YW-JOB-002") from error
    now.record("job.retried", f"job:{job_id}", kind=found.kind)
    return found


def listed(session: Session, paging: Paging, *, is_dead: bool | None = None) -> Page[Job]:
    """Jobs, the newest first."""
    query = sa.select(Job)
    if is_dead is not None:
        query = query.where(Job.outcome == "dead" if is_dead else sa.or_(Job.outcome.is_(None), Job.outcome != "dead"))
    return page(session, query, [Job.id], paging, is_descending=True)


def prune(database: Database, before: datetime, limit: int = 10_000) -> int:
    """Remove jobs that were done or cancelled before; dead ones stay until somebody has looked.

    Returns:
        Number of jobs removed; call again while it equals ``limit``.
    """
    with database.write() as session:
        old = sa.select(Job.id).where(Job.outcome.in_(("done", "cancelled")), Job.ended_at < before).limit(limit)
        removing = sa.delete(Job).where(Job.id.in_(old.scalar_subquery())).execution_options(synchronize_session=False)
        return int(getattr(session.execute(removing), "rowcount", 0))


def _at_once(now: Work) -> Any:
    return sa.func.least(sa.literal(now.at, Job.due_at.type), sa.func.clock_timestamp()) if now.is_postgresql else now.at


def _held(now: Work, job_id: UUID) -> Job:
    found = now.session.scalars(sa.select(Job).where(Job.id == job_id).with_for_update()).one_or_none()
    if found is None:
        raise YiwangError("YW-STORE-011", what="后台任务", key=job_id)
    return found


def _end(job: Job, at: datetime, outcome: str) -> None:
    job.ended_at, job.outcome, job.leased_by, job.leased_until = at, outcome, None, None


def _mine(taken: Taken, worker: str) -> sa.Update:
    return sa.update(Job).where(Job.id == taken.id, Job.leased_by == worker, Job.attempts == taken.attempt, Job.ended_at.is_(None))


def _update(database: Database, taken: Taken, worker: str, **values: Any) -> bool:
    with database.write() as session:
        return int(getattr(session.execute(_mine(taken, worker).values(**values)), "rowcount", 0)) == 1
