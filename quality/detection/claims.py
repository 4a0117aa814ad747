"""Truth discovery: sources that say different things of the same entities, and which of them to believe.

Where two columns together name a row (a source and a flight), every other column is what that source claims of that entity.
The most frequent claim is often wrong: bad sources copy from each other. So claims are weighed by how right a source has shown
itself to be, and that is learnt, for one column, from the *other* columns and only where sources disagree: what a crowd says of a
column can then not vouch for itself. Only at the end a column's own record counts too. The model is that of Dawid and Skene
(1979), solved by expectation maximisation; leaving the column out, and beginning with weights near none (deterministic
annealing, Ueda and Nakano 1998), is what keeps it from settling on what the majority says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from quality.detection.grouping import agreement, chance, groups, logit, numbered
from quality.detection.signals import Signal
from quality.detection.table import Bools, Floats, Ints, Table
from quality.detection.views import as_written

UNIQUE = 0.98
"""Least share of the rows whose source and entity are theirs alone."""
PER_GROUP = 4
"""Least rows an entity and a source, on average."""
RARE_AGREEMENT = 0.2
"""Most chance agreement of a column that can be a claim: others agree by habit."""
LIFT = 0.3
"""Least agreement beyond chance of the claims of one entity."""
AGREED = 0.85
"""Agreement beyond chance from which on there is nothing to judge."""
UNEVEN = 4.0
"""Least variance of the sources' records, in units of what chance makes: sources of one quality are no sources."""
_APART, _TOGETHER = 20, 5
_COOL = 0.1
"""Weight of a claim in the first step; it grows to one as the records become known."""
_PRIOR = 10.0
_RANGE = (0.02, 0.98)


@dataclass(frozen=True)
class Claims:
    """Columns of sources, entities and what is claimed.

    Attributes:
        source: Column of the sources.
        entity: Column of the entities.
        claimed: Columns of the claims, two or more.
    """

    source: int
    entity: int
    claimed: tuple[int, ...]


def find_claims(views: Sequence[Ints]) -> list[Claims]:
    """Structures of claims in a table; usually none. A column is claimed in one of them at most."""
    distinct = [len(np.unique(view[view >= 0])) for view in views]
    rows = len(views[0])
    candidates = [i for i in range(len(views)) if distinct[i] >= 3 and (views[i] >= 0).mean() >= UNIQUE and rows >= PER_GROUP * distinct[i]]
    by_chance = [chance(view) for view in views]
    found: list[tuple[float, Claims]] = []
    for entity in candidates:
        rising = {}
        for right in range(len(views)):
            if right == entity or distinct[right] < 3 or by_chance[right] > RARE_AGREEMENT:
                continue
            shared, lift = _lift(views[entity], views[right], by_chance[right])
            if shared >= 0.2 * rows and lift >= LIFT:
                rising[right] = lift
        if len(rising) < 2:
            continue
        for source in candidates:
            if source == entity or distinct[source] >= distinct[entity] * 10:
                continue
            if len(np.unique(numbered(views[source], views[entity]))) < UNIQUE * rows:
                continue
            # what the source says of every entity alike is its own, no claim
            said = {right: lift for right, lift in rising.items() if right != source and _lift(views[source], views[right], by_chance[right])[1] < lift / 2}
            # where everybody agrees dependencies do as well, and see more
            if len(said) >= 2 and min(said.values()) < AGREED:
                found.append((sum(said.values()), Claims(source, entity, tuple(said))))
    kept: list[Claims] = []
    for _, claims in sorted(found, key=lambda pair: -pair[0]):
        if not any(set(claims.claimed) & set(other.claimed) for other in kept):
            kept.append(claims)
    return kept


def _lift(keys: Ints, values: Ints, base: float) -> tuple[int, float]:
    """Rows that share their group with others, and how often their values agree, beyond chance."""
    shared, agrees = agreement(groups(keys, values))
    return shared, (agrees - base) / (1 - base)


@dataclass(frozen=True)
class Verdict:
    """What is believed of a claimed column; arrays are a row long.

    Attributes:
        belief: Probability of the row's claim; 0 where it claims nothing.
        best: Claim that is believed most, of the row's entity; -1 where there is none.
        best_belief: Its probability.
    """

    belief: Floats
    best: Ints
    best_belief: Floats


def judge(views: Sequence[Ints], claims: Claims) -> dict[int, Verdict] | None:
    """Weighs the claims.

    Returns:
        A verdict a claimed column; None where the sources are all alike, so that nothing can be learnt of them.
    """
    source = views[claims.source]
    _, source = np.unique(source, return_inverse=True)
    entity = views[claims.entity]
    sources = int(source.max()) + 1
    items = [_Items.of(entity, source, views[column]) for column in claims.claimed]
    record = np.full((len(items), sources), 0.8)
    for step in range(_APART + _TOGETHER):
        weight = min(1.0, _COOL + step / _APART)
        tallies = [item.tally(accuracy, sources, weight) for item, accuracy in zip(items, record, strict=True)]
        right, total = (np.array([tally[side] for tally in tallies]) for side in (0, 1))
        for column in range(len(items)):
            elsewhere = (right.sum(0) - right[column] + 0.5) / (total.sum(0) - total[column] + 1)
            own = step >= _APART
            record[column] = (right[column] * own + _PRIOR * elsewhere) / (total[column] * own + _PRIOR)
        record = np.clip(record, *_RANGE)
    if _unevenness(right, total) < UNEVEN:
        return None
    return {column: item.verdict(accuracy, len(source)) for column, item, accuracy in zip(claims.claimed, items, record, strict=True)}


def signals(table: Table, views: Sequence[Ints]) -> tuple[list[Signal], set[int]]:
    """Cells that a believed claim contradicts, and the columns that were judged so."""
    found: list[Signal] = []
    judged: set[int] = set()
    for claims in find_claims(views):
        verdicts = judge(views, claims)
        if verdicts is None:
            continue
        judged |= set(verdicts)
        for column, verdict in verdicts.items():
            has = views[column] >= 0
            known = verdict.best >= 0
            written = as_written(table.columns[column])
            for kind, of, p in (
                ("claim", has & known & (views[column] != verdict.best), 1 - verdict.belief),
                ("missing", ~has & known, 0.97 * np.maximum(verdict.best_belief, 0.7)),
            ):
                rows = np.flatnonzero(of)
                if rows.size:
                    says = _Says(table, column, claims, rows, verdict, written)
                    found.append(Signal(column, kind, rows, p[rows], says.reason, says.suggestion))
    return found, judged


@dataclass(frozen=True)
class _Says:
    table: Table
    column: int
    claims: Claims
    rows: Ints
    verdict: Verdict
    written: Callable[[int], str]

    def reason(self, place: int) -> str:
        entity, column = self.table.columns[self.claims.entity], self.table.columns[self.column]
        row = self.rows[place]
        text = column.text(column.codes[row])
        state = f"“{text}”" if text.strip() else "空值"
        source = self.table.columns[self.claims.source]
        return (
            f"{entity.name}“{entity.text(entity.codes[row])}”的{column.name}，较可信的{source.name}给出“{self.suggestion(place)}”，这里是{state}"
        )

    def suggestion(self, place: int) -> str:
        return self.written(int(self.verdict.best[self.rows[place]]))


@dataclass(frozen=True)
class _Items:
    """The claims of one column: distinct (entity, value) pairs, ordered by entity, and the rows that claim them.

    Attributes:
        rows: Rows that claim something.
        source: Their sources.
        pair: Number of the pair that each claims.
        of_pair: Entity of each pair.
        value: Value of each pair.
        heads: First pair of each entity.
        entity: Entity of every row of the table.
    """

    rows: Ints
    source: Ints
    pair: Ints
    of_pair: Ints
    value: Ints
    heads: Ints
    entity: Ints

    @classmethod
    def of(cls, entity: Ints, source: Ints, view: Ints) -> "_Items":
        rows = np.flatnonzero((view >= 0) & (entity >= 0))
        spread = int(view.max(initial=0)) + 1
        pairs, pair = np.unique(entity[rows].astype(np.int64) * spread + view[rows], return_inverse=True)
        of_pair = pairs // spread
        heads = np.flatnonzero(np.r_[True, np.diff(of_pair) > 0]) if len(pairs) else np.zeros(0, dtype=np.int64)
        return cls(rows, source[rows], pair, of_pair, pairs % spread, heads, entity)

    @property
    def variants(self) -> Ints:
        """Different claims of the entity, a pair."""
        size = np.diff(np.r_[self.heads, len(self.of_pair)])
        return np.repeat(size, size)

    def beliefs(self, accuracy: Floats, weight: float = 1.0) -> Floats:
        """Probability of each pair, given how often each source is right: a wrong source picks any of the other claims."""
        others = np.log(np.maximum(self.variants - 1, 1))
        score = np.bincount(self.pair, weight * (logit(accuracy)[self.source] + others[self.pair]), minlength=len(self.of_pair))
        size = np.diff(np.r_[self.heads, len(self.of_pair)])
        top = np.repeat(np.maximum.reduceat(score, self.heads), size)
        odds = np.exp(score - top)
        return np.asarray(odds / np.repeat(np.add.reduceat(odds, self.heads), size), dtype=np.float64)

    def tally(self, accuracy: Floats, sources: int, weight: float) -> tuple[Floats, Floats]:
        """Where sources disagree: claims of each that are believed, and its claims."""
        if not len(self.rows):
            return np.zeros(sources), np.zeros(sources)
        belief = self.beliefs(accuracy, weight)[self.pair]
        disputed: Bools = self.variants[self.pair] > 1
        return (
            np.bincount(self.source[disputed], belief[disputed], minlength=sources).astype(np.float64),
            np.bincount(self.source[disputed], minlength=sources).astype(np.float64),
        )

    def verdict(self, accuracy: Floats, rows: int) -> Verdict:
        """What is believed in the end."""
        belief, best, best_belief = np.zeros(rows), np.full(rows, -1, dtype=np.int64), np.zeros(rows)
        if not len(self.rows):
            return Verdict(belief, best, best_belief)
        of_pairs = self.beliefs(accuracy)
        belief[self.rows] = of_pairs[self.pair]
        order = np.lexsort((-of_pairs, self.of_pair))
        winner = order[np.flatnonzero(np.r_[True, np.diff(self.of_pair[order]) > 0])]
        entities = int(self.entity.max()) + 1
        value, strength = np.full(entities + 1, -1, dtype=np.int64), np.zeros(entities + 1)
        value[self.of_pair[winner]], strength[self.of_pair[winner]] = self.value[winner], of_pairs[winner]
        return Verdict(belief, value[self.entity], strength[self.entity])


def _unevenness(right: Floats, total: Floats) -> float:
    """Variance of the sources' shares of right claims, in units of its expectation where all are of one quality."""
    ratios = []
    for hits, claims in zip(right, total, strict=True):
        enough = claims >= PER_GROUP
        if enough.sum() < 3:
            continue
        share = hits[enough].sum() / claims[enough].sum()
        expected = claims[enough] * max(share * (1 - share), 0.01)
        ratios.append(float((((hits[enough] - claims[enough] * share) ** 2) / expected).mean()))
    return max(ratios, default=0.0)


__all__ = ["Claims", "Verdict", "find_claims", "judge", "signals"]
