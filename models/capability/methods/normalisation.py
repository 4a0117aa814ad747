"""Points from values. Source: OECD/JRC, *Handbook on Constructing Composite Indicators* (2008), step 5.

``is_higher`` says for each indicator whether a higher value is better; it and the bounds broadcast against
(…, units, indicators). An indicator whose values do not differ says nothing about who is better: relative methods give NaN.
"""

from collections.abc import Sequence

import numpy as np

from models.capability.methods.arrays import Array, Mask, count, divided, extremes, mean


def share(values: Array, is_higher: Mask) -> Array:
    """100 × the share, or 100 × (1 − share) where lower is better, within 0 and 100."""
    within = np.clip(values, 0.0, 1.0)
    return np.where(is_higher, within, 1.0 - within) * 100.0


def minmax(values: Array, is_higher: Mask, low: Array, high: Array, points: tuple[float, float] = (0, 100)) -> Array:
    """From the first number of points at the worst value to the second at the best; values beyond a given bound get the bound's.

    Args:
        values: Shape (…, units, indicators).
        is_higher: Direction.
        low: Lower bounds; NaN: the smallest value.
        high: Upper bounds; NaN: the largest value.
        points: Of the worst and of the best.
    """
    if np.isnan(low).any() or np.isnan(high).any():
        lowest, highest = extremes(values)
        low, high = np.where(np.isnan(low), lowest, low), np.where(np.isnan(high), highest, high)
    worst, best = np.where(is_higher, low, high), np.where(is_higher, high, low)
    spread = best - worst
    factor = np.divide(points[1] - points[0], spread, out=np.full(spread.shape, np.nan), where=(high > low))
    found: Array = (values - worst) * factor
    found += points[0]
    return np.clip(found, points[0], points[1], out=found)


def zscore(values: Array, is_higher: Mask, average: float = 50, deviation: float = 10) -> Array:
    """``average`` points at the mean of the units, ``deviation`` points a standard deviation (of the sample)."""
    distance = values - mean(values)
    number = count(values).astype(np.float64)
    squares = np.where(np.isnan(distance), 0.0, distance * distance).sum(axis=-2, keepdims=True)
    spread = np.sqrt(divided(squares, number - 1))
    lowest, highest = extremes(values)
    spread = np.where(highest > lowest, spread, 0.0)  # equal values may differ from their own mean by rounding
    return average + divided(np.where(is_higher, distance, -distance) * deviation, spread)


def rank(values: Array, is_higher: Mask, points: tuple[float, float] = (0, 100)) -> Array:
    """Place among the units in equal steps; equal values share the mean of their places."""
    by_unit = np.moveaxis(np.where(is_higher, values, -values), -2, -1)
    order = np.argsort(by_unit, axis=-1, kind="stable")  # NaN last
    ordered = np.take_along_axis(by_unit, order, axis=-1)
    size = by_unit.shape[-1]
    place = np.arange(size)
    begins = np.ones(ordered.shape, dtype=bool)
    begins[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    first = np.maximum.accumulate(np.where(begins, place, 0), axis=-1)
    ends = np.ones(ordered.shape, dtype=bool)
    ends[..., :-1] = begins[..., 1:]
    last = np.flip(np.minimum.accumulate(np.flip(np.where(ends, place, size), axis=-1), axis=-1), axis=-1)
    shared = np.empty(ordered.shape)
    np.put_along_axis(shared, order, (first + last) / 2, axis=-1)
    lowest, highest = extremes(values)
    of = np.where(highest > lowest, count(values) - 1.0, 0.0)
    placed = np.where(np.isnan(values), np.nan, np.moveaxis(shared, -1, -2))
    return points[0] + divided(placed * (points[1] - points[0]), of)


def target(values: Array, is_higher: Mask, wanted: Array, worst: Array, points: tuple[float, float] = (0, 100)) -> Array:
    """Distance covered from the worst value to the target, no more than all of it.

    Args:
        values: Shape (…, units, indicators).
        is_higher: Direction.
        wanted: Targets.
        worst: Where points begin; NaN: the worst value of the units.
        points: At the worst and at the target.
    """
    lowest, highest = extremes(values)
    worst = np.where(np.isnan(worst), np.where(is_higher, lowest, highest), worst)
    way = np.where(is_higher, wanted - worst, worst - wanted)
    covered = np.where(is_higher, values - worst, worst - values)
    # all units at or beyond the target: the way has no length and is covered
    met = np.where(is_higher, values >= wanted, values <= wanted)
    part = np.where(met, 1.0, np.clip(divided(covered, way), 0.0, 1.0))
    return np.where(np.isnan(values), np.nan, points[0] + part * (points[1] - points[0]))


def steps(values: Array, starts: Sequence[float], points: Sequence[float]) -> Array:
    """Points of the step on which a value lies.

    Args:
        values: Shape (…, units, indicators).
        starts: Smallest value of each step, ascending; −∞ for one that takes the rest. Values below all get 0 points.
        points: Of each step.
    """
    number = np.searchsorted(np.asarray(starts), values, side="right")
    return np.where(np.isnan(values), np.nan, np.concatenate([[0.0], np.asarray(points, dtype=np.float64)])[number])
