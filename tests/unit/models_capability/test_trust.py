"""Changes that sum up, ranks that hold or do not, and what would help most."""

from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.capability.engine import Figures, evaluate
from models.capability.methods.arrays import Array
from models.capability.robustness import sobol_indices
from models.capability.service import Choices, Evaluation, System, decompose, gains, intervals, left_out, sensitivity
from models.domain.errors import YiwangError
from tests.support.examples import examples

KINDS = ("arithmetic", "geometric", "harmonic", "topsis")


def system(kinds: tuple[str, str, str] = ("arithmetic",) * 3, weights: tuple[float, float] = (0.6, 0.4), **keys: Any) -> System:
    """Two nodes of two indicators and one indicator beside them."""

    def leaf(number: int, **more: Any) -> dict[str, Any]:
        return {"code": f"I{number}", "name": f"指标{number}", "direction": "lower" if number == 3 else "higher", **more}

    content = {
        "system_code": "S", "name": "总", "year": 2026, "label": "自评", "weight_source": "assumed", "aggregation": kinds[0],
        "children": [
            {"code": "N1", "name": "一", "weight": 0.5, "aggregation": kinds[1], "children": [leaf(0, weight=weights[0]), leaf(1, weight=weights[1])]},
            {"code": "N2", "name": "二", "weight": 0.3, "aggregation": kinds[2], "children": [leaf(2, weight=weights[1]), leaf(3, weight=weights[0])]},
            leaf(4, weight=0.2),
        ],
        "defaults": {"unit": "%", "external": "表", "normalisation": {"method": "minmax", "low": 0, "high": 100, "points": [1, 100]}},
    } | keys  # fmt: skip
    return System.model_validate(content)


def figures(values: Array) -> Figures:
    """Values (periods, units, 5)."""
    periods, units, indicators = values.shape
    names = tuple(f"U{n}" for n in range(units))
    return Figures(names, names, tuple(map(str, range(periods))), values, None, np.zeros(indicators, dtype=bool), np.ones((periods, units), dtype=bool))


number = st.floats(0, 100).map(lambda x: round(x, 4)) | st.just(np.nan)
tables = st.lists(st.lists(st.lists(number, min_size=5, max_size=5), min_size=3, max_size=3), min_size=2, max_size=2).map(np.array)


@settings(deadline=None, max_examples=examples(120))
@given(tables, st.tuples(*[st.sampled_from(KINDS)] * 3), st.sampled_from(["each", "all"]))
def test_the_parts_of_a_change_sum_to_it(values: Array, kinds: tuple[str, str, str], reference: str) -> None:
    if kinds[0] in ("geometric", "harmonic"):  # TOPSIS gives 0 points, which those do not take
        kinds = (kinds[0], *("arithmetic" if kind == "topsis" else kind for kind in kinds[1:]))  # type: ignore[assignment]
    found = evaluate(system(kinds, reference=reference), figures(values))
    change = decompose(found, found, 0, 1)
    total = sum((part.points for part in change.parts), np.zeros(3))
    both = ~np.isnan(change.before) & ~np.isnan(change.after)
    np.testing.assert_allclose(total[both], (change.after - change.before)[both], rtol=0, atol=1e-9)
    assert all(np.isnan(part.points[~both]).all() for part in change.parts)


def test_a_change_by_hand() -> None:
    """The points of I0 rise by 20 × 0.99: half of the whole, 0.6 of its node; I4 disappears and gives its 0.2 to the nodes."""
    values = np.array([[[50, 50, 50, 50, 50]], [[70, 50, 50, 50, 50]], [[70, 50, 50, 50, np.nan]]], dtype=float)
    found = evaluate(system(), figures(values))
    rise = {(part.code, part.kind): part.points[0] for part in decompose(found, found, 0, 1).parts}
    assert rise == {("I0", "value"): pytest.approx(20 * 0.99 * 0.6 * 0.5)}
    gone = decompose(found, found, 1, 2)
    assert {part.kind for part in gone.parts} == {"weight"}
    assert sum(part.points[0] for part in gone.parts) == pytest.approx(gone.after[0] - gone.before[0], abs=1e-12)


def test_an_unchanged_unit_has_no_parts_and_weights_of_a_new_version_are_parts() -> None:
    values = np.array([[[10, 20, 30, 40, 50], [60, 20, 90, 10, 5]]], dtype=float)
    found = evaluate(system(), figures(values))
    assert decompose(found, found, 0, 0).parts == ()
    later = evaluate(system(weights=(0.2, 0.8)), figures(values))
    change = decompose(found, later, 0, 0)
    assert {part.kind for part in change.parts} == {"weight"} and {part.code for part in change.parts} == {"I0", "I1", "I2", "I3"}
    assert sum(part.points for part in change.parts) == pytest.approx(change.after - change.before)


def test_a_change_under_another_tree_is_refused() -> None:
    values = np.ones((1, 2, 5))
    with pytest.raises(YiwangError, match="指标结构或单位不同"):
        decompose(evaluate(system(), figures(values)), evaluate(system(("geometric", "arithmetic", "arithmetic")), figures(values)), 0, 0)


def example(units: int = 12) -> Evaluation:
    return evaluate(system(), figures(np.random.default_rng(4).uniform(5, 95, (1, units, 5))))


def test_without_a_choice_every_draw_is_the_published_ranking() -> None:
    found = example()
    same = intervals(found, 50, choices=Choices(("own",), ("own",), 0))
    assert same.low.tolist() == same.median.tolist() == same.high.tolist() == same.rank.tolist() == found.rank[0].tolist()


def test_draws_are_those_of_scoring_again_one_by_one() -> None:
    """Weights, normalisation and aggregation drawn at once are what the engine gives for each draw by itself."""
    from models.capability.robustness import _Alternatives

    values = np.random.default_rng(7).uniform(5, 95, (1, 6, 5))
    values[0, 2, 0] = values[0, 3, 4] = np.nan
    found = evaluate(system(("geometric", "arithmetic", "harmonic")), figures(values))
    model = _Alternatives(found, 0, Choices(("own",), ("own",), 0.5))
    uniform = np.random.default_rng(8).random((4, model.dimensions))
    for row, scores in zip(uniform, model.scores(uniform), strict=True):
        factors = {code: 1 + 0.5 * (2 * row[at] - 1) for code, at in model.factors.items()}
        again = system(("geometric", "arithmetic", "harmonic")).model_copy(update={"children": tuple(weighted(found.system, factors))})
        assert scores == pytest.approx(evaluate(again, figures(values)).score[0])


def weighted(node: Any, factors: dict[str, Array]) -> Iterator[Any]:
    for child, factor in zip(node.children, factors[node.code], strict=True):
        below = {"children": tuple(weighted(child, factors))} if hasattr(child, "children") else {}
        yield child.model_copy(update={"weight": child.weight * factor, **below})


def test_intervals_are_the_same_for_the_same_seed_and_hold_the_ranks_that_choices_give() -> None:
    found = example()
    one, again, other = (intervals(found, 400, seed=seed) for seed in (1, 1, 2))
    assert one.low.tolist() == again.low.tolist() and one.high.tolist() == again.high.tolist()
    assert (one.low <= one.median).all() and (one.median <= one.high).all() and (one.high > one.low).any()
    assert np.abs(one.median - other.median).max() <= 1


def test_a_unit_that_is_best_in_everything_is_first_in_every_draw() -> None:
    values = np.random.default_rng(4).uniform(20, 80, (1, 10, 5))
    values[0, 3] = [99, 99, 99, 1, 99]
    found = intervals(evaluate(system(), figures(values)), 300)
    assert (found.low[3], found.high[3]) == (1, 1)


def test_units_without_a_rank_take_no_part() -> None:
    values = np.random.default_rng(4).uniform(20, 80, (1, 5, 5))
    values[0, 1] = np.nan
    found = evaluate(system(), figures(values))
    assert intervals(found, 20).units.tolist() == [0, 2, 3, 4] and found.rank[0, 1] == 0


def test_sobol_indices_of_a_function_whose_indices_are_known() -> None:
    """Ishigami: f = sin x1 + 7 sin² x2 + 0.1 x3⁴ sin x1 over −π to π; with a factor of two inputs that do nothing."""

    def ishigami(uniform: Array) -> Array:
        x = (uniform * 2 - 1) * np.pi
        return (np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0]))[:, None]

    first, total = sobol_indices(ishigami, [slice(0, 1), slice(1, 2), slice(2, 3), slice(3, 5)], 5, 4096)
    assert first[:, 0] == pytest.approx([0.3139, 0.4424, 0, 0], abs=0.01)
    assert total[:, 0] == pytest.approx([0.5576, 0.4424, 0.2437, 0], abs=0.01)
    with pytest.raises(YiwangError, match="2 的幂"):
        sobol_indices(ishigami, [slice(0, 5)], 5, 1000)


def test_sensitivity_names_the_choice_that_matters() -> None:
    found = sensitivity(example(), 256)
    assert found.factors == ("normalisation", "aggregation", "S", "N1", "N2") and found.unit_first.shape == (5, 12)
    assert (found.total >= found.first - 0.1).all() and 0.8 < found.total.sum() < 2
    only = sensitivity(example(), 64, choices=Choices(("own",), ("own", "geometric"), 0))
    assert only.first == pytest.approx([0, 1, 0, 0, 0], abs=1e-9) and only.total == pytest.approx([0, 1, 0, 0, 0], abs=1e-9)


def test_leaving_an_indicator_out_is_scoring_without_it() -> None:
    values = np.random.default_rng(4).uniform(5, 95, (1, 12, 5))
    found = evaluate(system(), figures(values))
    result = left_out(found)
    assert {one.code for one in result} == {f"I{n}" for n in range(5)} and [one.mean_shift for one in result] == sorted((o.mean_shift for o in result), reverse=True)
    without = values.copy()
    without[:, :, 4] = np.nan  # an indicator that nobody has weighs nothing
    shift = np.abs(evaluate(system(), figures(without)).rank[0] - found.rank[0])
    (one,) = [one for one in result if one.code == "I4"]
    assert one.mean_shift == pytest.approx(shift.mean()) and one.largest_shift == shift.max() == shift[one.unit]


def test_gains_are_what_scoring_again_gives() -> None:
    values = np.random.default_rng(4).uniform(5, 95, (2, 8, 5))
    found = evaluate(system(), figures(values))
    result = gains(found, 2)
    assert [gain.gain for gain in result] == sorted((gain.gain for gain in result), reverse=True) and len(result) >= 3
    for gain in result:
        place = int(gain.code[1:])
        column = values[1, :, place]
        assert gain.value == column[2] and gain.goal == pytest.approx(column.min() if place == 3 else column.max())
        changed = values.copy()
        changed[1, 2, place] = gain.goal
        again = evaluate(system(), figures(changed))
        assert (gain.score, gain.rank) == (pytest.approx(again.score[1, 2]), again.rank[1, 2])
        assert gain.gain == pytest.approx(again.score[1, 2] - found.score[1, 2]) and gain.gain >= 0
    half = {gain.code: gain for gain in gains(found, 2, part=0.5)}
    assert all(half[gain.code].gain == pytest.approx(gain.gain / 2) for gain in result)


def test_a_mean_of_two_is_attributed_as_shapley_does() -> None:
    """Under TOPSIS a child at a time, in the orders of the rotations, is close to all orders; here all orders are taken."""
    points = np.array([[10.0, 80.0], [60.0, 20.0]])
    table = np.zeros((2, 3, 5))
    table[:, 0, :2], table[:, 1, :2], table[:, 2, :2] = points, [90, 90], [5, 5]
    table[:, :, 2:] = 50
    found = evaluate(system(("arithmetic", "topsis", "arithmetic")), figures(table))
    change = decompose(found, found, 0, 1)
    parts = {(part.code, part.kind): part.points[0] for part in change.parts}
    closeness = {}
    for chosen in product((0, 1), repeat=2):
        mixed = table[:1].copy()
        mixed[0, 0, :2] = [points[side, n] for n, side in enumerate(chosen)]
        closeness[chosen] = evaluate(system(("arithmetic", "topsis", "arithmetic")), figures(mixed)).score[0, 0]
    shapley = np.zeros(2)
    for order in permutations((0, 1)):
        state = [0, 0]
        for player in order:
            before = closeness[tuple(state)]
            state[player] = 1
            shapley[player] += (closeness[tuple(state)] - before) / 2
    # bounds do not move here: the two others hold the best and the worst
    assert [parts["I0", "value"], parts["I1", "value"]] == pytest.approx(shapley) and set(parts) == {("I0", "value"), ("I1", "value")}


@pytest.mark.parametrize("kind", ["arithmetic", "geometric"])
def test_draws_where_nodes_only_group_are_those_of_scoring_again(kind: str) -> None:
    """A value that is missing gives its weight to all other indicators of the system, in a draw as in the engine."""
    from models.capability.robustness import _Alternatives

    def grouped(weights: Array) -> System:
        leaves = [
            {"code": f"I{n}", "name": f"指标{n}", "direction": "higher", "weight": weight} for n, weight in enumerate(weights / weights.sum())
        ]
        groups = [{"code": "N1", "name": "一", "children": leaves[:2]}, {"code": "N2", "name": "二", "children": leaves[2:4]}]
        inside = [group | {"weighting": "leaves", "aggregation": kind} for group in groups]
        return system(children=[*inside, leaves[4]], weighting="leaves", aggregation=kind)

    values = np.random.default_rng(7).uniform(5, 95, (1, 6, 5))
    values[0, 1, :2] = values[0, 2, 0] = values[0, 3, 4] = np.nan
    weights = np.array([0.1, 0.3, 0.2, 0.25, 0.15])
    found = evaluate(grouped(weights), figures(values))
    logged = np.log(found.normalised[0]) if kind == "geometric" else found.normalised[0]
    flat = np.array([np.average(row[~np.isnan(row)], weights=weights[~np.isnan(row)]) for row in logged])
    assert found.score[0] == pytest.approx(np.exp(flat) if kind == "geometric" else flat)
    model = _Alternatives(found, 0, Choices(("own",), ("own",), 0.5))
    uniform = np.full((1, model.dimensions), 0.5)
    factor = np.random.default_rng(8).random(5)
    for code, numbers in (("N1", [0, 1]), ("N2", [2, 3])):
        uniform[0, model.factors[code]] = factor[numbers]
    uniform[0, model.factors["S"]] = [0.5, 0.5, factor[4]]
    again = evaluate(grouped(weights * (1 + 0.5 * (2 * factor - 1))), figures(values))
    assert model.scores(uniform)[0] == pytest.approx(again.score[0])
    change = decompose(found, again, 0, 0)
    assert sum(part.points for part in change.parts) == pytest.approx(change.after - change.before)
