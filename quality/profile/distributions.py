"""How a column is distributed, small enough to keep, and how far two distributions are apart.

Values of few kinds, shapes of texts: population stability index. Numbers: Kolmogorov–Smirnov, from 21 quantiles. A change is
told only where it is large by the usual measure *and* beyond what chance makes of samples of this size.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MOST_VALUES = 50
"""Different values (or shapes) beyond which they are no categories."""
LEVELS = [round(0.05 * step, 2) for step in range(21)]
"""Quantiles that are kept of numbers."""
LARGE_PSI = 0.25
"""Population stability index that is called a shift (Siddiqi, Credit Risk Scorecards, 2006)."""
LARGE_KS = 0.15
LARGE_NULLS = 0.05
SURE = 5.0
"""Standard deviations by which a change must exceed what chance makes; columns are many."""
LEAST_ROWS = 100
"""Rows of either side below which nothing is compared."""
_OTHER = "（其他）"


@dataclass(frozen=True)
class Distribution:
    """A column of some rows.

    Attributes:
        kind: ``values`` or ``shapes`` (text → rows), ``quantiles`` (at :data:`LEVELS`), ``none``.
        rows: Rows, those without a value among them.
        nulls: Rows without a value.
        counts: Of values or shapes.
        quantiles: Of numbers.
    """

    kind: Literal["values", "shapes", "quantiles", "none"]
    rows: int
    nulls: int
    counts: dict[str, int]
    quantiles: list[float]

    def to_json(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Distribution":
        """From what :meth:`to_json` gave."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Drift:
    """What changed between two distributions.

    Attributes:
        measure: ``psi`` or ``ks``; None where the values cannot be compared.
        value: Its value.
        nulls: Share of rows without a value, less the earlier one.
        reasons: Chinese phrases, of what is large and no chance; empty: nothing is.
    """

    measure: str | None
    value: float | None
    nulls: float
    reasons: list[str]


def drift(now: Distribution, before: Distribution, earlier: str) -> Drift | None:
    """Compares; None where either side has too few rows.

    Args:
        now: The column as it is.
        before: As it was.
        earlier: How the earlier rows are called in a sentence.
    """
    if min(now.rows, before.rows) < LEAST_ROWS:
        return None
    reasons = []
    change = now.nulls / now.rows - before.nulls / before.rows
    together = (now.nulls + before.nulls) / (now.rows + before.rows)
    noise = math.sqrt(together * (1 - together) * (1 / now.rows + 1 / before.rows))
    if abs(change) >= LARGE_NULLS and abs(change) > SURE * noise:
        reasons.append(f"空值占 {now.nulls / now.rows:.1%}，{earlier}占 {before.nulls / before.rows:.1%}")
    measure = value = None
    filled, filled_before = now.rows - now.nulls, before.rows - before.nulls
    if now.kind == before.kind and min(filled, filled_before) >= LEAST_ROWS:
        if now.kind in ("values", "shapes"):
            measure = "psi"
            value, noise, most = _psi(now.counts, before.counts)
            if value >= LARGE_PSI and value > noise:
                what = "取值" if now.kind == "values" else "写法"
                reasons.append(f"{what}“{most[0]}”占 {most[1]:.1%}，{earlier}占 {most[2]:.1%}（PSI {value:.2f}）")
        elif now.kind == "quantiles":
            measure = "ks"
            value = _ks(now.quantiles, before.quantiles)
            if value >= LARGE_KS and value > 1.95 * math.sqrt(1 / filled + 1 / filled_before):
                middle = LEVELS.index(0.5)
                reasons.append(f"数值分布不同（KS {value:.2f}），中位数 {now.quantiles[middle]:g}，{earlier} {before.quantiles[middle]:g}")
    return Drift(measure, value, change, reasons)


def _psi(now: Mapping[str, int], before: Mapping[str, int]) -> tuple[float, float, tuple[str, float, float]]:
    """The index; the greatest that chance makes of it; the value that changed most with both shares."""
    rows, rows_before = sum(now.values()), sum(before.values())
    kept = [name for name in sorted(now.keys() | before.keys()) if (now.get(name, 0) + before.get(name, 0)) * min(rows, rows_before) / (rows + rows_before) >= 5]
    names = [*kept, _OTHER]
    one, other = (np.array([*(side.get(name, 0) for name in kept), sum(side.values()) - sum(side.get(name, 0) for name in kept)], dtype=float) for side in (now, before))
    p, q = (one + 0.5) / (rows + 0.5 * len(names)), (other + 0.5) / (rows_before + 0.5 * len(names))
    parts = (p - q) * np.log(p / q)
    scale = (1 / rows + 1 / rows_before) * max(len(kept), 1)
    most = int(parts.argmax())
    return float(parts.sum()), scale + SURE * math.sqrt(2 / max(len(kept), 1)) * scale, (names[most], one[most] / rows, other[most] / rows_before)


def _ks(now: Sequence[float], before: Sequence[float]) -> float:
    points = np.union1d(now, before)
    return float(np.abs(_share_below(points, now) - _share_below(points, before)).max())


def _share_below(points: NDArray[np.float64], quantiles: Sequence[float]) -> NDArray[np.float64]:
    """Share of the values up to each point; where several quantiles are one value, up to and with it."""
    values, levels = np.array(quantiles), np.array(LEVELS)
    last = np.r_[np.diff(values) > 0, True]
    return np.asarray(np.interp(points, values[last], levels[last], left=0.0, right=1.0), dtype=np.float64)
