"""Writes a query's rows as an XLSX workbook of one sheet: the database makes the XML, memory does not grow with the rows.

The library at hand (openpyxl) takes a Python object for every cell, minutes for a million rows, and writes the clock's time
into the file; here the same rows give the same bytes. All cells are text, so that codes keep their zeros and nothing
is a formula.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import duckdb

LIMIT = 1_048_576
"""Rows of a sheet, its heading included: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3."""
_CELL = 32_767
_CUT = "……（全文见 JSON Lines）"
_BATCH = 5_000
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    '<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}


def write_workbook(connection: duckdb.DuckDBPyConnection, query: str, titles: Sequence[str], sheet: str, path: Path) -> int:
    """Writes a workbook and returns its number of rows, the heading apart.

    Args:
        connection: Asked for the rows, in the order of the query.
        query: Query with one column a title.
        titles: The heading.
        sheet: Name of the sheet.
        path: The file, made new. At most :data:`LIMIT` rows with the heading.
    """
    names = [f"c{number}" for number in range(len(titles))]
    cells = " || ".join(_cell(name) for name in names)
    rows = connection.execute(f"SELECT '<row>' || {cells} || '</row>' FROM ({query}) AS q({', '.join(names)})")  # noqa: S608
    written = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in _PARTS.items():
            archive.writestr(_entry(name), _HEAD + content)
        title = escape(sheet, {'"': "&quot;"})
        archive.writestr(
            _entry("xl/workbook.xml"),
            f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets><sheet name="{title}" sheetId="1" r:id="rId1"/></sheets></workbook>',
        )
        with archive.open(_entry("xl/worksheets/sheet1.xml"), "w", force_zip64=True) as sheet_file:
            heading = "".join(f'<c t="inlineStr"><is><t>{escape(name)}</t></is></c>' for name in titles)
            sheet_file.write(f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData><row>{heading}</row>'.encode())
            while batch := rows.fetchmany(_BATCH):
                written += len(batch)
                sheet_file.write("".join(row[0] for row in batch).encode())
            sheet_file.write(b"</sheetData></worksheet>")
    return written


def count_rows(path: Path) -> int:
    """Rows of a workbook that :func:`write_workbook` made, the heading apart, without holding it in memory.

    Raises:
        zipfile.BadZipFile, KeyError: It is no such workbook.
    """
    count, rest = 0, b""
    with zipfile.ZipFile(path) as archive, archive.open("xl/worksheets/sheet1.xml") as sheet:
        while block := sheet.read(1 << 20):
            block = rest + block
            count += block.count(b"<row>")
            rest = block[-4:]  # a mark that a block cuts has at most so much of it here
    return count - 1


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # of 1980: the same rows give the same bytes
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _cell(name: str) -> str:
    text = f"CAST({name} AS VARCHAR)"
    text = f"CASE WHEN length({text}) > {_CELL} THEN left({text}, {_CELL - len(_CUT)}) || '{_CUT}' ELSE {text} END"
    text = f"regexp_replace({text}, '[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\\x{{FFFE}}\\x{{FFFF}}]', '', 'g')"  # not in XML 1.0
    text = f"regexp_replace({text}, '_(x[0-9A-Fa-f]{{4}}_)', '_x005F_\\1', 'g')"  # else a program reads a character in it
    text = f"replace(replace(replace(replace({text}, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), chr(13), '_x000D_')"
    return f"coalesce('<c t=\"inlineStr\"><is><t xml:space=\"preserve\">' || {text} || '</t></is></c>', '<c/>')"
