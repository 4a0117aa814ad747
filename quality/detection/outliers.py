"""Numbers and days far from all others of their column, on the scale on which the column is most regular."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.detection.signals import Signal, about_values
from quality.detection.table import Bools, Column, Floats, Ints

FAR = 6.0
"""Robust standard deviations beyond which a number is far, where the column's own tails are no longer than a normal one's."""
GAP, LONG_GAP = 0.5, 1.0
"""Least gap between the far numbers and the rest, in widths of the rest's side; the second where that side's tail is long."""
FEW = 0.05
"""Most rows that can be outliers."""
_NORMAL_TAIL = 2.33
_DATE = r"^\s*(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})"


def numbers(number: int, column: Column) -> list[Signal]:
    """Outliers of a column of numbers."""
    if column.number_share < 0.9 or column.filled < 50:
        return []
    found = np.where(_far(column.numbers, column.counts), 0.9, 0.0)
    return [about_values(number, column, "outlier", found, lambda text: f"“{text}”远离本列其他数值")]


def days(number: int, column: Column) -> list[Signal]:
    """Outliers of a column of days."""
    text = pc.replace_substring_regex(column.values, _DATE, r"\1-\2-\3")
    plain = pc.replace_substring_regex(pc.replace_substring_regex(text, r"-(\d)-", r"-0\1-"), r"-(\d)($|\D)", r"-0\1\2")
    day = pc.utf8_slice_codeunits(plain, 0, 10)
    real = pc.match_substring_regex(day, r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])$")  # a month's last days are not far from its 28th
    is_day = np.asarray(real.to_numpy(zero_copy_only=False)) & ~column.is_null
    if column.share(is_day) < 0.7 or column.filled < 50:
        return []
    counted = pc.cast(pc.if_else(pa.array(is_day), day, pa.scalar(None, pa.string())), pa.date32())
    ordinal = pc.fill_null(pc.cast(pc.cast(counted, pa.int32()), pa.float64()), float("nan")).to_numpy(zero_copy_only=False)
    found = np.where(_far(np.asarray(ordinal, dtype=np.float64), column.counts, positive=False), 0.9, 0.0)
    return [about_values(number, column, "outlier", found, lambda text: f"日期“{text}”远离本列其他日期")]


def _far(values: Floats, counts: Ints, positive: bool = True) -> Bools:
    known = np.flatnonzero(~np.isnan(values))
    if len(known) < 10:
        return np.zeros(len(values), dtype=bool)
    order = known[np.argsort(values[known], kind="stable")]
    rows, x = counts[order], values[order]
    scales = [x]
    if positive and (rows[x <= 0].sum() <= FEW * rows.sum()) and x[-1] > 0:
        least = x[x > 0][0]
        scales.append(np.where(x > 0, np.log(np.maximum(x, least)), np.log(least)))
    z, tails, scale = min((_scores(scale, rows) for scale in scales), key=lambda scored: max(scored[1]))
    far = np.zeros(len(values), dtype=bool)
    for side, tail in ((-1, tails[0]), (1, tails[1])):
        is_long = tail > 1.5 * _NORMAL_TAIL
        out = side * z > FAR * max(1.0, tail / _NORMAL_TAIL)
        if not out.any() or rows[out].sum() > FEW * rows.sum():
            continue
        inside = scale[~out & (side * z >= 0)]
        middle = _quantile(scale, rows, 0.5)
        width = float(np.abs(inside - middle).max()) if inside.size else 0.0
        far[order[out & (np.abs(scale - middle) > (1 + (LONG_GAP if is_long else GAP)) * width)]] = True
    negative = x < 0
    if positive and 0 < rows[negative].sum() <= FEW * rows.sum():
        # signs turned round are as large as the rest; the low end of a column around zero is small
        typical = _quantile(x[~negative], rows[~negative], 0.16)
        if _quantile(np.sort(-x[negative]), rows[negative][np.argsort(-x[negative], kind="stable")], 0.5) >= typical > 0:
            far[order[negative]] = True
    return far


def _scores(scale: Floats, rows: Ints) -> tuple[Floats, tuple[float, float], Floats]:
    """Robust standard scores, the lengths of both tails (median to the outermost hundredth, 2.33 for a normal column), the scale."""
    low, left, middle, right, high = (_quantile(scale, rows, q) for q in (0.01, 0.16, 0.5, 0.84, 0.99))
    spread = max((right - left) / 2, (high - low) / 12, 1e-12)
    return (scale - middle) / spread, ((middle - low) / spread, (high - middle) / spread), scale


def _quantile(scale: Floats, rows: Ints, q: float) -> float:
    cumulated = np.cumsum(rows)
    return float(scale[min(int(np.searchsorted(cumulated, q * cumulated[-1])), len(scale) - 1)])
