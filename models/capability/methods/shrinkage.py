"""Shares of few cases, drawn towards the share of all units by as much as their number says little."""

import numpy as np

from models.capability.methods.arrays import Array, divided


def beta_binomial(numerator: Array, denominator: Array) -> Array:
    """Empirical Bayes estimate of each unit's share under a beta-binomial model, (n + sμ) / (d + s).

    μ is the share of all units together; s, the weight of the prior in cases, comes from the variance between units
    beyond what chance alone makes (moments). Units that differ no more than by chance all get μ.

    Source: Kleinman, "Proportions with extraneous variance: single and independent samples", JASA 68, 1973; Efron and
    Morris, "Stein's estimation rule and its competitors", JASA 68, 1973.

    Args:
        numerator: Shape (…, units, indicators); NaN where there is no value.
        denominator: Same shape, above zero where the numerator is there.
    """
    known = ~(np.isnan(numerator) | np.isnan(denominator))
    n, d = np.where(known, numerator, 0.0), np.where(known, denominator, 0.0)
    units = np.count_nonzero(known, axis=-2, keepdims=True).astype(np.float64)
    total = d.sum(axis=-2, keepdims=True)
    pooled = divided(n.sum(axis=-2, keepdims=True), total)
    spread = (np.where(known, divided(n, d) - pooled, 0.0) ** 2 * d).sum(axis=-2, keepdims=True)
    chance = pooled * (1 - pooled)
    # E[spread] = (units − 1)(chance − between) + (total − Σd²/total) between
    between = divided(spread - (units - 1) * chance, total - divided((d**2).sum(axis=-2, keepdims=True), total) - (units - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        prior = np.where(between > 0, np.maximum(chance / between - 1, 0.0), np.inf)
    weight = divided(d, d + np.where(np.isinf(prior), 1.0, prior))
    weight = np.where(np.isinf(prior), 0.0, weight)
    share = divided(n, d)
    # one unit has nobody to be drawn to, and a share that is 0 or 1 everywhere needs no drawing
    shrunk = np.where((units > 1) & (chance > 0), weight * share + (1 - weight) * pooled, share)
    return np.where(known, shrunk, np.nan)
