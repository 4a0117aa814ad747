"""The outbox on SQLite and on PostgreSQL: order of commit, at least once, each consumer for itself."""

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from models.core.outbox.service import done, prune, read, rebase, subscribe, unsubscribe
from models.core.work.service import Actor, Work, work
from models.domain.errors import YiwangError
from models.store.operational.database import Database
from models.store.operational.tables import Consumer, Outbox
from tests.support.operational import AT, CLERK, unguarded

DAY = timedelta(days=1)


def announce(database: Database, *names: str) -> None:
    with work(database, CLERK, AT) as now:
        for name in names:
            now.announce("case.moved", "case", name, phase="accepted")


def names(database: Database, consumer: str = "sync", limit: int = 100) -> list[str]:
    return [message.aggregate_id for message in read(database, consumer, limit)]


def take(database: Database, consumer: str = "sync", limit: int = 100) -> list[str]:
    """Read and deal with."""
    messages = read(database, consumer, limit)
    if messages:
        done(database, consumer, messages[-1], AT)
    return [message.aggregate_id for message in messages]


def test_messages_come_in_order_until_they_are_done(database: Database) -> None:
    announce(database, "a", "b")
    subscribe(database, "sync", AT)
    announce(database, "c")
    first = read(database, "sync", limit=2)
    assert [(m.topic, m.aggregate, m.aggregate_id, m.payload, m.created_at) for m in first] == [
        ("case.moved", "case", name, {"phase": "accepted"}, AT) for name in "ab"
    ]  # fmt: skip
    assert names(database) == ["a", "b", "c"], "the same again: nothing was said to be done"
    assert read(database, "sync", limit=2) == first and len({message.event_id for message in first}) == 2
    done(database, "sync", first[0], AT)
    assert names(database) == ["b", "c"]
    done(database, "sync", first[1], AT)
    done(database, "sync", first[0], AT)
    assert names(database) == ["c"], "a position never goes back"
    assert take(database) == ["c"] and take(database) == []


def test_consumers_go_each_at_its_own_pace(database: Database) -> None:
    subscribe(database, "sync", AT)
    subscribe(database, "webhooks", AT)
    announce(database, "a", "b")
    assert take(database, "sync") == ["a", "b"]
    subscribe(database, "sync", AT)
    assert (names(database, "sync"), names(database, "webhooks")) == ([], ["a", "b"]), "subscribing again changes nothing"
    unsubscribe(database, "webhooks")
    with pytest.raises(YiwangError) as caught:
        read(database, "webhooks")
    assert caught.value.code == "YW-OUTBOX-001" and "webhooks" in caught.value.message


def test_what_is_rolled_back_is_never_told(database: Database) -> None:
    subscribe(database, "sync", AT)
    with pytest.raises(RuntimeError), work(database, CLERK, AT) as now:
        now.announce("case.moved", "case", "a")
        now.session.flush()
        raise RuntimeError
    announce(database, "b")
    assert take(database) == ["b"]


def test_a_transaction_that_commits_late_loses_nothing(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has one writer: none is late")
    subscribe(database, "sync", AT)
    announce(database, "before")
    with database.write() as late:
        Work(late, Actor("late", frozenset()), AT, True).announce("t", "case", "late")
        late.flush()
        announce(database, "after")
        with database.read() as session:
            seen = session.scalars(sa.select(Outbox.aggregate_id).order_by(Outbox.position)).all()
        assert seen == ["before", "after"], "committed rows overtake the open one, which has the lower position"
        assert take(database) == ["before"] and take(database) == []
    assert take(database) == ["late", "after"] and take(database) == []


def test_a_transaction_that_begins_first_but_writes_last_keeps_its_place(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has one writer: none is late")
    subscribe(database, "sync", AT)
    with database.write() as late:
        late.execute(sa.text("SELECT pg_current_xact_id()"))  # it has its number, and writes only after the others
        announce(database, "early")
        assert take(database) == []
        Work(late, Actor("late", frozenset()), AT, True).announce("t", "case", "late")
    assert take(database) == ["late", "early"], "position says otherwise; order is (transaction, position)"


def test_a_reader_among_writers_sees_everything_once(database: Database) -> None:
    subscribe(database, "sync", AT)
    writing = threading.Event()
    failed: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            for number in range(15):
                announce(database, f"{writer}-{number}-a", f"{writer}-{number}-b")
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in writers:
        thread.start()
    taken: list[str] = []
    while not writing.is_set():
        if not any(thread.is_alive() for thread in writers):
            writing.set()
        taken += take(database, limit=7)
    while more := take(database, limit=7):
        taken += more
    assert failed == [] and len(taken) == len(set(taken)) == 120
    for writer in range(4):
        assert [name for name in taken if name.startswith(f"{writer}-")] == [f"{writer}-{number}-{half}" for number in range(15) for half in "ab"]


def test_only_what_all_have_read_is_pruned_and_positions_are_not_given_again(database: Database) -> None:
    announce(database, "0", "a")
    assert prune(database, AT) == 0 and prune(database, AT + DAY) == 1, "nobody has subscribed: what is old goes, the newest stays"
    subscribe(database, "sync", AT)
    announce(database, "b", "c")
    subscribe(database, "webhooks", AT)
    take(database, "sync")
    assert prune(database, AT + DAY) == 0
    assert take(database, "webhooks", limit=2) == ["a", "b"]
    assert prune(database, AT) == 0, "younger than the day asked for"
    assert (prune(database, AT + DAY, limit=1), prune(database, AT + DAY)) == (1, 1)
    assert take(database, "webhooks") == ["c"] and prune(database, AT + DAY) == 0, "the newest stays"
    announce(database, "d")
    assert take(database, "sync") == take(database, "webhooks") == ["d"]
    assert prune(database, AT + DAY) == 1


def test_after_a_logical_backup_on_another_server_everything_kept_is_read_again(database: Database) -> None:
    if database.is_sqlite:
        rebase(database)
        pytest.skip("SQLite's positions are its own")
    subscribe(database, "sync", AT)
    announce(database, "a", "b")
    assert take(database, limit=1) == ["a"]
    moved = "SET transaction = transaction + 1000000"  # as if this server had begun to count anew
    unguarded(database, f"UPDATE outbox {moved}", f"UPDATE consumer {moved}")
    announce(database, "c")
    with pytest.raises(YiwangError) as caught:
        read(database, "sync")
    assert caught.value.code == "YW-OUTBOX-002"
    rebase(database)
    announce(database, "d")
    assert take(database) == ["a", "b", "c", "d"] and take(database) == []
    with database.read() as session:
        assert session.get_one(Consumer, "sync").transaction > 0
