"""Jobs: their kinds, schedule, progress and end, with real workers that are killed, and many at once."""

import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from models.core.crypto.service import provider
from models.core.jobs import service as jobs
from models.core.jobs.kinds import KINDS, ask, schedule
from models.core.jobs.running import Kind, Run, Tools, run_next
from models.core.outbox import service as outbox
from models.core.webhooks import deliveries
from models.core.work.service import work
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.migration import upgrade
from models.store.operational.tables import Audit, Job, Outbox
from serving.worker.service import Worker
from tests.support.background import AT, NOTED, SEND, WHO, announce, enqueue, environment, expire, running, state, until
from tests.support.operational import record, unguarded

DAY = timedelta(days=1)


@pytest.fixture
def lite_settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def lite(lite_settings: Settings) -> Iterator[Database]:
    """A store on SQLite: for what is the same code on both servers."""
    opened = Database(lite_settings)
    upgrade(opened)
    yield opened
    opened.close()


def tools(database: Database, settings: Settings, at: datetime = AT) -> Tools:
    return Tools(settings, database, provider(settings), SEND, lambda: at)


def found(database: Database, job_id: UUID | None) -> Job:
    with database.read() as session:
        return session.get_one(Job, job_id)


def scheduled(database: Database) -> list[tuple[str, str | None]]:
    with database.read() as session:
        return sorted(tuple(row) for row in session.execute(sa.select(Job.kind, Job.key)))


def test_each_kind_is_enqueued_once_a_period_however_many_workers_do_so(database: Database, database_settings: Settings) -> None:
    threads = [threading.Thread(target=schedule, args=(database, database_settings, AT)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = scheduled(database)
    assert [kind for kind, _ in first] == sorted(name for name, kind in KINDS.items() if kind.every)
    with database.read() as session:
        due = {row.kind: row.due_at for row in session.scalars(sa.select(Job))}
    assert due["outbox.prune"] == datetime(2026, 3, 1, 18, tzinfo=UTC), "two in the morning of the city's 2 March, a Monday"
    assert due["audit.verify"] == due["outbox.prune"]
    while run_next(tools(database, database_settings), KINDS, "w1", lambda: False) is not None:
        pass
    assert schedule(database, database_settings, AT + timedelta(hours=14)) == 0, "done today; half past ten at night is still today"
    assert schedule(database, database_settings, AT + DAY) == len(first) - 1, "the week is not over"
    assert schedule(database, database_settings, AT + 7 * DAY) == len(first)


def test_the_worker_forgets_what_is_over_by_itself(database: Database, database_settings: Settings) -> None:
    announce(database, 5)
    old = enqueue(database, key="old")
    taken = jobs.take(database, "w1", AT, NOTED)
    assert taken is not None and jobs.done(database, taken, "w1", AT)
    later = AT + timedelta(days=database_settings.keep_messages_days + 1)
    worker = Worker(database_settings, database, provider(database_settings), send=SEND, clock=lambda: later, name="w1")
    while worker.round():
        pass
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Outbox)) == 1, "the newest stays"
        assert session.get(Job, old) is None
        results = {row.kind: row.result for row in session.scalars(sa.select(Job))}
    assert results["outbox.prune"] == {"removed": 4} and results["jobs.prune"] == {"removed": 1} and worker.errors == {}


def test_a_changed_audit_is_found_by_the_worker(database: Database, database_settings: Settings) -> None:
    record(database, 30)
    worker = Worker(database_settings, database, provider(database_settings), send=SEND, clock=lambda: AT, name="w1")
    while worker.round():
        pass
    with database.read() as session:
        [good] = session.scalars(sa.select(Job).where(Job.kind == "audit.verify"))
    assert (good.outcome, good.result, good.progress_done, good.progress_total) == ("done", {"rows": 30}, 30, 30)
    unguarded(database, "UPDATE audit SET target = 'case:x' WHERE chain_number = 7")
    with work(database, WHO, AT) as now:
        asked = ask(now, "audit.verify").id
    assert worker.round() and worker.errors == {"long_jobs": "audit.verify: YW-AUDIT-002"}
    assert state(database, asked) == (1, None, "YW-AUDIT-002")


def test_what_waits_is_not_asked_for_twice_and_a_retry_beside_it_is_told_so(database: Database) -> None:
    with work(database, WHO, AT) as now:
        dead = ask(now, "outbox.prune").id
    with work(database, WHO, AT) as now:
        now.session.execute(sa.update(Job).where(Job.id == dead).values(outcome="dead", ended_at=AT))
    with work(database, WHO, AT) as now:
        ask(now, "outbox.prune")
    for again in (lambda now: ask(now, "outbox.prune"), lambda now: jobs.retry(now, dead)):
        with pytest.raises(YiwangError) as caught, work(database, WHO, AT) as now:
            again(now)
        assert caught.value.code == "YW-JOB-002"
    assert state(database, dead)[1] == "dead"
    with work(database, WHO, AT) as now:
        assert jobs.cancel(now, dead).outcome == "cancelled", "nobody needs it any more: it is put away"


def test_kinds_that_need_something_are_not_asked_for_without_it_and_none_carries_much(lite: Database) -> None:
    for kind in (deliveries.TEST, deliveries.RESEND):
        with pytest.raises(KeyError), work(lite, WHO, AT) as now:
            ask(now, kind)
    with pytest.raises(YiwangError) as caught, work(lite, WHO, AT) as now:
        jobs.enqueue(now, "noted", {"all": "x" * jobs.MOST_PAYLOAD})
    assert caught.value.code == "YW-JOB-004"


def steps(count: int, at_step: Any = lambda number: None) -> Kind:
    """A kind of so many steps."""

    def do(run: Run) -> dict[str, int]:
        for number in range(count):
            at_step(number)
            run.tell(number + 1, count)
        return {"steps": count}

    return Kind("步", do)


def test_a_long_job_tells_how_far_it_is_and_ends_when_it_is_cancelled(database: Database, database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.core.jobs.running._SAY", 0.0)
    job, seen = enqueue(database), []

    def at_step(number: int) -> None:
        seen.append((found(database, job).progress_done, found(database, job).progress_total))
        if number == 3:
            with work(database, WHO, AT) as now:
                assert jobs.cancel(now, job).outcome is None  # type: ignore[arg-type]

    ran = run_next(tools(database, database_settings), {"noted": steps(9, at_step)}, "w1", lambda: False)
    assert ran is not None and ran.why == "cancelled" and seen == [(0, None), (1, 9), (2, 9), (3, 9)]
    ended = found(database, job)
    assert (ended.outcome, ended.progress_done, ended.leased_by) == ("cancelled", 4, None)
    with pytest.raises(YiwangError) as caught, work(database, WHO, AT) as now:
        jobs.cancel(now, job)  # type: ignore[arg-type]
    assert caught.value.code == "YW-JOB-003"
    with work(database, WHO, AT) as now:
        jobs.retry(now, job)  # type: ignore[arg-type]
    ran = run_next(tools(database, database_settings), {"noted": steps(9)}, "w1", lambda: False)
    assert ran is not None and ran.why == "done" and found(database, job).result == {"steps": 9}
    with database.read() as session:
        assert session.scalars(sa.select(Audit.action).order_by(Audit.position)).all() == ["job.cancelled", "job.retried"]


def test_what_waits_is_cancelled_at_once_and_what_was_cancelled_under_a_killed_worker_is_not_done(database: Database) -> None:
    waits, lost = enqueue(database, key="a"), enqueue(database, key="b", priority=1)
    assert jobs.take(database, "w1", AT, NOTED) is not None
    for job in (waits, lost):
        with work(database, WHO, AT) as now:
            jobs.cancel(now, job)  # type: ignore[arg-type]
    assert (state(database, waits)[1], state(database, lost)[1]) == ("cancelled", None)
    assert jobs.take(database, "w2", AT + jobs.LEASE, NOTED) is None and state(database, lost)[1] == "cancelled"


def test_a_worker_that_is_told_to_stop_leaves_its_job_to_the_next_one(lite: Database, lite_settings: Settings) -> None:
    job, is_stopping = enqueue(lite), threading.Event()
    ran = run_next(tools(lite, lite_settings), {"noted": steps(9, lambda number: is_stopping.set() if number == 2 else None)}, "w1", is_stopping.is_set)
    assert ran is not None and ran.why == "stopping" and state(lite, job) == (0, None, None)
    ran = run_next(tools(lite, lite_settings), {"noted": steps(2)}, "w2", lambda: False)
    assert ran is not None and ran.why == "done" and state(lite, job)[0] == 1


def test_a_job_that_was_given_to_another_ends_at_its_next_step(database: Database, database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker was frozen for longer than the lease; what comes after the step is the other's."""
    monkeypatch.setattr("models.core.jobs.running._SAY", 0.0)
    job, done = enqueue(database), []

    def at_step(number: int) -> None:
        done.append(number)
        if number == 1:
            assert jobs.take(database, "w2", AT + jobs.LEASE, NOTED) is not None

    ran = run_next(tools(database, database_settings), {"noted": steps(9, at_step)}, "w1", lambda: False)
    assert ran is not None and ran.why == "lost" and done == [0, 1]
    assert (found(database, job).leased_by, found(database, job).ended_at) == ("w2", None)


def test_a_host_whose_clock_is_ahead_takes_no_job_that_somebody_is_at(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if database.is_sqlite:
        pytest.skip("one host, one clock")
    enqueue(database, at=datetime.now(UTC) - DAY)
    assert jobs.take(database, "w1", jobs.clock(database), NOTED) is not None

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(hours=1)

    monkeypatch.setattr("models.core.jobs.service.datetime", Ahead)
    assert jobs.take(database, "w2", jobs.clock(database), NOTED) is None


def test_what_a_host_whose_clock_is_ahead_asks_for_is_done_at_once(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("one host, one clock")
    job = enqueue(database, at=datetime.now(UTC) + DAY)
    for _ in range(jobs.MOST_ATTEMPTS):
        taken = jobs.take(database, "w1", jobs.clock(database) + DAY / 2, NOTED)
        assert taken is not None
        jobs.failed(database, taken, "w1", jobs.clock(database), "YW-X-001")
    with work(database, WHO, datetime.now(UTC) + DAY) as now:
        assert jobs.retry(now, job).due_at < datetime.now(UTC) + DAY / 2  # type: ignore[arg-type]
    assert jobs.take(database, "w1", jobs.clock(database), NOTED) is not None


def test_a_job_that_never_ends_is_ended(lite: Database, lite_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    job = enqueue(lite)
    endless = Kind("无尽", lambda run: [run.tell(number) for number in itertools.count()] and None, longest=timedelta(seconds=0.2))
    ran = run_next(tools(lite, lite_settings), {"noted": endless}, "w1", lambda: False)
    assert ran is not None and ran.code == "YW-JOB-005" and state(lite, job) == (1, None, "YW-JOB-005")
    monkeypatch.setattr(jobs, "LEASE", timedelta(seconds=0.6))
    second, hung = enqueue(lite, key="hung", at=datetime.now(UTC)), threading.Event()
    real = Tools(lite_settings, lite, provider(lite_settings), SEND, lambda: jobs.clock(lite))
    kinds = {"noted": Kind("挂起", lambda run: hung.wait(60) and None, longest=timedelta(seconds=1))}
    thread = threading.Thread(target=run_next, args=(real, kinds, "w1", lambda: False), daemon=True)
    with lite.write() as session:
        session.execute(sa.delete(Job).where(Job.id == job))
    thread.start()
    until(lambda: state(lite, second)[0] == 1)
    taken: list[jobs.Taken] = []

    def is_taken() -> bool:
        found = jobs.take(lite, "w2", jobs.clock(lite), NOTED)
        taken.extend([found] if found else [])
        return bool(taken)

    until(is_taken)
    assert taken[0].id == second and taken[0].attempt == 2, "one that hangs loses its lease"
    hung.set()
    thread.join(10)
    assert found(lite, second).leased_by == "w2"


def test_a_long_job_holds_up_neither_sealing_nor_quick_ones_nor_the_end(lite: Database, lite_settings: Settings) -> None:
    begun, over = threading.Event(), threading.Event()

    def do(run: Run) -> None:
        begun.set()
        while not over.is_set():
            run.tell(0)

    job = enqueue(lite, at=datetime.now(UTC))
    kinds = {"noted": Kind("长", do, longest=timedelta(hours=2)), "quick": Kind("短", lambda run: {})}
    worker = Worker(lite_settings, lite, provider(lite_settings), kinds, send=SEND)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    assert begun.wait(30)
    record(lite, 3, datetime.now(UTC))

    def is_sealed() -> bool:
        with lite.read() as session:
            return session.scalar(sa.select(sa.func.count()).select_from(Audit).where(Audit.chain_number.is_not(None))) == 3

    until(is_sealed)
    quick = enqueue(lite, "quick", at=datetime.now(UTC))
    until(lambda: state(lite, quick)[1] == "done")
    worker.stop()
    thread.join(30)
    over.set()
    assert not thread.is_alive() and state(lite, job) == (0, None, None)


WORKS = """
import os, signal, sys, time
from models.core.crypto.service import provider
from models.core.jobs.running import Kind
from models.domain.settings import Settings
from models.store.operational.database import Database
from serving.worker.service import Worker

def noted(run):
    with open(sys.argv[1], "a") as file:
        file.write(f"{os.getpid()} {run.id}\\n")
    time.sleep(0.01)

settings = Settings()
kinds = {"noted": Kind("记", noted), "poison": Kind("毒", lambda run: os.kill(os.getpid(), signal.SIGKILL), attempts=2)}
worker = Worker(settings, Database(settings), provider(settings), kinds)
signal.signal(signal.SIGTERM, lambda *_: worker.stop())
worker.run()
"""


@contextmanager
def processes(settings: Settings, notes: Path, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers with kinds of this test's."""
    started = [subprocess.Popen([sys.executable, "-c", WORKS, str(notes)], env=environment(settings), stdout=subprocess.DEVNULL) for _ in range(count)]
    yield started
    for each in started:
        each.kill()
        each.wait()


def test_two_worker_processes_do_each_job_once(database: Database, database_settings: Settings, tmp_path: Path) -> None:
    wanted, notes = {str(enqueue(database)) for _ in range(60)}, tmp_path / "notes"
    with processes(database_settings, notes, 2):
        until(lambda: notes.exists() and len(notes.read_text().splitlines()) >= 60)
        until(lambda: all(state(database, UUID(each))[1] == "done" for each in wanted))
    lines = [line.split() for line in notes.read_text().splitlines()]
    assert sorted(job for _, job in lines) == sorted(wanted)
    assert len({worker for worker, _ in lines}) == 2, "both had their share"


def test_a_job_that_kills_its_workers_ends_as_dead_and_holds_up_no_other(database: Database, database_settings: Settings, tmp_path: Path) -> None:
    poison = enqueue(database, "poison", priority=1)
    for attempt in (1, 2):
        with processes(database_settings, tmp_path / "notes", 1) as [process]:
            assert process.wait(60) == -signal.SIGKILL and state(database, poison) == (attempt, None, None)
        expire(database)
    other = enqueue(database)
    with processes(database_settings, tmp_path / "notes", 1) as [process]:
        until(lambda: state(database, other)[1] == "done")
        assert state(database, poison) == (2, "dead", "YW-JOB-001") and process.poll() is None


def test_a_real_worker_killed_in_the_middle_of_a_job_has_it_finished_by_the_next_one(database: Database, database_settings: Settings) -> None:
    """Pruning 120,000 messages, page by page; none is removed that should stay, none stays that should go."""
    row = "SELECT n, NULL, '00000000-0000-0000-0000-' || substr('000000000000' || n, -12)" if database.is_sqlite else "SELECT n, 1, md5(n::text)::uuid"
    series = "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 120000) SELECT n FROM s)" if database.is_sqlite else "(SELECT n FROM generate_series(1, 120000) n)"
    with database.engine.begin() as connection:
        columns = 'position, "transaction", event_id, topic, aggregate, aggregate_id, payload, created_at'
        connection.exec_driver_sql(f"INSERT INTO outbox ({columns}) {row}, 't', 'case', 'x', '{{}}', '2020-01-01T00:00:00.000000Z' FROM {series} q".replace("%", "%%"))
    outbox.subscribe(database, "sync", AT)
    with database.write() as session:
        session.execute(sa.text('UPDATE consumer SET position = 119000, "transaction" = 1'))
    with work(database, WHO, datetime.now(UTC)) as now:
        job = ask(now, "outbox.prune").id
    with running(database_settings) as process:
        until(lambda: found(database, job).progress_done > 0)
        process.send_signal(signal.SIGKILL)
        process.wait()
    half = found(database, job)
    assert half.ended_at is None and half.leased_by is not None and half.attempts == 1
    with running(database_settings):
        until(lambda: found(database, half.id).leased_by is not None)
        expire(database)
        until(lambda: found(database, job).outcome == "done")
    assert found(database, job).attempts == 2
    with database.read() as session:
        assert session.execute(sa.text("SELECT count(*), min(position) FROM outbox WHERE topic = 't'")).one() == (1000, 119001)


def once(settings: Settings, **more: str) -> subprocess.CompletedProcess[str]:
    yiwang = str(Path(sys.executable).with_name("yiwang"))
    return subprocess.run([yiwang, "worker", "--once"], env=environment(settings) | more, capture_output=True, text=True, check=False)


def test_once_does_all_that_is_due_and_says_what_it_could_not(database: Database, database_settings: Settings, tmp_path: Path) -> None:
    record(database, 3)
    well = once(database_settings)
    assert (well.returncode, "✗" in well.stderr) == (0, False), well.stderr
    with database.read() as session:
        outcomes = session.scalars(sa.select(Job.outcome).where(Job.due_at <= datetime.now(UTC))).all()
    assert outcomes and set(outcomes) == {"done"}
    record(database, 3)
    (tmp_path / "no-file").mkdir()
    ill = once(database_settings, YIWANG_AUDIT_HEADS=str(tmp_path / "no-file"))
    assert ill.returncode == 1 and "✗ 封存审计没有做完" in ill.stderr, ill.stderr
