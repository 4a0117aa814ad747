"""The door to forecasts: which open cases will probably be late, and how good that forecast has been. Model card: docs/forecast.md."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from models.domain.calendar import WorkCalendar
from models.domain.codes import label
from models.forecast.judging import NAMES, Judgement, by_days_left, judge
from models.forecast.landmarks import landmarks
from models.forecast.learning import Forecaster, learn, resolved

__all__ = ["CASES", "NAMES", "Forecast", "forecast", "no_forecast"]

CASES = pa.schema(
    {
        "source": pa.string(), "case_number": pa.string(), "matter_code": pa.string(), "department_code": pa.string(), "due_on": pa.date32(), "days_left": pa.int32(),
        "probability": pa.float64(), "place": pa.int32(), "reasons": pa.string(),
    }
)  # fmt: skip
"""One row an open case that is not late yet, the most probable first (``place``)."""
_CLEAR = 0.1
"""Log-odds that a reason must add at least."""
_REASONS = 2


@dataclass(frozen=True)
class Forecast:
    """The forecast of one day.

    Attributes:
        today: The day.
        method: ``model``, or ``days`` where too few late cases are there to learn from: the past rate by working days left. None: nothing is past due yet.
        cases: Open cases, columns of :data:`CASES`.
        judgement: How good the forecast was on days that it had not seen.
    """

    today: date
    method: str | None
    cases: pa.Table
    judgement: Judgement


def forecast(masked: Path, today: date, calendar: WorkCalendar, most_cases: int = 100_000) -> Forecast:
    """Forecasts lateness for every open case that has a due day and is not late yet.

    Args:
        masked: DuckDB file of the masked marts.
        today: The day of ``as_of``.
        calendar: The work calendar of the city.
        most_cases: About how many past cases are learned from.
    """
    rows = landmarks(masked, today, calendar, most_cases)
    past = resolved(rows)
    ahead = rows.to_pandas()
    ahead = ahead[ahead["is_open"].astype(bool)].reset_index(drop=True)
    model = learn(past) if len(past) else None
    method = "model" if model else "days" if len(past) else None
    probability = model.probability(ahead) if model else by_days_left(past)(ahead) if len(past) else np.full(len(ahead), np.nan)
    found = ahead.assign(
        probability=probability, reasons=_reasons(model, ahead) if model else [f"剩余 {days} 个工作日" for days in ahead["days_left"]]
    ).sort_values(["probability", "days_left", "source", "case_number"], ascending=[False, True, True, True])
    found["place"] = np.arange(1, len(found) + 1)
    return Forecast(today, method, pa.Table.from_pandas(found[CASES.names], schema=CASES, preserve_index=False), judge(past))


def no_forecast(today: date, reason: str) -> Forecast:
    """A day for which none was made.

    Args:
        today: The day.
        reason: Why, in Chinese.
    """
    return Forecast(today, None, CASES.empty_table(), Judgement(None, pd.DataFrame(), pd.DataFrame(), reason=reason))


def _reasons(model: Forecaster, rows: pd.DataFrame) -> list[str]:
    """What raises each probability most, in Chinese with its figures; at most two, and none that hardly matters."""
    if rows.empty:
        return []
    raises = model.contributions(rows)
    words = pd.DataFrame({name: _words(name, rows) for name in raises.columns}, index=rows.index).to_numpy()
    order = np.argsort(-raises.to_numpy(), axis=1, kind="stable")[:, :_REASONS]
    picked = np.take_along_axis(words, order, axis=1)
    clear = np.take_along_axis(raises.to_numpy(), order, axis=1) >= _CLEAR
    return ["；".join(word for word, is_clear in zip(*pair, strict=True) if is_clear) for pair in zip(picked, clear, strict=True)]


def _words(group: str, rows: pd.DataFrame) -> "pd.Series[str]":
    def text(name: str) -> "pd.Series[str]":
        return rows[name].astype(str)

    match group:
        case "time":
            return "剩余 " + text("days_left") + " 个工作日，已用 " + text("days_used") + " 个"
        case "step":
            names = {code: label("L.activity", code) for code in rows["last_activity"].dropna().unique()}
            return "最近环节“" + rows["last_activity"].map(names).fillna("无") + "”之后已过 " + text("days_silent") + " 个工作日"
        case "correction":
            return "已要求补正 " + text("corrections") + " 次"
        case "pause":
            return pd.Series(np.where(rows["is_paused"].astype(bool), "正在特别程序中", "没有特别程序"), index=rows.index)
        case "matter":
            return "本事项此前到期 " + text("matter_cases") + " 件，逾期 " + text("matter_late") + " 件"
        case "department":
            return "本部门在办 " + text("department_open") + " 件，此前到期 " + text("department_cases") + " 件，逾期 " + text("department_late") + " 件"
        case _:
            return pd.Series("同一渠道、同类申请人的办件较常逾期", index=rows.index)
