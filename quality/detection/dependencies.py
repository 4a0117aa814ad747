"""Dependencies that nearly hold (the street says the district), found in the data, and the cells that break them.

A dependency holds by far more than chance: rows that agree in its left side agree in its right one, and those that do not are
scattered slips, not groups of two kinds. What breaks one is judged by all dependencies that touch the cell: those that
contradict it, those that confirm it, and whether the left side of the row can be trusted itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from models.domain.progress import Progress
from quality.detection.grouping import Groups, agreement, chance, groups, numbered, sigmoid, some_groups
from quality.detection.signals import Signal
from quality.detection.table import Floats, Ints, Table

STAGE = "寻找列间依赖"
LIFT = 0.72
"""Least agreement beyond chance, of what is possible beyond chance."""
PAIR_LIFT = 0.9
"""As :data:`LIFT`, for two columns together, of which there are many more to try."""
MIXED = 0.25
"""Share of the deviating rows, beyond which they are no slips: they come several at a time with one value."""
COMMON = 0.97
"""Chance agreement from which on a column says nothing: nearly all rows hold one value."""
SAMPLE = 100_000
"""Rows on which a dependency is tried."""
PAIR_SAMPLE = 20_000
DETERMINANTS, PAIRS = 6, 3
"""Left sides kept for a column, the surest first: more would say the same again."""
_CERTAIN = 6.0
_PLAUSIBLE_WRONG = 10
_TIE = 0.7
_DOUBT = 1.0


@dataclass(frozen=True)
class Dependency:
    """A dependency.

    Attributes:
        left: Columns that say it.
        right: Column that they determine.
        slip: Share of the rows that break it.
        trust: How sure it is that it is one, 0 to 1.
    """

    left: tuple[int, ...]
    right: int
    slip: float
    trust: float


def discover(views: Sequence[Ints], progress: Progress) -> list[Dependency]:
    """The dependencies of a table.

    Args:
        views: A column: number of the value of each row, -1 where it has none.
        progress: Receiver, one step a column; stage :data:`STAGE`.
    """
    sizes = [len(np.unique(view[view >= 0])) for view in views]
    by_chance = [chance(view) for view in views]
    filled = [int((view >= 0).sum()) for view in views]
    found: list[Dependency] = []
    usable = [i for i in range(len(views)) if 2 <= sizes[i] and filled[i] >= 1.1 * sizes[i]]
    progress.start(STAGE, len(views))
    for right, view in enumerate(views):
        progress.advance(STAGE)
        if sizes[right] < 2 or by_chance[right] > COMMON:
            continue
        tried = {left: _tried((left,), right, views[left], view, by_chance[right], LIFT, SAMPLE) for left in usable if left != right}
        single = [dependency for _, dependency in tried.values() if dependency]
        found += sorted(single, key=lambda dependency: dependency.slip)[:DETERMINANTS]
        if not single:
            # a column that says much and was refused would be refused with another one beside it, were the groups not smaller
            rest = [left for left, (lift, _) in tried.items() if lift < LIFT]
            found += _pairs(rest, right, views, sizes, filled, by_chance[right])
    progress.finish(STAGE, f"{len(found)} 个")
    return found


def _pairs(usable: Sequence[int], right: int, views: Sequence[Ints], sizes: Sequence[int], filled: Sequence[int], base: float) -> list[Dependency]:
    # a left side nearly as fine as the rows agrees by chance in nothing: two or more rows a group are asked for
    candidates = [i for i in usable if filled[i] >= 4 * sizes[i]]
    best: list[Dependency] = []
    for one, other in combinations(candidates, 2):
        if sizes[one] * sizes[other] < sizes[right]:
            continue
        key = numbered(views[one], views[other])
        if (key >= 0).sum() < 3 * (int(key.max(initial=0)) + 1):
            continue
        dependency = _tried((one, other), right, key, views[right], base, PAIR_LIFT, PAIR_SAMPLE)[1]
        if dependency:
            best.append(dependency)
    return sorted(best, key=lambda dependency: dependency.slip)[:PAIRS]


def _tried(left: tuple[int, ...], right: int, key: Ints, view: Ints, base: float, least: float, most: int) -> tuple[float, Dependency | None]:
    kept = some_groups(key, most)
    found = groups(key[kept], view[kept]) if not kept.all() else groups(key, view)
    rows, agrees = agreement(found)
    if rows < max(20, 0.02 * len(found.valid)):
        return 0.0, None
    lift = (agrees - base) / (1 - base)
    if lift < least:
        return lift, None
    own = view[kept] if not kept.all() else view
    shared = found.valid & (found.size > 2)
    away = shared & (own != found.first)
    slip = (float(away.sum()) + 1) / (float(shared.sum()) + 2)
    organised = away & (found.same >= 2) & (found.same >= 0.15 * found.size)
    mixed = float(organised.sum()) / max(float(away.sum()), 1)
    if away.sum() >= 5 and mixed > MIXED:
        return lift, None
    return lift, Dependency(left, right, min(slip, 0.3), float(np.clip(1 - mixed, 0, 0.99)))


def conflicts(table: Table, views: Sequence[Ints], dependencies: Sequence[Dependency]) -> list[Signal]:
    """Cells that break dependencies, and empty ones whose value dependencies know."""
    keys = {d.left: views[d.left[0]] if len(d.left) == 1 else numbered(*(views[i] for i in d.left)) for d in dependencies}
    evidence = [(d, *_evidence(d, groups(keys[d.left], views[d.right]), views[d.right])) for d in dependencies]
    wrong = [np.zeros(table.rows) for _ in views]
    blamed = [np.zeros(table.rows) for _ in views]
    for _ in range(3):
        wrong = _weighed(evidence, wrong, blamed)
        blamed = _blame(evidence, wrong, len(views), table.rows)
    return _signals(table, views, evidence, wrong, blamed)


Weights = NDArray[np.float32]
Evidence = tuple[Dependency, Weights, Weights, Groups]
"""A dependency; log-odds that its right cell is wrong; probability that an empty one should not be; the groups."""


def _evidence(dependency: Dependency, found: Groups, view: Ints) -> tuple[Weights, Weights, Groups]:
    weight = np.log((1 - dependency.slip) * _PLAUSIBLE_WRONG / dependency.slip)
    counts = np.bincount(view[view >= 0], minlength=1)
    deviates = found.valid & (view != found.first) & (found.first >= 0)
    margin = (found.first_count - found.same).astype(np.float64)
    # in a tie the value that is rarer in the whole column is the less likely one
    rarer = 0.5 * np.log((counts[np.maximum(found.first, 0)] + 1) / (counts[np.maximum(view, 0)] + 1))
    odds = np.where(deviates, np.clip(margin * weight, 0, _CERTAIN) + np.where(margin == 0, np.clip(rarer, 0, 1.5) - _TIE, 0), 0.0)
    two_kinds = deviates & (found.same >= 2) & (found.same >= 0.3 * found.size)
    odds = np.where(two_kinds, 0.0, odds)
    agrees = found.valid & (view == found.first) & (found.first_count >= 2)
    lead = (found.first_count - found.second_count).astype(np.float64)
    odds = np.where(agrees, -np.clip(lead * weight, 0, _CERTAIN), odds)
    pure = found.first_count / np.maximum(found.size, 1)
    known = (view < 0) & (found.first >= 0) & (pure >= 0.7) & ((found.first_count >= 2) | (dependency.slip < 0.02))
    weights = dependency.trust * odds, np.where(known, dependency.trust * pure, 0.0)
    return weights[0].astype(np.float32), weights[1].astype(np.float32), found


def _weighed(evidence: Sequence[Evidence], wrong: Sequence[Floats], blamed: Sequence[Floats]) -> list[Floats]:
    """Probability of each cell being wrong: the log-odds of all dependencies, each as far as its left side can be trusted."""
    against, confirm, contradicted, ceiling = ([np.zeros(len(w)) for w in wrong] for _ in range(4))
    for dependency, odds, known, _ in evidence:
        trust = np.ones(len(odds))
        for left in dependency.left:
            trust = trust * (1 - np.maximum(blamed[left], np.where(wrong[left] > 0.5, wrong[left], 0)))
        right = dependency.right
        against[right] = np.maximum(against[right], np.where(odds > 0, odds, 0) * trust)
        confirm[right] = np.maximum(confirm[right], np.where(odds < 0, -odds, 0) * trust)
        contradicted[right] = np.maximum(contradicted[right], (odds > 0) * 1.0)
        ceiling[right] = np.maximum(ceiling[right], np.maximum(known * trust, np.where(odds > 0, dependency.trust, 0)))
    out = []
    for right, w in enumerate(wrong):
        p = np.where(contradicted[right] > 0, sigmoid(against[right] - confirm[right] - _DOUBT), 0.0)
        empty = (contradicted[right] == 0) & (ceiling[right] > 0)
        out.append(np.where(empty, ceiling[right], np.minimum(p, np.maximum(ceiling[right], 0))) if len(w) else w)
    return out


def _blame(evidence: Sequence[Evidence], wrong: Sequence[Floats], columns: int, rows: int) -> list[Floats]:
    """Left cells that several right cells contradict at once: one slip explains the row better than several."""
    asked, broken, confirmed = (np.zeros((columns, rows)) for _ in range(3))
    for dependency, odds, _, found in evidence:
        confirmed[dependency.right] = np.maximum(confirmed[dependency.right], -odds)
        if len(dependency.left) == 1:
            left = dependency.left[0]
            asked[left] += found.valid & (found.first_count >= 2)
            # a value that is at home nowhere else is a slip of its own: a wrong left cell would have led to one that is
            broken[left] += (odds > 1) & (found.overall > found.same)
    several = (broken >= 2) & (broken >= 0.6 * asked) & (confirmed < 2)
    return [np.where(several[column], 0.9, 0.0) for column in range(columns)]


def _signals(table: Table, views: Sequence[Ints], evidence: Sequence[Evidence], wrong: Sequence[Floats], blamed: Sequence[Floats]) -> list[Signal]:
    signals = []
    for right in range(len(table.columns)):
        probability = np.maximum(wrong[right], np.where(blamed[right] > 0, np.maximum(wrong[right], 0.75), 0))
        rows = np.flatnonzero(probability > 0.05)
        if not rows.size:
            continue
        loudest, first, group = np.zeros(table.rows), np.full(table.rows, -1), np.full(table.rows, -1)
        for number, (dependency, odds, known, found) in enumerate(evidence):
            if dependency.right == right:
                says = np.where(odds > 0, odds, known)
                louder = says > loudest
                loudest, first = np.where(louder, says, loudest), np.where(louder, found.first, first)
                group = np.where(louder, number, group)
        empty = views[right][rows] < 0
        for kind, of in (("missing", empty), ("conflict", ~empty)):
            if (chosen := rows[of]).size:
                reason = _Reason(table, right, chosen, first, group, [d for d, _, _, _ in evidence], evidence)
                signals.append(Signal(right, kind, chosen, probability[chosen], reason.reason, reason.suggestion))
    return signals


@dataclass(frozen=True)
class _Reason:
    table: Table
    right: int
    rows: Ints
    first: Ints
    group: Ints
    dependencies: list[Dependency]
    evidence: Sequence[Evidence]

    def reason(self, place: int) -> str:
        row = int(self.rows[place])
        column = self.table.columns[self.right]
        if self.group[row] < 0:
            return f"这一行有多列与“{column.name}”相同的行不一致，本列可能填错"
        dependency, _, _, found = self.evidence[self.group[row]]
        left = "、".join(f"{self.table.columns[i].name}为“{self._text(i, row)}”" for i in dependency.left)
        text = self._text(self.right, row)
        state = f"这里是“{text}”" if text.strip() else "这里为空"
        return f"{left}的 {found.size[row]} 行中有 {found.first_count[row]} 行是“{self.suggestion(place)}”，{state}"

    def suggestion(self, place: int) -> str:
        value = int(self.first[self.rows[place]])
        return self.table.columns[self.right].text(value) if value >= 0 else ""

    def _text(self, column: int, row: int) -> str:
        return self.table.columns[column].text(self.table.columns[column].codes[row])
