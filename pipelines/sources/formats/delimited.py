"""CSV files: typed where they can be parsed, set aside line by line where they cannot."""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from pipelines.sources.config import Source
from pipelines.sources.files import DataFile, path_literal, unreadable
from pipelines.sources.formats import Format
from pipelines.sources.formats.text import as_utf8, encoding_of, has_longer_line, opened
from pipelines.sources.kinds.file import FileSource
from pipelines.sources.mapping import package_columns, select
from pipelines.sources.reading import Reading, typed
from pipelines.sources.store import literal, name

_LONGEST_HEADER = 1 << 20
"""Characters; a first line beyond is no header."""
_FAULTS = {
    "MISSING COLUMNS": "列数少于表头",
    "TOO MANY COLUMNS": "列数多于表头",
    "UNQUOTED VALUE": "引号没有配对",
    "INVALID ENCODING": "含有不是 UTF-8 的字节",
    "LINE SIZE OVER MAXIMUM": "行太长",
}
_SMALL = 1 << 20
_LONGEST = 1 << 24
_REJECTED = "(SELECT line, any_value(error_type) AS error_type, any_value(csv_line) AS csv_line FROM _rejected GROUP BY line)"
_REASON = (
    "'第 ' || line || ' 行无法解析：' || CASE error_type::VARCHAR "
    + " ".join(f"WHEN {literal(fault)} THEN {literal(reason)}" for fault, reason in _FAULTS.items())
    + " ELSE '格式不对' END"
)


@dataclass(frozen=True)
class CsvForm:
    """How a CSV file is written: what its encoding, delimiter and header are."""

    encoding: str
    delimiter: str
    header: tuple[str, ...]


class Delimited(Format):
    """Text with one record a line, in the first line the names of the columns."""

    name = "csv"
    suffixes = (".csv", ".txt", ".tsv", ".csv.gz", ".txt.gz", ".tsv.gz")

    def __init__(self, reading: Reading, source: FileSource, file: DataFile) -> None:
        super().__init__(reading, source, file)
        self.form = csv_form(source, file)
        self.columns = dict.fromkeys(self.form.header, "VARCHAR")

    def alike(self) -> Any:
        """Small files written alike are read together: to plan the typing of a file takes longer than to read it."""
        return self.form if self.file.size < _SMALL else self.file.path

    @classmethod
    def rows_of(cls, readers: Sequence[Format]) -> Iterator[pa.RecordBatch]:
        """The rows of files that are written alike, typed in one statement."""
        first = readers[0]
        if len(readers) == 1:
            yield from first.rows()
            return
        with first.reading.connection.cursor() as cursor:
            batches = (batch for reader in readers for batch in reader._untyped(cursor))  # type: ignore[attr-defined]
            yield from first.reading.mapped(first.file, first.columns, batches)

    def rows(self) -> Iterator[pa.RecordBatch]:
        """Record batches of the file's rows, then one of the lines that cannot be parsed.

        ``_file_row`` counts the rows that could be parsed; for a line set aside it is the number of the line.
        """
        connection = self.reading.connection
        with self._parsed(connection) as (parsed, path):
            yield from self._whole(connection, path, typed(connection, select(self.source, self.columns, f"({parsed})")))
            yield from typed(connection, _rejected(self.source, self.file))

    def _untyped(self, connection: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
        """The same as they stand in the file, for :meth:`Reading.mapped`."""
        with self._parsed(connection) as (parsed, path):
            yield from self._whole(connection, path, typed(connection, f"SELECT *, NULL::VARCHAR AS _fault, NULL::VARCHAR AS _line FROM ({parsed})"))
            nulls = ", ".join(f"NULL::VARCHAR AS {name(column)}" for column in self.columns)
            yield from typed(
                connection, f"SELECT {nulls}, {self.file.file_id}::INTEGER AS _file_id, line::BIGINT AS _file_row, {_REASON} AS _fault, csv_line AS _line FROM {_REJECTED}"
            )

    @contextmanager
    def _parsed(self, connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, Path]]:
        """The query that parses the file, which then is at that path; when it has run, ``_rejected`` holds what it cannot parse."""
        file, form = self.file, self.form
        path = as_utf8(file, form.encoding, self.reading.scratch)
        if has_longer_line(path, _LONGEST):  # DuckDB passes over them in silence
            raise unreadable(file, f"有一行超过 {_LONGEST >> 20} MB，太长")
        for table in ("_rejected", "_rejected_scans"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        try:
            types = "{" + ", ".join(f"{literal(column)}: 'VARCHAR'" for column in form.header) + "}"
            # row_number() follows the file only while the order of insertion is kept.
            connection.execute("SET preserve_insertion_order = true")
            query = (
                f"SELECT *, {file.file_id}::INTEGER AS _file_id, row_number() OVER () AS _file_row FROM read_csv({path_literal(path)}, "
                f"columns = {types}, auto_detect = false, header = true, delim = {literal(form.delimiter)}, quote = '\"', escape = '\"', "
                "store_rejects = true, rejects_table = '_rejected', rejects_scan = '_rejected_scans', rejects_limit = 0)"
            )
            yield query, path
        except duckdb.IOException as error:
            raise unreadable(file, "内容已损坏") from error
        finally:
            connection.execute("SET preserve_insertion_order = false")
            if path != file.path:
                path.unlink(missing_ok=True)


    def _whole(self, connection: duckdb.DuckDBPyConnection, path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches; behind them the file is refused where an open quote has swallowed lines."""
        rows = 0
        for batch in batches:
            rows += batch.num_rows
            yield batch
        found = connection.execute("SELECT min(line) FILTER (error_type::VARCHAR = 'UNQUOTED VALUE'), count(DISTINCT line) FROM _rejected").fetchall()
        line, rejected = found[0]
        if line is not None:
            with path.open("rb") as text:
                lines = sum(1 for content in text if content.strip()) - 1
            if rows + rejected < lines:
                raise unreadable(self.file, f"第 {line} 行的引号没有配对，其后的行无法分清")


def _rejected(source: Source, file: DataFile) -> str:
    values = {column: f"NULL::{sql_type}" for column, sql_type in package_columns(source).items()} | {
        "_file_id": f"{file.file_id}::INTEGER",
        "_file_row": "line::BIGINT",
        "_is_deleted": "false",
        "_reason_code": "'not_parsed'",
        "_reason": _REASON,
        "_record_hash": "md5(csv_line)",
        "_raw": "CAST(to_json({'line': csv_line}) AS VARCHAR)",
        "_raw_masked": "'{}'",
    }
    selected = ", ".join(f"{value} AS {name(column)}" for column, value in values.items())
    return f"SELECT {selected} FROM {_REJECTED}"


def csv_form(source: FileSource, file: DataFile) -> CsvForm:
    """Encoding, delimiter and header of a CSV file.

    Raises:
        YiwangError: YW-SYNC-004 where the encoding is unknown, a column has no name or two have the same.
    """
    encoding = encoding_of(source, file)
    with io.TextIOWrapper(opened(file.path), encoding=encoding, newline="", errors="replace") as text:
        head = text.read(_LONGEST_HEADER)
    first = next((line for line in io.StringIO(head, newline="") if line.strip()), "")
    if len(first) == _LONGEST_HEADER:
        raise unreadable(file, "第一行太长，不是表头")
    delimiter = source.delimiter or max(",\t;|", key=first.count)
    try:
        header = [cell.strip() for cell in next((row for row in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter) if row), [])]
    except csv.Error:
        raise unreadable(file, "第一行太长，不是表头") from None
    if not header:
        raise unreadable(file, "没有表头")
    if blank := [str(i) for i, cell in enumerate(header, 1) if not cell]:
        raise unreadable(file, f"第 {'、'.join(blank)} 列没有列名")
    lower = [cell.lower() for cell in header]
    if twice := sorted({cell for cell in header if lower.count(cell.lower()) > 1}):
        raise unreadable(file, f"列名重复：{'、'.join(twice)}")
    return CsvForm(encoding, delimiter, tuple(header))
