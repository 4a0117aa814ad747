"""Lists are narrowed by what people look for, within the caller's rights, and by an index."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from models.core.handling.lists import CaseFilter, listed
from models.core.policy.service import Grant, Principal, policy
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.migration import upgrade
from models.store.operational.paging import Paging
from models.store.operational.tables import CaseFile
from tests.support.operational import AT
from tests.support.operational_api import IDS, MATTER, City, city


@pytest.fixture
def town(database: Database, database_settings: Settings) -> Iterator[City]:
    with city(database_settings) as found:
        yield found


def numbers(town: City, headers: dict[str, str], **asked: Any) -> list[str]:
    answer = town.get("/api/v1/cases", headers, **asked)
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["items"]]


def test_cases_are_found_by_due_day_receipt_and_applicant(town: City, database: Database) -> None:
    cases = [town.draft(0)["id"], town.draft(1)["id"]]
    for citizen, case in enumerate(cases):
        assert town.act(case, town.citizens[citizen], "submit").status_code == 200
        for action in ("pass", "accept"):
            assert town.act(case, town.keys["clerk"], action).status_code == 200
    with database.write() as session:  # days far apart, whatever today is
        for number, case in enumerate(session.scalars(sa.select(CaseFile).order_by(CaseFile.id))):
            case.due_on, case.received_at = date(2026, 3, 10) + timedelta(number), AT.replace(month=3, day=3, hour=15, minute=59, second=30) + timedelta(minutes=number)
    clerk, first, second = town.keys["clerk"], [cases[0]], [cases[1]]
    assert numbers(town, clerk, due_to="2026-03-10") == numbers(town, clerk, due_from="2026-03-10", due_to="2026-03-10") == first
    assert numbers(town, clerk, due_from="2026-03-11") == second and numbers(town, clerk, due_from="2026-03-12") == []
    assert numbers(town, clerk, received_to="2026-03-03") == first, "until midnight of the city, which is 16:00 UTC"
    assert numbers(town, clerk, received_from="2026-03-04", received_to="2026-03-04") == second
    assert numbers(town, clerk, received_to="9999-12-31") == [*second, *first]
    found = town.post("/api/v1/parties/search", clerk, {"id_type_code": "111", "number": IDS[0]}).json()["items"]
    assert numbers(town, clerk, applicant_id=found[0]["id"]) == first and numbers(town, town.keys["other"], applicant_id=found[0]["id"]) == []


def test_who_does_not_see_the_applicant_does_not_find_by_one(town: City, database: Database) -> None:
    town.draft()
    with database.write() as session:
        session.execute(sa.update(CaseFile).values(opened_by="staff:x"))

    def found(*grants: Grant) -> int:
        access = policy().access(Principal("staff:y", frozenset(grants)), "case:read")
        with database.read() as session:
            return len(listed(session, access, CaseFilter(applicant_id=town.parties[0]), Paging(), AT).items)

    assert found(Grant("supervisor")) == found(Grant("clerk", "B01")) == found(Grant("government_head"), Grant("clerk", "B01")) == 1
    assert found(Grant("government_head")) == found(Grant("government_head"), Grant("clerk", "B02")) == 0


def test_roles_and_regions_are_found_by_role_unit_account_and_matter(town: City) -> None:
    security, system = town.staff["security_administrator"], town.staff["system_administrator"]
    person = town.post("/api/v1/staff", system, {"account": "zhao", "name": "赵某", "unit_code": "B01"}).json()["id"]
    for role, unit in (("approver", "B01"), ("clerk", "B02")):
        assert town.post("/api/v1/grants", security, {"staff_id": person, "role": role, "unit_code": unit}).status_code == 201

    def roles(**asked: str) -> list[str]:
        return [row["role"] for row in town.get("/api/v1/grants", security, **asked).json()["items"]]

    assert roles(account="zhao") == ["approver", "clerk"] and roles(role="approver") == roles(unit_code="B01") == ["approver"] and roles(role="clerk", unit_code="B01") == []
    for unit, region, matter in (("B01", "430104", "*"), ("B02", "430104", MATTER), ("B01", "430105", MATTER)):
        assert town.post("/api/v1/jurisdictions", system, {"unit_code": unit, "region_code": region, "matter_code": matter, "valid_from": "2026-01-01"}).status_code == 201

    def regions(**asked: str) -> list[tuple[str, str]]:
        return [(row["unit_code"], row["region_code"]) for row in town.get("/api/v1/jurisdictions", system, **asked).json()["items"]]

    assert regions(matter_code=MATTER) == [("B02", "430104"), ("B01", "430105")] and regions(matter_code="*") == [("B01", "430104")]
    assert regions(matter_code=MATTER, unit_code="B01") == [("B01", "430105")]
    known = {row["role"]: row for row in town.get("/api/v1/roles", security).json()["items"]}
    assert set(known) == set(policy().roles) and known["clerk"] == {"role": "clerk", "title": "窗口人员", "of": "unit", "excludes": [], "is_for_systems": True}


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ("unit_code = 'B01' AND due_on >= '2026-01-01' AND due_on <= '2026-01-07'", "ix_case_file__unit_due"), ("due_on >= '2026-01-01' AND due_on <= '2026-01-07'", "ix_case_file__due"),
        ("unit_code = 'B01' AND received_at >= '2026-01-01' AND received_at < '2026-01-07'", "ix_case_file__unit_received"),
        ("received_at >= '2026-01-01' AND received_at < '2026-01-07'", "ix_case_file__received"),
        ("unit_code = 'B01' AND applicant_id = 'x'", "ix_case_file__applicant_id_id"),
    ],
)  # fmt: skip
def test_the_plan_of_a_narrowed_list_is_its_index(tmp_path: Any, asked: str, index: str) -> None:
    database = Database(Settings(home=tmp_path))
    upgrade(database)
    with database.read() as session:
        query = f"EXPLAIN QUERY PLAN SELECT * FROM case_file WHERE deleted_at IS NULL AND kind = 'public' AND {asked} ORDER BY id DESC LIMIT 31"  # noqa: S608
        plan = " ".join(str(row[-1]) for row in session.execute(sa.text(query)))
    database.close()
    assert f"USING INDEX {index} " in plan
