"""A node's points from its children's. Source: OECD/JRC, *Handbook on Constructing Composite Indicators* (2008), step 7.

The weights of children without points are shared out among the others in proportion.
"""

import numpy as np

from models.capability.methods.arrays import Array, divided, extremes

MEANS = {"arithmetic": 1, "harmonic": -1, "geometric": 0}
"""Power of each mean: f(points) is averaged, and its inverse taken, with f = x, 1/x, ln x."""


def forward(points: Array, kind: str) -> Array:
    """f of a mean: what is averaged."""
    if kind == "arithmetic":
        return points
    found: Array = np.log(points) if kind == "geometric" else 1.0 / points
    return found


def backward(averaged: Array, kind: str) -> Array:
    """The inverse of :func:`forward`."""
    if kind == "arithmetic":
        return averaged
    found: Array = np.exp(averaged) if kind == "geometric" else 1.0 / averaged
    return found


def in_force(points: Array, weights: Array) -> Array:
    """Weights as they count for each unit: zero for a child without points, together one; zero where there is none."""
    counted = np.where(np.isnan(points), 0.0, weights)
    total = counted.sum(axis=-1, keepdims=True)
    found: Array = np.divide(counted, total, out=np.zeros_like(counted), where=total > 0)
    return found


def weighted_mean(points: Array, weights: Array, kind: str) -> Array:
    """Arithmetic, geometric or harmonic mean.

    Args:
        points: Shape (…, units, children), above zero where there are any unless the mean is arithmetic.
        weights: Shape (…, 1, children), or (…, units, children) where they differ by unit; not below zero.
        kind: A key of :data:`MEANS`.

    Returns:
        Shape (…, units); NaN for a unit without any child's points.
    """
    averaged = forward(points, kind)
    missing = np.isnan(points)
    if not missing.any():
        return backward(_dot(averaged, weights / weights.sum(axis=-1, keepdims=True)), kind)
    total = _dot(np.where(missing, 0.0, averaged), weights)
    # a sum of weights that is zero by rounding only would blow up what is divided by it
    return backward(divided(total, _dot((~missing).astype(np.float64), weights)), kind)


def summed_mean(points: Array, weights: Array, kind: str) -> tuple[Array, Array]:
    """The same mean, summed one child after the other: figures do not depend on a machine's way of multiplying matrices.

    Args:
        points: As for :func:`weighted_mean`.
        weights: Shape (children,).
        kind: A key of :data:`MEANS`.

    Returns:
        Points and the weights of the children that have any, together; both (…, units).
    """
    total, counted = np.zeros(points.shape[:-1]), np.zeros(points.shape[:-1])
    for number, weight in enumerate(weights):
        known = ~np.isnan(points[..., number])
        total += np.where(known, forward(points[..., number], kind) * weight, 0.0)
        counted += np.where(known, weight, 0.0)
    return backward(divided(total, counted), kind), counted


def topsis(points: Array, weights: Array) -> Array:
    """Closeness to the best that any unit reaches in each child and distance from the worst, in points of 100.

    Source: Hwang and Yoon, *Multiple Attribute Decision Making*, Springer 1981; Euclidean distances of weighted points.
    A child without points takes no part in the unit's distances.

    Returns:
        Shape (…, units); NaN where no child tells the units apart.
    """
    worst, best = extremes(points)
    share = in_force(points, np.broadcast_to(weights, points.shape)) ** 2
    known = np.where(np.isnan(points), 0.0, points)
    from_best = np.sqrt((share * np.where(np.isnan(points), 0.0, known - best) ** 2).sum(axis=-1))
    from_worst = np.sqrt((share * np.where(np.isnan(points), 0.0, known - worst) ** 2).sum(axis=-1))
    return divided(from_worst, from_best + from_worst) * 100


def _dot(values: Array, weights: Array) -> Array:
    if weights.shape[-2] == 1:
        multiplied: Array = np.matmul(values, np.swapaxes(weights, -1, -2))[..., 0]
        return multiplied
    summed: Array = np.einsum("...uc,...uc->...u", values, weights)
    return summed
