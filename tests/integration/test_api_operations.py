"""The operational API by its real server, on both databases: cases by the people who handle them, rights, repeats, lost races."""

import threading
from collections.abc import Iterator

import httpx
import pytest
import sqlalchemy as sa

from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import Audit, CaseFile, Idempotency
from tests.support.operational_api import MATTER, City, city, key

LIFE = [
    ("submit", None), ("pass", "clerk"), ("accept", "clerk"), ("handle", "handler"), ("review", "reviewer"), ("grant", "approver"), ("issue", "issuer"),
    ("deliver", "issuer"),
]  # fmt: skip


@pytest.fixture
def town(database: Database, database_settings: Settings) -> Iterator[City]:
    with city(database_settings) as found:
        yield found


def approved(town: City) -> str:
    """A case that waits for its decision."""
    case = town.draft()["id"]
    for action, role in LIFE[:5]:
        answer = town.act(case, town.keys[role] if role else town.citizens[0], action)
        assert answer.status_code == 200, answer.text
    return str(case)


def test_a_case_from_application_to_delivery(town: City, database: Database) -> None:
    case = approved(town)
    seen = town.get(f"/api/v1/cases/{case}", town.keys["approver"]).json()
    assert seen["phase"] == "in_approval" and [task["step"] for task in seen["tasks"]] == ["decision"]
    assert {each["action"] for each in seen["possible"]} == {"send_back", "grant", "deny", "terminate"}
    assert seen["form"] == {"场所名称": "清风浴室"}
    for action, role in LIFE[5:]:
        assert town.act(case, town.keys[role or ""], action).status_code == 200
    ended = town.get(f"/api/v1/cases/{case}", town.citizens[0]).json()
    assert (ended["phase"], ended["outcome_code"], ended["possible"]) == ("closed", "granted", [])
    events = town.get(f"/api/v1/cases/{case}/events", town.citizens[0]).json()["items"]
    assert [event["action"] for event in events] == [action for action, _ in LIFE]
    assert events[0]["authority"] == "self" and events[5]["authority"] == "approver@B01" and events[5]["actor"].startswith("key:")
    with database.read() as session:
        stored = session.scalars(sa.select(CaseFile.form)).one()
        assert stored is not None and "清风" not in stored
        assert session.scalar(sa.select(sa.func.count()).select_from(Audit).where(Audit.action == "case.moved")) == len(LIFE)


def test_rows_out_of_reach_do_not_exist(town: City) -> None:
    case = approved(town)
    for stranger in (town.citizens[1], town.keys["other"]):
        assert town.get(f"/api/v1/cases/{case}", stranger).json()["code"] == "YW-STORE-011"
        assert town.get(f"/api/v1/cases/{case}/events", stranger).status_code == 404
        assert town.act(case, stranger, "withdraw", reason="不想办了").status_code == 404
        assert town.get("/api/v1/cases", stranger).json() == {"items": [], "next": None}
    assert town.get("/api/v1/tasks", town.keys["other"]).json()["items"] == []
    [task] = town.get("/api/v1/tasks", town.keys["approver"]).json()["items"]
    assert task["case_id"] == case and task["role"] == "approver" and task["due_on"] is not None


def test_who_may_not_take_a_step_is_told_who_may(town: City) -> None:
    case = approved(town)
    answer = town.act(case, town.keys["handler"], "grant")
    assert (answer.status_code, answer.json()["code"]) == (403, "YW-CORE-002")
    assert answer.json()["detail"] == "不能“准予许可”：须由“审批人”办理。"
    answer = town.act(case, town.keys["approver"], "deny")
    assert (answer.status_code, answer.json()["code"]) == (422, "YW-CORE-003")
    matter = {"code": "M", "name": "", "unit_code": "B01", "process": "licence", "effective_from": "2026-07-01", "limits": {"promised_limit": -1}}
    told = {each["name"]: each["detail"] for each in town.post("/api/v1/matters", town.staff["system_administrator"], matter).json()["errors"]}
    assert told == {"name": "不能为空", "limits.promised_limit": "不能小于 0"}
    assert town.act(case, town.citizens[0], "grant").status_code == 403


def test_fields_are_hidden_from_those_whose_work_does_not_need_them(town: City) -> None:
    case = approved(town)
    issuer = town.get(f"/api/v1/cases/{case}", town.keys["issuer"]).json()
    assert issuer["form"] is None and issuer["is_form_hidden"] is True


def test_the_same_request_twice_is_done_once(town: City, database: Database) -> None:
    headers, body = town.citizens[0] | key(), {"matter_code": MATTER, "channel_code": "2", "form": {"a": "1"}}
    first, second = (town.client.post("/api/v1/cases", json=body, headers=headers) for _ in range(2))
    assert first.json() == second.json() and second.status_code == 201
    assert town.client.post("/api/v1/cases", json=body | {"form": {"a": "2"}}, headers=headers).json()["code"] == "YW-CORE-005"
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(CaseFile)) == 1
        kept = session.scalars(sa.select(Idempotency.answer)).all()
        assert kept and not any("case_number" in each for each in kept), "an answer may name somebody"


def test_of_two_approvers_at_once_one_decides(town: City) -> None:
    case, answers = approved(town), []

    def decide(action: str) -> None:
        more = {} if action == "grant" else {"reason": "不符合条件"}
        with httpx.Client(base_url=town.client.base_url) as own:
            answers.append(own.post(f"/api/v1/cases/{case}/actions", json={"action": action} | more, headers=town.keys["approver"] | key()).status_code)

    threads = [threading.Thread(target=decide, args=(action,)) for action in ("grant", "deny", "grant", "deny")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers)[0] == 200 and set(sorted(answers)[1:]) <= {409}
    events = town.get(f"/api/v1/cases/{case}/events", town.keys["approver"]).json()["items"]
    assert [event["activity"] for event in events].count("completed") == 1


def test_a_change_of_what_was_changed_since_is_refused(town: City) -> None:
    draft = town.draft()
    address, headers = f"/api/v1/cases/{draft['id']}", town.citizens[0]
    tag = town.get(address, headers).headers["etag"]
    assert town.client.get(address, headers=headers | {"if-none-match": tag}).status_code == 304
    changed = town.client.patch(address, json={"form": {"b": "2"}}, headers=headers | {"if-match": tag})
    assert changed.status_code == 200 and changed.headers["etag"] != tag
    lost = town.client.patch(address, json={"form": {"b": "3"}}, headers=headers | {"if-match": tag})
    assert (lost.status_code, lost.json()["code"]) == (412, "YW-SERVE-011")
    assert town.get(address, headers).json()["form"] == {"b": "2"}
    removed = town.post(f"{address}/removal", headers, {"reason": "填错了"}, **{"if-match": changed.headers["etag"]})
    assert removed.status_code == 200 and town.get(address, headers).status_code == 404


def test_a_claimed_task_is_its_holders(town: City) -> None:
    case = approved(town)
    [task] = town.get("/api/v1/tasks", town.keys["approver"]).json()["items"]
    assert town.post(f"/api/v1/tasks/{task['id']}/claim", town.keys["approver"]).status_code == 200
    assert town.act(case, town.keys["all"], "grant").json()["code"] == "YW-CORE-008"
    assert town.post(f"/api/v1/tasks/{task['id']}/claim", town.keys["all"]).json()["code"] == "YW-CORE-008"
    assert town.post(f"/api/v1/tasks/{task['id']}/release", town.keys["head"]).json()["assignee"] is None
    assert town.act(case, town.keys["all"], "grant").status_code == 200


def test_an_agent_acts_on_an_authorisation_and_no_longer(town: City) -> None:
    mine, agent = town.citizens
    body = {"matter_code": MATTER, "channel_code": "2", "applicant_id": str(town.parties[0])}
    assert town.post("/api/v1/cases", agent, body).json()["code"] == "YW-POLICY-003"
    given = town.post("/api/v1/authorisations", mine, {
        "principal_id": str(town.parties[0]), "agent_id": str(town.parties[1]), "matters": [MATTER], "actions": ["submit"],
        "valid_from": "2026-01-01T00:00:00+08:00", "valid_to": "2099-01-01T00:00:00+08:00", "evidence": "委托书 1 号",
    })  # fmt: skip
    assert given.status_code == 201, given.text
    assert town.post("/api/v1/authorisations", agent, given.json() | {"id": None}).status_code == 422
    case = town.post("/api/v1/cases", agent, body).json()["id"]
    assert town.act(case, agent, "submit").status_code == 200
    events = town.get(f"/api/v1/cases/{case}/events", mine).json()["items"]
    assert events[0]["authority"] == f"authorisation:{given.json()['id']}"
    assert town.act(case, agent, "withdraw", reason="误报").status_code == 403
    assert town.post(f"/api/v1/authorisations/{given.json()['id']}/revocation", mine, {"reason": "不再委托"}).status_code == 200
    assert town.post("/api/v1/cases", agent, body).status_code == 403


def test_parties_are_masked_and_each_showing_is_written_down(town: City, database: Database) -> None:
    clerk = town.keys["clerk"]
    found = town.post("/api/v1/parties/search", clerk, {"id_type_code": "111", "number": "11010519491231002x"}).json()["items"]
    assert [each["id"] for each in found] == [str(town.parties[0])] and "1949" not in str(found) and "甲某" not in str(found)
    address = f"/api/v1/parties/{town.parties[0]}/reveal"
    assert town.client.post(address, json={"field": "number", "reason": "核对身份"}, headers=clerk).json() == {"value": "11010519491231002X"}
    assert town.client.post(address, json={"field": "number", "reason": "看看"}, headers=town.citizens[1]).status_code == 404
    with database.read() as session:
        [shown] = session.scalars(sa.select(Audit).where(Audit.action == "party.revealed"))
        assert shown.detail == {"field": "number", "reason": "核对身份"} and shown.target == f"party:{town.parties[0]}"
    read = town.get("/api/v1/audit", town.staff["audit_administrator"], action="party.revealed").json()["items"]
    assert [each["target"] for each in read] == [f"party:{town.parties[0]}"]
    again = town.get("/api/v1/audit", town.staff["audit_administrator"], action="audit.read").json()["items"]
    assert len(again) == 1
    assert town.get("/api/v1/audit", town.staff["system_administrator"]).status_code == 403


def test_lists_take_as_many_queries_for_fifty_rows_as_for_five(town: City) -> None:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    counted: list[str] = []

    def count(connection: object, cursor: object, statement: str, *_: object) -> None:
        counted.append(statement)

    def queries(path: str, headers: dict[str, str]) -> int:
        """The fewer of two times: a key is looked up once a second only."""
        found = []
        for _ in range(2):
            counted.clear()
            assert town.get(path, headers, limit=200).status_code == 200
            found.append(len([each for each in counted if each.lstrip().upper().startswith("SELECT")]))
        return min(found)

    addresses = [("/api/v1/cases", town.citizens[0]), ("/api/v1/tasks", town.keys["clerk"]), ("/api/v1/staff", town.staff["system_administrator"])]
    event.listen(Engine, "before_cursor_execute", count)
    try:
        for _ in range(2):
            assert town.act(town.draft()["id"], town.citizens[0], "submit").status_code == 200
        few = [queries(*each) for each in addresses]
        for _ in range(10):
            assert town.act(town.draft()["id"], town.citizens[0], "submit").status_code == 200
        assert [queries(*each) for each in addresses] == few and max(few) <= 5
    finally:
        event.remove(Engine, "before_cursor_execute", count)


def test_pages_hold_every_row_once_whatever_comes_in_between(town: City) -> None:
    made = [town.draft()["id"] for _ in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        page = town.get("/api/v1/cases", town.citizens[0], limit=3, **({"cursor": cursor} if cursor else {})).json()
        seen += [each["id"] for each in page["items"]]
        town.draft()
        if (cursor := page["next"]) is None:
            break
    assert seen == list(reversed(made))
    assert town.get("/api/v1/cases", town.citizens[0], limit=10_000).status_code == 422
    assert town.get("/api/v1/tasks", town.keys["clerk"], cursor="x" * 40).json()["code"] == "YW-STORE-006"


def test_a_new_version_of_a_process_leaves_running_cases_alone(town: City) -> None:
    case = town.draft()["id"]
    administrator = town.staff["system_administrator"]
    definition = town.get("/api/v1/processes/licence/2", administrator).json()["body"]
    changed = definition | {"version": 3, "actions": [each for each in definition["actions"] if each["action"] != "return"]}
    assert town.post("/api/v1/processes", administrator, {"definition": changed | {"version": 2}}).json()["code"] == "YW-CORE-006"
    assert town.post("/api/v1/processes", administrator, {"definition": changed}).status_code == 201
    assert town.act(case, town.citizens[0], "submit").status_code == 200
    assert town.act(case, town.keys["clerk"], "return", reason="请补充面积").status_code == 200
    new = town.draft()["id"]
    assert town.act(new, town.citizens[0], "submit").status_code == 200
    assert town.act(new, town.keys["clerk"], "return", reason="请补充面积").json()["code"] == "YW-CORE-001"
