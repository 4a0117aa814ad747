"""JSON Lines and JSON documents: exact values, nested ones, broken lines, drift; and what is refused."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.domain.errors import YiwangError
from pipelines.sources.formats import json_lines
from tests.support.examples import examples
from tests.support.files import Reader, home_in, reader
from tests.support.sync import numbers

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it


@pytest.fixture(scope="module")
def _reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with reader(tmp_path_factory.mktemp("lines")) as found:
        yield found


@pytest.fixture
def lines(_reader: Reader, tmp_path: Path) -> Reader:
    return _reader.of(tmp_path)


def write(lines: Reader, *content: str | bytes, name: str = "case.jsonl", encoding: str = "utf-8") -> None:
    (lines.folder / name).write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode(encoding) for line in content))


def test_values_are_exactly_what_is_written(lines: Reader) -> None:
    write(
        lines,
        '{"case_number": 123456789012345678901234567890, "n": 0.10}', '{"case_number": "C2", "n": 12345678901234567.89, "spare": 1}', '{"case_number": "C3", "n": 1E400}',
        '{"case_number": "C4", "n": true}', '{"case_number": "C5", "n": null}', '{"case_number": "C6", "n": "a\\u0000b\\ud83d\\ude00"}', '{"case_number": "C7", "n": "  "}', "{}",
    )
    found = lines.read("case.jsonl", fields={"matter_code": "n"})
    assert found.of("case_number", "matter_code") == [
        ("123456789012345678901234567890", "0.10"), ("C2", "12345678901234567.89"), ("C3", "1E400"), ("C4", "true"), ("C5", None), ("C6", "a\x00b😀"), ("C7", None),
    ]
    assert found.reasons == [(8, "主键办件编号（case_number）为空")] and found.unmapped == ["spare"]


def test_nested_values_are_columns_by_path_and_lists_are_text(lines: Reader) -> None:
    write(
        lines, '{"no": "C1", "applicant": {"name": "张三", "phones": ["199", 1.50], "at": {}}, "way": {"code": "1"}}', '{"no": "C2", "applicant": null}', '{"no": "C3", "applicant": "李四"}',
    )
    fields = {"case_number": "no", "applicant_name": "applicant.name", "contact_phone": "applicant.phones", "result_description": "way"}
    found = lines.read("case.jsonl", fields=fields)
    assert found.of("case_number", "applicant_name", "contact_phone", "result_description") == [("C1", "张三", '["199", 1.50]', '{"code": "1"}'), ("C2", None, None, None), ("C3", None, None, None)]
    assert found.unmapped == ["applicant", "applicant.at"]


def test_records_with_other_keys_give_the_union_of_columns(lines: Reader) -> None:
    write(lines, '{"case_number": "C1", "A": "1"}', '{"case_number": "C2", "b": "2"}', '{"Case_Number": "C3", "a": "3"}')
    found = lines.read("case.jsonl", fields={"matter_code": "a", "department_code": "b"})
    assert found.of("case_number", "matter_code", "department_code") == [("C1", "1", None), ("C2", None, "2"), ("C3", "3", None)]


def test_a_record_with_keys_that_differ_in_case_only_is_set_aside_where_values_differ(lines: Reader) -> None:
    write(
        lines, '{"Case_Number": "z", "case_number": "y"}', '{"Case_Number": "C2", "case_number": "C2"}', '{"case_number": "C3", "CASE_NUMBER": null}', '{"case_number": "C4", "spare": 1, "Spare": 2}',
    )
    found = lines.read("case.jsonl")
    assert found.of("case_number") == ["C2", "C3", "C4"]
    assert found.reasons == [(1, "Case_Number、case_number 只有大小写不同，值却不同")]


def test_a_column_that_no_record_has_must_be_optional(lines: Reader) -> None:
    write(lines, '{"case_number": "C1"}')
    with pytest.raises(YiwangError, match="none") as caught:
        lines.read("case.jsonl", fields={"matter_code": "none"})
    assert caught.value.code == "YW-SYNC-003"
    assert lines.read("case.jsonl", fields={"matter_code": {"column": "none", "optional": True}}).of("matter_code") == [None]


def test_broken_lines_are_set_aside_one_by_one(lines: Reader) -> None:
    write(
        lines, b'\xef\xbb\xbf{"case_number": "C1"}\r', " ", '{"case_number": "C2"', "[1]", '{"case_number": "C3", "case_number": "C4"}', '{"case_number": "C5", "x": {"y": 1, "y": 2}}',
        '{"case_number": NaN}', '{"case_number": "a\\ud800"}', b'{"case_number": "\xff"}', b'{"case_number": "a\x00b"}', '{"case_number": "C6"} {}', "[" * 100_000, '{"a.b": 1, "a": {"b": 2}}', '{"case_number": "C7", "spare": "' + "汉" * 40 + '"}',
    )
    found = lines.read("case.jsonl")
    assert found.of("case_number", "_file_row") == [("C1", 1), ("C7", 14)]
    assert {number: reason.partition("：")[2] for number, reason in found.reasons} == {
        3: "不是完整的 JSON 对象", 4: "不是 JSON 对象", 5: "同一个键出现两次", 6: "同一个键出现两次", 7: "NaN 不是数", 8: "含有不成对的代理字符", 9: "含有不是 UTF-8 的字节", 10: "不是完整的 JSON 对象",
        11: "不是完整的 JSON 对象", 12: "不是完整的 JSON 对象", 13: "键 a.b 出现两次",
    }
    assert {row["_reason_code"] for row in found.aside} == {"not_parsed"}
    assert json.loads(found.aside[0]["_raw"]) == {"line": '{"case_number": "C2"'} and found.aside[0]["_raw_masked"] == "{}"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_are_found_packed_or_not(lines: Reader, encoding: str, packed: bool) -> None:
    content = '{"办件编号": "办1"}\n{"办件编号": "办2"}\n'.encode(encoding)
    name = "case.JSONL.GZ" if packed else "case.NDJSON"
    (lines.folder / name).write_bytes(gzip.compress(content) if packed else content)
    assert lines.read("case.*").of("case_number") == ["办1", "办2"]


def test_arrays_and_documents(lines: Reader) -> None:
    write(lines, ' [ {"case_number": "C1"} ,\n {"case_number": 2, "case_number": 3}, 5, {"case_number": "C4"}\n] ', name="a.json")
    found = lines.read("a.json")
    assert found.of("case_number", "_file_row") == [("C1", 1), ("C4", 4)] and [number for number, _ in found.reasons] == [2, 3]
    write(lines, '{"code": 0,', ' "data": {"items": [{"case_number": 1.0}, {"case_number": "C2"}]}}', name="b.json")
    assert lines.read("b.json", records="data.items").of("case_number") == ["1.0", "C2"]
    write(lines, "{", '"case_number": "C1"', "}", name="c.json")
    assert lines.read("c.json").of("case_number") == ["C1"]
    write(lines, "[]", name="d.json")
    assert lines.read("d.json").rows == []


def test_an_array_longer_than_what_is_read_at_once(lines: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "CHUNK", 7)
    write(lines, json.dumps([{"case_number": f"办{i}", "matter_code": "}{\"]["} for i in range(50)], ensure_ascii=False, indent=1), name="a.json")
    assert lines.read("a.json").of("case_number") == [f"办{i}" for i in range(50)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", '[{"case_number": "C1"}, {"case_n', "第 2 条"),
        ("a.json", '[{"case_number": "C1"} {"case_number": "C2"}]', "第 1 条之后"),
        ("a.json", '[{"case_number": "C1"}] x', "第 1 条之后"),
        ("a.json", '[{"case_number": "C1"},]', "第 2 条"),
        ("a.json", "{\n", "不是完整的 JSON"),
        ("a.jsonl", "<html>\n", "没有一行"),
        ("a.jsonl", '{"' + '":1,"'.join(f"k{i}" for i in range(2001)) + '":1}', "列超过"),
        ("a.jsonl", '{"_file_row": 1}', "保留"),
        ("a.jsonl", "", "空"),
    ],
)
def test_files_that_are_refused(lines: Reader, name: str, content: str, said: str) -> None:
    write(lines, content, name=name)
    with pytest.raises(YiwangError, match=said) as caught:
        lines.read(name)
    assert caught.value.code == "YW-SYNC-004"


def test_a_path_of_records_that_is_not_there(lines: Reader) -> None:
    write(lines, '{"data": {"rows": []}}', name="a.json")
    with pytest.raises(YiwangError, match="data.items"):
        lines.read("a.json", records="data.items")


def test_a_cut_gz_is_named(lines: Reader) -> None:
    packed = gzip.compress("".join(f'{{"case_number": "C{i * 7919}"}}\n' for i in range(5000)).encode())
    for name in ("a.jsonl.gz", "a.csv.gz", "a.xes.gz"):
        (lines.folder / name).write_bytes(packed[: len(packed) // 2])
        with pytest.raises(YiwangError, match="没有传完"):
            lines.read(name)


LEAF = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "ab"]), LEAF | st.lists(LEAF, max_size=2), max_size=3), max_size=4))
def test_any_records_come_back(lines: Reader, records: list[dict[str, Any]]) -> None:
    """Numbered records with any values: each comes back, and its list is the list."""
    write(lines, *(json.dumps({"case_number": f"C{i}", "a": None} | record) for i, record in enumerate(records)), b'{"case_number": "last", "a": null}')
    found = lines.read("case.jsonl", fields={"matter_code": "a"})
    assert found.of("case_number") == [f"C{i}" for i in range(len(records))] + ["last"]
    for record, value in zip(records, found.of("matter_code"), strict=False):
        wanted = record.get("a")
        if isinstance(wanted, list):
            assert json.loads(value) == wanted
        elif isinstance(wanted, str):
            assert value == wanted or (value is None and not wanted.strip(" \t\n\v\f\r\u00a0\u200b\u3000\ufeff"))
        else:
            assert value == (None if wanted is None else json.dumps(wanted))


def test_a_line_that_was_set_aside_comes_in_when_its_file_is_mended(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    home.configure({"subject": "region", "location": "r.jsonl"})
    (tmp_path / "r.jsonl").write_text('{"region_code": "1"}\n{"region_code": 2\n{"region_code": "3", "region_name": 1}\n')
    assert numbers(home.one()) == {"rows_read": 3, "inserted": 2, "quarantined": 1}
    assert home.rows("SELECT file, file_row, reason_code FROM raw.quarantine") == [("r.jsonl", 2, "not_parsed")]
    (tmp_path / "r.jsonl").write_text('{"region_code": "1"}\n{"region_code": 2}\n{"region_code": "3", "region_name": 1}\n')
    assert numbers(home.one()) == {"rows_read": 3, "inserted": 1, "unchanged": 2}
    assert home.rows("SELECT count(*) FROM raw.quarantine") == [0]
