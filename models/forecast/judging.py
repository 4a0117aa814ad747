"""Judges the forecast on days that it has not seen, beside two baselines that need no learning.

The cut is in time: it learns from landmarks whose cases were due by the cut, and is asked about landmarks after it. Measures: Brier score and log loss (proper scores,
smaller is better), ROC AUC and average precision (order), expected calibration error (10 bins of equal size), share of late cases among the tenth that is held most
probable. Intervals: bootstrap over cases, since landmarks of a case are not independent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from models.forecast.learning import PRIOR, learn

NAMES = {"model": "模型", "matter": "本事项此前逾期率", "days": "按剩余工作日"}
"""The model and its baselines → what people see."""
_BINS = 10
_RESAMPLES = 200
Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Judgement:
    """How good the forecast was.

    Attributes:
        cut: Last day of what was learned from; None where nothing could be judged.
        measures: One row a forecaster: ``name``, ``brier``, ``log_loss``, ``roc_auc``, ``average_precision``, ``calibration_error``, ``top_tenth`` (share of
            the late landmarks among the tenth held most probable), ``gain``, ``gain_low``, ``gain_high``: by how much the model's log loss is smaller (95 %).
        bins: Reliability: ``name``, ``bin``, ``predicted``, ``observed``, ``landmarks``, ``late``.
        learned: Landmarks learned from, late ones among them.
        asked: Landmarks asked about, late ones among them.
        reason: Why there is no judgement, in Chinese.
    """

    cut: date | None
    measures: pd.DataFrame
    bins: pd.DataFrame
    learned: tuple[int, int] = (0, 0)
    asked: tuple[int, int] = (0, 0)
    reason: str | None = None


def judge(rows: pd.DataFrame, share: float = 0.3) -> Judgement:
    """Judges on the newest landmarks.

    Args:
        rows: Landmarks with outcome, ordered by day (:func:`models.forecast.learning.resolved`).
        share: Share of the landmarks that are asked about.
    """
    nothing = pd.DataFrame()
    if rows.empty:
        return Judgement(None, nothing, nothing, reason="没有已到期的办件，无法学习")
    cut = rows["landmark_on"].iloc[int(len(rows) * (1 - share))]
    seen, asked = rows[(rows["landmark_on"] <= cut) & (rows["due_on"] <= cut)], rows[rows["landmark_on"] > cut]
    asked = asked[~asked["case_number"].isin(seen["case_number"])]
    counts = [(len(part), int(part["is_late"].astype(bool).sum())) for part in (seen, asked)]
    model = learn(seen.reset_index(drop=True))
    if model is None:
        return Judgement(cut, nothing, nothing, counts[0], counts[1], "此前逾期的办件太少，无法学习")
    if counts[1][1] == 0 or counts[1][1] == counts[1][0]:
        return Judgement(cut, nothing, nothing, counts[0], counts[1], "检验期内没有逾期的（或没有按期的）办件，无法检验")
    truth = asked["is_late"].astype(bool).to_numpy()
    forecasts = {"model": model.probability(asked), "matter": by_matter(seen)(asked), "days": by_days_left(seen)(asked)}
    groups = pd.factorize(asked["case_number"])[0]
    measures = [{"name": name, **_measures(truth, found), **_gain(truth, forecasts["model"], found, groups)} for name, found in forecasts.items()]
    bins = pd.concat([_reliability(name, truth, found) for name, found in forecasts.items()], ignore_index=True)
    return Judgement(cut, pd.DataFrame(measures), bins, counts[0], counts[1])


def by_matter(seen: pd.DataFrame) -> Callable[[pd.DataFrame], Numbers]:
    """Baseline: the rate of late landmarks of the matter, drawn towards the city's as the model's rates are."""
    return _by(lambda rows: rows["matter_code"], seen)


def by_days_left(seen: pd.DataFrame) -> Callable[[pd.DataFrame], Numbers]:
    """Baseline: the rate of late landmarks by working days left (to ten, more count as ten), drawn likewise."""
    return _by(lambda rows: rows["days_left"].clip(-1, 10), seen)


def _by(key: Callable[[pd.DataFrame], "pd.Series[Any]"], seen: pd.DataFrame) -> Callable[[pd.DataFrame], Numbers]:
    late = seen["is_late"].astype(bool)
    base = late.mean()
    rates = late.groupby(key(seen)).agg(["sum", "count"])
    rate = (rates["sum"] + PRIOR * base) / (rates["count"] + PRIOR)
    return lambda asked: np.asarray(key(asked).map(rate).fillna(base), dtype=np.float64)


def _measures(truth: Numbers, found: Numbers) -> dict[str, float]:
    order = np.argsort(-found, kind="stable")[: max(1, len(found) // 10)]
    bins = _reliability("", truth, found)
    return {
        "brier": float(brier_score_loss(truth, found)),
        "log_loss": float(log_loss(truth, _inside(found))),
        "roc_auc": float(roc_auc_score(truth, found)),
        "average_precision": float(average_precision_score(truth, found)),
        "calibration_error": float((bins["landmarks"] * (bins["predicted"] - bins["observed"]).abs()).sum() / len(truth)),
        "top_tenth": float(truth[order].sum() / truth.sum()),
    }


def _gain(truth: Numbers, model: Numbers, other: Numbers, groups: Numbers) -> dict[str, float]:
    """By how much the model's log loss is smaller than the other's, with a 95 % interval over cases drawn again."""
    each = _losses(truth, other) - _losses(truth, model)
    sums, counts = np.bincount(groups, each), np.bincount(groups)
    draws = np.random.default_rng(0).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), _RESAMPLES)
    means = draws @ sums / (draws @ counts)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"gain": float(each.mean()), "gain_low": float(low), "gain_high": float(high)}


def _losses(truth: Numbers, found: Numbers) -> Numbers:
    inside = _inside(found)
    return -np.where(truth, np.log(inside), np.log(1 - inside))


def _inside(found: Numbers) -> Numbers:
    return np.clip(found, 1e-6, 1 - 1e-6)


def _reliability(name: str, truth: Numbers, found: Numbers) -> pd.DataFrame:
    order = np.argsort(found, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    return pd.DataFrame(
        [
            {
                "name": name, "bin": number, "predicted": float(found[part].mean()), "observed": float(truth[part].mean()),
                "landmarks": len(part), "late": int(truth[part].sum()),
            }
            for number, part in enumerate(parts, start=1)
        ]
    )  # fmt: skip
