"""The steps from facts to a score, each a pure function over whole Arrow tables.

facts → :func:`monthly` → :func:`value` → :func:`normalise` → :func:`aggregate` → :func:`rank`.
A deeper method replaces one step and leaves the others alone. What does not belong here: SQL, files.
"""

import pyarrow as pa
import pyarrow.compute as pc

from models.capability.systems import System

NO_DENOMINATOR = "no_denominator"
BELOW_MINIMUM = "below_minimum"
NOTHING_SCORED = "no_indicator_scored"
TOO_FEW_SCORED = "too_few_indicators"

_CELL = ["month", "department_code", "measure_code"]
_ROW = ["month", "department_code"]
_DIGITS = 6
"""Decimals of a score: equal figures must be equal, so that ties are ties on every machine."""


def monthly(system: System, facts: pa.Table) -> pa.Table:
    """Sums facts by department, month and indicator; a cell without facts has zero sums.

    Args:
        system: The indicators wanted; measures that none of them reads are left out.
        facts: ``date`` (date32), ``department_code``, ``department_name``, ``measure_code``, ``numerator``,
            ``denominator`` (float64); one row a day, department and measure, in any order.

    Returns:
        Every department and month of the facts × every indicator, ordered: ``month`` (its first day), ``department_code``,
        ``department_name``, ``indicator_code``, ``indicator_name``, ``measure_code``, ``weight``, ``is_higher_better``,
        ``minimum_denominator``, ``numerator``, ``denominator``.
    """
    month = pc.floor_temporal(facts["date"], unit="month").cast(pa.date32())
    facts = facts.append_column("month", month)
    sums = facts.group_by(_CELL).aggregate([("numerator", "sum"), ("denominator", "sum")])
    names = facts.group_by("department_code").aggregate([("department_name", "max")])
    cells = _cross(facts.group_by(_ROW).aggregate([]), _indicators(system))
    cells = cells.join(sums, _CELL).join(names, "department_code")
    cells = cells.rename_columns([name.removesuffix("_sum").removesuffix("_max") for name in cells.column_names])
    for name in ("numerator", "denominator"):
        cells = _put(cells, name, pc.fill_null(cells[name].cast(pa.float64()), 0.0))
    return cells.sort_by([("month", "ascending"), ("department_code", "ascending"), ("indicator_code", "ascending")])


def value(cells: pa.Table) -> pa.Table:
    """Adds ``value`` = numerator ÷ denominator, null where the denominator is zero or too small, and ``null_reason``."""
    denominator = cells["denominator"]
    empty = pc.less_equal(denominator, 0.0)
    small = pc.less(denominator, cells["minimum_denominator"])
    nothing = pa.scalar(None, pa.string())
    reason = pc.if_else(empty, NO_DENOMINATOR, pc.if_else(small, BELOW_MINIMUM, nothing))
    divided = pc.divide(cells["numerator"], pc.if_else(empty, 1.0, denominator))
    found = pc.if_else(pc.is_null(reason), divided, pa.scalar(None, pa.float64()))
    return cells.append_column("value", found).append_column("null_reason", reason)


def normalise(cells: pa.Table) -> pa.Table:
    """Adds ``score``, 0–100 points: 100 × the share, or 100 × (1 − share) where lower is better; null stays null."""
    share = pc.min_element_wise(pc.max_element_wise(cells["value"], 0.0, skip_nulls=False), 1.0, skip_nulls=False)
    points = pc.multiply(pc.if_else(cells["is_higher_better"], share, pc.subtract(1.0, share)), 100.0)
    return cells.append_column("score", pc.round(points, _DIGITS))


def aggregate(system: System, cells: pa.Table) -> pa.Table:
    """Weighted mean of the indicators that have a score: weights of the others are shared out in proportion.

    Returns:
        One row a month and department: ``score`` (null where no indicator has one), ``indicators_scored``,
        ``indicators_total``, ``null_reason`` (why there is no score, or why the score takes no rank).
    """
    weight = pc.if_else(pc.is_null(cells["score"]), pa.scalar(None, pa.float64()), cells["weight"])
    cells = cells.append_column("counted", weight).append_column("points", pc.multiply(cells["score"], weight))
    sums = cells.group_by([*_ROW, "department_name"], use_threads=False).aggregate(
        [("points", "sum"), ("counted", "sum"), ("score", "count")]
    )
    score = pc.round(pc.divide(sums["points_sum"], sums["counted_sum"]), _DIGITS)
    few = pc.less(sums["score_count"], system.minimum_indicators)
    reason = pc.if_else(pc.is_null(score), NOTHING_SCORED, pc.if_else(few, TOO_FEW_SCORED, pa.scalar(None, pa.string())))
    total = pa.repeat(pa.scalar(len(system.indicators), pa.int32()), sums.num_rows)
    columns = {
        "month": sums["month"], "department_code": sums["department_code"], "department_name": sums["department_name"], "score": score,
        "indicators_scored": sums["score_count"].cast(pa.int32()), "indicators_total": total, "null_reason": reason,
    }
    return pa.table(columns)


def rank(totals: pa.Table) -> pa.Table:
    """Adds ``rank`` within each month, 1 for the best; equal scores share a rank and the next one is skipped."""
    scored = totals.filter(pc.is_null(totals["null_reason"])).select([*_ROW, "score"])
    scored = scored.sort_by([("month", "ascending"), ("score", "descending")])
    scored = scored.append_column("place", pa.array(range(scored.num_rows), pa.int32()))
    tied = scored.group_by(["month", "score"]).aggregate([("place", "min")]).rename_columns(["month", "score", "tied"])
    first = scored.group_by("month").aggregate([("place", "min")]).rename_columns(["month", "first"])
    scored = scored.join(tied, ["month", "score"]).join(first, "month")
    places = pc.add(pc.subtract(scored["tied"], scored["first"]), pa.scalar(1, pa.int32()))
    ranks = scored.select(_ROW).append_column("rank", places)
    return totals.join(ranks, _ROW).sort_by([("month", "ascending"), ("department_code", "ascending")])


def _indicators(system: System) -> pa.Table:
    listed = system.indicators
    return pa.table(
        {
            "indicator_code": [i.code for i in listed],
            "indicator_name": [i.name for i in listed],
            "measure_code": [i.measure_code for i in listed],
            "weight": pa.array([i.weight for i in listed], pa.float64()),
            "is_higher_better": [i.direction == "higher" for i in listed],
            "minimum_denominator": pa.array([i.minimum_denominator for i in listed], pa.float64()),
        }
    )


def _cross(left: pa.Table, right: pa.Table) -> pa.Table:
    """Every row of one table beside every row of the other."""
    key = "_one"
    both = [table.append_column(key, pa.repeat(pa.scalar(1, pa.int8()), table.num_rows)) for table in (left, right)]
    return both[0].join(both[1], key).drop_columns([key])


def _put(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)
