"""Outliers: which indicators have them, winsorising, logarithm, Box–Cox.

Source: OECD/JRC, *Handbook on Constructing Composite Indicators* (2008), step 3 and part "Univariate analysis", with the
limits |skewness| > 2 and kurtosis > 3.5 of the JRC; Becker et al., "COINr: An R package for developing composite
indicators", JOSS 7(78), 2022, for the order (winsorise up to a number of points, else transform the values as they were).
Skewness and kurtosis are the adjusted sample figures (G1, G2 of Joanes and Gill 1998).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.capability.methods.arrays import Array, Mask, extremes, mean

_SHIFT = 0.01
"""Of the range: how far above zero the smallest value is put before a logarithm (COINr's ``log_CT``)."""

_SAFE = (1e-70, 1e70)
"""Sums of squares whose own squares are still floats."""


@dataclass(frozen=True)
class Treated:
    """Values after treatment.

    Attributes:
        values: Shape (…, units, indicators).
        low: Lowest values that took the next higher one, shape (…, indicators).
        high: Highest values that took the next lower one, shape (…, indicators).
        is_transformed: Whether the indicator was transformed instead, shape (…, indicators).
    """

    values: Array
    low: NDArray[np.int32]
    high: NDArray[np.int32]
    is_transformed: Mask


def moments(values: Array) -> tuple[Array, Array]:
    """Skewness and excess kurtosis of each indicator, shape (…, indicators); NaN for fewer than four values or none that differ."""
    distance = values - mean(values)
    missing = np.isnan(distance)
    number = np.full(values.shape[:-2] + values.shape[-1:], float(values.shape[-2]))
    if missing.any():
        distance[missing] = 0.0
        number -= np.count_nonzero(missing, axis=-2)
    second = np.einsum("...ui,...ui->...i", distance, distance)
    if ((second < _SAFE[0]) | (second > _SAFE[1])).any():
        # relative to the largest distance, so that no power of a huge or tiny value leaves the range of floats
        largest = np.abs(distance).max(axis=-2, keepdims=True, initial=0.0)
        distance = distance / np.where(largest > 0, largest, 1.0)
        second = np.einsum("...ui,...ui->...i", distance, distance)
    square = distance * distance
    third = np.einsum("...ui,...ui->...i", square, distance)
    fourth = np.einsum("...ui,...ui->...i", square, square)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = second / number
        skewness = third / number / variance**1.5 * np.sqrt(number * (number - 1)) / (number - 2)
        excess = fourth / number / variance**2 - 3
        kurtosis = (number - 1) / ((number - 2) * (number - 3)) * ((number + 1) * excess + 6)
        defined = (number > 3) & (second > 0)
    return np.where(defined, skewness, np.nan), np.where(defined, kurtosis, np.nan)


def has_outliers(values: Array, skewness: float = 2.0, kurtosis: float = 3.5) -> Mask:
    """Whether |skewness| and kurtosis of an indicator are both above their limits, shape (…, indicators)."""
    skewed, peaked = moments(values)
    return (np.abs(skewed) > skewness) & (peaked > kurtosis)


def winsorise(values: Array, points: int = 5, skewness: float = 2.0, kurtosis: float = 3.5) -> tuple[Treated, Mask]:
    """Lets the most extreme values of an indicator take the next one, one after the other, until it has no outliers.

    Args:
        values: Shape (…, units, indicators).
        points: Most values that are changed.
        skewness: Limit, see :func:`has_outliers`.
        kurtosis: Limit, see :func:`has_outliers`.

    Returns:
        The values, and which indicators still have outliers, shape (…, indicators).
    """
    flagged = has_outliers(values, skewness, kurtosis)
    low, high = np.zeros(flagged.shape, np.int32), np.zeros(flagged.shape, np.int32)
    left = np.zeros(flagged.shape, dtype=bool)
    if not flagged.any():
        return Treated(values, low, high, left), left
    columns = np.ascontiguousarray(np.moveaxis(values, -2, -1)[flagged].T)  # (units, flagged indicators)
    ordered = np.sort(columns, axis=0)  # NaN last
    last = np.count_nonzero(~np.isnan(columns), axis=0) - 1
    cut = np.zeros((2, columns.shape[1]), np.int64)
    clipped, going = columns.copy(), np.arange(columns.shape[1])
    is_high = moments(columns)[0] > 0
    for _ in range(points):
        more = cut[:, going] + np.stack([~is_high, is_high])
        # never past each other: a handful of values cannot lose all their spread
        sound = more[0] < last[going] - more[1]
        going, more = going[sound], more[:, sound]
        if not len(going):
            break
        cut[:, going] = more
        trial = np.clip(columns[:, going], ordered[more[0], going], ordered[last[going] - more[1], going])
        clipped[:, going] = trial
        skewed, peaked = moments(trial)
        still = (np.abs(skewed) > skewness) & (peaked > kurtosis)
        going, is_high = going[still], skewed[still] > 0
    low[flagged], high[flagged] = cut
    left[flagged] = has_outliers(clipped, skewness, kurtosis)
    treated = values.copy()
    np.moveaxis(treated, -2, -1)[flagged] = clipped.T
    return Treated(treated, low, high, np.zeros(flagged.shape, dtype=bool)), left


def log(values: Array) -> Array:
    """Logarithm of each indicator that draws its long tail in: of values shifted above zero, mirrored where the tail is below.

    ln(x − min + 0.01 range), or −ln(max − x + 0.01 range) for a negative skewness; the order stays as it was.
    """
    lowest, highest = extremes(values)
    shift = _SHIFT * (highest - lowest)
    is_mirrored = (moments(values)[0] < 0)[..., None, :]
    with np.errstate(divide="ignore"):
        logged = np.where(is_mirrored, -np.log(highest - values + shift), np.log(values - lowest + shift))
    return np.where(shift > 0, logged, values)


def boxcox(values: Array) -> Array:
    """Box–Cox transformation of each indicator with the power of greatest likelihood within −2 and 2.

    Of values over their geometric mean, shifted above zero as in :func:`log` where they are not.
    Source: Box and Cox, "An analysis of transformations", JRSS B 26(2), 1964; powers by ``scipy.stats``.
    """
    from scipy import special, stats  # half a second that others need not wait

    lowest, highest = extremes(values)
    shift = np.where(lowest > 0, 0.0, _SHIFT * (highest - lowest) - lowest)
    found = np.array(values)
    for index in np.ndindex(*values.shape[:-2], values.shape[-1]):
        column = values[(*index[:-1], slice(None), index[-1])]
        one = (*index[:-1], 0, index[-1])
        if highest[one] > lowest[one]:
            known = ~np.isnan(column)
            positive = column[known] + shift[one]
            positive /= np.exp(np.log(positive).mean())
            power = np.clip(stats.boxcox_normmax(positive, method="mle"), -2.0, 2.0)
            found[(*index[:-1], known, index[-1])] = special.boxcox(positive, power)
    return found
