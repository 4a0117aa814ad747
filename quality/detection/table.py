"""A table as detectors see it: every column is a list of distinct texts and, for each row, the number of its text."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NULL_WORDS = frozenset(
    "n/a na #n/a n.a. null none nan nil <na> undefined unknown missing empty tbd - -- --- — —— . ? ?? ??? / \\n "
    "(null) 无 空 无数据 未知 不详 暂无 待定 未填 未填写 缺失 （空） 空值".split()
) | {"not available", "not applicable", "no data"}  # fmt: skip
"""Words, in lower case, by which people and programs say that a value is missing."""
NUMBER = r"^[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][+-]?\d{1,3})?$"
"""A plain number; thousands may be grouped. A digit must be in it."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: As in the header.
        values: Distinct texts, as in the file.
        codes: Number of its text in ``values``, a row.
    """

    name: str
    values: pa.StringArray
    codes: NDArray[np.int32]

    @cached_property
    def counts(self) -> Ints:
        """Rows that hold each text."""
        return np.bincount(self.codes, minlength=len(self.values)).astype(np.int64)

    @cached_property
    def is_blank(self) -> Bools:
        """Texts that are empty or white space."""
        return _bools(pc.equal(pc.utf8_trim_whitespace(self.values), ""))

    @cached_property
    def is_null_word(self) -> Bools:
        """Texts that say in words that the value is missing."""
        plain = pc.utf8_lower(pc.utf8_trim_whitespace(self.values))
        return _bools(pc.is_in(plain, pa.array(sorted(NULL_WORDS))))

    @cached_property
    def is_null(self) -> Bools:
        """Texts that hold no value."""
        return self.is_blank | self.is_null_word

    @cached_property
    def filled(self) -> int:
        """Rows that hold a value."""
        return int(self.counts[~self.is_null].sum())

    @cached_property
    def numbers(self) -> Floats:
        """The number that each text is; NaN for one that is none."""
        trimmed = pc.utf8_trim_whitespace(self.values)
        is_number = pc.and_(pc.match_substring_regex(trimmed, NUMBER), pc.match_substring_regex(trimmed, r"\d"))
        plain = pc.if_else(is_number, pc.replace_substring(trimmed, ",", ""), pa.scalar(None, pa.string()))
        plain = pc.replace_substring_regex(plain, r"^\+", "")
        return np.asarray(pc.fill_null(pc.cast(plain, pa.float64()), float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64)

    @cached_property
    def number_share(self) -> float:
        """Share of the filled rows that are plain numbers."""
        return self.share(~np.isnan(self.numbers))

    @cached_property
    def shapes(self) -> "Shapes":
        """Each text with every letter, digit and character by its class: ``A9-99`` for ``B7-12``."""
        return Shapes.of(_classes(self.values), self)

    @cached_property
    def wide_shapes(self) -> "Shapes":
        """As :attr:`shapes`, a run of one class written once: ``A9-9``."""
        text = self.shapes.per_value()
        for run in ("9", "A", "a", "文", " "):
            text = pc.replace_substring_regex(text, f"{run}{run}+", run)
        return Shapes.of(text, self)

    def share(self, of: Bools) -> float:
        """Share of the filled rows whose text is marked."""
        return float(self.counts[of & ~self.is_null].sum()) / max(self.filled, 1)

    def text(self, value: int) -> str:
        """A text by its number."""
        return str(self.values[int(value)].as_py())

    def rows_of(self, marked: Bools) -> Ints:
        """Rows whose text is marked."""
        return np.flatnonzero(marked[self.codes]).astype(np.int64)


@dataclass(frozen=True)
class Shapes:
    """Shapes of a column's texts.

    Attributes:
        names: Distinct shapes.
        of_value: Number of its shape, a text of the column.
        counts: Filled rows of each shape.
    """

    names: list[str]
    of_value: Ints
    counts: Ints

    @classmethod
    def of(cls, text: pa.StringArray, column: Column) -> "Shapes":
        """Numbers the shapes of the column's texts."""
        encoded = pc.dictionary_encode(text)
        of_value = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        rows = np.where(column.is_null, 0, column.counts)
        names = encoded.dictionary.to_pylist()
        return cls(names, of_value, np.bincount(of_value, rows, minlength=len(names)).astype(np.int64))

    def per_value(self) -> pa.StringArray:
        """The shape of each text."""
        return pa.array(self.names, pa.string()).take(pa.array(self.of_value))


@dataclass(frozen=True)
class Table:
    """A table: columns of one length."""

    columns: list[Column]

    @property
    def rows(self) -> int:
        """Rows without the header."""
        return len(self.columns[0].codes)


def shape_pattern(shape: str) -> str:
    """Regular expression of the texts that a wide shape describes."""
    classes = {"9": r"[0-9]+", "A": r"\p{Lu}+", "a": r"\p{Ll}+", "文": r"\p{Lo}+", " ": r"\s+"}
    return "".join(classes.get(character) or re.escape(character) for character in shape)


def _classes(values: pa.StringArray) -> pa.StringArray:
    text = values
    for pattern, mark in ((r"[0-9]", "9"), (r"\p{Lu}", "A"), (r"\p{Ll}", "a"), (r"\p{Lo}", "文"), (r"[ \t\r\n]", " ")):
        text = pc.replace_substring_regex(text, pattern, mark)
    return text


def _bools(array: pa.BooleanArray) -> Bools:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.bool_)
