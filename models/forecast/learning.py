"""Learns from landmarks how probable lateness is, and says what makes it so for a case.

Few, small, strongly shrunken gradient-boosted trees on the log-odds, with the direction of three features fixed (fewer days left, a worse record of the matter
or the department never lower a probability). Larger trees, and a sigmoid fitted on the newest part, were worse calibrated on later days (docs/forecast.md).
What does not belong here: reading, judging.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier

LEAST_LATE = 30
"""Fewest late cases to learn from; with fewer, a rate by days left is all that can be said."""
PRIOR = 20.0
"""Cases of the whole city that a matter's or a department's own rate is mixed with."""
_LEVELS = 200
_CATEGORIES = ("last_activity", "channel_code", "type_code", "case_kind_code", "applicant_id_type_code")
_NUMBERS = (
    "days_left", "days_used", "days_allowed", "used", "rest_days_ahead", "steps", "corrections", "is_paused", "days_silent", "matter_rate", "matter_cases", "matter_used",
    "department_rate", "department_load",
)  # fmt: skip
_DIRECTIONS = {"days_left": -1, "matter_rate": 1, "department_rate": 1}
GROUPS = {
    "time": ("days_left", "days_used", "days_allowed", "used", "rest_days_ahead"),
    "step": ("steps", "last_activity", "days_silent"),
    "correction": ("corrections",),
    "pause": ("is_paused",),
    "matter": ("matter_rate", "matter_cases", "matter_used", "type_code", "case_kind_code"),
    "department": ("department_rate", "department_load"),
    "applicant": ("channel_code", "applicant_id_type_code"),
}
"""Features that people would name in one breath; a reason is a group."""


@dataclass(frozen=True)
class Features:
    """Landmarks as the model sees them.

    Attributes:
        frame: One row a landmark, columns of :data:`GROUPS`.
        base: Rate of lateness that rates of matters and departments are drawn towards.
    """

    frame: pd.DataFrame
    base: float


def features(rows: pd.DataFrame, base: float, levels: dict[str, list[str]]) -> Features:
    """The features of landmarks.

    Args:
        rows: Rows of :func:`models.forecast.landmarks.landmarks`.
        base: Rate of lateness of what is learned from.
        levels: Column → the codes that the model knows; any other counts as missing.
    """
    frame = rows.assign(
        used=rows["days_used"] / rows["days_allowed"].clip(lower=1),
        matter_rate=(rows["matter_late"] + PRIOR * base) / (rows["matter_cases"] + PRIOR),
        department_rate=(rows["department_late"] + PRIOR * base) / (rows["department_cases"] + PRIOR),
    )
    numbers = {name: frame[name].astype(float) for name in _NUMBERS}
    codes = {name: pd.Categorical(frame[name].astype("string").astype(object), categories=levels[name]) for name in _CATEGORIES}
    return Features(pd.DataFrame({**numbers, **codes}, index=rows.index), base)


@dataclass(frozen=True)
class Forecaster:
    """A fitted model.

    Attributes:
        base: Rate of lateness of the landmarks that it learned from.
        levels: Codes that it knows, by column.
        names: Features that it looks at: those that differed between what it learned from.
    """

    base: float
    levels: dict[str, list[str]]
    names: list[str]
    _fitted: Any
    _reference: pd.Series

    def probability(self, rows: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Probability of lateness, 0–1, one a row."""
        return self._of(self._seen(rows))

    def contributions(self, rows: pd.DataFrame) -> pd.DataFrame:
        """How much each group of features raises the log-odds against an ordinary case of the training (means, commonest codes).

        One group at a time is set to the ordinary values, the others stay: what a group does only together with another shows in both.

        Returns:
            One row a landmark, one column a group of :data:`GROUPS`.
        """
        frame = self._seen(rows)
        odds = _log_odds(self._of(frame))
        found = {}
        for group, names in GROUPS.items():
            ordinary = frame.copy()
            for name in [name for name in names if name in self.names]:
                value = self._reference[name]
                ordinary[name] = pd.Categorical([value] * len(frame), categories=self.levels[name]) if name in _CATEGORIES else float(value)
            found[group] = odds - _log_odds(self._of(ordinary))
        return pd.DataFrame(found, index=rows.index)

    def _seen(self, rows: pd.DataFrame) -> pd.DataFrame:
        found: pd.DataFrame = features(rows, self.base, self.levels).frame[self.names]
        return found

    def _of(self, frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.asarray(self._fitted.predict_proba(frame)[:, 1]) if len(frame) else np.empty(0)


def learn(rows: pd.DataFrame) -> Forecaster | None:
    """Fits on landmarks whose outcome is known.

    Args:
        rows: Landmarks with ``is_late``.

    Returns:
        None where fewer than :data:`LEAST_LATE` late cases, or no case in time, are there to learn from.
    """
    late = rows["is_late"].astype(bool)
    if rows.loc[late, "case_number"].nunique() < LEAST_LATE or late.all():
        return None
    base = float(late.mean())
    levels = {name: rows[name].dropna().astype(str).value_counts().head(_LEVELS).index.sort_values().tolist() for name in _CATEGORIES}
    frame = features(rows, base, levels).frame
    names = [name for name in frame.columns if frame[name].nunique() > 1]
    frame = frame[names]
    fitted = HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.05, max_leaf_nodes=6, min_samples_leaf=60, l2_regularization=20.0, early_stopping=False, random_state=0,
        categorical_features="from_dtype", monotonic_cst={name: way for name, way in _DIRECTIONS.items() if name in names},
    ).fit(frame, late)  # fmt: skip
    reference = pd.Series({name: frame[name].mean() if name in _NUMBERS else _commonest(frame[name]) for name in frame.columns}, dtype=object)
    return Forecaster(base, levels, names, fitted, reference)


def resolved(rows: pa.Table) -> pd.DataFrame:
    """Landmarks whose outcome is known, in the order of days."""
    frame: pd.DataFrame = rows.to_pandas()
    frame = frame[~frame["is_open"].astype(bool) & frame["is_late"].notna()]
    frame = frame.sort_values(["landmark_on", "source", "case_number"]).reset_index(drop=True)
    return frame


def _commonest(codes: "pd.Series[Any]") -> Any:
    counts = codes.value_counts()
    return counts.index[0] if counts.sum() else None


def _log_odds(probability: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    inside = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside / (1 - inside)))
