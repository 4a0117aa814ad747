"""Workbooks that the database writes hold what the rows hold, whatever the text."""

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quality.reporting.workbook import count_rows, write_workbook
from tests.support.examples import examples

_NAMES = {"s": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
TEXTS = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), st.sampled_from(["<row>", "_x0041_", "=1+1", " a\n", "a\r\nb", "\x00\x1f", "&amp;", "]]>", "0012"]))


def written(path: Path, rows: list[tuple[str | None, ...]]) -> int:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (a VARCHAR, b VARCHAR)")
        if rows:
            connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        return write_workbook(connection, "SELECT a, b FROM t ORDER BY rowid", ["甲", "乙 & 丙"], "办件", path)


def read(path: Path) -> list[list[str | None]]:
    """Cells as the standard has them: ``_xHHHH_`` is a character (ECMA-376, ST_Xstring)."""
    with zipfile.ZipFile(path) as archive:
        sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))  # noqa: S314 - our own
    rows = []
    for row in sheet.iterfind("s:sheetData/s:row", _NAMES):
        texts = [cell.find("s:is/s:t", _NAMES) for cell in row]
        rows.append([None if text is None else re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text.text or "") for text in texts])
    return rows


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.none() | TEXTS, st.none() | TEXTS), max_size=6))
def test_cells_hold_the_texts(tmp_path: Path, rows: list[tuple[str | None, ...]]) -> None:
    path = tmp_path / "book.xlsx"
    assert written(path, rows) == len(rows) == count_rows(path)
    allowed = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # XML 1.0 has no such characters
    heading, *cells = read(path)
    assert heading == ["甲", "乙 & 丙"]
    assert cells == [[None if text is None else allowed.sub("", text) for text in row] for row in rows]


def test_the_same_rows_give_the_same_bytes_and_a_program_opens_them(tmp_path: Path) -> None:
    rows: list[tuple[str | None, ...]] = [("0012", "=SUM(A1)"), (None, "甲\n乙")]
    for name in ("a.xlsx", "b.xlsx"):
        written(tmp_path / name, rows)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx").worksheets[0]
    assert sheet.title == "办件" and list(sheet.values)[1:] == [("0012", "=SUM(A1)"), (None, "甲\n乙")]
    assert sheet["B2"].data_type != "f"  # nothing that a source wrote is a formula


def test_a_text_too_long_for_a_cell_says_where_the_rest_is(tmp_path: Path) -> None:
    written(tmp_path / "a.xlsx", [("字" * 40_000, "字" * 32_767)])
    _, [cut, whole] = read(tmp_path / "a.xlsx")
    assert cut is not None and len(cut) == 32_767 and cut.endswith("……（全文见 JSON Lines）") and whole == "字" * 32_767


@pytest.mark.parametrize("content", [b"", b"no zip"])
def test_what_is_no_workbook_is_not_counted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.xlsx").write_bytes(content)
    with pytest.raises(zipfile.BadZipFile):
        count_rows(tmp_path / "a.xlsx")
