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
from quality.detection.table import Bools, Floats, Ints, Table

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
    evidence = [_evidence(d, groups(keys[d.left], views[d.right]), views[d.right]) for d in dependencies]
    wrong = [np.zeros(table.rows) for _ in views]
    blamed = [np.zeros(table.rows) for _ in views]
    for _ in range(3):
        wrong = _weighed(evidence, views, wrong, blamed)
        blamed = _blame(evidence, views, table.rows)
    return _signals(table, views, keys, evidence, wrong, blamed)


Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Evidence:
    """What a dependency says of the rows; a table holds these of every dependency at once, so that they are small.

    Attributes:
        dependency: The dependency.
        said: Log-odds that the right cell is wrong; where it is empty, the probability that it should not be.
        is_told: Rows whose group has a value that comes twice or more.
        is_stray: Rows whose value is at home elsewhere, too.
    """

    dependency: Dependency
    said: Weights
    is_told: Bools
    is_stray: Bools

    def odds(self, view: Ints) -> Weights:
        """Log-odds that the right cell is wrong; 0 where it is empty."""
        return np.where(view < 0, np.float32(0), self.said)

    def known(self, view: Ints) -> Weights:
        """Probability that an empty right cell should not be; 0 where it is filled."""
        return np.where(view < 0, self.said, np.float32(0))


def _evidence(dependency: Dependency, found: Groups, view: Ints) -> Evidence:
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
    # a cell is filled or empty: what is said of it is either
    said = np.where(view < 0, np.where(known, dependency.trust * pure, 0.0), dependency.trust * odds).astype(np.float32)
    return Evidence(dependency, said, found.valid & (found.first_count >= 2), found.overall > found.same)


def _weighed(evidence: Sequence[Evidence], views: Sequence[Ints], wrong: Sequence[Floats], blamed: Sequence[Floats]) -> list[Floats]:
    """Probability of each cell being wrong: the log-odds of all dependencies, each as far as its left side can be trusted."""
    out = []
    for right, view in enumerate(views):
        own = [one for one in evidence if one.dependency.right == right]
        if not own:
            out.append(np.zeros(len(view)))
            continue
        against, confirm, ceiling, contradicted = np.zeros(len(view)), np.zeros(len(view)), np.zeros(len(view)), np.zeros(len(view), dtype=bool)
        for one in own:
            trust = np.ones(len(view))
            for left in one.dependency.left:
                trust = trust * (1 - np.maximum(blamed[left], np.where(wrong[left] > 0.5, wrong[left], 0)))
            odds, known = one.odds(view), one.known(view)
            against = np.maximum(against, np.where(odds > 0, odds, 0) * trust)
            confirm = np.maximum(confirm, np.where(odds < 0, -odds, 0) * trust)
            contradicted |= odds > 0
            ceiling = np.maximum(ceiling, np.maximum(known * trust, np.where(odds > 0, one.dependency.trust, 0)))
        p = np.where(contradicted, sigmoid(against - confirm - _DOUBT), 0.0)
        out.append(np.where(~contradicted & (ceiling > 0), ceiling, np.minimum(p, ceiling)))
    return out


def _blame(evidence: Sequence[Evidence], views: Sequence[Ints], rows: int) -> list[Floats]:
    """Left cells that several right cells contradict at once: one slip explains the row better than several."""
    asked, broken = (np.zeros((len(views), rows), dtype=np.uint16) for _ in range(2))
    confirmed = np.zeros((len(views), rows), dtype=np.float32)
    for one in evidence:
        right = one.dependency.right
        odds = one.odds(views[right])
        confirmed[right] = np.maximum(confirmed[right], -odds)
        if len(one.dependency.left) == 1:
            left = one.dependency.left[0]
            asked[left] += one.is_told
            # a value that is at home nowhere else is a slip of its own: a wrong left cell would have led to one that is
            broken[left] += (odds > 1) & one.is_stray
    several = (broken >= 2) & (broken >= 0.6 * asked) & (confirmed < 2)
    return [np.where(several[column], 0.9, 0.0) for column in range(len(views))]


def _signals(
    table: Table, views: Sequence[Ints], keys: dict[tuple[int, ...], Ints], evidence: Sequence[Evidence], wrong: Sequence[Floats], blamed: Sequence[Floats],
) -> list[Signal]:  # fmt: skip
    signals = []
    for right, view in enumerate(views):
        probability = np.maximum(wrong[right], np.where(blamed[right] > 0, np.maximum(wrong[right], 0.75), 0))
        rows = np.flatnonzero(probability > 0.05)
        if not rows.size:
            continue
        told = _told(view, keys, [one for one in evidence if one.dependency.right == right], rows)
        empty = view[rows] < 0
        for kind, of in (("missing", empty), ("conflict", ~empty)):
            if (places := np.flatnonzero(of)).size:
                reason = _Reason(table, right, rows[places], _Told(told.by, *(part[places] for part in (told.loudest, told.first, told.first_count, told.size))))
                signals.append(Signal(right, kind, rows[places], probability[rows[places]], reason.reason, reason.suggestion))
    return signals


@dataclass(frozen=True)
class _Told:
    """The dependency that speaks loudest of each of some rows, and what it says.

    Attributes:
        by: Dependencies.
        loudest: Number of the one, a row; -1: none speaks.
        first: Value that is most frequent in the row's group.
        first_count: Rows of the group with it.
        size: Rows of the group.
    """

    by: list[Dependency]
    loudest: Ints
    first: Ints
    first_count: Ints
    size: Ints


def _told(view: Ints, keys: dict[tuple[int, ...], Ints], evidence: Sequence[Evidence], rows: Ints) -> _Told:
    loudness = np.zeros(len(rows))
    loudest, first, first_count, size = (np.full(len(rows), -1, dtype=np.int64) for _ in range(4))
    overall = np.bincount(view[view >= 0], minlength=int(view.max(initial=0)) + 1)
    for number, one in enumerate(evidence):
        says = np.where(view[rows] < 0, one.said[rows], np.maximum(one.said[rows], 0))
        louder = np.flatnonzero(says > loudness)
        if not louder.size:
            continue
        # counted again for the groups that are spoken of, rather than kept for all rows of all dependencies
        key = keys[one.dependency.left]
        wanted = np.zeros(int(key.max(initial=0)) + 2, dtype=bool)
        wanted[key[rows[louder]]] = True
        wanted[-1] = False
        among = np.flatnonzero(wanted[key])
        found = groups(key[among], view[among], overall)
        at = np.searchsorted(among, rows[louder])
        loudness[louder], loudest[louder] = says[louder], number
        first[louder], first_count[louder], size[louder] = found.first[at], found.first_count[at], found.size[at]
    return _Told([one.dependency for one in evidence], loudest, first, first_count, size)


@dataclass(frozen=True)
class _Reason:
    table: Table
    right: int
    rows: Ints
    told: _Told

    def reason(self, place: int) -> str:
        row = int(self.rows[place])
        column, told = self.table.columns[self.right], self.told
        if told.loudest[place] < 0:
            return f"这一行有多列与“{column.name}”相同的行不一致，本列可能填错"
        dependency = told.by[told.loudest[place]]
        left = "、".join(f"{self.table.columns[i].name}为“{self._text(i, row)}”" for i in dependency.left)
        text = self._text(self.right, row)
        state = f"这里是“{text}”" if text.strip() else "这里为空"
        return f"{left}的 {told.size[place]} 行中有 {told.first_count[place]} 行是“{self.suggestion(place)}”，{state}"

    def suggestion(self, place: int) -> str:
        value = int(self.told.first[place])
        return self.table.columns[self.right].text(value) if value >= 0 else ""

    def _text(self, column: int, row: int) -> str:
        return self.table.columns[column].text(self.table.columns[column].codes[row])
