"""Excel workbooks (XLSX): one table of a sheet, with the row numbers that people see.

openpyxl opens the workbook (sheets, styles, shared strings), lxml reads the sheet's XML as a stream. python-calamine is
ten times as fast (0.4 s against 4.4 s for 500 000 cells; openpyxl alone 5.9 s), but gives a formula without result as an empty text, merely says
``#N/A`` where text may say the same, and keeps the whole sheet in memory: values would be lost silently.
"""

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from itertools import chain
from typing import IO, Any, NamedTuple

from lxml import etree
from openpyxl import load_workbook
from openpyxl.utils import get_column_letter, range_boundaries
from openpyxl.utils.datetime import from_excel, from_ISO8601
from openpyxl.workbook import Workbook as OpenedWorkbook

from pipelines.sources.formats import Record, Records
from pipelines.sources.mapping import missing_columns, origins, used_columns

LARGEST = 1 << 31
"""Bytes of a workbook when unpacked, beyond which it is not opened."""
LARGEST_TEXTS = 1 << 29
"""Bytes of its shared texts when unpacked; they are kept in memory."""
_MOST_CELLS = 16_384
_HEAD = 50
_PRECISE = 10**15
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MERGE = re.compile(rb"""<(?:\w+:)?mergeCell\s[^>]*?ref\s*=\s*["']([A-Z]+[0-9]+:[A-Z]+[0-9]+)["']""")
_NOTE = re.compile(
    r"\s*(注|备注|说明|附注|(?P<total>合计|总计|小计|共计)|(填表|制表|审核)(人|单位|部门|日期|时间)?|数据来源|(统计)?(截止|截至)(日期|时间)?|导出(日期|时间))(?P<colon>\s*[:：])?(?(colon)|(\s|$))"
)
_COUNT = re.compile(r"\s*-?[0-9][0-9,]*(\.[0-9]+)?%?\s*")
_ZEROS = re.compile(r"0{2,}")


class _Cell(NamedTuple):
    """A cell: its text, or what is wrong with it."""

    text: str | None
    fault: str | None = None


_Row = dict[int, _Cell]


class Workbook(Records):
    """A sheet of an XLSX file."""

    name = "xlsx"
    suffixes = (".xlsx", ".xlsm", ".xls")

    def records(self) -> Iterator[Record]:
        """The rows under the header that are not blank; ``number`` is the row of the sheet."""
        self._check_packed()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # extensions and the like that openpyxl passes over
                book = load_workbook(self.file.path, read_only=True, data_only=True, keep_links=False)
            try:
                yield from self._table(book)
            finally:
                book.close()
        except (zipfile.BadZipFile, etree.XMLSyntaxError, KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError, SyntaxError) as error:
            raise self.unreadable("不是完整的 XLSX 文件，可能没有传完") from error

    def _check_packed(self) -> None:
        with self.file.path.open("rb") as file:
            head = file.read(512)
            if head.startswith(_OLE):
                encrypted = "EncryptedPackage".encode("utf-16-le") in head + file.read(1 << 20) or self._has_at_end("EncryptedPackage")
                raise self.unreadable("已用密码加密，请去掉密码后另存为 .xlsx" if encrypted else "是旧的 .xls 格式，请另存为 .xlsx")
        if b"<html" in head.lower() or b"<table" in head.lower():
            raise self.unreadable("其实是网页，请用 Excel 打开后另存为 .xlsx")
        try:
            with zipfile.ZipFile(self.file.path) as packed:
                sizes = {entry.filename: entry.file_size for entry in packed.infolist()}
        except (zipfile.BadZipFile, OSError) as error:
            raise self.unreadable("不是完整的 XLSX 文件，可能没有传完") from error
        if sum(sizes.values()) > LARGEST or sizes.get("xl/sharedStrings.xml", 0) > LARGEST_TEXTS:
            raise self.unreadable(f"解压后超过 {LARGEST >> 30} GB（其中文字超过 {LARGEST_TEXTS >> 20} MB），请改为 CSV 或分成几个文件")

    def _has_at_end(self, text: str) -> bool:
        with self.file.path.open("rb") as file:
            file.seek(max(self.file.size - (1 << 20), 0))
            return text.encode("utf-16-le") in file.read()

    def _table(self, book: OpenedWorkbook) -> Iterator[Record]:
        sheet = _Sheet(book, self._sheet(book))
        rows = sheet.rows()
        head: list[tuple[int, _Row]] = []
        for number, row in rows:
            head.append((number, row))
            if len(head) >= _HEAD and number >= (self.source.header_row or 0) + 2:
                break
        names, first = self._header(head, sheet)
        for name in names.values():
            self.declare(name)
        used = used_columns(self.source, self.columns)
        mapped = origins(self.source, self.columns)
        keys = {mapped[field].column for field in self.source.keys if field in mapped} - {None}
        for number, row in chain(((number, row) for number, row in head if number >= first), rows):
            if record := self._record(number, row, names, used, keys, sheet):
                yield record

    def _sheet(self, book: OpenedWorkbook) -> Any:
        sheets = list(book.worksheets)
        wanted = self.source.sheet
        if wanted is None:
            found = next((sheet for sheet in sheets if sheet.sheet_state == "visible"), None)
        else:
            found = next((sheet for sheet in sheets if sheet.title.strip() == wanted.strip()), None)
            if found is None and wanted.isdecimal() and 0 < int(wanted) <= len(sheets):
                found = sheets[int(wanted) - 1]
        if found is None:
            there = "、".join(sheet.title for sheet in sheets) or "无"
            raise self.unreadable(f"没有工作表“{wanted}”，现有：{there}" if wanted else f"没有可见的工作表（现有：{there}），请在 sheet 中写明")
        return found

    # --- header ---

    def _header(self, head: list[tuple[int, _Row]], sheet: "_Sheet") -> tuple[dict[int, str], int]:
        """Place of a column → its name, and the first row of data.

        The header is the first row (or pair of rows) that has all columns which the source needs; where none has, the
        row with most cells, for the check of columns to say what is missing.
        """
        candidates: list[tuple[int, dict[int, str], int]] = []
        for place, (number, row) in enumerate(head):
            if self.source.header_row not in (None, number):
                continue
            below = head[place + 1][1] if place + 1 < len(head) and head[place + 1][0] == number + 1 else {}
            single = {column: cell.text.strip() for column, cell in row.items() if cell.text and cell.text.strip()}
            double = _joined(single, below, sheet.grouped(number))
            candidates += [(number, double, number + 2)] if double and self.source.header_row else []
            candidates += [(number, single, number + 1)] + ([(number, double, number + 2)] if double and not self.source.header_row else [])
        for _, names, first in candidates:
            if names and not self._twice(names) and not missing_columns(self.source, dict.fromkeys(names.values(), "VARCHAR")):
                return names, first
        if not candidates or not any(names for _, names, _ in candidates):
            raise self.unreadable(f"第 {self.source.header_row} 行没有表头" if self.source.header_row else "没有表头")
        _, names, first = max(candidates, key=lambda candidate: len(candidate[1]))
        if twice := self._twice(names):
            raise self.unreadable(f"列名重复：{'、'.join(twice)}")
        return names, first

    @staticmethod
    def _twice(names: Mapping[int, str]) -> list[str]:
        lower = [name.lower() for name in names.values()]
        return sorted({name for name in names.values() if lower.count(name.lower()) > 1})

    # --- rows ---

    def _record(self, number: int, row: _Row, names: Mapping[int, str], used: set[str], keys: Set[str | None], sheet: "_Sheet") -> Record | None:
        nameless = {
            self.declare(f"列 {get_column_letter(column)}（无列名）"): cell.text
            for column, cell in row.items()
            if column not in names and cell.text and not cell.text.isspace()
        }
        if not any(cell.text is not None and cell.text.strip() or cell.fault for column, cell in row.items() if column in names):
            return None
        values = {name: row[column].text if column in row else None for column, name in names.items()} | nameless
        faults = [
            f"{get_column_letter(column)}{number} {row[column].fault}" for column, name in names.items() if column in row and row[column].fault and name in used
        ]
        if merged := next((area for area in sheet.across(number) if any(c in row and names.get(c) in used for c in area)), None):
            faults.insert(0, f"{get_column_letter(merged[0])}{number} 横向合并了 {len(merged)} 列，不是一条记录")
        elif len(names) > 1 and _is_note([(name, text) for _, name in sorted(names.items()) if (text := values[name]) and not text.isspace()], keys):
            faults.insert(0, f"第 {number} 行是表尾的说明或合计，不是一条记录")
        return Record(number, values, "；".join(faults) or None)


def _is_note(filled: Sequence[tuple[str, str]], keys: Set[str | None]) -> bool:
    """Whether what is filled in a row is a note or a total below the table: its first text says so, and it has no key.

    The first text alone proves nothing: a matter may be named 审核, a case be numbered 注2026001. In the key's own place
    a total or ``审核：张三`` is no key; nor is there a record where a total is followed by nothing but numbers.
    """
    said = _NOTE.match(filled[0][1]) if filled else None
    if said is None:
        return False
    first, *rest = filled
    if not rest or not keys <= {name for name, _ in filled}:
        return True
    if first[0] in keys:
        return bool(said["total"] or said["colon"])
    return bool(said["total"]) and all(_COUNT.fullmatch(text) for _, text in rest)


def _joined(upper: Mapping[int, str], below: _Row, groups: list[range]) -> dict[int, str]:
    """The names of a header of two rows: ``申请人.姓名`` under a cell that is merged across; nothing where there is none such."""
    names = dict(upper)
    lower = {column: cell.text.strip() for column, cell in below.items() if cell.text and cell.text.strip()}
    groups = [group for group in groups if group[0] in upper and any(column in lower for column in group)]
    for group in groups:
        title = names.pop(group[0])
        names |= {column: f"{title}.{lower[column]}" for column in group if column in lower}
    if not groups:
        return {}
    return dict(sorted((names | {column: text for column, text in lower.items() if column not in names}).items()))


class _Sheet:
    """The cells of a sheet as a stream of rows, with what its merged areas say."""

    def __init__(self, book: Any, sheet: Any) -> None:
        self._book, self._sheet, self._texts = book, sheet, sheet._shared_strings
        self._down: dict[int, list[tuple[int, int]]] = {}
        self._across: dict[int, list[range]] = {}
        for left, top, right, bottom in self._merged():
            if bottom > top:
                self._down.setdefault(top, []).append((left, bottom))
            if right > left:
                for row in range(top, min(bottom, top + _MOST_CELLS) + 1):
                    self._across.setdefault(row, []).append(range(left, right + 1))

    def grouped(self, row: int) -> list[range]:
        """The columns of each area that is merged across and stands in the row."""
        return self._across.get(row, [])

    across = grouped

    def rows(self) -> Iterator[tuple[int, _Row]]:
        """Number and cells of each row that is in the file; the value of an area merged downwards is in all its rows."""
        held: dict[int, tuple[int, _Cell]] = {}
        with self._open() as source:
            number = 0
            for _, element in etree.iterparse(source, events=("end",), tag="{*}row", resolve_entities=False, no_network=True, huge_tree=True):
                number = int(float(element.get("r", number + 1)))
                if len(element) > _MOST_CELLS:
                    raise ValueError("too many cells")
                row = self._cells(element)
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
                is_filled = any(cell.text or cell.fault for cell in row.values())
                for column, (bottom, cell) in list(held.items()):
                    if number > bottom:
                        del held[column]
                    elif is_filled and (column not in row or row[column] == (None, None)):
                        row[column] = cell
                for column, bottom in self._down.get(number, []):
                    if column in row:
                        held[column] = (bottom, row[column])
                yield number, row

    def _open(self) -> IO[bytes]:
        return self._book._archive.open(self._sheet._worksheet_path)  # type: ignore[no-any-return]

    def _merged(self) -> Iterator[tuple[int, int, int, int]]:
        """Left, top, right and bottom of the merged areas, which stand behind the rows."""
        rest = b""
        with self._open() as source:
            while chunk := source.read(1 << 20):
                text = rest + chunk
                end = 0
                for found in _MERGE.finditer(text):
                    end = found.end()
                    yield range_boundaries(found[1].decode())  # type: ignore[misc]
                rest = text[max(end, len(text) - 200) :]

    def _cells(self, element: Any) -> _Row:
        row: _Row = {}
        column = 0
        for cell in element:
            if reference := cell.get("r"):
                column = _column(reference)
            else:
                column += 1
            row[column] = self._cell(cell)
        return row

    def _cell(self, cell: Any) -> _Cell:
        kind, value, has_formula = cell.get("t", "n"), None, False
        for part in cell:
            tag = part.tag[part.tag.rfind("}") + 1 :]
            if tag == "v":
                value = part.text
            elif tag == "is":
                value = _inline(part)
            elif tag == "f":
                has_formula = True
        if not value:
            return _Cell(None, "的公式没有保存结果，请用 Excel 打开并保存一次") if has_formula and kind != "str" else _Cell(None)
        if kind == "s":
            return _Cell(self._texts[int(value)])
        if kind == "e":
            return _Cell(None, f"是错误值 {value if value.isascii() else ''}".rstrip())
        if kind == "b":
            return _Cell("true" if value == "1" else "false")
        if kind == "d":
            return _Cell(_moment(from_ISO8601(value)))  # type: ignore[no-untyped-call]
        return _Cell(value) if kind in ("str", "inlineStr") else self._number(value, int(cell.get("s", 0)))

    def _number(self, value: str, style: int) -> _Cell:
        number = float(value)
        if style in self._book._date_formats:
            try:
                return _Cell(_moment(from_excel(number, self._book.epoch, timedelta=style in self._book._timedelta_formats)))
            except (OverflowError, ValueError):
                return _Cell(None, f"按日期存放的数 {value} 不是日期")
        if abs(number) >= _PRECISE:
            return _Cell(value, "以数存放了 16 位以上的编号，末几位已经丢失，请在来源中改为文本")
        if not number.is_integer():
            return _Cell(f"{number:.15g}" if abs(number) >= 1e-4 else f"{number:.20f}".rstrip("0"))
        text = str(int(number))
        width = _ZEROS.fullmatch(self._format(style))
        return _Cell(text.zfill(len(width[0])) if width else text)

    def _format(self, style: int) -> str:
        formats = self._book._number_formats
        number = self._book._cell_styles[style].numFmtId if style < len(self._book._cell_styles) else 0
        return formats[number - 164] if number >= 164 and number - 164 < len(formats) else ""


def _column(reference: str) -> int:
    column = 0
    for character in reference:
        if not character.isalpha():
            break
        column = column * 26 + ord(character) - 64
    return column


def _inline(element: Any) -> str:
    """Text of an inline string without its phonetic guides."""
    return "".join(part.text or "" for part in element.iter("{*}t") if etree.QName(part.getparent()).localname != "rPh")


def _moment(value: Any) -> str | None:
    """A day, an instant or a time of day as text; a day where the time is midnight."""
    if isinstance(value, datetime):
        return str(value.date() if value.time() == time() else value.replace(tzinfo=None))
    if isinstance(value, date | time):
        return str(value)
    return str(value) if isinstance(value, timedelta) else None
