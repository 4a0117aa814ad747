"""From the facts of the warehouse to figures, and from an evaluation to the rows of ``marts.score_*``: Arrow to arrays and back."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.capability.engine import NOTHING_SCORED, REASONS, TOO_FEW_SCORED, Evaluation, Figures, aggregate
from models.capability.methods.arrays import Array
from models.capability.systems.model import System

TOLERANCE = 2e-6
"""Two roundings to six decimals."""
_INDICATOR_COLUMNS = [
    "system_code", "department_code", "department_name", "month", "indicator_code", "indicator_name", "numerator", "denominator",
    "value", "score", "weight", "null_reason",
]
_TOTAL_COLUMNS = [
    "system_code", "department_code", "department_name", "month", "score", "rank", "indicators_scored", "indicators_total", "label",
    "null_reason",
]


@dataclass(frozen=True)
class Scores:
    """Scores of departments by month.

    Attributes:
        indicators: One row a department, month and indicator, columns of ``marts.score_indicator_month``.
        totals: One row a department and month, columns of ``marts.score_department_month``.
    """

    indicators: pa.Table
    totals: pa.Table


def monthly(system: System, facts: pa.Table) -> Figures:
    """Sums facts by month, department and indicator.

    A month that a measure has no facts of has zero sums: its value is null, with a reason. Shares of days are never averaged.

    Args:
        system: The indicators wanted; measures that none of them reads are left out.
        facts: ``date`` (date32), ``department_code``, ``department_name``, ``measure_code``, ``numerator``,
            ``denominator`` (float64); one row a day, department and measure, in any order.
    """
    month = pc.floor_temporal(facts["date"], unit="month").cast(pa.date32())
    sums = (
        pa.table({"month": month, **{name: facts[name] for name in facts.column_names if name != "date"}})
        .group_by(["month", "department_code", "measure_code"], use_threads=False)
        .aggregate([("numerator", "sum"), ("denominator", "sum"), ("department_name", "max")])
    )
    months, month_of = _coded(sums["month"].cast(pa.string()))
    units, unit_of = _coded(sums["department_code"])
    measures, measure_of = _coded(sums["measure_code"])
    shape = (len(months), len(units), len(measures) + 1)  # the last column: a measure without facts
    summed = np.zeros((2, *shape))
    for number, name in enumerate(("numerator_sum", "denominator_sum")):
        summed[number, month_of, unit_of, measure_of] = np.nan_to_num(sums[name].to_numpy().astype(np.float64))
    present = np.zeros(shape[:2], dtype=bool)
    present[month_of, unit_of] = True
    place = {code: number for number, code in enumerate(measures)}
    leaves = system.indicators
    value_of = [place.get(leaf.measure or "", len(measures)) for leaf in leaves]
    denominator_of = [place.get(leaf.denominator or leaf.measure or "", len(measures)) for leaf in leaves]
    external = np.array([leaf.measure is None for leaf in leaves])
    values, denominators = summed[0][..., value_of], summed[1][..., denominator_of]
    # nothing was imported for an external indicator, and nobody without facts in a month is scored in it
    values[~present] = denominators[~present] = np.nan
    values[..., external] = denominators[..., external] = np.nan
    names = np.full(len(units), "", dtype=object)
    for unit, name in zip(unit_of, sums["department_name_max"].to_pylist(), strict=True):
        names[unit] = max(names[unit], name or "")
    return Figures(tuple(units), tuple(names), tuple(months), values, denominators, ~external, present)


def rows(evaluation: Evaluation) -> Scores:
    """The evaluation as rows, ordered by month, department and indicator code."""
    system, figures = evaluation.system, evaluation.figures
    leaves = system.indicators
    period, unit = np.nonzero(figures.present)
    order = np.argsort([leaf.code for leaf in leaves], kind="stable")

    def cells(values: NDArray[np.generic]) -> NDArray[np.generic]:
        return values[period, unit][:, order].ravel()

    points = cells(evaluation.normalised)
    reasons = pa.array([None, *REASONS[1:]], pa.string()).take(pa.array(cells(evaluation.reasons)))
    nothing = pa.scalar(None, pa.string())
    has_points = pa.array(~np.isnan(points.astype(np.float64)))
    per_cell = np.repeat(np.arange(len(period)), len(leaves))
    indicators = {
        "indicator_code": pa.array([leaves[i].code for i in order] * len(period), pa.string()),
        "indicator_name": pa.array([leaves[i].name for i in order] * len(period), pa.string()),
        "numerator": _column(cells(figures.values)),
        "denominator": _column(cells(np.zeros(figures.values.shape) if figures.denominators is None else figures.denominators)),
        "value": _column(cells(evaluation.shrunk)),
        "score": _column(points),
        "weight": _column(np.tile(np.array([leaves[i].weight for i in order], dtype=np.float64), len(period))),
        "null_reason": pc.if_else(has_points, nothing, reasons),
    }
    score, scored = evaluation.score[period, unit], evaluation.scored[period, unit]
    rank = evaluation.rank[period, unit]
    few = pc.if_else(pa.array(rank > 0), nothing, pa.scalar(TOO_FEW_SCORED))
    totals = {
        "score": _column(score),
        "rank": pa.array(rank, pa.int32(), mask=rank == 0),
        "indicators_scored": pa.array(scored, pa.int32()),
        "indicators_total": pa.array(np.full(len(period), len(leaves)), pa.int32()),
        "label": pa.array([system.label] * len(period), pa.string()),
        "null_reason": pc.if_else(pa.array(np.isnan(score)), pa.scalar(NOTHING_SCORED), few),
    }
    keys = {
        "system_code": pa.array([system.system_code] * len(period), pa.string()),
        "department_code": pa.array([figures.units[u] for u in unit], pa.string()),
        "department_name": pa.array([figures.names[u] for u in unit], pa.string()),
        "month": pa.array([figures.periods[p] for p in period], pa.string()).cast(pa.date32()),
    }
    wide = {name: column.take(pa.array(per_cell)) for name, column in keys.items()}
    return Scores(pa.table(wide | indicators).select(_INDICATOR_COLUMNS), pa.table(keys | totals).select(_TOTAL_COLUMNS))


def mismatches(system: System, scores: Scores) -> pa.Table:
    """Stored totals that do not equal their stored components.

    Args:
        system: The system of the scores.
        scores: Rows as they were stored; rows of other systems are left out.

    Returns:
        ``department_code``, ``month``, ``stored``, ``computed`` of each total that differs or is null where the other is
        not; empty when all is well.
    """
    ours = pc.field("system_code") == system.system_code
    cells, totals = scores.indicators.filter(ours), scores.totals.filter(ours)
    place = {leaf.code: number for number, leaf in enumerate(system.indicators)}
    keys = list(zip(totals["department_code"].to_pylist(), totals["month"].to_pylist(), strict=True))
    row_of = {key: number for number, key in enumerate(keys)}
    points = np.full((len(keys), len(place)), np.nan)
    for department, month, code, score in zip(*(cells[name].to_pylist() for name in ("department_code", "month", "indicator_code", "score")), strict=True):
        if score is not None and code in place and (department, month) in row_of:
            points[row_of[department, month], place[code]] = score
    # a month is judged by itself: what compares units must see those of its month only
    computed = np.full(len(keys), np.nan)
    for month in {month for _, month in keys}:
        inside = np.array([key[1] == month for key in keys])
        computed[inside] = aggregate(system, points[inside][None], 6)[0][system.code][0]
    stored = totals["score"].to_numpy().astype(np.float64)
    same = (np.isnan(stored) & np.isnan(computed)) | (np.abs(stored - computed) <= TOLERANCE)
    wrong = np.flatnonzero(~same)
    return pa.table(
        {
            "department_code": pa.array([keys[i][0] for i in wrong], pa.string()), "month": pa.array([keys[i][1] for i in wrong], pa.date32()),
            "stored": _column(stored[wrong]), "computed": _column(computed[wrong]),
        }
    )  # fmt: skip


def _coded(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.intp]]:
    """The different values in their order, and each row's number among them."""
    values, numbers = np.unique(np.array(column.to_pylist(), dtype=object).astype(str), return_inverse=True)
    return [str(value) for value in values], numbers


def _column(values: Array | NDArray[np.generic]) -> pa.Array:
    """Numbers, null for NaN."""
    numbers = np.ascontiguousarray(values, dtype=np.float64)
    return pa.array(numbers, pa.float64(), mask=np.isnan(numbers))
