"""Weights of a node's children: from judgements (AHP), or from their points (entropy, CRITIC, principal components).

Every function gives weights that sum to one, the latter three for points of shape (units, children).
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.capability.methods.arrays import Array

_ROUNDING = 1e-12
_RANDOM_INDEX = (0.0, 0.0, 0.0, 0.58, 0.90, 1.12, 1.24, 1.32, 1.41, 1.45, 1.49, 1.51, 1.48, 1.56, 1.57, 1.59)
"""Mean consistency index of random judgements by their number, from 0 (Saaty 1980)."""


def comparison_matrix(codes: Sequence[str], judgements: Iterable[tuple[str, str, float]]) -> Array:
    """Judgements as a reciprocal matrix.

    Args:
        codes: What is compared, in the order of rows and columns.
        judgements: The more important, the less important, how many times.
    """
    place = {code: number for number, code in enumerate(codes)}
    matrix = np.eye(len(codes))
    for better, than, by in judgements:
        matrix[place[better], place[than]], matrix[place[than], place[better]] = by, 1 / by
    return matrix


def ahp(matrix: Array) -> Array:
    """Weights of the analytic hierarchy process: the principal eigenvector of a reciprocal matrix of judgements.

    Source: Saaty, *The Analytic Hierarchy Process*, McGraw-Hill 1980.
    """
    values, vectors = np.linalg.eig(matrix)
    principal = np.abs(vectors[:, np.argmax(values.real)].real)
    return np.asarray(principal / principal.sum(), dtype=np.float64)


def consistency_ratio(matrix: Array) -> float:
    """How far judgements contradict each other, in units of random ones; above 0.1 they are refused (Saaty)."""
    number = len(matrix)
    if number < 3:
        return 0.0
    index = (np.linalg.eigvals(matrix).real.max() - number) / (number - 1)
    return float(max(index, 0.0) / _RANDOM_INDEX[min(number, len(_RANDOM_INDEX) - 1)])


def entropy(points: Array) -> Array:
    """Weights by how unevenly an indicator is spread over the units: 1 − its normalised entropy.

    Source: Shannon 1948; Hwang and Yoon, *Multiple Attribute Decision Making*, Springer 1981. Points below 0 count as 0.
    """
    positive = np.where(np.isnan(points), 0.0, np.maximum(points, 0.0))
    known = np.count_nonzero(~np.isnan(points), axis=0)
    total = positive.sum(axis=0)
    part = np.divide(positive, total, out=np.zeros_like(positive), where=total > 0)
    information = -(part * np.log(part, out=np.zeros_like(part), where=part > 0)).sum(axis=0)
    most = np.log(known, out=np.zeros(len(known)), where=known > 1)
    spread = 1 - np.divide(information, most, out=np.ones_like(most), where=(most > 0) & (total > 0))
    return _sharing(np.where(spread > _ROUNDING, spread, 0.0))


def critic(points: Array) -> Array:
    """Weights by contrast and conflict: standard deviation × Σ(1 − correlation with the others).

    Source: Diakoulaki, Mavrotas and Papayannakis, "Determining objective weights in multiple criteria problems: the CRITIC
    method", Computers & Operations Research 22(7), 1995. Units that miss a child are left out.
    """
    complete = points[~np.isnan(points).any(axis=1)]
    if len(complete) < 2:
        return _sharing(np.zeros(points.shape[1]))
    lowest, highest = complete.min(axis=0), complete.max(axis=0)
    scaled = np.divide(complete - lowest, highest - lowest, out=np.zeros_like(complete), where=highest > lowest)
    return _sharing(scaled.std(axis=0, ddof=1) * (1 - _correlation(complete)).sum(axis=0))


def pca(points: Array) -> Array:
    """Weights by how much of an indicator the principal components with an eigenvalue above one explain.

    Σ of its squared loadings over those components (its communality), shared out; the first component counts always.
    Source: OECD/JRC, *Handbook on Constructing Composite Indicators* (2008), step 6 (weights based on principal components),
    without rotation: communalities are the same before and after it. Units that miss a child are left out.
    """
    complete = points[~np.isnan(points).any(axis=1)]
    if len(complete) < 2:
        return _sharing(np.zeros(points.shape[1]))
    values, vectors = np.linalg.eigh(_correlation(complete))
    chosen = (values > 1 + 1e-9) | (values >= values[-1] - 1e-9)
    return _sharing((vectors[:, chosen] ** 2 * np.maximum(values[chosen], 0.0)).sum(axis=1))


FROM_POINTS = {"entropy": entropy, "critic": critic, "pca": pca}


def _correlation(complete: Array) -> NDArray[np.float64]:
    """Correlations of the columns; one that does not vary is correlated with itself only."""
    distance = complete - complete.mean(axis=0)
    length = np.sqrt((distance**2).sum(axis=0))
    unit = np.divide(distance, length, out=np.zeros_like(distance), where=length > 1e-12 * np.abs(complete).max(initial=1e-300))
    found: NDArray[np.float64] = unit.T @ unit
    np.fill_diagonal(found, 1.0)
    return found


def _sharing(shares: Array) -> Array:
    """Shares that sum to one; equal ones where nothing tells the children apart."""
    total = shares.sum()
    return shares / total if total > 0 else np.full(len(shares), 1 / len(shares))
