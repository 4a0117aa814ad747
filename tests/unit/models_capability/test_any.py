"""Any system over any values: a defined result or a clear refusal, never a warning of NumPy or a figure that is not its parts."""

from typing import Any

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from models.capability.engine import Figures, evaluate
from models.capability.methods import aggregation
from models.capability.methods.arrays import Array, places
from models.capability.service import Evaluation, Node, System, decompose, gains, intervals, left_out
from models.capability.systems.model import nodes
from models.domain.errors import YiwangError
from tests.support.examples import examples

number = st.one_of(
    st.floats(-100, 100).map(lambda x: round(x, 2)), st.floats(0, 1), st.integers(0, 3).map(float), st.just(np.nan),
    st.floats(-100, 100), st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1e308, -1e308, 5e-324]),
)  # fmt: skip
outliers = st.sampled_from(
    [{"method": "none"}, {"method": "winsorise"}, {"method": "winsorise", "points": 1, "then": "log"}, {"method": "boxcox", "skewness": 0.5, "kurtosis": 0.5}, {"method": "log"}]
)
missing = st.sampled_from([{"method": name} for name in ("redistribute", "mean", "median", "previous", "refuse")] + [{"method": "constant", "value": 1}])
relative = st.sampled_from(
    [{"method": "minmax"}, {"method": "minmax", "points": [1, 100]}, {"method": "zscore"}, {"method": "rank"}, {"method": "rank", "points": [1, 100]}]
)
absolute = st.sampled_from(
    [{"method": "share"}, {"method": "minmax", "low": -1, "high": 2.5}, {"method": "target", "low": 0, "high": 5}, {"method": "steps", "steps": [{"from": 0, "points": 20}, {"from": 1, "points": 90}]}]
)  # fmt: skip


@st.composite
def systems(draw: st.DrawFn) -> System:
    """Two nodes of two indicators, one indicator beside them."""

    def leaf(code: str) -> dict[str, Any]:
        kind = draw(st.booleans())
        rule = draw(relative if kind else absolute)
        return {
            "code": code, "name": code.lower(), "direction": draw(st.sampled_from(["higher", "lower"])), "missing": draw(missing), "target": 2.0,
            "normalisation": rule, "outliers": draw(outliers) if kind else {"method": "none"},
            "denominator": draw(st.sampled_from([None, "D"])), "shrinkage": "none",
        }  # fmt: skip

    def node(code: str, children: list[dict[str, Any]]) -> dict[str, Any]:
        weighting = draw(st.sampled_from(["given", "equal", "entropy", "critic", "pca"]))
        weights = {"given": [0.3, 0.7] if len(children) == 2 else [0.2, 0.3, 0.5]}.get(weighting, [None] * len(children))
        return {
            "code": code, "name": code.lower(), "aggregation": draw(st.sampled_from(["arithmetic", "arithmetic", "geometric", "harmonic", "topsis"])),
            "weighting": weighting, "children": [child | {"weight": weight} for child, weight in zip(children, weights, strict=True)],
        }  # fmt: skip

    root = node("S", [node("N1", [leaf("A"), leaf("B")]), node("N2", [leaf("C"), leaf("E")]), leaf("F")])
    return System.model_validate(
        {key if key != "code" else "system_code": value for key, value in root.items()}
        | {"year": 2026, "label": "自评", "weight_source": "assumed", "defaults": {"unit": "%", "external": "表"}, "reference": draw(st.sampled_from(["each", "all"]))}
        | {"minimum_indicators": draw(st.integers(1, 3)), "bands": [{"name": "高", "from": 50}, {"name": "低"}]}
    )  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> tuple[System, Figures]:
    system = draw(systems())
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 7)))
    size = shape[0] * shape[1] * 5
    values, divisors = (np.array(draw(st.lists(number, min_size=size, max_size=size))).reshape(*shape, 5) for _ in range(2))
    is_divided = np.array([leaf.denominator is not None for leaf in system.indicators])
    names = tuple(f"U{n}" for n in range(shape[1]))
    present = np.array(draw(st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))).reshape(shape) | (draw(st.integers(0, 2)) > 0)
    values[~present] = divisors[~present] = np.nan
    return system, Figures(names, names, tuple(map(str, range(shape[0]))), values, divisors, is_divided, present)


@settings(deadline=None, max_examples=examples(200))
@given(cases())
def test_a_defined_result_or_a_refusal(case: tuple[System, Figures]) -> None:
    system, figures = case
    try:
        found = evaluate(system, figures)
    except YiwangError as refusal:
        event("refused")
        assert refusal.code == "YW-SCORE-003" and refusal.message.endswith("。")
        return
    event("scored")
    assert not np.isinf(found.normalised).any() and not np.isinf(found.score).any()
    assert np.isnan(found.score[(found.scored == 0) | ~figures.present]).all()
    if not has_weightless(system):
        assert not np.isnan(found.score[found.scored > 0]).any()
    assert ((found.reasons > 0) | ~np.isnan(found.denominated) | ~figures.present[..., None]).all()
    assert_parts(found)
    ranked = np.where(found.scored >= system.minimum_indicators, found.score.round(6), np.nan)
    assert np.array_equal(found.rank, places(ranked)) and np.array_equal(found.band >= 0, ~np.isnan(found.score))


def has_weightless(system: System) -> bool:
    """Whether points may lead to no score: TOPSIS among units that it cannot tell apart, weights of zero from the data."""
    return any(node.aggregation == "topsis" or node.weighting not in ("given", "equal") for node in nodes(system))


def assert_parts(found: Evaluation) -> None:
    """Every node's points are the mean of its children's by their weights."""
    place = {leaf.code: n for n, leaf in enumerate(found.system.indicators)}
    for node in nodes(found.system):
        if node.aggregation == "topsis":
            continue
        held = np.stack([found.nodes[c.code] if isinstance(c, Node) else found.normalised[..., place[c.code]] for c in node.scored], axis=-1)
        weights = np.broadcast_to(found.weights[node.code], held.shape)
        assert np.allclose(weights.sum(axis=-1), 1) and (weights >= 0).all()
        for index in np.ndindex(*held.shape[:2]):
            known = ~np.isnan(held[index])
            expected = mean(held[index][known], weights[index][known], node.aggregation)
            assert np.isclose(found.nodes[node.code][index], expected, rtol=1e-9, atol=1e-9, equal_nan=True)


def mean(points: Array, weights: Array, kind: str) -> float:
    if not len(points) or weights.sum() <= 0:
        return np.nan
    return float(aggregation.backward(np.average(aggregation.forward(points, kind), weights=weights), kind))


@settings(deadline=None, max_examples=examples(120))
@given(cases())
def test_what_is_made_of_a_result_is_defined_too(case: tuple[System, Figures]) -> None:
    system, figures = case
    try:
        found = evaluate(system, figures)
    except YiwangError:
        return
    change = decompose(found, found, 0, len(figures.periods) - 1)
    both = ~np.isnan(change.before + change.after)
    total = sum((part.points for part in change.parts), np.zeros(len(figures.units)))
    assert np.allclose(total[both], (change.after - change.before)[both], rtol=0, atol=1e-6)
    for then in (lambda: check_intervals(found), lambda: left_out(found), lambda: gains(found, 0)):
        try:
            then()
        except YiwangError as refusal:  # without an indicator, or with a better value, a geometric mean may meet a zero
            assert refusal.code == "YW-SCORE-003"


def check_intervals(found: Evaluation) -> None:
    if (found.rank[-1] > 0).any():
        drawn = intervals(found, 16)
        assert (drawn.low >= 1).all() and (drawn.high <= len(drawn.units)).all()
