"""The organisation on both databases: the tree, people and roles, work days, windows and places."""

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from models.core.cases.service import act, history, load, open_case, publish
from models.core.matters.service import NewVersion
from models.core.matters.service import publish as publish_matter
from models.core.organisation import calendar, notices, staff, units, windows
from models.core.parties.service import register
from models.core.policy.service import Access, Grant, Principal, policy
from models.core.processes.engine import Command
from models.core.processes.service import ROLES, shipped
from models.core.work.service import Actor, Work, work
from models.domain.clock import Limits
from models.domain.errors import YiwangError
from models.store.operational.database import Database
from models.store.operational.paging import Paging
from models.store.operational.tables import Appointment, StaffGrant, Unit
from tests.support.operational import CRYPTO

ZONE = ZoneInfo("Asia/Shanghai")
AT = datetime(2026, 3, 2, 9, tzinfo=ZONE)
SECURITY = Actor("staff:security", frozenset({"security_administrator"}))
SYSTEM = Principal("developer", frozenset(Grant(role) for role in policy().roles))


def access(permission: str, *grants: Grant, party_id: UUID | None = None) -> Access:
    principal = Principal("somebody", frozenset(grants), party_id) if grants else SYSTEM
    return policy().access(principal, permission)


EDIT = access("organisation:edit")


def refused(code: str, do: Callable[[], object]) -> YiwangError:
    with pytest.raises(YiwangError) as caught:
        do()
    assert caught.value.code == code
    return caught.value


@pytest.fixture
def database(database: Database) -> Database:
    """The shared one, with a city, two bureaus and a section."""
    with work(database, SECURITY, AT) as now:
        for code, parent in (("C", None), ("B01", "C"), ("B02", "C"), ("S1", "B01"), ("S11", "S1")):
            units.create(now, EDIT, code, f"机构 {code}", "bureau", parent)
    return database


def version(database: Database, code: str) -> int:
    with database.read() as session:
        return session.get_one(Unit, code).version


def test_a_unit_moves_with_all_below_it(database: Database) -> None:
    with work(database, SECURITY, AT) as now:
        units.move(now, EDIT, "S1", 1, "B02")
    with database.read() as session:
        paths = dict(session.execute(sa.select(Unit.code, Unit.path)).tuples().all())
    assert paths == {"C": "/C/", "B01": "/C/B01/", "B02": "/C/B02/", "S1": "/C/B02/S1/", "S11": "/C/B02/S1/S11/"}


@pytest.mark.parametrize(("code", "parent"), [("S1", "S11"), ("S1", "S1"), ("C", "S11")])
def test_no_unit_stands_below_itself(database: Database, code: str, parent: str) -> None:
    with work(database, SECURITY, AT) as now:
        refused("YW-ORG-001", lambda: units.move(now, EDIT, code, 1, parent))


def test_two_moves_at_once_make_no_circle(database: Database) -> None:
    def move(code: str, parent: str) -> None:
        try:
            with work(database, SECURITY, AT) as now:
                units.move(now, EDIT, code, 1, parent)
        except YiwangError as error:
            assert error.code in ("YW-ORG-001", "YW-STORE-010")

    threads = [threading.Thread(target=move, args=pair) for pair in (("B01", "B02"), ("B02", "B01"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        rows = {unit.code: unit for unit in session.scalars(sa.select(Unit))}
        for unit in rows.values():
            above = rows[unit.parent_code].path if unit.parent_code else "/"
            assert unit.path == f"{above}{unit.code}/"


def test_a_unit_with_people_or_units_below_it_stays(database: Database) -> None:
    with work(database, SECURITY, AT) as now:
        assert "下级机构" in refused("YW-ORG-001", lambda: units.retire(now, EDIT, "S1", 1, "撤并")).message
        staff.add(now, CRYPTO, "wang", "王某", "S11")
        assert "人员" in refused("YW-ORG-001", lambda: units.retire(now, EDIT, "S11", 1, "撤并")).message
        units.retire(now, EDIT, "B02", 1, "撤并")
        refused("YW-STORE-011", lambda: units.get(now.session, EDIT, "B02"))


def test_rights_of_a_tree_reach_all_below(database: Database) -> None:
    head = access("case:read", Grant("head", "B01"))
    with database.read() as session:
        assert [head.covers(session, code) for code in ("B01", "S1", "S11", "B02", "C")] == [True, True, True, False, False]
        reached = session.scalars(sa.select(Unit.code).where(head.rows(Unit.code)).order_by(Unit.code)).all()
        assert reached == ["B01", "S1", "S11"]
        principal = Principal("x", frozenset({Grant("head", "B01"), Grant("clerk", "B02")}))
        assert policy().roles_in(session, principal, "case:act", "S11") == {"head"}
        assert policy().roles_in(session, principal, "case:act", "B02") == {"clerk"}


def test_the_nearest_region_answers_and_two_never_do(database: Database) -> None:
    first = date(2026, 1, 1)
    with work(database, SECURITY, AT) as now:
        publish(now, shipped()["licence"])
        now.session.flush()
        publish_matter(now, NewVersion("M1", "某事", "B01", "licence", first, Limits()))
        units.claim_region(now, "B01", "430104", "*", first)
        units.claim_region(now, "B02", "430104", "M1", first)
        units.claim_region(now, "S1", "430104001", "M1", first, date(2026, 6, 1))
        refused("YW-ORG-001", lambda: units.claim_region(now, "S11", "430104001", "M1", date(2026, 5, 31)))
        units.claim_region(now, "S11", "430104001", "M1", date(2026, 6, 1))
    with database.read() as session:
        found = [
            units.unit_for(session, matter, regions, day)
            for matter, regions, day in (
                ("M1", ["430104001", "430104"], date(2026, 5, 31)), ("M1", ["430104001", "430104"], date(2026, 6, 1)),
                ("M1", ["430104002", "430104"], first), ("M2", ["430104001", "430104"], first), ("M1", ["430112"], first),
            )
        ]  # fmt: skip
    assert found == ["S1", "S11", "B02", "B01", None]


def person(database: Database, account: str = "li", unit_code: str = "B01") -> UUID:
    with work(database, SECURITY, AT) as now:
        return staff.add(now, CRYPTO, account, "李某", unit_code, "13900001234").id


def give(database: Database, staff_id: UUID, role: str, unit_code: str = "", at: datetime = AT, **more: datetime) -> StaffGrant:
    with work(database, SECURITY, at) as now:
        return staff.grant(now, staff_id, role, unit_code, **more)


def test_roles_hold_from_when_they_are_given_until_they_are_withdrawn(database: Database) -> None:
    who = person(database)
    given = give(database, who, "approver", "B01")
    give(database, who, "handler", "S1", valid_to=AT + timedelta(days=1))
    with database.read() as session:
        now, later = (staff.principal_of(session, who, at) for at in (AT, AT + timedelta(days=1)))
        assert now is not None and later is not None
        assert now.grants == {Grant("approver", "B01"), Grant("handler", "S1")} and later.grants == {Grant("approver", "B01")}
        assert (now.name, now.unit_code) == (f"staff:{who}", "B01")
        assert staff.shown(CRYPTO, staff.get(session, access("staff:read"), who)).phone == "139****1234"
    with work(database, SECURITY, AT + timedelta(hours=1)) as unit:
        staff.withdraw(unit, given.id)
        staff.leave(unit, access("staff:edit"), who, 1)
    with database.read() as session:
        assert staff.principal_of(session, who, AT + timedelta(hours=1)) is None


def test_nobody_dismisses_an_administrator_but_who_gives_roles_and_never_the_last(database: Database) -> None:
    only, other = person(database), person(database, "other")
    give(database, only, "audit_administrator", "")
    with work(database, SECURITY, AT) as now:
        refused("YW-ORG-001", lambda: staff.leave(now, access("staff:edit"), only, 1))
    with work(database, SECURITY, AT) as now:
        last = now.session.scalars(sa.select(StaffGrant).where(StaffGrant.staff_id == only)).one()
        refused("YW-ORG-001", lambda: staff.withdraw(now, last.id))
    give(database, other, "audit_administrator", "")
    with work(database, SECURITY, AT + timedelta(hours=1)) as now:
        staff.withdraw(now, last.id)
    with work(database, SECURITY, AT + timedelta(hours=1)) as now:
        assert staff.leave(now, access("staff:edit"), only, 1).left_at is not None


def test_nobody_gives_a_role_to_himself_or_one_that_is_not_of_its_kind(database: Database) -> None:
    who = person(database)
    with work(database, Actor(f"staff:{who}", frozenset()), AT) as now:
        refused("YW-ORG-001", lambda: staff.grant(now, who, "supervisor"))
    with work(database, SECURITY, AT) as now:
        for role, unit_code in (("approver", ""), ("supervisor", "B01"), ("emperor", "")):
            refused("YW-ORG-001", lambda role=role, unit_code=unit_code: staff.grant(now, who, role, unit_code))  # type: ignore[misc]


def test_administrators_are_never_one_person_even_at_once(database: Database) -> None:
    who, outcome = person(database), []

    def given(role: str) -> None:
        try:
            give(database, who, role)
            outcome.append("given")
        except YiwangError as error:
            outcome.append(error.code)

    threads = [threading.Thread(target=given, args=(role,)) for role in staff.ADMINISTRATORS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome) == ["YW-POLICY-002", "YW-POLICY-002", "given"]


def test_the_first_administrators_come_from_the_machine_and_no_others(database: Database) -> None:
    def first(account: str, role: str) -> None:
        with work(database, Actor("console", frozenset(), authority="console"), AT) as now:
            staff.bootstrap(now, CRYPTO, account, account, "C", role)

    for role in staff.ADMINISTRATORS:
        first(role, role)
        assert "已有" in refused("YW-ORG-001", lambda role=role: first("another", role)).message  # type: ignore[misc]
    refused("YW-ORG-001", lambda: first("x", "approver"))
    refused("YW-POLICY-002", lambda: give(database, _id(database, "system_administrator"), "audit_administrator"))


def _id(database: Database, account: str) -> UUID:
    with database.read() as session:
        found = staff.staff_by_account(session, account)
        assert found is not None
        return found.id


def test_days_that_an_administrator_decides_move_deadlines_from_then_on(database: Database) -> None:
    process = shipped()["licence"]
    anybody = Actor("u", ROLES, "B01")
    with work(database, anybody, AT) as now:
        publish(now, process)
        first = open_case(now, process, "N1", "B01")
        act(now, first.id, Command("submit", AT, ROLES))
        before = load(now.session, first.id)[0].next_timer_at
        calendar.decide(now, date(2026, 3, 5), False, "市政府通知")
        refused("YW-ORG-001", lambda: calendar.decide(now, date(2026, 3, 1), False, "晚了"))
        second = open_case(now, process, "N2", "B01")
        act(now, second.id, Command("submit", AT, ROLES))
        assert before is not None and second.next_timer_at == before + timedelta(days=1)
        assert load(now.session, first.id)[0].next_timer_at == before and len(history(now.session, first.id)) == 1


def test_a_year_that_is_entered_makes_its_deadlines_definite(database: Database) -> None:
    with work(database, SECURITY, AT) as now:
        assert not calendar.calendar(now.session).is_published(date(2027, 3, 1))
        refused("YW-ORG-001", lambda: calendar.publish_year(now, 2029, [], [], "通知"))
        refused("YW-ORG-001", lambda: calendar.publish_year(now, 2027, [date(2027, 1, 1)], [date(2027, 1, 1)], "通知"))
        calendar.publish_year(now, 2027, [date(2027, 1, 1)], [date(2027, 1, 3)], "国务院办公厅通知")
        known = calendar.calendar(now.session)
        assert known.is_published(date(2027, 12, 31)) and not known.is_published(date(2028, 1, 1))
        assert (known.is_working(date(2027, 1, 1)), known.is_working(date(2027, 1, 3)), known.is_working(date(2027, 1, 4))) == (False, True, True)


def test_fifty_people_never_get_more_places_than_there_are(database: Database) -> None:
    day, slot = date(2026, 3, 3), "09:00-10:00"
    clerk = access("appointment:book", Grant("clerk", "B01"))
    with work(database, SECURITY, AT) as now:
        windows.create(now, "W1", "一号", "B01", None, [slot], 7)
        who = [_party(now, number).id for number in range(50)]
    outcome: list[str] = []

    def book(party_id: UUID) -> None:
        try:
            with work(database, SECURITY, AT) as now:
                windows.book(now, clerk, "W1", day, slot, party_id=party_id)
            outcome.append("booked")
        except YiwangError as error:
            outcome.append(error.code)

    threads = [threading.Thread(target=book, args=(party_id,)) for party_id in who]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcome.count("booked") == 7 and set(outcome) <= {"booked", "YW-APPOINTMENT-001", "YW-STORE-008"}
    with database.read() as session:
        assert sorted(session.scalars(sa.select(Appointment.place))) == list(range(1, 8))


def _party(now: Work, number: int):  # type: ignore[no-untyped-def]
    return register(now, CRYPTO, "person", f"某{number}", "414", f"E{number:08d}")


def test_a_cancelled_place_is_free_again_and_a_party_cancels_only_its_own(database: Database) -> None:
    day, slot = date(2026, 3, 3), "09:00-10:00"
    clerk = access("appointment:book", Grant("clerk", "B01"))
    with work(database, SECURITY, AT) as now:
        windows.create(now, "W1", "一号", "B01", None, [slot], 1)
        first, second = _party(now, 1).id, _party(now, 2).id
        made = windows.book(now, clerk, "W1", day, slot, party_id=first)
        own = access("appointment:serve", Grant("applicant"), party_id=second)
        refused("YW-STORE-011", lambda: windows.proceed(now, own, made.id, 1, "cancelled"))
        refused("YW-APPOINTMENT-001", lambda: windows.book(now, clerk, "W1", day, slot, party_id=second))
        refused("YW-APPOINTMENT-001", lambda: windows.book(now, clerk, "W1", date(2026, 3, 7), slot, party_id=second))  # a Saturday
        mine = access("appointment:serve", Grant("applicant"), party_id=first)
        refused("YW-APPOINTMENT-001", lambda: windows.proceed(now, mine, made.id, 1, "called"))
        windows.proceed(now, mine, made.id, 1, "cancelled")
        assert windows.book(now, clerk, "W1", day, slot, party_id=second).place == 1
        stranger = access("appointment:book", Grant("clerk", "B02"))
        refused("YW-STORE-011", lambda: windows.book(now, stranger, "W1", day, slot, party_id=first))


def test_notices_are_for_whom_they_are(database: Database) -> None:
    head = access("notice:edit", Grant("head", "B01"))
    with work(database, SECURITY, AT) as now:
        notices.publish(now, head, "全体", "内容", "B01")
        inner = notices.publish(now, head, "窗口", "内容", "B01", ["clerk"])
        refused("YW-STORE-011", lambda: notices.publish(now, head, "越权", "内容", "B02"))
    with work(database, SECURITY, AT) as now:
        seen = {role: [each.title for each in notices.listed(now.session, access("notice:read", Grant(role, "B01")), Paging()).items] for role in ("clerk", "handler")}
        assert sorted(seen["clerk"]) == ["全体", "窗口"] and seen["handler"] == ["全体"]
        notices.withdraw(now, head, inner.id, 1)
        assert [each.title for each in notices.listed(now.session, access("notice:read", Grant("clerk", "B01")), Paging()).items] == ["全体"]


def test_a_unit_whose_code_looks_like_a_pattern_reaches_no_other(database: Database) -> None:
    with work(database, SECURITY, AT) as now:
        for code, parent in (("X_1", "C"), ("XA1", "C"), ("XA2", "XA1"), ("b01", "C")):
            units.create(now, EDIT, code, code, "bureau", parent)
    with database.read() as session:
        reached = {code: session.scalars(sa.select(Unit.code).where(access("case:read", Grant("head", code)).rows(Unit.code))).all() for code in ("X_1", "b01")}
    assert reached == {"X_1": ["X_1"], "b01": ["b01"]}
    with work(database, SECURITY, AT) as now:
        units.move(now, EDIT, "b01", 1, "B02")
    with database.read() as session:
        assert session.get_one(Unit, "S1").path == "/C/B01/S1/" and session.get_one(Unit, "b01").path == "/C/B02/b01/"


def test_nobody_joins_a_unit_while_it_is_retired(database: Database) -> None:
    """In every order of two at once the retired unit has nobody."""
    outcome: list[str] = []

    def run(do: Callable[[Work], object]) -> None:
        try:
            with work(database, SECURITY, AT) as now:
                do(now)
            outcome.append("done")
        except YiwangError as error:
            outcome.append(error.code)

    for number in range(6):
        code = f"R{number}"
        with work(database, SECURITY, AT) as now:
            units.create(now, EDIT, code, code, "bureau", "C")
        both = [
            threading.Thread(target=run, args=(lambda now, code=code: units.retire(now, EDIT, code, 1, "撤并"),)),
            threading.Thread(target=run, args=(lambda now, code=code: staff.add(now, CRYPTO, f"p{code}", "某", code),)),
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        with database.read() as session:
            found = staff.staff_by_account(session, f"p{code}")
            assert (session.get_one(Unit, code).deleted_at is None) == (found is not None), outcome
    assert set(outcome) <= {"done", "YW-ORG-001", "YW-STORE-011"}


def test_a_region_is_given_up_earlier_never_later_and_a_retired_unit_answers_for_none(database: Database) -> None:
    first = date(2026, 1, 1)
    with work(database, SECURITY, AT) as now:
        given = units.claim_region(now, "S11", "430104", "*", first, date(2026, 6, 1))
        units.claim_region(now, "B02", "430104", "*", date(2026, 6, 1))
        refused("YW-ORG-001", lambda: units.end_jurisdiction(now, given.id, 1, date(2026, 7, 1)))
        assert "辖区" in refused("YW-ORG-001", lambda: units.retire(now, EDIT, "S11", 1, "撤并")).message
        units.end_jurisdiction(now, given.id, 1, date(2026, 2, 1))
        units.retire(now, EDIT, "S11", 1, "撤并")
        assert units.unit_for(now.session, "M1", ["430104"], date(2026, 1, 15)) is None


def test_a_role_is_given_once_and_withdrawn_whole(database: Database) -> None:
    who = person(database)
    given = give(database, who, "approver", "B01")
    refused("YW-ORG-001", lambda: give(database, who, "approver", "B01"))
    with work(database, SECURITY, AT) as now:
        staff.withdraw(now, given.id)
        principal = staff.principal_of(now.session, who, AT)
        assert principal is not None and principal.grants == frozenset()


def test_days_and_slots_are_over_when_they_are_over_here(database: Database) -> None:
    early = datetime(2026, 3, 3, 7, tzinfo=ZONE)  # the day before, by UTC
    with work(database, SECURITY, early) as now:
        refused("YW-ORG-001", lambda: calendar.decide(now, date(2026, 3, 2), False, "晚了"))
        windows.create(now, "W9", "九号", "B01", None, ["09:00-10:00", "15:00-16:00"], 5)
        who = _party(now, 1).id
    noon = early.replace(hour=12)
    clerk = access("appointment:book", Grant("clerk", "B01"))
    with work(database, SECURITY, noon) as now:
        refused("YW-APPOINTMENT-001", lambda: windows.book(now, clerk, "W9", noon.date(), "09:00-10:00", party_id=who))
        assert windows.book(now, clerk, "W9", noon.date(), "15:00-16:00", party_id=who).place == 1


def test_a_page_of_notices_is_full_whoever_the_others_are_for(database: Database) -> None:
    head = access("notice:edit", Grant("head", "B01"))
    with work(database, SECURITY, AT) as now:
        notices.publish(now, head, "全体", "内容", "B01")
        for number in range(5):
            notices.publish(now, head, f"窗口 {number}", "内容", "B01", ["clerk"])
        found = notices.listed(now.session, access("notice:read", Grant("handler", "B01")), Paging(limit=2))
        assert [each.title for each in found.items] == ["全体"] and found.next is None
