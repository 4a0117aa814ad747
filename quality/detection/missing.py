"""Cells without a value where there should be one."""

from collections.abc import Callable

import numpy as np

from quality.detection.signals import Signal, nothing
from quality.detection.table import Bools, Column, Floats, Ints, Table

LEAST = 20
"""Empty cells, and rows of a group, from which on it can be said what explains them."""
GROUPS = 30
"""Distinct texts of a column that can say where another is left empty by nature."""


def missing(table: Table) -> list[Signal]:
    """Missing cells of every column, by how rarely it misses one.

    Where another column says when it is empty (a completion day is empty while the state is “open”), each of that column's texts
    is judged by itself. A word that says "missing" is wrong wherever the table leaves cells empty too, and among numbers; a word
    that the whole table uses and nothing else is its way to leave a cell empty.
    """
    own_way = not any(int(column.counts[column.is_blank].sum()) for column in table.columns)
    own_way = own_way and sum(int(column.counts[column.is_null_word].sum() > 0) for column in table.columns) > 1
    signals = []
    for number, column in enumerate(table.columns):
        empty = column.is_null[column.codes]
        if not empty.any() or empty.all():
            continue
        probability = _by_rate(empty.mean() * np.ones(table.rows), table.rows)
        explained = _explained(table, number, empty)
        if explained is not None:
            probability = explained
        word_is_wrong = not own_way and (column.number_share >= 0.9 or column.counts[column.is_blank].sum() > 0)
        if word_is_wrong:
            probability = np.where(column.is_null_word[column.codes], 0.9, probability)
        rows = np.flatnonzero(empty & (probability > 0))
        share = f"{empty.mean():.1%}"
        signals.append(Signal(number, "missing", rows, probability[rows], _reason(column, rows, share), nothing))
    return signals


def _reason(column: Column, rows: Ints, share: str) -> Callable[[int], str]:
    def reason(place: int) -> str:
        text = column.text(column.codes[rows[place]]).strip()
        return f"“{text}”表示没有值" if text else f"没有值；本列只有 {share} 的行为空"

    return reason


def _by_rate(rate: Floats, rows: int) -> Floats:
    """Probability that an empty cell should not be, by the share of empty cells among its like: certain where there are few."""
    return np.clip(0.9 - 4 * rate, 0.0, 0.9) * (rows >= 20)


def _explained(table: Table, number: int, empty: Bools) -> Floats | None:
    """The probabilities by the texts of the column that explains best where this one is empty; None where none does."""
    best, explained = 0.5, None
    if empty.sum() < LEAST:
        return None
    total = empty.mean() * (1 - empty.mean())
    for other, column in enumerate(table.columns):
        if other == number or not 2 <= len(column.values) <= min(GROUPS, table.rows // LEAST):
            continue
        size = np.bincount(column.codes, minlength=len(column.values))
        rate = np.bincount(column.codes, empty, minlength=len(column.values)) / np.maximum(size, 1)
        within = float((rate * (1 - rate) * size).sum() / table.rows)
        gain = 1 - within / total
        if gain > best:
            best, explained = gain, _by_rate(np.where(size >= LEAST, rate, empty.mean()), table.rows)[column.codes]
    return explained
