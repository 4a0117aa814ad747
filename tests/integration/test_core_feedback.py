"""Feedback on both databases: one review a step, bad ones followed up, default ones never active, malicious ones left out and kept."""

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from models.core.cases.service import act, load, open_case, publish
from models.core.feedback import reading, service
from models.core.feedback.reading import BAD, Wanted
from models.core.feedback.service import NewReview
from models.core.parties.service import register
from models.core.policy.service import Access, Grant, Principal, policy
from models.core.processes.engine import Command
from models.core.processes.service import ROLES, shipped
from models.core.work.service import Actor, work
from models.domain.clock import Limits
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.paging import Paging
from models.store.operational.tables import CaseEvent, CaseFile, Feedback, Task, Unit
from tests.support.operational import CRYPTO

ZONE = ZoneInfo("Asia/Shanghai")
AT = datetime(2026, 3, 2, 9, tzinfo=ZONE)
ANYBODY = Actor("u1", ROLES, "B01", "all roles")
SETTINGS = Settings()
DAY = timedelta(days=1)
DECIDED = 6
"""Number of the event with which the case is decided."""


class Town:
    """A decided case and its applicant."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with work(database, ANYBODY, AT) as now:
            now.session.add(Unit(code="C", name="市政府", kind="government", path="/C/", created_at=AT, updated_at=AT))
            now.session.flush()
            now.session.add(Unit(code="B01", name="卫健局", kind="bureau", parent_code="C", path="/C/B01/", created_at=AT, updated_at=AT))
            publish(now, shipped()["licence"])
            self.party = register(now, CRYPTO, "person", "甲某", "111", "11010519491231002X").id
        self.case = self.decided("C1")

    def decided(self, number: str, at: datetime = AT) -> UUID:
        with work(self.database, ANYBODY, at) as now:
            limits = Limits("01", 10, "wd", 20, "wd")
            case = open_case(now, shipped()["licence"], number, "B01", limits=limits, applicant_id=self.party, region_code="430104")
            for action in ("submit", "pass", "accept", "handle", "review", "grant"):
                act(now, case.id, Command(action, at, ROLES))
            return case.id

    def access(self, permission: str, *grants: Grant, party_id: UUID | None = None) -> Access:
        return policy().access(Principal("somebody", frozenset(grants), party_id), permission)

    @property
    def mine(self) -> Access:
        return self.access("feedback:review", Grant("applicant"), party_id=self.party)

    def review(self, level: int = 5, at: datetime = AT, sequence: int = DECIDED, **more: object) -> Feedback:
        with work(self.database, ANYBODY, at) as now:
            return service.review(now, CRYPTO, SETTINGS, self.mine, self.case, sequence, NewReview(level, **more))  # type: ignore[arg-type]

    def do(self, case_id: UUID | None, action: str, at: datetime = AT, **more: object) -> None:
        assert case_id is not None
        with work(self.database, ANYBODY, at) as now:
            act(now, case_id, Command(action, at, ROLES, **{"reason": "已处理"} | more))  # type: ignore[arg-type]

    def tasks(self, case_id: UUID | None) -> list[tuple[str, date | None]]:
        with self.database.read() as session:
            query = sa.select(Task.step, Task.due_on).where(Task.case_id == case_id, Task.closed_at.is_(None))
            return [(step, due) for step, due in session.execute(query)]


    def bad(self, at: datetime, **more: object) -> list[tuple[str, str | None, bool, str | None]]:
        """What the supervisor sees of bad reviews: phase, step, whether overdue, outcome."""
        with self.database.read() as session:
            wanted = Wanted("review", is_bad=True, **more)  # type: ignore[arg-type]
            page = reading.followed(session, self.access("feedback:read", Grant("supervisor")), Paging(), wanted, at.astimezone(ZONE).date())
            rows = [each.follow_up for each in page.items if each.row.follows_id is None]
            return [(each.phase, each.step, each.is_overdue, each.outcome_code) for each in rows if each is not None]


@pytest.fixture
def town(database: Database) -> Town:
    return Town(database)


def refused(code: str, do: Callable[[], object]) -> None:
    with pytest.raises(YiwangError) as caught:
        do()
    assert caught.value.code == code


def test_a_step_is_reviewed_once_and_its_text_is_not_in_clear(town: Town) -> None:
    given = town.review(2, text="电话 13900001234", tags=["态度好"])
    refused("YW-FEEDBACK-001", lambda: town.review(1))
    refused("YW-FEEDBACK-001", lambda: town.review(1, sequence=2))
    town.review(1, sequence=3)
    with town.database.read() as session:
        row = session.get_one(Feedback, given.id)
        assert row.text is not None and "1390000" not in row.text and row.follow_up_id is None
        assert service.text_of(CRYPTO, row) == "电话 ***"


def test_of_many_at_once_one_review_stands(town: Town) -> None:
    outcome: list[str] = []

    def give(level: int) -> None:
        try:
            town.review(level)
            outcome.append("given")
        except YiwangError as error:
            outcome.append(error.code)

    threads = [threading.Thread(target=give, args=(level,)) for level in (1, 2, 3, 4, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcome.count("given") == 1 and set(outcome) <= {"given", "YW-FEEDBACK-001", "YW-STORE-010"}
    with town.database.read() as session:
        opened = session.scalar(sa.select(sa.func.count()).select_from(CaseFile).where(CaseFile.process == "review_followup"))
        assert opened == session.scalar(sa.select(sa.func.count()).select_from(Feedback).where(Feedback.level.in_(BAD)))


def test_a_bad_review_is_verified_put_right_and_visited_in_time(town: Town) -> None:
    given = town.review(5, text="等了三小时")
    assert town.tasks(given.follow_up_id) == [("verify", date(2026, 3, 3))], "one working day"
    town.do(given.follow_up_id, "as_complex", reason="需调整窗口")
    assert town.tasks(given.follow_up_id) == [("complex", date(2026, 3, 23))], "fifteen working days"

    def again() -> Feedback:
        with work(town.database, ANYBODY, AT + DAY) as now:
            return service.review_again(now, CRYPTO, town.mine, given.id, NewReview(2))

    refused("YW-FEEDBACK-001", again)
    for action, more in (("rectify", {}), ("answer", {}), ("finish", {"outcome": "rectified"})):
        town.do(given.follow_up_id, action, AT + DAY, **more)
    second = again()
    with work(town.database, ANYBODY, AT + DAY) as now:
        made = service.visit(now, CRYPTO, town.access("feedback:visit", Grant("visitor")), given.id, True, "满意")
        assert made.is_satisfied and service.get(now.session, town.mine, given.id).level == 5, "the first reading stays"
        assert second.follows_id == given.id
        refused("YW-FEEDBACK-001", lambda: service.review_again(now, CRYPTO, town.mine, given.id, NewReview(1)))
        assert [reading.note_of(CRYPTO, each) for each in reading.visits_of(now.session, given.id)] == ["满意"]
    assert town.bad(AT + 30 * DAY, state="settled", is_visited=True) == [("completed", None, False, "rectified")]
    assert town.bad(AT, state="open") == [] and town.bad(AT, is_visited=False) == []


def test_limits_are_the_settings_and_running_follow_ups_keep_theirs(town: Town) -> None:
    first = town.review(4)
    other = Settings(review_verify_days=3, review_unit="cd")
    with work(town.database, ANYBODY, AT) as now:
        second = service.review(now, CRYPTO, other, town.mine, town.case, 3, NewReview(4))
    assert town.tasks(first.follow_up_id) == [("verify", date(2026, 3, 3))]
    assert town.tasks(second.follow_up_id) == [("verify", date(2026, 3, 5))]
    with work(town.database, ANYBODY, AT) as now:
        publish(now, shipped()["review_followup"])  # what ships stays as it is, whatever the settings were
    with town.database.read() as session:
        numbers = session.execute(sa.select(CaseFile.id, CaseFile.process_number).where(CaseFile.process == "review_followup")).all()
        assert {row.process_number for row in numbers} == {2, 3}


def test_settings_that_differ_from_the_start_leave_the_shipped_version_as_it_is(town: Town) -> None:
    with work(town.database, ANYBODY, AT) as now:
        given = service.review(now, CRYPTO, Settings(review_verify_days=2), town.mine, town.case, DECIDED, NewReview(5))
        publish(now, shipped()["review_followup"])
        assert now.session.get_one(CaseFile, given.follow_up_id).process_number == 3
    assert town.tasks(given.follow_up_id) == [("verify", date(2026, 3, 4))]


@pytest.mark.parametrize(
    ("at", "unit", "due"),
    [
        (datetime(2026, 2, 13, 9, tzinfo=ZONE), "wd", date(2026, 2, 14)),  # Saturday, worked in place of a day of the Spring Festival
        (datetime(2026, 2, 14, 9, tzinfo=ZONE), "wd", date(2026, 2, 24)),  # nine days of the festival lie between
        (datetime(2026, 2, 13, 9, tzinfo=ZONE), "cd", date(2026, 2, 14)),
        (datetime(2026, 3, 6, 23, tzinfo=ZONE), "wd", date(2026, 3, 9)),
        (datetime(2026, 3, 7, 9, tzinfo=ZONE), "cd", date(2026, 3, 9)),  # a last day of rest moves to the next working day
    ],
)
def test_limits_follow_the_calendar_with_its_worked_weekends(town: Town, at: datetime, unit: str, due: date) -> None:
    case = town.decided(f"C {at:%m%d}", at)
    with work(town.database, ANYBODY, at) as now:
        given = service.review(now, CRYPTO, Settings(review_unit=unit), town.mine, case, DECIDED, NewReview(4))  # type: ignore[arg-type]
    assert town.tasks(given.follow_up_id) == [("verify", due)]


def test_the_supervisor_sees_what_is_overdue(town: Town) -> None:
    town.review(5)
    town.review(2, sequence=3)
    assert town.bad(AT + DAY) == [("received", "verify", False, None)] and town.bad(AT + DAY, state="overdue") == []
    assert town.bad(AT + 2 * DAY, state="overdue") == [("received", "verify", True, None)]
    with town.database.read() as session:
        watching = town.access("feedback:read", Grant("supervisor"))
        asked: list[str] = []
        sa.event.listen(session.connection(), "before_cursor_execute", lambda *event: asked.append(event[2]))
        assert len(reading.followed(session, watching, Paging(), Wanted("review"), AT.date()).items) == 2 and len(asked) == 2
        assert reading.visit_rate(session, watching, AT, AT + DAY) == (1, 0)


def test_who_was_reviewed_does_not_learn_who_reviewed(town: Town) -> None:
    anonymous, named = town.review(5, is_anonymous=True), town.review(4, sequence=3)
    with work(town.database, Actor(f"party:{town.party}", frozenset(), authority="self"), AT) as now:
        named_complaint = service.complain(now, CRYPTO, SETTINGS, town.mine, "B01", "午休不对外", case_id=town.case)
    handler, supervisor = town.access("feedback:read", Grant("handler", "B01")), town.access("feedback:read", Grant("supervisor"))
    with town.database.read() as session:
        rows = {row.id: row for row in session.scalars(sa.select(Feedback))}
        assert rows[anonymous.id].party_id is None and rows[named.id].party_id == town.party
        shown = {each: reading.shows_case(handler, rows[each]) for each in (anonymous.id, named.id, named_complaint.id)}
        assert shown == {anonymous.id: False, named.id: True, named_complaint.id: True} and reading.shows_case(supervisor, rows[anonymous.id])
        told = session.scalars(sa.select(CaseEvent.actor).join(CaseFile, CaseFile.id == CaseEvent.case_id).where(CaseFile.kind == "internal")).all()
        closed = session.scalars(sa.select(Task.closed_by).join(CaseFile, CaseFile.id == Task.case_id).where(CaseFile.kind == "internal", Task.closed_by.is_not(None))).all()
        assert len(told) == 3 and {*told, *closed} == {"system"}


def test_what_nobody_reviews_counts_as_reviewed_by_default_and_an_active_review_still_comes(town: Town) -> None:
    early, late = AT + 14 * DAY, AT + 15 * DAY
    assert service.settle_reviews(town.database, SETTINGS, early) == 0
    assert service.settle_reviews(town.database, SETTINGS, late) == 1 and service.settle_reviews(town.database, SETTINGS, late) == 0
    town.review(4, at=late)
    with town.database.read() as session:
        rows = session.execute(sa.select(Feedback.is_default, Feedback.level).where(Feedback.case_id == town.case).order_by(Feedback.is_default)).all()
        assert [tuple(row) for row in rows] == [(False, 4), (True, 1)]
        standing = reading.listed(session, town.access("feedback:read", Grant("supervisor")), Paging(), kind="review").items
        assert [(row.is_default, row.level) for row in standing] == [(False, 4)], "both stay, the active one is read"


def test_default_and_active_reviews_at_once_lose_nothing(town: Town) -> None:
    late = AT + 15 * DAY
    failed: list[Exception] = []

    def told(do: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                do()
            except Exception as error:
                failed.append(error)

        return run

    settle = told(lambda: service.settle_reviews(town.database, SETTINGS, late))
    threads = [threading.Thread(target=each) for each in (settle, told(lambda: town.review(4, at=late)), settle)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with town.database.read() as session:
        levels = sorted(session.execute(sa.select(Feedback.is_default, Feedback.level).where(Feedback.case_id == town.case)).tuples())
        assert levels in ([(False, 4)], [(False, 4), (True, 1)])


def test_default_reviews_go_on_where_they_ended_however_long_the_worker_was_away(town: Town) -> None:
    assert service.settle_reviews(town.database, SETTINGS, AT + 15 * DAY) == 1
    missed = [town.decided(f"M{days}", AT + days * DAY) for days in (1, 20, 40)]
    after = AT + 120 * DAY
    assert [service.settle_reviews(town.database, SETTINGS, after, 2) for _ in range(3)] == [2, 1, 0]
    with town.database.read() as session:
        assert set(session.scalars(sa.select(Feedback.case_id).where(Feedback.is_default))) == {town.case, *missed}


def test_what_was_decided_long_before_the_platform_came_is_not_reviewed_by_default(town: Town) -> None:
    assert service.settle_reviews(town.database, SETTINGS, AT + 60 * DAY) == 0


def test_reviewed_in_time_is_never_defaulted(town: Town) -> None:
    town.review(3, at=AT + 14 * DAY)
    assert service.settle_reviews(town.database, SETTINGS, AT + 15 * DAY) == 0


def test_a_code_reviews_once(town: Town) -> None:
    with work(town.database, ANYBODY, AT) as now:
        code = service.hand_out_code(now, town.case, DECIDED)
        refused("YW-FEEDBACK-001", lambda: service.hand_out_code(now, town.case, 1))
    with work(town.database, ANYBODY, AT) as now:
        given = service.review_by_code(now, CRYPTO, SETTINGS, code, NewReview(1, is_anonymous=True))
        assert given.party_id is None
    for wrong in (code, "nonsense-nonsense"):
        with work(town.database, ANYBODY, AT) as now:
            refused("YW-FEEDBACK-001", lambda wrong=wrong: service.review_by_code(now, CRYPTO, SETTINGS, wrong, NewReview(1)))  # type: ignore[misc]


def appealed(town: Town, *done: str) -> Feedback:
    given = town.review(5)
    for action in done:
        town.do(given.follow_up_id, action)
    with work(town.database, ANYBODY, AT) as now:
        handler = town.access("feedback:appeal", Grant("handler", "B01"))
        made = service.appeal(now, SETTINGS, handler, given.id, "同行恶意差评")
        refused("YW-FEEDBACK-001", lambda: service.appeal(now, SETTINGS, handler, given.id, "再次"))
        refused("YW-STORE-011", lambda: service.appeal(now, SETTINGS, town.access("feedback:appeal", Grant("handler", "B02")), given.id, "他人"))
    town.do(made.appeal_id, "check")
    return made


@pytest.mark.parametrize("done", [(), ("as_simple",), ("as_simple", "rectify"), ("as_simple", "rectify", "answer")])
def test_a_malicious_review_is_left_out_with_reason_and_stays(town: Town, done: tuple[str, ...]) -> None:
    made = appealed(town, *done)
    with town.database.read() as session:
        units = session.execute(sa.select(Task.step, Task.unit_code).where(Task.case_id == made.appeal_id, Task.closed_at.is_(None))).tuples().all()
        assert units == [("recheck", "C")], "nobody decides in their own cause"
    town.do(made.appeal_id, "decide", outcome="upheld", reason="查实为同行恶意评价")
    assert service.settle_appeals(town.database, SETTINGS, AT) == 1 and service.settle_appeals(town.database, SETTINGS, AT) == 0
    with town.database.read() as session:
        row = session.get_one(Feedback, made.id)
        assert (row.level, row.excluded_reason, row.excluded_by) == (5, "查实为同行恶意评价", "u1")
        follow_up = load(session, made.follow_up_id)[0]  # type: ignore[arg-type]
        assert (follow_up.outcome_code, follow_up.phase) == ("unfounded", "completed")


def test_a_rectification_that_is_over_stays_when_its_review_is_left_out(town: Town) -> None:
    made = appealed(town, "as_simple", "rectify", "answer")
    town.do(made.follow_up_id, "finish", outcome="rectified")
    town.do(made.appeal_id, "decide", outcome="upheld", reason="查实为同行恶意评价")
    assert service.settle_appeals(town.database, SETTINGS, AT) == 1
    with town.database.read() as session:
        assert session.get_one(Feedback, made.id).excluded_at is not None
        assert session.get_one(CaseFile, made.follow_up_id).outcome_code == "rectified"


def test_an_appeal_that_is_rejected_changes_nothing(town: Town) -> None:
    made = appealed(town)
    town.do(made.appeal_id, "decide", outcome="unfounded", reason="评价属实")
    assert service.settle_appeals(town.database, SETTINGS, AT) == 0
    assert town.tasks(made.follow_up_id) == [("verify", date(2026, 3, 3))]


def test_complaints_are_dealt_with_by_an_internal_case(town: Town) -> None:
    with work(town.database, ANYBODY, AT) as now:
        made = service.complain(now, CRYPTO, SETTINGS, town.mine, "B01", "午休不对外", letter_number="2026-0017", is_anonymous=True)
        refused("YW-STORE-011", lambda: service.complain(now, CRYPTO, SETTINGS, town.mine, "B01", "没有", matter_code="M99"))
        refused("YW-STORE-011", lambda: service.complain(now, CRYPTO, SETTINGS, town.mine, "B99", "没有"))
        refused("YW-FEEDBACK-001", lambda: service.visit(now, CRYPTO, town.access("feedback:visit", Grant("visitor")), made.id, None))
    assert town.tasks(made.follow_up_id) == [("acceptance", date(2026, 3, 9))]
    with town.database.read() as session:
        case = session.get_one(CaseFile, made.follow_up_id)
        assert (case.kind, case.unit_code) == ("internal", "B01") and case.case_number.startswith("TS")
        events = session.scalars(sa.select(CaseEvent.actor).where(CaseEvent.case_id == case.id)).all()
        assert events == ["system"]
    for action in ("accept", "investigate", "answer"):
        town.do(made.follow_up_id, action)
    town.do(made.follow_up_id, "finish", outcome="upheld")
    with town.database.read() as session:
        watching = town.access("feedback:read", Grant("supervisor"))
        seen = reading.followed(session, watching, Paging(), Wanted("complaint", state="settled"), AT.date()).items
        assert [each.follow_up.outcome_code for each in seen if each.follow_up] == ["upheld"]
        assert all("2026-0017" not in (each.row.letter_number or "") for each in seen), "encrypted at rest"


def test_a_store_that_knows_an_older_version_goes_on_with_the_one_that_ships(town: Town) -> None:
    with work(town.database, ANYBODY, AT) as now:
        publish(now, shipped()["complaint"].model_copy(update={"version": 1}))
        now.session.flush()
        made = service.complain(now, CRYPTO, SETTINGS, town.mine, "B01", "午休不对外")
        assert now.session.get_one(CaseFile, made.follow_up_id).process_number == shipped()["complaint"].version
