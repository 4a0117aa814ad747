"""What runs beside the server: jobs, webhooks and rounds, with real processes, receivers and kills."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psutil
import pytest
import sqlalchemy as sa

from models.core.audit.service import verify
from models.core.crypto.service import provider
from models.core.jobs import service as jobs
from models.core.jobs.running import Kind
from models.core.outbox import service as outbox
from models.core.webhooks import addresses, service
from models.core.webhooks.sending import signature
from models.core.work.service import work
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import Audit, Heartbeat, Job, Webhook
from serving.worker.sending import HttpSender
from serving.worker.service import Worker
from tests.support.background import (
    AT,
    NOTED,
    SEND,
    WHO,
    Receiver,
    announce,
    deliver,
    enqueue,
    environment,
    expire,
    hook,
    receiver,
    running,
    state,
    until,
)
from tests.support.operational import record


def test_a_job_is_there_when_its_work_is_and_not_otherwise(database: Database) -> None:
    with pytest.raises(RuntimeError), work(database, WHO, AT) as now:
        jobs.enqueue(now, "noted", {})
        raise RuntimeError
    assert jobs.take(database, "w1", AT, NOTED) is None
    first = enqueue(database, key="same")
    assert enqueue(database, key="same") is None
    taken = jobs.take(database, "w1", AT, NOTED)
    assert taken is not None and taken.id == first and taken.attempt == 1
    assert jobs.take(database, "w2", AT, NOTED) is None, "somebody is at it"
    assert jobs.done(database, taken, "w1", AT) and state(database, first) == (1, "done", None)
    assert enqueue(database, key="same") is not None, "nothing waits under the key any more"


def test_of_many_who_want_the_same_done_one_enqueues_and_none_fails(database: Database) -> None:
    made: list[UUID | None] = []
    threads = [threading.Thread(target=lambda: made.append(enqueue(database, key="once"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6 and len([each for each in made if each is not None]) == 1


def test_a_job_of_a_worker_that_is_gone_comes_back_and_its_late_word_counts_for_nothing(database: Database) -> None:
    job = enqueue(database)
    lost = jobs.take(database, "w1", AT, NOTED)
    assert lost is not None
    later = AT + jobs.LEASE
    again = jobs.take(database, "w2", later, NOTED)
    assert again is not None and (again.id, again.attempt) == (job, 2)
    assert not jobs.done(database, lost, "w1", later) and jobs.still_at_it(database, lost, "w1", later) == "lost"
    assert jobs.done(database, again, "w2", later)


def test_what_fails_comes_again_ever_later_and_ends_as_dead(database: Database) -> None:
    job, at = enqueue(database), AT
    waits = []
    for attempt in range(1, jobs.MOST_ATTEMPTS + 1):
        taken = jobs.take(database, "w1", at, NOTED)
        assert taken is not None and taken.attempt == attempt
        jobs.failed(database, taken, "w1", at, "YW-X-001")
        with database.read() as session:
            waits.append(session.get_one(Job, job).due_at - at)
        at = max(at, at + waits[-1])
    assert state(database, job) == (jobs.MOST_ATTEMPTS, "dead", "YW-X-001")
    assert waits[3] > waits[0] and timedelta(seconds=7) < waits[0] < timedelta(seconds=13)
    with work(database, WHO, at) as now:
        jobs.retry(now, job)  # type: ignore[arg-type]
    assert jobs.take(database, "w1", at, NOTED) is not None


def test_two_workers_never_have_one_job(database: Database) -> None:
    wanted = {enqueue(database) for _ in range(30)}
    taken: list[UUID] = []

    def take_all(name: str) -> None:
        while (found := jobs.take(database, name, AT, NOTED)) is not None:
            taken.append(found.id)

    threads = [threading.Thread(target=take_all, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(each for each in wanted if each)


@pytest.fixture
def hears() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def test_a_webhook_hears_everything_once_in_order_and_can_check_who_speaks(database: Database, database_settings: Settings, hears: Receiver) -> None:
    announce(database, 2)
    made = hook(database, database_settings, hears.url, "case.moved")
    announce(database, 1, "notice.published")
    wanted = [each.replace("-", "") for each in announce(database, 3)]
    assert deliver(database, database_settings, made.id, AT) == 3
    assert [each.replace("-", "") for each in hears.heard] == wanted, "from when it was made on, its topics only"
    headers, body = hears.requests[0]
    assert headers["yiwang-signature"] == signature(made.secret, headers["yiwang-timestamp"], body)
    assert deliver(database, database_settings, made.id, AT) == 0


def test_a_webhook_that_fails_holds_back_itself_only_and_is_switched_off_in_the_end(database: Database, database_settings: Settings, hears: Receiver) -> None:
    with receiver() as other:
        bad, good = hook(database, database_settings, hears.url), hook(database, database_settings, other.url)
        announce(database, 3)
        hears.answers = [204, 500, 302, 204]
        assert deliver(database, database_settings, bad.id, AT) == 1
        assert deliver(database, database_settings, good.id, AT) == 3
        assert bad.id not in service.due(database, AT) and good.id in service.due(database, AT)
        later = AT + timedelta(minutes=1)
        assert deliver(database, database_settings, bad.id, later) == 0, "a redirect is not followed"
        assert deliver(database, database_settings, bad.id, later) == 0, "it is not due again yet"
        later += timedelta(minutes=1)
        assert deliver(database, database_settings, bad.id, later) == 2
        assert hears.heard == [*other.heard[:2], other.heard[1], *other.heard[1:]]
        hears.answers = [503] * 9
        announce(database, 1)
        deliver(database, database_settings, bad.id, later)
        deliver(database, database_settings, bad.id, later + timedelta(days=database_settings.webhook_days))
        with database.read() as session:
            assert not session.get_one(Webhook, bad.id).is_active
            assert session.scalar(sa.select(sa.func.count()).select_from(Audit).where(Audit.action == "webhook.switched_off")) == 1
        with work(database, WHO, later) as now:
            current = now.session.get_one(Webhook, bad.id).version
            service.change(now, bad.id, current, is_active=True)
        hears.answers = []
        assert deliver(database, database_settings, bad.id, later) == 1, "it goes on where it stopped"


INSIDE = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1",  # noqa: S104
    "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "nonsense", "::7f00:1", "::a00:1", "fec0::1", "64:ff9b:1::7f00:1", "64:ff9b::808:808", "::ffff:0:7f00:1", "2001:0:5ef5:79fd::1", "192.88.99.1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_no_webhook_reaches_inside(address: str) -> None:
    with pytest.raises(YiwangError) as caught:
        addresses.target("http://innocent.example/", is_private_allowed=False, resolver=lambda *_: ["93.184.215.14", address])
    assert caught.value.code == "YW-WEBHOOK-001"


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
def test_other_spellings_of_this_machine_are_this_machine(host: str) -> None:
    """By the system's own resolver."""
    with pytest.raises(YiwangError) as caught:
        addresses.target(f"http://{host}/", is_private_allowed=False)
    assert caught.value.code == "YW-WEBHOOK-001"


@pytest.mark.parametrize("url", ["ftp://a.example/", "file:///etc/passwd", "http://", "http://u:p@a.example/", "http://a.example:0/", "http://a.example:99999/", "http://a b/", "gopher://a", "http://a.example/\\@b", "//a.example", ""])
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(YiwangError) as caught:
        addresses.checked(url)
    assert caught.value.code == "YW-WEBHOOK-001"


def test_the_connection_goes_to_the_address_that_was_judged(hears: Receiver) -> None:
    """A name server that changes its mind between the judgement and the connection is not asked again."""
    asked = []

    def changing(name: str, port: int) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["203.0.113.1"]

    sender = HttpSender(is_private_allowed=True, resolver=changing)
    url = hears.url.replace("127.0.0.1", "receiver.example")
    assert sender(url, b"{}", {"yiwang-event-id": "1"}) == 204
    assert asked == ["receiver.example"] and hears.requests[0][0]["host"].startswith("receiver.example:")


def test_a_receiver_that_drips_is_left_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without end it says that it will go on; time-outs of sockets would never fire."""
    monkeypatch.setattr("serving.worker.sending._SECONDS", 1)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                while not over.wait(0.05):
                    try:
                        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        with pytest.raises(OSError):
            SEND(f"http://127.0.0.1:{listening.getsockname()[1]}/", b"{}", {})
        thread.join(10)
        over.set()
        assert not thread.is_alive(), "the sender hung up"


def test_a_handshake_that_drips_is_left_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.worker.sending._SECONDS", 1)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")  # a handshake record of 16 KiB begins
                while not over.wait(0.05):
                    try:
                        connection.sendall(b"\x03")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        with pytest.raises(OSError):
            SEND(f"https://127.0.0.1:{listening.getsockname()[1]}/", b"{}", {})
        thread.join(10)
        over.set()
        assert not thread.is_alive(), "the sender hung up"


def test_a_name_server_that_never_answers_is_left_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.worker.sending._SECONDS", 1)
    over = threading.Event()
    with pytest.raises(YiwangError) as caught:
        HttpSender(is_private_allowed=True, resolver=lambda *_: [] if over.wait(60) else [])("http://slow.example/", b"{}", {})
    assert caught.value.code == "YW-WEBHOOK-001" and "slow.example" in caught.value.message
    over.set()


def test_a_webhook_whose_name_cannot_be_asked_for_holds_back_nobody_and_counts(database: Database, database_settings: Settings, hears: Receiver) -> None:
    bad, _ = hook(database, database_settings, f"http://{'x' * 70}.example/"), hook(database, database_settings, hears.url)
    announce(database, 2)
    worker = Worker(database_settings, database, provider(database_settings), send=SEND, clock=lambda: AT, name="w1")
    worker.round()
    assert len(hears.heard) == 2
    with database.read() as session:
        assert session.get_one(Webhook, bad.id).failures == 1


def test_a_receiver_that_works_most_of_the_time_is_never_switched_off(database: Database, database_settings: Settings, hears: Receiver) -> None:
    made = hook(database, database_settings, hears.url)
    for day in range(6):
        announce(database, 3)
        hears.answers = [204, 429]
        deliver(database, database_settings, made.id, AT + timedelta(days=day))
    with database.read() as session:
        found = session.get_one(Webhook, made.id)
        assert found.is_active and found.failures == 1


def test_a_round_does_every_part_and_one_that_fails_stops_no_other(database: Database, database_settings: Settings) -> None:
    done: list[dict[str, object]] = []

    def bad(_: object) -> None:
        raise ValueError("13900001234")

    kinds = {"noted": Kind("记", lambda run: done.append(run.payload)), "bad": Kind("坏", bad)}  # type: ignore[func-returns-value]
    worker = Worker(database_settings, database, provider(database_settings), kinds, send=SEND, clock=lambda: AT, name="w1")
    record(database, 3)
    enqueue(database, "bad", priority=1)
    job = enqueue(database)
    while worker.round():
        pass
    assert done == [{"n": 1}] and state(database, job) == (1, "done", None)
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Audit).where(Audit.chain_number.is_(None))) == 0
        assert session.scalars(sa.select(Job.error).where(Job.kind == "bad")).all() == ["ValueError"]
        assert session.scalars(sa.select(Heartbeat.worker)).all() == ["w1"]
    assert list(verify(database, provider(database_settings), database_settings.home / "audit.heads", AT)) == []


def test_a_worker_killed_while_it_delivers_loses_nothing(database: Database, database_settings: Settings, hears: Receiver) -> None:
    hook(database, database_settings, hears.url)
    hears.wait = 0.02
    wanted = announce(database, 40)
    for _ in range(2):
        before = len(hears.heard)
        with running(database_settings) as process:
            until(lambda before=before: len(hears.heard) >= before + 5)
            process.send_signal(signal.SIGKILL)
            process.wait()
        expire(database)
    with running(database_settings) as process:
        until(lambda: len({each.replace("-", "") for each in hears.heard}) == 40)
        process.terminate()
        assert process.wait(20) == 0
    first = list(dict.fromkeys(each.replace("-", "") for each in hears.heard))
    assert first == [each.replace("-", "") for each in wanted], "in order, repeats apart"
    assert len(hears.heard) - 40 <= 2, "what was under way when it was killed comes once more"


def test_a_message_is_kept_until_the_last_webhook_has_heard_it(database: Database, database_settings: Settings, hears: Receiver) -> None:
    made = hook(database, database_settings, hears.url)
    announce(database, 3)
    far = AT + timedelta(days=400)
    assert outbox.prune(database, far) == 0
    deliver(database, database_settings, made.id, AT)
    assert outbox.prune(database, far) == 2, "the newest stays"


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_has_a_worker_beside_it_that_ends_with_it(tmp_path: Path, ending: signal.Signals) -> None:
    settings = Settings(home=tmp_path)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    yiwang = str(Path(sys.executable).with_name("yiwang"))
    server = subprocess.Popen([yiwang, "serve", "--port", str(port)], env=environment(settings) | {"YIWANG_DEV": "1"}, stderr=subprocess.DEVNULL)
    try:
        database = Database(settings)

        def workers() -> list[str]:
            try:
                with database.read() as session:
                    return list(session.scalars(sa.select(Heartbeat.worker)))
            except (YiwangError, sa.exc.DatabaseError):
                return []

        until(workers)
        pid = int(workers()[0].split(":")[1])
        assert psutil.pid_exists(pid)
        server.send_signal(ending)
        server.wait(30)
        until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        database.close()
    finally:
        server.kill()
        server.wait()
