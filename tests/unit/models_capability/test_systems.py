"""Indicator systems as data."""

import csv
from pathlib import Path

import pytest
import yaml

from models.capability.service import load_system
from models.domain.errors import YiwangError

ROOT = Path(__file__).parents[3]


def test_the_routine_system_reads_the_measures_of_the_warehouse_with_equal_weights() -> None:
    with (ROOT / "dbt" / "seeds" / "measures.csv").open(encoding="utf-8") as file:
        measures = {row["measure_code"]: row for row in csv.DictReader(file)}
    system = load_system("routine")
    assert {i.measure_code for i in system.indicators} == set(measures)
    assert {i.weight for i in system.indicators} == {0.1} and {i.weight_source for i in system.indicators} == {"assumed"}
    for indicator in system.indicators:
        measure = measures[indicator.measure_code]
        assert (indicator.name, indicator.formula) == (measure["measure_name"], measure["formula"])
        assert indicator.direction == ("higher" if measure["is_higher_better"] == "true" else "lower")


GOOD = yaml.safe_load((ROOT / "models" / "capability" / "systems" / "routine.yml").read_text(encoding="utf-8"))


def changed(index: int, **values: object) -> dict[str, object]:
    indicators = [dict(i) for i in GOOD["indicators"]]
    indicators[index] |= values
    return GOOD | {"indicators": indicators}


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (changed(2, weight=-1), "indicators.2.weight"),
        (changed(2, weight=float("nan")), "indicators.2.weight"),
        (changed(0, colour="red"), "indicators.0.colour"),
        (changed(1, code="M01"), "code 重复：M01"),
        (changed(3, normalisation="rank"), "indicators.3.normalisation"),
        (GOOD | {"indicators": []}, "indicators"),
        ({}, "system_code"),
        ([], "文件"),
        ("a: [", "expected"),
    ],
)
def test_a_broken_system_is_refused_with_its_place(content: object, where: str, tmp_path: Path) -> None:
    path = tmp_path / "city.yml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    with pytest.raises(YiwangError) as caught:
        load_system(path)
    assert caught.value.code == "YW-SCORE-001" and str(path) in caught.value.message and where in caught.value.message


def test_an_unknown_system_is_refused() -> None:
    with pytest.raises(YiwangError, match="nowhere"):
        load_system("nowhere")
