"""Due days in the store, the same on SQLite and on PostgreSQL: right in lists without anybody touching the case."""

import uuid
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from alembic import command

from models.core.cases.clocking import clock_anew
from models.core.cases.service import act, history, load, open_case, publish, settle
from models.core.feedback import followup
from models.core.handling.lists import CaseFilter, TaskFilter, listed, work_list
from models.core.handling.terms import Terms, terms
from models.core.organisation import calendar
from models.core.policy.service import Grant, Principal, policy
from models.core.processes.engine import Command
from models.core.processes.service import ROLES, shipped
from models.core.work.service import Actor, work
from models.domain.clock import Limits
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.migration import _config, upgrade
from models.store.operational.paging import Paging
from models.store.operational.tables import Base, CaseFile, Outbox, Task
from serving.worker.service import Worker
from tests.support.operational import CRYPTO

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 3, 2, 9, tzinfo=ZONE)
YEAR_END = datetime(2026, 12, 28, 9, tzinfo=ZONE)
ANYBODY = Actor("u1", ROLES, "B01", "all roles")
LICENCE = Limits(type_code="01", promised_limit=10, promised_limit_unit="wd", statutory_limit=20, statutory_limit_unit="wd")
DAY = timedelta(days=1)
TESTING = {"special_kind": "testing", "has_written_notice": True, "reason": "须检测"}


@pytest.fixture
def database(database: Database) -> Database:
    """The shared one, with processes."""
    with work(database, ANYBODY, MONDAY) as now:
        for process in shipped().values():
            publish(now, process)
    return database


def begin(database: Database, number: str, *actions: str, at: datetime = MONDAY, process: str = "licence", expires_on: date | None = None) -> UUID:
    with work(database, ANYBODY, at) as now:
        case_id = open_case(now, shipped()[process], number, "B01", limits=LICENCE, expires_on=expires_on).id
    for action in actions:
        do(database, case_id, action, at)
    return case_id


def do(database: Database, case_id: UUID, action: str, at: datetime = MONDAY, **more: Any) -> None:
    with work(database, ANYBODY, at) as now:
        act(now, case_id, Command(action, at, ROLES, **({"reason": "依法"} | more)))


def decide(database: Database, day: date, is_working: bool, at: datetime = MONDAY) -> None:
    with work(database, ANYBODY, at) as now:
        calendar.decide(now, day, is_working, "市政府通知")


def row(database: Database, case_id: UUID) -> CaseFile:
    with database.read() as session:
        return session.get_one(CaseFile, case_id)


def open_task(database: Database, case_id: UUID) -> tuple[str, date | None, date | None, bool]:
    """Step, last day, estimate, whether its clock stands still."""
    with database.read() as session:
        task = session.scalars(sa.select(Task).where(Task.case_id == case_id, Task.closed_at.is_(None))).one()
        return task.step, task.due_on, task.provisional_due_on, task.is_paused


def test_each_kind_of_task_has_the_day_of_its_own_clock(database: Database) -> None:
    case_id, seen = begin(database, "C1"), {}
    for action in ("submit", "pass", "ask_correction", "correct", "accept", "handle", "review", "grant", "issue"):
        do(database, case_id, action)
        step, due_on, _, _ = open_task(database, case_id)
        seen[step] = str(due_on)[5:]
    assert seen == {
        "pre_review": "03-09", "acceptance": "03-09", "correction": "03-30", "handling": "03-16", "review": "03-16", "decision": "03-16", "issue": "03-16",
        "delivery": "03-16",
    }  # fmt: skip
    late = begin(database, "C2", "submit", "pass", "accept", "handle", "review")
    do(database, late, "grant", MONDAY + 2 * DAY)
    assert open_task(database, late)[:2] == ("issue", date(2026, 3, 18)) and row(database, late).due_on == date(2026, 3, 16), "ten days from the decision"


def test_a_case_that_is_suspended_has_no_running_day_and_gets_the_right_one_when_it_goes_on(database: Database) -> None:
    case_id = begin(database, "C1", "submit", "pass", "accept")
    do(database, case_id, "suspend", MONDAY + DAY, **TESTING)
    assert open_task(database, case_id) == ("handling", None, None, True) and row(database, case_id).due_on is None
    decide(database, date(2026, 3, 10), False)
    clock_anew(database, MONDAY + 30 * DAY)
    assert open_task(database, case_id) == ("handling", None, None, True)
    do(database, case_id, "resume", MONDAY + 9 * DAY)  # Tuesday 3 to Tuesday 10 is taken out, 11 counts again
    assert open_task(database, case_id) == ("handling", date(2026, 3, 24), None, False) == ("handling", row(database, case_id).due_on, None, False)


def test_a_case_suspended_when_it_was_late_stays_late_in_lists(database: Database) -> None:
    case_id = begin(database, "C1", "submit", "pass", "accept")
    do(database, case_id, "suspend", MONDAY + 20 * DAY, **TESTING)
    assert open_task(database, case_id) == ("handling", date(2026, 3, 16), None, False)


def test_a_day_that_is_decided_moves_what_is_open_and_nothing_else(database: Database) -> None:
    accepted, received = begin(database, "C1", "submit", "pass", "accept"), begin(database, "C2", "submit")
    branch, over, draft = begin(database, "C3", "open", process="rectification"), begin(database, "C4", "submit", "withdraw"), begin(database, "C5")
    before = {case_id: row(database, case_id) for case_id in (accepted, received, branch, over, draft)}
    with database.read() as session:
        announced = session.scalar(sa.select(sa.func.count()).select_from(Outbox)) or 0
    assert clock_anew(database, MONDAY).due == 0
    decide(database, date(2026, 3, 5), False)
    assert clock_anew(database, MONDAY) == (3, []) and clock_anew(database, MONDAY).due == 0
    assert open_task(database, accepted)[1] == row(database, accepted).due_on == date(2026, 3, 17)
    assert open_task(database, received)[1] == date(2026, 3, 10) and row(database, received).next_timer_at == datetime(2026, 3, 11, tzinfo=ZONE)
    assert open_task(database, branch)[1] == date(2026, 3, 10)
    for case_id, old in before.items():
        assert row(database, case_id).version == old.version, "nothing has happened to it: nobody who has it open is turned away"
    assert row(database, branch).updated_at > before[branch].updated_at, "by which day something is put right leaves for the warehouse"
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Outbox)) == announced + 1  # the day's
        assert len(history(session, accepted)) == 3


def test_who_counted_with_an_older_calendar_is_counted_again(database: Database) -> None:
    numbers = [begin(database, f"C{number}", "submit") for number in range(7)]
    decide(database, date(2026, 3, 5), False)
    assert [clock_anew(database, MONDAY, limit=3).due for _ in range(4)] == [3, 3, 1, 0], "in pages, each of which stands for itself"
    decide(database, date(2026, 3, 6), False)
    do(database, numbers[0], "pass")
    assert clock_anew(database, MONDAY).due == 6, "what somebody moved meanwhile is counted already"
    assert {open_task(database, case_id)[1] for case_id in numbers} == {date(2026, 3, 11)}


def test_received_before_an_unpublished_year_a_case_is_deemed_accepted_once_the_year_is_published(database: Database) -> None:
    case_id = begin(database, "C1", "submit", at=YEAR_END)
    decided = begin(database, "C2", "submit", "pass", "accept", at=YEAR_END)
    assert row(database, case_id).next_timer_at is None and open_task(database, case_id) == ("pre_review", None, date(2027, 1, 4), False)
    assert open_task(database, decided) == ("handling", None, date(2027, 1, 11), False) and row(database, decided).provisional_due_on == date(2027, 1, 11)
    with work(database, ANYBODY, YEAR_END + DAY) as now:
        calendar.publish_year(now, 2027, [date(2027, 1, 1)], [date(2027, 1, 3)], "国务院办公厅通知")
    later = datetime(2027, 1, 20, 9, tzinfo=ZONE)
    assert settle(database, later).due == 0
    assert clock_anew(database, later).due == 2 and settle(database, later).due == 1
    found = row(database, case_id)
    assert (found.phase, found.is_deemed_accepted, found.accepted_at) == ("in_approval", True, YEAR_END)
    assert open_task(database, case_id) == ("handling", date(2027, 1, 11), None, False) == open_task(database, decided)  # 28 December + 10: the third works


def test_one_that_cannot_be_counted_holds_up_no_other(database: Database) -> None:
    broken, whole = begin(database, "C1", "submit"), begin(database, "C2", "submit")
    with database.write() as session:
        session.execute(sa.update(CaseFile).where(CaseFile.id == broken).values(limits={"no": "limits"}))
    decide(database, date(2026, 3, 5), False)
    assert clock_anew(database, MONDAY) == (2, [broken]) and clock_anew(database, MONDAY).due == 0, "nor is it tried for ever"
    assert open_task(database, whole)[1] == date(2026, 3, 10)


def test_while_somebody_works_on_a_case_its_days_wait(database: Database) -> None:
    case_id = begin(database, "C1", "submit")
    decide(database, date(2026, 3, 5), False)
    with database.read() as session:
        stale = session.get_one(CaseFile, case_id).version
    do(database, case_id, "pass")
    with database.write() as session:  # as if a page had read it before
        session.execute(sa.update(CaseFile).where(CaseFile.id == case_id).values(calendar_version=0))
    assert row(database, case_id).version == stale + 1 and clock_anew(database, MONDAY).due == 1
    assert open_task(database, case_id) == ("acceptance", date(2026, 3, 10), None, False)


def test_a_renewal_says_when_the_licence_ends_and_nothing_else_does(database: Database) -> None:
    for number, process, expires_on, told in (
        ("C1", "renewal", None, "有效期截止日"), ("C2", "renewal", date(2026, 3, 1), "到期"), ("C3", "licence", date(2026, 12, 31), "不是延续"),
    ):  # fmt: skip
        with pytest.raises(YiwangError, match=told) as caught:
            begin(database, number, process=process, expires_on=expires_on)
        assert caught.value.code == "YW-CORE-003"
    last_day = begin(database, "C4", process="renewal", expires_on=date(2026, 3, 2))
    with pytest.raises(YiwangError, match="到期"):
        do(database, last_day, "submit", MONDAY + DAY)
    in_time = begin(database, "C5", "submit", "accept", process="renewal", expires_on=date(2026, 4, 10))
    with database.read() as session:
        _, state, engine = load(session, in_time)
        assert engine.is_asked_in_time(MONDAY) and engine.last_day(state) == ("silence", date(2026, 4, 10))


def test_internal_cases_are_numbered_by_the_day_of_the_city(database: Database) -> None:
    with work(database, ANYBODY, datetime(2026, 6, 17, 16, 30, tzinfo=UTC)) as now:
        process = followup.internal_process(now, "review_followup")
        numbers = [followup.begin(now, process, "B01", "ZG", "open", "supervisor", "test", "Asia/Shanghai").case_number for _ in range(2)]
    assert numbers == ["ZG20260618000001", "ZG20260618000002"], "half an hour after midnight"


def test_a_work_list_shows_the_most_urgent_first_estimates_among_them_then_what_stands_still_then_what_has_no_day(database: Database) -> None:
    with work(database, ANYBODY, YEAR_END) as now:
        free = open_case(now, shipped()["registration"], "FREE", "B01", limits=Limits("07")).id
    for action in ("submit", "accept"):
        do(database, free, action, YEAR_END)
    still = begin(database, "STILL", "submit", "pass", "accept", at=YEAR_END - 14 * DAY)
    do(database, still, "suspend", YEAR_END - 14 * DAY, **TESTING)
    begin(database, "ESTIMATE", "submit", "pass", "accept", at=YEAR_END)
    begin(database, "DRAFT", at=YEAR_END)
    begin(database, "RECEIVED", "submit", at=YEAR_END - 4 * DAY)
    begin(database, "SOON", "submit", "pass", "accept", at=YEAR_END - 14 * DAY)
    expected = [
        ("SOON", date(2026, 12, 28), None), ("RECEIVED", date(2026, 12, 31), None), ("ESTIMATE", None, "calendar_unpublished"), ("STILL", None, "suspended"),
        ("FREE", None, "no_limit"),
    ]  # fmt: skip
    everybody = Principal("somebody", frozenset({Grant(role, "B01") for role in ROLES - {"applicant"}}))
    with database.read() as session:
        found: list[tuple[str, date | None, str | None]] = []
        cursor = None
        while not found or cursor:
            page = work_list(session, policy().access(everybody, "task:read"), TaskFilter(), Paging(2, cursor))
            found += [(row.case_number, row.task.due_on, row.task.due_null_reason) for row in page.items]
            cursor = page.next
        cases = listed(session, policy().access(everybody, "case:read"), CaseFilter(), Paging(), YEAR_END).items
    assert found == expected
    assert {case.case_number: case.due_null_reason for case in cases} == {
        "SOON": None, "RECEIVED": "not_accepted", "ESTIMATE": "calendar_unpublished", "STILL": "suspended", "FREE": "no_limit", "DRAFT": "not_accepted",
    }  # fmt: skip


def test_promise_and_law_are_told_apart_and_so_is_what_time_will_bring(database: Database) -> None:
    def seen(case_id: UUID, at: datetime) -> Terms:
        with database.read() as session:
            _, state, engine = load(session, case_id)
            return terms(engine, state, at)

    case_id = begin(database, "C1", "submit", "pass")
    told = seen(case_id, MONDAY)
    assert (told.due_on, told.due_null_reason, told.lapse, told.lapses_on) == (None, "not_accepted", "deemed_accepted", date(2026, 3, 9))
    do(database, case_id, "accept", missing=("照片",))
    told = seen(case_id, MONDAY)
    assert (told.due_on, told.promised_due_on, told.statutory_due_on, told.due_basis) == (date(2026, 3, 16), date(2026, 3, 16), date(2026, 3, 30), "promised")
    assert (told.lapse, told.lapses_on) == ("tolerance_lapsed", date(2026, 3, 9))
    do(database, case_id, "supply", missing=("照片",))
    do(database, case_id, "extend", MONDAY + 16 * DAY, extension_days=5)
    told = seen(case_id, MONDAY + 16 * DAY)
    assert (told.due_on, told.promised_due_on, told.statutory_due_on) == (date(2026, 3, 16), date(2026, 3, 16), date(2026, 4, 7)), "a broken promise stays broken"
    do(database, case_id, "suspend", MONDAY + 17 * DAY, **TESTING)
    told = seen(case_id, MONDAY + 60 * DAY)
    assert (told.promised_due_on, told.statutory_due_on) == (date(2026, 3, 16), None), "the law's limit stands still"
    late = begin(database, "C2", "submit", "accept", process="renewal", expires_on=date(2026, 3, 20))
    told = seen(late, MONDAY)
    assert (told.expires_on, told.is_renewal_in_time, told.lapse) == (date(2026, 3, 20), False, None)


def test_the_worker_counts_anew_and_then_lets_time_do_what_it_brings(database: Database, database_settings: Settings) -> None:
    case_id, later = begin(database, "C1", "submit", at=YEAR_END), datetime(2027, 1, 20, 9, tzinfo=ZONE)
    worker = Worker(database_settings, database, CRYPTO, clock=lambda: later)
    worker.round()
    assert row(database, case_id).phase == "received", "no calendar says that the fifth day is over"
    with work(database, ANYBODY, YEAR_END) as now:
        calendar.publish_year(now, 2027, [date(2027, 1, 1)], [], "国务院办公厅通知")
    worker.round()
    assert row(database, case_id).phase == "in_approval" and worker.errors == {}


def test_the_running_cases_of_an_older_store_are_counted_when_it_comes_to_this_one(settings_of_store: Settings) -> None:
    database, config = Database(settings_of_store), _config()
    with database.write() as session:
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "0011")
    inspected = sa.inspect(database.engine)
    cases, tasks, versions = (
        sa.table(mapped.name, *(sa.column(name, mapped.columns[name].type) for name in (each["name"] for each in inspected.get_columns(mapped.name))))
        for mapped in (Base.metadata.tables[name] for name in ("case_file", "task", "process_version"))
    )
    licence, ids = shipped()["licence"], {phase: uuid.uuid4() for phase in ("draft", "in_approval", "closed")}
    with database.engine.begin() as connection:
        kept = {"process": "licence", "number": 1, "kind": "public", "body": licence.model_dump(mode="json"), "digest": "d", "published_at": MONDAY}
        connection.execute(sa.insert(versions), kept)
        for phase, case_id in ids.items():
            connection.execute(sa.insert(cases), {
                "id": case_id, "case_number": phase, "kind": "public", "process": "licence", "process_number": 1, "limits": asdict(LICENCE) | {"expires_on": None, "units": {}},
                "unit_code": "B01", "phase": phase, "open_steps": ["handling"], "waiting": [], "missing": [], "is_corrected": False, "is_deemed_accepted": False,
                "is_suspended": False, "is_extended": False, "is_commitment": False, "version": 1, "created_at": MONDAY, "updated_at": MONDAY,
            })  # fmt: skip
            closed_at = MONDAY if phase == "closed" else None
            connection.execute(sa.insert(tasks), {
                "id": uuid.uuid4(), "case_id": case_id, "step": "handling", "role": "handler", "unit_code": "B01", "opened_at": MONDAY, "due_on": date(2026, 1, 1), "closed_at": closed_at,
            })  # fmt: skip
    upgrade(database)
    with database.read() as session:
        assert session.scalars(sa.select(CaseFile.case_number).where(CaseFile.calendar_version == 0)).all() == ["in_approval"]
    assert clock_anew(database, MONDAY) == (1, []) and clock_anew(database, MONDAY).due == 0
    assert open_task(database, ids["in_approval"])[1] is None, "nothing is recorded of it from which a day would follow"
    database.close()
