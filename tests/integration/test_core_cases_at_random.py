"""Many hands, many cases, on SQLite and on PostgreSQL: what is stored is what the engine makes of the events, once each."""

import random
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from models.core.cases.service import act, history, load, open_case, publish, settle
from models.core.processes.definition import Effect, Process
from models.core.processes.engine import SYSTEM, CaseState, Command, Engine
from models.core.processes.service import ROLES, shipped
from models.core.work.service import Actor, work
from models.domain.clock import Limits
from models.domain.errors import YiwangError
from models.store.operational.database import Database
from models.store.operational.tables import CaseEvent, CaseFile, Outbox, Task

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 3, 2, 9, tzinfo=ZONE)
ANYBODY = Actor("u1", ROLES, "B01", "all roles")
LICENCE = Limits(type_code="01", promised_limit=10, promised_limit_unit="wd", statutory_limit=20, statutory_limit_unit="wd")
CODES = ("licence", "licence_joint", "licence_commitment", "review_followup")


@pytest.fixture
def database(database: Database) -> Database:
    """The shared one, with the processes that the cases run on."""
    with work(database, ANYBODY, MONDAY) as now:
        for code in CODES:
            publish(now, shipped()[code])
    return database


def new(database: Database, process: Process, number: str) -> UUID:
    with work(database, ANYBODY, MONDAY) as now:
        return open_case(now, process, number, "B01", limits=LICENCE, is_commitment=process.rules.commitment, units={"second": "B02"}).id


def test_many_hands_on_several_cases_lose_and_double_nothing(database: Database) -> None:
    cases = [new(database, shipped()[code], f"{code}-{number}") for code in CODES for number in range(2)]
    ticks, lock, done, refused = iter(range(10_000)), threading.Lock(), Counter[UUID](), Counter[str]()
    barrier = threading.Barrier(4)

    def hand(seed: int) -> None:
        dice = random.Random(seed)
        barrier.wait()
        for _ in range(40):
            case_id = dice.choice(cases)
            with lock:
                at = MONDAY + timedelta(hours=next(ticks) * 2)
            try:
                if dice.random() < 0.1:
                    settle(database, at)
                    continue
                with database.read() as session:
                    case, state, engine = load(session, case_id)
                    version = case.version if dice.random() < 0.5 else None
                possible = engine.possible(state, ROLES, at) or engine.process.actions
                action = dice.choice([a for a in possible if a.effect not in (Effect.TERMINATE, Effect.WITHDRAW)] or possible)
                missing = ("照片",) if action.effect is Effect.ACCEPT and engine.process.rules.tolerance and dice.random() < 0.3 else ()
                command = Command(
                    action.action, at, ROLES, reason="依法", outcome=dice.choice(action.outcomes or (None,)), special_kind="hearing",
                    has_written_notice=True, extension_days=2, missing=state.missing if action.effect is Effect.SUPPLY else missing, step=action.at, unit_code="B03",
                )  # fmt: skip
                with work(database, Actor(f"u{seed}", ROLES, "B01", "all roles"), at) as now:
                    act(now, case_id, command, version=version)
                with lock:
                    done[case_id] += 1
            except YiwangError as error:
                with lock:
                    refused[error.code] += 1

    threads = [threading.Thread(target=hand, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done.values()) >= 2 * len(cases) and set(refused) <= {"YW-CORE-001", "YW-CORE-003", "YW-STORE-010"}, (done, refused)
    end = MONDAY + timedelta(days=400)
    while settle(database, end).due:
        pass
    with database.read() as session:
        for case_id in cases:
            case, state, engine = load(session, case_id)
            events = history(session, case_id)
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            assert sum(event.role != SYSTEM for event in events) == done[case_id]
            announced = session.scalars(sa.select(Outbox).where(Outbox.aggregate_id == str(case_id))).all()
            assert Counter(activity for row in announced for activity in row.payload["activities"]) == Counter(event.activity for event in events)
            assert replayed(engine, events, case, end) == state
            open_tasks = session.scalars(sa.select(Task.step).where(Task.case_id == case_id, Task.closed_at.is_(None))).all()
            assert sorted(open_tasks) == case.open_steps
            assert case.next_timer_at is None or case.next_timer_at > end


def replayed(engine: Engine, events: Sequence[CaseEvent], case: CaseFile, end: datetime) -> CaseState:
    """What the engine makes of the commands that the events bear witness to."""
    effects = {action.action: action.effect for action in engine.process.actions}
    state = engine.new(case.process in ("licence", "licence_commitment"))
    before: list[str] = []
    for event in events:
        effect = effects.get(event.action)
        if event.role != SYSTEM:
            came = [name for name in before if name not in event.missing]
            named = came if effect is Effect.SUPPLY else event.missing if effect is Effect.ACCEPT else []
            command = Command(
                event.action, event.occurred_at, frozenset({event.role}), event.reason, case.outcome_code if effect is Effect.COMPLETE else None,
                event.special_kind, bool(event.has_written_notice), event.extension_days, tuple(named), event.step, event.unit_code,
            )  # fmt: skip
            state = engine.apply(state, command).state
        before = event.missing
    return engine.settle(state, end).state


def test_a_case_goes_on_with_the_version_it_began_with(database: Database) -> None:
    first = shipped()["licence"]
    old = new(database, first, "old")
    raw = first.model_dump(mode="json") | {"version": first.version + 1}
    raw["steps"].append({"step": "second_review", "title": "复审", "role": "reviewer"})
    for action in raw["actions"]:
        if (action["action"], action["at"]) == ("review", "review"):
            action["to"] = ["second_review"]
    raw["actions"].append({"action": "review", "title": "复审通过", "at": "second_review", "activity": "reviewed", "to": ["decision"]})
    second = Process.model_validate(raw)
    for action in ("submit", "pass"):
        do(database, old, action)
    with work(database, ANYBODY, MONDAY) as now:
        publish(now, second)
        publish(now, second)
    young = new(database, second, "young")
    for action in ("accept", "handle", "review", "grant"):
        do(database, old, action)
    for action in ("submit", "pass", "accept", "handle", "review", "review", "grant"):
        do(database, young, action)
    with database.read() as session:
        assert {event.step for event in history(session, young)} - {event.step for event in history(session, old)} == {"second_review"}
    changed = Process.model_validate(raw | {"title": "改过"})
    with pytest.raises(YiwangError, match="请发布新的版本"), work(database, ANYBODY, MONDAY) as now:
        publish(now, changed)
    with pytest.raises(YiwangError, match="找不到流程"):
        new(database, Process.model_validate(raw | {"version": first.version + 2}), "early")


def do(database: Database, case_id: UUID, action: str) -> None:
    with work(database, ANYBODY, MONDAY) as now:
        act(now, case_id, Command(action, MONDAY, ROLES))


def test_tasks_go_to_the_units_that_take_part_and_are_due_with_the_case(database: Database) -> None:
    joint = new(database, shipped()["licence_joint"], "joint")
    do(database, joint, "submit")
    do(database, joint, "accept")
    follow = new(database, shipped()["review_followup"], "follow")
    do(database, follow, "open")

    def open_tasks(case_id: UUID) -> set[tuple[str, str, str]]:
        with database.read() as session:
            rows = session.scalars(sa.select(Task).where(Task.case_id == case_id, Task.closed_at.is_(None))).all()
            return {(row.step, row.unit_code, str(row.due_on)) for row in rows}

    due = "2026-03-16"
    assert open_tasks(joint) == {("opinion_first", "B01", due), ("opinion_second", "B02", due), ("opinion_third", "B01", due)}
    assert open_tasks(follow) == {("verify", "B01", "2026-03-03")}
    with work(database, ANYBODY, MONDAY) as now:
        act(now, joint, Command("extend", MONDAY, ROLES, reason="情况复杂", extension_days=5))
    assert {row[2] for row in open_tasks(joint)} == {"2026-03-23"}
    with work(database, ANYBODY, MONDAY) as now:
        act(now, joint, Command("transfer", MONDAY, ROLES, reason="职责调整", unit_code="B09"))
    assert {row[:2] for row in open_tasks(joint)} == {("opinion_first", "B09"), ("opinion_second", "B02"), ("opinion_third", "B09")}
    with database.read() as session:
        assert session.get_one(CaseFile, joint).unit_code == "B09" and history(session, joint)[-1].unit_code == "B09"
