"""CSV files: typed where they can be parsed, set aside line by line where they cannot."""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from models.domain.errors import YiwangError
from pipelines.sources.config import Source
from pipelines.sources.files import DataFile, path_literal, unreadable
from pipelines.sources.formats import Format
from pipelines.sources.formats.text import as_utf8, encoding_of, has_longer_line, has_mixed_ends, opened, with_one_end
from pipelines.sources.kinds.file import FileSource
from pipelines.sources.mapping import package_columns, select
from pipelines.sources.reading import Reading, typed
from pipelines.sources.store import literal, name
from pipelines.sources.typing_sql import trimmed

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
    """How a CSV file is written.

    Attributes:
        encoding: Python's name of it.
        delimiter: What stands between the values.
        header: The columns' names; those of :attr:`nameless` stand for columns that have none.
        nameless: Columns without a name, which must be empty (a delimiter at the end of each line makes one).
        skipped: Lines before the header, which are blank.
    """

    encoding: str
    delimiter: str
    header: tuple[str, ...]
    nameless: tuple[str, ...] = ()
    skipped: int = 0


class Delimited(Format):
    """Text with one record a line, in the first line the names of the columns."""

    name = "csv"
    suffixes = (".csv", ".txt", ".tsv", ".csv.gz", ".txt.gz", ".tsv.gz")

    def __init__(self, reading: Reading, source: FileSource, file: DataFile) -> None:
        super().__init__(reading, source, file)
        self.form = csv_form(source, file)
        self.columns = dict.fromkeys((column for column in self.form.header if column not in self.form.nameless), "VARCHAR")

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
            faults: list[YiwangError] = []

            def batches() -> Iterator[pa.RecordBatch]:
                try:
                    for reader in readers:
                        yield from reader._untyped(cursor)  # type: ignore[attr-defined]
                except YiwangError as error:
                    faults.append(error)
                    raise

            try:
                yield from first.reading.mapped(first.file, first.columns, batches())
            except (OSError, duckdb.Error, pa.ArrowException):  # what DuckDB and Arrow make of it
                if faults:
                    raise faults[0] from None
                raise

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
        try:
            if has_longer_line(path, _LONGEST):  # DuckDB passes over them in silence
                raise unreadable(file, f"有一行超过 {_LONGEST >> 20} MB，太长")
            if has_mixed_ends(path):  # DuckDB loses lines, or stops
                before, path = path, self.reading.scratch / f"{file.file_id}.ends.utf8"
                with_one_end(before, path, form.delimiter)
                if before != file.path:
                    before.unlink()
            types = "{" + ", ".join(f"{literal(column)}: 'VARCHAR'" for column in form.header) + "}"
            # row_number() follows the file only while the order of insertion is kept.
            connection.execute("SET preserve_insertion_order = true")
            columns = "*" + (f" EXCLUDE ({', '.join(map(name, form.nameless))})" if form.nameless else "")
            relation = (
                f"read_csv({path_literal(path)}, columns = {types}, auto_detect = false, header = true, skip = {form.skipped}, "
                f"delim = {literal(form.delimiter)}, quote = '\"', escape = '\"', "
                "store_rejects = true, rejects_table = '_rejected', rejects_scan = '_rejected_scans', rejects_limit = 0)"
            )
            for column in form.nameless:
                _forget_rejected(connection)
                if connection.execute(f"SELECT 1 FROM {relation} WHERE {trimmed(name(column))} <> '' LIMIT 1").fetchall():
                    raise unreadable(file, f"第 {form.header.index(column) + 1} 列没有列名")
            _forget_rejected(connection)
            yield f"SELECT {columns}, {file.file_id}::INTEGER AS _file_id, row_number() OVER () AS _file_row FROM {relation}", path
        except (duckdb.OutOfMemoryException, duckdb.InterruptException):
            raise
        except (duckdb.Error, pa.ArrowException) as error:
            raise unreadable(file, "内容已损坏" if isinstance(error, duckdb.IOException) else "内容无法按 CSV 解析") from error
        finally:
            connection.execute("SET preserve_insertion_order = false")
            if path != file.path:
                path.unlink(missing_ok=True)

    def _whole(self, connection: duckdb.DuckDBPyConnection, path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches; behind them the file is refused where an open quote has swallowed lines."""
        rows = 0
        try:
            for batch in batches:
                rows += batch.num_rows
                yield batch
        except OSError as error:  # Arrow's word for what DuckDB says after the first batch
            raise unreadable(self.file, "内容无法按 CSV 解析") from error
        found = connection.execute("SELECT min(line) FILTER (error_type::VARCHAR = 'UNQUOTED VALUE'), count(DISTINCT line) FROM _rejected").fetchall()
        line, rejected = found[0]
        if line is not None:
            with path.open("rb") as text:
                lines = sum(1 for content in islice(text, self.form.skipped, None) if content.strip()) - 1
            if rows + rejected < lines:
                raise unreadable(self.file, f"第 {line} 行的引号没有配对，其后的行无法分清")


def _forget_rejected(connection: duckdb.DuckDBPyConnection) -> None:
    for table in ("_rejected", "_rejected_scans"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")


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
    rows = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    header: list[str] = []
    skipped = 0
    try:
        for row in rows:
            if any(map(str.strip, row)):
                header = [cell.strip() for cell in row]
                break
            skipped = rows.line_num
    except csv.Error:
        raise unreadable(file, "第一行太长，不是表头") from None
    if not header:
        raise unreadable(file, "没有表头")
    nameless = tuple(f"列 {i}（无列名）" for i, cell in enumerate(header, 1) if not cell)
    header = [cell or f"列 {i}（无列名）" for i, cell in enumerate(header, 1)]
    lower = [cell.lower() for cell in header]
    if twice := sorted({cell for cell in header if lower.count(cell.lower()) > 1}):
        raise unreadable(file, f"列名重复：{'、'.join(twice)}")
    return CsvForm(encoding, delimiter, tuple(header), nameless, skipped)
