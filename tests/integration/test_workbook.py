"""XLSX as offices write it: titles, two-row headers, merged cells, formulas, dates, notes; and what is refused."""

import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.worksheet.worksheet import Worksheet

from models.domain.errors import YiwangError
from pipelines.sources.formats import workbook
from tests.support.files import Reader, home_in, reader
from tests.support.sync import numbers

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it
HEADER = ["办件编号", "收件时间", "实施编码", "备用"]


@pytest.fixture(scope="module")
def _reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with reader(tmp_path_factory.mktemp("books")) as found:
        yield found


@pytest.fixture
def books(_reader: Reader, tmp_path: Path) -> Reader:
    return _reader.of(tmp_path)


def write(books: Reader, *rows: list[Any], then: Callable[[Worksheet], object] | None = None, name: str = "case.xlsx") -> Path:
    book = Workbook()
    sheet = book.worksheets[0]
    for row in rows:
        sheet.append(row)
    if then:
        then(sheet)
    book.save(books.folder / name)
    return books.folder / name


def patch(path: Path, old: str, new: str, part: str = "xl/worksheets/sheet1.xml") -> None:
    """Change the XML within, where openpyxl would not write it so."""
    with zipfile.ZipFile(path) as packed:
        parts = {entry: packed.read(entry) for entry in packed.namelist()}
    assert old.encode() in parts[part]
    parts[part] = parts[part].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry, content in parts.items():
            packed.writestr(entry, content)


def test_a_title_blank_rows_and_notes_are_no_records(books: Reader) -> None:
    write(
        books, ["2026年第一季度办件清单"], ["填报单位：某某局", None, None, "2026年"], [], HEADER, ["C1", "2026年3月2日", "M1", "x"], [], [None, " "], ["C2", datetime(2026, 3, 2, 9), "M2"],
        ["合计", None, None, 2], [], ["注：以上数据截至三月"], ["本表由综合窗口填写"],
        then=lambda sheet: (sheet.merge_cells("A1:D1"), sheet.merge_cells("A12:D12")),
    )
    found = books.read("case.xlsx")
    assert found.of("case_number", "received_at", "matter_code", "_file_row") == [("C1", datetime(2026, 3, 1, 16, tzinfo=UTC), "M1", 5), ("C2", datetime(2026, 3, 2, 1, tzinfo=UTC), "M2", 8)]
    assert found.reasons == [
        (9, "第 9 行是表尾的说明或合计，不是一条记录"), (11, "第 11 行是表尾的说明或合计，不是一条记录"), (12, "A12 横向合并了 4 列，不是一条记录"),
    ]
    assert found.unmapped == ["备用"]


def test_a_record_that_begins_like_a_note_is_a_record(books: Reader) -> None:
    names = ["注册建筑师执业注册", "注销户口登记", "说明书备案", "审核转报", "审核", "备注信息变更", "截止阀生产许可", "合计科目变更备案", "说明：一", "合计"]
    rows = [[name, f"M{i}", "x"] for i, name in enumerate(names)]
    notes: list[list[Any]] = [["合计", 12, 3], ["审核：张三", None, "制表：李四"], ["注 以上为试点事项"], ["审核 张三", None, "x"]]
    write(books, ["事项名称", "实施编码", "说明"], *rows, *notes)
    found = books.read("case.xlsx", subject="matter")
    assert found.of("matter_name") == names
    assert found.reasons == [(number, f"第 {number} 行是表尾的说明或合计，不是一条记录") for number in range(12, 16)]


def test_a_key_that_begins_like_a_note_and_notes_in_the_place_of_a_key(books: Reader) -> None:
    write(books, HEADER[:1] + HEADER[2:], ["注2026001", "M1"], ["审计局-001", "M1"], ["合计", "M2"], ["小计", None, 2], ["填表人：张三", "审核人：李四"], ["说明"])
    found = books.read("case.xlsx")
    assert found.of("case_number") == ["注2026001", "审计局-001"] and [number for number, _ in found.reasons] == [4, 5, 6, 7]


def test_columns_without_a_name_are_said(books: Reader) -> None:
    write(books, ["办件编号", None, "实施编码"], ["C1", "lost?", "M1"], ["C2", None, "M2", " ", "aside"], ["C3", None, "=A1", "set aside"], [None, None, None, None, None, "beside the table"])
    found = books.read("case.xlsx")
    assert found.of("case_number") == ["C1", "C2"] and found.unmapped == ["列 B（无列名）", "列 D（无列名）", "列 E（无列名）", "列 F（无列名）"]
    assert "set aside" in found.aside[0]["_raw"] and len(found.aside) == 1


def test_cells_merged_downwards_hold_for_all_their_rows(books: Reader) -> None:
    write(
        books, ["办件编号", "实施编码", "备用"], ["C1", "M1"], ["C2"], ["C3"], [None, None, "no record of its own"], ["C5", "M5"],
        then=lambda sheet: (sheet.merge_cells("B2:B4"), sheet.merge_cells("A6:A7")),
    )
    found = books.read("case.xlsx")
    assert found.of("case_number", "matter_code") == [("C1", "M1"), ("C2", "M1"), ("C3", "M1"), ("C5", "M5")]
    assert found.reasons == [(5, "主键办件编号（case_number）为空")]


def test_a_header_of_two_rows_is_joined(books: Reader) -> None:
    write(
        books, ["序号", "办件编号", "申请人", None, "收件时间"], [None, None, "姓名", "电话"], [1, "C1", "张三", "19900001234", "2026-03-02"],
        then=lambda sheet: [sheet.merge_cells(area) for area in ("A1:A2", "B1:B2", "C1:D1", "E1:E2")],
    )
    fields = {"applicant_name": "申请人.姓名", "contact_phone": "申请人.电话"}
    found = books.read("case.xlsx", fields=fields)
    assert found.of("case_number", "applicant_name", "contact_phone", "received_at") == [("C1", "张三", "19900001234", datetime(2026, 3, 1, 16, tzinfo=UTC))]
    assert books.read("case.xlsx", fields=fields, header_row=1).of("_file_row") == [3]


def test_header_row_and_sheet_by_name_number_and_visibility(books: Reader) -> None:
    book = Workbook()
    hidden = book.worksheets[0]
    hidden.title, hidden.sheet_state = "字典", "hidden"
    hidden.append(["办件编号"])
    hidden.append(["D1"])
    sheet = book.create_sheet("办件 ")
    for row in (["办件编号"], ["not a record"], ["办件编号"], ["C1"], ["C2"]):
        sheet.append(row)
    sheet.row_dimensions[5].hidden = True
    book.save(books.folder / "case.xlsx")
    assert books.read("case.xlsx", header_row=3).of("case_number") == ["C1", "C2"]
    assert books.read("case.xlsx").of("case_number") == ["not a record", "办件编号", "C1", "C2"]
    assert books.read("case.xlsx", sheet="字典").of("case_number") == books.read("case.xlsx", sheet="1").of("case_number") == ["D1"]
    assert books.read("case.xlsx", sheet="办件", header_row=3).of("case_number") == ["C1", "C2"]


def test_formulas_give_their_result_and_without_one_the_cell_is_named(books: Reader) -> None:
    path = write(books, HEADER, ["C1", None, "=A1", "=1+1"], ["C2", None, "=A2", 5], ["C3", None, "=A3", 6])
    patch(path, "<f>A1</f><v></v>", "<f>A1</f><v>42</v>")
    patch(path, '<c r="C3"><f>A2</f><v></v>', '<c r="C3" t="str"><f>A2</f><v></v>')
    found = books.read("case.xlsx")
    assert found.of("case_number", "matter_code") == [("C1", "42"), ("C2", None)]  # the formula in D2, which nothing maps, is no fault
    assert found.reasons == [(4, "C4 的公式没有保存结果，请用 Excel 打开并保存一次")]
    assert found.aside[0]["_reason_code"] == "not_parsed" and found.aside[0]["_record_key"] == "C3"


def test_error_cells_are_named(books: Reader) -> None:
    path = write(books, HEADER, ["C1", "2026-03-02", "#N/A", None], ["C2", "2026-03-02", "M2", "#REF!"], ["#REF!", None, "#VALUE!", None])
    with zipfile.ZipFile(path) as packed:
        assert b't="e"' in packed.read("xl/worksheets/sheet1.xml")
    found = books.read("case.xlsx")
    assert found.of("case_number") == ["C2"]
    assert found.reasons == [(2, "C2 是错误值 #N/A"), (4, "A4 是错误值 #REF!；C4 是错误值 #VALUE!")]


def test_numbers_are_what_people_see_and_lost_digits_are_said(books: Reader) -> None:
    def formats(sheet: Worksheet) -> None:
        sheet["B2"].number_format = "000000"
        sheet["B3"].number_format = "0%"

    write(books, ["办件编号", "实施编码"], [123456789012345, 199], [2, 0.12], [3.0, 0.1 + 0.2], [4, 1e-7], [5, True], [430190199501011231, "M"], ["007", 1.5], then=formats)
    found = books.read("case.xlsx", fields={"department_code": {"column": "办件编号", "pad": 4}})
    assert found.of("case_number", "matter_code") == [
        ("123456789012345", "000199"), ("2", "0.12"), ("3", "0.3"), ("4", "0.0000001"), ("5", "true"), ("007", "1.5"),
    ]
    assert found.of("department_code")[1:3] == ["0002", "0003"]
    assert found.reasons == [(7, "A7 以数存放了 16 位以上的编号，末几位已经丢失，请在来源中改为文本")]


@pytest.mark.parametrize("is_1904", [False, True])
def test_dates_of_both_systems_and_as_text(books: Reader, is_1904: bool) -> None:
    book = Workbook()
    if is_1904:
        book.epoch = CALENDAR_MAC_1904
    sheet = book.worksheets[0]
    for row in (["办件编号", "收件时间", "source_promised_due_on"], ["C1", datetime(2026, 3, 2, 9, 30, 15), date(2026, 3, 9)], ["C2", "2026/3/2 9:30", "2026.3.9"], ["C3", date(9999, 12, 31), None], ["C4", -5, None], ["C5", time(9, 30), None], ["C6", timedelta(hours=30), None]):
        sheet.append(row)
    sheet["B5"].number_format = "yyyy-mm-dd"
    book.save(books.folder / "case.xlsx")
    found = books.read("case.xlsx")
    at = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    assert found.of("case_number", "received_at", "source_promised_due_on")[:2] == [("C1", at.replace(second=15), date(2026, 3, 9)), ("C2", at, date(2026, 3, 9))]
    assert found.of("received_at")[2] == datetime(9999, 12, 30, 16, tzinfo=UTC)
    assert [number for number, _ in found.reasons][-2:] == [6, 7]  # a time of day and a span are no instants


def test_texts_inline_rich_and_phonetic(books: Reader) -> None:
    path = write(books, ["办件编号", "实施编码"], ["C1", 7])
    patch(path, '<c r="B2" t="n"><v>7</v></c>', '<c r="B2" t="inlineStr"><is><r><t>甲</t></r><r><t xml:space="preserve"> 乙</t></r><rPh sb="0" eb="1"><t>jia</t></rPh></is></c>')
    assert books.read("case.xlsx").of("matter_code") == ["甲 乙"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [([[]], "没有表头"), ([["办件编号", "a", "A"], ["C1", 1, 2]], "列名重复")],
)
def test_tables_that_are_refused(books: Reader, rows: list[list[Any]], said: str) -> None:
    write(books, *rows)
    with pytest.raises(YiwangError, match=said) as caught:
        books.read("case.xlsx")
    assert caught.value.code == "YW-SYNC-004"


def test_missing_columns_are_named_by_the_row_that_looks_like_a_header(books: Reader) -> None:
    write(books, ["清单"], ["编号", "时间"], ["C1", "2026-03-02"])
    with pytest.raises(YiwangError, match="case_number") as caught:
        books.read("case.xlsx")
    assert caught.value.code == "YW-SYNC-003"


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.xlsx", OLE + "EncryptedPackage".encode("utf-16-le"), "密码"),
        ("a.xls", OLE + "Workbook".encode("utf-16-le"), ".xls 格式"),
        ("a.xls", b"<html><table><tr><td>1</td></tr></table></html>", "网页"),
        ("a.xlsx", b"PK\x03\x04 and no more", "没有传完"),
    ],
)
def test_what_is_no_workbook_is_said(books: Reader, name: str, content: bytes, said: str) -> None:
    (books.folder / name).write_bytes(content)
    with pytest.raises(YiwangError, match=said) as caught:
        books.read(name)
    assert caught.value.code == "YW-SYNC-004"


def test_a_truncated_workbook_one_with_a_broken_sheet_and_a_bomb(books: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(books, HEADER, *([f"C{i}", None, f"M{i}"] for i in range(500)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(YiwangError, match="没有传完"):
        books.read("case.xlsx")
    path.write_bytes(whole)
    patch(path, "</sheetData>", "<row><c></sheetData>")
    with pytest.raises(YiwangError, match="没有传完"):
        books.read("case.xlsx")
    path.write_bytes(whole)
    with pytest.raises(YiwangError, match="没有工作表“九月”，现有：Sheet"):
        books.read("case.xlsx", sheet="九月")
    monkeypatch.setattr(workbook, "LARGEST", 10_000)
    with pytest.raises(YiwangError, match="解压后超过"):
        books.read("case.xlsx")


def test_entities_are_not_expanded(books: Reader) -> None:
    path = write(books, ["办件编号", "实施编码"], ["C1", 7])
    patch(path, '<c r="B2" t="n"><v>7</v></c>', '<c r="B2" t="str"><v>&x;</v></c>')
    patch(path, "<worksheet", '<!DOCTYPE worksheet [<!ENTITY x SYSTEM "file:///etc/hostname">]><worksheet')
    try:
        found = books.read("case.xlsx")
    except YiwangError as error:
        assert error.code == "YW-SYNC-004"
    else:
        assert found.of("matter_code") == [None]


def test_a_row_that_was_set_aside_comes_in_when_its_workbook_is_mended(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    home.configure({"subject": "case", "location": "*.xlsx"})
    for code, expected in (("=A2", {"rows_read": 2, "inserted": 1, "quarantined": 1}), ("M1", {"rows_read": 2, "inserted": 1, "unchanged": 1})):
        book = Workbook()
        for row in (HEADER, ["C1", None, code], ["C2", None, "M2"]):
            book.worksheets[0].append(row)
        book.save(tmp_path / "case.xlsx")
        (tmp_path / "~$case.xlsx").write_bytes(b"what Excel leaves beside an open file")
        assert numbers(home.one()) == expected
    assert home.rows("SELECT count(*) FROM raw.quarantine") == [0]
    assert home.rows('SELECT case_number, matter_code, _file_row FROM raw."case" ORDER BY 1') == [("C1", "M1", 2), ("C2", "M2", 3)]
