"""The sync on real files: mapping, types, encodings, quarantine, increments, order, drift, locks."""

import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.domain.contracts import Case
from models.domain.errors import YiwangError
from models.domain.identifiers import digest, resident_id_check
from models.domain.schema import arrow_schema
from models.domain.settings import Settings
from pipelines.sources import service
from tests.support.sync import SyncHome, numbers

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it

REGION: dict[str, Any] = {"subject": "region", "location": "region*.csv"}
CASE: dict[str, Any] = {"subject": "case", "location": "case*.csv"}
RESIDENT = "43019919500101123"
RESIDENT += resident_id_check(RESIDENT)


@pytest.fixture
def home(tmp_path: Path) -> SyncHome:
    return SyncHome.make(tmp_path)


def fails(home: SyncHome, code: str) -> str:
    with pytest.raises(YiwangError) as caught:
        home.sync()
    assert caught.value.code == code
    return caught.value.message


# --- mapping and types ------------------------------------------------------------------------------------


def test_columns_map_by_configuration_name_and_chinese_title(home: SyncHome) -> None:
    home.configure(CASE | {"fields": {"case_number": "NO", "channel_code": {"column": "way", "codes": {"窗口": "1", "未知": ""}}}})
    home.csv("case.csv", ["no", "实施编码", "department_code", "Way", "spare"], [["C1", "M1", "D1", " 窗口 ", "x"], ["C2", " ", "", "邮寄", ""], ["C3", "", "", "未知", ""]])
    count = home.one()
    assert home.rows('SELECT case_number, matter_code, department_code, channel_code FROM raw."case" ORDER BY 1') == [
        ("C1", "M1", "D1", "1"), ("C2", None, None, "邮寄"), ("C3", None, None, None),
    ]
    assert count.unmapped == ("spare",)
    assert service.unmapped_columns(home.settings, count.run_id) == [("city", "case", "spare")]
    assert service.unmapped_columns(home.settings, home.one().run_id) == []  # nothing was read


def test_constant_pad_and_reversed_satisfaction(home: SyncHome) -> None:
    source = {"subject": "review", "location": "r.csv", "satisfaction_direction": "best_is_5"}
    home.configure(source | {"fields": {"review_channel_code": {"constant": "qr"}, "region_code": {"column": "area", "pad": 6}}})
    home.csv("r.csv", ["review_id", "satisfaction_code", "area"], [["R1", "5", "199"], ["R2", "1", "430199001"], ["R3", "9", ""]])
    home.sync()
    assert home.rows("SELECT review_id, satisfaction_code, review_channel_code, region_code FROM raw.review ORDER BY 1") == [
        ("R1", "1", "qr", "000199"), ("R2", "5", "qr", "430199001"), ("R3", "9", "qr", None),
    ]


@pytest.mark.parametrize(
    ("zone", "text", "instant"),
    [
        ("Asia/Shanghai", "2026-03-02 09:00:00", datetime(2026, 3, 2, 1, tzinfo=UTC)),
        ("Europe/Amsterdam", "2011-12-06 13:41:31.788", datetime(2011, 12, 6, 12, 41, 31, 788000, tzinfo=UTC)),
        ("Asia/Shanghai", "2026-03-02T09:00:00+01:00", datetime(2026, 3, 2, 8, tzinfo=UTC)),
        ("Asia/Shanghai", "2026-03-02T01:00:00Z", datetime(2026, 3, 2, 1, tzinfo=UTC)),
        ("Asia/Shanghai", "2026/3/2 9:00", datetime(2026, 3, 2, 1, tzinfo=UTC)),
        ("Asia/Shanghai", "2026年3月2日 9时00分00秒", datetime(2026, 3, 2, 1, tzinfo=UTC)),
        ("Asia/Shanghai", "20260302090000", datetime(2026, 3, 2, 1, tzinfo=UTC)),
        ("Asia/Shanghai", "　2026-03-02　", datetime(2026, 3, 1, 16, tzinfo=UTC)),
    ],
)
def test_instants_as_sources_write_them(home: SyncHome, zone: str, text: str, instant: datetime) -> None:
    home.configure(CASE | {"zone": zone})
    home.csv("case.csv", ["case_number", "received_at"], [["C1", text]])
    home.sync()
    assert home.rows('SELECT received_at::VARCHAR FROM raw."case"') == home.rows("SELECT ?::TIMESTAMPTZ::VARCHAR", instant)


def test_formats_are_tried_in_order(home: SyncHome) -> None:
    formats = ["%d/%m/%Y %H:%M", "%m-%d-%Y"]
    home.configure(CASE | {"fields": {"received_at": {"column": "at", "formats": formats}}})
    home.csv("case.csv", ["case_number", "at"], [["C1", "02/03/2026 09:00"], ["C2", "03-02-2026"], ["C3", "2026-03-02"]])
    count = home.one()
    assert numbers(count) == {"rows_read": 3, "inserted": 2, "quarantined": 1}
    assert home.rows('SELECT epoch(received_at)::BIGINT FROM raw."case" ORDER BY case_number') == [1772413200, 1772380800]


def test_a_wrong_format_is_a_configuration_error(home: SyncHome) -> None:
    home.configure(CASE | {"fields": {"received_at": {"column": "at", "formats": ["%Y-%Q"]}}})
    home.csv("case.csv", ["case_number", "at"], [["C1", "2026"]])
    assert "%Y-%Q" in fails(home, "YW-SYNC-001")


def test_typed_parquet_keeps_its_types_and_others_are_cast(home: SyncHome) -> None:
    table = pa.table(
        {
            "case_number": pa.array([1, 2], pa.int64()),
            "received_at": pa.array([datetime(2026, 3, 2, 9), None], pa.timestamp("ms")),
            "accepted_at": pa.array([datetime(2026, 3, 2, 9, tzinfo=UTC)] * 2, pa.timestamp("ns", tz="UTC")),
            "source_promised_due_on": pa.array([date(2026, 3, 9), None]),
            "is_commitment": pa.array([1, 0], pa.int8()),
            "materials": pa.array([["a"], None], pa.list_(pa.string())),
        }
    )
    pq.write_table(table, home.folder / "case.parquet")
    home.configure(CASE | {"location": "case.parquet", "fields": {"result_description": "materials"}})
    home.sync()
    assert home.rows(
        'SELECT case_number, epoch(received_at)::BIGINT, epoch(accepted_at)::BIGINT, source_promised_due_on, is_commitment, result_description FROM raw."case" ORDER BY 1'
    ) == [("1", 1772413200, 1772442000, date(2026, 3, 9), True, '["a"]'), ("2", None, 1772442000, None, False, None)]


def test_a_parquet_file_written_from_the_contract_is_read_as_it_is(home: SyncHome) -> None:
    schema = arrow_schema(Case)
    rows = [{"case_number": f"C{i}", "received_at": datetime(2026, 3, 2, 9, tzinfo=UTC), "is_tolerance": bool(i % 2)} for i in range(5)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), home.folder / "case.parquet", row_group_size=2)
    home.configure(CASE | {"location": "case.parquet"})
    count = home.one()
    assert numbers(count) == {"rows_read": 5, "inserted": 5} and count.unmapped == ()
    assert home.rows('SELECT _file_row FROM raw."case" ORDER BY case_number') == [1, 2, 3, 4, 5]


def test_long_term_is_no_last_day(home: SyncHome) -> None:
    home.configure({"subject": "certificate", "location": "z.csv"})
    home.csv("z.csv", ["certificate_id", "有效期止"], [["Z1", " 长期"], ["Z2", "2030-01-01"], ["Z3", ""]])
    home.sync()
    assert home.rows("SELECT certificate_id, valid_to, is_long_term FROM raw.certificate ORDER BY 1") == [
        ("Z1", None, True), ("Z2", date(2030, 1, 1), False), ("Z3", None, False),
    ]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), [
    ("SELECT 'Z1' AS certificate_id, 'infinity'::DATE AS valid_to UNION ALL SELECT 'Z2', NULL UNION ALL SELECT 'Z3', DATE '2030-01-01'",
     [(None, True), (None, False), (date(2030, 1, 1), False)]),
    ("SELECT 'Z1' AS certificate_id, '是' AS 是否长期有效 UNION ALL SELECT 'Z2', '否'", [(None, True), (None, False)]),
    ("SELECT 'Z1' AS certificate_id, '长期' AS valid_to, NULL::BOOLEAN AS is_long_term UNION ALL SELECT 'Z2', NULL, NULL UNION ALL SELECT 'Z3', NULL, true",
     [(None, True), (None, False), (None, True)]),
    ("SELECT 'Z1' AS certificate_id, '许可证' AS certificate_name", [(None, False)]),  # says nothing of the end: it is missing
])  # fmt: skip
def test_no_end_is_told_by_a_day_or_a_column_of_its_own(home: SyncHome, query: str, expected: list[Any]) -> None:
    home.configure({"subject": "certificate", "location": "z.parquet"})
    duckdb.execute(f"COPY ({query}) TO '{home.folder / 'z.parquet'}'")
    home.sync()
    assert home.rows("SELECT valid_to, is_long_term FROM raw.certificate ORDER BY certificate_id") == expected


def test_values_are_loaded_as_they_stand(home: SyncHome) -> None:
    """Faults that are neither of form nor of key are for the quality room: they are not mended here."""
    home.configure(CASE)
    home.csv("case.csv", ["case_number", "matter_name", "case_kind_code"], [["C1", " 名称 ", "77"]])
    home.sync()
    assert home.rows('SELECT matter_name, case_kind_code FROM raw."case"') == [(" 名称 ", "77")]


def test_identifiers_are_digested_masked_and_never_stored(home: SyncHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home.configure(CASE)
    home.csv(
        "case.csv",
        ["case_number", "applicant_id_type_code", "applicant_id"],
        [["C1", "111", RESIDENT], ["C2", "111", "123"], ["C3", "414", "E12345678"], ["C4", "", ""], ["C5", "990", "91110000MA00000000"]],
    )
    home.sync()
    key = bytes.fromhex((home.settings.home / "digest.key").read_text())
    assert home.rows('SELECT applicant_id_digest, applicant_id_is_valid FROM raw."case" ORDER BY case_number') == [
        (digest(key, RESIDENT), True), (digest(key, "123"), False), (digest(key, "E12345678"), None), (None, None),
        (digest(key, "91110000MA00000000"), False),
    ]
    assert RESIDENT not in str(home.rows('SELECT * FROM raw."case"'))
    assert RESIDENT.encode() not in home.settings.warehouse.read_bytes()


def test_the_digest_key_of_the_settings_is_used(tmp_path: Path) -> None:
    home = SyncHome(tmp_path, Settings(home=tmp_path / "home", digest_key="0123456789abcdef"))  # type: ignore[arg-type]
    service.prepare(home.settings)
    home.configure(CASE)
    home.csv("case.csv", ["case_number", "applicant_id"], [["C1", RESIDENT]])
    home.sync()
    assert home.rows('SELECT applicant_id_digest FROM raw."case"') == [digest(b"0123456789abcdef", RESIDENT)]
    assert not (home.settings.home / "digest.key").exists()


def test_working_files_are_the_owners_alone(home: SyncHome) -> None:
    home.configure(CASE)
    home.csv("case.csv", ["case_number"], [["C1"]])
    home.sync()
    assert stat.S_IMODE(home.settings.warehouse.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.settings.work.stat().st_mode) == 0o700
    assert stat.S_IMODE((home.settings.home / "digest.key").stat().st_mode) == 0o600
    assert [p for p in (home.settings.work / "dlt").rglob("*") if p.is_file()] == []


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_encodings_and_delimiters_are_found(home: SyncHome, encoding: str, delimiter: str) -> None:
    home.configure(REGION)
    text = delimiter.join(["区划代码", "区划名称"]) + "\r\n" + delimiter.join(["430199001", '"清溪\n街道"']) + "\r\n"
    (home.folder / "region.csv").write_bytes(text.encode(encoding))
    home.sync()
    assert home.rows("SELECT region_code, region_name FROM raw.region") == [("430199001", "清溪\n街道")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("region.parquet", b"PAR1 then nothing", "Parquet"),
        ("region.csv", b"", "空"),
        ("region.csv", b"\n\n", "表头"),
        ("region.csv", b"region_code,region_code\n1,2\n", "重复"),
        ("region.csv", b"region_code,\n1,2\n", "没有列名"),
        ("region.csv", b"region_code,region_name\n1,\xff\xff\xff\xff\n", "编码"),
        ("region.dat", b"x", "格式"),
    ],
)
def test_an_unreadable_file_is_named(home: SyncHome, name: str, content: bytes, said: str) -> None:
    home.configure(REGION | {"location": "region.*"})
    (home.folder / name).write_bytes(content)
    message = fails(home, "YW-SYNC-004")
    assert name in message and said in message and message.count("。") == 2


def test_the_damaged_one_of_several_parquet_files_is_named(home: SyncHome) -> None:
    home.configure(REGION | {"location": "region*.parquet"})
    for part in range(3):
        table = pa.table({"region_code": [f"{part}-{i}" for i in range(20_000)], "region_name": [os.urandom(8).hex() for _ in range(20_000)]})
        pq.write_table(table, home.folder / f"region{part}.parquet", compression="zstd", use_dictionary=False)
    path = home.folder / "region1.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    path.write_bytes(content)
    assert "region1.parquet" in fails(home, "YW-SYNC-004")
    assert home.rows("SELECT count(*) FROM raw.region") == [0]


def test_a_wrong_encoding_is_named(home: SyncHome) -> None:
    home.configure(REGION | {"encoding": "gb18030"})
    (home.folder / "region.csv").write_bytes("区划代码\n1\n".encode("utf-16"))
    assert "gb18030" in fails(home, "YW-SYNC-004")


def test_no_file_is_an_error(home: SyncHome) -> None:
    home.configure(REGION)
    assert "region*.csv" in fails(home, "YW-SYNC-002")


@pytest.mark.parametrize("missing", [{"fields": {"region_name": "title"}}, {"key": ["region_name"]}, {"cursor": "updated_at"}, {"deleted": "gone"}])
def test_a_missing_column_is_an_error(home: SyncHome, missing: dict[str, Any]) -> None:
    home.configure(REGION | missing)
    home.csv("region.csv", ["region_code"], [["1"]])
    fails(home, "YW-SYNC-003")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_without_rows_is_fine(home: SyncHome, form: str) -> None:
    home.configure(REGION | {"location": f"region.{form}"})
    if form == "csv":
        home.csv("region.csv", ["region_code", "spare"], [])
    else:
        pq.write_table(pa.table({"region_code": pa.array([], pa.string()), "spare": pa.array([], pa.int64())}), home.folder / "region.parquet")
    count = home.one()
    assert numbers(count) == {} and count.files == 1 and count.unmapped == ("spare",)
    assert home.one().files == 0


@pytest.mark.parametrize("name", ["a[1].%s", "b 'quoted'.%s", "c (副本)?.%s", "d*.%s"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_any_file_name_will_do(home: SyncHome, name: str, form: str) -> None:
    home.configure(REGION | {"location": f"*.{form}"})
    if form == "csv":
        home.csv(name % form, ["region_code"], [["1"]])
    else:
        pq.write_table(pa.table({"region_code": ["1"]}), home.folder / (name % form))
    assert numbers(home.one()) == {"rows_read": 1, "inserted": 1}
    assert home.rows("SELECT path FROM ops.source_file") == [name % form]


NAMES = "SELECT region_code, region_name FROM raw.region ORDER BY 1"
OPTIONAL: dict[str, Any] = {"fields": {"region_name": {"column": "region_name", "optional": True}}}


def test_files_with_different_columns_are_read_and_drift_is_reported(home: SyncHome) -> None:
    home.configure(REGION | {"location": "region*.parquet"})
    pq.write_table(pa.table({"region_code": ["1"], "region_name": ["甲"]}), home.folder / "region1.parquet")
    assert home.one().unmapped == ()
    pq.write_table(pa.table({"region_code": pa.array([2], pa.int32()), "level": ["x"]}), home.folder / "region2.parquet")
    said = fails(home, "YW-SYNC-003")
    assert "region2.parquet" in said and "region_name" in said and "optional: true" in said
    home.configure(REGION | {"location": "region*.parquet"} | OPTIONAL)
    assert home.one().unmapped == ("level",)
    assert home.rows(NAMES) == [("1", "甲"), ("2", None)]


@pytest.mark.parametrize("header", [["region_code", "title"], ["region_code"]])
def test_a_column_that_mapped_by_itself_and_is_gone_is_an_error_and_nothing_is_wiped(home: SyncHome, header: list[str]) -> None:
    home.configure(REGION)
    home.csv("region.csv", ["region_code", "区划名称"], [["1", "甲"]])
    assert home.one().unmapped == ()
    home.csv("region.csv", header, [["1", "甲"][: len(header)]])
    for _ in range(2):
        said = fails(home, "YW-SYNC-003")
        assert "region.csv" in said and "区划名称" in said
    assert home.rows(NAMES) == [("1", "甲")]
    home.configure(REGION | OPTIONAL)
    assert home.one().updated == 1 and home.rows(NAMES) == [("1", None)]
    assert home.rows("SELECT field FROM ops.filled_field") == ["region_code"]


def test_a_field_may_change_its_column_and_a_mapping_may_be_withdrawn(home: SyncHome) -> None:
    home.configure(REGION | {"fields": {"parent_code": "above"}})
    home.csv("region.csv", ["region_code", "region_name", "above"], [["1", "甲", "0"]])
    home.one()
    home.csv("region.csv", ["region_code", "REGION_NAME", "above"], [["1", "乙", "0"]])
    assert home.one().updated == 1
    home.configure(REGION)
    assert home.one().unmapped == ("above",)
    home.csv("region.csv", ["region_code", "region_name"], [["1", "丙"]])
    assert home.one().updated == 1  # what nothing maps may go


def test_files_of_one_sync_that_differ_are_told_apart_by_name(home: SyncHome) -> None:
    home.configure(REGION)
    home.csv("region1.csv", ["region_code"], [["1"]])
    home.csv("region2.csv", ["region_code", "region_name"], [["2", "乙"]])
    assert "region1.csv 缺少列 region_name" in fails(home, "YW-SYNC-003")
    assert home.rows("SELECT count(*) FROM raw.region") == [0]


def test_a_home_that_never_noted_its_columns_knows_the_fields_with_values(home: SyncHome) -> None:
    home.configure(REGION)
    home.csv("region.csv", ["region_code", "region_name"], [["1", "甲"]])
    home.one()
    with duckdb.connect(str(home.settings.warehouse)) as connection:
        connection.execute("DROP TABLE ops.filled_field")  # as an older program left it
    service.prepare(home.settings)
    home.csv("region.csv", ["region_code"], [["1"]])
    assert "缺少列 region_name" in fails(home, "YW-SYNC-003")


def test_a_field_that_no_json_record_has_any_more_is_reported(home: SyncHome) -> None:
    home.configure(REGION | {"location": "region*.jsonl"})
    path = home.folder / "region.jsonl"
    path.write_text('{"region_code": "1", "region_name": "甲"}\n{"region_code": "2"}\n', encoding="utf-8")
    assert home.one().missing == ()
    (home.folder / "region2.jsonl").write_text('{"region_code": "3"}\n', encoding="utf-8")
    count = home.one()
    assert count.missing == ("region_name",)
    assert service.missing_columns(home.settings, count.run_id) == [("city", "region", "region_name")]
    path.write_text('{"region_code": "1", "region_name": "乙"}\n{"region_code": "2"}\n', encoding="utf-8")
    assert home.one().missing == ()


def test_a_column_that_another_subject_of_the_file_takes_is_mapped(home: SyncHome) -> None:
    home.configure(
        {"subject": "department", "location": "both.csv", "fields": {"department_code": "dept"}},
        {"subject": "region", "location": "both.csv", "fields": {"region_code": "area"}},
    )
    home.csv("both.csv", ["dept", "area", "none"], [["D", "R", ""]])
    assert [count.unmapped for count in home.sync()] == [("none",), ("none",)]


# --- quarantine -------------------------------------------------------------------------------------------


def test_rows_that_cannot_be_parsed_typed_or_keyed_are_set_aside_and_come_in_when_mended(home: SyncHome) -> None:
    home.configure(CASE | {"deleted": "gone"})
    path = home.folder / "case.csv"
    good = "case_number,received_at,applicant_name,contact_phone,is_commitment,gone,spare\n"
    path.write_text(
        good
        + "C1,2026-03-02,张三丰,19900001234,是,0,秘密\n"
        + "C2,2026-02-30,张三丰,19900001234,也许,0,秘密\n"
        + " ,2026-03-02,,,,,\n"
        + "C4,2026-03-02\n"
        + "C5,张三丰,,,,,\n"
        + "C6,infinity,,,,,\n"
        + "C7,2026-03-02,,,,maybe,\n",
        encoding="utf-8",
    )
    assert numbers(home.one()) == {"rows_read": 7, "inserted": 1, "quarantined": 6}
    quarantine = home.rows("SELECT record_key, reason_code, reason, file, file_row FROM raw.quarantine ORDER BY reason_code, file_row")
    assert quarantine == [
        (None, "no_key", "主键办件编号（case_number）为空", "case.csv", 3),
        (None, "not_parsed", "第 5 行无法解析：列数少于表头", "case.csv", 5),
        ("C2", "not_typed", "收件时间（received_at）的值“2026-02-30”不是日期时间；是否告知承诺（is_commitment）的值“也***”不是是或否", "case.csv", 2),
        ("C5", "not_typed", "收件时间（received_at）的值“张***”不是日期时间", "case.csv", 4),
        ("C6", "not_typed", "收件时间（received_at）的值“infinity”不是日期时间", "case.csv", 5),
        ("C7", "not_typed", "删除标记的值“maybe”不是是或否", "case.csv", 6),
    ]
    (clear,) = home.rows("SELECT raw FROM raw.quarantine WHERE record_key = 'C2'")
    (masked,) = home.rows("SELECT raw_masked FROM raw.quarantine WHERE record_key = 'C2'")
    assert "张三丰" in clear and "秘密" in clear
    assert "2026-02-30" in masked and "张*丰" in masked and "199****1234" in masked and "也***" in masked and "秘密" not in masked
    published = "".join(str(row) for row in home.rows("SELECT reason, raw_masked FROM raw.quarantine"))
    assert "张三丰" not in published and "19900001234" not in published

    path.write_text(good + "C1,2026-03-02,张三丰,19900001234,是,0,秘密\nC2,2026-02-28,,,,,\nC9,,,,x,,\n", encoding="utf-8")
    assert numbers(home.one()) == {"rows_read": 3, "inserted": 1, "unchanged": 1, "quarantined": 1}
    assert home.rows("SELECT record_key FROM raw.quarantine") == ["C9"]


def test_a_broken_line_of_a_utf8_file_is_set_aside(home: SyncHome) -> None:
    home.configure(REGION)
    lines = [f"{i},街道名称".encode() for i in range(30)]
    lines[7] = b"7,\xff\xfe"
    (home.folder / "region.csv").write_bytes(b"region_code,region_name\n" + b"\n".join(lines) + b"\n")
    assert numbers(home.one()) == {"rows_read": 30, "inserted": 29, "quarantined": 1}
    assert home.rows("SELECT reason FROM raw.quarantine") == ["第 9 行无法解析：含有不是 UTF-8 的字节"]


def test_quarantine_of_parquet(home: SyncHome) -> None:
    table = pa.table({"case_number": ["C1", "C2", None], "received_at": ["2026-03-02", "昨天", "2026-03-02"], "trips": [1.0, 2.0, 3.5]})
    pq.write_table(table, home.folder / "case.parquet")
    home.configure(CASE | {"location": "case.parquet"})
    assert numbers(home.one()) == {"rows_read": 3, "inserted": 1, "quarantined": 2}
    assert home.rows("SELECT file_row, reason_code FROM raw.quarantine ORDER BY 1") == [(2, "not_typed"), (3, "no_key")]


def test_whole_numbers_are_not_rounded(home: SyncHome) -> None:
    home.configure({"subject": "matter", "location": "m.csv"})
    home.csv("m.csv", ["matter_code", "promised_limit"], [["M1", "3"], ["M2", "3.0"], ["M3", "3.7"], ["M4", "99999999999"]])
    assert numbers(home.one()) == {"rows_read": 4, "inserted": 2, "quarantined": 2}


# --- increments -------------------------------------------------------------------------------------------


def test_a_second_sync_reads_nothing_and_a_touched_file_is_not_read(home: SyncHome) -> None:
    home.configure(REGION)
    path = home.csv("region.csv", ["region_code"], [["1"], ["2"]])
    assert numbers(home.one()) == {"rows_read": 2, "inserted": 2}
    assert numbers(home.one()) == {}
    os.utime(path, ns=(1, 1))
    assert numbers(home.one()) == {}
    assert home.rows("SELECT mtime_ns FROM ops.source_file") == [1]


def test_a_file_written_anew_with_the_same_records_changes_nothing(home: SyncHome) -> None:
    home.configure(REGION)
    home.csv("region.csv", ["region_code", "region_name"], [["1", "甲"], ["2", "乙"]])
    home.sync()
    home.csv("region.csv", ["region_name", "region_code"], [["乙", "2"], ["甲", "1"]])
    assert numbers(home.one()) == {"rows_read": 2, "unchanged": 2}
    assert home.rows("SELECT region_code, _run_seq, _file_row FROM raw.region ORDER BY 1") == [("1", 1, 2), ("2", 1, 1)]


def test_changed_late_and_deleted_rows(home: SyncHome) -> None:
    home.configure(CASE | {"cursor": "updated_at", "deleted": "gone"})
    header = ["case_number", "matter_code", "updated_at", "gone"]
    home.csv("case1.csv", header, [["C1", "M1", "2026-03-02", ""], ["C2", "M1", "2026-03-02", ""], ["C3", "M1", "2026-03-02", ""]])
    home.sync()
    home.csv("case2.csv", header, [["C1", "M2", "2026-03-03", ""], ["C2", "M0", "2026-03-01", ""], ["C3", "", "2026-03-03", "1"], ["C4", "M1", "2026-01-01", ""], ["C5", "M1", "2026-03-03", "是"]])
    assert numbers(home.one()) == {"rows_read": 5, "inserted": 1, "updated": 1, "superseded": 1, "deleted": 2}
    assert home.rows('SELECT case_number, matter_code, _run_seq, _is_deleted FROM raw."case" ORDER BY 1') == [
        ("C1", "M2", 2, False), ("C2", "M1", 1, False), ("C3", None, 2, True), ("C4", "M1", 2, False), ("C5", "M1", 2, True),
    ]
    home.csv("case3.csv", header, [["C3", "M1", "2026-03-02", ""], ["C5", "M1", "2026-03-04", ""]])
    assert numbers(home.one()) == {"rows_read": 2, "updated": 1, "superseded": 1}
    assert home.rows('SELECT case_number FROM raw."case" WHERE _is_deleted') == ["C3"]


def test_duplicate_keys_in_one_file_and_across_files(home: SyncHome) -> None:
    home.configure(REGION)
    home.csv("region1.csv", ["region_code", "region_name"], [["1", "a"], ["1", "b"], ["2", "a"]])
    home.csv("region2.csv", ["region_code", "region_name"], [["2", "c"], ["3", "a"], ["3", "a"]])
    assert numbers(home.one()) == {"rows_read": 6, "inserted": 3, "superseded": 3}
    assert home.rows("SELECT region_code, region_name FROM raw.region ORDER BY 1") == [("1", "b"), ("2", "c"), ("3", "a")]


def test_without_cursor_the_later_name_wins_whenever_it_was_read(home: SyncHome) -> None:
    home.configure(REGION)
    home.csv("region2.csv", ["region_code", "region_name"], [["1", "later"]])
    home.sync()
    home.csv("region1.csv", ["region_code", "region_name"], [["1", "earlier"]])
    assert numbers(home.one()) == {"rows_read": 1, "superseded": 1}
    home.csv("region2.csv", ["region_code", "region_name"], [["1", "mended"]])
    assert numbers(home.one()) == {"rows_read": 1, "updated": 1}


def test_cursor_beats_the_order_of_files(home: SyncHome) -> None:
    home.configure(REGION | {"cursor": "updated_at"})
    header = ["region_code", "region_name", "updated_at"]
    home.csv("region1.csv", header, [["1", "newest", "2026-03-03"], ["2", "undated", ""]])
    home.csv("region2.csv", header, [["1", "older", "2026-03-01"], ["1", "undated", ""], ["2", "also undated", ""]])
    assert numbers(home.one()) == {"rows_read": 5, "inserted": 2, "superseded": 3}
    assert home.rows("SELECT region_name FROM raw.region ORDER BY region_code") == ["newest", "also undated"]


def test_two_sources_keep_apart(home: SyncHome) -> None:
    home.configure(REGION | {"name": "one", "location": "one.csv"}, REGION | {"name": "two", "location": "two.csv"})
    for name in ("one", "two"):
        home.csv(f"{name}.csv", ["region_code", "region_name"], [["1", name]])
    home.sync()
    assert home.rows("SELECT source, region_name FROM raw.region ORDER BY 1") == [("one", "one"), ("two", "two")]


def test_a_changed_mapping_reads_the_files_again(home: SyncHome) -> None:
    home.configure(CASE)
    home.csv("case.csv", ["case_number", "at"], [["C1", "02.03.2026"]])
    home.sync()
    home.configure(CASE | {"fields": {"received_at": {"column": "at", "formats": ["%d.%m.%Y"]}}})
    assert numbers(home.one()) == {"rows_read": 1, "updated": 1}


def test_only_the_wanted_subjects(home: SyncHome) -> None:
    home.configure(REGION, CASE)
    home.csv("region.csv", ["region_code"], [["1"]])
    assert [count.subject for count in home.sync(["region"])] == ["region"]


def test_an_error_keeps_what_was_there(home: SyncHome) -> None:
    home.configure(REGION)
    home.csv("region1.csv", ["region_code"], [["1"]])
    home.sync()
    home.csv("region2.csv", ["region_code"], [["2"]])
    home.csv("region3.csv", ["other"], [["3"]])
    fails(home, "YW-SYNC-003")
    assert home.rows("SELECT region_code FROM raw.region") == ["1"]
    (home.folder / "region3.csv").unlink()
    assert numbers(home.one()) == {"rows_read": 1, "inserted": 1}


# --- runs -------------------------------------------------------------------------------------------------


def test_prepare_makes_all_tables_and_twice_is_once(home: SyncHome) -> None:
    service.prepare(home.settings)
    tables = home.rows("SELECT table_schema || '.' || table_name FROM information_schema.tables ORDER BY 1")
    assert {"raw.case", "raw.case_event", "raw.window", "raw.quarantine", "raw.calendar", "raw.code_label", "ops.run", "ops.sync_count"} <= set(tables)
    assert home.rows("SELECT label FROM raw.code_label WHERE code_table = 'L.outcome' AND code = 'granted'") == ["准予"]
    assert home.rows("SELECT is_working_day, wd_number > 0, next_working_day FROM raw.calendar WHERE day = '2026-10-01'") == [(False, True, date(2026, 10, 8))]


def test_runs_are_numbered_and_a_killed_one_is_closed(home: SyncHome) -> None:
    first = service.start_run(home.settings)
    second = service.start_run(home.settings)
    assert service.start_run(home.settings, second.run_id) == second
    as_of = datetime(2026, 6, 30, tzinfo=UTC)
    service.set_as_of(home.settings, second, as_of)
    service.finish_run(home.settings, second, "published")
    assert (first.run_seq, second.run_seq) == (1, 2) and first.run_id < second.run_id
    assert home.rows("SELECT state, detail, epoch(as_of)::BIGINT FROM ops.run ORDER BY run_seq") == [
        ("failed", "进程中断", None), ("published", None, int(as_of.timestamp())),
    ]


def test_horizon_is_the_last_time_that_the_data_backs(home: SyncHome) -> None:
    with pytest.raises(YiwangError) as caught:
        service.horizon(home.settings)
    assert caught.value.code == "YW-RUN-003"
    home.configure(CASE, {"subject": "case_event", "location": "event.csv"})
    days = [f"2026-{month:02}-{day:02} 09:00" for month in range(1, 7) for day in range(1, 29)]
    home.csv("case.csv", ["case_number", "received_at", "completed_at"], [[f"C{i}", at, at] for i, at in enumerate(days * 2)] + [["X", "2099-12-31", ""]])
    home.csv("event.csv", ["case_number", "sequence", "occurred_at"], [["C1", 1, "2026-06-28 17:30"], ["C1", 2, "9999-12-31"]])
    home.sync()
    assert service.horizon(home.settings) == datetime(2026, 6, 28, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("late", ["review", "certificate"])
def test_horizon_counts_reviews_and_certificates(home: SyncHome, late: str) -> None:
    home.configure(CASE, {"subject": "review", "location": "review.csv"}, {"subject": "certificate", "location": "certificate.csv"})
    home.csv("case.csv", ["case_number", "received_at"], [[f"C{i}", "2026-06-28 17:30"] for i in range(10)])
    at = {"review": ["", "2026-06-28 18:30"], "certificate": ["2026-06-28 18:30"]}
    rows = {subject: [["X", *values]] if subject == late else [] for subject, values in at.items()}
    home.csv("review.csv", ["review_id", "updated_at", "reviewed_at"], rows["review"])
    home.csv("certificate.csv", ["certificate_id", "updated_at"], rows["certificate"])
    home.sync()
    assert service.horizon(home.settings) == datetime(2026, 6, 28, 10, 30, tzinfo=UTC)


LOCKER = """
import sys, time
from pathlib import Path
from models.domain.settings import Settings
from pipelines.sources.service import run_lock
with run_lock(Settings(home=Path(sys.argv[1]))):
    sys.stdout.write("held\\n"); sys.stdout.flush(); time.sleep(600)
"""


def test_the_lock_is_held_by_one_process_and_vanishes_with_it(home: SyncHome) -> None:
    command = [sys.executable, "-c", LOCKER, str(home.settings.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:  # noqa: S603
        try:
            assert other.stdout is not None and other.stdout.readline() == "held\n"
            with pytest.raises(YiwangError) as caught, service.run_lock(home.settings):
                pass
            assert caught.value.code == "YW-RUN-001" and str(other.pid) in caught.value.message
        finally:
            other.send_signal(signal.SIGKILL)
            other.wait()
    with service.run_lock(home.settings):
        pass


QUIET = """
import socket, sys, threading
from pathlib import Path
from models.domain.settings import Settings
from tests.support.sync import SyncHome
def refuse(*arguments, **named):
    raise SystemExit("network")
socket.getaddrinfo = socket.socket.connect = refuse
SyncHome(Path(sys.argv[1]), Settings(home=Path(sys.argv[1]) / "home")).sync()
sys.stdout.write(",".join(sorted(thread.name for thread in threading.enumerate())))
"""


def test_nothing_is_told_to_anybody(home: SyncHome) -> None:
    home.configure(REGION)
    home.csv("region.csv", ["region_code"], [["1"]])
    command = [sys.executable, "-c", QUIET, str(home.folder)]
    environment = {**os.environ, "HOME": str(home.folder / "user")}
    done = subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "MainThread" and "leaked" not in done.stderr
    assert not (home.folder / "user").exists()
