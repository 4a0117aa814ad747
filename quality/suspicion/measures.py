"""How unusual something is among its like, over arrays: rare categories, values far from the middle of their group, rates of groups."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRIOR = 5.0
"""Rows of its like that a group is given beside its own: what was never seen in a small group is no wonder."""
LEAST = 20
"""Members from which on a group has a middle of its own."""
_MAD = 1.4826


def rarity(category: Ints, group: Ints | None = None) -> Floats:
    """Surprise of each row's category within its group, in nats: −ln of its share, drawn towards its share in all rows.

    Args:
        category: Number of the category, from 0.
        group: Number of the group, from 0; None: all rows are one.
    """
    rows = len(category)
    if not rows:
        return np.zeros(0)
    counts = np.bincount(category)
    share = (counts + 0.5) / (rows + 0.5 * len(counts))
    if group is None:
        return np.asarray(-np.log(share[category]), dtype=np.float64)
    _, pair, together = np.unique(group * (int(category.max()) + 1) + category, return_inverse=True, return_counts=True)
    own = np.bincount(group)[group]
    return np.asarray(-np.log((together[pair] + PRIOR * share[category]) / (own + PRIOR)), dtype=np.float64)


def middles(values: Floats, group: Ints) -> tuple[Floats, Ints]:
    """Median of each group and how many rows have a value in it; NaN where none has."""
    has = np.flatnonzero(~np.isnan(values))
    groups = int(group.max(initial=-1)) + 1
    size = np.bincount(group[has], minlength=groups).astype(np.int64)
    order = has[np.lexsort((values[has], group[has]))]
    start = np.r_[0, np.cumsum(size)[:-1]] if groups else np.zeros(0, dtype=np.int64)
    found = np.full(groups, np.nan)
    filled = size > 0
    ordered = values[order]
    low, high = start[filled] + (size[filled] - 1) // 2, start[filled] + size[filled] // 2
    found[filled] = (ordered[low] + ordered[high]) / 2
    return found, size


def distance(values: Floats, group: Ints, wider: Ints, floor: float) -> tuple[Floats, Floats]:
    """How many robust standard deviations each value lies from the middle of its group; 0 where there is no value.

    Args:
        values: A row; NaN for none.
        group: Its group.
        wider: The group taken instead where the first has fewer than :data:`LEAST` values.
        floor: Least standard deviation: values that nearly always are the same are no reason for alarm.

    Returns:
        Distance, signed; and the middle.
    """
    z, middle, done = np.zeros(len(values)), np.full(len(values), np.nan), np.isnan(values)
    for by in (group, wider):
        median, size = middles(values, by)
        spread, _ = middles(np.abs(values - median[by]), by) if len(values) else (median, size)
        fits = ~done & (size[by] >= LEAST)
        z[fits] = (values[fits] - median[by][fits]) / np.maximum(_MAD * spread[by][fits], floor)
        middle[fits] = median[by][fits]
        done |= fits
    return z, middle


def surprise(z: Floats) -> Floats:
    """Surprise of a distance, in nats above that of the middle; tails as heavy as Student's t with three degrees of freedom."""
    return np.asarray(2 * np.log1p(z * z / 3), dtype=np.float64)


def rate_distance(hits: Floats, rows: Floats) -> tuple[Floats, float]:
    """How far the rate of each group lies from what is usual among the groups, which themselves differ.

    On the arcsine scale, on which the variance of a rate is 1/(4 n): the spread among the groups is robust, the noise of each is added.

    Returns:
        Distance of each group in standard deviations, signed; and the usual rate.
    """
    angle = np.arcsin(np.sqrt((hits + 0.375) / (rows + 0.75)))
    middle = _weighted_median(angle, rows)
    # what differs beyond noise: the spread of the groups less what their own noise makes of it
    noise = 1 / (4 * rows)
    spread = (_MAD * _weighted_median(np.abs(angle - middle), rows)) ** 2
    between = max(spread - _weighted_median(noise, rows), 0.0)
    return (angle - middle) / np.sqrt(between + noise), float(np.sin(middle) ** 2)


def _weighted_median(values: Floats, weight: Floats) -> float:
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(cumulated, cumulated[-1] / 2)])


def score(z: Floats) -> Floats:
    """A distance as a score from 0 to 1: one half at five standard deviations."""
    return np.asarray(np.abs(z) / (np.abs(z) + 5), dtype=np.float64)
