"""Scores: a worked example by hand, and what holds for any facts."""

from datetime import date, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.capability.service import Indicator, Node, Scores, System, load_system, mismatches, score
from tests.support.examples import examples

ROUTINE = load_system("routine")
COLUMNS = ["date", "department_code", "department_name", "measure_code", "numerator", "denominator"]
Fact = tuple[date, str, str, float, float]


def indicator(code: str, weight: float = 1.0, direction: str = "higher", minimum: float = 1) -> Indicator:
    return Indicator.model_validate(
        {
            "code": f"I{code}", "name": f"指标{code}", "measure": code, "unit": "%", "weight": weight, "weight_source": "assumed",
            "direction": direction, "minimum_sample": minimum, "normalisation": {"method": "share"},
        }
    )


def system(*indicators: Indicator) -> System:
    total = sum(i.weight or 0 for i in indicators)
    shared = tuple(i.model_copy(update={"weight": (i.weight or 0) / total}) for i in indicators)
    return System(system_code="test", name="测试", year=2026, label="自评", weight_source="assumed", children=shared)


def facts(*rows: Fact) -> pa.Table:
    schema = pa.schema(zip(COLUMNS, [pa.date32(), pa.string(), pa.string(), pa.string(), pa.float64(), pa.float64()], strict=True))
    columns = zip(*[(day, code, f"{code}局", measure, n, d) for day, code, measure, n, d in rows], strict=True)
    return pa.table(dict(zip(COLUMNS, columns, strict=True)) if rows else {name: [] for name in COLUMNS}, schema=schema)


def cell(scores: Scores, department: str, code: str, month: date = date(2026, 5, 1)) -> dict[str, object]:
    rows = scores.indicators.to_pylist()
    return next(r for r in rows if (r["department_code"], r["indicator_code"], r["month"]) == (department, code, month))


def total(scores: Scores, department: str, month: date = date(2026, 5, 1)) -> dict[str, object]:
    return next(r for r in scores.totals.to_pylist() if (r["department_code"], r["month"]) == (department, month))


MAY = date(2026, 5, 31)


def test_worked_example_by_hand() -> None:
    """A: (3 + 9) / (10 + 10) = 60 %; lower is better: 1 − 1/4 = 75 points; weights 3 and 1: (180 + 75) / 4 = 63.75."""
    found = score(
        system(indicator("M1", weight=3), indicator("M2", direction="lower", minimum=4)),
        facts(
            (date(2026, 5, 1), "A", "M1", 3, 10), (MAY, "A", "M1", 9, 10), (MAY, "A", "M2", 1, 4),
            (MAY, "B", "M1", 1, 2), (MAY, "B", "M2", 0, 3),  # too few: only M1 counts, with all the weight
            (MAY, "C", "M1", 0, 0), (date(2026, 6, 1), "A", "M1", 2, 2),
        ),
    )
    assert cell(found, "A", "IM1") | {"value": 0.6, "score": 60.0, "numerator": 12, "denominator": 20, "null_reason": None} == cell(found, "A", "IM1")
    assert (cell(found, "A", "IM2")["score"], cell(found, "B", "IM2")["score"]) == (75.0, None)
    assert (cell(found, "B", "IM2")["null_reason"], cell(found, "C", "IM2")["null_reason"]) == ("below_minimum", "no_denominator")
    scored = [(total(found, d)["score"], total(found, d)["rank"], total(found, d)["indicators_scored"]) for d in "ABC"]
    assert scored == [(63.75, 1, 2), (50.0, 2, 1), (None, None, 0)]
    assert total(found, "C")["null_reason"] == "no_indicator_scored"
    assert total(found, "A", date(2026, 6, 1))["score"] == 100.0
    assert {row["label"] for row in found.totals.to_pylist()} == {"自评"}


def test_ties_share_a_rank_and_the_next_one_is_skipped() -> None:
    rows = [(MAY, name, "M1", n, 8.0) for name, n in (("A", 2.0), ("B", 6.0), ("C", 6.0), ("D", 1.0))]
    found = score(system(indicator("M1")), facts(*rows))
    assert [total(found, name)["rank"] for name in "ABCD"] == [3, 1, 1, 4]


def test_a_department_judged_by_too_few_indicators_has_a_score_and_no_rank() -> None:
    two = system(indicator("M1"), indicator("M2")).model_copy(update={"minimum_indicators": 2})
    found = score(two, facts((MAY, "A", "M1", 5, 5), (MAY, "B", "M1", 1, 2), (MAY, "B", "M2", 1, 2)))
    assert [(total(found, d)["score"], total(found, d)["rank"], total(found, d)["null_reason"]) for d in "AB"] == [
        (100.0, None, "too_few_indicators"), (50.0, 1, None),
    ]


def test_no_facts_give_no_scores() -> None:
    found = score(ROUTINE, facts())
    assert (found.indicators.num_rows, found.totals.num_rows) == (0, 0)


def test_a_share_outside_0_and_1_gives_points_inside_0_and_100_and_keeps_its_value() -> None:
    found = score(system(indicator("M1"), indicator("M2")), facts((MAY, "A", "M1", -3, 10), (MAY, "A", "M2", 12, 10)))
    assert [(cell(found, "A", i)["value"], cell(found, "A", i)["score"]) for i in ("IM1", "IM2")] == [(-0.3, 0.0), (1.2, 100.0)]


counts = st.integers(0, 40).flatmap(lambda d: st.tuples(st.integers(0, d), st.just(d)))
fact = st.builds(
    lambda day, department, measure, pair: (date(2026, 1, 1) + timedelta(day), department, measure, float(pair[0]), float(pair[1])),
    st.integers(0, 120), st.sampled_from("ABCD"), st.sampled_from(["M01", "M05", "M07", "M11", "M17", "M18", "M99"]), counts,
)
many = st.lists(fact, max_size=120)


@settings(deadline=None, max_examples=examples(60))
@given(many, st.randoms())
def test_what_holds_for_any_facts(rows: list[Fact], random: object) -> None:
    found = score(ROUTINE, facts(*rows))
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = score(ROUTINE, facts(*shuffled))
    assert again.indicators.equals(found.indicators) and again.totals.equals(found.totals)  # order of facts means nothing
    cells = found.indicators.to_pylist()
    assert len(cells) == 10 * found.totals.num_rows  # nothing is left out silently
    for row in cells:
        assert (row["value"] is None) == (row["score"] is None) == (row["null_reason"] is not None)
        assert row["score"] is None or 0 <= row["score"] <= 100
    for row in found.totals.to_pylist():
        points = [c["score"] for c in cells if (c["department_code"], c["month"]) == (row["department_code"], row["month"])]
        points = [p for p in points if p is not None]
        assert row["indicators_scored"] == len(points) and row["indicators_total"] == 10
        assert (row["score"] is None) == (not points)
        assert (row["rank"] is None) == (row["null_reason"] is not None) == (len(points) < ROUTINE.minimum_indicators)
        assert not points or min(points) <= row["score"] <= max(points)


@settings(deadline=None, max_examples=examples(40))
@given(many)
def test_days_add_up(rows: list[Fact]) -> None:
    """Facts of a month scored day by day or as one day of sums are the same."""
    summed: dict[tuple[date, str, str], list[float]] = {}
    for day, department, measure, n, d in rows:
        entry = summed.setdefault((day.replace(day=1), department, measure), [0, 0])
        entry[0], entry[1] = entry[0] + n, entry[1] + d
    whole = [(day, department, measure, n, d) for (day, department, measure), (n, d) in summed.items()]
    assert score(ROUTINE, facts(*whole)).totals.equals(score(ROUTINE, facts(*rows)).totals)


@pytest.mark.parametrize("change", [1, 3])
@given(many)
@settings(deadline=None, max_examples=examples(30))
def test_weights_count_by_proportion_only(change: int, rows: list[Fact]) -> None:
    def scaled(node: Node) -> Node:
        children = (c.model_copy(update={"weight": c.weight and c.weight * 2**change}) if isinstance(c, Indicator) else scaled(c) for c in node.children)
        return node.model_copy(update={"children": tuple(children)})

    found = scaled(ROUTINE)
    assert isinstance(found, System)
    assert score(found, facts(*rows)).totals.equals(score(ROUTINE, facts(*rows)).totals)


@settings(deadline=None, max_examples=examples(30))
@given(many)
def test_a_stored_score_equals_its_components_and_another_one_is_found(rows: list[Fact]) -> None:
    found = score(ROUTINE, facts(*rows))
    assert mismatches(ROUTINE, found).num_rows == 0
    scored = [n for n, points in enumerate(found.totals["score"].to_pylist()) if points is not None]
    if scored:
        points = found.totals["score"].to_pylist()
        points[scored[0]] += 0.01
        place = found.totals.column_names.index("score")
        changed = Scores(found.indicators, found.totals.set_column(place, "score", pa.array(points, pa.float64())))
        (wrong,) = mismatches(ROUTINE, changed).to_pylist()
        row = found.totals.to_pylist()[scored[0]]
        assert (wrong["department_code"], wrong["month"], wrong["computed"]) == (row["department_code"], row["month"], row["score"])


def test_a_department_is_scored_by_the_measures_that_there_are_and_the_rest_has_a_reason() -> None:
    """The national structure on the warehouse: external indicators have no value, and no department enough of them for a rank."""
    national = load_system("national")
    rows = [(MAY, "A", measure, 8.0, 10.0) for measure in ("M01", "M05", "M06", "M07", "M11", "M15", "M17", "M18", "M21", "M28")]
    found = score(national, facts(*rows))
    reasons = {row["indicator_code"]: row["null_reason"] for row in found.indicators.to_pylist()}
    assert [code for code, reason in reasons.items() if reason is None] == sorted(row[2] for row in rows)
    assert {reasons[i.code] for i in national.indicators if i.external} == {"no_value"}
    (row,) = found.totals.to_pylist()
    assert (row["score"], row["rank"], row["indicators_scored"], row["indicators_total"]) == (pytest.approx(80), 1, 10, 24)
