"""The sync of one subject of one source: which files, how read, through which package, into which table."""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa

from models.domain.contracts import SUBJECT_TITLES
from models.domain.errors import YiwangError
from models.domain.progress import Progress
from models.domain.settings import Settings
from pipelines.sources import csv_rows, package
from pipelines.sources.config import Source, SourceFile
from pipelines.sources.files import (
    CsvForm,
    DataFile,
    changed_files,
    csv_form,
    format_of,
    list_files,
    parquet_columns,
    path_literal,
    settings_digest,
    unreadable,
)
from pipelines.sources.mapping import missing_columns, package_columns, select, used_columns
from pipelines.sources.merge import Manifest, merge, merge_rows
from pipelines.sources.store import literal
from pipelines.sources.types import COUNTS, RunRef, SyncCount

_BATCH = 200_000


def sync_subject(
    settings: Settings, connection: duckdb.DuckDBPyConnection, source_file: SourceFile, source: Source, run: RunRef, progress: Progress
) -> SyncCount:
    """Bring ``raw.<subject>`` up to what the source's files say.

    Raises:
        YiwangError: YW-SYNC-002 no file, YW-SYNC-003 a column is missing, YW-SYNC-004 a file cannot be read.
    """
    stage = f"同步 {source.name}·{SUBJECT_TITLES[source.subject]}"
    progress.start(stage, None)
    folder, pipeline, digest = settings.work / "dlt", f"{source.name}__{source.subject}", settings_digest(source)

    def receive(path: str, manifest: Manifest) -> None:
        merge(connection, source, run, path, manifest)

    package.resume(folder, pipeline, digest, receive)
    files = changed_files(connection, source, list_files(source_file, source))
    if files:
        reader = _Reader(settings, connection, source_file, source, files)
        manifest = Manifest.of(digest, files, reader.unmapped())
        progress.start(stage, reader.expected_rows())

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in reader.batches():
                progress.advance(stage, batch.num_rows)
                yield batch

        if not package.load(folder, pipeline, batches, manifest, receive):
            merge_rows(connection, source, run, _no_rows(source), manifest)
    count = _count(connection, source, run, len(files))
    progress.finish(stage, f"{count.rows_read:,} 行")
    return count


class _Reader:
    """Reads the changed files of one subject of one source."""

    def __init__(
        self, settings: Settings, connection: duckdb.DuckDBPyConnection, source_file: SourceFile, source: Source, files: Sequence[DataFile]
    ) -> None:
        self._connection, self._source, self._files = connection, source, files
        self._folder = settings.work / "duckdb_tmp"
        self._siblings = [s for s in source_file.sources if s.location == source.location]
        self._forms: dict[Path, CsvForm] = {}
        self._columns: dict[Path, dict[str, str]] = {}
        for file in files:
            if format_of(source, file) == "csv":
                self._forms[file.path] = form = csv_form(source, file)
                self._columns[file.path] = dict.fromkeys(form.header, "VARCHAR")
            else:
                self._columns[file.path] = parquet_columns(connection, file)
            if missing := missing_columns(source, self._columns[file.path]):
                raise YiwangError("YW-SYNC-003", path=file.shown, columns="、".join(missing))

    def unmapped(self) -> list[str]:
        """Columns that no subject takes from these files."""
        return sorted(
            {
                column
                for available in self._columns.values()
                for column in set(available).difference(*(used_columns(sibling, available) for sibling in self._siblings))
            }
        )

    def expected_rows(self) -> float | None:
        """Rows of the files, where their format tells."""
        if self._forms:
            return None
        paths = _paths(self._files)
        row = self._connection.execute(f"SELECT sum(num_rows) FROM parquet_file_metadata({paths})").fetchone()
        return float(row[0]) if row and row[0] is not None else None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The typed rows of all files."""
        self._connection.execute(f"SET TimeZone = {literal(self._source.zone)}")
        try:
            for files in self._alike():
                yield from self._rows(files)
        finally:
            self._connection.execute("SET TimeZone = 'UTC'")

    def _alike(self) -> list[list[DataFile]]:
        """Files that one statement can read: Parquet files with the same columns, or a single CSV file."""
        groups: dict[object, list[DataFile]] = {}
        for file in self._files:
            alike = file.path if file.path in self._forms else tuple(self._columns[file.path].items())
            groups.setdefault(alike, []).append(file)
        return list(groups.values())

    def _rows(self, files: list[DataFile]) -> Iterator[pa.RecordBatch]:
        available = self._columns[files[0].path]
        if form := self._forms.get(files[0].path):
            yield from csv_rows.rows(self._connection, self._source, files[0], form, self._folder, _BATCH)
            return
        ids = "[" + ", ".join(str(file.file_id) for file in files) + "]"
        relation = (
            f"(SELECT *, {ids}[file_index::BIGINT + 1] AS _file_id, file_row_number + 1 AS _file_row FROM read_parquet({_paths(files)}))"
        )
        try:
            yield from stream(self._connection, select(self._source, available, relation), _BATCH)
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            if (broken := self._broken(files)) is None:
                raise
            raise unreadable(broken, "内容已损坏") from error

    def _broken(self, files: list[DataFile]) -> DataFile | None:
        for file in files:
            try:
                self._connection.execute(f"SELECT max(hash(COLUMNS(*))) FROM read_parquet({path_literal(file.path)})").fetchall()
            except duckdb.Error:
                return file
        return None


def stream(connection: duckdb.DuckDBPyConnection, query: str, size: int) -> Iterator[pa.RecordBatch]:
    """The result of a query as record batches of about ``size`` rows, computed while they are taken."""
    yield from connection.sql(query).to_arrow_reader(size)


def _paths(files: Sequence[DataFile]) -> str:
    return "[" + ", ".join(path_literal(file.path) for file in files) + "]"


def _no_rows(source: Source) -> str:
    nulls = ", ".join(f'NULL::{sql_type} AS "{column}"' for column, sql_type in package_columns(source).items())
    return f"(SELECT {nulls} WHERE false)"


def _count(connection: duckdb.DuckDBPyConnection, source: Source, run: RunRef, files: int) -> SyncCount:
    own = [run.run_id, source.name, source.subject]
    where = "WHERE run_id = ? AND source = ? AND subject = ?"
    row = connection.execute(f"SELECT {', '.join(COUNTS)} FROM ops.sync_count {where}", own).fetchone()
    if row is None:  # nothing new: a row of zeros says that the subject was looked at
        values = [run.run_id, run.run_seq, source.name, source.subject, *(0 for _ in COUNTS)]
        connection.execute(f"INSERT INTO ops.sync_count VALUES ({', '.join('?' * len(values))})", values)
    unmapped = connection.execute(f"SELECT column_name FROM ops.unmapped_column {where} ORDER BY column_name", own).fetchall()
    numbers: dict[str, int] = dict(zip(COUNTS, row, strict=True)) if row else {}
    count = SyncCount(run.run_id, run.run_seq, source.name, source.subject, files=files, unmapped=tuple(u[0] for u in unmapped))
    return replace(count, **numbers)  # type: ignore[arg-type]
