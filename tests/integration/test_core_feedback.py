"""Feedback on both databases: one review a step, bad ones followed up, default ones never active, malicious ones left out and kept."""

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from models.core.cases.service import act, load, open_case, publish
from models.core.feedback import service
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
            now.session.add(Unit(code="B01", name="卫健局", kind="bureau", path="/B01/", created_at=AT, updated_at=AT))
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
        return self.access("feedback:give", Grant("applicant"), party_id=self.party)

    def review(self, level: int = 5, at: datetime = AT, sequence: int = DECIDED, **more: object) -> Feedback:
        with work(self.database, ANYBODY, at) as now:
            return service.review(now, CRYPTO, SETTINGS, self.mine, self.case, sequence, NewReview(level, **more))  # type: ignore[arg-type]

    def do(self, case_id: UUID | None, action: str, at: datetime = AT, **more: object) -> None:
        assert case_id is not None
        with work(self.database, ANYBODY, at) as now:
            act(now, case_id, Command(action, at, ROLES, **more))  # type: ignore[arg-type]

    def tasks(self, case_id: UUID | None) -> list[tuple[str, date | None]]:
        with self.database.read() as session:
            query = sa.select(Task.step, Task.due_on).where(Task.case_id == case_id, Task.closed_at.is_(None))
            return [(step, due) for step, due in session.execute(query)]


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
        assert opened == session.scalar(sa.select(sa.func.count()).select_from(Feedback).where(Feedback.level.in_(service.BAD)))


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
        rows = service.listed(now.session, town.access("feedback:read", Grant("supervisor")), Paging(), kind="review", is_bad=True).items
        assert [row.id for row in rows] == [given.id]
        assert service.follow_ups(now.session, rows)[given.id]["outcome_code"] == "rectified"


def test_limits_are_the_settings_and_running_follow_ups_keep_theirs(town: Town) -> None:
    first = town.review(4)
    other = Settings(review_verify_days=3, review_unit="cd")
    with work(town.database, ANYBODY, AT) as now:
        second = service.review(now, CRYPTO, other, town.mine, town.case, 3, NewReview(4))
    assert town.tasks(first.follow_up_id) == [("verify", date(2026, 3, 3))]
    assert town.tasks(second.follow_up_id) == [("verify", date(2026, 3, 5))]
    with town.database.read() as session:
        numbers = session.execute(sa.select(CaseFile.id, CaseFile.process_number).where(CaseFile.process == "review_followup")).all()
        assert {row.process_number for row in numbers} == {1, 2}


def test_what_nobody_reviews_counts_as_reviewed_by_default_and_an_active_review_still_comes(town: Town) -> None:
    early, late = AT + 14 * DAY, AT + 15 * DAY
    assert service.settle_reviews(town.database, SETTINGS, early) == 0
    assert service.settle_reviews(town.database, SETTINGS, late) == 1 and service.settle_reviews(town.database, SETTINGS, late) == 0
    town.review(4, at=late)
    with town.database.read() as session:
        rows = session.execute(sa.select(Feedback.is_default, Feedback.level).where(Feedback.case_id == town.case).order_by(Feedback.is_default)).all()
        assert [tuple(row) for row in rows] == [(False, 4), (True, 1)]


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


def appealed(town: Town) -> Feedback:
    given = town.review(5)
    with work(town.database, ANYBODY, AT) as now:
        handler = town.access("feedback:appeal", Grant("handler", "B01"))
        made = service.appeal(now, SETTINGS, handler, given.id, "同行恶意差评")
        refused("YW-FEEDBACK-001", lambda: service.appeal(now, SETTINGS, handler, given.id, "再次"))
        refused("YW-STORE-011", lambda: service.appeal(now, SETTINGS, town.access("feedback:appeal", Grant("handler", "B02")), given.id, "他人"))
    town.do(made.appeal_id, "check")
    return made


def test_a_malicious_review_is_left_out_with_reason_and_stays(town: Town) -> None:
    made = appealed(town)
    town.do(made.appeal_id, "decide", outcome="upheld", reason="查实为同行恶意评价")
    assert service.settle_appeals(town.database, SETTINGS, AT) == 1 and service.settle_appeals(town.database, SETTINGS, AT) == 0
    with town.database.read() as session:
        row = session.get_one(Feedback, made.id)
        assert (row.level, row.excluded_reason, row.excluded_by) == (5, "查实为同行恶意评价", "u1")
        follow_up = load(session, made.follow_up_id)[0]  # type: ignore[arg-type]
        assert (follow_up.outcome_code, follow_up.phase) == ("unfounded", "completed")


def test_an_appeal_that_is_rejected_changes_nothing(town: Town) -> None:
    made = appealed(town)
    town.do(made.appeal_id, "decide", outcome="unfounded", reason="评价属实")
    assert service.settle_appeals(town.database, SETTINGS, AT) == 0
    assert town.tasks(made.follow_up_id) == [("verify", date(2026, 3, 3))]


def test_complaints_are_dealt_with_by_an_internal_case(town: Town) -> None:
    with work(town.database, ANYBODY, AT) as now:
        made = service.complain(now, CRYPTO, SETTINGS, town.mine, "B01", "午休不对外", is_anonymous=True)
        refused("YW-STORE-011", lambda: service.complain(now, CRYPTO, SETTINGS, town.mine, "B99", "没有"))
        refused("YW-FEEDBACK-001", lambda: service.visit(now, CRYPTO, town.access("feedback:visit", Grant("visitor")), made.id, None))
    assert town.tasks(made.follow_up_id) == [("acceptance", date(2026, 3, 9))]
    with town.database.read() as session:
        case = session.get_one(CaseFile, made.follow_up_id)
        assert (case.kind, case.unit_code) == ("internal", "B01") and case.case_number.startswith("TS")
        events = session.scalars(sa.select(CaseEvent.actor).where(CaseEvent.case_id == case.id)).all()
        assert events == ["u1"]
