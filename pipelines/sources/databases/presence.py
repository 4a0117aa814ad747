"""Records that are, or are not, in the source's table now: what its log of deletions and its keys say about them.

What does not belong here: reading on (:mod:`pipelines.sources.databases.incremental`) and deleting (:mod:`pipelines.sources.merge`).
"""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pipelines.sources.config import Source
from pipelines.sources.databases.database import Database
from pipelines.sources.databases.incremental import Mapped, Says, news
from pipelines.sources.mapping import record_hash
from pipelines.sources.reading import Load, Part, Reading
from pipelines.sources.store import literal, name


@dataclass(frozen=True, kw_only=True)
class Records:
    """The table or query that has the records.

    Attributes:
        reading: The sync.
        relation: Table or query.
        shown: Name of the part.
        key: Its columns that fill the fields of the key.
        columns: Column → type of what is read.
        mapped: Its rows → typed rows.
        open: Another connection to it; while one reads, nothing else can be asked of it.
    """

    reading: Reading
    relation: sa.FromClause
    shown: str
    key: Sequence[str]
    columns: Mapping[str, str]
    mapped: Mapped
    open: Callable[[], Database]

    @property
    def key_columns(self) -> dict[str, str]:
        """Of the columns those by which a record is known, and known to be deleted."""
        deleted = self.reading.source.deleted
        return {column: self.columns[column] for column in [*self.key, *([deleted] if deleted else [])]}

    def without_refuted(self, rows: Sequence[pa.RecordBatch], first: int, raw: pa.Table) -> list[pa.RecordBatch]:
        """Deletions without those that the table refutes, since it has the record now.

        It is asked about a deletion that is not later than what is stored: at whole seconds a record may have come back
        in the same one. Where the table's keys decide what is gone (``vanished: delete``), it is asked about each.

        Args:
            rows: Typed deletions; ``_file_row`` says their place in ``raw``.
            first: Number of the first row of ``raw``.
            raw: Columns of their keys as the source has them, in the order of ``key``.
        """
        source, connection = self.reading.source, self.reading.connection
        if not rows or not self.key or len(self.key) != len(source.keys):
            return [*rows]
        later = f"s.{name(source.cursor)} > r.{name(source.cursor)}" if source.cursor and source.vanished == "keep" else "false"
        with _registered(connection, "_log", pa.Table.from_batches(rows)):
            doubtful = connection.sql(f"""
                SELECT s._file_row FROM _log AS s JOIN raw.{name(source.subject)} AS r ON {_same_key(source)} AND r.source = {literal(source.name)}
                WHERE s._reason_code IS NULL AND NOT r._is_deleted AND NOT coalesce({later}, false)
            """).to_arrow_table()["_file_row"]
            if not len(doubtful):
                return [*rows]
            values = _texts(raw.take(pc.subtract(doubtful, first)))
            part = self.reading.stream(self.shown)
            with closing(self.open()) as database:
                database.describe(self.relation)
                there = database.having(self.relation, list(self.key_columns), self.key, values)
                present = list(self.reading.mapped(part, self.key_columns, there))
            if not present:
                return [*rows]
            with _registered(connection, "_present", pa.Table.from_batches(present)), _registered(connection, "_doubtful", pa.table({"row": doubtful})):
                kept: pa.Table = connection.sql(f"""
                    SELECT s.* FROM _log AS s WHERE s._file_row NOT IN (SELECT row FROM _doubtful)
                        OR NOT EXISTS (SELECT 1 FROM _present AS r WHERE {_same_key(source)})
                """).to_arrow_table()
                return list(kept.to_batches())


@dataclass(kw_only=True)
class Keys:
    """The keys of all records that the table has, and the records that are missing here though it has them.

    Such a record came back, or got its key, with a cursor that has been passed: reading on does not find it.

    Attributes:
        records: Where they are.
        says: What its rows say, as :attr:`Load.says`.
    """

    records: Records
    says: Says
    _missing: list[pa.RecordBatch] = field(default_factory=list, init=False)
    _values: list[list[str]] = field(default_factory=list, init=False)

    def loads(self, database: Database) -> Iterator[Load]:
        """The keys, then the records that are missing here."""
        records = self.records
        part = records.reading.stream(records.shown)
        yield Load(parts=[part], rows=lambda: self._all(database, part), says="keys")
        if self._missing:
            again = records.reading.stream(records.shown)
            yield Load(parts=[again], rows=lambda: self._found(database, again), says=self.says)

    def _all(self, database: Database, part: Part) -> Iterator[pa.RecordBatch]:
        records = self.records
        columns, row = records.key_columns, 1
        for batch in database.all_rows(records.relation, list(columns)):
            numbered = batch.append_column("_file_row", pa.array(range(row, row + batch.num_rows), pa.int64()))
            typed = list(records.reading.mapped(part, columns, iter([numbered])))
            self._note(typed, batch.select([*records.key]), row)
            row += batch.num_rows
            yield from typed

    def _note(self, typed: Sequence[pa.RecordBatch], keys: pa.RecordBatch, first: int) -> None:
        """Remember which records are neither valid nor set aside here."""
        source, connection = self.records.reading.source, self.records.reading.connection
        if not self.records.key:
            return
        own = f"source = {literal(source.name)}"
        with _registered(connection, "_there", pa.Table.from_batches(typed)):
            missing = connection.sql(f"""
                SELECT {', '.join(name(key) for key in source.keys)}, _file_row FROM _there AS s WHERE _reason_code IS NULL AND NOT _is_deleted
                    AND NOT EXISTS (SELECT 1 FROM raw.{name(source.subject)} AS r WHERE r.{own} AND NOT r._is_deleted AND {_same_key(source)})
                    AND {record_hash(source)} NOT IN (SELECT record_hash FROM raw.quarantine WHERE {own} AND subject = {literal(source.subject)})
            """).to_arrow_table()
        if len(missing):
            self._missing += missing.drop_columns(["_file_row"]).to_batches()
            self._values += _texts(pa.Table.from_batches([keys]).take(pc.subtract(missing["_file_row"], first)))

    def _found(self, database: Database, part: Part) -> Iterator[pa.RecordBatch]:
        records, source = self.records, self.records.reading.source
        row = 1
        for batch in database.having(records.relation, list(records.columns), records.key, self._values):
            numbered = batch.append_column("_file_row", pa.array(range(row, row + batch.num_rows), pa.int64()))
            row += batch.num_rows
            typed = list(records.mapped(part, iter([numbered])))
            connection = records.reading.connection
            with _registered(connection, "_rows_found", pa.Table.from_batches(typed)), _registered(connection, "_missing", pa.Table.from_batches(self._missing)):
                wanted = connection.sql(
                    f"SELECT s.* FROM _rows_found AS s WHERE EXISTS (SELECT 1 FROM _missing AS r WHERE {_same_key(source)}) OR s._reason_code IS NOT NULL"
                ).to_arrow_table()
            yield from news(connection, source, wanted.to_batches(), self.says)


def _same_key(source: Source) -> str:
    return " AND ".join(f"r.{name(key)} = s.{name(key)}" for key in source.keys)


def _texts(keys: pa.Table) -> list[list[str]]:
    columns = [column.cast(pa.string()).to_pylist() for column in keys.columns]
    return [list(values) for values in zip(*columns, strict=True)]


@contextmanager
def _registered(connection: duckdb.DuckDBPyConnection, view: str, table: pa.Table) -> Iterator[None]:
    connection.register(view, table)
    try:
        yield
    finally:
        connection.unregister(view)
