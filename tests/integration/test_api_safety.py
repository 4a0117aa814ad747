"""What whoever is let in must not reach through the API: numbers in clear, the server's memory and time, its faults."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import Audit, Base
from tests.support.operational_api import MATTER, City, city, key
from tests.support.server import running

NUMBER, PHONE = "11010519491231002X", "13900001234"


@pytest.fixture
def town(database: Database, database_settings: Settings) -> Iterator[City]:
    with city(database_settings.model_copy(update={"body_bytes": 50_000, "body_seconds": 1})) as found:
        yield found


def stored(database: Database) -> str:
    """All that lies in the store."""
    with database.engine.connect() as connection:
        return repr([connection.execute(sa.select(table)).all() for table in Base.metadata.sorted_tables])


def test_a_form_is_masked_for_the_staff_and_in_clear_on_the_record_only(town: City, database: Database) -> None:
    form = {"身份证号": NUMBER, "联系": [{"电话": int(PHONE)}], "面积": 120.5}
    case = town.draft(form=form)["id"]
    address, clerk = f"/api/v1/cases/{case}", town.keys["clerk"]
    assert town.act(case, town.citizens[0], "submit").status_code == 200
    masked = {"身份证号": "***", "联系": [{"电话": "***"}], "面积": 120.5}
    assert town.get(address, clerk).json()["form"] == masked and town.get(address, town.citizens[0]).json()["form"] == form
    assert NUMBER not in town.client.get(f"/desk/cases/{case}", headers=clerk).text
    assert town.post(f"{address}/reveal", town.keys["issuer"], {"reason": "制证"}).status_code == 403
    assert town.post(f"{address}/reveal", town.keys["other"], {"reason": "看看"}).status_code == 404
    assert town.post(f"{address}/reveal", clerk, {"reason": " "}).status_code == 422
    assert town.post(f"{address}/reveal", clerk, {"reason": f"核对 {PHONE}"}).json() == {"form": form}
    page = town.client.post(f"/desk/cases/{case}/reveal", data={"reason": "核对"}, headers=clerk)
    assert page.status_code == 200 and NUMBER in page.text and page.headers["cache-control"].endswith("no-store")
    with database.read() as session:
        shown = session.scalars(sa.select(Audit).where(Audit.action == "case.revealed")).all()
        assert [row.detail["reason"] for row in shown] == ["核对 ***", "核对"] and all(row.target.startswith("case:") for row in shown)


def test_what_came_back_masked_is_kept_as_it_was(town: City) -> None:
    town.draft()
    form = {"身份证号": NUMBER, "联系": [{"电话": int(PHONE)}, "无"], "面积": 120.5}
    body = {"matter_code": MATTER, "channel_code": "1", "form": form, "applicant_id": str(town.parties[0])}
    case = town.post("/api/v1/cases", town.keys["clerk"], body).json()["id"]
    seen = town.get(f"/api/v1/cases/{case}", town.keys["clerk"])
    back = seen.json()["form"] | {"面积": 99, "联系": [{"电话": "***", "姓名": "甲某"}, "有"]}
    changed = town.client.patch(f"/api/v1/cases/{case}", json={"form": back}, headers=town.keys["clerk"] | {"if-match": seen.headers["etag"]})
    assert changed.status_code == 200, changed.text
    assert town.get(f"/api/v1/cases/{case}", town.citizens[0]).json()["form"] == {
        "身份证号": NUMBER, "联系": [{"电话": int(PHONE), "姓名": "甲某"}, "有"], "面积": 99,
    }  # fmt: skip


def test_no_number_lies_in_clear_wherever_somebody_writes_it(town: City, database: Database) -> None:
    citizen = town.citizens[0]
    complaint = {"unit_code": "B01", "text": f"请打 {PHONE}", "letter_number": NUMBER, "tags": [f"证号 {NUMBER}"]}
    filed = town.post("/api/v1/complaints", citizen, complaint)
    letter = town.post("/api/v1/complaints", citizen, complaint | {"letter_number": "20260617000123"})
    terms = {"matters": ["*"], "actions": ["*"], "valid_from": "2026-01-01T00:00:00+08:00", "valid_to": "2099-01-01T00:00:00+08:00", "evidence": f"公证 1234567 号，{NUMBER}"}
    given = town.post("/api/v1/authorisations", citizen, {"principal_id": str(town.parties[0]), "agent_id": str(town.parties[1])} | terms)
    party = town.post("/api/v1/parties", town.keys["clerk"], {"kind": "person", "name": "丙某某", "id_type_code": "111", "number": "110101199003070011", "phone": PHONE})
    assert [answer.status_code for answer in (filed, letter, given, party)] == [201] * 4, (filed.text, given.text, party.text)
    assert filed.json()["letter_number"] == "***" and filed.json()["tags"] == ["证号 ***"] and letter.json()["letter_number"] == "20260617000123"
    assert given.json()["evidence"] == "公证 1234567 号，***"
    lies = stored(database)
    assert not any(each in lies for each in (NUMBER, PHONE, "110101199003070011", "丙某某", "20260617000123"))


def nested(depth: int) -> Any:
    """Lists within one another."""
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found


def test_bad_input_is_refused_in_one_sentence(town: City) -> None:
    citizen, security, system = town.citizens[0], town.staff["security_administrator"], town.staff["system_administrator"]
    late, early = "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"
    forms = [json.dumps(each) for each in ({"a": "\ud800"}, {"\ud800": 1}, {"a": 2**70}, {"a": nested(40)}, {"a": nested(300)}, {"a": nested(900)}, {"a": float("nan")}, {"a": float("inf")})]
    for form in [*forms, '{"a": 1e400}', f'{{"a": {"[" * 20_000}{"]" * 20_000}}}']:
        content = f'{{"matter_code": "{MATTER}", "channel_code": "2", "form": {form}}}'
        answer = town.client.post("/api/v1/cases", content=content, headers=citizen | key() | {"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "YW-SERVE-005"), form[:60]
    staff = town.get("/api/v1/staff", system).json()["items"][0]["id"]
    authorisation = {
        "principal_id": str(town.parties[0]), "agent_id": str(town.parties[1]), "matters": ["*"], "actions": ["*"], "valid_from": early, "valid_to": late, "evidence": NUMBER,
    }  # fmt: skip
    answers = [
        town.post("/api/v1/keys", security, {"name": "x", "grants": [{"role": "clerk", "unit_code": "B01"}], "expires_at": late}),
        town.post("/api/v1/grants", security, {"staff_id": staff, "role": "supervisor", "valid_to": late}),
        town.post("/api/v1/authorisations", citizen, authorisation),
        *(town.get("/api/v1/audit", town.staff["audit_administrator"], since=each) for each in (early, late)),
    ]
    assert [answer.status_code for answer in answers] == [422] * 5, [answer.text for answer in answers]


def test_values_do_not_reach_the_log(database: Database) -> None:
    with pytest.raises(sa.exc.SQLAlchemyError) as caught, database.engine.begin() as connection:
        connection.execute(sa.text("SELECT * FROM nowhere WHERE number = :number"), {"number": NUMBER})
    assert NUMBER not in str(caught.value)


def test_a_body_is_no_larger_than_allowed_whether_or_not_its_length_is_said(town: City) -> None:
    large = json.dumps({"matter_code": MATTER, "channel_code": "2", "form": {"a": "x" * 60_000}}).encode()
    headers = town.citizens[0] | {"content-type": "application/json"}

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield large

    for content in (large, endless()):
        answer = town.client.post("/api/v1/cases", content=content, headers=headers | key())
        assert (answer.status_code, answer.json()["code"]) == (413, "YW-SERVE-014"), answer.text
    page = town.client.post("/desk/cases/01909a4e-0000-7000-8000-000000000001/form", data={"name": "a", "value": "字" * 10_000}, headers=town.keys["clerk"])
    assert page.status_code == 404, "a form of a page writes each byte as three"
    assert town.client.post("/login", data={"token": "x" * 200_000}).status_code == 413, "before anybody is known, too"


def test_a_body_that_never_ends_is_not_waited_for(town: City) -> None:
    cookie = town.citizens[0]["cookie"]
    url = town.client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        head = f"POST /api/v1/cases HTTP/1.1\r\nHost: {url.host}\r\nCookie: {cookie}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        connection.sendall(head.encode())
        started = time.monotonic()
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408") and b"YW-SERVE-015" in answer + connection.recv(65536) and time.monotonic() - started < 9
        assert connection.recv(10) == b"", "the connection is closed"


def test_another_site_may_lead_somebody_here_and_nothing_else(town: City) -> None:
    foreign, clerk = {"sec-fetch-site": "cross-site"}, town.keys["clerk"]
    citizen = town.citizens[0]
    assert town.client.get("/api/v1/cases", headers=citizen | foreign).status_code == 401
    assert town.client.get("/api/v1/cases", headers=citizen | foreign | {"sec-fetch-mode": "navigate"}).status_code == 200, "a link"
    assert town.post("/api/v1/cases", citizen, {"matter_code": MATTER}, **foreign).status_code == 401
    assert town.client.get("/api/v1/cases", headers=clerk | foreign).status_code == 200, "a key is nothing that a browser sends by itself"


def test_the_file_of_the_store_is_its_accounts_own(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(Settings(home=home)) as client:
        assert client.get("/health").status_code == 200
        files = {path.name: oct(path.stat().st_mode & 0o777) for path in home.glob("operational.db*")}
    assert set(files) >= {"operational.db", "operational.db-wal"} and set(files.values()) == {"0o600"}
