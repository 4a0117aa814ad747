"""What a kind of source works with when it reads, and what it hands over: parts, loads, typed rows.

A **part** is what can be read again by itself: a file, or all that an incremental reader reads. A **load** is what
is merged in one transaction: rows of parts, and the position from which the next sync goes on.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa

from models.domain.contracts import Personal, columns
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.sources.config import Source, SourceFile
from pipelines.sources.mapping import filled, lost, missing_columns, package_columns, select, used_columns
from pipelines.sources.store import literal, name

BATCH = 200_000
"""Rows in a record batch."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What can be read again by itself.

    Attributes:
        file_id: Its number in ``ops.source_file``.
        shown: Its name, as people and the warehouse know it; of two versions of a record without cursor the one in the
            part whose name comes later wins.
        fingerprint: Settings and content as they were read.
        size: Bytes, for files.
        mtime_ns: Time of last change in nanoseconds, for files.
    """

    file_id: int = 0
    shown: str
    fingerprint: str = ""
    size: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is merged in one transaction.

    Attributes:
        parts: Where the rows come from.
        rows: Gives the typed rows (the columns of :func:`mapping.package_columns`); called once.
        says: ``whole``: the rows are all that the parts hold. ``changes``: the rows are new versions beside what was read
            before. ``present``: as ``changes``, and each row is the one that its record has now, whatever its cursor says.
            ``keys``: the rows hold keys only, those of all records that the parts still have. ``aside``: the rows are all
            that are set aside now; others leave the quarantine.
        position: Where an incremental reader goes on; JSON; None leaves the old one.
        unmapped: Columns that nothing maps.
        filled: Field → column that fills it, of all that the source has filled up to now: what the next sync is held to. None
            leaves what was noted before.
        missing: Columns that filled a field before and that no record has, where records differ by nature.
        expected_rows: How many rows the sync will read, on the first load, where that is known.
    """

    parts: Sequence[Part]
    rows: Callable[[], Iterator[pa.RecordBatch]]
    says: Literal["whole", "changes", "present", "keys", "aside"] = "whole"
    position: Mapping[str, Any] | None = None
    unmapped: Sequence[str] = ()
    filled: Mapping[str, str] | None = None
    missing: Sequence[str] = ()
    expected_rows: float | None = None


@dataclass(frozen=True)
class Reading:
    """One sync of one subject of one source, as the source's kind sees it.

    Attributes:
        settings: Settings of the platform.
        connection: The working warehouse: for mapping, and for what ``ops`` knows of earlier syncs.
        source_file: All sources; relative locations are relative to its folder.
        source: The source that is read.
        position: Where the last sync of an incremental reader stopped; None when it begins, or begins anew because the
            settings by which it reads have changed.
        limit: The reader may stop after so many rows (a dry run); None for all.
        may_read: Whether a file may be opened, asked of its real path (a dry run for a page); None: all may.
    """

    settings: Settings
    connection: duckdb.DuckDBPyConnection
    source_file: SourceFile
    source: Source
    position: Mapping[str, Any] | None = None
    limit: int | None = None
    may_read: Callable[[Path], bool] | None = None
    _digest: list[str] = field(default_factory=list, repr=False)
    _known: list[dict[str, str]] = field(default_factory=list, repr=False)

    @property
    def digest(self) -> str:
        """Digest of the settings by which rows are read."""
        if not self._digest:
            self._digest.append(self.source.settings_digest())
        return self._digest[0]

    @property
    def scratch(self) -> Path:
        """A private folder for temporary files; what is left there by a kill may be removed."""
        return self.settings.work / "duckdb_tmp"

    def number(self, shown: str) -> int:
        """The number of a part, given once and for all."""
        rows = self.connection.execute(  # all of them: an unfinished result would bar the connection to what comes next
            "SELECT file_id FROM ops.source_file WHERE source = ? AND subject = ? AND path = ?", [self.source.name, self.source.subject, shown]
        ).fetchall()
        return int(rows[0][0]) if rows else self.new_number()

    def new_number(self) -> int:
        """The number of a part that was never read."""
        ((number,),) = self.connection.execute("SELECT nextval('ops.file_number')").fetchall()
        return int(number)

    def stream(self, shown: str) -> Part:
        """The part that stands for all that an incremental reader reads; every call is a new state of it."""
        return Part(file_id=self.number(shown), shown=shown, fingerprint=f"{self.digest}-{uuid.uuid4().hex}")

    def check(self, available: Mapping[str, str], shown: str, known: Mapping[str, str] | None = None) -> None:
        """Refuse rows that lack a column that is mapped, or that key, cursor or deletion mark need.

        Args:
            available: Column → DuckDB type.
            shown: Where the rows come from, as people know it.
            known: Field → column that filled it before or fills it elsewhere: to be there too. None where records differ by
                nature, so that a column may be away (:meth:`missing`).

        Raises:
            YiwangError: YW-SYNC-003.
        """
        missing = [*missing_columns(self.source, available), *lost(self.source, available, known or {}).values()]
        if missing:
            raise YiwangError("YW-SYNC-003", path=shown, columns="、".join(dict.fromkeys(missing)))

    @property
    def known(self) -> dict[str, str]:
        """Field → column that filled it in what was read of the source up to now.

        A home in which that was never noted knows the fields that have a value, not their columns: their names stand for them.
        """
        if not self._known:
            own = [self.source.name, self.source.subject]
            noted = self.connection.execute("SELECT field, column_name FROM ops.filled_field WHERE source = ? AND subject = ?", own).fetchall()
            self._known.append(dict(noted) or self._with_values())
        return self._known[0]

    def _with_values(self) -> dict[str, str]:
        stored = {field: f"{field}_digest" if spec.personal is Personal.IDENTIFIER else field for field, spec in columns(self.source.contract).items()}
        counts = ", ".join(f"count({name(column)})" for column in stored.values())
        (row,) = self.connection.execute(
            f"SELECT {counts} FROM raw.{name(self.source.subject)} WHERE source = {literal(self.source.name)}"  # noqa: S608 - quoted names
        ).fetchall()
        return {field: field for field, count in zip(stored, row, strict=True) if count}

    def missing(self, available: Mapping[str, str]) -> list[str]:
        """Columns that filled a field before, and now none does."""
        return sorted(set(lost(self.source, available, self.known).values()))

    def filled(self, available: Mapping[str, str]) -> dict[str, str]:
        """:attr:`known` as it is once rows with these columns have been read."""
        self._known[:] = [lost(self.source, available, self.known) | filled(self.source, available)]
        return dict(self._known[0])

    def unmapped(self, available: Mapping[str, str]) -> list[str]:
        """Columns that no subject takes from rows with these columns."""
        siblings = [s for s in self.source_file.sources if s.reads_same(self.source)]
        return sorted(set(available).difference(*(used_columns(sibling, available) for sibling in siblings)))

    def mapped(self, part: Part, columns: Mapping[str, str], batches: Iterator[pa.RecordBatch], first_row: int = 1) -> Iterator[pa.RecordBatch]:
        """Rows as the source has them → typed rows of a load.

        Args:
            part: Where the rows come from.
            columns: Column → DuckDB type; all batches have these columns, in this order and with types that fit.
            batches: The rows; a column ``_file_row`` numbers them, else they are counted from ``first_row``. With
                ``_file_id``, they come from several parts. With ``_fault`` and ``_line``, a row that has the former is
                set aside with that sentence, ``_line`` is its text where it has no columns.
            first_row: Number of the first row.
        """

        def numbered() -> Iterator[pa.RecordBatch]:
            row = first_row
            for batch in batches:
                if "_file_row" not in batch.schema.names:
                    numbers = pa.array(np.arange(row, row + batch.num_rows))
                    batch = pa.RecordBatch.from_arrays([*batch.columns, numbers], names=[*batch.schema.names, "_file_row"])
                row += batch.num_rows
                yield batch

        stream = numbered()
        if (first := next(stream, None)) is None:
            return

        def all_batches() -> Iterator[pa.RecordBatch]:
            yield first
            yield from stream

        reader = pa.RecordBatchReader.from_batches(first.schema, all_batches())
        self.connection.register("_incoming", reader)
        try:
            part_of_all = "" if "_file_id" in first.schema.names else f", {part.file_id}::INTEGER AS _file_id"
            relation = f"(SELECT *{part_of_all} FROM _incoming)"  # noqa: S608 - a number
            yield from typed(self.connection, select(self.source, columns, relation, faults="_fault" in first.schema.names))
        finally:
            self.connection.unregister("_incoming")

    def nothing(self) -> Iterator[pa.RecordBatch]:
        """No row: for a load that only notes that its parts were read."""
        yield from ()


def typed(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """The result of a query as record batches, computed while they are taken."""
    yield from connection.sql(query).to_arrow_reader(BATCH)


def no_rows(source: Source) -> str:
    """A relation with the columns of a load package and no row."""
    nulls = ", ".join(f'NULL::{sql_type} AS "{column}"' for column, sql_type in package_columns(source).items())
    return f"(SELECT {nulls} WHERE false)"


def stored_position(connection: duckdb.DuckDBPyConnection, source: Source) -> Mapping[str, Any] | None:
    """Where the last sync under the same settings stopped."""
    row = connection.execute(
        "SELECT position FROM ops.source_position WHERE source = ? AND subject = ? AND settings = ?",
        [source.name, source.subject, source.settings_digest()],
    ).fetchone()
    return json.loads(row[0]) if row else None
