"""Cases in the operational store, the same on SQLite and on PostgreSQL: whole lives, two hands at once, time as an actor."""

import threading
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from models.core.cases.service import act, history, open_case, publish, settle, tasks
from models.core.processes.engine import Command
from models.core.processes.service import ROLES, shipped
from models.core.work.service import Actor, work
from models.domain.clock import Limits
from models.domain.errors import YiwangError
from models.store.operational.database import Database
from models.store.operational.tables import Audit, CaseFile, Outbox

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 3, 2, 9, tzinfo=ZONE)
ANYBODY = Actor("u1", ROLES, "B01", "all roles")
LICENCE = Limits(type_code="01", promised_limit=10, promised_limit_unit="wd", statutory_limit=20, statutory_limit_unit="wd")
DAY = timedelta(days=1)


@pytest.fixture
def database(database: Database) -> Database:
    """The shared one, with the process that the cases run on."""
    with work(database, ANYBODY, MONDAY) as now:
        publish(now, shipped()["licence"])
    return database


def new(database: Database, number: str = "C1") -> UUID:
    with work(database, ANYBODY, MONDAY) as now:
        return open_case(now, shipped()["licence"], number, "B01", limits=LICENCE, matter={"code": "M1", "version": "1", "name": "许可"}).id


def do(database: Database, case_id: UUID, action: str, at: datetime = MONDAY, version: int | None = None, **more: Any) -> None:
    with work(database, ANYBODY, at) as now:
        act(now, case_id, Command(action, at, ROLES, **more), version=version)


def test_a_case_lives_from_application_to_delivery(database: Database) -> None:
    case_id = new(database)
    for number, action in enumerate(["submit", "pass", "accept", "handle", "review", "grant", "issue", "deliver"]):
        do(database, case_id, action, MONDAY + timedelta(hours=number))
    with database.read() as session:
        case = session.get_one(CaseFile, case_id)
        events = history(session, case_id)
        assert [event.sequence for event in events] == list(range(1, 9))
        assert [event.activity for event in events][2:6] == ["accepted", "handled", "reviewed", "completed"]
        assert (case.phase, case.outcome_code, case.open_steps, case.next_timer_at) == ("closed", "granted", [], None)
        assert case.received_at == MONDAY and case.due_on == datetime(2026, 3, 16).date()
        assert tasks(session, ["B01"], list(ROLES)) == []
        announced = session.scalars(sa.select(Outbox).order_by(Outbox.position)).all()
        assert [row.payload["activities"] for row in announced][-1] == ["delivered"]
        assert session.scalar(sa.select(sa.func.count()).select_from(Audit)) == 2 + 8


def test_what_was_accepted_with_something_missing_stays_so_for_the_sync(database: Database) -> None:
    case_id, whole = new(database), new(database, "C2")
    for action, more in (("submit", {}), ("pass", {}), ("accept", {"missing": ("照片",)}), ("supply", {"missing": ("照片",)})):
        do(database, case_id, action, **more)
    for action in ("submit", "pass", "accept"):
        do(database, whole, action)
    with database.read() as session:
        assert session.get_one(CaseFile, case_id).missing == []
        assert [(number, bool(missed)) for number, missed in session.execute(sa.text("SELECT case_number, is_tolerance FROM sync_case ORDER BY 1"))] == [("C1", True), ("C2", False)]


def test_what_the_case_does_not_allow_changes_nothing(database: Database) -> None:
    case_id = new(database)
    with pytest.raises(YiwangError) as caught:
        do(database, case_id, "grant")
    assert caught.value.code == "YW-CORE-001"
    with database.read() as session:
        assert history(session, case_id) == [] and session.scalar(sa.select(sa.func.count()).select_from(Outbox)) == 0


def test_silence_of_five_days_is_acceptance_from_the_day_of_receipt(database: Database) -> None:
    case_id = new(database)
    do(database, case_id, "submit")
    assert settle(database, MONDAY + 7 * DAY).due == 0, "the fifth working day is not over"
    assert settle(database, MONDAY + 8 * DAY).due == 1 and settle(database, MONDAY + 9 * DAY).due == 0
    with database.read() as session:
        case = session.get_one(CaseFile, case_id)
        assert case.phase == "in_approval" and case.is_deemed_accepted and case.accepted_at == MONDAY
        (event,) = history(session, case_id)[1:]
        assert (event.actor, event.occurred_at) == ("system", datetime(2026, 3, 10, tzinfo=ZONE))
    with pytest.raises(YiwangError, match="补正"):
        do(database, case_id, "ask_correction", MONDAY + 9 * DAY, reason="缺材料")


def test_an_old_version_of_the_case_is_refused(database: Database) -> None:
    case_id = new(database)
    do(database, case_id, "submit", version=1)
    with pytest.raises(YiwangError) as caught:
        do(database, case_id, "pass", version=1)
    assert caught.value.code == "YW-STORE-010"


def test_of_many_hands_at_once_one_does_the_step(database: Database) -> None:
    case_id = new(database)
    for action in ("submit", "pass", "accept", "handle", "review"):
        do(database, case_id, action)
    outcomes: list[str] = []
    barrier = threading.Barrier(8)

    def hand(number: int) -> None:
        barrier.wait()
        try:
            do(database, case_id, "grant" if number % 2 else "deny", reason="依法")
            outcomes.append("done")
        except YiwangError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=hand, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("done") == 1 and set(outcomes) <= {"done", "YW-CORE-001", "YW-STORE-010"}
    with database.read() as session:
        assert [event.activity for event in history(session, case_id)].count("completed") == 1
        assert session.scalar(sa.select(sa.func.count()).select_from(Outbox)) == 6
