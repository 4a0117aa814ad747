"""What the methods share: sums that skip missing values, places of the best."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def count(values: Array) -> NDArray[np.intp]:
    """Values of each indicator that are there, shape (…, 1, indicators)."""
    found: NDArray[np.intp] = np.count_nonzero(~np.isnan(values), axis=-2, keepdims=True)
    return found


def mean(values: Array) -> Array:
    """Mean of each indicator, shape (…, 1, indicators); NaN without a value."""
    total: Array = values.sum(axis=-2, keepdims=True)
    if not np.isnan(total).any():
        return divided(total, np.asarray(float(values.shape[-2])))
    number = count(values)
    total = np.where(np.isnan(values), 0.0, values).sum(axis=-2, keepdims=True)
    return divided(total, number.astype(np.float64))


def extremes(values: Array) -> tuple[Array, Array]:
    """Smallest and largest value of each indicator, shape (…, 1, indicators); NaN without a value."""
    # fmin and fmax pass over NaN, and know no empty axis
    if values.shape[-2] == 0:
        nothing = np.full((*values.shape[:-2], 1, values.shape[-1]), np.nan)
        return nothing, nothing
    return np.fmin.reduce(values, axis=-2, keepdims=True), np.fmax.reduce(values, axis=-2, keepdims=True)


def divided(numerator: Array, denominator: Array) -> Array:
    """The quotient, NaN where the denominator is not above zero."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    found: Array = np.divide(numerator, denominator, out=np.full(shape, np.nan), where=np.broadcast_to(denominator > 0, shape))
    return found


def rounded(values: Array, decimals: int) -> Array:
    """Decimals as Arrow rounds them: its last bit may differ from NumPy's, and figures were published that way."""
    found: Array = pc.round(pa.array(np.ascontiguousarray(values).ravel()), decimals).to_numpy()
    return found.reshape(values.shape)


def places(scores: Array) -> NDArray[np.int32]:
    """Places along the last axis, 1 for the highest; equal scores share a place and the next one is skipped; 0 without a score."""
    order = np.argsort(-scores, axis=-1, kind="stable")  # NaN last
    ordered = np.take_along_axis(scores, order, axis=-1)
    place = np.arange(1, scores.shape[-1] + 1, dtype=np.int32)
    begins = np.ones(scores.shape, dtype=bool)
    begins[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    shared = np.maximum.accumulate(np.where(begins, place, 0), axis=-1).astype(np.int32)
    found = np.empty(scores.shape, dtype=np.int32)
    np.put_along_axis(found, order, shared, axis=-1)
    found[np.isnan(scores)] = 0
    return found
