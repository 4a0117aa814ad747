"""Who may do what in a case, on both databases: the applicant's own word, agents whose letter is over, steps that stand apart, fields by row."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from models.core.feedback import reading
from models.core.feedback import service as feedback
from models.core.feedback.service import NewReview
from models.core.handling import service
from models.core.handling.service import CaseFilter, Draft, Move
from models.core.matters.service import NewVersion
from models.core.matters.service import publish as publish_matter
from models.core.organisation import staff, units, windows
from models.core.parties import rights
from models.core.parties.authority import authorise, revoke
from models.core.parties.service import register
from models.core.policy.service import Access, Grant, Principal, policy
from models.core.webhooks.topics import TOPICS, checked_topics
from models.core.work.service import Actor, Work, work
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.paging import Paging
from models.store.operational.tables import CaseFile, Feedback, Task
from tests.support.operational import CRYPTO
from tests.support.operational_api import IDS, LICENCE, MATTER, SETTER_UP, set_up

AT = datetime(2026, 3, 2, 9, tzinfo=ZoneInfo("Asia/Shanghai"))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SETTINGS = Settings()
LIFE = (("submit", "applicant"), ("pass", "clerk"), ("accept", "clerk"), ("handle", "handler"), ("review", "reviewer"), ("grant", "approver"))


class Town:
    """Two citizens, people of the staff by name, and what they do."""

    def __init__(self, database: Database) -> None:
        self.database, self.at = database, AT
        self.people: dict[str, Principal] = {}
        with work(database, SETTER_UP, AT) as now:
            set_up(now, CRYPTO)
            for name, number in zip(("mine", "agent"), IDS, strict=True):
                party = register(now, CRYPTO, "person", "某人", "111", number, "13900000000")
                self.people[name] = Principal(f"party:{party.id}", frozenset({Grant("applicant")}), party.id)
        for role in ("clerk", "handler", "reviewer", "approver", "issuer", "head"):
            self.employ(role, Grant(role, "B01"))

    def employ(self, name: str, *grants: Grant) -> None:
        """Somebody new with these roles."""
        with work(self.database, SETTER_UP, AT) as now:
            person = staff.add(now, CRYPTO, name, name, "B01")
            for each in grants:
                staff.grant(now, person.id, each.role, each.unit_code)
        self.people[name] = Principal(f"staff:{person.id}", frozenset(grants), unit_code="B01")

    def may(self, who: str, permission: str) -> Access:
        return policy().access(self.people[who], permission)

    def party(self, who: str) -> UUID:
        found = self.people[who].party_id
        assert found is not None
        return found

    def do(self, who: str, permission: str, do: Callable[[Work, Access], object]) -> object:
        """In the name of somebody who has the permission."""
        principal = self.people[who]
        actor = Actor(principal.name, frozenset(grant.role for grant in principal.grants), principal.unit_code, f"permission:{permission}")
        with work(self.database, actor, self.at) as now:
            return do(now, self.may(who, permission))

    def draft(self, who: str = "mine", **more: object) -> UUID:
        wanted = Draft(MATTER, channel_code="2", form={"名称": "浴室"}, **more)  # type: ignore[arg-type]
        case = self.do(who, "case:apply", lambda now, access: service.draft(now, CRYPTO, SETTINGS, access, wanted))
        assert isinstance(case, CaseFile)
        return case.id

    def act(self, who: str, case_id: UUID, action: str, **more: object) -> object:
        return self.do(who, "case:act", lambda now, access: service.act(now, SETTINGS, access, case_id, Move(action, **more)))  # type: ignore[arg-type]

    def amend(self, who: str, case_id: UUID) -> object:
        def change(now: Work, access: Access) -> object:
            return service.amend(now, CRYPTO, access, case_id, now.session.get_one(CaseFile, case_id).version, {"名称": "他人所填"})

        return self.do(who, "case:apply", change)

    def remove(self, who: str, case_id: UUID) -> object:
        return self.do(who, "case:remove", lambda now, access: service.remove(now, access, case_id, now.session.get_one(CaseFile, case_id).version, "不要了"))

    def look(self, who: str, case_id: UUID) -> service.Look:
        with self.database.read() as session:
            return service.look(session, CRYPTO, SETTINGS, self.may(who, "case:read"), case_id, self.at)

    def possible(self, who: str, case_id: UUID) -> set[str]:
        return {action.action for action in self.look(who, case_id).possible}

    def events(self, who: str, case_id: UUID) -> list[service.Told]:
        with self.database.read() as session:
            return list(service.events(session, self.may(who, "case:read"), case_id, Paging(), self.at).items)

    def decided(self, until: str = "grant", **hands: str) -> UUID:
        """A case as far as an action, each by the person of its role or by another."""
        case = self.draft()
        for action, role in LIFE:
            self.act(hands.get(role) or ("mine" if role == "applicant" else role), case, action)
            if action == until:
                break
        return case

    def authorise(self, **more: object) -> UUID:
        terms: dict[str, object] = {"matters": [MATTER], "actions": ["submit", "correct"], "valid_from": AT - DAY, "valid_to": AT + DAY, "evidence": "委托书"} | more
        with work(self.database, SETTER_UP, AT) as now:
            return authorise(now, CRYPTO, self.party("mine"), self.party("agent"), **terms).id  # type: ignore[arg-type]


@pytest.fixture
def town(database: Database) -> Town:
    return Town(database)


def refused(code: str, do: Callable[[], object]) -> None:
    with pytest.raises(YiwangError) as caught:
        do()
    assert caught.value.code == code


def test_a_complaint_is_ended_by_whoever_made_it_and_not_by_the_unit(town: Town) -> None:
    made = town.do("mine", "feedback:give", lambda now, access: feedback.complain(now, CRYPTO, SETTINGS, access, "B01", "午休不对外"))
    case = made.follow_up_id  # type: ignore[attr-defined]
    assert town.possible("clerk", case) == {"accept"}
    refused("YW-CORE-002", lambda: town.act("clerk", case, "withdraw"))
    refused("YW-CORE-002", lambda: town.act("clerk", case, "refuse", reason="不是我们的事"))
    refused("YW-STORE-011", lambda: town.act("mine", case, "withdraw"))

    def withdraw(who: str) -> object:
        return town.do(who, "feedback:give", lambda now, access: feedback.withdraw(now, SETTINGS, access, made.id, "已解决"))  # type: ignore[attr-defined]

    refused("YW-FEEDBACK-001", lambda: withdraw("clerk"))
    refused("YW-STORE-011", lambda: withdraw("agent"))
    withdraw("mine")
    told = town.events("clerk", case)[-1]
    assert (told.action, told.role, told.actor, told.authority, told.reason) == ("withdraw", "applicant", "system", "complaint", "已解决")
    refused("YW-CORE-001", lambda: withdraw("mine"))


def test_whoever_complained_reads_the_answer(town: Town) -> None:
    town.employ("visitor", Grant("visitor"))
    made = town.do("mine", "feedback:give", lambda now, access: feedback.complain(now, CRYPTO, SETTINGS, access, "B01", "午休不对外"))
    case = made.follow_up_id  # type: ignore[attr-defined]
    town.act("clerk", case, "accept")
    town.act("handler", case, "investigate")
    refused("YW-CORE-003", lambda: town.act("handler", case, "answer"))
    town.act("handler", case, "answer", reason="已改正并道歉")
    town.act("visitor", case, "finish", outcome="upheld")
    with town.database.read() as session:
        row = feedback.get(session, town.may("mine", "feedback:read"), made.id)  # type: ignore[attr-defined]
        assert reading.answer_of(session, row) == "已改正并道歉"


@pytest.mark.parametrize("unit_code", ["NOPE", "B01-1"])
def test_a_case_is_handed_over_to_a_unit_that_is_there(town: Town, unit_code: str) -> None:
    case = town.decided("accept")
    with work(town.database, SETTER_UP, AT) as now:
        everywhere = Access(Principal("u"), "organisation:edit", True, frozenset(), frozenset(), False)
        units.retire(now, everywhere, "B01-1", 1, "并入")
    refused("YW-CORE-003", lambda: town.act("head", case, "transfer", unit_code=unit_code, reason="不归我管"))
    town.act("head", case, "transfer", unit_code="B02", reason="不归我管")
    assert town.possible("mine", case) == {"withdraw"}


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_an_agent_reaches_nothing_once_the_authorisation_is_over(town: Town, end: str) -> None:
    given = town.authorise()
    draft = town.draft("agent", applicant_id=town.party("mine"))
    handed_in = town.draft("agent", applicant_id=town.party("mine"))
    town.act("agent", handed_in, "submit")
    town.amend("agent", draft)
    assert town.possible("agent", draft) == {"submit"} and town.possible("agent", handed_in) == set(), "withdrawal is not among what is allowed"
    if end == "revoked":
        with work(town.database, SETTER_UP, AT) as now:
            revoke(now, given, "不再委托")
    else:
        town.at = AT + DAY
    for attempt in (
        lambda: town.look("agent", draft), lambda: town.events("agent", handed_in), lambda: town.amend("agent", draft), lambda: town.remove("agent", draft),
        lambda: town.act("agent", draft, "submit"),
        lambda: town.do("agent", "feedback:give", lambda now, access: feedback.complain(now, CRYPTO, SETTINGS, access, "B01", "慢", case_id=handed_in)),
    ):  # fmt: skip
        refused("YW-STORE-011", attempt)
    with town.database.read() as session:
        assert service.listed(session, town.may("agent", "case:read"), CaseFilter(), Paging(), town.at).items == []
        assert len(service.listed(session, town.may("mine", "case:read"), CaseFilter(), Paging(), town.at).items) == 2


def test_an_authorisation_reaches_its_matters_and_actions_only(town: Town) -> None:
    town.authorise()
    case = town.draft("agent", applicant_id=town.party("mine"))
    with work(town.database, SETTER_UP, AT) as now:
        now.session.execute(sa.update(CaseFile).where(CaseFile.id == case).values(matter_code=MATTER.replace("M", "_", 1)))
    refused("YW-STORE-011", lambda: town.look("agent", case))
    town.authorise(matters=["*"], actions=["withdraw"])
    assert town.possible("agent", case) == set()
    refused("YW-POLICY-003", lambda: town.amend("agent", case))


def test_a_citizens_draft_is_the_citizens(town: Town) -> None:
    mine, at_window = town.draft(), town.draft("clerk", applicant_id=town.party("mine"))
    town.employ("supervisor", Grant("supervisor"))
    for attempt in (lambda: town.amend("clerk", mine), lambda: town.remove("clerk", mine), lambda: town.act("clerk", mine, "submit"), lambda: town.look("supervisor", mine)):
        refused("YW-STORE-011", attempt)
    town.amend("mine", mine)
    town.act("mine", mine, "submit")
    assert town.possible("clerk", mine) >= {"pass", "return", "withdraw"}, "at the window, at the applicant's request"
    town.amend("clerk", at_window)
    town.remove("clerk", at_window)


def test_two_steps_that_stand_apart_are_not_done_by_one_person(town: Town) -> None:
    town.employ("both", *(Grant(role, "B01") for role in ("clerk", "handler", "reviewer", "approver", "issuer")))
    case = town.decided("handle", handler="both")
    assert town.possible("both", case) == {"suspend", "terminate", "withdraw"}
    refused("YW-CORE-009", lambda: town.act("both", case, "review"))
    with town.database.read() as session:
        task = session.scalars(sa.select(Task.id).where(Task.case_id == case, Task.closed_at.is_(None))).one()
    refused("YW-CORE-009", lambda: town.do("both", "task:claim", lambda now, access: service.claim(now, access, task)))
    town.act("reviewer", case, "send_back", reason="材料不全")
    town.act("both", case, "handle")
    town.act("reviewer", case, "review")
    refused("YW-CORE-009", lambda: town.act("both", case, "grant"))
    town.act("approver", case, "grant")
    town.act("both", case, "issue")


@pytest.mark.parametrize("end", ["left", "withdrawn", "expired"])
def test_a_task_is_free_again_when_its_holder_may_not_do_it_any_more(town: Town, end: str) -> None:
    town.employ("gone")
    person = UUID(town.people["gone"].name.partition(":")[2])
    with work(town.database, SETTER_UP, AT) as now:
        grant = staff.grant(now, person, "clerk", "B01", AT + DAY if end == "expired" else None)
    town.people["gone"] = Principal(f"staff:{person}", frozenset({Grant("clerk", "B01")}), unit_code="B01")
    case = town.decided("submit")
    with town.database.read() as session:
        task = session.scalars(sa.select(Task.id).where(Task.case_id == case, Task.closed_at.is_(None))).one()
    town.do("gone", "task:claim", lambda now, access: service.claim(now, access, task))
    refused("YW-CORE-008", lambda: town.act("clerk", case, "pass"))
    everywhere = Access(Principal("u"), "staff:edit", True, frozenset(), frozenset(), False)
    with work(town.database, SETTER_UP, AT) as now:
        if end == "left":
            staff.leave(now, everywhere, person, 1)
        elif end == "withdrawn":
            staff.withdraw(now, grant.id)
    town.at = AT + DAY
    with town.database.read() as session:
        assert (session.get_one(Task, task).assignee is None) == (end == "left"), "lists show at once that it is free"
    town.do("clerk", "task:claim", lambda now, access: service.claim(now, access, task))
    town.act("clerk", case, "pass")


def test_a_role_in_one_unit_opens_no_field_of_another_units_rows(town: Town) -> None:
    case = town.decided("submit")
    town.employ("doubled", Grant("issuer", "B01"), Grant("clerk", "B02"))
    assert town.look("doubled", case).is_form_hidden and town.look("doubled", case).form is None
    assert town.look("clerk", case).form == {"名称": "浴室"}
    given = town.do("mine", "feedback:give", lambda now, access: feedback.complain(now, CRYPTO, SETTINGS, access, "B01", "慢"))
    town.employ("watched", Grant("handler", "B01"), Grant("supervisor"))
    for who, shown in (("handler", False), ("watched", True), ("mine", True)):
        with town.database.read() as session:
            access = town.may(who, "feedback:read")
            assert reading.shows_party(access, feedback.get(session, access, given.id)) is shown, who  # type: ignore[attr-defined]


def test_who_applied_is_hidden_everywhere_or_nowhere(town: Town) -> None:
    town.employ("mayor", Grant("government_head"))
    case = town.draft("clerk", applicant_id=town.party("mine"))
    town.act("clerk", case, "submit")
    town.act("mine", case, "withdraw", reason="不办了")
    assert town.look("mayor", case).is_applicant_hidden and not town.look("clerk", case).is_applicant_hidden
    assert str(town.party("mine")) not in str(town.events("mayor", case)) and str(town.party("mine")) in str(town.events("clerk", case))
    assert [told.actor for told in town.events("mayor", case)][1:] == ["party"]


def test_the_history_tells_what_was_done_and_names_the_staff_to_the_staff(town: Town) -> None:
    case = town.decided("accept")
    town.act("handler", case, "suspend", reason="听证", special_kind="hearing", has_written_notice=True)
    told = town.events("head", case)[-1]
    assert (told.special_kind, told.has_written_notice, told.actor_name) == ("hearing", True, "handler")
    assert {each.actor_name for each in town.events("mine", case)} == {None}


def test_only_whoever_was_served_reviews_and_a_code_uses_up_nothing(town: Town) -> None:
    case = town.decided()
    refused("YW-POLICY-001", lambda: town.may("clerk", "feedback:review"))

    def coded(level: int, channel_code: str | None = None) -> object:
        code = town.do("clerk", "case:act", lambda now, access: feedback.hand_out_code(now, case, 6))
        return town.do("clerk", "feedback:give", lambda now, access: feedback.review_by_code(now, CRYPTO, SETTINGS, str(code), NewReview(level, channel_code)))

    coded(1)
    with pytest.raises(YiwangError, match="渠道"):
        coded(1, "ZZ")  # says nothing of whether the step was reviewed
    own = town.do("mine", "feedback:review", lambda now, access: feedback.review(now, CRYPTO, SETTINGS, access, case, 6, NewReview(5)))
    town.employ("supervisor", Grant("supervisor"))
    with town.database.read() as session:
        everyone = town.may("supervisor", "feedback:read")
        assert [row.id for row in reading.listed(session, everyone, Paging(), kind="review").items] == [own.id]  # type: ignore[attr-defined]
        told = {row.is_coded: row.given_by for row in session.scalars(sa.select(Feedback))}
        assert told == {True: town.people["clerk"].name, False: None}
        counted = session.execute(sa.text("SELECT satisfaction_code FROM sync_review WHERE NOT is_deleted")).scalars().all()
        assert counted == ["5"]


def test_no_unit_decides_its_own_appeal(town: Town) -> None:
    case = town.decided()
    given = town.do("mine", "feedback:review", lambda now, access: feedback.review(now, CRYPTO, SETTINGS, access, case, 6, NewReview(5)))
    with work(town.database, SETTER_UP, AT) as now:
        everywhere = Access(Principal("u"), "organisation:edit", True, frozenset(), frozenset(), False)
        units.move(now, everywhere, "B01", 1, None)

    def appeal(who: str) -> object:
        return town.do(who, "feedback:appeal", lambda now, access: feedback.appeal(now, SETTINGS, access, given.id, "恶意"))  # type: ignore[attr-defined]

    refused("YW-FEEDBACK-001", lambda: appeal("head"))
    with work(town.database, SETTER_UP, AT) as now:
        units.move(now, everywhere, "B01", 2, "C")
    town.employ("both", Grant("handler", "B01"), Grant("head", "C"), Grant("supervisor"))
    case_id = appeal("both").appeal_id  # type: ignore[attr-defined]
    refused("YW-CORE-009", lambda: town.act("both", case_id, "check"))




def test_the_unit_of_the_place_handles_a_case(town: Town) -> None:
    with work(town.database, SETTER_UP, AT) as now:
        units.claim_region(now, "B01-1", "430104001", MATTER, AT.date())
        refused("YW-STORE-011", lambda: units.claim_region(now, "B02", "NOPE", "*", AT.date()))
        refused("YW-STORE-011", lambda: units.claim_region(now, "B02", "430104002", "M-NOPE", AT.date()))
        windows.create(now, "W1", "一号窗口", "B01-1", None, [], 1, [])
        publish_matter(now, NewVersion("M2", "他事", "B01", "licence", AT.date(), LICENCE))
        windows.create(now, "W2", "二号窗口", "B01-1", None, [], 1, ["M2"])
    case = town.draft(region_code="430104001007", window_code="W1")
    with town.database.read() as session:
        found = session.get_one(CaseFile, case)
        assert (found.unit_code, found.region_code) == ("B01-1", "430104001007") and found.case_number.startswith("B01-1")
    for wrong in ({"region_code": "NOWHERE"}, {"region_code": "440104001"}, {"window_code": "NOPE"}):
        refused("YW-STORE-011", lambda wrong=wrong: town.draft(**wrong))  # type: ignore[misc]
    refused("YW-CORE-003", lambda: town.draft(window_code="W2"))
    refused("YW-POLICY-003", lambda: town.draft("clerk", applicant_id=town.party("mine"), region_code="430104001"))


def test_a_party_is_removed_by_the_head_of_all_its_cases_once_they_are_over(town: Town) -> None:
    town.employ("elsewhere", Grant("head", "B02"))

    def remove(who: str) -> object:
        return town.do(who, "party:remove", lambda now, access: rights.remove(now, access, town.party("mine"), "重复登记"))

    refused("YW-STORE-011", lambda: remove("head"))
    case = town.decided("submit")
    refused("YW-STORE-011", lambda: remove("elsewhere"))
    refused("YW-PARTY-004", lambda: remove("head"))
    town.act("mine", case, "withdraw", reason="不办了")
    remove("head")


def test_systems_are_told_of_what_is_announced_and_of_nothing_else() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(service.__file__).parents[1].rglob("*.py"))
    announced = set(re.findall(r"""\.announce\(\s*"([a-z.]+)\"""", sources))
    assert announced >= {"case.moved", "review.given"} and announced <= set(TOPICS)
    assert {f"appointment.{state}" for states in windows.NEXT.values() for state in states} <= set(TOPICS)
    refused("YW-WEBHOOK-004", lambda: checked_topics(["case.moved", "case.nope"]))
