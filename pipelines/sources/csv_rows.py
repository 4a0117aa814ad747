"""Rows of one CSV file: typed where they can be parsed, set aside line by line where they cannot."""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from pipelines.sources.config import Source
from pipelines.sources.files import CsvForm, DataFile, as_utf8, path_literal, unreadable
from pipelines.sources.mapping import package_columns, select
from pipelines.sources.store import literal, name

_FAULTS = {
    "MISSING COLUMNS": "列数少于表头",
    "TOO MANY COLUMNS": "列数多于表头",
    "UNQUOTED VALUE": "引号没有配对",
    "INVALID ENCODING": "含有不是 UTF-8 的字节",
    "LINE SIZE OVER MAXIMUM": "行太长",
}


def rows(
    connection: duckdb.DuckDBPyConnection, source: Source, file: DataFile, form: CsvForm, folder: Path, size: int
) -> Iterator[pa.RecordBatch]:
    """Record batches of the file's rows, then one of the lines that cannot be parsed.

    ``_file_row`` counts the rows that could be parsed; for a line set aside it is the number of the line.
    """
    path = as_utf8(file, form.encoding, folder)
    for table in ("_rejected", "_rejected_scans"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    try:
        types = "{" + ", ".join(f"{literal(column)}: 'VARCHAR'" for column in form.header) + "}"
        # row_number() follows the file only while the order of insertion is kept.
        connection.execute("SET preserve_insertion_order = true")
        relation = (
            f"(SELECT *, {file.file_id} AS _file_id, row_number() OVER () AS _file_row FROM read_csv({path_literal(path)}, "
            f"columns = {types}, auto_detect = false, header = true, delim = {literal(form.delimiter)}, quote = '\"', escape = '\"', "
            "store_rejects = true, rejects_table = '_rejected', rejects_scan = '_rejected_scans', rejects_limit = 0))"
        )
        try:
            available = dict.fromkeys(form.header, "VARCHAR")
            yield from connection.sql(select(source, available, relation)).to_arrow_reader(size)
        except duckdb.IOException as error:
            raise unreadable(file, "内容已损坏") from error
        yield from connection.sql(_rejected(source, file)).to_arrow_reader(size)
    finally:
        connection.execute("SET preserve_insertion_order = false")
        if path != file.path:
            path.unlink(missing_ok=True)


def _rejected(source: Source, file: DataFile) -> str:
    faults = " ".join(f"WHEN {literal(fault)} THEN {literal(reason)}" for fault, reason in _FAULTS.items())
    values = {column: f"NULL::{sql_type}" for column, sql_type in package_columns(source).items()} | {
        "_file_id": f"{file.file_id}::INTEGER",
        "_file_row": "line::BIGINT",
        "_is_deleted": "false",
        "_reason_code": "'not_parsed'",
        "_reason": f"'第 ' || line || ' 行无法解析：' || CASE error_type::VARCHAR {faults} ELSE '格式不对' END",
        "_raw": "CAST(to_json({'line': csv_line}) AS VARCHAR)",
        "_raw_masked": "'{}'",
    }
    selected = ", ".join(f"{value} AS {name(column)}" for column, value in values.items())
    first = "(SELECT line, any_value(error_type) AS error_type, any_value(csv_line) AS csv_line FROM _rejected GROUP BY line)"
    return f"SELECT {selected} FROM {first}"
