"""What the REST connector reads from a real HTTP server: paging, resuming, watermark, nested JSON, faults."""

import gzip
import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from models.domain.errors import YiwangError
from pipelines.sources.http import client as http_client
from pipelines.sources.kinds.rest import RestSource
from tests.support.rest_reading import PAGINGS, RestReadings, regions, rest
from tests.support.rest_server import NOW, FastClock, Fault, RestServer, bomb, self_signed, serving


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FastClock:
    clock = FastClock()
    monkeypatch.setattr(RestSource, "clock", clock)
    return clock


@pytest.fixture
def server(clock: FastClock) -> Iterator[RestServer]:
    with serving(RestServer(records=regions(23))) as server:
        yield server


@pytest.fixture(scope="module")
def warehouse() -> duckdb.DuckDBPyConnection:
    return RestReadings.warehouse()


@pytest.fixture
def readings(tmp_path: Path, warehouse: duckdb.DuckDBPyConnection) -> RestReadings:
    return RestReadings(tmp_path, warehouse)


def fails(readings: RestReadings, *sources: dict[str, Any], code: str = "YW-SYNC-008") -> str:
    with pytest.raises(YiwangError) as caught:
        readings.sync(*sources)
    assert caught.value.code == code
    return caught.value.message


def ids(server: RestServer) -> list[str]:
    return sorted(record["id"] for record in server.records)


# --- paging -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paging", PAGINGS)
@pytest.mark.parametrize("count", [0, 1, 23])
def test_every_paging_reads_all_once(readings: RestReadings, server: RestServer, paging: str, count: int) -> None:
    server.records = regions(count)
    assert readings.sync(rest(server, paging)) == count
    assert readings.keys() == ids(server)


@pytest.mark.parametrize("paging", ["page", "page without total", "offset", "offset without total", "link", "cursor", "keyset"])
def test_a_server_that_gives_smaller_pages_than_asked_for_loses_nothing(readings: RestReadings, server: RestServer, paging: str) -> None:
    server.cap = 4
    assert readings.sync(rest(server, paging)) == 23


def test_one_answer_without_paging(readings: RestReadings, server: RestServer) -> None:
    server.faults = {1: Fault(body=json.dumps(regions(3)).encode())}
    assert readings.sync({**rest(server), "paging": "none", "records": None}) == 3
    assert len(server.requests) == 1


def test_behind_the_end_a_server_may_repeat_the_last_page(readings: RestReadings, server: RestServer) -> None:
    server.wrap = True
    assert readings.sync(rest(server, "page without total")) == 23
    server.records = regions(25)
    assert "total" in fails(readings, rest(server, "page without total"))  # the end, or a server that ignores the number
    assert readings.sync(rest(server, "page")) == 25


@pytest.mark.parametrize("paging", ["page without total", "offset without total", "page", "offset"])
def test_a_server_that_ignores_the_page_is_found_out(readings: RestReadings, server: RestServer, paging: str) -> None:
    server.faults = {n: Fault(body=json.dumps({"data": {"items": regions(5)}, "total": 23}).encode()) for n in range(1, 100)}
    assert "没有理会翻页参数" in fails(readings, rest(server, paging))
    assert len(server.requests) < 12


@pytest.mark.parametrize(("paging", "members"), [("cursor", {"next_cursor": "C004"}), ("link", {"next": "/cases?page=2"})])
def test_an_endless_listing_is_stopped(readings: RestReadings, server: RestServer, paging: str, members: dict[str, Any]) -> None:
    server.faults = {n: Fault(body=json.dumps({"data": {"items": regions(n % 7 + 1)}, **members}).encode()) for n in range(1, 100)}
    source = rest(server, paging)
    source["paging"] = {"by": paging, "next": next(iter(members)), "shifting": "false"}
    assert "读过的一页" in fails(readings, source)
    assert len(server.requests) < 5
    assert "max_pages" in fails(readings, rest(server, "page without total", max_pages=3))


def test_a_page_that_ends_before_the_total_is_an_error(readings: RestReadings, server: RestServer) -> None:
    server.faults = {2: Fault(body=b'{"data": {"items": []}, "total": 23}')}
    assert "说有 23 条记录" in fails(readings, rest(server))


def test_parameters_of_a_post_go_into_its_body(readings: RestReadings, server: RestServer) -> None:
    source = rest(server, method="POST", body='{"status": [1, "完成"], "page": 9}', since={"send": "since", "first": "2026-01-01"}, params={"v": "2"})
    assert readings.sync(source) == 23
    method, _, params, body, _ = server.requests[0]
    assert (method, params, body) == ("POST", {"v": "2"}, {"status": [1, "完成"], "page": 1, "size": 5, "since": "2026-01-01"})


def test_a_keyset_needs_the_order_of_time(readings: RestReadings, server: RestServer) -> None:
    reply = json.dumps({"data": {"items": regions(5)[::-1]}}).encode()
    server.faults = {1: Fault(body=reply)}
    assert "从早到晚" in fails(readings, rest(server, "keyset"))


# --- since, until, resuming -------------------------------------------------------------------------------


def test_the_next_sync_asks_for_what_changed_since(readings: RestReadings, server: RestServer) -> None:
    source = rest(server, since="since", look_back="30m")
    assert readings.sync(source) == 23
    assert "since" not in server.requests[0][2]
    readings.sync(source)
    assert server.requests[-1][2]["since"] == "2026-03-01T07:30:22+08:00"
    server.records[3] |= {"updated_at": "2026-03-02T00:00:00+08:00"}
    readings.sync(source | {"since": {"send": "since", "format": "%Y-%m-%dT%H:%M:%SZ"}})  # other settings: from the beginning
    assert "since" not in server.requests[-1][2]
    readings.sync(source | {"since": {"send": "since", "format": "%Y-%m-%dT%H:%M:%SZ"}})
    assert server.requests[-1][2]["since"] == "2026-03-01T15:30:00Z"


@pytest.mark.parametrize(("form", "text"), [("epoch", "1772323221"), ("epoch_ms", "1772323221000"), ("%Y-%m-%d", "2026-03-01"), ("%Y%m%d%H%M%S", "20260301080021")])
def test_formats_of_since(readings: RestReadings, server: RestServer, form: str, text: str) -> None:
    source = rest(server, since={"send": "from", "format": form})
    readings.sync(source)
    readings.sync(source)
    assert server.requests[-1][2]["from"] == text


def test_a_record_from_the_future_does_not_move_the_watermark_there(readings: RestReadings, server: RestServer) -> None:
    server.records[0]["updated_at"] = "2999-01-01T00:00:00Z"
    source = rest(server, since="since")
    readings.sync(source)
    readings.sync(source)
    assert server.requests[-1][2]["since"] == "2026-07-26T01:19:59+08:00"  # the server's present
    assert int(NOW) == 1785000000


def test_until_is_the_present(readings: RestReadings, server: RestServer) -> None:
    readings.sync(rest(server, until={"send": "to", "format": "epoch"}))
    assert {request[2]["to"] for request in server.requests} == {"1784999999"}


def test_the_watermark_waits_for_the_end_of_the_listing(readings: RestReadings, server: RestServer) -> None:
    source = rest(server, "page", since="since", retries=0)
    server.faults = {n: Fault(500) for n in range(8, 12)}
    assert "HTTP 500" in fails(readings, source)
    assert readings.position["watermark"] is None and 0 < len(readings.records) < 23
    server.faults = {}
    readings.sync(source)
    assert readings.keys() == ids(server)
    assert readings.position["watermark"] is not None and readings.position["listing"] is None


@pytest.mark.parametrize("paging", PAGINGS)
def test_a_killed_listing_goes_on_where_it_was_committed(readings: RestReadings, server: RestServer, paging: str) -> None:
    readings.sync(rest(server, paging), stop_after=1)
    assert len(readings.records) >= 10
    before = len(server.requests)
    first = readings.sync(rest(server, paging))
    assert 10 <= first <= 13
    assert readings.keys() == ids(server)
    assert len(server.requests) - before <= 9
    assert readings.position["listing"] is None


@pytest.mark.parametrize("status", [400, 410, 500])
def test_a_token_that_the_server_has_forgotten_begins_the_listing_anew(readings: RestReadings, server: RestServer, status: int) -> None:
    readings.sync(rest(server, "cursor"), stop_after=1)
    server.faults = {len(server.requests) + 1: Fault(status)}
    assert readings.sync(rest(server, "cursor", retries=0)) == 23
    assert readings.keys() == ids(server)


def test_a_listing_that_no_longer_shows_the_committed_page_begins_anew(readings: RestReadings, server: RestServer) -> None:
    readings.sync(rest(server, "page"), stop_after=1)
    server.records = [record | {"updated_at": "2026-03-05T00:00:00Z"} for record in server.records]
    assert readings.sync(rest(server, "page")) == 23


def test_a_dry_run_stops_after_a_few_rows(readings: RestReadings, server: RestServer) -> None:
    assert readings.sync(rest(server), limit=7) >= 7
    assert len(server.requests) < 5


# --- nested JSON ------------------------------------------------------------------------------------------


def items(server: RestServer, body: str, **headers: str) -> None:
    server.faults = {1: Fault(body=body.encode(), headers=headers)}


def test_paths_numbers_lists_and_absent_fields(readings: RestReadings, server: RestServer) -> None:
    items(server, """[
        {"no": 12345678901234567890123, "applicant": {"name": "李四"}, "items": [{"code": "A1", "n": 1.10}], "due": 0.1000000000000000055511, "flag": true, "x": {"y": {}}},
        {"no": "2", "applicant": null, "items": [], "due": 1e400, "flag": null, "unknown": {"deep": 1}}
    ]""")
    fields = {
        "case_number": "no", "applicant_name": "applicant.name", "matter_code": "items[0].code", "result_description": "items",
        "matter_name": "due", "is_commitment": "flag",
    }  # fmt: skip
    source = rest(server, paging="page") | {"paging": "none", "records": None, "subject": "case", "fields": fields, "cursor": None}
    readings.sync(source)
    rows = [[row[name] for name in fields] for row in readings.records.values()]
    assert rows == [
        ["12345678901234567890123", "李四", "A1", '[{"code":"A1","n":1.10}]', "0.1000000000000000055511", True],
        ["2", None, None, "[]", "1e400", None],
    ]
    assert list(readings.loads[0].unmapped) == ["unknown.deep"]


def test_a_configured_column_that_no_record_has_stops_the_sync_unless_it_is_optional(readings: RestReadings, server: RestServer) -> None:
    source = rest(server) | {"fields": {"region_code": "id", "region_level_code": "level.code"}}
    assert "level.code" in fails(readings, source, code="YW-SYNC-003")
    assert readings.sync(source | {"fields": {"region_code": "id", "region_level_code": {"column": "level.code", "optional": "true"}}}) == 23


def test_another_subject_of_the_same_list_takes_its_columns(readings: RestReadings, server: RestServer) -> None:
    server.records = regions(3, department={"code": "D1"}, extra="?")
    other = rest(server) | {"subject": "department", "cursor": None, "fields": {"department_code": "department.code"}}
    readings.sync(rest(server), other)
    assert list(readings.loads[0].unmapped) == ["extra"]


def test_a_value_that_is_no_time_is_set_aside(readings: RestReadings, server: RestServer) -> None:
    server.records[1]["updated_at"] = "昨天"
    readings.sync(rest(server, since="since"))
    assert len(readings.records) == 22 and len(readings.aside) == 1


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("﻿[{\"id\": \"办\"}]".encode(), ""),
        ('[{"id": "办"}]'.encode("gb18030"), "application/json"),
        ('[{"id": "办"}]'.encode("gb18030"), "application/json; charset=utf-8"),
        ('[{"id": "办"}]'.encode(), "application/json; charset=gbk"),
        ('[{"id": "办"}]'.encode("utf-16"), "application/json; charset=no-such"),
        (gzip.compress('[{"id": "办"}]'.encode()), "gzip"),
    ],
    ids=["mark", "GB18030 undeclared", "GB18030 declared as UTF-8", "UTF-8 declared as GBK", "UTF-16 declared as nonsense", "gzip"],
)
def test_charsets(readings: RestReadings, server: RestServer, body: bytes, content_type: str) -> None:
    headers = {"Content-Encoding": "gzip"} if content_type == "gzip" else {"Content-Type": content_type}
    server.faults = {1: Fault(body=body, headers=headers)}
    readings.sync(rest(server) | {"paging": "none", "records": None, "cursor": None})
    assert readings.keys() == ["办"]


def test_half_a_surrogate_pair_is_no_reason_to_stop(readings: RestReadings, server: RestServer) -> None:
    items(server, r'[{"id": "A\ud83d"}, {"id": "B", "list": ["\ud83d"]}]')
    assert readings.sync(rest(server) | {"paging": "none", "records": None, "cursor": None}) == 2
    assert readings.keys() == ["A�", "B"]


# --- faults -----------------------------------------------------------------------------------------------

PASSING = {
    "429 in seconds": (Fault(429, {"Retry-After": "7"}), "HTTP 429"),
    "429 by date": (Fault(429, {"Retry-After": "Sat, 25 Jul 2026 17:21:20 GMT"}), "HTTP 429"),
    "500": (Fault(500, {}, b"oops"), "HTTP 500"),
    "502": (Fault(502), "HTTP 502"),
    "503": (Fault(503, {"Retry-After": "3"}), "HTTP 503"),
    "504": (Fault(504), "HTTP 504"),
    "reset": (Fault(0), "中断"),
    "half an answer": (Fault(-1), "不完整"),
    "slow drip": (Fault(-2), "没有传完"),
    "silence": (Fault(-3), "没有应答"),
    "not JSON": (Fault(body=b'{"data": {"items": ['), "JSON"),
    "a page of a gateway": (Fault(200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><p>login"), "网页"),
    "empty": (Fault(body=b""), "空的"),
    "no list": (Fault(body=b'{"code": 500, "data": null}'), "records"),
    "NaN": (Fault(body=b'{"data": {"items": [{"id": NaN}]}}'), "JSON"),
    "deep": (Fault(body=b"[" * 100_000), "JSON"),
    "broken gzip": (Fault(200, {"Content-Encoding": "gzip"}, b"no gzip"), "压缩"),
    "half a gzip": (Fault(200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(1000))[:-4]), "不完整"),
}
LASTING = {
    "401": (Fault(401), "口令"),
    "403": (Fault(403), "拒绝"),
    "404": (Fault(404), "没有这个地址"),
    "422": (Fault(422), "HTTP 422"),
    "elsewhere": (Fault(302, {"Location": "http://other.example/cases?token=secret"}), "另一站点"),
    "round and round": (Fault(302, {"Location": "/cases"}), "不断转向"),
    "a bomb": (Fault(200, {"Content-Encoding": "gzip"}, bomb(3 * 2**20)), "page_size"),
    "gigantic": (Fault(200, {}, bytes(3 * 2**20)), "page_size"),
    "twice packed": (Fault(200, {"Content-Encoding": "gzip, gzip"}, bomb(1)), "不支持的压缩"),
    "twice the same member": (Fault(body=b'{"data": {"items": [{"id": "1", "id": "2"}]}}'), "同名"),
    "no objects": (Fault(body=b'{"data": {"items": [1, 2]}}'), "不是对象"),
    "names but for case": (Fault(body=b'{"data": {"items": [{"id": "1", "ID": "2"}]}}'), "分不清"),
    "one name two ways": (Fault(body=b'{"data": {"items": [{"id": "1", "a.b": 1, "a": {"b": 2}}]}}'), "分不清"),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_may_pass_is_waited_for_and_if_it_stays_keeps_what_was_read(
    readings: RestReadings, server: RestServer, clock: FastClock, name: str
) -> None:
    fault, words = PASSING[name]
    server.faults = dict.fromkeys((2, 5, 6), fault)
    message = fails(readings, rest(server, "cursor", retries=1))
    assert words in message and "下次同步接着读取" in message
    assert len(clock.pauses) == 2
    asked = {"429 in seconds": 7, "429 by date": 80, "503": 3}.get(name, 0)
    assert max(1, asked) <= clock.pauses[0] < max(2, asked) + 1
    assert len(readings.records) == 15
    assert readings.sync(rest(server, "cursor")) == 8
    assert readings.keys() == ids(server)


@pytest.mark.parametrize("name", LASTING)
def test_a_fault_that_does_not_pass_is_not_tried_again(
    readings: RestReadings, server: RestServer, clock: FastClock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(http_client, "MAX_BYTES", 2**20)
    fault, words = LASTING[name]
    server.faults = {n: fault for n in range(4, 11)}
    assert words in fails(readings, rest(server, "cursor"))
    assert not clock.pauses
    assert len(readings.records) == 15 if name not in ("names but for case", "one name two ways") else 10
    server.faults = {}
    readings.sync(rest(server, "cursor"))
    assert readings.keys() == ids(server)


def test_pauses_grow_and_end(readings: RestReadings, server: RestServer, clock: FastClock) -> None:
    server.faults = {n: Fault(503) for n in range(1, 100)}
    fails(readings, rest(server, retries=20))
    assert [int(pause) for pause in clock.pauses[:5]] == [1, 2, 4, 8, 16]
    assert max(clock.pauses) <= 61 and sum(clock.pauses) <= http_client.PATIENCE
    clock.pauses.clear()
    server.faults = {n: Fault(429, {"Retry-After": "86400"}) for n in range(1, 100)}
    fails(readings, rest(server))
    assert not clock.pauses  # a day is beyond patience


def test_nobody_there(readings: RestReadings, server: RestServer, clock: FastClock) -> None:
    source = rest(server) | {"location": "http://127.0.0.1:1/cases"}
    assert "连接不上" in fails(readings, source)
    assert len(clock.pauses) == 6


def test_requests_keep_their_rate(readings: RestReadings, server: RestServer, clock: FastClock) -> None:
    clock.stands = True
    readings.sync(rest(server, "cursor", rate=0.5))
    assert len(server.requests) == 5 and clock.pauses == [2, 2, 2, 2]


# --- addresses and secrets --------------------------------------------------------------------------------


def test_secrets_are_sent_and_never_shown(readings: RestReadings, server: RestServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    for name in ("T", "H", "P", "B"):
        monkeypatch.setenv(f"CITY_{name}", f"s3cret-{name}")
    caplog.set_level("DEBUG")
    source = rest(
        server, "link", token="${CITY_T}", headers={"X-App": "${CITY_H}"}, params={"appkey": "${CITY_P}"}, method="POST", body='{"sign": "${CITY_B}"}'  # noqa: S106
    )
    readings.sync(source)
    _, _, params, body, headers = server.requests[0]
    assert (headers["Authorization"], headers["X-App"], params["appkey"], body["sign"]) == ("Bearer s3cret-T", "s3cret-H", "s3cret-P", "s3cret-B")
    assert {request[2]["appkey"] for request in server.requests} == {"s3cret-P"}
    readings.sync(source, stop_after=1)
    text = json.dumps(readings.position) + repr(readings.configure(source)) + repr(readings.loads)
    for fault in (Fault(500), Fault(404), Fault(0), Fault(body=b"?"), Fault(302, {"Location": "https://other.example/"})):
        server.faults = {n: fault for n in range(len(server.requests) + 1, len(server.requests) + 20)}
        with pytest.raises(YiwangError) as caught:
            readings.sync(source)
        text += "".join(traceback.format_exception(caught.value)) + str(caught.value.values)
    for place in (text, caplog.text, *capfd.readouterr()):
        assert "s3cret" not in place


def test_a_token_may_go_into_a_header_of_its_own(readings: RestReadings, server: RestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITY_T", "abc\n")
    readings.sync(rest(server, token="${CITY_T}", token_header="X-Api-Key"))  # noqa: S106 - the name of a variable
    assert server.requests[0][4]["X-Api-Key"] == "abc"


def test_a_missing_variable_is_named(readings: RestReadings, server: RestServer) -> None:
    assert "NO_SUCH_VARIABLE" in fails(readings, rest(server, token="${NO_SUCH_VARIABLE}"), code="YW-SYNC-001")  # noqa: S106
    assert not server.requests


@pytest.mark.parametrize("link", ["https://127.0.0.1/cases", "http://localhost/cases", "//evil.example/cases", "http://169.254.169.254/meta"])
def test_a_link_never_leaves_the_origin(readings: RestReadings, server: RestServer, monkeypatch: pytest.MonkeyPatch, link: str) -> None:
    monkeypatch.setenv("CITY_T", "abc")
    server.faults = {1: Fault(body=json.dumps(regions(2)).encode(), headers={"Link": f'<{link}>; rel="next"'})}
    assert "另一站点" in fails(readings, rest(server, "link", records=None, token="${CITY_T}"))  # noqa: S106
    assert len(server.requests) == 1


def test_a_redirect_within_the_origin_is_followed(readings: RestReadings, server: RestServer) -> None:
    server.faults = {1: Fault(307, {"Location": "/v2/cases?page=1&size=5"})}
    assert readings.sync(rest(server)) == 23
    assert server.requests[1][1] == "/v2/cases"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"location": "ftp://a/b"}, "https://"),
        ({"location": "https://user:pass@a/b"}, "https://"),
        ({"location": "https://a/b?token=1"}, "params"),
        ({"token": "s3cret"}, "环境变量"),
        ({"headers": {"X-Api-Key": "s3cret"}}, "X-Api-Key"),
        ({"params": {"access_token": "s3cret"}}, "access_token"),
        ({"since": "from", "cursor": None}, "cursor"),
        ({"since": "from", "vanished": "delete"}, "vanished"),
        ({"paging": "keyset"}, "since"),
        ({"paging": {"by": "page", "wrong": "1"}}, "没有这个设置"),
        ({"body": "[1]", "method": "POST"}, "JSON"),
        ({"body": "{}"}, "POST"),
    ],
)
def test_faults_of_the_configuration(readings: RestReadings, server: RestServer, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(YiwangError) as caught:
        readings.configure(rest(server) | keys)
    assert caught.value.code == "YW-SYNC-001" and words in caught.value.message
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_plain_http_is_for_near_hosts_only(readings: RestReadings, server: RestServer, clock: FastClock) -> None:
    far = rest(server) | {"location": "http://api.department.invalid/cases", "retries": 0}
    assert "insecure_http" in fails(readings, far, code="YW-SYNC-001")
    assert "连接不上" in fails(readings, far | {"insecure_http": "true"})


def test_certificates_are_verified(readings: RestReadings, clock: FastClock) -> None:
    self_signed(readings.folder / "department.pem")
    with serving(RestServer(records=regions(3)), readings.folder / "department.pem") as server:
        assert "ca_file" in fails(readings, rest(server))
        assert not server.requests and not clock.pauses
        assert readings.sync(rest(server, ca_file="department.pem")) == 3
        assert "ca_file" in fails(readings, rest(server, ca_file="none.pem"))
