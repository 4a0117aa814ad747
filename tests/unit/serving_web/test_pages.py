"""The pages' applications without a browser."""

import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from models.domain.settings import Settings
from models.store.pages import MatterSearch, PageRepository
from models.store.snapshots import SnapshotStore
from models.store.warehouse import WarehouseRepository
from serving.web.entrance import PUBLIC_PAGES
from serving.web.login import local
from serving.web.public import MatterForm, near
from serving.web.report import policy_of
from serving.web.staff import charts
from serving.web.staff.view import Choice, Desk, added_up, read
from serving.web.templating import NONE, Templates, number, share
from tests.support.server import running

HTML = {"accept": "text/html"}
TOKEN = "token"  # noqa: S105


def guarded(settings: Settings) -> Settings:
    return settings.model_copy(update={"api_tokens": SecretStr(f"tester:viewer:{hashlib.sha256(TOKEN.encode()).hexdigest()}")})


@pytest.fixture
def client(snapshot_settings: Settings) -> Iterator[httpx.Client]:
    with running(guarded(snapshot_settings)) as client:
        yield client


@pytest.fixture
def desk(snapshot_settings: Settings) -> Iterator[Desk]:
    store = SnapshotStore(snapshot_settings)
    yield Desk(PageRepository(store), WarehouseRepository(store), Templates("Asia/Shanghai"))
    store.close()


@pytest.mark.parametrize("path", ["/matters", "/login", "/assets/yiwang.css", "/assets/icon.svg"])
def test_the_public_pages_need_nobody(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 200 and answer.headers["x-content-type-options"] == "nosniff" and answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/matters", "/matters/sample/none", "/login"])
def test_public_pages_allow_no_script(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=HTML)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "script" not in policy and "unsafe" not in policy
    assert "<script" not in answer.text and "style=" not in answer.text and "<style" not in answer.text


@pytest.mark.parametrize("path", ["/", "/report", "/nothing", "/matters2", "/assetsx", "/loginx", "/_nicegui/x", "/matters/../report"])
def test_everything_else_leads_to_the_log_in(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 303 and answer.headers["location"].startswith("/login?next=")
    assert client.get(path).status_code == 401


def test_a_problem_of_the_api_stays_a_problem(client: httpx.Client) -> None:
    answer = client.get("/api/v1/warehouse/cases", headers=HTML)
    assert answer.status_code == 401 and answer.headers["content-type"] == "application/problem+json"


def test_errors_are_pages_in_chinese(client: httpx.Client) -> None:
    client.post("/login", data={"token": TOKEN})
    for path, status, text in (("/nothing", 404, "没有找到 此地址"), ("/report", 404, "还没有运行报告")):
        answer = client.get(path, headers=HTML)
        assert answer.status_code == status and text in answer.text and answer.headers["x-request-id"] in answer.text
    answer = client.post("/matters", headers=HTML)
    assert answer.status_code == 405 and "请改用 GET" in answer.text


def test_the_report_is_shown_as_it_was_written(client: httpx.Client, snapshot_settings: Settings) -> None:
    (snapshot_settings.home / "reports").mkdir()
    (snapshot_settings.home / "reports" / "latest.html").write_text("<h1>报告</h1>", encoding="utf-8")
    client.post("/login", data={"token": TOKEN})
    answer = client.get("/report", headers=HTML)
    assert answer.text == "<h1>报告</h1>" and answer.headers["content-security-policy"].endswith("script-src 'none'")


@pytest.mark.parametrize("report, allowed", [("<script>a</script>", 1), ("<script>a</script>b<script>c</script>", 0), ("a", 0)])
def test_only_the_reports_own_script_may_run(report: str, allowed: int) -> None:
    assert policy_of(report).count("'sha256-") == allowed


def test_without_data_citizens_read_no_path_of_the_server(tmp_path: Path) -> None:
    with running(guarded(Settings(home=tmp_path))) as client:
        answer = client.get("/matters", headers=HTML)
    assert answer.status_code == 503 and "数据正在准备" in answer.text and str(tmp_path) not in answer.text


def test_an_unforeseen_error_shows_a_number_and_nothing_else(snapshot_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(PageRepository, "matter_types", fail)
    monkeypatch.setattr(PageRepository, "run_state", fail)
    with running(guarded(snapshot_settings)) as client:
        client.post("/login", data={"token": TOKEN})
        for path in ("/matters", "/"):
            answer = client.get(path, headers=HTML)
            assert answer.status_code == 500 and "系统暂时出错" in answer.text and "secret" not in answer.text, path
            assert answer.headers["x-request-id"] in answer.text


def test_two_applications_in_a_process_read_their_own_homes(snapshot_settings: Settings, tmp_path: Path) -> None:
    texts = []
    for settings in (snapshot_settings, Settings(home=tmp_path / "other")):
        with running(guarded(settings)) as client:
            client.post("/login", data={"token": TOKEN})
            texts.append(client.get("/", headers=HTML).text)
    assert "数据截至" in texts[0] and "还没有已发布的数据" in texts[1]


@pytest.mark.parametrize("proto, is_secure", [("http", False), ("https", True)])
def test_the_cookie_is_for_this_site_and_no_script(client: httpx.Client, proto: str, is_secure: bool) -> None:
    header = client.post("/login", data={"token": TOKEN, "next": "//elsewhere.example"}, headers={"x-forwarded-proto": proto})
    assert header.headers["location"] == "/"
    cookie = header.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and ("secure" in cookie) == is_secure and TOKEN not in cookie


def test_a_token_that_was_withdrawn_ends_its_sessions(client: httpx.Client, snapshot_settings: Settings) -> None:
    client.post("/login", data={"token": TOKEN})
    cookie = client.cookies["yiwang_session"]
    with running(snapshot_settings.model_copy(update={"api_tokens": SecretStr("other:viewer:" + "0" * 64)}), cookies={"yiwang_session": cookie}) as other:
        assert other.get("/report").status_code == 401


@given(st.text(max_size=60))
def test_after_log_in_one_stays_on_the_server(address: str) -> None:
    assert local(address).startswith("/") and not local(address).startswith(("//", "/\\"))


def test_no_guarded_address_is_called_public() -> None:
    assert all(page.startswith("/") and page not in ("/", "/api", "/report") for page in PUBLIC_PAGES)


@given(st.integers(1, 200), st.integers(0, 199))
def test_page_numbers_are_few_and_lead_to_both_ends(pages: int, before: int) -> None:
    number_ = min(pages, before + 1)
    shown = near(number_, pages)
    numbers = [one for one in shown if one is not None]
    assert numbers == sorted(set(numbers)) and {1, number_, pages} <= set(numbers) and len(shown) <= 7


@pytest.mark.parametrize("page, expected", [("1", 1), ("7", 7), ("", 1), ("x", 1), ("-3", 1), ("٣", 1)])
def test_what_is_no_page_number_is_the_first_page(page: str, expected: int) -> None:
    assert MatterForm(page=page).number() == expected


def test_the_directory_is_searched_as_it_says(desk: Desk) -> None:
    pages, snapshot = desk.pages, desk.pages.store.in_service()
    everything = pages.matters(snapshot, MatterSearch(), size=1000)
    assert everything.count == len(everything.items) == sum(row["n"] for row in pages.matter_departments(snapshot))
    assert everything.count == sum(row["n"] for row in pages.matter_types(snapshot))
    some = pages.matters(snapshot, MatterSearch(words=("许可", "(1"), type_code="01"), size=1000)
    assert some.items == [row for row in everything.items if all(w in row["matter_name"] for w in ("许可", "(1")) and row["type_code"] == "01"] != []
    assert pages.matters(snapshot, MatterSearch(words=("%", "'"))).count == 0
    last = pages.matters(snapshot, MatterSearch(), number=99, size=7)
    assert last.number == last.pages and last.items == everything.items[(last.pages - 1) * 7 :]
    cancelled = pages.matter(snapshot, "sample", "none")
    assert cancelled is None


def test_the_staff_page_reads_one_snapshot(desk: Desk) -> None:
    view = read(desk, Choice())
    assert view.choice == Choice("self", date(2026, 6, 1), view.scores[0]["department_code"])
    assert all(added_up(row) for row in view.state.sync) and len(view.trend) == 12
    assert view.trend[-1]["score"] == view.scores[0]["score"] and {row["label"] for row in view.scores} == {"自评"}
    again = read(desk, Choice("gone", date(1999, 1, 1), "gone"))
    assert again == view
    assert [row["score"] for row in charts.grid_rows(view)] == [round(row["score"], 2) for row in view.scores]
    assert len(charts.bars(view)["series"][0]["data"]) == len(view.scores)


def test_links_lead_to_as_many_cases_as_the_figures_say(desk: Desk, client: httpx.Client) -> None:
    client.post("/login", data={"token": TOKEN})
    counted = 0
    for indicator in read(desk, Choice()).indicators:
        for side in ("numerator", "denominator") if indicator["indicator_code"] != "M07" else ("numerator",):
            if links := indicator["behind"][side]:
                counts = [client.get(f"{link}&count=true&limit=1").json()["count"] for _, link in links]
                assert sum(counts) == indicator[side], (indicator["indicator_code"], side)
                counted += 1
    assert counted >= 3


@pytest.mark.parametrize("value, text", [(None, NONE), (0, "0"), (1234567, "1,234,567"), (0.5, "0.50"), (12.0, "12")])
def test_figures_are_written_for_people(value: float | None, text: str) -> None:
    assert number(value) == text


def test_shares_are_percentages() -> None:
    assert share(0.12345) == "12.3%" and share(None) == NONE


@pytest.mark.parametrize(
    "template, text",
    [
        ("{{ 0 | limit('wd') }}", "即时办结"), ("{{ 5 | limit('wd') }}", "5 个工作日"), ("{{ 3 | limit('month') }}", "3 个月"),
        ("{{ none | limit(none) }}", NONE), ("{{ '1,3' | labels('A.5') }}", "窗口办理、移动端网上申请"), ("{{ '77' | label('A.1') }}", "77"),
        ("{{ 'not json' | materials | length }}", "0"), ("{{ '[1, {\"name\": \"a\"}]' | materials | length }}", "1"),
        ("{{ '{\"name\": 1}' | materials | length }}", "0"), ("{{ 0 | trips }}", "不用跑"), ("{{ '<b>' }}", "&lt;b&gt;"),
    ],
)
def test_templates_write_data_for_people(template: str, text: str) -> None:
    assert Templates("Asia/Shanghai")._environment.from_string(template).render() == text
