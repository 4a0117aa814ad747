"""Precision, recall and F1 of wrong cells against the right table, ours beside three naive ways to find them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from models.domain.errors import YiwangError
from quality.detection.grouping import agreement, chance, groups
from quality.detection.reading import read_table
from quality.detection.table import Bools, Ints, Table

HOLDS = 0.3
"""Agreement beyond chance from which on the naive ways believe that a column says another."""
SHAPES = 10
"""Shapes of a column, beyond which the third naive way believes that it has no usual one."""


@dataclass(frozen=True)
class Score:
    """How well a way of finding did.

    Attributes:
        name: Its Chinese name.
        found: Cells that it calls wrong.
        right: Of those, cells that are.
        errors: Cells that are wrong.
    """

    name: str
    found: int
    right: int
    errors: int

    @property
    def precision(self) -> float:
        """Share of what was found that is wrong; 1 where nothing was found."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of what is wrong that was found; 1 where nothing is."""
        return self.right / self.errors if self.errors else 1.0

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        return 2 * self.right / (self.found + self.errors) if self.found + self.errors else 1.0


def scores(table: Table, wrong: Bools, truth: Path) -> list[Score]:
    """See :func:`quality.detection.service.scored`."""
    errors = _errors(table, truth)
    ways = {
        "本平台": wrong, "依赖多数表决": dependency_majority(table), "同键多数表决、空即错": key_majority(table), "罕见字符形状": rare_shapes(table),
    }  # fmt: skip
    return [Score(name, int(found.sum()), int((found & errors).sum()), int(errors.sum())) for name, found in ways.items()]


def dependency_majority(table: Table) -> Bools:
    """Cells that are not what most rows of their group say, for every column that says another."""
    wrong = np.zeros((len(table.columns), table.rows), dtype=bool)
    for _, right, deviates in _majorities(table):
        wrong[right] |= deviates
    return wrong


def key_majority(table: Table) -> Bools:
    """Empty cells, and those that are not what most rows of the same key say; the key is the column, never empty, that says most."""
    wrong = np.array([column.is_null[column.codes] for column in table.columns])
    said: dict[int, list[tuple[int, float, Bools]]] = {}
    for (left, lift), right, deviates in _majorities(table):
        if table.columns[left].filled >= 0.99 * table.rows:
            said.setdefault(left, []).append((right, lift, deviates))
    if said:
        for right, _, deviates in said[max(said, key=lambda left: sum(lift for _, lift, _ in said[left]))]:
            wrong[right] |= deviates
    return wrong


def rare_shapes(table: Table) -> Bools:
    """Cells of another shape than most of their column, where it has few shapes."""
    wrong = np.zeros((len(table.columns), table.rows), dtype=bool)
    for number, column in enumerate(table.columns):
        shapes = column.wide_shapes
        rows = np.bincount(shapes.of_value, column.counts, minlength=len(shapes.names))
        if len(rows) <= SHAPES:
            wrong[number] = (shapes.of_value != rows.argmax())[column.codes]
    return wrong


def _majorities(table: Table) -> list[tuple[tuple[int, float], int, Bools]]:
    """(left column and its agreement beyond chance by the share of rows it speaks for, right column, rows that deviate), for every pair that holds roughly."""
    views: list[Ints] = [np.where(column.is_null, -1, np.arange(len(column.values)))[column.codes] for column in table.columns]
    found = []
    for left, key in enumerate(views):
        if len(table.columns[left].values) * 1.5 > table.rows:
            continue
        for right, view in enumerate(views):
            if left == right or (base := chance(view)) > 0.95:
                continue
            grouped = groups(key, view)
            rows, agrees = agreement(grouped)
            lift = (agrees - base) / (1 - base)
            if rows >= 0.1 * table.rows and lift >= HOLDS:
                found.append(((left, lift * rows / table.rows), right, (grouped.first >= 0) & (view != grouped.first)))
    return found


def _errors(table: Table, truth: Path) -> Bools:
    right = read_table(truth)
    if (right.rows, len(right.columns)) != (table.rows, len(table.columns)):
        detail = f"它有 {right.rows:,} 行 {len(right.columns)} 列，被检查的表格有 {table.rows:,} 行 {len(table.columns)} 列，不能逐格对照"
        raise YiwangError("YW-QUALITY-003", path=truth.name, detail=detail)
    errors = np.zeros((len(table.columns), table.rows), dtype=bool)
    for number, (column, its) in enumerate(zip(table.columns, right.columns, strict=True)):
        meant = pc.fill_null(pc.index_in(column.values, its.values), -1).to_numpy(zero_copy_only=False)
        errors[number] = meant[column.codes] != its.codes
    return errors
