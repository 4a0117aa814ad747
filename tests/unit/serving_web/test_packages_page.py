"""上报包: pages and API over packages that were built, with what each held back and why."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import openpyxl
import pytest

from models.domain.settings import Settings
from quality.reporting import ledger, service
from quality.reporting.service import Period
from tests.support.reporting import publish, write_rules
from tests.support.server import running

AT = datetime(2026, 7, 1, 1, tzinfo=UTC)
EVIL = "<script>window.hurt=1</script>"
BAD = (
    f"UPDATE marts.fct_case SET case_kind_code = '{EVIL}' WHERE hash(case_number) % 7 = 0",
    "UPDATE marts.fct_case SET department_code = NULL WHERE hash(case_number) % 49 = 0",
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(home=tmp_path_factory.mktemp("packages"), dev=True)
    rules = write_rules(settings.home / "own")
    publish(settings, rules, changes=BAD)
    service.build(settings, "case", Period.parse("2024-01-01..2026-05-31"), AT, rules=rules)
    service.build(settings, "case", Period.parse("2026-06"), AT, rules=rules)
    service.build(settings, "case_event", Period.parse("2026-06"), AT, rules=rules)
    return settings


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    with running(settings) as asking:
        yield asking


def test_the_list_names_every_package_and_leads_to_it(client: httpx.Client) -> None:
    page = client.get("/quality/packages")
    assert page.status_code == 200 and "3 个包" in page.text
    assert re.findall(r'href="/quality/packages/([a-z_]+-\d+)"', page.text) == ["case_event-000001", "case-000002", "case-000001"]
    only = client.get("/quality/packages", params={"subject": "case_event"}).text
    assert "1 个包" in only and "case-000001" not in only
    assert client.get("/quality/packages", params={"subject": "nothing"}).status_code == 422
    assert "共 1 页" in client.get("/quality/packages", params={"number": 9}).text
    assert '<a href="/quality/packages" aria-current="page">上报包</a>' in page.text


def test_a_package_says_what_it_held_back_by_department_and_why(client: httpx.Client, settings: Settings) -> None:
    manifest, groups = service.manifest_of(settings, "case-000001"), service.held_groups(settings, "case-000001")
    assert manifest.reconciliation is not None
    page = client.get("/quality/packages/case-000001").text
    assert f"＋未上报 {manifest.reconciliation.held_back:,}＋" in page and "没有旧版" not in page
    assert all(group.department_name in page for group in groups if group.department_name) and "未注明部门" in page
    assert EVIL not in page and "&lt;script&gt;" in page and "<script" not in page, "text stays text, and there is no script"
    one = next(group for group in groups if group.department_code)
    part = client.get("/quality/packages/case-000001", params={"department": one.department_code}).text
    assert f"未上报的记录，{sum(group.all for group in groups if group.department_code == one.department_code):,} 个原因" in part
    nobody = client.get("/quality/packages/case-000001", params={"department": "-"}).text
    assert f"未上报的记录，{sum(group.all for group in groups if group.department_code is None):,} 个原因" in nobody
    told = {line.record_key for line in service.held_lines(settings, "case-000001", one.department_code)[0]}
    assert set(re.findall(r'href="/quality/record\?table=fct_case&amp;key=(\d+)&amp;source=sample"', part)) == told


def test_records_that_wait_for_their_case_are_told_and_lead_nowhere(client: httpx.Client) -> None:
    page = client.get("/quality/packages/case_event-000001").text
    assert "所属的办件暂缓上报" in page and "/quality/record?" not in page


def test_the_list_of_a_department_is_downloaded_from_its_row(client: httpx.Client, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    page = client.get("/quality/packages/case-000001").text
    addresses = sorted(set(re.findall(r'href="(/quality/packages/case-000001/[^"?#]+\.xlsx)"', page)))
    assert [address.rpartition("/")[2] for address in addresses] == [path.name for path in service.held_files(settings, "case-000001")]
    answer = client.get(addresses[0])
    path = tmp_path_factory.mktemp("list") / "list.xlsx"
    path.write_bytes(answer.content)
    heading, first, *_ = openpyxl.load_workbook(path).worksheets[0].values
    assert heading[:4] == ("数据来源", "主键", "日期", "部门") and first[3]
    assert client.get("/quality/packages/case-000001/none.xlsx").status_code == 404
    assert client.get("/quality/packages/case-000001/..%2F..%2Fledger.duckdb").status_code == 404


@pytest.mark.parametrize("package", ["case-000009", "nothing", "..%2Fheld"])
def test_an_unknown_package_is_not_found(client: httpx.Client, package: str) -> None:
    assert client.get(f"/quality/packages/{package}").status_code == 404


def test_the_interface_says_what_the_page_says(client: httpx.Client, settings: Settings) -> None:
    listed = client.get("/api/v1/quality/packages", params={"size": 2, "page": 2}).json()
    assert listed["count"] == 3 and [item["package"] for item in listed["items"]] == ["case-000001"]
    assert [item["package"] for item in client.get("/api/v1/quality/packages", params={"subject": "case_event"}).json()["items"]] == ["case_event-000001"]
    one = client.get("/api/v1/quality/packages/case-000001").json()
    assert one["held_back"] == sum(group["first"] for group in one["held"]) > 0 and one["first"] == "2024-01-01" and one["counts"]["new"] > 0
    held = client.get("/api/v1/quality/packages/case-000001/held", params={"department": "", "size": 500}).json()
    assert held["count"] == len(held["items"]) > 0 and {item["department_code"] for item in held["items"]} == {None}
    assert all(item["message"] and item["rule"] for item in held["items"])
    assert client.get("/api/v1/quality/packages/case-000009").status_code == 404
    assert client.get("/api/v1/quality/packages", params={"subject": "foo"}).status_code == 422


def test_looking_does_not_wait_for_who_builds(client: httpx.Client, settings: Settings) -> None:
    with ledger.opened(settings):
        assert client.get("/quality/packages").status_code == client.get("/quality/packages/case-000001").status_code == 200


def test_without_a_package_the_page_says_how_to_build_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("none"), dev=True)
    publish(settings, write_rules(settings.home / "own"))
    with running(settings) as client:
        assert "还没有建过包" in client.get("/quality/packages").text
        assert client.get("/api/v1/quality/packages").json() == {"items": [], "count": 0}
