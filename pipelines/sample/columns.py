"""Columns and frames: how the generator holds rows until they become Parquet.

Text is either coded (numbers into a shared list of words) or a matrix of bytes, so that no Python object
is made for a row. What does not belong here: what the rows mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Ints = npt.NDArray[Any]
NULL = np.iinfo(np.int64).min
"""The instant or number that stands for null in an int64 column."""
ROW_GROUP = 122_880
"""Rows of a Parquet row group: DuckDB's own size, so that its threads share a file well."""

_SHORT = 250


def words(values: Sequence[str]) -> pa.Array:
    """A list of words for :class:`Coded`."""
    return pa.array(list(values), pa.string())


@dataclass
class Coded:
    """Text as numbers into ``words``; −1 is null."""

    codes: Ints
    words: pa.Array

    def take(self, rows: Ints | slice) -> Coded:
        """The rows, in that order."""
        return Coded(self.codes[rows], self.words)

    def arrow(self) -> pa.Array:
        """Dictionary array; of a long list it holds only the words that it uses."""
        null = self.codes < 0
        if len(self.words) <= _SHORT:
            return pa.DictionaryArray.from_arrays(pa.array(self.codes, mask=null if null.any() else None), self.words)
        used = np.zeros(len(self.words), bool)
        used[self.codes[~null] if null.any() else self.codes] = True
        place = (np.cumsum(used) - 1).astype(np.int32)
        indices = pa.array(place[self.codes], mask=null if null.any() else None)
        return pa.DictionaryArray.from_arrays(indices, self.words.take(pa.array(np.flatnonzero(used))))

    def values(self, rows: Ints) -> list[str | None]:
        """Python values of a few rows."""
        codes = self.codes[rows]
        taken = self.words.take(pa.array(np.maximum(codes, 0))).to_pylist() if len(self.words) else [None] * len(rows)
        return [None if code < 0 else word for code, word in zip(codes, taken, strict=True)]

    def replaced(self, rows: Ints, values: Sequence[str | None]) -> Coded:
        """With other values in a few rows."""
        codes = self.codes.astype(np.int32)
        fresh = np.arange(len(rows), dtype=np.int32) + len(self.words)
        codes[rows] = np.where([v is None for v in values], -1, fresh)
        return Coded(codes, pa.concat_arrays([self.words, pa.array([v or "" for v in values], pa.string())]))


@dataclass
class Chars:
    """Text as rows of UTF-8 bytes; zero bytes are left out, a row of zeros is null."""

    matrix: npt.NDArray[np.uint8]

    def take(self, rows: Ints | slice) -> Chars:
        """The rows, in that order."""
        return Chars(self.matrix[rows])

    def arrow(self) -> pa.Array:
        """String array."""
        count, width = self.matrix.shape
        if self.matrix.all():
            offsets = np.arange(count + 1, dtype=np.int32) * width
            data, valid = self.matrix.reshape(-1), None
        else:
            kept = self.matrix != 0
            lengths = kept.sum(axis=1)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            data = self.matrix[kept]
            valid = pa.array(lengths > 0).buffers()[1]
        buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
        return pa.StringArray.from_buffers(count, buffers[1], buffers[2], buffers[0])

    def values(self, rows: Ints) -> list[str | None]:
        """Python values of a few rows."""
        return [bytes(row).replace(b"\0", b"").decode() or None for row in self.matrix[rows]]

    def replaced(self, rows: Ints, values: Sequence[str | None]) -> Chars:
        """With other values in a few rows."""
        raw = [(v or "").encode() for v in values]
        width = max([self.matrix.shape[1], *map(len, raw)])
        matrix = np.zeros((len(self.matrix), width), np.uint8)
        matrix[:, : self.matrix.shape[1]] = self.matrix
        block = np.zeros((len(raw), width), np.uint8)
        for row, text in zip(block, raw, strict=True):
            row[: len(text)] = np.frombuffer(text, np.uint8)
        matrix[rows] = block
        return Chars(matrix)


@dataclass
class Numbers:
    """Whole numbers, flags, days or instants (UTC µs, whole seconds); :data:`NULL` (−1 in small types and flags) is null."""

    numbers: Ints
    type: pa.DataType

    @property
    def _null(self) -> int:
        return NULL if self.numbers.dtype == np.int64 else -1

    def take(self, rows: Ints | slice) -> Numbers:
        """The rows, in that order."""
        return Numbers(self.numbers[rows], self.type)

    def arrow(self) -> pa.Array:
        """Array of the column's type."""
        if self.numbers.dtype == bool:
            return pa.array(self.numbers)
        null = self.numbers == self._null
        mask = null if null.any() else None
        if pa.types.is_timestamp(self.type):
            return pa.array(self.numbers, pa.int64(), mask=mask).view(self.type)
        if pa.types.is_date(self.type):
            return pa.array(self.numbers.astype(np.int32), pa.int32(), mask=mask).view(self.type)
        if pa.types.is_boolean(self.type):
            return pa.array(self.numbers == 1, mask=mask)
        return pa.array(self.numbers.astype(np.int32), self.type, mask=mask)

    def values(self, rows: Ints) -> list[str | None]:
        """A few rows as text: ISO 8601 for days and instants."""
        numbers = self.numbers[rows]
        null = numbers == self._null if numbers.dtype != bool else np.zeros(len(rows), bool)
        return [None if is_null else text for is_null, text in zip(null, self._texts(np.where(null, 0, numbers)), strict=True)]

    def _texts(self, numbers: Ints) -> list[str]:
        if pa.types.is_timestamp(self.type):
            return [t + "+00:00" for t in np.datetime_as_string((numbers // 1_000_000).astype("datetime64[s]")).tolist()]
        if pa.types.is_date(self.type):
            return list(np.datetime_as_string(numbers.astype("datetime64[D]")).tolist())
        if pa.types.is_boolean(self.type):
            return ["true" if n == 1 else "false" for n in numbers]
        return [str(n) for n in numbers.tolist()]

    def _numbers(self, texts: list[str]) -> Ints:
        if pa.types.is_timestamp(self.type):
            return np.array([t[:19] for t in texts], "datetime64[s]").astype(np.int64) * 1_000_000
        if pa.types.is_date(self.type):
            return np.array(texts, "datetime64[D]").astype(np.int64)
        return np.array([{"true": 1, "false": 0}[t] if pa.types.is_boolean(self.type) else int(t) for t in texts], np.int64)

    def replaced(self, rows: Ints, values: Sequence[str | None]) -> Numbers:
        """With other values in a few rows, as texts of :meth:`values`."""
        numbers = self.numbers.astype(np.int8) if self.numbers.dtype == bool else self.numbers.copy()
        null = np.array([v is None for v in values], bool)
        numbers[rows[null]] = self._null
        numbers[rows[~null]] = self._numbers([v for v in values if v is not None])
        return Numbers(numbers, self.type)


AnyColumn = Coded | Chars | Numbers


def instants(local: Ints) -> Numbers:
    """A column of instants from local µs of Asia/Shanghai (UTC+8 without summer time since 1992)."""
    return Numbers(np.where(local == NULL, NULL, local - 8 * 3_600_000_000), pa.timestamp("us", tz="UTC"))


def digits(numbers: Ints, width: int) -> npt.NDArray[np.uint8]:
    """Numbers as rows of ASCII digits with leading zeros."""
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (np.asarray(numbers, np.int64)[:, None] // powers % 10 + 48).astype(np.uint8)


def some(rows: Ints, where: npt.NDArray[np.bool_], make: Callable[[Ints], npt.NDArray[np.uint8]]) -> Chars:
    """Text for the rows ``where`` it stands, null for the others: made for those alone."""
    made = make(rows[where])
    matrix = np.zeros((len(rows), made.shape[1]), np.uint8)
    matrix[where] = made
    return Chars(matrix)


def repeated(text: str, count: int) -> npt.NDArray[np.uint8]:
    """The same text in every row."""
    return np.broadcast_to(np.frombuffer(text.encode(), np.uint8), (count, len(text.encode())))


def matrix(texts: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Texts as rows of bytes, padded with zeros."""
    raw = [t.encode() for t in texts]
    width = max(map(len, raw))
    return np.frombuffer(b"".join(r.ljust(width, b"\0") for r in raw), np.uint8).reshape(len(raw), width)


@dataclass
class Frame:
    """Rows of one subject: columns of equal length, named as the contract's fields; fields left out are null."""

    columns: dict[str, AnyColumn]
    size: int

    def part(self, start: int, size: int) -> Frame:
        """Up to ``size`` rows from ``start`` on."""
        rows = slice(start, min(start + size, self.size))
        return Frame({name: c.take(rows) for name, c in self.columns.items()}, rows.stop - start)

    def values(self, name: str, rows: Ints) -> list[str | None]:
        """Python values of a few rows; null where the frame lacks the column."""
        return self.columns[name].values(rows) if name in self.columns else [None] * len(rows)

    def replace(self, name: str, rows: Ints, values: Sequence[str | None]) -> None:
        """Other values in a few rows of a column."""
        self.columns[name] = self.columns[name].replaced(rows, values)

    def table(self, schema: pa.Schema) -> pa.Table:
        """As Arrow, in the order of the schema; coded text becomes dictionaries."""
        arrays = {f.name: self.columns[f.name].arrow() if f.name in self.columns else pa.nulls(self.size, f.type) for f in schema}
        return pa.table(arrays)


def concat(frames: Sequence[Frame]) -> Frame:
    """Frames of the same columns, one after the other."""
    if len(frames) == 1:
        return frames[0]
    return Frame({n: _joined([f.columns[n] for f in frames]) for n in frames[0].columns}, sum(f.size for f in frames))


def _joined(columns: Sequence[Any]) -> AnyColumn:
    first = columns[0]
    if isinstance(first, Numbers):
        return Numbers(np.concatenate([c.numbers for c in columns]), first.type)
    if isinstance(first, Chars):
        width = max(c.matrix.shape[1] for c in columns)
        return Chars(np.concatenate([np.pad(c.matrix, ((0, 0), (0, width - c.matrix.shape[1]))) for c in columns]))
    if all(c.words is first.words for c in columns):
        return Coded(np.concatenate([c.codes for c in columns]), first.words)
    starts = np.cumsum([0, *(len(c.words) for c in columns[:-1])])
    codes = [np.where(c.codes < 0, -1, c.codes.astype(np.int32) + start) for c, start in zip(columns, starts, strict=True)]
    return Coded(np.concatenate(codes), pa.concat_arrays([c.words for c in columns]))


def write(frame: Frame, schema: pa.Schema, path: Path) -> None:
    """Write a frame as one Parquet file, by way of a temporary name, in row groups of :data:`ROW_GROUP`."""
    coded = [n for n, c in frame.columns.items() if isinstance(c, Coded)]
    # Bounds of text cost a third of the writing and help no reader; those of instants let readers skip.
    bounded = [n for n, c in frame.columns.items() if isinstance(c, Numbers)]
    temporary = path.with_suffix(".tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    for start in range(0, max(frame.size, 1), ROW_GROUP):
        part = frame.part(start, ROW_GROUP)
        table = part.table(schema)
        if writer is None:
            # Instants hardly shrink: left as they are, they are written and read faster.
            packed = {n: "none" if pa.types.is_timestamp(table.schema.field(n).type) else "snappy" for n in table.column_names}
            writer = pq.ParquetWriter(
                temporary, table.schema, compression=packed, use_dictionary=coded, store_schema=False,
                dictionary_pagesize_limit=16 << 20, write_statistics=bounded, write_batch_size=16_384,
            )
        writer.write_table(table, row_group_size=ROW_GROUP)
    if writer is not None:
        writer.close()
    temporary.replace(path)
