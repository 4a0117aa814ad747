"""The formats of files: one module, one class each (docs/sources.md, "A format of its own")."""

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import IO, TYPE_CHECKING, Any, ClassVar, NamedTuple

import pyarrow as pa

from pipelines.sources.mapping import used_columns

if TYPE_CHECKING:
    from pipelines.sources.files import DataFile
    from pipelines.sources.kinds.file import FileSource
    from pipelines.sources.reading import Reading


class Format:
    """Reads one file of its format.

    A subclass checks the file and finds its columns when it is made, and gives its rows in :meth:`rows`.

    Attributes:
        name: Value of the key ``format``.
        suffixes: Suffixes of file names that mean the format, in lower case with the dot.
        varies: Whether a file has no header: a column is there when a record has it.
        columns: Column → DuckDB type, as :meth:`rows` gives them to the mapping.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    varies: ClassVar[bool] = False
    columns: dict[str, str]

    def __init__(self, reading: "Reading", source: "FileSource", file: "DataFile") -> None:
        self.reading, self.source, self.file = reading, source, file

    def expected_rows(self) -> int | None:
        """Rows of the file, where its format tells without reading it."""
        return None

    def alike(self) -> Any:
        """Files with the same value may be read together by :meth:`rows_of`."""
        return self.file.path

    def rows(self) -> Iterator[pa.RecordBatch]:
        """The file's rows, typed: the columns of a load package. Most formats end with ``reading.mapped(…)``.

        Raises:
            YiwangError: YW-SYNC-004 where the content is broken.
        """
        raise NotImplementedError

    @classmethod
    def rows_of(cls, readers: Sequence["Format"]) -> Iterator[pa.RecordBatch]:
        """The rows of files that are alike."""
        for reader in readers:
            yield from reader.rows()


class Record(NamedTuple):
    """A record as its file has it.

    Attributes:
        number: Its number in the file, as people count there (line, row of the sheet, event).
        values: Column → text as it stands in the file; a column that is left out is null.
        fault: Why the row must be set aside (one Chinese clause without values, for it is published); None for a good one.
        line: The text itself, where it could not be taken apart into values.
    """

    number: int
    values: Mapping[str, str | None]
    fault: str | None = None
    line: str | None = None


class Records(Format):
    """A format whose columns are known only when the file has been read: a subclass gives its records one by one.

    The file is read once; its records wait, as compressed Arrow of bounded batches, in the scratch folder until they
    are typed. Columns whose names differ in case only are one column; a record that has several of them, with different
    values, is set aside where a field takes the column.
    """

    ROWS: ClassVar[int] = 50_000
    CHARACTERS: ClassVar[int] = 1 << 25
    """A batch ends after so many rows or characters."""
    MOST_COLUMNS: ClassVar[int] = 2_000

    def __init__(self, reading: "Reading", source: "FileSource", file: "DataFile") -> None:
        super().__init__(reading, source, file)
        self.columns = {}
        self._spellings: dict[str, str] = {}
        self._count = 0
        self._spool = reading.scratch / f"{file.file_id}.rows"
        self._spool_all()

    def records(self) -> Iterator[Record]:
        """The file's records, in order; columns that are sure beforehand may be named with :meth:`declare`.

        Raises:
            YiwangError: YW-SYNC-004 where the file as a whole is broken; a single broken record has a ``fault`` instead.
        """
        raise NotImplementedError

    def declare(self, column: str) -> str:
        """Make a column known, whether a record has it or not; its name as first met."""
        name = self._spellings.setdefault(column.lower(), column)
        if name not in self.columns:
            if name.lower() in ("_file_id", "_file_row", "_fault", "_line"):
                raise self.unreadable(f"列名 {name} 是保留的名称")
            if len(self.columns) == self.MOST_COLUMNS:
                raise self.unreadable(f"列超过 {self.MOST_COLUMNS} 个，键名里可能写了数据")
            self.columns[name] = "VARCHAR"
        return name

    def unreadable(self, detail: str) -> Exception:
        """YW-SYNC-004 for this file."""
        from pipelines.sources.files import unreadable

        return unreadable(self.file, detail)

    def expected_rows(self) -> int:
        """As counted."""
        return self._count

    def alike(self) -> Any:
        """Files of the format with the same columns."""
        return type(self), tuple(sorted(self.columns))

    @classmethod
    def rows_of(cls, readers: Sequence[Format]) -> Iterator[pa.RecordBatch]:
        """The rows of files with the same columns, in one statement."""
        first = readers[0]
        batches = (batch for reader in readers for batch in reader._batches(first.columns))  # type: ignore[attr-defined]
        yield from first.reading.mapped(first.file, first.columns, batches)

    def rows(self) -> Iterator[pa.RecordBatch]:
        """The file's rows, typed."""
        yield from self.rows_of([self])

    def _spool_all(self) -> None:
        pending: list[Record] = []
        weight = 0
        records = islice(self.records(), self.reading.limit)
        with self._spool.open("wb") as sink:
            while True:
                try:
                    record = next(records, None)
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    raise self.unreadable("压缩内容不完整，可能没有传完") from error
                if record is None:
                    break
                pending.append(record)
                weight += sum(map(len, filter(None, record.values.values()))) + len(record.line or "")
                if len(pending) >= self.ROWS or weight >= self.CHARACTERS:
                    self._flush(pending, sink)
                    pending, weight = [], 0
            self._flush(pending, sink)

    def _flush(self, pending: Sequence[Record], sink: IO[bytes]) -> None:
        if not pending:
            return
        spellings: dict[str, list[str]] = {}
        for key in dict.fromkeys(chain.from_iterable(record.values for record in pending)):
            spellings.setdefault(self.declare(key), []).append(key)
        values = {
            column: [record.values.get(keys[0]) for record in pending] if len(keys) == 1 else [_first(record.values, keys) for record in pending]
            for column, keys in spellings.items()
        }
        for column, keys in spellings.items():
            if len(keys) > 1 and column in used_columns(self.source, self.columns):
                pending = [_with_one(record, keys) for record in pending]
        arrays = [pa.array(column, pa.string()) for column in values.values()]
        arrays += [pa.array([record.number for record in pending], pa.int64())]
        arrays += [pa.array([getattr(record, name) for record in pending], pa.string()) for name in ("fault", "line")]
        batch = pa.RecordBatch.from_arrays(arrays, names=[*values, "_file_row", "_fault", "_line"])
        with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_batch(batch)
        self._count += len(pending)

    def _batches(self, columns: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        names = [*columns, "_file_row", "_fault", "_line"]
        try:
            with pa.OSFile(str(self._spool), "rb") as stored:
                while stored.tell() < stored.size():
                    for batch in pa.ipc.open_stream(stored):
                        there = set(batch.schema.names)
                        arrays = [batch.column(name) if name in there else pa.nulls(batch.num_rows, pa.string()) for name in names]
                        file_id = pa.array([self.file.file_id], pa.int32()).take(pa.array([0] * batch.num_rows, pa.int8()))
                        yield pa.RecordBatch.from_arrays([*arrays, file_id], names=[*names, "_file_id"])
        finally:
            self._spool.unlink(missing_ok=True)


def _with_one(record: Record, keys: Sequence[str]) -> Record:
    """The record; with a fault where the keys, which are one column, have different values in it."""
    if record.fault or len({value for key in keys if (value := record.values.get(key)) is not None}) < 2:
        return record
    return record._replace(fault=f"{'、'.join(sorted(key for key in keys if record.values.get(key) is not None))} 只有大小写不同，值却不同")


def _first(values: Mapping[str, str | None], keys: Sequence[str]) -> str | None:
    return next((value for key in keys if (value := values.get(key)) is not None), None)
