"""Reviews and complaints by their real server on both databases: who sees what, codes, a bad review from its giving to its end."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from models.core.policy.service import Grant
from models.core.work.service import work
from models.domain.settings import Settings
from models.store.operational.database import Database
from tests.support.operational import system_key
from tests.support.operational_api import SETTER_UP, City, city

LIFE = (("submit", None), ("pass", "clerk"), ("accept", "clerk"), ("handle", "handler"), ("review", "reviewer"), ("grant", "approver"))


@pytest.fixture
def town(database: Database, database_settings: Settings) -> Iterator[City]:
    with city(database_settings) as found:
        watchers(found, database)
        yield found


def watchers(town: City, database: Database) -> None:
    """Keys for those who watch over the whole city."""
    with work(database, SETTER_UP, at := datetime.now(UTC)) as now:
        for role in ("supervisor", "visitor"):
            secret = system_key(now, role, [Grant(role)], at + timedelta(days=1), "")
            town.keys[role] = {"authorization": f"Bearer {secret}"}


def decided(town: City) -> tuple[str, int]:
    """A case with its decision, and the number of that event."""
    case = town.draft()["id"]
    for action, role in LIFE:
        answer = town.act(case, town.keys[role] if role else town.citizens[0], action)
        assert answer.status_code == 200, answer.text
    return str(case), len(LIFE)


def test_a_bad_review_from_its_giving_to_its_end(town: City) -> None:
    case, step = decided(town)
    body = {"case_id": case, "sequence": step, "level": 5, "tags": ["态度差"], "text": "请打 13900001234"}
    assert town.post("/api/v1/reviews", town.citizens[1], body).status_code == 404, "somebody else's case"
    given = town.post("/api/v1/reviews", town.citizens[0], body)
    assert given.status_code == 201, given.text
    assert town.post("/api/v1/reviews", town.keys["clerk"], body).json()["code"] == "YW-POLICY-001", "the reviewed unit does not review itself"
    path, follow_up = f"/api/v1/reviews/{given.json()['id']}", given.json()["follow_up_id"]
    assert town.post("/api/v1/reviews", town.citizens[0], body).json()["code"] == "YW-FEEDBACK-001"

    mine, theirs, watched = (town.get(path, who).json() for who in (town.citizens[0], town.keys["handler"], town.keys["supervisor"]))
    assert mine["party_id"] == watched["party_id"] == str(town.parties[0]) and theirs["party_id"] is None
    assert theirs["case_id"] == case and theirs["text"] == "请打 ***" and theirs["follow_up"]["step"] == "verify"
    assert town.get(path, town.keys["other"]).status_code == 404
    assert town.get(path.replace("reviews", "complaints"), town.citizens[0]).status_code == 404

    for role, action, more in (("handler", "as_simple", {}), ("handler", "rectify", {"reason": "已增开窗口"}), ("handler", "answer", {"reason": "已致歉"}), ("visitor", "finish", {"outcome": "rectified"})):
        answer = town.act(follow_up, town.keys[role], action, **more)
        assert answer.status_code == 200, answer.text
    events = town.get(f"/api/v1/cases/{follow_up}/events", town.keys["handler"]).json()["items"]
    assert events[0]["actor"] == "system" and not any("party:" in each["actor"] for each in events)

    assert town.post(f"{path}/visits", town.keys["handler"], {"is_satisfied": True}).status_code == 403
    assert town.post(f"{path}/visits", town.keys["visitor"], {"is_satisfied": True, "note": "满意"}).status_code == 201
    assert town.post(f"{path}/second", town.citizens[0], {"level": 2}).json()["follows_id"] == given.json()["id"]
    watched = town.get("/api/v1/reviews", town.keys["supervisor"], is_bad=True, state="settled", is_visited=True).json()["items"]
    assert [(each["level"], each["follow_up"]["outcome_code"]) for each in watched] == [(5, "rectified")]
    assert town.get(path, town.citizens[0]).json()["answer"] == "已致歉"
    notes = {role: town.get(path, town.keys[role]).json()["visits"][0]["note"] for role in ("handler", "supervisor")}
    assert notes == {"handler": None, "supervisor": "满意"}


def test_a_code_reviews_once_and_tells_nobody_which_case(town: City) -> None:
    case, step = decided(town)
    assert town.post("/api/v1/reviews/codes", town.keys["other"], {"case_id": case, "sequence": step}).status_code == 404
    code = town.post("/api/v1/reviews/codes", town.keys["clerk"], {"case_id": case, "sequence": step}).json()["code"]
    wrong = town.post("/api/v1/reviews/coded", town.keys["clerk"], {"code": code, "level": 4, "channel_code": "no-such"})
    assert wrong.json()["code"] == "YW-FEEDBACK-001", "and the code is not used up"
    given = town.post("/api/v1/reviews/coded", town.keys["clerk"], {"code": code, "level": 4})
    assert given.status_code == 201, given.text
    assert town.post("/api/v1/reviews/coded", town.keys["clerk"], {"code": code, "level": 1}).json()["code"] == "YW-FEEDBACK-001"
    path = f"/api/v1/reviews/{given.json()['id']}"
    assert [town.get(path, town.keys[role]).json()["case_id"] for role in ("handler", "supervisor")] == [None, case]
    who = [town.get(path, town.keys[role]).json()["given_by"] for role in ("handler", "supervisor")]
    assert who[0] is None and who[1].startswith("key:")
    own = town.post("/api/v1/reviews", town.citizens[0], {"case_id": case, "sequence": step, "level": 2})
    assert own.status_code == 201, "the code used up nothing"
    assert [each["id"] for each in town.get("/api/v1/reviews", town.keys["supervisor"]).json()["items"]] == [own.json()["id"]]


def test_an_appeal_is_checked_by_the_supervisor_and_decided_above(town: City) -> None:
    case, step = decided(town)
    given = town.post("/api/v1/reviews", town.citizens[0], {"case_id": case, "sequence": step, "level": 5}).json()
    path = f"/api/v1/reviews/{given['id']}/appeal"
    assert town.post(path, town.citizens[0], {"reason": "恶意"}).status_code == 403
    appeal = town.post(path, town.keys["handler"], {"reason": "恶意"}).json()["appeal_id"]
    assert town.act(appeal, town.keys["supervisor"], "check").status_code == 200
    assert town.act(appeal, town.keys["head"], "decide", outcome="upheld", reason="查实").json()["code"] == "YW-CORE-002", "its own cause"


def test_complaints_name_what_they_are_about(town: City) -> None:
    body = {"unit_code": "B01", "text": "来信没有答复", "letter_number": "2026-0017", "is_anonymous": True}
    made = town.post("/api/v1/complaints", town.citizens[0], body)
    assert made.status_code == 201 and made.json()["letter_number"] == "2026-0017", made.text
    assert town.post("/api/v1/complaints", town.citizens[0], body | {"matter_code": "M99"}).status_code == 404
    assert town.post("/api/v1/complaints", town.citizens[0], body | {"level": 1}).status_code == 422
    listed = town.get("/api/v1/complaints", town.keys["supervisor"], state="open").json()["items"]
    assert [(each["unit_code"], each["follow_up"]["step"], each["follow_up"]["is_overdue"]) for each in listed] == [("B01", "acceptance", False)]
    address = f"/api/v1/complaints/{made.json()['id']}"
    assert town.get(address, town.keys["other"]).status_code == 404
    assert town.post(f"{address}/withdrawal", town.citizens[0], {"reason": "已解决"}).status_code == 404, "nobody knows whose it is"
    named = town.post("/api/v1/complaints", town.citizens[0], body | {"is_anonymous": False}).json()
    assert town.act(named["follow_up_id"], town.keys["clerk"], "withdraw").json()["code"] == "YW-CORE-002"
    assert town.post(f"/api/v1/complaints/{named['id']}/withdrawal", town.citizens[0], {"reason": "已解决"}).status_code == 200
    assert town.get(f"/api/v1/complaints/{named['id']}", town.citizens[0]).json()["follow_up"]["phase"] == "closed"
