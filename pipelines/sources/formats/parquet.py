"""Parquet files."""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from pipelines.sources.files import DataFile, path_literal, unreadable
from pipelines.sources.formats import Format
from pipelines.sources.kinds.file import FileSource
from pipelines.sources.mapping import select
from pipelines.sources.reading import Reading, typed


class Parquet(Format):
    """A Parquet file; files with the same columns are read in one statement."""

    name = "parquet"
    suffixes = (".parquet",)

    def __init__(self, reading: Reading, source: FileSource, file: DataFile) -> None:
        super().__init__(reading, source, file)
        try:
            described = reading.connection.execute(f"DESCRIBE SELECT * FROM read_parquet({path_literal(file.path)})").fetchall()
        except duckdb.Error as error:
            raise unreadable(file, "不是完整的 Parquet 文件，可能没有传完") from error
        self.columns = {row[0]: row[1] for row in described}

    def expected_rows(self) -> int | None:
        """As the file's last page says."""
        ((rows,),) = self.reading.connection.execute(f"SELECT sum(num_rows) FROM parquet_file_metadata({path_literal(self.file.path)})").fetchall()
        return None if rows is None else int(rows)

    def alike(self) -> Any:
        """Files with the same columns."""
        return tuple(self.columns.items())

    @classmethod
    def rows_of(cls, readers: Sequence[Format]) -> Iterator[pa.RecordBatch]:
        """The rows of files with the same columns, in one statement."""
        first, files = readers[0], [reader.file for reader in readers]
        connection = first.reading.connection
        ids = "[" + ", ".join(str(file.file_id) for file in files) + "]"
        paths = "[" + ", ".join(path_literal(file.path) for file in files) + "]"
        relation = f"(SELECT *, {ids}[file_index::BIGINT + 1] AS _file_id, file_row_number + 1 AS _file_row FROM read_parquet({paths}))"
        try:
            yield from typed(connection, select(first.source, first.columns, relation))
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            if (broken := _broken(connection, files)) is None:
                raise
            raise unreadable(broken, "内容已损坏") from error


def _broken(connection: duckdb.DuckDBPyConnection, files: Sequence[DataFile]) -> DataFile | None:
    for file in files:
        try:
            connection.execute(f"SELECT max(hash(COLUMNS(*))) FROM read_parquet({path_literal(file.path)})").fetchall()
        except duckdb.Error:
            return file
    return None
