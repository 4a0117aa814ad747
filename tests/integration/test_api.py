"""The API on a real server: answers, problems, revalidation, and the way from a score to its cases."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest
import structlog

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.resources import RESOURCES
from models.store.snapshots import SnapshotStore
from models.store.warehouse import WarehouseRepository
from serving.app import serve
from tests.support.server import running
from tests.support.snapshots import AS_OF, RUN_ID, publish

API = "/api/v1/warehouse"


@pytest.fixture
def client(snapshot_settings: Settings) -> Iterator[httpx.Client]:
    with running(snapshot_settings.model_copy(update={"dev": True})) as asking:
        yield asking


def problem_of(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    """The problem that an answer is, checked in what all problems share."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:yiwang:error:{code}")
    assert body["title"] and body["detail"].endswith(("。", "."))
    assert body["request_id"] == answer.headers["x-request-id"]
    assert not any(word in answer.text for word in ("Traceback", "duckdb", "rowid", "site-packages"))
    return body


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_list_and_item(client: httpx.Client, name: str) -> None:
    page = client.get(f"{API}/{name}", params={"count": "true", "limit": 3}).json()
    assert (page["run_id"], page["as_of"]) == (RUN_ID, "2026-06-30T15:59:59Z")
    assert 1 <= len(page["items"]) <= 3 and page["count"] >= len(page["items"])
    assert (page["next"] is None) == (page["count"] <= 3)
    if name == "measures":
        return
    key = "/".join(quote(str(page["items"][0][column]), safe="") for column in RESOURCES[name].key)
    item = client.get(f"{API}/{name}/{key}" if name != "scores" else f"{API}/{name}/{key[:-3]}").json()
    assert item["run_id"] == RUN_ID
    assert {column: item["item"][column] for column in page["items"][0]} == page["items"][0]


def test_case_comes_with_what_belongs_to_it(client: httpx.Client) -> None:
    case = client.get(f"{API}/cases", params={"is_completed": "true", "limit": 1}).json()["items"][0]
    item = client.get(f"{API}/cases/{case['source']}/{case['case_number']}").json()["item"]
    assert [event["sequence"] for event in item["events"]] == list(range(1, len(item["events"]) + 1))
    assert all(row["case_number"] == case["case_number"] for part in ("events", "certificates", "reviews") for row in item[part])
    assert not any(name.startswith("_") for name in item)


def test_score_leads_to_the_cases_behind_it(client: httpx.Client) -> None:
    """Counting the listed cases gives numerator and denominator of every indicator that is a count of cases."""
    followed = 0
    for score in client.get(f"{API}/scores", params={"month": "2026-05", "limit": 8}).json()["items"]:
        address = f"{API}/scores/{score['system_code']}/{score['department_code']}/{score['month'][:7]}"
        for indicator in client.get(address).json()["item"]["indicators"]:
            assert indicator["behind"], indicator["indicator_code"]
            for side in ("numerator", "denominator"):
                counts = [client.get(f"{where}&limit=1&count=true").json()["count"] for where in indicator["behind"][side]]
                assert sum(counts) == indicator[side], (indicator["indicator_code"], side)
                followed += 1
    assert followed > 30


@pytest.mark.parametrize(
    ("address", "status", "code", "says"),
    [
        ("/nowhere", 404, "YW-SERVE-006", "此地址"),
        (f"{API}/nowhere", 404, "YW-SERVE-006", "此地址"),
        (f"{API}/cases/sample/none", 404, "YW-SERVE-006", "办件"),
        (f"{API}/cases?as_of=2020-01-01", 404, "YW-STORE-005", "2026-06-30"),
        (f"{API}/cases?colour=red", 422, "YW-SERVE-005", "colour"),
        (f"{API}/runs/x?limit=3", 422, "YW-SERVE-005", "limit"),
        (f"{API}/cases?limit=201", 422, "YW-SERVE-005", "不能大于 200"),
        (f"{API}/cases?limit=0", 422, "YW-SERVE-005", "不能小于 1"),
        (f"{API}/cases?limit=many", 422, "YW-SERVE-005", "应为整数"),
        (f"{API}/cases?is_late=perhaps", 422, "YW-SERVE-005", "true 或 false"),
        (f"{API}/cases?received_from=1767225600", 422, "YW-SERVE-005", "应为日期"),
        (f"{API}/cases?received_from=2026-02-30", 422, "YW-SERVE-005", "received_from"),
        (f"{API}/scores?month=202605", 422, "YW-SERVE-005", "应为月份"),
        (f"{API}/scores?month=2026-99", 422, "YW-SERVE-005", "应为月份，如 2026-06"),
        (f"{API}/scores?month_from=0000-01", 422, "YW-SERVE-005", "应为月份，如 2026-06"),
        (f"{API}/scores/self/x/2026-13", 422, "YW-SERVE-005", "应为月份，如 2026-06"),
        (f"{API}/scores/self/x/May", 422, "YW-SERVE-005", "month"),
        (f"{API}/cases?sort=applicant_name_masked", 422, "YW-SERVE-005", "received_at"),
        (f"{API}/cases?sort=--received_at%3B", 422, "YW-SERVE-005", "sort"),
        (f"{API}/cases?matter_code=" + "x" * 201, 422, "YW-SERVE-005", "200"),
        (f"{API}/cases?" + "&".join(["source=x"] * 51), 422, "YW-SERVE-005", "50"),
        (f"{API}/cases?cursor=nonsense", 422, "YW-STORE-006", "游标"),
    ],
)
def test_problems(client: httpx.Client, address: str, status: int, code: str, says: str) -> None:
    assert says in str(problem_of(client.get(address), status, code))


def test_problem_of_a_wrong_method(client: httpx.Client) -> None:
    answer = client.post(f"{API}/cases")
    assert "POST" in str(problem_of(answer, 405, "YW-SERVE-008")["detail"])
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("address", "status"),
    [("/health", 200), ("/ready", 200), (f"{API}/cases?limit=3", 200), ("/openapi.json", 200), ("/matters", 200), ("/nowhere", 404), (f"{API}/cases?limit=0", 422)],
)
def test_head_is_get_without_a_body(client: httpx.Client, address: str, status: int) -> None:
    head, get = client.head(address), client.get(address)
    assert (head.status_code, head.content) == (status, b"")
    assert get.content
    varying = {"x-request-id", "date", "content-security-policy"} | ({"content-length"} if status >= 400 else set())  # a problem tells its request
    assert {name: value for name, value in head.headers.items() if name not in varying} == {
        name: value for name, value in get.headers.items() if name not in varying
    }


def test_head_is_guarded_logged_and_documented_once(snapshot_settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with running(snapshot_settings) as client:
        assert client.head(f"{API}/cases").status_code == 401
        assert client.head("/", headers={"accept": "text/html"}).headers["location"] == "/login?next=%2F"
    with running(snapshot_settings.model_copy(update={"dev": True})) as client:
        client.head(f"{API}/runs/secret-number")
        assert client.head("/logout").status_code == 405
        problem_page = client.head("/matters/none/none", headers={"accept": "text/html"})
        assert (problem_page.status_code, problem_page.content) == (404, b"") and problem_page.headers["content-type"].startswith("text/html")
        assert all("head" not in methods for methods in client.get("/openapi.json").json()["paths"].values())
    logged = capsys.readouterr().err
    assert '"HEAD"' in logged and f"{API}/runs/{{run_id}}" in logged


def test_problem_of_a_stranger_and_of_the_inside(snapshot_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(snapshot_settings) as client:
        answer = client.get(f"{API}/cases")
        problem_of(answer, 401, "YW-SERVE-003")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    monkeypatch.setattr(WarehouseRepository, "page", lambda *_, **__: 1 // 0)
    with structlog.testing.capture_logs(), running(snapshot_settings.model_copy(update={"dev": True})) as client:
        assert "编号" in str(problem_of(client.get(f"{API}/cases"), 500, "YW-SERVE-007")["detail"])


def test_problem_without_data(tmp_path: object) -> None:
    with running(Settings(home=tmp_path, dev=True)) as client:
        problem_of(client.get(f"{API}/cases"), 503, "YW-STORE-001")
        problem_of(client.get("/ready/data"), 503, "YW-STORE-001")
        assert client.get("/ready").json() == {"status": "ok", "parts": {"operations": "ok", "data": "YW-STORE-001"}}, "without data the operational core works"
        assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize("lost", ["pointer", "file", "both"])
def test_server_goes_on_with_what_is_left(snapshot_settings: Settings, lost: str) -> None:
    settings = snapshot_settings.model_copy(update={"dev": True})
    newest = publish(settings, "run-2", AS_OF + timedelta(days=1), cases=300)
    with running(settings) as client:
        begun = client.get(f"{API}/cases", params={"limit": 200}).json()
        assert begun["run_id"] == "run-2"
        if lost != "file":
            (settings.snapshots / "current.json").write_text('{"run')
        if lost != "pointer":
            newest.unlink()
        expected = "run-2" if lost == "pointer" else RUN_ID
        assert client.get(f"{API}/cases").json()["run_id"] == expected
        assert client.get("/ready/data").status_code == client.get("/matters").status_code == 200
        goes_on = client.get(f"{API}/cases", params={"limit": 200, "cursor": begun["next"]})
        if lost == "pointer":
            assert goes_on.json()["run_id"] == "run-2"
        else:
            problem_of(goes_on, 410, "YW-STORE-004")
        for path in settings.snapshots.glob("*.duckdb"):
            path.unlink()
        for address in ("/ready/data", f"{API}/cases"):
            problem_of(client.get(address), 503, "YW-STORE-001")
        assert client.get("/matters").status_code == 503
        publish(settings, "run-3", cases=10)
        assert client.get(f"{API}/cases").json()["run_id"] == "run-3"


def test_ready_with_data(client: httpx.Client) -> None:
    assert client.get("/ready").json() == {"status": "ok", "parts": {"operations": "ok", "data": "ok"}}
    assert client.get("/ready/data").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "attack",
    ["' OR 1=1 --", "'; DROP TABLE marts.fct_case; --", '") OR ("a"="a', "x' UNION SELECT * FROM marts.quarantine --", "%", "\\", "\x00", "＇ or 1=1"],
)
def test_injection_finds_nothing(client: httpx.Client, attack: str) -> None:
    for parameter in ("case_number", "matter_code", "source", "applicant_id_digest"):
        answer = client.get(f"{API}/cases", params={parameter: attack, "count": "true"})
        assert (answer.status_code, answer.json().get("items"), answer.json().get("count")) == (200, [], 0)
    assert client.get(f"{API}/matters", params={"name": attack}).json()["items"] == []
    problem_of(client.get(f"{API}/cases", params={"sort": attack}), 422, "YW-SERVE-005")
    problem_of(client.get(f"{API}/cases", params={attack: "1"}), 422, "YW-SERVE-005")
    problem_of(client.get(f"{API}/cases", params={"cursor": attack}), 422, "YW-STORE-006")
    problem_of(client.get(f"{API}/cases/sample/{quote(attack, safe='')}"), 404, "YW-SERVE-006")
    assert client.get(f"{API}/cases", params={"count": "true"}).json()["count"] == 600


def test_etag_spares_the_second_answer(client: httpx.Client) -> None:
    first = client.get(f"{API}/cases", params={"is_late": "true", "limit": 5})
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(f"{API}/cases", params={"limit": 5, "is_late": "1"}, headers={"if-none-match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for wanted in ({"is_late": "true", "limit": 6}, {"is_late": "false", "limit": 5}, {"is_late": "true", "limit": 5, "count": "true"}):
        other = client.get(f"{API}/cases", params=wanted, headers={"if-none-match": tag})
        assert other.status_code == 200 and other.headers["etag"] != tag
    assert client.get(f"{API}/cases", params={"is_late": "true", "limit": 5}, headers={"if-none-match": '"other"'}).content == first.content


def test_new_snapshot_is_followed_and_old_ones_stay_readable(snapshot_settings: Settings) -> None:
    settings = snapshot_settings.model_copy(update={"dev": True})
    with running(settings) as client:
        first = client.get(f"{API}/cases", params={"limit": 200})
        publish(settings, "run-2", AS_OF + timedelta(days=1), cases=300)
        second = client.get(f"{API}/cases", params={"limit": 200, "count": "true"}, headers={"if-none-match": first.headers["etag"]})
        assert (second.status_code, second.json()["run_id"], second.json()["count"]) == (200, "run-2", 300)
        # the list begun on the old snapshot goes on there, and a day names its snapshot
        goes_on = client.get(f"{API}/cases", params={"limit": 200, "cursor": first.json()["next"]}).json()
        assert goes_on["run_id"] == RUN_ID and len(goes_on["items"]) == 200
        assert client.get(f"{API}/cases", params={"as_of": "2026-06-30", "count": "true"}).json()["count"] == 600
        assert client.get(f"{API}/cases", params={"as_of": "2026-07-01", "count": "true"}).json()["count"] == 300
        mixed = client.get(f"{API}/cases", params={"cursor": first.json()["next"], "limit": 200, "as_of": "2026-07-01"})
        problem_of(mixed, 422, "YW-STORE-006")
        for number in (3, 4):
            publish(settings, f"run-{number}", AS_OF + timedelta(days=number), cases=10)
        problem_of(client.get(f"{API}/cases", params={"limit": 200, "cursor": first.json()["next"]}), 410, "YW-STORE-004")
        problem_of(client.get(f"{API}/cases", params={"as_of": "2026-06-30"}), 404, "YW-STORE-005")


def test_mart_that_a_snapshot_does_not_have_is_empty(snapshot_settings: Settings) -> None:
    import duckdb

    settings = snapshot_settings.model_copy(update={"dev": True})
    publish(settings, "run-2")
    with duckdb.connect(str(settings.marts)) as connection:
        for table in ("run", "check_result", "score_department_month", "score_indicator_month", "fct_review"):
            connection.execute(f"DROP TABLE marts.{table}")
    SnapshotStore(settings).publish(settings.marts, "run-3", AS_OF)
    with running(settings) as client:
        for name in ("runs", "checks", "scores"):
            answer = client.get(f"{API}/{name}", params={"count": "true"}).json()
            assert (answer["items"], answer["next"], answer["count"]) == ([], None, 0)
        problem_of(client.get(f"{API}/runs/run-2"), 404, "YW-SERVE-006")
        case = client.get(f"{API}/cases", params={"limit": 1}).json()["items"][0]
        assert client.get(f"{API}/cases/sample/{case['case_number']}").json()["item"]["reviews"] == []
        assert client.get("/ready/data").status_code == 200


def test_headers_and_documentation_stay_at_home(client: httpx.Client) -> None:
    api = client.get(f"{API}/runs").headers
    assert api["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert (api["x-content-type-options"], api["x-frame-options"]) == ("nosniff", "DENY")
    assert "server" not in api
    for page in ("/docs", "/redoc"):
        answer = client.get(page)
        assert answer.status_code == 200 and "http://" not in answer.text and "https://" not in answer.text
        assert "'unsafe-inline'" in answer.headers["content-security-policy"]
    assert client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200


def test_log_tells_ids_and_nothing_else(snapshot_settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    digest = "personal-digest-0001"
    with running(snapshot_settings.model_copy(update={"dev": True})) as client:
        answer = client.get(f"{API}/cases", params={"applicant_id_digest": digest})
        client.get(f"{API}/cases/sample/secret-number")
    logged = capsys.readouterr().err
    assert answer.headers["x-request-id"] in logged and f"{API}/cases/{{source}}" in logged
    assert digest not in logged and "secret-number" not in logged


def test_taken_port_is_told(snapshot_settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(YiwangError) as told:
            serve(snapshot_settings.model_copy(update={"port": taken.getsockname()[1]}))
    assert told.value.code == "YW-SERVE-001"


def test_open_address_without_tokens_is_refused_before_it_listens(snapshot_settings: Settings) -> None:
    with pytest.raises(YiwangError) as told:
        serve(snapshot_settings.model_copy(update={"host": "0.0.0.0", "dev": True}))  # noqa: S104
    assert told.value.code == "YW-SERVE-002"
