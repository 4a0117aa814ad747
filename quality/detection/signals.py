"""What a detector says of cells, and how what several say becomes one verdict a cell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from quality.detection.table import Column, Floats, Ints

KINDS = {
    "missing": "缺失", "format": "格式", "unit": "数字混入单位", "outlier": "离群值", "conflict": "与同组不一致", "claim": "与可信来源不一致",
    "typo": "疑似笔误", "swap": "列间错位", "domain": "罕见取值", "check_digit": "校验码", "order": "先后颠倒", "rule": "规则",
}  # fmt: skip
"""Kind of error → its Chinese name."""
FLOOR = 0.5
"""Least probability of being wrong at which a cell is reported."""


@dataclass(frozen=True)
class Signal:
    """What one detector says of cells of one column.

    Attributes:
        column: Number of the column.
        kind: Key of :data:`KINDS`.
        rows: The cells' rows, each once.
        probability: Of each being wrong, by this evidence alone.
        reason: Chinese sentence for the cell at a place of ``rows``.
        suggestion: What should stand there, for the same place; empty where nothing can be said.
    """

    column: int
    kind: str
    rows: Ints
    probability: Floats
    reason: Callable[[int], str]
    suggestion: Callable[[int], str]


def nothing(_: int) -> str:
    """No suggestion."""
    return ""


def about_values(
    number: int, column: Column, kind: str, probability: Floats, reason: Callable[[str], str], suggestion: Callable[[int], str] = nothing,
) -> Signal:
    """A signal that is the same for every row of a text.

    Args:
        number: Number of the column.
        column: The column.
        kind: Key of :data:`KINDS`.
        probability: Of each text being wrong; zero: nothing is said.
        reason: Sentence for a text.
        suggestion: What should stand there, by the number of the text.
    """
    rows = column.rows_of(probability > 0)
    codes = column.codes
    return Signal(
        number, kind, rows, probability[codes[rows]],
        lambda place: reason(column.text(codes[rows[place]])), lambda place: suggestion(int(codes[rows[place]])),
    )  # fmt: skip


def combined(signals: Sequence[Signal], columns: int, rows: int) -> Floats:
    """Probability of every cell being wrong: evidence of different kinds by noisy-or, of one kind the strongest.

    Returns:
        Columns × rows.
    """
    right = np.ones((columns, rows))
    for column in range(columns):
        kinds: dict[str, Floats] = {}
        for signal in signals:
            if signal.column == column:
                strongest = kinds.setdefault(signal.kind, np.zeros(rows))
                strongest[signal.rows] = np.maximum(strongest[signal.rows], signal.probability)
        for strongest in kinds.values():
            right[column] *= 1 - strongest
    return 1 - right


def cut(probability: Floats) -> float:
    """The cut that makes the expected F1 greatest if the probabilities are what they say, never below :data:`FLOOR`.

    The k most probable cells are expected to hold S(k) errors, the sum of their probabilities, of S(all) in the table; their
    expected F1 is 2·S(k) / (k + S(all)).
    """
    likely = np.sort(probability[probability > 0.01].ravel())[::-1]
    if not likely.size:
        return FLOOR
    found = np.cumsum(likely)
    best = int(np.argmax(2 * found / (np.arange(1, likely.size + 1) + found[-1])))
    return max(FLOOR, float(likely[best]))


def leading(signals: Sequence[Signal], column: int, rows: int) -> tuple[Ints, Ints]:
    """Of each cell of a column, the signal that speaks loudest.

    Returns:
        Number of the signal, -1 where none speaks, and the cell's place in it.
    """
    loudest, number, place = np.zeros(rows), np.full(rows, -1, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    for at, signal in enumerate(signals):
        if signal.column == column and signal.rows.size:
            louder = np.flatnonzero(signal.probability > loudest[signal.rows])
            cells = signal.rows[louder]
            loudest[cells], number[cells], place[cells] = signal.probability[louder], at, louder
    return number, place
