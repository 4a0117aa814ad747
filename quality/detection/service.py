"""The door to error detection: a table in, its wrong cells out, with a reason for each and what should stand there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.domain.progress import NoProgress, Progress
from quality.detection import categories, claims, dependencies, formats, missing, outliers
from quality.detection.reading import MAX_CELLS, read_table
from quality.detection.rules import broken_rules
from quality.detection.scoring import Score, scores
from quality.detection.signals import KINDS, Signal, combined, cut, leading
from quality.detection.table import Bools, Floats, Table
from quality.detection.views import views_of
from quality.engine.evaluation import Limits

__all__ = ["MAX_CELLS", "Cell", "Findings", "Limits", "Score", "Table", "broken_rules", "detect", "read_table", "scored"]

STAGE = "检查各列"
_BY_COLUMN = (
    formats.units, formats.not_numbers, formats.known_kinds, formats.shapes, formats.strange_characters, formats.invisible_characters, formats.check_digits,
    formats.impossible_days, outliers.numbers, outliers.days, categories.spelling, categories.typos, categories.strangers,
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A cell that is likely wrong.

    Attributes:
        row: Row of the table from 1, the header not counted.
        column: Name of its column.
        kind: What is wrong, in Chinese.
        reason: Chinese sentence.
        suggestion: What should stand there; empty where nothing can be said.
        value: What stands there.
        probability: Of its being wrong, 0 to 1.
    """

    row: int
    column: str
    kind: str
    reason: str
    suggestion: str
    value: str
    probability: float


@dataclass(frozen=True)
class Findings:
    """What was found in a table.

    Attributes:
        table: The table.
        wrong: Cells that are likely wrong, columns × rows.
        probability: Of every cell being wrong, columns × rows.
        signals: What the detectors said.
    """

    table: Table
    wrong: Bools
    probability: Floats
    signals: Sequence[Signal]

    def __len__(self) -> int:
        return int(self.wrong.sum())

    def cells(self) -> Iterator[Cell]:
        """The wrong cells in order of row and column."""
        loudest = [leading(self.signals, number, self.table.rows) for number in range(len(self.table.columns))]
        for row, number in np.argwhere(self.wrong.T).tolist():
            column = self.table.columns[number]
            signal, place = self.signals[loudest[number][0][row]], int(loudest[number][1][row])
            value, suggestion = column.text(column.codes[row]), signal.suggestion(place)
            yield Cell(
                row + 1, column.name, KINDS[signal.kind], signal.reason(place), "" if suggestion == value else suggestion, value,
                float(self.probability[number, row]),
            )  # fmt: skip


def detect(table: Table, rules: Path | None = None, progress: Progress | None = None, limits: Limits | None = None) -> Findings:
    """Finds the wrong cells of a table.

    Args:
        table: From :func:`read_table`.
        rules: File of rules that the table must keep, beside what is found without any.
        progress: Receiver of progress.
        limits: What one rule may take.

    Raises:
        YiwangError: YW-QUALITY-001 with file and line when a rule is broken.
    """
    progress = progress or NoProgress()
    signals = broken_rules(table, rules, limits) if rules else []
    progress.start(STAGE, len(table.columns))
    for number, column in enumerate(table.columns):
        for detector in _BY_COLUMN:
            signals += detector(number, column)
        progress.advance(STAGE)
    progress.finish(STAGE)
    views = views_of(table)
    claimed, judged = claims.signals(table, views)
    known = [d for d in dependencies.discover(views, progress) if not judged & {d.right, *d.left}]
    signals += [
        *missing.missing(table), *claimed, *dependencies.conflicts(table, views, known), *categories.merged(table), *categories.swapped(table),
    ]  # fmt: skip
    probability = combined(signals, len(table.columns), table.rows)
    return Findings(table, probability >= cut(probability), probability, signals)


def scored(findings: Findings, truth: Path) -> list[Score]:
    """Precision, recall and F1 against the right table, ours first, then three naive ways on the same table.

    Args:
        findings: From :func:`detect`.
        truth: CSV file of the same rows and columns in the same order; names of columns may differ.

    Raises:
        YiwangError: YW-QUALITY-003 where it cannot be read or is of another size.
    """
    return scores(findings.table, findings.wrong, truth)
