"""Where a change of score comes from, part by part; the parts sum to the change.

**Means.** An arithmetic, geometric or harmonic mean S is f⁻¹(Σ w f(x)) with f = x, ln x, 1/x. With L = ΔS / Δf(S), the
logarithmic mean where f = ln, ΔS = L Σ Δ(w f(x)) exactly. A child's part is split into what its points did,
L · w̄ · Δf(x), and what its weight in force did, L · Δw · (f̄(x) − f̄(S)): a weight that changes, or a value that appears or
disappears. For the geometric mean this is the logarithmic mean Divisia index (LMDI-I; Ang, "Decomposition analysis for
policymaking in energy", Energy Policy 32(9), 2004), for the arithmetic one the symmetric (Bennet) split.

**TOPSIS.** Closeness is no mean: the parts are sequential ones (a child at a time from before to after) averaged over the
rotations of the children and their reversals; one more part is the yardstick, the best and worst of all units.

**Down the tree.** What a node's points did is handed to its children in proportion to their parts of the node's own change.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.capability.engine import Evaluation
from models.capability.methods import aggregation
from models.capability.methods.arrays import Array, divided, extremes
from models.capability.systems.model import Indicator, Node, parts
from models.domain.errors import YiwangError

Kind = Literal["value", "weight", "yardstick"]
"""What changed: an indicator's points; a part's weight in force, its value appearing or disappearing included; the
best and worst of a node under TOPSIS."""
_NEAR = 1e-9


@dataclass(frozen=True)
class Part:
    """A part of the change of every unit's score.

    Attributes:
        code: Indicator or node.
        name: Its name.
        kind: What of it changed.
        points: By unit; NaN for a unit without both scores.
    """

    code: str
    name: str
    kind: Kind
    points: Array


@dataclass(frozen=True)
class Change:
    """The change of every unit's score.

    Attributes:
        before: Scores, (units,).
        after: Scores, (units,).
        parts: Every part that is not zero for all units; they sum to after − before.
    """

    before: Array
    after: Array
    parts: tuple[Part, ...]


def decompose(before: Evaluation, after: Evaluation, first: int, second: int) -> Change:
    """Attributes the change of scores between two periods.

    Args:
        before: Evaluation without rounding.
        after: The same one, or one by another version of the system with the same tree (other weights) and the same units.
        first: Number of the period in ``before``.
        second: Number of the period in ``after``.

    Raises:
        YiwangError: YW-SCORE-003 when the two are not of the same tree and units.
    """
    trees = [[(type(part), part.code, getattr(part, "aggregation", "")) for part in parts(e.system)] for e in (before, after)]
    if trees[0] != trees[1] or before.figures.units != after.figures.units:
        raise YiwangError("YW-SCORE-003", detail="两次评价的指标结构或单位不同，不能作变化归因")
    found: list[Part] = []
    state = _State(before, after, first, second, found)
    scores = state.points(before, first, before.system), state.points(after, second, after.system)
    known = np.where(np.isnan(scores[0] + scores[1]), np.nan, 1.0)
    state.attribute(before.system, after.system, known)
    return Change(*scores, tuple(part for part in found if (np.nan_to_num(part.points) != 0).any()))


class _State:
    def __init__(self, before: Evaluation, after: Evaluation, first: int, second: int, found: list[Part]) -> None:
        self._sides = ((before, first), (after, second))
        self._found = found
        self._place = {leaf.code: number for number, leaf in enumerate(before.system.indicators)}

    def points(self, evaluation: Evaluation, period: int | slice, part: Node | Indicator) -> Array:
        found: Array = evaluation.nodes[part.code][period] if isinstance(part, Node) else evaluation.normalised[period, :, self._place[part.code]]
        return found

    def attribute(self, node: Node, other: Node, factor: Array) -> None:
        """Notes the parts of a node's change, times what a point of the node is worth in the whole."""
        held, weights = [], []
        for (evaluation, period), side in zip(self._sides, (node, other), strict=True):
            points = np.stack([self.points(evaluation, period, child) for child in side.scored], axis=-1)
            given = evaluation.weights[node.code]
            held.append(points)
            weights.append(np.broadcast_to(given[period if given.shape[0] > 1 else 0], points.shape))
        if node.aggregation == "topsis":
            value, weight, worth = self._by_steps(node, held, weights, factor)
        else:
            value, weight, worth = _by_means(node.aggregation, held, weights)
        for number, (child, twin) in enumerate(zip(node.scored, other.scored, strict=True)):
            self._note(child.code, child.name, "weight", weight[:, number] * factor)
            if isinstance(child, Node) and isinstance(twin, Node):
                self.attribute(child, twin, worth[:, number] * factor)
            else:
                self._note(child.code, child.name, "value", value[:, number] * factor)

    def _by_steps(self, node: Node, held: list[Array], weights: list[Array], factor: Array) -> tuple[Array, Array, Array]:
        bounds = [self._bounds(evaluation, period, node) for evaluation, period in self._sides]
        size = held[0].shape[1]
        value = np.zeros((len(held[0]), size + 1))
        orders = [np.roll(np.arange(size + 1), shift)[::way] for shift in range(size + 1) for way in (1, -1)]
        for order in orders:
            points, weight, (worst, best) = held[0].copy(), weights[0].copy(), bounds[0]
            last = _closeness(points, weight, worst, best)
            for player in order:
                if player == size:
                    worst, best = bounds[1]
                else:
                    points[:, player], weight[:, player] = held[1][:, player], weights[1][:, player]
                here = _closeness(points, weight, worst, best)
                value[:, player] += (here - last) / len(orders)
                last = here
        self._note(node.code, node.name, "yardstick", value[:, size] * factor)
        both = ~np.isnan(held[0]) & ~np.isnan(held[1])
        delta = np.where(both, held[1] - held[0], 0.0)
        worth = np.divide(value[:, :size], delta, out=np.zeros_like(delta), where=delta != 0)
        return np.where(both, value[:, :size], 0.0), np.where(both, 0.0, value[:, :size]), worth

    def _bounds(self, evaluation: Evaluation, period: int, node: Node) -> tuple[Array, Array]:
        """Worst and best points of the children, among the units that the engine compared."""
        chosen = slice(None) if evaluation.system.reference == "all" else slice(period, period + 1)
        points = np.stack([self.points(evaluation, chosen, child).ravel() for child in node.scored], axis=-1)
        return extremes(points)

    def _note(self, code: str, name: str, kind: Kind, points: Array) -> None:
        self._found.append(Part(code, name, kind, points))


def _by_means(kind: str, held: list[Array], weights: list[Array]) -> tuple[Array, Array, Array]:
    """Parts of the children by their points and by their weights, and what a point of each child is worth, (units, children)."""
    force = [aggregation.in_force(points, weight) for points, weight in zip(held, weights, strict=True)]
    shaped = [np.where(np.isnan(points), 0.0, aggregation.forward(points, kind)) for points in held]
    # a node without points on one side is a matter of its weight above: what is found here is multiplied by zero
    there = force[0].any(axis=1) & force[1].any(axis=1)
    averaged = [np.where(there, (f * s).sum(axis=1), 1.0) for f, s in zip(force, shaped, strict=True)]
    whole = [aggregation.backward(average, kind) for average in averaged]
    scale = _slope(whole[1] - whole[0], averaged[1] - averaged[0], whole[0], whole[1], kind)[:, None]
    centre = ((averaged[0] + averaged[1]) / 2)[:, None]
    both = (force[0] > 0) & (force[1] > 0)
    middle, moved = (force[0] + force[1]) / 2, shaped[1] - shaped[0]
    value = np.where(both, scale * middle * moved, 0.0)
    weight = scale * np.where(
        both, (force[1] - force[0]) * ((shaped[0] + shaped[1]) / 2 - centre),
        np.where(force[1] > 0, force[1] * (shaped[1] - centre), 0.0) - np.where(force[0] > 0, force[0] * (shaped[0] - centre), 0.0),
    )  # fmt: skip
    held = [np.where(both, points, 1.0) for points in held]
    slope = _slope(held[1] - held[0], np.where(both, moved, 0.0), held[0], held[1], kind)
    return value, weight, np.where(both, scale * middle / slope, 0.0)


def _slope(points: Array, shaped: Array, before: Array, after: Array, kind: str) -> Array:
    """Δx / Δf(x), its limit where both are nearly zero."""
    if kind == "arithmetic":
        return np.ones_like(points)
    middle = (before + after) / 2
    limit = middle if kind == "geometric" else -(before * after)
    near = np.abs(points) <= _NEAR * np.abs(middle)
    return np.where(near, limit, np.divide(points, shaped, out=np.ones_like(points), where=shaped != 0))


def _closeness(points: Array, weights: Array, worst: Array, best: Array) -> Array:
    """TOPSIS against a given best and worst; 0 where they are the same, so that a step over such a state counts as well."""
    share: NDArray[np.float64] = aggregation.in_force(points, weights) ** 2
    known = ~np.isnan(points)
    from_best = np.sqrt((share * np.where(known, points - best, 0.0) ** 2).sum(axis=1))
    from_worst = np.sqrt((share * np.where(known, points - worst, 0.0) ** 2).sum(axis=1))
    return np.nan_to_num(divided(from_worst, from_best + from_worst)) * 100
