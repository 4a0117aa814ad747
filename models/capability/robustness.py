"""Whether a ranking can be trusted: rank intervals, sensitivity to the choices made, indicators left out, what would help most.

Source: OECD/JRC, *Handbook on Constructing Composite Indicators* (2008), step 8; Saisana, Saltelli and Tarantola,
"Uncertainty and sensitivity analysis techniques as tools for the quality assessment of composite indicators",
JRSS A 168(2), 2005. All draws are made of a seed: the same evaluation gives the same figures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.capability.engine import Evaluation, Figures, evaluate, within_floats
from models.capability.methods import aggregation, normalisation
from models.capability.methods.arrays import Array, places
from models.capability.systems.model import Node, System, nodes
from models.domain.errors import YiwangError

FLOOR = 1.0
"""Points below this count as this under a geometric or harmonic mean, and are the worst of other normalisations."""
_CHUNK = 2_000_000
"""Scores that are drawn at once: what is in memory, not what comes out."""


@dataclass(frozen=True)
class Choices:
    """What could as well have been chosen.

    Attributes:
        normalisations: ``own`` is each indicator's own.
        aggregations: ``own`` is each node's own; another one is taken for all nodes.
        spread: Every weight is multiplied by a number drawn evenly between 1 − spread and 1 + spread.
    """

    normalisations: tuple[str, ...] = ("own", "minmax", "zscore", "rank")
    aggregations: tuple[str, ...] = ("own", "arithmetic", "geometric", "harmonic")
    spread: float = 0.25


@dataclass(frozen=True)
class Intervals:
    """Ranks of the ranked units of a period over the draws, in the order of ``units``.

    Attributes:
        units: Numbers of the units in the figures.
        rank: As published.
        low: Rank of the best 5 % of the draws.
        median: Middle rank.
        high: Rank of the worst 5 %.
        draws: How many.
    """

    units: NDArray[np.intp]
    rank: NDArray[np.int32]
    low: NDArray[np.int32]
    median: NDArray[np.int32]
    high: NDArray[np.int32]
    draws: int


@dataclass(frozen=True)
class Sensitivity:
    """Which choice the ranks depend on.

    Attributes:
        factors: ``normalisation``, ``aggregation`` and the codes of nodes, whose children's weights are the factor.
        first: Share of the variance that the factor makes by itself, of the mean shift of ranks against the published.
        total: The same with all that it makes together with others.
        unit_first: As ``first``, of each unit's rank, (factors, units).
        unit_total: As ``total``.
        units: Numbers of the units in the figures.
    """

    factors: tuple[str, ...]
    first: Array
    total: Array
    unit_first: Array
    unit_total: Array
    units: NDArray[np.intp]


@dataclass(frozen=True)
class LeftOut:
    """What happens to the ranks without an indicator.

    Attributes:
        code: The indicator.
        mean_shift: Mean of the places that units move.
        largest_shift: Most places that a unit moves.
        unit: Number of that unit.
    """

    code: str
    mean_shift: float
    largest_shift: int
    unit: int


@dataclass(frozen=True)
class Gain:
    """What a better value of one indicator brings a unit, by scoring everybody again.

    Attributes:
        code: The indicator.
        value: The unit's value.
        goal: Value it would have.
        score: Score it would have.
        gain: By how much that is more.
        rank: Rank it would have.
    """

    code: str
    value: float
    goal: float
    score: float
    gain: float
    rank: int


@within_floats
def intervals(evaluation: Evaluation, draws: int = 1000, period: int = -1, choices: Choices = Choices(), seed: int = 1) -> Intervals:  # noqa: B008 - frozen
    """Ranks over Monte-Carlo draws of weights, normalisation and aggregation.

    Args:
        evaluation: The published one.
        draws: How many.
        period: Number of the period.
        choices: From what is drawn.
        seed: Same seed, same draws.
    """
    model = _Alternatives(evaluation, period, choices)
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK // max(1, len(model.units)))
    ranks = np.concatenate([places(model.scores(generator.random((min(size, draws - done), model.dimensions)))) for done in range(0, draws, size)])
    ranks.sort(axis=0)
    low, median, high = (ranks[min(draws - 1, max(0, int(np.ceil(share * draws)) - 1))] for share in (0.05, 0.5, 0.95))
    return Intervals(model.units, model.rank, low, median, high, draws)


@within_floats
def sensitivity(evaluation: Evaluation, samples: int = 1024, period: int = -1, choices: Choices = Choices(), seed: int = 1) -> Sensitivity:  # noqa: B008
    """Sobol indices of the choices.

    Args:
        evaluation: The published one.
        samples: A power of two; the model is evaluated (factors + 2) times as often.
        period: Number of the period.
        choices: The choices.
        seed: Same seed, same figures.
    """
    model = _Alternatives(evaluation, period, choices)

    def output(uniform: Array) -> Array:
        size = max(1, _CHUNK // max(1, len(model.units)))
        ranks = np.concatenate([places(model.scores(uniform[at : at + size])) for at in range(0, len(uniform), size)]).astype(np.float64)
        return np.column_stack([np.abs(ranks - model.rank).mean(axis=1), ranks])

    first, total = sobol_indices(output, list(model.factors.values()), model.dimensions, samples, seed)
    return Sensitivity(tuple(model.factors), first[:, 0], total[:, 0], first[:, 1:], total[:, 1:], model.units)


def sobol_indices(
    function: Callable[[Array], Array], factors: Sequence[slice], dimensions: int, samples: int, seed: int = 1
) -> tuple[Array, Array]:
    """First-order and total Sobol indices of groups of inputs.

    Estimators: Saltelli et al., Computer Physics Communications 181(2), 2010 (first order); Jansen, ibid. 117, 1999 (total).

    Args:
        function: From inputs of shape (n, dimensions), even in 0 to 1, to outputs of shape (n, outputs).
        factors: Inputs of each factor.
        dimensions: Number of inputs.
        samples: A power of two.
        seed: Of the scrambled Sobol sequence.

    Returns:
        Two arrays (factors, outputs); 0 for an output that does not vary.
    """
    from scipy.stats import qmc  # half a second that others need not wait

    if samples < 2 or samples & (samples - 1):
        raise YiwangError("YW-SCORE-003", detail=f"敏感性分析的样本数应为 2 的幂，而不是 {samples}")
    points = qmc.Sobol(2 * dimensions, rng=np.random.default_rng(seed)).random(samples)
    one, other = points[:, :dimensions], points[:, dimensions:]
    of_one, of_other = function(one), function(other)
    centre = (of_one.mean(axis=0) + of_other.mean(axis=0)) / 2  # smaller products, smaller error
    variance = np.concatenate([of_one, of_other]).var(axis=0)
    found = np.zeros((2, len(factors), of_one.shape[1]))
    for number, factor in enumerate(factors):
        mixed = one.copy()
        mixed[:, factor] = other[:, factor]
        of_mixed = function(mixed)
        parts = ((of_other - centre) * (of_mixed - of_one)).mean(axis=0), ((of_one - of_mixed) ** 2).mean(axis=0) / 2
        for order, part in enumerate(parts):
            found[order, number] = np.divide(part, variance, out=np.zeros_like(part), where=variance > 0)
    return found[0], found[1]


def left_out(evaluation: Evaluation, period: int = -1) -> list[LeftOut]:
    """The ranks without each indicator in turn, scored again; the indicator that moves most comes first."""
    system, figures = evaluation.system, evaluation.figures
    if len(system.indicators) < 2:
        raise YiwangError("YW-SCORE-003", detail="只有一项指标，去掉后没有可评的")
    ranked = evaluation.rank[period] > 0
    found = []
    for number, leaf in enumerate(system.indicators):
        smaller = replace(
            figures, values=np.delete(figures.values, number, axis=2), is_divided=np.delete(figures.is_divided, number),
            denominators=None if figures.denominators is None else np.delete(figures.denominators, number, axis=2),
        )  # fmt: skip
        reduced = _without(system, leaf.code)
        if not isinstance(reduced, System):
            continue
        reduced = reduced.model_copy(update={"minimum_indicators": 1})
        # among the same units: one that has no other indicator goes to the end
        score = np.where(ranked, np.nan_to_num(evaluate(reduced, smaller).score[period].round(6), nan=-np.inf), np.nan)
        shift = np.abs(places(score) - evaluation.rank[period]) * ranked
        most = int(np.argmax(shift))
        found.append(LeftOut(leaf.code, float(shift[ranked].mean()) if ranked.any() else 0.0, int(shift[most]), most))
    return sorted(found, key=lambda one: (-one.mean_shift, one.code))


@within_floats
def gains(evaluation: Evaluation, unit: int, period: int = -1, part: float = 1.0) -> list[Gain]:
    """What would raise a unit's score most: each indicator at its target (the best unit's value where it has none), the others as they are.

    Everybody is scored again for each, so that a yardstick that moves with the unit moves here too.

    Args:
        evaluation: The published one.
        unit: Number of the unit.
        period: Number of the period.
        part: Share of the way to the goal that is gone.

    Returns:
        Indicators with a value short of their goal, the largest gain first.
    """
    system = evaluation.system
    figures = evaluation.figures if system.reference == "all" or _looks_back(system) else _only(evaluation.figures, period)
    at = period % len(evaluation.figures.periods) if figures is evaluation.figures else 0
    base = evaluate(system, figures).score[at, unit]
    found = []
    for number, leaf in enumerate(system.indicators):
        is_higher = leaf.direction == "higher"
        column = evaluation.denominated[period, :, number]
        value = column[unit]
        if np.isnan(value):
            continue
        best = np.nanmax(column) if is_higher else np.nanmin(column)
        wanted = best if leaf.target is None else leaf.target
        if (wanted <= value) if is_higher else (wanted >= value):
            continue
        goal = float(value + part * (wanted - value))
        values = figures.values.copy()
        divisor = 1.0
        if figures.denominators is not None and figures.is_divided[number]:
            divisor = figures.denominators[at, unit, number] / leaf.scale
        values[at, unit, number] = goal * divisor
        after = evaluate(system, replace(figures, values=values))
        score = float(after.score[at, unit])
        found.append(Gain(leaf.code, float(value), goal, score, score - float(base), int(after.rank[at, unit])))
    return sorted(found, key=lambda gain: (-gain.gain, gain.code))


def with_intervals(table: pa.Table, evaluation: Evaluation, draws: int) -> pa.Table:
    """A result table with ``rank_low``, ``rank_median`` and ``rank_high`` of every period behind ``rank``."""
    figures = evaluation.figures
    known: dict[tuple[str, str], tuple[int, int, int]] = {}
    for number, period in enumerate(figures.periods):
        if (evaluation.rank[number] > 0).any():
            found = intervals(evaluation, draws, number)
            for unit, *three in zip(found.units, found.low, found.median, found.high, strict=True):
                known[period, figures.units[unit]] = (int(three[0]), int(three[1]), int(three[2]))
    keys = list(zip(table["period"].to_pylist(), table["unit_code"].to_pylist(), strict=True))
    place = table.column_names.index("rank") + 1
    for number, name in enumerate(("rank_low", "rank_median", "rank_high")):
        table = table.add_column(place + number, name, pa.array([known[key][number] if key in known else None for key in keys], pa.int32()))
    return table


class _Alternatives:
    """The ranked units of a period, scored in other ways: one way a row of even numbers between 0 and 1.

    Attributes:
        units: Numbers of the ranked units.
        rank: Their published ranks.
        factors: Factor → its numbers in a row.
        dimensions: Numbers in a row.
    """

    def __init__(self, evaluation: Evaluation, period: int, choices: Choices) -> None:
        self._system, self._choices = evaluation.system, choices
        self.units = np.flatnonzero(evaluation.rank[period] > 0)
        self.rank = evaluation.rank[period][self.units]
        leaves = self._system.indicators
        self._place = {leaf.code: number for number, leaf in enumerate(leaves)}
        self._points = [self._normalised(evaluation, period, method) for method in choices.normalisations]
        self._weights = {code: weights[period if weights.shape[0] > 1 else 0, 0] for code, weights in evaluation.weights.items()}
        self.factors: dict[str, slice] = {"normalisation": slice(0, 1), "aggregation": slice(1, 2)}
        first = 2
        for node in nodes(self._system):
            if len(node.scored) > 1:
                self.factors[node.code] = slice(first, first + len(node.scored))
                first += len(node.scored)
        self.dimensions = first

    def scores(self, uniform: Array) -> Array:
        """Scores of the units, (rows, units)."""
        found = np.empty((len(uniform), len(self.units)))
        normal, mean = ((uniform[:, at] * len(of)).astype(int) for at, of in enumerate((self._choices.normalisations, self._choices.aggregations)))
        for one, points in enumerate(self._points):
            for other, kind in enumerate(self._choices.aggregations):
                rows = np.flatnonzero((normal == one) & (mean == other))
                if len(rows):
                    found[rows] = self._node(self._system, points, kind, uniform[rows])[0]
        # units that TOPSIS cannot tell apart are equally last
        return np.where(np.isnan(found), -np.inf, found)

    def _normalised(self, evaluation: Evaluation, period: int, method: str) -> Array:
        own: Array = evaluation.normalised[period][self.units]
        if method == "own":
            return own
        values = evaluation.treated[period][evaluation.figures.present[period]]
        is_higher = np.array([leaf.direction == "higher" for leaf in self._system.indicators])
        if method == "minmax":
            none = np.full(len(is_higher), np.nan)
            points = normalisation.minmax(values, is_higher, none, none, (FLOOR, 100))
        elif method == "rank":
            points = normalisation.rank(values, is_higher, (FLOOR, 100))
        else:
            points = normalisation.zscore(values, is_higher)
        whole = np.full((len(evaluation.figures.units), values.shape[1]), np.nan)
        whole[evaluation.figures.present[period]] = points
        # an indicator that does not count in the published index does not count here, and one that counts does
        return np.where(np.isnan(own) | np.isnan(whole[self.units]), own, whole[self.units])

    def _node(self, node: Node, points: Array, kind: str, uniform: Array) -> tuple[Array, Array | float]:
        """Points of a node, (rows, units), and what its indicators with points weigh together."""
        own = node.aggregation if kind == "own" else kind
        children = node.scored
        noise = uniform[:, self.factors[node.code]] if node.code in self.factors else np.full((len(uniform), 1), 0.5)
        factor = 1 + self._choices.spread * (2 * noise - 1)
        is_grouping = node.weighting == "leaves"
        base = np.array([child.weight or 0.0 for child in children]) if is_grouping else self._weights[node.code]
        base = np.where([is_grouping and isinstance(child, Node) for child in children], 1.0, base)
        weights = base * factor
        below = {number: self._node(child, points, kind, uniform) for number, child in enumerate(children) if isinstance(child, Node)}
        if own == "topsis":
            shape = (len(uniform), len(points))
            each = [below[n][0] if n in below else np.broadcast_to(points[:, self._place[c.code]], shape) for n, c in enumerate(children)]
            held = np.stack(each, axis=-1)
            return aggregation.topsis(held, weights[:, None, :]), 1.0
        leaves = [number for number in range(len(children)) if number not in below]
        total = carried = np.zeros((len(uniform), len(points)))
        if leaves:
            held = points[:, [self._place[children[number].code] for number in leaves]]
            known = ~np.isnan(held)
            shaped = np.where(known, _forward(held, own), 0.0)
            total = weights[:, leaves] @ shaped.T
            carried = weights[:, leaves].sum(axis=1, keepdims=True) if known.all() else weights[:, leaves] @ known.T.astype(np.float64)
        for number, (score, carries) in below.items():
            weight = weights[:, number : number + 1] * (carries if is_grouping else 1.0)
            known = ~np.isnan(score)
            if known.all():
                total, carried = total + weight * _forward(score, own), carried + weight
            else:
                total = total + np.where(known, weight * _forward(score, own), 0.0)
                carried = carried + np.where(known, weight, 0.0)
        carried = np.broadcast_to(carried, total.shape)
        averaged = np.divide(total, carried, out=np.full(total.shape, np.nan), where=carried > 0)
        return aggregation.backward(averaged, own), carried if is_grouping else 1.0


def _forward(points: Array, kind: str) -> Array:
    found: Array = aggregation.forward(points if kind == "arithmetic" else np.maximum(points, FLOOR), kind)
    return found


def _without(node: Node, code: str) -> Node | None:
    """The tree without an indicator, and without nodes that held nothing else; its siblings share its weight."""
    children = tuple(kept for child in node.children if child.code != code for kept in [_without(child, code) if isinstance(child, Node) else child] if kept)
    if not any(isinstance(child, Node) or not child.not_measured for child in children):
        return None
    there = {child.code for child in children}
    judged = tuple(pair for pair in node.comparisons if {pair.better, pair.than} <= there)
    return node.model_copy(update={"children": children, "comparisons": judged})


def _looks_back(system: System) -> bool:
    return any(leaf.missing.method == "previous" for leaf in system.indicators)


def _only(figures: Figures, period: int) -> Figures:
    """The figures of one period."""
    number = period % len(figures.periods)
    chosen = slice(number, number + 1)
    return replace(
        figures, periods=figures.periods[chosen], values=figures.values[chosen], present=figures.present[chosen],
        denominators=None if figures.denominators is None else figures.denominators[chosen],
        groups={name: labels[chosen] for name, labels in figures.groups.items()},
    )  # fmt: skip
