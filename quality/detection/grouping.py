"""Counting the values of one column within the groups of another, for whole columns at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.detection.table import Bools, Floats, Ints

Counts = NDArray[np.int32]


@dataclass(frozen=True)
class Groups:
    """How the values of a column fall within groups; arrays are a row long unless said otherwise.

    Attributes:
        valid: Rows that have both a group and a value.
        size: Rows of the row's group that have a value; 0 for a row without a group.
        same: Of those, rows with the row's own value; 0 where it has none.
        first: Value that is most frequent in the row's group, of equals the one most frequent in the column; -1: none.
        first_count: Its rows.
        second_count: Rows of the next one.
        overall: Rows of the whole column with the row's own value; 0 where it has none.
    """

    valid: Bools
    size: Counts
    same: Counts
    first: Counts
    first_count: Counts
    second_count: Counts
    overall: Counts


def groups(keys: Ints, values: Ints, overall: NDArray[np.int64] | None = None) -> Groups:
    """Counts.

    Args:
        keys: Group of each row from 0; -1: none.
        values: Value of each row from 0; -1: none.
        overall: Rows of each value in the whole column, where these are only some of its rows.
    """
    rows, spread = len(keys), int(values.max(initial=0)) + 1
    valid = (keys >= 0) & (values >= 0)
    pairs, where, counts = np.unique(keys[valid] * spread + values[valid], return_inverse=True, return_counts=True)
    of_pair = pairs // spread
    number = int(keys.max(initial=-1)) + 1
    overall = np.bincount(values[valid], minlength=spread) if overall is None else overall
    order = np.lexsort((-overall[pairs % spread], -counts, of_pair))  # the winner of each group comes first
    heads = np.flatnonzero(np.r_[True, np.diff(of_pair[order]) > 0]) if len(order) else np.zeros(0, dtype=np.int64)
    # 32 bits: a table holds these of every dependency at once
    first, first_count, second_count, size = (np.full(number + 1, fill, dtype=np.int32) for fill in (-1, 0, 0, 0))
    winners = order[heads]
    at = of_pair[winners]
    first[at], first_count[at] = (pairs % spread)[winners], counts[winners]
    seconds = heads + 1
    has_second = (seconds < len(order)) & (of_pair[order[np.minimum(seconds, len(order) - 1)]] == at) if len(order) else seconds > 0
    second_count[at[has_second]] = counts[order[seconds[has_second]]]
    np.add.at(size, of_pair, counts)
    same = np.zeros(rows, dtype=np.int32)
    same[valid] = counts[where]
    own = np.where(values >= 0, overall[values], 0).astype(np.int32)
    return Groups(valid, size[keys], same, first[keys], first_count[keys], second_count[keys], own)


def agreement(found: Groups) -> tuple[int, float]:
    """Rows that share their group with others, and how often a row's value is that of another row of its group."""
    shared = found.valid & (found.size > 1)
    rows = int(shared.sum())
    if not rows:
        return 0, 0.0
    return rows, float(((found.same[shared] - 1) / (found.size[shared] - 1)).mean())


def chance(values: Ints) -> float:
    """How often two rows of the column agree by chance."""
    counts = np.bincount(values[values >= 0]).astype(np.float64)
    total = counts.sum()
    return float((counts * (counts - 1)).sum() / max(total * (total - 1), 1))


def numbered(*columns: Ints) -> Ints:
    """Groups of the rows that agree in several columns, numbered from 0; -1 where one of them has no value."""
    key, missing = columns[0].astype(np.int64), columns[0] < 0
    for column in columns[1:]:
        missing = missing | (column < 0)
        key = key * (int(column.max(initial=0)) + 1) + column
        _, key = np.unique(key, return_inverse=True)
    return np.where(missing, -1, key)


def some_groups(keys: Ints, most: int) -> Bools:
    """Rows of so many whole groups, picked by a fixed hash, that about ``most`` rows are left; all where there are no more."""
    share = most / max(len(keys), 1)
    if share >= 1:
        return np.ones(len(keys), dtype=bool)
    mixed = (keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    return (mixed.astype(np.float64) / 2**24) < share


def logit(p: Floats) -> Floats:
    """Log-odds."""
    return np.asarray(np.log(p / (1 - p)), dtype=np.float64)


def sigmoid(x: Floats) -> Floats:
    """Probability of log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -50, 50))), dtype=np.float64)
