"""The door to capability scoring: an indicator system and figures in, scores out. No I/O but the files that are named."""

import pyarrow as pa

from models.capability.decomposition import Change, Part, decompose
from models.capability.engine import DIGITS, Evaluation, Figures, evaluate
from models.capability.facts import Scores, mismatches, monthly, rows
from models.capability.robustness import (
    Choices,
    Gain,
    Intervals,
    LeftOut,
    Sensitivity,
    gains,
    intervals,
    left_out,
    sensitivity,
    with_intervals,
)
from models.capability.systems.loading import load_system, shipped_systems
from models.capability.systems.model import Indicator, Node, System
from models.capability.systems.model import parts as system_parts
from models.capability.table import STAGES, TableScores, result, score_table, stage, write_csv

__all__ = [
    "STAGES", "Change", "Choices", "Evaluation", "Figures", "Gain", "Indicator", "Intervals", "LeftOut", "Node", "Part", "Scores", "Sensitivity", "System",
    "TableScores", "decompose", "evaluate", "gains", "intervals", "left_out", "load_system", "mismatches", "monthly", "result", "score", "score_table",
    "sensitivity", "shipped_systems", "stage", "system_parts", "with_intervals", "write_csv",
]  # fmt: skip


def score(system: System, facts: pa.Table) -> Scores:
    """Scores every department in every month of the facts.

    An indicator's value is Σ numerator ÷ Σ denominator of the month; null is never zero: it has a reason.

    Args:
        system: The indicator system; its external indicators have no value here.
        facts: Rows of ``marts.mart_department_day`` with ``department_name``, see :func:`models.capability.facts.monthly`.
    """
    return rows(evaluate(system, monthly(system, facts), DIGITS))
