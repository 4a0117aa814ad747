"""The sync of one subject of one source: what is new, through load packages, into the raw table."""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import duckdb
import pyarrow as pa

from models.domain.contracts import SUBJECT_TITLES
from models.domain.progress import Progress
from models.domain.settings import Settings
from pipelines.sources import package
from pipelines.sources.config import Source, SourceFile
from pipelines.sources.merge import Manifest, merge, merge_rows
from pipelines.sources.reading import Load, Reading, no_rows, stored_position
from pipelines.sources.store import literal
from pipelines.sources.types import COUNTS, RunRef, SyncCount


def sync_subject(
    settings: Settings, connection: duckdb.DuckDBPyConnection, source_file: SourceFile, source: Source, run: RunRef, progress: Progress
) -> SyncCount:
    """Bring ``raw.<subject>`` up to what the source says.

    Each load commits by itself: after an error or a kill the next sync goes on behind the last one.

    Raises:
        YiwangError: YW-SYNC-…, naming source and fault.
    """
    stage = f"同步 {source.name}·{SUBJECT_TITLES[source.subject]}"
    progress.start(stage, None)
    folder, pipeline, digest = settings.work / "dlt", f"{source.name}__{source.subject}", source.settings_digest()

    def receive(path: str, manifest: Manifest) -> None:
        merge(connection, source, run, path, manifest)

    package.resume(folder, pipeline, digest, receive)
    reading = Reading(settings, connection, source_file, source, stored_position(connection, source))
    parts: set[str] = set()
    for load in source.loads(reading):
        if load.expected_rows is not None:
            progress.start(stage, load.expected_rows)
        manifest = Manifest.of(digest, load)
        if not package.load(folder, pipeline, partial(_rows, connection, source, load, stage, progress), manifest, receive):
            merge_rows(connection, source, run, no_rows(source), manifest)
        parts |= {part.shown for part in load.parts}
    count = _count(connection, source, run, len(parts))
    progress.finish(stage, f"{count.rows_read:,} 行")
    return count


def _rows(connection: duckdb.DuckDBPyConnection, source: Source, load: Load, stage: str, progress: Progress) -> Iterator[pa.RecordBatch]:
    connection.execute(f"SET TimeZone = {literal(source.zone)}")
    try:
        for batch in load.rows():
            progress.advance(stage, batch.num_rows)
            yield batch
    finally:
        connection.execute("SET TimeZone = 'UTC'")


def _count(connection: duckdb.DuckDBPyConnection, source: Source, run: RunRef, files: int) -> SyncCount:
    own = [run.run_id, source.name, source.subject]
    where = "WHERE run_id = ? AND source = ? AND subject = ?"
    row = connection.execute(f"SELECT {', '.join(COUNTS)} FROM ops.sync_count {where}", own).fetchone()
    if row is None:  # nothing new: a row of zeros says that the subject was looked at
        values = [run.run_id, run.run_seq, source.name, source.subject, *(0 for _ in COUNTS)]
        connection.execute(f"INSERT INTO ops.sync_count VALUES ({', '.join('?' * len(values))})", values)
    unmapped, missing = (
        tuple(found[0] for found in connection.execute(f"SELECT column_name FROM ops.{table} {where} ORDER BY column_name", own).fetchall())
        for table in ("unmapped_column", "missing_column")
    )
    numbers: dict[str, int] = dict(zip(COUNTS, row, strict=True)) if row else {}
    count = SyncCount(run.run_id, run.run_seq, source.name, source.subject, files=files, unmapped=unmapped, missing=missing)
    return replace(count, **numbers)  # type: ignore[arg-type]
