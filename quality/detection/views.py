"""The values of a column as its neighbours should count them: variants of writing made one, what is no value left out."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.detection.formats import dominant, repaired
from quality.detection.table import Column, Ints, Table

_DAY = r"^\s*(?P<y>\d{4})[-/.年](?P<m>\d{1,2})[-/.月](?P<d>\d{1,2})日?\s*$"
_TIME = r"(?:^|\s)(?P<h>\d{1,2}):(?P<m>\d{2})(?:\s*(?P<half>[ap])(?:\.?m|\b|[^:]))?"


def views_of(table: Table) -> list[Ints]:
    """A column: the number of the text that each row means, -1 where it has no value."""
    return [_view(column)[column.codes] for column in table.columns]


def _view(column: Column) -> Ints:
    meaning = np.arange(len(column.values), dtype=np.int64)
    usual = dominant(column)
    if usual is not None:
        level, frequent, _ = usual
        odd = np.flatnonzero(~frequent[level.of_value] & ~column.is_null)
        # the day of a time written with its day, the number of a number with its unit: what the column would have said
        mended = [repaired(column, level, value) for value in odd.tolist()]
        numbers = pc.fill_null(pc.index_in(pa.array(mended, pa.string()), column.values), -1)
        meaning[odd] = numbers.to_numpy(zero_copy_only=False)
    for value, usual_value in (*variants(column), *_same_moments(column)):
        meaning[value] = usual_value
    meaning[column.is_null | ((meaning >= 0) & column.is_null[meaning])] = -1
    return meaning


def as_written(column: Column) -> Callable[[int], str]:
    """What gives a text of the column, by its number, as the column is usually written."""
    usual = dominant(column)

    def text(value: int) -> str:
        if usual is None or usual[1][usual[0].of_value[value]]:
            return column.text(value)
        return repaired(column, usual[0], value) or column.text(value)

    return text


def _same_moments(column: Column) -> Sequence[tuple[int, int]]:
    """In a column of days or of times of the day, texts that say what a more frequent one says in another way."""
    for pattern, of in ((_DAY, _day), (_TIME, _time)):
        parsed = pc.extract_regex(pc.utf8_lower(column.values), pattern)
        known = np.asarray(pc.is_valid(parsed).to_numpy(zero_copy_only=False)) & ~column.is_null
        if column.share(known) < 0.7:
            continue
        at = np.flatnonzero(known)
        moments = of(parsed.filter(pa.array(known)))
        # the usual way of writing stands for the moment, whichever way is more frequent for this very one
        shapes = column.wide_shapes
        usual = (shapes.of_value == int(shapes.counts.argmax()))[at]
        order = np.lexsort((-column.counts[at], ~usual, moments))
        head = np.r_[True, np.diff(moments[order]) != 0]
        leader = order[np.maximum.accumulate(np.where(head, np.arange(len(order)), 0))]
        return [(int(at[v]), int(at[w])) for v, w in zip(order[~head], leader[~head], strict=True)]
    return []


def _day(parts: pa.StructArray) -> Ints:
    year, month, day = (_int(parts, at) for at in range(3))
    return year * 10_000 + month * 100 + day


def _time(parts: pa.StructArray) -> Ints:
    hour, minute, half = _int(parts, 0), _int(parts, 1), pc.struct_field(parts, [2])
    afternoon = np.asarray(pc.equal(half, "p").to_numpy(zero_copy_only=False))
    morning = np.asarray(pc.equal(half, "a").to_numpy(zero_copy_only=False))
    return np.where(afternoon, hour % 12 + 12, np.where(morning, hour % 12, hour)) * 60 + minute


def _int(parts: pa.StructArray, at: int) -> Ints:
    return np.asarray(pc.cast(pc.struct_field(parts, [at]), pa.int64()).to_numpy(zero_copy_only=False))


def variants(column: Column) -> Sequence[tuple[int, int]]:
    """Texts that differ from a more frequent one only in case, width or white space, each with that one."""
    # full-width letters and digits are the compatible forms of the plain ones
    plain = pc.utf8_lower(pc.replace_substring_regex(pc.utf8_normalize(column.values, "NFKC"), r"\s+", ""))
    encoded = pc.dictionary_encode(plain)
    group = encoded.indices.to_numpy(zero_copy_only=False)
    if len(encoded.dictionary) == len(column.values):
        return []
    order = np.lexsort((-column.counts, group))
    head = np.r_[True, np.diff(group[order]) > 0]
    leader = order[np.maximum.accumulate(np.where(head, np.arange(len(order)), 0))]
    return [(int(v), int(w)) for v, w in zip(order[~head], leader[~head], strict=True) if not column.is_null[v]]
