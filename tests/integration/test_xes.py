"""Event logs as XES: everything that the public logs do, and the permit log as XES equal to its CSV."""

import csv
import gzip
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from models.domain.errors import YiwangError
from pipelines.sources import service
from pipelines.sources.formats import xes
from tests.support.files import Reader, home_in, reader
from tests.support.sync import SyncHome, numbers

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it
ROOT = Path(__file__).parents[2]
LOGS = ROOT / "tests" / "fixtures" / "xes"
EVENT: dict[str, Any] = {"subject": "case_event", "zone": "Europe/Amsterdam"}
FIELDS = {"case_number": "case:concept:name", "sequence": "event:sequence", "activity": "concept:name"}
AT = FIELDS | {"occurred_at": "time:timestamp"}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with reader(tmp_path_factory.mktemp("logs")) as found:
        yield found.of(LOGS)


def log(body: str, head: str = "") -> str:
    return f'{head}<log xes.version="1.0">{body}</log>'


def test_events_in_the_order_of_the_file_with_zones(logs: Reader) -> None:
    found = logs.read("loans.xes", **EVENT, fields=AT | {"action": "lifecycle:transition"})
    assert found.of("case_number", "sequence", "activity", "action", "occurred_at") == [
        ("Application_1", 1, "W_Complete application", "start", datetime(2011, 10, 1, 7, 0, 0, 546000, UTC)),
        ("Application_1", 2, "W_Complete application", "complete", datetime(2011, 10, 30, 1, 30, tzinfo=UTC)),
        ("Application_3", 1, "A_SUBMITTED", None, datetime(2011, 10, 3, 7, tzinfo=UTC)),
        ("Application_3", 2, "A_WITHOUT_TIME", None, None),
    ]
    assert found.reasons == [(5, "主键办件编号（case_number）为空")]
    assert {"org:role", "case:REG_DATE"} <= set(found.unmapped)


def test_nested_values_are_columns_by_their_path_exactly_as_written(logs: Reader) -> None:
    fields = FIELDS | {"step_state_code": "Offer number.position", "special_name": "Offer number.terms.source", "special_code": "CreditScore", "opinion": "MonthlyCost", "special_reason": "Accepted"}
    found = logs.read("loans.xes", **EVENT, fields=fields)
    assert found.of("step_state_code", "special_name", "special_code", "opinion", "special_reason")[1] == ("1", "desk", "12345678901234567890", "498.290000000000001", "true")
    assert "Offer number" in found.unmapped and "case:RequestedAmount" in found.unmapped


def test_a_row_a_trace_keeps_traces_without_events(logs: Reader) -> None:
    found = logs.read("loans.xes", rows="trace", zone="Europe/Amsterdam", fields={"case_number": "case:concept:name", "received_at": "case:REG_DATE"})
    assert found.of("case_number", "received_at", "_file_row") == [
        ("Application_1", datetime(2011, 9, 30, 22, 38, 44, 546000, UTC), 1), ("Application_2", datetime(2011, 10, 2, tzinfo=UTC), 2), ("Application_3", None, 3),
    ]
    assert found.unmapped == ["case:AMOUNT_REQ", "case:RequestedAmount"]


@pytest.mark.parametrize(("defaults", "expected"), [(False, [None, None]), (True, ["complete", "complete"])])
def test_defaults_of_the_log_are_values_only_where_that_is_asked_for(logs: Reader, defaults: bool, expected: list[str | None]) -> None:
    """Public logs write ``__INVALID__`` and 1970 there."""
    found = logs.read("loans.xes", **EVENT, defaults=defaults, fields=AT | {"action": "lifecycle:transition", "step_state_code": "org:role"})
    assert found.of("action")[2:4] == expected
    assert found.of("step_state_code")[:2] == (["UNKNOWN"] * 2 if defaults else [None] * 2)  # no event has it: the log's head alone makes it a column
    assert found.of("occurred_at")[3] == (datetime(1970, 1, 1, tzinfo=UTC) if defaults else None)


def test_classifiers_are_columns_where_they_are_asked_for(logs: Reader) -> None:
    found = logs.read("loans.xes", **EVENT, fields=FIELDS | {"activity": "classifier:Activity and transition", "event_code": "classifier:With quotes"})
    assert found.of("activity", "event_code")[:2] == [("W_Complete application+start", "+W_Complete application"), ("W_Complete application+complete", "O-1+W_Complete application")]


def test_prefixed_names_lists_and_containers(logs: Reader) -> None:
    found = logs.read("hospital.xes", **EVENT, fields=FIELDS | {"opinion": "diagnoses", "event_code": "vitals.temperature", "action": "vitals.pressure.high"})
    assert found.of("activity", "event_code", "action") == [("ER Registration", "38.60", "120")]
    assert json.loads(found.of("opinion")[0]) == [{"code": "A41", "code.main": "true"}, {"code": "N39"}, {"more": '[{"n": "1"}]'}]
    assert found.unmapped == ["Age", "InfectionSuspected", "time:timestamp"]


def test_other_encodings_odd_keys_and_attributes_given_twice(logs: Reader) -> None:
    found = logs.read("fines.xes", **EVENT, fields=AT | {"action": "a\"b'c;d", "step_state_code": "case:受理 渠道（线上/线下）"})
    assert found.of("case_number", "sequence", "activity", "action", "step_state_code") == [("甲&1", 1, "罚款开具 <1>", "x", "网上"), ("甲&1", 3, "送达", None, "网上")]
    assert found.of("occurred_at")[0] == datetime(2006, 7, 23, 22, tzinfo=UTC)
    assert found.reasons == [(2, "第 2 条的属性 concept:name 出现两次且值不同")]


BOMB = '<!DOCTYPE log [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE log [<!ENTITY x SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (log('<trace><string key="concept:name" value="&c;"/></trace>', BOMB), "DTD"),
        (log('<trace><string key="concept:name" value="1"/></trace>&x;', OUTSIDE), "DTD"),
        ('<!DOCTYPE log SYSTEM "http://localhost:9/log.dtd"><log/>', "DTD"),
        ("<html><body/></html>", "不是 XES"),
        ("not XML", "第 1 行"),
        (log("<trace>") + "<trace>", "没有传完"),
        (log("<trace><event>"), "没有传完"),
        (log("<trace><string key='a' value='&#x1;'/></trace>"), "XML 不允许"),
        (log("<trace><string key='a' value='办'/></trace>").encode("gb18030"), "请在 encoding 中写明"),
        ("<?xml version='1.0' encoding='klingon'?><log/>", "klingon"),
        ("<?xml version='1.0' encoding='ascii'?><log><string key='a' value='é'/></log>", "第 1 行"),
        (log("<trace>" + "<container key='a'>" * 60 + "</container>" * 60 + "</trace>"), "嵌套"),
        (log("<trace>" + "".join(f"<string key='k{i}' value='1'/>" for i in range(2001)) + "<event/></trace>"), "列超过"),
    ],
)
def test_logs_that_are_refused(tmp_path: Path, content: str | bytes, said: str) -> None:
    (tmp_path / "bad.xes").write_bytes(content if isinstance(content, bytes) else content.encode())
    with reader(tmp_path) as found, pytest.raises(YiwangError) as caught:
        found.read("bad.xes", **EVENT, fields=FIELDS)
    assert caught.value.code == "YW-SYNC-004" and said in caught.value.message and "bad.xes" in caught.value.message


def test_a_log_without_traces_and_one_without_events(tmp_path: Path) -> None:
    (tmp_path / "none.xes").write_text(log(""))
    (tmp_path / "still.xes").write_text(log("<trace><string key='concept:name' value='1'/></trace>"))
    with reader(tmp_path) as found:
        assert found.read("*.xes", **EVENT, fields=FIELDS).rows == []
        assert found.read("*.xes", rows="trace", fields={"case_number": "case:concept:name"}).of("case_number") == ["1"]


def test_a_long_trace_does_not_wait_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xes, "MOST_WAITING", 10)
    name = "<string key='concept:name' value='1'/>"
    (tmp_path / "long.xes").write_text(log(f"<trace>{name}{'<event/>' * 25}</trace>"))
    (tmp_path / "late.xes").write_text(log(f"<trace>{'<event/>' * 25}{name}</trace>"))
    fields = {"case_number": "case:concept:name", "sequence": "event:sequence"}
    with reader(tmp_path) as found:
        assert found.read("long.xes", **EVENT, fields=fields).of("sequence") == list(range(1, 26))
        assert found.read("late.xes", **EVENT, fields=fields).of("case_number", "sequence") == [("1", place) for place in range(1, 26)]
        assert list(found.settings.work.joinpath("duckdb_tmp").iterdir()) == []


def test_events_that_wait_on_disk_are_what_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xes, "MOST_WAITING", 2)
    events = [f"<event><string key='concept:name' value='受理&#10;{i}'/></event>" for i in range(5)]
    events[1] = events[1].replace("</event>", "<string key='concept:name' value='other'/></event>")
    name = "<string key='concept:name' value='late'/>"
    (tmp_path / "log.xes").write_text(log(f"<trace>{''.join(events)}{name}</trace><trace>{events[0]}</trace>"), encoding="utf-8")
    with reader(tmp_path) as found:
        read = found.read("log.xes", **EVENT, fields=FIELDS)
        traces = found.read("log.xes", rows="trace", fields={"case_number": "case:concept:name"})
    assert read.of("case_number", "sequence", "activity") == [("late", i + 1, f"受理\n{i}") for i in (0, 2, 3, 4)]
    assert [number for number, _ in read.reasons] == [2, 6] and traces.of("case_number") == ["late"]


def test_numbers_go_on_where_traces_have_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, other, events = "<string key='concept:name' value='1'/>", "<string key='concept:name' value='2'/>", "<event/><event/>"
    (tmp_path / "log.xes").write_text(log(f"<trace>{name}{events}</trace><trace>{other}{events}</trace><trace>{events}{name}</trace><trace>{name}{events}</trace>"))
    fields = {"case_number": "case:concept:name", "sequence": "event:sequence"}
    with reader(tmp_path) as found:
        assert found.read("log.xes", **EVENT, fields=fields).of("case_number", "sequence") == [
            ("1", 1), ("1", 2), ("2", 1), ("2", 2), ("1", 3), ("1", 4), ("1", 5), ("1", 6),
        ]  # fmt: skip
        monkeypatch.setattr(xes, "MOST_NAMES", 1)
        with pytest.raises(YiwangError, match="轨迹超过"):
            found.read("log.xes", **EVENT, fields=fields)


def test_times_with_a_comma_and_in_the_basic_form(tmp_path: Path) -> None:
    times = ["2026-01-01T09:00:00,5-03:00", "20260101T120000Z", "20260101T200000.500+0800", "20260101T2000", "2026-01-01T12:00:00.5Z", "20260101"]
    (tmp_path / "log.xes").write_text(log("<trace><string key='concept:name' value='1'/>" + "".join(f"<event><date key='time:timestamp' value='{time}'/></event>" for time in times) + "</trace>"))
    with reader(tmp_path) as found:
        read = found.read("log.xes", subject="case_event", fields={"case_number": "case:concept:name", "sequence": "event:sequence", "occurred_at": "time:timestamp"})
    noon, day = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2025, 12, 31, 16, tzinfo=UTC)
    half = noon.replace(microsecond=500_000)
    assert read.of("occurred_at") == [half, noon, half, noon, half, day]


# --- the permit log ---------------------------------------------------------------------------------------


def as_xes(rows: list[dict[str, str]]) -> Iterator[str]:
    """A CSV of process mining as XES, its zones and texts as they stand."""
    yield '<?xml version="1.0" encoding="UTF-8"?><log xes.version="1.0" xmlns="http://www.xes-standard.org/"><string key="concept:name" value="permits"/>'
    for _, events in groupby(rows, itemgetter("case:concept:name")):
        trace = list(events)
        yield "<trace>" + "".join(_attribute(key.removeprefix("case:"), value) for key, value in trace[0].items() if key.startswith("case:") and value)
        for event in trace:
            yield "<event>" + "".join(_attribute(key, value) for key, value in event.items() if not key.startswith("case:") and value) + "</event>"
        yield "</trace>"
    yield "</log>"


def _attribute(key: str, value: str) -> str:
    kind = "date" if key.endswith("date") or key in ("time:timestamp", "deadline", "enddate_planned") else "string"
    return f"<{kind} key={quoteattr(key)} value={quoteattr(value.replace(' ', 'T') if kind == 'date' else value)}/>"


@pytest.fixture(scope="module")
def permits(tmp_path_factory: pytest.TempPathFactory) -> tuple[SyncHome, SyncHome]:
    """The permit log synchronised from its CSV and, written as gzipped XES, from that."""
    data = Path(os.environ.get("YIWANG_PERMITS_DIR") or ROOT.parent / "shared" / "data" / "permits") / "receipt.csv"
    if not data.is_file():
        pytest.skip("real data not here: set YIWANG_PERMITS_DIR or put it at ../shared/data/permits")
    homes = []
    for example in ("permits", "xes"):
        home = home_in(tmp_path_factory.mktemp(example))
        folder = data.parent
        if example == "xes":
            folder = home.folder
            with data.open(encoding="utf-8", newline="") as file, gzip.open(folder / "receipt.xes.gz", "wt", encoding="utf-8") as target:
                target.writelines(as_xes(list(csv.DictReader(file))))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("YIWANG_PERMITS_DIR", str(folder))
            patch.setenv("YIWANG_LOG_DIR", str(folder))
            file_of_sources = service.load_sources(ROOT / "examples" / f"{example}.sources.yml")
        counts = service.sync(home.settings, file_of_sources, service.start_run(home.settings))
        assert sum(count.quarantined for count in counts) == 0
        homes.append(home)
    return homes[0], homes[1]


@pytest.mark.parametrize("table", ["department", "case", "case_event"])
def test_the_permit_log_as_xes_gives_the_tables_of_its_csv(permits: tuple[SyncHome, SyncHome], table: str) -> None:
    without = "_file_id, _file_row, _run_seq, source" + (", sequence" if table == "case_event" else "")
    query = f'SELECT * EXCLUDE ({without}) FROM raw."{table}" ORDER BY ALL'
    from_csv, from_xes = (home.rows(query) for home in permits)
    assert from_csv == from_xes and from_csv


def test_the_permit_log_has_its_116_variants(permits: tuple[SyncHome, SyncHome]) -> None:
    (found,) = permits[1].rows(
        "SELECT count(*), count(DISTINCT case_number), count(DISTINCT activity), "
        "(SELECT count(DISTINCT path) FROM (SELECT string_agg(activity, '→' ORDER BY sequence) AS path FROM raw.case_event GROUP BY case_number)) FROM raw.case_event"
    )
    assert found == (8577, 1434, 27, 116)


def test_a_second_sync_of_a_log_reads_nothing(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    (tmp_path / "log.xes").write_text(log("<trace><string key='concept:name' value='1'/><event/></trace>"))
    home.configure({"subject": "case_event", "location": "log.xes", "fields": {"case_number": "case:concept:name", "sequence": "event:sequence"}})
    assert numbers(home.one()) == {"rows_read": 1, "inserted": 1}
    assert numbers(home.one()) == {}
    assert list((home.settings.work / "duckdb_tmp").iterdir()) == []
