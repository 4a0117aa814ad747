"""Loads of one stream of rows: first what reading on would miss, then page after page.

Each load commits with the position behind it, so that a kill costs one page at most.
"""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import duckdb
import pyarrow as pa

from models.domain.schema import stored_columns
from pipelines.sources.config import Source
from pipelines.sources.databases.database import Database, Stream, Values
from pipelines.sources.mapping import record_hash
from pipelines.sources.reading import Load, Part, Reading
from pipelines.sources.store import literal, name

MOST_ASIDE = 500
"""Records set aside that are looked up by key; where there are more, all rows are looked at again."""
Says = Literal["changes", "present"]
Mapped = Callable[[Part, Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def incremental(
    reading: Reading, database: Database, stream: Stream, slot: str, shown: str, mapped: Mapped, page_rows: int, unmapped: Sequence[str], positions: dict[str, Any], says: Says
) -> Iterator[Load]:
    """What is new in a stream since the position of the last sync.

    Args:
        reading: The sync.
        database: The source.
        stream: What is read.
        slot: Under which name the stream's position stands among ``positions``.
        shown: Name of the part.
        mapped: Rows as the source has them → typed rows.
        page_rows: Rows of a page.
        unmapped: Columns that nothing maps.
        positions: Positions of all streams of the source; changed while this goes on.
        says: As :attr:`Load.says`.
    """
    saved = positions.get(slot) or {}
    at: Values | None = saved.get("at")
    known: Mapping[str, Any] = saved.get("memory") or {}
    rest = database.rest(stream, at, known)
    first = next(rest, None)
    part = reading.stream(shown)

    def rest_rows() -> Iterator[pa.RecordBatch]:
        def read() -> Iterator[pa.RecordBatch]:
            if first is not None:
                yield first
            yield from rest

        row = 1
        for batch in read():
            # typed by themselves: what filters them asks the same connection
            numbered = batch.append_column("_file_row", pa.array(range(row, row + batch.num_rows), pa.int64()))
            row += batch.num_rows
            yield from news(reading.connection, reading.source, list(mapped(part, iter([numbered]))), says)

    def position(at: Values | None) -> dict[str, Any]:
        positions[slot] = {"at": at, "memory": database.memory(stream, at, known)}
        return dict(positions)

    if first is not None:
        yield Load(parts=[part], rows=rest_rows, says=says, position=position(at), unmapped=unmapped)
    pages = 0
    for page in database.pages(stream, at, page_rows):
        pages, at, part = pages + 1, page.at, reading.stream(shown)
        batches = page.batches
        yield Load(parts=[part], rows=lambda part=part, batches=batches: mapped(part, iter(batches)), says=says, position=position(at), unmapped=unmapped)  # type: ignore[misc]
    if not pages and (first is not None or position(at)[slot] != saved):
        yield Load(parts=[reading.stream(shown)], rows=reading.nothing, says=says, position=position(at))


def news(connection: duckdb.DuckDBPyConnection, source: Source, batches: list[pa.RecordBatch], says: Says) -> Iterator[pa.RecordBatch]:
    """Rows without those that say what is stored or set aside already, or that a later version has replaced.

    What is read again to be sure is no news, and must not be counted as such: a run without news ends early.
    """
    if not batches:
        return
    keys = " AND ".join(f"r.{name(key)} = s.{name(key)}" for key in source.keys)
    same = " AND ".join(f"r.{name(column)} IS NOT DISTINCT FROM s.{name(column)}" for column in [*stored_columns(source.contract), "_is_deleted"])
    if source.cursor and says != "present":
        new, old = f"s.{name(source.cursor)}", f"r.{name(source.cursor)}"
        same = f"(({same}) OR {old} > {new} OR ({new} IS NULL AND {old} IS NOT NULL))"
    own = f"source = {literal(source.name)}"
    aside = f"SELECT record_hash, raw FROM raw.quarantine WHERE {own} AND subject = {literal(source.subject)}"
    connection.register("_again", pa.Table.from_batches(batches))
    try:
        yield from connection.sql(f"""
            WITH aside AS ({aside}), hashed AS (SELECT *, {record_hash(source)} AS _key_hash FROM _again)
            SELECT s.* EXCLUDE (_key_hash) FROM hashed AS s WHERE CASE WHEN _reason_code IS NULL
                THEN NOT EXISTS (SELECT 1 FROM raw.{name(source.subject)} AS r WHERE r.{own} AND {keys} AND {same}) OR _key_hash IN (SELECT record_hash FROM aside)
                ELSE NOT EXISTS (SELECT 1 FROM aside AS a WHERE a.record_hash = s._record_hash AND a.raw = s._raw) END
        """).to_arrow_table().to_batches()
    finally:
        connection.unregister("_again")


def set_aside(reading: Reading, key: Sequence[str]) -> list[list[str]] | None:
    """Values of the source's key columns of records that are set aside; None where there are too many, or without key."""
    values = ", ".join(f"raw ->> {literal('$.' + chr(34) + column + chr(34))}" for column in key)
    rows = reading.connection.execute(
        f"SELECT DISTINCT [{values}] FROM raw.quarantine WHERE source = ? AND subject = ? LIMIT {MOST_ASIDE + 1}", [reading.source.name, reading.source.subject]
    ).fetchall()
    found = [list(row[0]) for row in rows]
    return None if len(found) > MOST_ASIDE or any(None in values for values in found) else found
