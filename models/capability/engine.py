"""The engine: a system and figures in, every stage up to score, rank and band out. Pure; arrays of periods × units × indicators.

raw → denominated → shrunk → imputed → treated → normalised → nodes → rank, band. A stage that a system does not ask for
is the stage before it, the same array. What does not belong here: the methods themselves, tables.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.capability.methods import aggregation, imputation, normalisation, shrinkage, treatment, weighting
from models.capability.methods.arrays import Array, Mask, divided, places, rounded
from models.capability.systems.model import Indicator, Node, System, leaves
from models.domain.errors import YiwangError

REASONS = (None, "no_denominator", "below_minimum", "no_value", "no_variation")
"""Why an indicator has no points: the denominator is zero; it is too small; there is no value; no unit differs from another."""
NO_DENOMINATOR, BELOW_MINIMUM, NO_VALUE, NO_VARIATION = 1, 2, 3, 4
NOTHING_SCORED, TOO_FEW_SCORED = "no_indicator_scored", "too_few_indicators"
DIGITS = 6
"""Decimals by which scores are ranked and stored: equal figures must be equal, so that ties are ties on every machine."""
Columns = slice | NDArray[np.intp]


@dataclass(frozen=True)
class Figures:
    """What is scored; the shapes are (periods, units, indicators), indicators in the order of the system's tree.

    Attributes:
        units: Codes of the units.
        names: Names of the units.
        periods: Names of the periods, in their order.
        values: Values, or numerators of indicators that are divided; NaN: none.
        denominators: Denominators of the indicators that are divided; None: none is.
        is_divided: Whether the values of an indicator are numerators, (indicators,).
        present: Whether the unit is in the period, (periods, units).
        groups: Column → the unit's group, (periods, units), for means of groups; "" is no group.
    """

    units: tuple[str, ...]
    names: tuple[str, ...]
    periods: tuple[str, ...]
    values: Array
    denominators: Array | None
    is_divided: Mask
    present: Mask
    groups: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)


@dataclass(frozen=True)
class Treatment:
    """What was done about outliers, (1 or periods, indicators); see :class:`models.capability.methods.treatment.Treated`."""

    low: NDArray[np.int32]
    high: NDArray[np.int32]
    is_transformed: Mask


@dataclass(frozen=True)
class Evaluation:
    """Every stage of a scoring.

    Attributes:
        system: What it was scored by.
        figures: What was scored.
        denominated: Values after dividing and scaling, (periods, units, indicators) like the next four.
        shrunk: Values after shrinkage.
        imputed: Values with missing ones filled.
        treated: Values after the treatment of outliers.
        normalised: Points.
        reasons: Why there was no value, or are no points: numbers of :data:`REASONS`.
        treatment: What was done about outliers.
        nodes: Code of a node → its points, (periods, units); the root's are the score.
        weights: Code of a node → weights of its children, (1 or periods, 1 or units, children), as they are before those of
            children without points are shared out.
        scored: Indicators with points, (periods, units).
        rank: 1 for the best, 0 without, (periods, units).
        band: Number of the system's band, −1 without, (periods, units).
    """

    system: System
    figures: Figures
    denominated: Array
    shrunk: Array
    imputed: Array
    treated: Array
    normalised: Array
    reasons: NDArray[np.int8]
    treatment: Treatment
    nodes: Mapping[str, Array]
    weights: Mapping[str, Array]
    scored: NDArray[np.int64]
    rank: NDArray[np.int32]
    band: NDArray[np.int8]

    @property
    def score(self) -> Array:
        """Points of the whole, (periods, units); NaN without an indicator that has points."""
        return self.nodes[self.system.code]


P = ParamSpec("P")
R = TypeVar("R")


def within_floats(function: Callable[P, R]) -> Callable[P, R]:
    """Refuses values whose arithmetic leaves the range of floats, instead of going on with infinities."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                return function(*args, **kwargs)
        except FloatingPointError as error:
            raise YiwangError("YW-SCORE-003", detail="有的数值过大或过小，超出了可以计算的范围；请核对表中的数值和单位") from error

    return guarded


@within_floats
def evaluate(system: System, figures: Figures, decimals: int | None = None) -> Evaluation:
    """Scores every unit in every period.

    Args:
        system: How.
        figures: What.
        decimals: Rounds the points of indicators and nodes, so that what is stored is made of what is stored; None: not.

    Raises:
        YiwangError: YW-SCORE-003 for values that the system's methods cannot take.
    """
    denominated, reasons = _denominated(system, figures)
    shrunk = _shrunk(system, figures, denominated)
    imputed = _imputed(system, figures, shrunk)
    whole = imputed.shape
    judged = imputed.reshape(1, -1, whole[2]) if system.reference == "all" else imputed
    treated, treatment_ = _treated(system, judged)
    normalised = _normalised(system, treated)
    if decimals is not None:
        normalised = rounded(normalised, decimals)
    nodes, weights = aggregate(system, normalised, decimals)
    treated, normalised = treated.reshape(whole), normalised.reshape(whole)
    nodes = {code: points.reshape(whole[:2]) for code, points in nodes.items()}
    weights = {code: _per_period(weight, whole) for code, weight in weights.items()}
    unvaried = np.isnan(normalised) & ~np.isnan(treated)
    reasons = np.where(unvaried, np.int8(NO_VARIATION), reasons) if unvaried.any() else reasons
    scored = np.count_nonzero(~np.isnan(normalised), axis=-1)
    score = nodes[system.code]
    ranked = np.where(scored >= system.minimum_indicators, score.round(DIGITS), np.nan)
    return Evaluation(
        system, figures, denominated, shrunk, imputed, treated, normalised, reasons, treatment_, nodes, weights, scored, places(ranked), bands(system, score)
    )


def aggregate(system: System, points: Array, decimals: int | None = None) -> tuple[dict[str, Array], dict[str, Array]]:
    """Points of every node from those of the indicators.

    Args:
        system: The tree.
        points: (…, units, indicators).
        decimals: Rounds the points of nodes.

    Returns:
        By code: points (…, units), and weights of the children (1 or …, 1 or units, children).
    """
    found: dict[str, Array] = {}
    weights: dict[str, Array] = {}
    place = {leaf.code: number for number, leaf in enumerate(system.indicators)}

    def of(node: Node) -> Array:
        """The node's points and, as weights, what its indicators with points weigh together."""
        children = node.scored
        carried = {child.code: of(child) for child in children if isinstance(child, Node)}
        if not carried:
            first = place[children[0].code]
            held = points[..., first : first + len(children)]
        else:
            held = np.stack([found[c.code] if c.code in carried else points[..., place[c.code]] for c in children], axis=-1)
        weights[node.code] = weight = _weights(node, held, carried)
        if node.aggregation == "topsis":
            found[node.code] = aggregation.topsis(held, weight)
        else:
            _check_positive(node, held)
            if node.weighting == "leaves":  # in the order of codes: how indicators are grouped must not show in the last digit
                below = sorted(leaves(node), key=lambda leaf: leaf.code)
                each = np.array([leaf.weight for leaf in below], dtype=np.float64)
                found[node.code], counted = aggregation.summed_mean(points[..., [place[leaf.code] for leaf in below]], each, node.aggregation)
                return counted
            found[node.code] = aggregation.weighted_mean(held, weight, node.aggregation)
        return np.ones(())

    of(system)
    if decimals is not None:  # at the end: grouping indicators must not change what they sum to
        found = {code: rounded(scores, decimals) for code, scores in found.items()}
    return found, weights


def bands(system: System, score: Array) -> NDArray[np.int8]:
    """Number of the band of each score, −1 without a score or bands; by the score as it is stored."""
    found = np.full(score.shape, len(system.bands) - 1, dtype=np.int8)
    rounded = score.round(DIGITS)
    for number, band in reversed(list(enumerate(system.bands[:-1]))):
        inside = rounded > band.over if band.over is not None else rounded >= (band.start or 0)
        found[inside] = number
    found[np.isnan(score)] = -1
    return found


def _weights(node: Node, held: Array, carried: Mapping[str, Array]) -> Array:
    children = node.scored
    if node.weighting == "leaves":
        if not carried:
            return _one(np.array([child.weight for child in children], dtype=np.float64), held)
        each = [carried[c.code] if c.code in carried else np.full(held.shape[:-1], c.weight or 0.0) for c in children]
        return np.stack(each, axis=-1)
    if node.weighting == "given":
        given = np.array([child.weight for child in children], dtype=np.float64)
        return _one(given / given.sum(), held)
    if node.weighting == "equal":
        return _one(np.full(len(children), 1 / len(children)), held)
    if node.weighting == "ahp":
        return _one(weighting.ahp(node.judgements), held)
    method = weighting.FROM_POINTS[node.weighting]
    flat = held.reshape(-1, *held.shape[-2:])
    return np.stack([method(points) for points in flat]).reshape(*held.shape[:-2], 1, len(children))


def _one(weights: Array, held: Array) -> Array:
    """The same weights for all, with as many axes as the points."""
    return weights.reshape(*[1] * (held.ndim - 1), -1)


def _per_period(weights: Array, whole: tuple[int, ...]) -> Array:
    """Weights of periods that were judged together, by period."""
    if weights.shape[-2] == 1 or weights.shape[0] == whole[0]:
        return weights
    return weights.reshape(*whole[:2], -1)


def _check_positive(node: Node, held: Array) -> None:
    if node.aggregation == "arithmetic":
        return
    wrong = held <= 0
    if wrong.any():
        child = node.scored[int(np.argmax(wrong.reshape(-1, held.shape[-1]).any(axis=0)))]
        kind = {"geometric": "几何", "harmonic": "调和"}[node.aggregation]
        worst = float(np.nanmin(held[wrong]))
        detail = f"{node.name}按{kind}平均合成，但“{child.name}”有 {worst:g} 分，不大于 0；请在标准化中写 points: [1, 100] 或改用算术平均"
        raise YiwangError("YW-SCORE-003", detail=detail)


def _by(system: System, key: Callable[[Indicator], object]) -> Iterator[tuple[Indicator, Columns]]:
    """An indicator and the columns of all indicators that are treated like it; a slice where they are side by side."""
    groups: dict[object, list[int]] = {}
    for number, leaf in enumerate(system.indicators):
        groups.setdefault(key(leaf), []).append(number)
    for numbers in groups.values():
        whole = numbers == list(range(numbers[0], numbers[-1] + 1))
        yield system.indicators[numbers[0]], slice(numbers[0], numbers[-1] + 1) if whole else np.array(numbers)


def _map(values: Array, groups: Iterator[tuple[Indicator, Columns]], change: Callable[[Indicator, Columns, Array], Array]) -> Array:
    """The values with the columns of each group changed; the same array where none is."""
    found = values
    for leaf, columns in groups:
        before = values[..., columns]
        after = change(leaf, columns, before)
        if after is before:
            continue
        if after.shape == values.shape:
            return after  # all indicators are alike: nothing to put together
        if found is values:
            found = values.copy()
        found[..., columns] = after
    return found


def _denominated(system: System, figures: Figures) -> tuple[Array, NDArray[np.int8]]:
    values = figures.values
    if figures.denominators is not None:
        scale = np.array([leaf.scale for leaf in system.indicators])
        least = np.array([leaf.minimum_sample for leaf in system.indicators])
        empty = figures.is_divided & (figures.denominators <= 0)
        small = figures.is_divided & (figures.denominators < least) & ~empty
        values = np.where(figures.is_divided, divided(values, figures.denominators) * scale, values)
        values = np.where(small, np.nan, values)
        reasons = np.where(np.isnan(values), np.int8(NO_VALUE), np.int8(0))
        return values, np.where(empty, np.int8(NO_DENOMINATOR), np.where(small, np.int8(BELOW_MINIMUM), reasons))
    missing = np.isnan(values)
    return values, (missing.view(np.int8) * np.int8(NO_VALUE)).astype(np.int8, copy=False)


def _shrunk(system: System, figures: Figures, values: Array) -> Array:
    denominators = figures.denominators
    if denominators is None:
        return values
    # a share whose denominator is not known cannot be drawn anywhere
    known = {leaf.code for leaf, is_divided in zip(system.indicators, figures.is_divided, strict=True) if is_divided}

    def change(leaf: Indicator, columns: Columns, before: Array) -> Array:
        if leaf.shrinkage == "none" or leaf.code not in known:
            return before
        there = ~np.isnan(before)
        numerator = np.where(there, figures.values[..., columns], np.nan)
        if bool(((numerator < 0) | (numerator > denominators[..., columns])).any()):
            raise YiwangError("YW-SCORE-003", detail=f"“{leaf.name}”的分子不在 0 和分母之间，不能做小样本收缩")
        return shrinkage.beta_binomial(numerator, np.where(there, denominators[..., columns], np.nan))

    return _map(values, _by(system, lambda leaf: leaf.shrinkage if leaf.code in known else "none"), change)


def _imputed(system: System, figures: Figures, values: Array) -> Array:
    missing = np.isnan(values)
    if not missing.any():
        return values

    def change(leaf: Indicator, columns: Columns, before: Array) -> Array:
        method = leaf.missing.method
        if method == "redistribute":
            return before
        if method == "refuse":
            return _refused(system, figures, before, columns)
        if method == "group_mean":
            labels = figures.groups[leaf.missing.group or ""]
            numbers = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
            filled = imputation.by_group_mean(before, np.where((labels == "") | ~figures.present, -1, numbers))
        elif method == "constant":
            filled = np.where(np.isnan(before), np.float64(leaf.missing.value or 0), before)
        else:
            filled = {"mean": imputation.by_mean, "median": imputation.by_median, "previous": imputation.by_previous}[method](before)
        # nothing stands for a unit that is not there
        return np.where(figures.present[..., None], filled, np.nan)

    return _map(values, _by(system, lambda leaf: leaf.missing), change)


def _refused(system: System, figures: Figures, before: Array, columns: Columns) -> Array:
    absent = np.argwhere(np.isnan(before) & figures.present[..., None])
    if not len(absent):
        return before
    _period, unit, column = absent[0]
    leaf = [system.indicators[number] for number in np.arange(len(system.indicators))[columns]][column]
    raise YiwangError("YW-SCORE-003", detail=f"{figures.names[unit]}没有“{leaf.name}”的值，体系规定此项不得缺失")


def _treated(system: System, values: Array) -> tuple[Array, Treatment]:
    shape = (values.shape[0], values.shape[2])
    low, high, transformed = np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, dtype=bool)

    def change(leaf: Indicator, columns: Columns, before: Array) -> Array:
        rule = leaf.outliers
        if rule.method == "none":
            return before
        if rule.method == "winsorise":
            done, left = treatment.winsorise(before, rule.points, rule.skewness, rule.kurtosis)
            low[:, columns], high[:, columns] = done.low, done.high
            after, way = done.values, rule.then
        else:
            after, way, left = before, rule.method, treatment.has_outliers(before, rule.skewness, rule.kurtosis)
        if way is None or not left.any():
            return after
        # of the values as they were; only the columns that need it
        after = after.copy()
        by_column, originals = np.moveaxis(after, -2, -1), np.moveaxis(before, -2, -1)[left]
        by_column[left] = (treatment.log if way == "log" else treatment.boxcox)(originals.T).T
        transformed[:, columns] = left
        low[:, columns], high[:, columns] = np.where(left, 0, low[:, columns]), np.where(left, 0, high[:, columns])
        return after

    return _map(values, _by(system, lambda leaf: leaf.outliers), change), Treatment(low, high, transformed)


def _normalised(system: System, values: Array) -> Array:
    def change(leaf: Indicator, columns: Columns, before: Array) -> Array:
        return normalised(before, np.array(system.indicators, dtype=object)[columns])

    return _map(values, _by(system, lambda leaf: leaf.normalisation.model_copy(update={"low": None, "high": None})), change)


def normalised(values: Array, indicators: NDArray[np.object_]) -> Array:
    """Points of indicators whose normalisations differ by their bounds only, (…, units, indicators)."""

    def bounds(key: str) -> Array:
        return np.array([np.nan if (bound := getattr(leaf.normalisation, key)) is None else bound for leaf in indicators], dtype=np.float64)

    rule = indicators[0].normalisation
    is_higher = np.array([leaf.direction == "higher" for leaf in indicators])
    if rule.method == "share":
        return normalisation.share(values, is_higher)
    if rule.method == "minmax":
        return normalisation.minmax(values, is_higher, bounds("low"), bounds("high"), rule.points)
    if rule.method == "zscore":
        return normalisation.zscore(values, is_higher, rule.mean, rule.deviation)
    if rule.method == "rank":
        return normalisation.rank(values, is_higher, rule.points)
    if rule.method == "target":
        wanted = np.array([leaf.target for leaf in indicators], dtype=np.float64)
        worst = np.where(is_higher, bounds("low"), bounds("high"))
        return normalisation.target(values, is_higher, wanted, worst, rule.points)
    starts = [-np.inf if step.start is None else step.start for step in rule.steps]
    return normalisation.steps(values, starts, [step.points for step in rule.steps])
