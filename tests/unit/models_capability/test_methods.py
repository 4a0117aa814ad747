"""Methods of composite indicators against worked examples, libraries and what must hold for any values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from models.capability.methods import aggregation, imputation, normalisation, shrinkage, treatment, weighting
from models.capability.methods.arrays import Array, places
from tests.support.examples import examples

HIGHER, LOWER, NONE = np.array([True]), np.array([False]), np.array([np.nan])
values = arrays.arrays(np.float64, st.tuples(st.integers(1, 30), st.integers(1, 4)), elements=st.floats(-1e6, 1e6).map(lambda x: round(x, 3)) | st.just(np.nan))


def column(*numbers: float) -> Array:
    return np.array(numbers, dtype=np.float64)[:, None]


def test_moments_are_those_of_scipy_and_miss_what_is_missing() -> None:
    table = np.random.default_rng(3).lognormal(size=(40, 3))
    table[:4, 1] = np.nan
    skewness, kurtosis = treatment.moments(table)
    for number in range(3):
        known = table[~np.isnan(table[:, number]), number]
        assert skewness[number] == pytest.approx(stats.skew(known, bias=False)) and kurtosis[number] == pytest.approx(stats.kurtosis(known, bias=False))
    tiny = treatment.moments(table * 1e-200)
    assert np.allclose(tiny[0], skewness) and np.allclose(treatment.moments(table * 1e200)[1], kurtosis)
    assert np.isnan(treatment.moments(column(1, 2, 3))).all() and np.isnan(treatment.moments(column(5, 5, 5, 5))).all()


def test_winsorising_stops_as_soon_as_there_are_no_outliers() -> None:
    rest = np.linspace(0, 10, 40)
    table = np.stack([np.concatenate([rest, [1000, 900]]), np.concatenate([rest, [-1000, 5]]), np.concatenate([rest, [4, 6]])], axis=1)
    done, left = treatment.winsorise(table)
    assert (done.low.tolist(), done.high.tolist(), left.tolist()) == ([0, 1, 0], [2, 0, 0], [False, False, False])
    assert done.values[40:, 0].tolist() == [10, 10] and done.values[40, 1] == 0 and np.array_equal(done.values[:, 2], table[:, 2])


def test_winsorising_that_does_not_suffice_says_so_and_a_logarithm_keeps_the_order() -> None:
    table = np.concatenate([np.linspace(0, 1, 30), 10.0 ** np.arange(4, 12)])[:, None]
    done, left = treatment.winsorise(table, points=3)
    assert done.high.tolist() == [3] and left.tolist() == [True]
    for transform in (treatment.log, treatment.boxcox):
        assert (np.diff(transform(table)[:, 0]) > 0).all()
        assert abs(treatment.moments(transform(table))[0][0]) < abs(treatment.moments(table)[0][0])
    assert (np.diff(treatment.log(-table)[:, 0]) < 0).all()  # a tail below is mirrored
    assert treatment.log(column(2, 2, 2, 2)).tolist() == [[2], [2], [2], [2]]


@settings(deadline=None, max_examples=examples(60))
@given(values)
def test_winsorising_changes_no_more_than_it_says_and_nothing_missing(table: Array) -> None:
    done, _ = treatment.winsorise(table, points=5)
    assert np.array_equal(np.isnan(done.values), np.isnan(table)) and (done.low + done.high <= 5).all()
    same = (done.values == table) | np.isnan(table)
    for number in range(table.shape[1]):
        inside = np.unique(table[~same[:, number], number])  # equal values go together
        assert len(inside) <= done.low[number] + done.high[number]


def test_missing_values_are_filled_by_what_the_rule_says() -> None:
    table = np.array([[[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]], [[5.0, 2.0], [np.nan, np.nan], [8.0, 4.0]]])
    assert imputation.by_mean(table)[:, :, 0].tolist() == [[1, 3, 2], [5, 6.5, 8]]
    assert imputation.by_median(table)[1, :, 1].tolist() == [2, 3, 4] and np.isnan(imputation.by_median(table)[0, :, 1]).all()
    assert imputation.by_previous(table)[1, :, 0].tolist() == [5, 3, 8] and np.isnan(imputation.by_previous(table)[0, 2, 0])
    groups = np.array([[0, 0, 0], [1, 2, 2]])
    assert imputation.by_group_mean(table, groups)[:, :, 0].tolist() == [[1, 3, 2], [5, 8, 8]]
    assert np.isnan(imputation.by_group_mean(table, np.full((2, 3), -1))[0, 2, 0])


def test_normalisations_by_hand() -> None:
    table = column(10, 20, 40, np.nan)
    assert normalisation.minmax(table, HIGHER, NONE, NONE)[:3, 0].tolist() == pytest.approx([0, 100 / 3, 100])
    assert normalisation.minmax(table, LOWER, NONE, NONE, (1, 100))[:3, 0].tolist() == pytest.approx([100, 67, 1])
    assert normalisation.minmax(table, HIGHER, np.array([15.0]), np.array([35.0]))[:3, 0].tolist() == [0, 25, 100]
    assert normalisation.share(column(0.2, 1.4, -1), LOWER)[:, 0].tolist() == [80, 0, 100]
    assert normalisation.zscore(table, HIGHER)[:3, 0] == pytest.approx(50 + 10 * stats.zscore([10, 20, 40], ddof=1))
    assert normalisation.rank(column(5, 7, 7, 9), HIGHER)[:, 0].tolist() == [0, 50, 50, 100]
    assert normalisation.rank(column(5, 7, np.nan, 9), LOWER)[[0, 1, 3], 0].tolist() == [100, 50, 0]
    target = np.array([20.0])
    assert normalisation.target(table, HIGHER, target, NONE)[:3, 0].tolist() == [0, 100, 100]
    assert normalisation.target(table, LOWER, target, np.array([60.0]))[:3, 0].tolist() == [100, 100, 50]
    assert normalisation.target(column(30, 40), HIGHER, target, NONE)[:, 0].tolist() == [100, 100]  # all beyond it
    assert normalisation.steps(column(0.5, 0.9, 0.95, np.nan), [-np.inf, 0.9], [10, 60])[:3, 0].tolist() == [10, 60, 60]


@pytest.mark.parametrize("table", [column(4, 4, 4), column(0.1 + 0.2, 0.3, 0.3), column(7), column(np.nan, np.nan)])
def test_values_that_do_not_differ_have_no_relative_points(table: Array) -> None:
    flat = np.where(np.isnan(table), np.nan, 4.0)
    for points in (normalisation.minmax(flat, HIGHER, NONE, NONE), normalisation.zscore(flat, HIGHER), normalisation.rank(flat, HIGHER)):
        assert np.isnan(points).all()


@settings(deadline=None, max_examples=examples(80))
@given(values)
def test_a_better_value_never_has_fewer_points(table: Array) -> None:
    every = np.ones(table.shape[1], dtype=bool)
    nothing = np.full(table.shape[1], np.nan)
    for is_higher in (every, ~every):
        for points in (
            normalisation.minmax(table, is_higher, nothing, nothing), normalisation.zscore(table, is_higher), normalisation.rank(table, is_higher),
            normalisation.target(table, is_higher, np.zeros(table.shape[1]), nothing), normalisation.share(table, is_higher),
        ):
            for number in range(table.shape[1]):
                known = ~np.isnan(points[:, number])
                order = np.argsort(table[known, number] * (1 if is_higher[0] else -1), kind="stable")
                assert (np.diff(points[known, number][order]) >= -1e-9).all() and not known[np.isnan(table[:, number])].any()


def test_ahp_gives_the_weights_of_consistent_judgements_and_refuses_none_of_them() -> None:
    matrix = weighting.comparison_matrix(["a", "b", "c"], [("a", "b", 2), ("b", "c", 3), ("a", "c", 6)])
    assert weighting.ahp(matrix) == pytest.approx([0.6, 0.3, 0.1]) and weighting.consistency_ratio(matrix) == pytest.approx(0, abs=1e-12)
    # Saaty's example of buying a house, 1980: λmax 3.0385 for 1, 3, 5 / 1/3, 1, 3
    other = weighting.comparison_matrix(["a", "b", "c"], [("a", "b", 3), ("b", "c", 3), ("a", "c", 5)])
    assert weighting.ahp(other) == pytest.approx([0.637, 0.258, 0.105], abs=5e-4) and weighting.consistency_ratio(other) == pytest.approx(0.033, abs=1e-3)
    assert weighting.consistency_ratio(weighting.comparison_matrix("ab", [("a", "b", 9)])) == 0


def test_weights_from_points() -> None:
    points = np.random.default_rng(1).uniform(10, 90, (200, 3))
    points = np.column_stack([points, points[:, 0], np.full(200, 50.0)])  # the fourth repeats the first, the fifth never varies
    entropy, critic, pca = weighting.entropy(points), weighting.critic(points), weighting.pca(points)
    for weights in (entropy, critic, pca):
        assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
        assert weights[0] == pytest.approx(weights[3])
    assert entropy[4] == pytest.approx(0, abs=1e-12) and critic[4] == 0
    assert critic[0] < critic[1]  # what repeats another indicator conflicts less
    assert pca[0] > pca[1]  # and shares more with the rest
    for method in weighting.FROM_POINTS.values():
        assert method(np.full((5, 2), 3.0)) == pytest.approx([0.5, 0.5]) and method(np.full((5, 2), np.nan)) == pytest.approx([0.5, 0.5])


def test_entropy_by_hand() -> None:
    found = weighting.entropy(np.array([[1.0, 1.0], [1.0, 3.0]]))
    assert found == pytest.approx([0, 1], abs=1e-12)


def test_means_share_out_the_weight_of_what_is_missing() -> None:
    points, weights = np.array([[40.0, 90.0], [np.nan, 90.0], [np.nan, np.nan]]), np.array([[0.25, 0.75]])
    found = {kind: aggregation.weighted_mean(points, weights, kind).tolist() for kind in aggregation.MEANS}
    assert found["arithmetic"][:2] == [77.5, 90] and found["geometric"][:2] == pytest.approx([40**0.25 * 90**0.75, 90])
    assert found["harmonic"][:2] == pytest.approx([1 / (0.25 / 40 + 0.75 / 90), 90]) and np.isnan([of[2] for of in found.values()]).all()


@settings(deadline=None, max_examples=examples(60))
@given(arrays.arrays(np.float64, (6, 4), elements=st.floats(1, 100) | st.just(np.nan)), arrays.arrays(np.float64, (1, 4), elements=st.floats(0.01, 1)))
def test_means_lie_within_their_points_and_in_their_order(points: Array, weights: Array) -> None:
    low, high = np.fmin.reduce(points, axis=1), np.fmax.reduce(points, axis=1)
    harmonic, geometric, arithmetic = (aggregation.weighted_mean(points, weights, kind) for kind in ("harmonic", "geometric", "arithmetic"))
    known = ~np.isnan(low)
    chain = np.stack([low, harmonic, geometric, arithmetic, high])[:, known]
    assert (np.diff(chain, axis=0) >= -1e-9).all() and np.isnan(arithmetic[~known]).all()


def test_topsis_by_hand() -> None:
    points, weights = np.array([[100.0, 0.0], [0.0, 0.0], [100.0, 50.0]]), np.array([[0.5, 0.5]])
    assert aggregation.topsis(points, weights) == pytest.approx([100 * 100 / 150, 0, 100])
    assert np.isnan(aggregation.topsis(np.full((2, 2), 5.0), weights)).all()


def test_small_samples_are_drawn_to_all_by_their_size() -> None:
    numerator, denominator = column(1, 900, 450, 80), column(1, 1000, 600, 100)
    found = shrinkage.beta_binomial(numerator, denominator)[:, 0]
    pooled = 1431 / 1701
    assert pooled < found[0] < 0.95 and found[1] == pytest.approx(0.9, abs=2e-3) and abs(found[3] - 0.8) < abs(found[0] - 1)
    assert shrinkage.beta_binomial(column(3), column(4)).tolist() == [[0.75]]  # nobody to be drawn to
    assert shrinkage.beta_binomial(column(5, 50), column(10, 100))[:, 0] == pytest.approx([0.5, 0.5])
    assert np.isnan(shrinkage.beta_binomial(column(1, np.nan, 3), column(2, np.nan, 4))[1, 0])


def test_shrinkage_finds_the_prior_that_made_the_data() -> None:
    random = np.random.default_rng(5)
    cases = random.integers(5, 200, (4000, 1)).astype(np.float64)
    share = random.beta(16, 4, (4000, 1))
    successes = random.binomial(cases.astype(int), share).astype(np.float64)
    shrunk = shrinkage.beta_binomial(successes, cases)
    assert shrunk == pytest.approx((successes + 16) / (cases + 20), abs=0.02)
    assert ((shrunk - share) ** 2).mean() < 0.75 * ((successes / cases - share) ** 2).mean()


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(st.floats(0, 100).map(round) | st.just(np.nan), min_size=1, max_size=20))
def test_places_are_those_of_scipy(scores: list[float]) -> None:
    found, table = places(np.array([scores, scores[::-1]], dtype=np.float64)), np.array(scores, dtype=np.float64)
    known = ~np.isnan(table)
    assert found[0][known].tolist() == stats.rankdata(-table[known], "min").tolist() and (found[0][~known] == 0).all()
    assert found[1].tolist() == found[0][::-1].tolist()
