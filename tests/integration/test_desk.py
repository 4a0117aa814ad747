"""The desk's pages by a real server: a case through the hands of three people, a lost race, pages of other roles, maintenance."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa

from models.core.matters.service import NewVersion
from models.core.matters.service import publish as publish_matter
from models.core.policy.service import policy
from models.core.work.service import work
from models.domain.calendar import work_calendar
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import Audit, Unit
from serving.web.desk.common import MENU
from serving.web.desk.keeping import AREAS
from tests.support.operational_api import IDS, LICENCE, MATTER, SETTER_UP, City, city


@pytest.fixture
def town(database: Database, database_settings: Settings) -> Iterator[City]:
    with city(database_settings) as found:
        yield found


def form(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form with this action."""
    for text in re.findall(r"<form.*?</form>", page, re.S):
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text))
        if fields.get("action") == action:
            return fields
    raise AssertionError(f"no form for {action}")


def open_page(town: City, address: str, headers: dict[str, str]) -> str:
    answer = town.client.get(address, headers=headers | {"accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


def send(town: City, address: str, headers: dict[str, str], fields: dict[str, str]) -> httpx.Response:
    return town.client.post(address, data=fields, headers=headers | {"accept": "text/html"})


def test_an_application_at_the_window_says_when_the_licence_ends_where_and_on_which_promise(town: City) -> None:
    renewal, clerk = f"{MATTER}R", town.keys["clerk"]
    database = Database(town.settings)
    with work(database, SETTER_UP, datetime.now(UTC)) as now:
        now.session.get_one(Unit, "C").region_code = "430104"
        publish_matter(now, NewVersion(renewal, "公共场所卫生许可延续", "B01", "renewal", date(2026, 1, 1), LICENCE))
    database.close()
    last_day = date.today() + timedelta(days=10)

    def fill(matter: str, **more: str) -> httpx.Response:
        [key] = re.findall(r'name="key" value="([^"]+)"', open_page(town, "/desk/new", clerk))
        return send(town, "/desk/new", clerk, {"key": key, "matter_code": matter, "id_type_code": "111", "number": IDS[0], "channel_code": "1"} | more)

    for matter, given, told in ((renewal, "", "有效期截止日"), (renewal, "2020-01-01", "到期"), (renewal, "31/12", "应为日期"), (MATTER, str(last_day), "不是延续")):
        answer = fill(matter, expires_on=given, region_code="430104")
        assert answer.status_code == 422 and told in answer.text and 'value="430104"' in answer.text and IDS[0] not in answer.text, told
    page = open_page(town, fill(renewal, expires_on=str(last_day)).headers["location"], clerk)
    assert f"至 {last_day}" in page and "不视为准予" in page and "未受理" in page and "无期限" not in page
    address = fill(MATTER, is_commitment="true").headers["location"]
    seen = town.get(f"/api/v1{address.removeprefix('/desk')}", clerk).json()
    assert seen["is_commitment"] and seen["expires_on"] is None and seen["due_null_reason"] == "not_accepted"
    assert town.act(seen["id"], clerk, "submit").status_code == 200
    received = town.get(f"/api/v1/cases/{seen['id']}", clerk).json()
    [task] = received["tasks"]
    assert received["lapses_on"] == task["due_on"] and (task["due_on"] or task["provisional_due_on"]), "in the last days of a year the next may not be published"
    page = open_page(town, address, clerk)
    assert ("逾期视为受理" in page) == (received["lapse"] == "deemed_accepted") == (received["lapses_on"] is not None) and "无期限" not in page


def test_a_case_through_the_hands_of_three_people(town: City) -> None:
    clerk = town.keys["clerk"]
    page = open_page(town, "/desk/new", clerk)
    [key] = re.findall(r'name="key" value="([^"]+)"', page)
    fields = {"key": key, "matter_code": MATTER, "id_type_code": "111", "number": "11010519491231002X", "channel_code": "1", "content": "面积 120 平方米"}
    address = send(town, "/desk/new", clerk, fields).headers["location"]
    assert send(town, "/desk/new", clerk, fields).headers["location"] == address, "sent twice, drafted once"
    for role, action, more in (
        ("clerk", "submit", {}), ("clerk", "pass", {}), ("clerk", "accept", {"missing": ""}), ("handler", "handle", {}), ("reviewer", "review", {}),
        ("approver", "deny", {"reason": "不符合《公共场所卫生管理条例》第四条"}),
    ):  # fmt: skip
        page = open_page(town, address, town.keys[role])
        assert send(town, address, town.keys[role], form(page, action) | more).status_code == 303, (role, action)
    page = open_page(town, address, clerk)
    assert "已办结" in page and "不予" in page and "不符合《公共场所卫生管理条例》第四条" in page and "面积 120" in page
    assert "甲某" not in page and "19491231" not in page


def test_the_page_tells_who_did_what_with_kinds_days_and_names(town: City) -> None:
    case = town.draft()["id"]
    for role, action in ((None, "submit"), ("clerk", "pass"), ("clerk", "accept")):
        assert town.act(case, town.keys[role] if role else town.citizens[0], action).status_code == 200
    more = {"reason": "听证", "special_kind": "hearing", "has_written_notice": True}
    assert town.act(case, town.keys["handler"], "suspend", **more).status_code == 200
    page = open_page(town, f"/desk/cases/{case}", town.keys["handler"])
    assert "听证（已书面告知）" in page and "承办人 handler（承办人，机构 B01），机构 B01：" in page
    told = town.get(f"/api/v1/cases/{case}/events", town.citizens[0]).json()["items"][-1]
    assert (told["special_kind"], told["has_written_notice"], told["actor_name"]) == ("hearing", True, None)


def test_what_is_missing_or_lost_is_said_beside_the_form(town: City) -> None:
    case = town.draft()["id"]
    address = f"/desk/cases/{case}"
    assert town.act(case, town.citizens[0], "submit").status_code == 200
    page = open_page(town, address, town.keys["clerk"])
    refused = send(town, address, town.keys["clerk"], form(page, "return"))
    assert refused.status_code == 422 and "须说明理由" in refused.text
    assert town.act(case, town.keys["clerk"], "pass").status_code == 200
    late = send(town, address, town.keys["clerk"], form(page, "return") | {"reason": "请补充"})
    assert late.status_code == 409 and "刚被别人改过" in late.text
    assert send(town, "/desk/cases/01909a4e-0000-7000-8000-000000000001", town.keys["clerk"], {"action": "x", "key": "k" * 20, "version": "1"}).status_code == 404


def test_a_work_list_shows_its_own_and_takes_claims(town: City) -> None:
    case = town.draft()["id"]
    town.act(case, town.citizens[0], "submit")
    page = open_page(town, "/desk", town.keys["clerk"])
    [(address, key)] = re.findall(r'action="(/desk/tasks/[^"]+/claim)"><input type="hidden" name="key" value="([^"]+)"', page)
    assert send(town, address, town.keys["clerk"], {"key": key}).status_code == 303
    assert "释放" in open_page(town, "/desk", town.keys["clerk"])
    assert "没有待办" in open_page(town, "/desk", town.keys["other"])


def test_each_sees_only_the_pages_of_the_roles_and_gets_no_others(town: City) -> None:
    for who in (town.keys["clerk"], town.keys["handler"], *town.staff.values(), town.citizens[0]):
        for address, title, permission in MENU:
            answer = town.client.get(address, headers=who | {"accept": "text/html"})
            menu = re.search(r'aria-label="工作台">(.*?)</nav>', answer.text, re.S)
            assert (answer.status_code == 200) == (menu is not None and f'href="{address}"' in menu.group(1)), (address, title)
            # the desk itself leads who has no tasks to the first page of theirs
            assert answer.status_code in ((200, 303, 403) if address == "/desk" else (200, 403)), (address, permission, answer.status_code)


def test_everything_in_the_menu_is_there_and_every_form_has_a_permission() -> None:
    kept = {address.removeprefix("/desk/keep/") for address, _, _ in MENU if address.startswith("/desk/keep/")}
    assert kept == {name for name, area in AREAS.items() if area.above is None}
    assert all(area.above[0].split("?")[0] in {address for address, _, _ in MENU} for area in AREAS.values() if area.above), "a list that is not in the menu hangs below a page that is"
    for area in AREAS.values():
        asked = {area.permission, *(each.permission for each in (*area.on_row, *area.create))}
        assert asked <= set(policy().permissions)


def test_units_people_and_roles_are_kept_by_the_administrators_each_his_part(town: City, database: Database) -> None:
    system, security = town.staff["system_administrator"], town.staff["security_administrator"]
    assert send(town, "/desk/keep/units/create", system, {"key": "k1" * 8, "code": "B03", "name": "文旅局", "kind": "bureau", "parent_code": "C"}).status_code == 303
    assert send(town, "/desk/keep/staff/create", system, {"key": "k2" * 8, "account": "zhao", "name": "赵某", "unit_code": "B03", "phone": "13900001234"}).status_code == 303
    grant = {"key": "k3" * 8, "account": "zhao", "role": "approver", "unit_code": "B03"}
    assert send(town, "/desk/keep/grants/create", system, grant).status_code == 403
    assert send(town, "/desk/keep/grants/create", security, grant).status_code == 303
    assert '<option value="zhao">赵某</option>' in open_page(town, "/desk/keep/grants?role=approver&unit_code=B03", security)
    page = open_page(town, "/desk/keep/staff", system)
    assert "赵某" in page and "139****1234" in page and "13900001234" not in page
    wrong = send(town, "/desk/keep/units/create", system, {"key": "k4" * 8, "code": "B03", "name": "重复", "kind": "bureau", "parent_code": ""})
    assert wrong.status_code == 422 and "已使用过" in wrong.text and 'value="重复"' in wrong.text
    issued = send(town, "/desk/keep/keys/create", security, {"key": "k5" * 8, "name": "APP", "role": "clerk", "unit_code": "B03", "expires_on": "2099-01-01"})
    secret = re.search(r"<code>(yw_[^<]+)</code>", issued.text)
    assert secret is not None
    key_id = UUID(secret.group(1)[3:35])
    assert send(town, "/desk/keep/keys/confirm", system, {"key": "k7" * 8, "id": str(key_id)}).status_code == 303
    assert town.get("/api/v1/tasks", {"authorization": f"Bearer {secret.group(1)}"}).status_code == 200
    assert "B03" in open_page(town, "/desk/keep/units", system)
    with database.read() as session:
        assert session.get_one(Unit, "B03").path == "/C/B03/"
        assert session.scalar(sa.select(sa.func.count()).select_from(Audit).where(Audit.action == "role.given", Audit.detail["unit"].as_string() == "B03")) == 1


def test_a_form_cannot_be_sent_from_another_site(town: City) -> None:
    evil = town.staff["system_administrator"] | {"origin": "https://evil.example"}
    assert send(town, "/desk/keep/units/create", evil, {"key": "k6" * 8, "code": "X", "name": "X", "kind": "bureau", "parent_code": ""}).status_code in (401, 403)


def test_the_roles_of_the_policy_are_those_that_processes_ask_for() -> None:
    from models.core.processes.service import ROLES

    assert set(policy().roles) >= ROLES


def test_parties_are_registered_changed_shown_and_taken_out(town: City, database: Database) -> None:
    clerk, head = town.keys["clerk"], town.keys["handler"]
    new = {"key": "p1" * 8, "kind": "person", "name": "乙某某", "id_type_code": "111", "number": "430104199003071237", "phone": "13900005678"}
    wrong = send(town, "/desk/parties/create", clerk, new | {"number": "430104199003071230"})
    assert wrong.status_code == 422 and "校验码" in wrong.text and 'value="乙某某"' in wrong.text
    page = send(town, "/desk/parties/create", clerk, new)
    assert page.status_code == 200 and "139****5678" in page.text and "13900005678" not in page.text
    sent_again = send(town, "/desk/parties/create", clerk, new)
    assert sent_again.status_code == 200 and re.findall(r"<code>([^<]+)</code>", sent_again.text) == re.findall(r"<code>([^<]+)</code>", page.text)
    fields = {name: value for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text[page.text.index("/desk/parties/amend") :])[:3]}
    changed = send(town, "/desk/parties/amend", clerk, fields | {"phone": "13900009999"})
    assert "139****9999" in changed.text
    assert send(town, "/desk/parties/amend", clerk, fields | {"key": "p2" * 8, "phone": "13900001111"}).status_code == 409
    assert send(town, "/desk/parties/reveal", clerk, {"id": fields["id"], "field": "phone", "reason": ""}).status_code == 422
    assert "13900009999" in send(town, "/desk/parties/reveal", clerk, {"id": fields["id"], "field": "phone", "reason": "电话核实"}).text
    assert send(town, "/desk/parties/remove", clerk, fields | {"key": "p3" * 8, "reason": "x"}).status_code == 403, "a clerk takes nobody out"
    assert send(town, "/desk/parties/reveal", head, {"id": "x", "field": "phone", "reason": "y"}).status_code == 422
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Audit).where(Audit.action == "party.revealed")) == 1


def test_an_authorisation_is_written_down_and_revoked_on_its_page(town: City) -> None:
    clerk = town.keys["clerk"]
    ids = []
    for number, name in (("11010519491231002X", "甲某"), ("440524188001010014", "丙某")):
        page = send(town, "/desk/parties/create", clerk, {"key": number, "kind": "person", "name": name, "id_type_code": "111", "number": number, "phone": ""})
        ids += re.findall(r"<code>([^<]+)</code>", page.text) or re.findall(r"<code>([^<]+)</code>", send(town, "/desk/parties", clerk, {"id_type_code": "111", "number": number}).text)
    given = {
        "key": "z1" * 8, "principal_id": ids[0], "agent_id": ids[1], "matters": MATTER, "actions": "submit", "valid_from": "2026-01-01", "valid_to": "2027-01-01",
        "evidence": "授权书 2026-1", "is_special": "0",
    }  # fmt: skip
    assert send(town, "/desk/keep/authorisations/create", clerk, given | {"key": "z0" * 8, "agent_id": "nobody"}).status_code == 422
    assert send(town, "/desk/keep/authorisations/create", clerk, given).status_code == 303
    address = f"/desk/keep/authorisations?party_id={ids[0]}"
    page = open_page(town, address, clerk)
    assert MATTER in page and "撤销" in page
    [row] = re.findall(r'name="id" value="([^"]+)"', page)
    assert send(town, "/desk/keep/authorisations/revoke", clerk, {"key": "z2" * 8, "id": row, "reason": "委托结束"}).status_code == 303
    assert "没有符合条件的内容" in open_page(town, "/desk/keep/authorisations?party_id=01909a4e-0000-7000-8000-000000000001", clerk)
    assert town.client.get("/desk/keep/authorisations?party_id=x", headers=clerk | {"accept": "text/html"}).status_code == 422


def test_regions_windows_and_a_year_are_kept_on_their_pages(town: City) -> None:
    system = town.staff["system_administrator"]
    claim = {"key": "j1" * 8, "unit_code": "B01", "region_code": "430104", "matter_code": "", "valid_from": "2026-01-01", "valid_to": ""}
    assert send(town, "/desk/keep/jurisdictions/create", system, claim).status_code == 303
    assert send(town, "/desk/keep/jurisdictions/create", system, claim | {"key": "j2" * 8}).status_code == 422
    page = open_page(town, "/desk/keep/jurisdictions?region_code=430104", system)
    assert "全部" in page
    end = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)) | {"valid_to": "2026-12-31"}
    assert send(town, "/desk/keep/jurisdictions/end", system, end).status_code == 303
    window = {"key": "w1" * 8, "code": "W77", "name": "七号", "unit_code": "B01", "place": "一楼", "opens": "10:00-09:00", "capacity": "2", "matters": ""}
    backwards = send(town, "/desk/keep/windows/create", system, window)
    assert backwards.status_code == 422 and "应晚于开始时间" in backwards.text
    overlapping = send(town, "/desk/keep/windows/create", system, window | {"key": "w2" * 8, "opens": "09:00-10:00 09:30-10:30"})
    assert overlapping.status_code == 422 and "重叠" in overlapping.text
    assert send(town, "/desk/keep/windows/create", system, window | {"key": "w3" * 8, "opens": "09:00-10:00", "matters": MATTER}).status_code == 303
    assert MATTER in open_page(town, "/desk/keep/windows", system)
    year = {"key": "y1" * 8, "year": "2031", "rest_days": "2031-01-01", "working_days": "", "reason": "通知"}
    refused = send(town, "/desk/keep/days/year", system, year)
    assert refused.status_code == 422 and "下一个要录入的年份" in refused.text


def test_a_form_that_comes_back_with_other_content_is_not_said_to_be_done(town: City) -> None:
    system = town.staff["system_administrator"]
    unit = {"key": "q1" * 8, "code": "X1", "name": "一", "kind": "bureau", "parent_code": ""}
    assert send(town, "/desk/keep/units/create", system, unit).status_code == 303
    again = send(town, "/desk/keep/units/create", system, unit | {"code": "X2"})
    assert again.status_code == 422 and "已经提交过" in again.text and "X2" not in re.findall(r"<th scope=\"row\"[^>]*>([^<]+)<", again.text)
    assert send(town, "/desk/keep/units/create", system, {name: value for name, value in unit.items() if name != "key"} | {"code": "X3"}).status_code == 422


def test_what_is_declared_is_changed_while_it_may_be_and_a_draft_is_removed(town: City) -> None:
    case = town.draft()["id"]
    address, citizen = f"/desk/cases/{case}", town.citizens[0]
    clerk = town.keys["clerk"]
    assert town.act(case, citizen, "submit").status_code == 200
    assert "修改申请内容" not in open_page(town, address, clerk)
    assert town.act(case, clerk, "pass").status_code == 200
    asked = town.client.post(f"/api/v1/cases/{case}/actions", json={"action": "ask_correction", "reason": "面积不清"}, headers=clerk | {"idempotency-key": "ask-correction-1"})
    assert asked.status_code == 200, asked.text
    page = open_page(town, address, clerk)
    fields = dict(re.findall(r'<input type="hidden" name="(key|version)" value="([^"]*)"', page[page.index("/form") :]))
    sent = town.client.post(f"{address}/form", data=fields | {"name": ["面积", "楼层"], "value": ["130 平方米", "3"]}, headers=clerk | {"accept": "text/html"})
    assert sent.status_code == 303, sent.text
    told = town.get(f"/api/v1/cases/{case}", clerk).json()
    assert told["form"] == {"面积": "130 平方米", "楼层": 3}
    lost = town.client.post(f"{address}/form", data=fields | {"key": "another-key", "name": ["面积"], "value": ["1"]}, headers=clerk | {"accept": "text/html"})
    assert lost.status_code == 409 and "刚被别人改过" in lost.text


def test_everybody_begins_with_a_page_of_theirs(town: City) -> None:
    for who in (*town.staff.values(), town.keys["clerk"], town.keys["handler"]):
        address, seen = "/", []
        while (answer := town.client.get(address, headers=who | {"accept": "text/html"}, follow_redirects=False)).status_code == 303:
            address = answer.headers["location"]
            seen.append(address)
        assert answer.status_code == 200 and 'aria-label="工作台"' in answer.text and seen[0] == "/desk", seen
    citizen = town.client.get("/", headers=town.citizens[0] | {"accept": "text/html"}, follow_redirects=False)
    assert (citizen.status_code, citizen.headers["location"]) == (303, "/matters")


def hidden(page: str, address: str) -> dict[str, str]:
    """The hidden fields of the form that goes to an address."""
    [text] = [each for each in re.findall(r"<form.*?</form>", page, re.S) if f'action="{address}"' in each]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text))


def test_matters_and_processes_are_published_on_their_pages(town: City) -> None:
    system = town.staff["system_administrator"]
    page = open_page(town, "/desk/keep/matters", system)
    assert '<option value="licence">行政许可（一般程序）' in page and '<option value="B01">机构 B01' in page
    new = {
        "code": "X-1", "name": "取水许可", "unit_code": "B01", "process": "licence", "effective_from": "2026-01-01", "type_code": "01", "promised_limit": "5", "promised_limit_unit": "wd",
        "statutory_limit": "20", "statutory_limit_unit": "wd", "channels": ["1", "2"], "units": "", "body": '{"result_name": "取水许可证"}',
    }  # fmt: skip

    def publish(address: str, fields: dict[str, object]) -> httpx.Response:
        return town.client.post(address, data=fields, headers=system | {"accept": "text/html"})

    wrong = publish("/desk/keep/matters/create", new | hidden(page, "/desk/keep/matters/create") | {"body": "{"})
    assert wrong.status_code == 422 and "不是合法的 JSON" in wrong.text and 'value="取水许可"' in wrong.text and re.search(r'name="channels" value="2" checked', wrong.text)
    assert publish("/desk/keep/matters/create", new | hidden(wrong.text, "/desk/keep/matters/create")).status_code == 303
    page = open_page(town, "/desk/keep/matters/X-1", system)
    assert "取水许可证" in page and "5 个工作日" in page and "窗口办理" in page
    again = {name: value for name, value in new.items() if name != "code"} | hidden(page, "/desk/keep/matters/version") | {"promised_limit": "30"}
    refused = publish("/desk/keep/matters/version", again | {"effective_from": "2026-02-01"})
    assert refused.status_code == 422 and "不能长于法定时限" in refused.text and 'value="30"' in refused.text
    assert publish("/desk/keep/matters/version", again | {"key": "v1" * 8, "promised_limit": "3", "effective_from": "2026-02-01"}).status_code == 303
    assert "第 2 版" in open_page(town, "/desk/keep/matters/X-1", town.keys["clerk"])
    assert town.client.get("/desk/keep/matters/none", headers=system | {"accept": "text/html"}).status_code == 404
    page = open_page(town, "/desk/keep/processes/licence/2", system)
    assert '<svg class="flow" role="img"' in page and "发布新版本" not in page and "不能由同一人办理" in page
    [text] = re.findall(r'<textarea[^>]*name="definition"[^>]*>(.*?)</textarea>', page, re.S)
    fields = {"definition": html.unescape(text).replace("version: 2", "version: 3").replace("to: [pre_review]", "to: [nowhere]"), "wanted": "check"}
    faulty = publish("/desk/keep/processes/version", fields | hidden(page, "/desk/keep/processes/version"))
    assert faulty.status_code == 422 and "没有这些环节：nowhere" in faulty.text and "to: [nowhere]" in faulty.text
    fields["definition"] = fields["definition"].replace("to: [nowhere]", "to: [pre_review]")
    checked = publish("/desk/keep/processes/version", fields | {"key": "c1" * 8, "id": "licence/2"})
    assert "没有发现问题" in checked.text and "version: 3" in checked.text
    assert town.client.get("/desk/keep/processes/licence/3", headers=system | {"accept": "text/html"}).status_code == 404, "a check publishes nothing"
    assert publish("/desk/keep/processes/version", fields | {"key": "c2" * 8, "id": "licence/2", "wanted": "publish"}).status_code == 303
    assert "第 3 版" in open_page(town, "/desk/keep/processes?process=licence", system)


def test_jobs_messages_and_days_are_seen_to_on_their_pages(town: City) -> None:
    system = town.staff["system_administrator"]
    page = open_page(town, "/desk/keep/jobs", system)
    assert send(town, "/desk/keep/jobs/create", system, hidden(page, "/desk/keep/jobs/create") | {"kind": "audit.verify"}).status_code == 303
    page = open_page(town, "/desk/keep/jobs", system)
    [address] = re.findall(r'href="(/desk/keep/jobs/[0-9a-f-]{36})"', page)
    assert "核查审计记录" in page and "没有运行，请启动 yiwang worker" in page
    page = open_page(town, address, system)
    assert "重试</button>" not in page
    assert send(town, "/desk/keep/jobs/cancel", system, hidden(page, "/desk/keep/jobs/cancel")).headers["location"] == f"{address}?done=1"
    assert "已取消" in open_page(town, address, system)
    made = town.client.post(
        "/desk/keep/webhooks/create", data={"key": "h1" * 8, "name": "APP", "url": "https://app.example.org/x", "topics": ["case.moved", "notice.published"]},
        headers=system | {"accept": "text/html"},
    )  # fmt: skip
    assert "只显示这一次" in made.text
    [address] = re.findall(r'href="(/desk/keep/webhooks/[0-9a-f-]{36})"', made.text)
    assert town.post("/api/v1/notices", system, {"title": "一", "body": "二", "unit_code": "C"}).status_code == 201
    page = open_page(town, address, system)
    assert "公告已发布，等待" in page and re.search(r'value="notice.published" checked', page) and "停用</button>" in page
    tried = send(town, "/desk/keep/webhooks/test", system, hidden(page, "/desk/keep/webhooks/test"))
    assert tried.status_code == 200 and "已交给后台程序" in tried.text
    webhook_id = address.rpartition("/")[2]
    page = open_page(town, f"/desk/keep/deliveries?webhook_id={webhook_id}", system)
    assert "公告已发布" in page and "跳过</button>" not in page, "it does not fail"
    refused = send(town, "/desk/keep/deliveries/skip", system, {"key": "d1" * 8, "id": f"{webhook_id}/{webhook_id}"})
    assert refused.status_code == 409 and "只能跳过正在失败的" in refused.text and "公告已发布" in refused.text
    for lost in ("", "?webhook_id=x", f"?webhook_id={UUID(int=7)}"):
        assert town.client.get(f"/desk/keep/deliveries{lost}", headers=system | {"accept": "text/html"}).status_code in (404, 422)
    day = next(day for day in (date.today() + timedelta(n) for n in range(1, 9)) if day.weekday() < 5)
    page = open_page(town, f"/desk/calendar?day={day}", system)
    fields = hidden(page, "/desk/keep/days/create") | {"day": str(day), "is_working": "0", "reason": "台风停工"}
    assert f'value="{day}"' in page and send(town, "/desk/keep/days/create", system, fields).headers["location"] == f"/desk/calendar?year={day.year}"
    assert f"{day.month}月{day.day}日，休息，台风停工，由管理员确定" in open_page(town, f"/desk/calendar?year={day.year}", town.keys["clerk"])
    for wrong, status in (("year=x", 422), ("year=1", 404), ("year=99999", 404), ("day=2026-13-01", 422)):
        assert town.client.get(f"/desk/calendar?{wrong}", headers=system | {"accept": "text/html"}).status_code == status, wrong


def test_who_stands_at_the_window_is_booked_heard_and_found(town: City) -> None:
    system, clerk = town.staff["system_administrator"], town.keys["clerk"]
    window = {"key": "w3" * 8, "code": "W1", "name": "综合窗口", "unit_code": "B01", "place": "", "opens": "09:00-10:00", "capacity": "1", "matters": ""}
    assert send(town, "/desk/keep/windows/create", system, window).status_code == 303
    page = open_page(town, "/desk/keep/appointments", clerk)
    assert '<option value="W1">综合窗口' in page and '<option value="09:00-10:00">' in page and f'<option value="{MATTER}">' in page
    day = next(day for day in (date.today() + timedelta(n) for n in range(1, 15)) if work_calendar().is_working(day))
    wanted = {"window_code": "W1", "day": str(day), "slot": "09:00-10:00", "id_type_code": "111", "number": IDS[0], "matter_code": MATTER}
    booked = send(town, "/desk/keep/appointments/create", clerk, wanted | {"key": "b1" * 8})
    assert booked.status_code == 200 and "第 1 号" in booked.text and IDS[0] not in booked.text
    full = send(town, "/desk/keep/appointments/create", clerk, wanted | {"key": "b2" * 8, "number": IDS[1]})
    assert full.status_code == 409 and "已约满" in full.text and IDS[1] not in full.text and f'value="{day}"' in full.text
    nobody = send(town, "/desk/keep/appointments/create", clerk, wanted | {"key": "b3" * 8, "number": "430104199003071237"})
    assert nobody.status_code == 404 and "先在“办事主体”登记" in nobody.text
    called = hidden(open_page(town, "/desk/keep/appointments", clerk), "/desk/keep/appointments/called")
    assert send(town, "/desk/keep/appointments/called", clerk, called).status_code == 303
    page = open_page(town, "/desk/keep/appointments", clerk)
    assert "已叫号" in page and "/appointments/served" in page and "/appointments/cancelled" not in page

    said = {"unit_code": "B01", "text": "窗口午休不办公", "id_type_code": "111", "number": IDS[0], "is_anonymous": "", "case_number": "", "matter_code": ""}
    assert "还没有内容" not in open_page(town, "/desk/keep/opinions", clerk) and town.client.get("/desk/keep/complaints", headers=clerk | {"accept": "text/html"}).status_code == 403
    filed = send(town, "/desk/keep/opinions/complaint", clerk, said | {"key": "o1" * 8})
    [number] = re.findall(r"投诉件编号 (TS\w+)", filed.text)
    [hers] = town.get("/api/v1/complaints", town.citizens[0]).json()["items"]
    assert town.get(f"/api/v1/complaints/{hers['id']}", town.citizens[0]).json()["text"] == "窗口午休不办公"
    page = open_page(town, "/desk/keep/complaints", town.keys["handler"])
    [address] = re.findall(r'href="(/desk/keep/complaints/[0-9a-f-]{36})"', page)
    page = open_page(town, address, town.keys["handler"])
    assert "窗口午休不办公" in page and "甲" not in page and IDS[0][-4:] not in page, "who is complained about does not learn by whom"
    [case] = re.findall(r'href="(/desk/cases/[0-9a-f-]{36})">' + number, page)
    assert f'href="{address}">投诉</a>' in open_page(town, case, town.keys["handler"])

    mine, other = town.draft(0)["id"], town.draft(1)["id"]
    for citizen, each in enumerate((mine, other)):
        assert town.act(each, town.citizens[citizen], "submit").status_code == 200
    found = send(town, "/desk/cases", clerk, {"id_type_code": "111", "number": IDS[0], "phone": ""}).headers["location"]
    page = open_page(town, found, clerk)
    assert mine in page and other not in page and IDS[0] not in found and "看全部" in page
    number = town.get(f"/api/v1/cases/{mine}", clerk).json()["case_number"]
    early = send(town, "/desk/keep/opinions/code", clerk, {"key": "r0" * 8, "case_number": number, "step": "accepted"})
    assert early.status_code == 409 and "还没有“受理”这个环节" in early.text
    assert [town.act(mine, clerk, action).status_code for action in ("pass", "accept")] == [200, 200]
    [code] = re.findall(r"<code>([^<]+)</code>", send(town, "/desk/keep/opinions/code", clerk, {"key": "r1" * 8, "case_number": number, "step": "accepted"}).text)
    review = {"key": "r2" * 8, "code": code, "level": "4", "channel_code": "tablet", "text": "等了两小时"}
    assert send(town, "/desk/keep/opinions/coded", clerk, review).status_code == 303
    used = send(town, "/desk/keep/opinions/coded", clerk, review | {"key": "r3" * 8})
    assert used.status_code == 409 and "已使用" in used.text and code not in used.text
    [address] = re.findall(r'href="(/desk/keep/reviews/[0-9a-f-]{36})"', open_page(town, "/desk/keep/reviews?is_bad=1", town.keys["head"]))
    page = open_page(town, address, town.keys["head"])
    assert "等了两小时" in page and number not in page and re.search(r'href="/desk/cases/[0-9a-f-]{36}">ZG', page) and "申诉</button>" in page
    assert send(town, "/desk/cases", clerk, {"number": "", "phone": "13900000000"}).status_code == 422, "two have this phone"
    assert send(town, "/desk/cases", town.keys["head"], {"number": IDS[0]}).status_code == 403
    assert "没有找到办件" in open_page(town, "/desk/cases?received_to=2000-01-01", clerk)
    assert town.client.get("/desk/cases?due_to=x", headers=clerk | {"accept": "text/html"}).status_code == 422
