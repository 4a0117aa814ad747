"""The door to capability scoring: an indicator system and facts in, scores out. No I/O but the system's own file."""

from dataclasses import dataclass

import pyarrow as pa

from models.capability.steps import aggregate, monthly, normalise, rank, value
from models.capability.systems import Indicator, System, load_system

__all__ = ["Indicator", "Scores", "System", "load_system", "score"]

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


def score(system: System, facts: pa.Table) -> Scores:
    """Scores every department in every month of the facts.

    An indicator's value is Σ numerator ÷ Σ denominator of the month; a month's total is the weighted mean of the
    indicators that have a value, their weights scaled up to one. Null is never zero: it has a reason.

    Args:
        system: The indicator system.
        facts: Rows of ``marts.mart_department_day`` with ``department_name``, see :func:`models.capability.steps.monthly`.
    """
    cells = normalise(value(monthly(system, facts)))
    totals = rank(aggregate(system, cells))
    return Scores(
        _with(cells, system_code=system.system_code).select(_INDICATOR_COLUMNS),
        _with(totals, system_code=system.system_code, label=system.label).select(_TOTAL_COLUMNS),
    )


def _with(table: pa.Table, **constants: str) -> pa.Table:
    for name, constant in constants.items():
        table = table.append_column(name, pa.repeat(pa.scalar(constant, pa.string()), table.num_rows))
    return table
