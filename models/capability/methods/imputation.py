"""What stands for missing values. Source: OECD/JRC, *Handbook on Constructing Composite Indicators* (2008), step 4."""

import warnings

import numpy as np
from numpy.typing import NDArray

from models.capability.methods.arrays import Array, mean


def by_mean(values: Array) -> Array:
    """The mean of the units that have a value."""
    return np.where(np.isnan(values), mean(values), values)


def by_median(values: Array) -> Array:
    """The median of the units that have a value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an indicator without any value keeps NaN
        return np.where(np.isnan(values), np.nanmedian(values, axis=-2, keepdims=True), values)


def by_group_mean(values: Array, groups: NDArray[np.integer]) -> Array:
    """The mean of the units of the same group; still missing where none of them has a value.

    Args:
        values: Shape (…, units, indicators).
        groups: Number of each unit's group, shape (…, units); below 0: in no group.
    """
    found = values
    for group in np.unique(groups[groups >= 0]):
        inside = (groups == group)[..., None]
        average = mean(np.where(inside, values, np.nan))
        found = np.where(np.isnan(values) & inside, average, found)
    return found


def by_previous(values: Array) -> Array:
    """The unit's last value before, along the first axis (periods)."""
    periods = np.arange(values.shape[0]).reshape(-1, *[1] * (values.ndim - 1))
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, periods), axis=0)
    return np.where(last >= 0, np.take_along_axis(values, np.maximum(last, 0), axis=0), np.nan)
