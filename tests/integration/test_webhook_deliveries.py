"""What an operator sees of webhooks and does about them, by the API and a real receiver; what they hold back, and what they do not."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic import command

from models.core.crypto.service import provider
from models.core.jobs.status import status
from models.core.outbox import service as outbox
from models.core.webhooks import deliveries, service
from models.core.webhooks.sending import signature
from models.core.work.service import work
from models.domain.errors import YiwangError
from models.domain.ids import uuid7
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.migration import _config, upgrade
from models.store.operational.paging import Paging
from models.store.operational.tables import Audit, Webhook
from serving.worker.service import Worker
from tests.support.background import AT, SEND, WHO, Receiver, announce, deliver, hook, receiver
from tests.support.operational_api import City, city

FAR = timedelta(days=400)


@pytest.fixture
def hears() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def town(database: Database, database_settings: Settings) -> Iterator[City]:
    with city(database_settings) as found:
        yield found


def told(town: City, database: Database, settings: Settings) -> None:
    """A worker does all that is due."""
    worker = Worker(settings, database, provider(settings), send=SEND)
    while worker.round():
        pass


def plain(values: list[str]) -> list[str]:
    return [value.replace("-", "") for value in values]


def test_an_operator_tests_a_webhook_sees_what_waits_and_helps_it_on(town: City, database: Database, database_settings: Settings, hears: Receiver) -> None:
    admin = town.staff["system_administrator"]
    made = town.post("/api/v1/webhooks", admin, {"name": "城市 APP", "url": hears.url, "topics": ["case.moved"]}).json()
    address = f"/api/v1/webhooks/{made['id']}"
    off = town.client.patch(address, json={"is_active": False}, headers=admin | {"if-match": town.get(address, admin).headers["etag"]})
    assert off.status_code == 200
    asked = town.post(f"{address}/test", admin)
    assert asked.status_code == 202 and asked.json()["outcome"] is None
    assert town.post(f"{address}/test", admin).json()["code"] == "YW-JOB-002"
    told(town, database, database_settings)
    done = town.get(asked.headers["location"], admin).json()
    assert (done["outcome"], done["result"]) == ("done", {"is_delivered": True, "error": None})
    [(headers, body)] = hears.requests
    assert json.loads(body)["topic"] == "webhook.test" and headers["yiwang-signature"] == signature(made["secret"], headers["yiwang-timestamp"], body)
    hears.answers = [500]
    asked = town.post(f"{address}/test", admin)
    told(town, database, database_settings)
    assert town.get(asked.headers["location"], admin).json()["result"] == {"is_delivered": False, "error": "HTTP 500"}
    assert town.get(address, admin).json()["failures"] == 0, "a test is no delivery"

    town.client.patch(address, json={"is_active": True}, headers=admin | {"if-match": off.headers["etag"]})
    with work(database, WHO, datetime.now(UTC)) as now:
        for number in range(5):
            now.announce("case.moved", "case", str(number), number=number, note="只给接收方")
            now.announce("notice.published", "notice", str(number))
    hears.answers, hears.requests, hears.heard = [204, 410], [], []
    told(town, database, database_settings)
    first = town.get(f"{address}/deliveries", admin, limit=2).json()
    second = town.get(f"{address}/deliveries", admin, limit=2, cursor=first["next"]).json()
    seen = first["items"] + second["items"]
    assert [(each["aggregate_id"], each["state"]) for each in seen] == [("1", "failing"), ("2", "pending"), ("3", "pending"), ("4", "pending")]
    assert second["next"] is None and "只给接收方" not in str(seen) and "payload" not in seen[0]
    assert town.post(f"{address}/deliveries/{seen[1]['event_id']}/skip", admin).json()["code"] == "YW-WEBHOOK-003"
    skipped = town.post(f"{address}/deliveries/{seen[0]['event_id']}/skip", admin)
    assert (skipped.status_code, skipped.json()["failures"]) == (200, 0)
    told(town, database, database_settings)
    assert [json.loads(body)["aggregate_id"] for _, body in hears.requests] == ["0", "1", "2", "3", "4"]
    assert town.get(f"{address}/deliveries", admin).json() == {"items": [], "next": None}
    passed = town.get(f"{address}/deliveries", admin, is_passed=True).json()["items"]
    assert [(each["aggregate_id"], each["state"]) for each in passed] == [(number, "passed") for number in "43210"]

    before = hears.requests[1]
    again = town.post(f"{address}/deliveries/{passed[3]['event_id']}/resend", admin)
    assert again.status_code == 202
    told(town, database, database_settings)
    assert town.get(again.headers["location"], admin).json()["outcome"] == "done"
    assert hears.requests[-1][0]["yiwang-event-id"] == before[0]["yiwang-event-id"] and hears.requests[-1][1] == before[1]
    with database.read() as session:
        actions = session.scalars(sa.select(Audit.action).where(Audit.target == f"webhook:{made['id']}").order_by(Audit.position)).all()
    assert actions == ["webhook.created", "webhook.changed", "webhook.test", "webhook.test", "webhook.changed", "webhook.skipped", "webhook.resend"]


def test_jobs_are_asked_for_and_cancelled_by_those_who_may(town: City, database: Database, database_settings: Settings) -> None:
    admin = town.staff["system_administrator"]
    assert town.post("/api/v1/jobs", town.keys["all"], {"kind": "outbox.prune"}).status_code == 403
    assert [town.post("/api/v1/jobs", admin, {"kind": kind}).status_code for kind in ("webhook.test", "os.system", "outboxxprune")] == [422] * 3
    asked = town.post("/api/v1/jobs", admin, {"kind": "outbox.prune"})
    assert asked.status_code == 202
    cancelled = town.post(f"{asked.headers['location']}/cancel", admin)
    assert (cancelled.status_code, cancelled.json()["outcome"]) == (200, "cancelled")
    told(town, database, database_settings)
    assert town.get(asked.headers["location"], admin).json()["attempts"] == 0
    retried = town.post(f"{asked.headers['location']}/retry", admin)
    assert retried.status_code == 200
    told(town, database, database_settings)
    assert town.get(asked.headers["location"], admin).json()["outcome"] == "done"


def test_a_message_of_another_topic_or_from_before_its_time_is_not_told_by_hand_either(database: Database, database_settings: Settings, hears: Receiver) -> None:
    with work(database, WHO, AT - timedelta(days=1)) as now:
        now.announce("case.moved", "case", "before")
    made = hook(database, database_settings, hears.url, "case.moved")
    announce(database, 1, "party.amended")
    with database.read() as session:
        earlier, other = (UUID(str(each)) for each in session.scalars(sa.text("SELECT event_id FROM outbox ORDER BY position")))
    assert deliver(database, database_settings, made.id, AT) == 0
    for event_id in (earlier, other):
        with pytest.raises(YiwangError) as caught, work(database, WHO, AT) as now:
            deliveries.resend(now, made.id, event_id)
        assert caught.value.code == "YW-STORE-011"
    with database.read() as session:
        assert deliveries.deliveries(session, made.id, Paging(), is_passed=True).items == []


def test_each_attempt_is_signed_with_its_own_moment(database: Database, database_settings: Settings, hears: Receiver) -> None:
    """A page of messages to a slow receiver: those at its end would be refused as old."""
    made, at = hook(database, database_settings, hears.url), [AT]

    def clock() -> datetime:
        return at[0]

    def slow(url: str, body: bytes, headers: dict[str, str]) -> int:
        at[0] += timedelta(minutes=1)
        return SEND(url, body, headers)

    announce(database, 3)
    assert service.deliver(database, provider(database_settings), database_settings, made.id, "w1", clock, slow) == 3
    begun = int(AT.timestamp())
    assert [int(headers["yiwang-timestamp"]) - begun for headers, _ in hears.requests] == [0, 60, 120]


def test_what_is_switched_off_or_removed_holds_back_no_pruning(database: Database, database_settings: Settings, hears: Receiver) -> None:
    off, gone, dead = (hook(database, database_settings, hears.url) for _ in range(3))
    announce(database, 5)
    assert outbox.prune(database, AT + FAR) == 0, "three wait"
    with work(database, WHO, AT) as now:
        service.change(now, off.id, 1, is_active=False)
        service.remove(now, gone.id, 1)
    assert outbox.prune(database, AT + FAR) == 0
    hears.answers = [500] * 2
    deliver(database, database_settings, dead.id, AT)
    deliver(database, database_settings, dead.id, AT + timedelta(days=database_settings.webhook_days))
    assert outbox.prune(database, AT + FAR) == 4, "none is waited for any more; the newest stays"
    with database.read() as session:
        assert {lag["consumer"]: lag["is_waited_for"] for lag in status(session, AT)["consumers"]} == {f"webhook:{off.id}": False, f"webhook:{dead.id}": False}
    with work(database, WHO, AT) as now:
        service.change(now, off.id, 2, is_active=True)
    announce(database, 2)
    assert outbox.prune(database, AT + FAR) == 0, "it is waited for again"
    assert deliver(database, database_settings, off.id, AT) == 3, "what is left, and what came since"


def test_many_workers_tell_a_webhook_each_message_once_and_in_order(database: Database, database_settings: Settings, hears: Receiver) -> None:
    hook(database, database_settings, hears.url)
    wanted, over = announce(database, 60), threading.Event()
    hears.wait = 0.005
    threads = []
    for number in range(3):
        worker = Worker(database_settings, database, provider(database_settings), {}, send=SEND, clock=lambda: AT, name=f"w{number}")

        def tell(worker: Worker = worker) -> None:
            while not over.is_set() and len(hears.heard) < 60:
                worker.round()

        threads.append(threading.Thread(target=tell))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    over.set()
    assert plain(hears.heard) == plain(wanted)


def test_a_webhook_of_a_killed_worker_is_told_by_another_one_later(database: Database, database_settings: Settings, hears: Receiver) -> None:
    made = hook(database, database_settings, hears.url)
    announce(database, 1)
    with database.write() as session:
        session.execute(sa.update(Webhook).values(leased_by="killed", leased_until=AT + service.LEASE))
    assert service.due(database, AT) == [] and deliver(database, database_settings, made.id, AT) == 0
    assert deliver(database, database_settings, made.id, AT + service.LEASE) == 1
    with database.read() as session:
        assert session.get_one(Webhook, made.id).leased_until is None


def test_a_narrow_webhook_passes_over_what_is_not_for_it_at_once(database: Database, database_settings: Settings, hears: Receiver) -> None:
    made = hook(database, database_settings, hears.url, "case.moved")
    announce(database, 130, "notice.published")
    announce(database, 1)
    announce(database, 130, "notice.published")
    assert deliver(database, database_settings, made.id, AT) == 1
    with database.read() as session:
        assert [lag.unread for lag in outbox.lags(session)] == [0]


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_webhook_that_ends_while_it_is_told_is_left_alone(database: Database, database_settings: Settings, is_removed: bool) -> None:
    made, at, heard = hook(database, database_settings, "http://127.0.0.1/"), [AT], []

    def ends(url: str, body: bytes, headers: dict[str, str]) -> int:
        heard.append(body)
        if len(heard) == 3:
            at[0] += timedelta(minutes=1)
            with work(database, WHO, at[0]) as now:
                if is_removed:
                    service.remove(now, made.id, 1)
                else:
                    service.change(now, made.id, 1, is_active=False)
        return 204

    announce(database, 60)
    service.deliver(database, provider(database_settings), database_settings, made.id, "w1", lambda: at[0], ends)
    assert service.deliver(database, provider(database_settings), database_settings, made.id, "w1", lambda: at[0], ends) == 0
    assert len(heard) == 3


def test_a_webhook_that_has_heard_everything_costs_no_writing(database: Database, database_settings: Settings, hears: Receiver) -> None:
    made = hook(database, database_settings, hears.url)
    announce(database, 1)
    assert deliver(database, database_settings, made.id, AT) == 1
    written: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        written.extend([statement] if statement.startswith("UPDATE") else [])

    sa.event.listen(database.engine, "before_cursor_execute", note)
    assert deliver(database, database_settings, made.id, AT) == 0 and written == []
    announce(database, 1)
    assert deliver(database, database_settings, made.id, AT) == 1 and written


def test_the_status_says_how_far_each_consumer_is_behind(database: Database, database_settings: Settings, hears: Receiver) -> None:
    made = hook(database, database_settings, hears.url)
    outbox.subscribe(database, "sync", AT)
    announce(database, 3)
    deliver(database, database_settings, made.id, AT)
    with work(database, WHO, AT + timedelta(hours=1)) as now:
        now.announce("case.moved", "case", "x")
    with database.read() as session:
        found = status(session, AT + timedelta(hours=2))["consumers"]
    assert found == [
        {"consumer": "sync", "is_waited_for": True, "unread": 4, "oldest_at": AT.isoformat(), "oldest_seconds": 7200},
        {"consumer": f"webhook:{made.id}", "is_waited_for": True, "unread": 1, "oldest_at": (AT + timedelta(hours=1)).isoformat(), "oldest_seconds": 3600},
    ]


def test_what_was_off_before_this_version_is_not_waited_for(settings_of_store: Settings) -> None:
    database = Database(settings_of_store)
    config = _config()
    with database.write() as session:
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "0009")
        old = {"name": "a", "url": "https://a.example/", "topics": "[]", "secret": "s", "failures": 0, "version": 1, "created_at": AT, "updated_at": AT}
        ids = {True: uuid7(AT), False: uuid7(AT)}
        kinds = {column.name: column.type for column in Webhook.__table__.columns} | {"topics": sa.String()}
        for is_active, webhook_id in ids.items():
            values = {name: sa.bindparam(None, value, kinds[name]) for name, value in (old | {"id": webhook_id, "is_active": is_active}).items()}
            if not database.is_sqlite:
                values["topics"] = sa.text("'[]'::jsonb")  # type: ignore[assignment]
            session.execute(sa.insert(sa.table("webhook", *(sa.column(name) for name in values))).values(values))
            row = {"name": f"webhook:{webhook_id}", "transaction": 0, "position": 0, "updated_at": sa.bindparam(None, AT, kinds["updated_at"])}
            session.execute(sa.insert(sa.table("consumer", *(sa.column(name) for name in row))).values(row))
    upgrade(database)
    with database.read() as session:
        assert {lag.consumer: lag.is_waited_for for lag in outbox.lags(session)} == {f"webhook:{ids[each]}": each for each in (True, False)}
    database.close()
