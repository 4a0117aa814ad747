"""Reads a CSV file of any encoding and separator into a :class:`Table`, and says in one sentence why one cannot be read."""

import codecs
import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from models.domain.errors import YiwangError
from quality.detection.table import Column, Table

MAX_CELLS = 20_000_000
"""Cells that a table may have: a million rows of twenty columns, for which about two gigabytes of memory are needed."""
_CHUNK = 1 << 20
_BLOCK = 8 << 20
_ENOUGH, _BEYOND = 20, 0.2
"""Characters from which an encoding can be told, and their share beyond GB 2312 from which on the encoding is another."""
_SEPARATORS = (",", "\t", ";", "|")


def read_table(path: Path, max_cells: int = MAX_CELLS) -> Table:
    """Reads the whole file; every cell stays the text that it is.

    Args:
        path: CSV file with a header, UTF-8, UTF-16 or GB18030, separated by comma, tab, semicolon or bar.
        max_cells: Rows times columns that may be read.

    Raises:
        YiwangError: YW-QUALITY-003.
    """
    if not path.is_file():
        raise _refused(path, "没有这个文件")
    encoding = _encoding(path)
    names, separator = _header(path, encoding)
    batches = _batches(path, encoding, separator, names, max_cells)
    if not sum(batch.num_rows for batch in batches):
        raise _refused(path, "只有表头，没有数据行")
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    columns = []
    for index, name in enumerate(names):
        chunked = table.column(index)
        array = chunked.chunk(0) if isinstance(chunked, pa.ChunkedArray) else chunked
        codes = array.indices.to_numpy()
        used = np.bincount(codes, minlength=len(array.dictionary)) > 0  # the header's own text is in no row
        numbers = (np.cumsum(used) - 1).astype(np.int32)
        columns.append(Column(name or f"第{index + 1}列", array.dictionary.cast(pa.string()).filter(pa.array(used)), numbers[codes]))
    return Table(columns)


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4)
        if not head.strip():
            raise _refused(path, "文件是空的")
        if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
    for encoding in ("utf-8", "gb18030"):
        if _decodes(path, encoding):
            if encoding == "gb18030" and _is_rather_big5(path):
                raise _refused(path, "内容像是 Big5 编码，按 GB18030 读会成乱码，请另存为 UTF-8 后再查")
            return encoding
    raise _refused(path, "内容不是 UTF-8、UTF-16 或 GB18030 编码的文本")


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                if b"\0" in chunk:
                    raise _refused(path, "内容是二进制数据，不是文本")
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _is_rather_big5(path: Path) -> bool:
    """Whether text that is right in both encodings is Big5.

    Read as GB18030 it has many characters beyond GB 2312; traditional texts in GB18030 have them too, but are not right as Big5.
    """
    with path.open("rb") as file:
        head = file.read(_CHUNK)
    try:
        codecs.getincrementaldecoder("big5")().decode(head)
    except UnicodeDecodeError:
        return False
    characters = [one for one in codecs.getincrementaldecoder("gb18030")().decode(head) if not one.isascii()]
    beyond = sum(not one.encode("gb2312", "ignore") for one in characters)
    return len(characters) >= _ENOUGH and beyond > _BEYOND * len(characters)


def _header(path: Path, encoding: str) -> tuple[list[str], str]:
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
        try:
            head = file.read(_CHUNK)
        except UnicodeError as error:
            raise _refused(path, f"内容不是 {encoding.upper()} 编码的文本") from error
    if not head.strip():
        raise _refused(path, "文件是空的")
    try:
        rows = {separator: next(csv.reader(head.splitlines(keepends=True), delimiter=separator), []) for separator in _SEPARATORS}
    except csv.Error as error:
        raise _refused(path, "表头无法解析") from error
    separator = max(_SEPARATORS, key=lambda one: len(rows[one]))  # the first of equals: the comma
    names = [name.strip() for name in rows[separator]]
    filled = [name for name in names if name]
    if not filled:
        raise _refused(path, "第一行没有列名")
    if repeated := sorted({name for name in filled if filled.count(name) > 1}):
        raise _refused(path, f"列名重复：{'、'.join(repeated[:5])}")
    return names, separator


def _batches(path: Path, encoding: str, separator: str, names: list[str], max_cells: int) -> list[pa.RecordBatch]:
    ragged: list[pa_csv.InvalidRow] = []

    def refuse(row: pa_csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    keys = [str(index) for index in range(len(names))]
    options = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(keys, pa.dictionary(pa.int32(), pa.string())), strings_can_be_null=False, check_utf8=True
    )
    batches, cells = [], 0
    try:
        # an empty line is an empty cell where there is one column, and nothing where there are more
        reader = pa_csv.open_csv(
            path,
            pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=keys, encoding="utf8" if encoding == "utf-8" else encoding),
            pa_csv.ParseOptions(delimiter=separator, newlines_in_values=True, ignore_empty_lines=len(names) > 1, invalid_row_handler=refuse),
            options,
        )
        for batch in reader:
            cells += batch.num_rows * len(names)
            if cells > max_cells + len(names):  # the header is read as a row
                raise _refused(path, f"单元格超过 {max_cells:,} 个，请按时间或区域拆分后分批检查")
            batches.append(batch)
    except UnicodeError as error:
        raise _refused(path, f"内容不是 {encoding.upper()} 编码的文本") from error
    except pa.ArrowInvalid as error:
        if ragged:
            row = ragged[0]
            where = f"第 {row.number} 行" if row.number is not None else "有一行"
            raise _refused(path, f"{where}有 {row.actual_columns} 列，表头有 {row.expected_columns} 列") from error
        raise _refused(path, "不是完整的 CSV，可能有引号没有成对或一行过长") from error
    if batches:
        batches[0] = batches[0].slice(1)  # the header, read as a row so that its names need not be its own
    return batches


def _refused(path: Path, detail: str) -> YiwangError:
    return YiwangError("YW-QUALITY-003", path=path.name, detail=detail)
