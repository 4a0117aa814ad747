"""The kinds of jobs: what each does, how often it is tried, when the worker has it done by itself. A new kind is an entry in :data:`KINDS`."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from models.core.access.service import prune as prune_access
from models.core.audit.service import heads_of, verify
from models.core.jobs import service as jobs
from models.core.jobs.running import Kind, Run
from models.core.outbox.service import prune as prune_outbox
from models.core.webhooks import deliveries
from models.core.work.service import Actor, Work, prune_answers, work
from models.domain.errors import YiwangError
from models.domain.progress import NoProgress
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import Job

SCHEDULE = Actor("system", frozenset(), authority="schedule")
_NIGHT = time(2)
_PAGE = 2_000
_LOCK = 7316428
_LEAST_KEPT = timedelta(days=14)
"""Jobs that are over are kept longer than the longest period of the schedule, which looks for them."""


def _prune_messages(run: Run) -> dict[str, Any]:
    before = run.tools.clock() - timedelta(days=run.tools.settings.keep_messages_days)
    return _in_pages(run, lambda: prune_outbox(run.tools.database, before, _PAGE))


def _prune_jobs(run: Run) -> dict[str, Any]:
    before = run.tools.clock() - max(timedelta(days=run.tools.settings.keep_messages_days), _LEAST_KEPT)
    return _in_pages(run, lambda: jobs.prune(run.tools.database, before, _PAGE))


def _prune_answers(run: Run) -> dict[str, Any]:
    before = run.tools.clock() - timedelta(days=run.tools.settings.keep_answers_days)
    return _in_pages(run, lambda: prune_answers(run.tools.database, before, _PAGE))


def _prune_access(run: Run) -> dict[str, Any]:
    at = run.tools.clock()
    return _in_pages(run, lambda: prune_access(run.tools.database, at, _PAGE))


def _verify_audit(run: Run) -> dict[str, Any]:
    tools, told = run.tools, _Told(run)
    findings = verify(tools.database, tools.crypto, heads_of(tools.settings), tools.clock(), progress=told)
    if any(finding.kind != "unsealed" for finding in findings):  # that the sealer is late is in the status, and passes
        raise YiwangError("YW-AUDIT-002")
    return {"rows": told.rows}


def _test_webhook(run: Run) -> dict[str, Any]:
    return deliveries.tell_test(run.tools.database, run.tools.crypto, run.payload, run.id, run.tools.clock(), run.tools.send)


def _resend(run: Run) -> dict[str, Any]:
    return deliveries.tell_again(run.tools.database, run.tools.crypto, run.payload, run.tools.clock(), run.tools.send)


KINDS: dict[str, Kind] = {
    "outbox.prune": Kind("清理已读完的消息", _prune_messages, every="day", is_free=True),
    "jobs.prune": Kind("清理已结束的后台任务", _prune_jobs, every="day", is_free=True),
    "answers.prune": Kind("清理过期的请求应答", _prune_answers, every="day", is_free=True),
    "access.prune": Kind("清理过期的会话和登录记录", _prune_access, every="day", is_free=True),
    "audit.verify": Kind("核查审计记录", _verify_audit, attempts=3, every="week", longest=timedelta(hours=12), is_free=True),
    deliveries.TEST: Kind("试推送", _test_webhook, attempts=2),
    deliveries.RESEND: Kind("重新推送一条消息", _resend, attempts=4),
}
"""Name → kind."""


def ask(now: Work, kind: str) -> Job:
    """Have a job done that takes no payload.

    Args:
        now: The unit of work.
        kind: One of :data:`KINDS` that is free.

    Raises:
        YiwangError: YW-JOB-002 where the same waits already.
    """
    if not KINDS[kind].is_free:
        raise KeyError(kind)
    if (job_id := jobs.enqueue(now, kind, {}, key="asked")) is None:
        raise YiwangError("YW-JOB-002")
    now.record("job.asked", f"job:{job_id}", kind=kind)
    return jobs.get(now.session, job_id)


def schedule(database: Database, settings: Settings, at: datetime, kinds: Mapping[str, Kind] = KINDS) -> int:
    """Enqueue what is to be done by itself in this day and week, by the city's clock, and has not been enqueued yet, whoever else does so at once.

    Returns:
        Number of jobs enqueued.
    """
    today = at.astimezone(settings.tzinfo).date()
    wanted = {(name, key): start for name, kind in kinds.items() if kind.every is not None for key, start in [_period(kind.every, today)]}
    known = sa.select(Job.kind, Job.key).where(sa.tuple_(Job.kind, Job.key).in_(list(wanted)))
    with database.read() as session:
        missing = [each for each in wanted if each not in {tuple(row) for row in session.execute(known)}]
    if not missing:
        return 0
    with work(database, SCHEDULE, at) as now:  # asked again where nobody else writes: another worker may have had it done meanwhile
        if not database.is_sqlite:
            now.session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        there = {tuple(row) for row in now.session.execute(known)}
        due = [(name, key, datetime.combine(wanted[name, key], _NIGHT, settings.tzinfo)) for name, key in missing if (name, key) not in there]
        return len([name for name, key, due_at in due if jobs.enqueue(now, name, {}, key=key, due_at=due_at) is not None])


def _period(every: str, today: date) -> tuple[str, date]:
    if every == "day":
        return today.isoformat(), today
    start = today - timedelta(days=today.weekday())
    return f"{start.isoformat()}/7", start


def _in_pages(run: Run, prune: Callable[[], int]) -> dict[str, Any]:
    """Page after page, so that nobody waits long for any."""
    removed = 0
    while True:
        page = prune()
        removed += page
        if page < _PAGE:
            return {"removed": removed}
        run.tell(removed)


class _Told(NoProgress):
    """Turns stages into the progress of a run; only rows of the audit are counted."""

    def __init__(self, run: Run) -> None:
        self._run, self._total, self.rows = run, 0, 0

    def start(self, stage: str, total: float | None = None) -> None:
        """A stage begins."""
        if total is not None:
            self._total = int(total)

    def advance(self, stage: str, amount: float = 1) -> None:
        """A part of it is done."""
        self.rows = min(self.rows + int(amount), self._total)
        self._run.tell(self.rows, self._total)
