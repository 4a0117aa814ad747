"""Indicator systems as data: what ships, and what is refused with its file and line."""

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.capability.service import Indicator, load_system, shipped_systems
from models.domain.errors import YiwangError

ROOT = Path(__file__).parents[3]


def measures() -> dict[str, dict[str, str]]:
    with (ROOT / "dbt" / "seeds" / "measures.csv").open(encoding="utf-8") as file:
        return {row["measure_code"]: row for row in csv.DictReader(file)}


def test_the_routine_system_reads_the_measures_of_the_warehouse_with_equal_weights() -> None:
    known = measures()
    system = load_system("routine", known)
    assert {i.measure for i in system.indicators} == set(known)
    assert {i.weight for i in system.indicators} == {0.1} and {i.weight_source for i in system.indicators} == {"assumed"}
    for indicator in system.indicators:
        measure = known[indicator.measure or ""]
        assert (indicator.name, indicator.formula) == (measure["measure_name"], measure["formula"])
        assert indicator.direction == ("higher" if measure["is_higher_better"] == "true" else "lower")
    assert len(system.indicators) + len(system.not_measured) >= 24
    assert all(i.not_measured and not i.weight for i in system.not_measured)


@pytest.mark.parametrize("code", shipped_systems())
def test_every_shipped_system_loads_with_the_measures_of_the_warehouse(code: str) -> None:
    system = load_system(code, measures())
    assert system.code == code and system.label == "自评" and system.bands
    assert {part.weight_source for part in system.indicators} == {"assumed"}


SYSTEM = """\
system_code: city
name: 城市体系
year: 2026
label: 自评
weight_source: assumed
defaults: {direction: higher, unit: "%", external: 表, normalisation: {method: minmax}}
children:
  - code: A
    name: 甲
    weight: 0.5
    children:
      - {code: A1, name: 甲一, weight: 0.4}
      - {code: A2, name: 甲二, weight: 0.6}
  - code: B
    name: 乙
    weight: 0.5
    weighting: equal
    children:
      - {code: B1, name: 乙一, normalisation: {method: target}, target: 90}
      - {code: B2, name: 乙二}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "city.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_hold_where_an_indicator_says_nothing(tmp_path: Path) -> None:
    found = load_system(write(tmp_path, SYSTEM)).indicators
    assert [(i.code, i.normalisation.method, i.weight) for i in found] == [
        ("A1", "minmax", 0.4), ("A2", "minmax", 0.6), ("B1", "target", None), ("B2", "minmax", None),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "detail"),
    [
        ("weight: 0.6", "weight: 0.7", 8, "A 下各项的权重之和为 1.1，应为 1 或 100"),
        ("weight: 0.6", "weight: -1", 13, "weight：不应小于 0"),
        ("weight: 0.6", "weight: .nan", 13, "weight：应为有限的数"),
        ("weight: 0.6", "weight: 很大", 13, "weight：应为数"),
        (", weight: 0.6", "", 8, "没有写全，缺 A2"),
        ("code: A2", "code: A1", 13, "code A1 重复，已见于第 12 行"),
        ("name: 甲二", "name: 甲一", 13, "name 甲一 重复，已见于第 12 行"),
        ("name: 甲二, ", "", 13, "name：缺少这一项"),
        ("name: 甲二", "name: 甲二, colour: red", 13, "colour：没有这一项"),
        ("name: 乙二", "name: 乙二, weight: 1", 14, "由 equal 得出"),
        (", target: 90", "", 19, "须写明 target"),
        ("name: 乙二", "name: 乙二, measure: M01", 20, "应恰好写一项"),
        ("name: 乙二", "name: 乙二, outliers: {method: none, points: 3}", 20, "方法 none 不用 points"),
        ("name: 乙二", "name: 乙二, missing: {method: group_mean}", 20, "还须写明 group"),
        ("name: 乙二", "name: 乙二, normalisation: {method: magic}", 20, "只能是"),
        ("name: 乙二", "name: 乙二, normalisation: {method: minmax, low: 3, high: 3}", 20, "low 应小于 high"),
        ("name: 乙二", "name: 乙二, outliers: {method: log}, normalisation: {method: share}", 20, "可能取对数"),
        ("name: 乙二", "name: 乙二, shrinkage: beta_binomial", 20, "不能用 beta_binomial"),
        ("label: 自评", "label: 自评\nlabel: 他评", 5, "label 写了两次"),
        ("label: 自评", "label: 自评\nbands: [{name: 低, from: 10}, {name: 高, from: 50}, {name: 无}]", 1, "等级应由高到低"),
        ("label: 自评", "label: 自评\nbands: [{name: 高, from: 10}]", 1, "不写 over 或 from"),
        ("weighting: equal", "weighting: leaves", 14, "没有写全，缺 B1、B2"),
        ("    weighting: equal", "    weighting: ahp", 14, "comparisons 与 weighting: ahp 应同时写明"),
        ("  - code: B\n", "  - &loop\n    code: B\n", None, None),
        ("children:\n  - code: A\n", "children: 无\nmore:\n  - code: A\n", 7, "应为列表"),
        ("year: 2026", "year: 2026: 1", 3, ""),
    ],
)
def test_a_broken_system_is_refused_with_its_line(old: str, new: str, line: int | None, detail: str | None, tmp_path: Path) -> None:
    assert SYSTEM.count(old) >= 1
    path = write(tmp_path, SYSTEM.replace(old, new, 1))
    if line is None:  # an anchor alone is no fault
        assert len(load_system(path).indicators) == 4
        return
    with pytest.raises(YiwangError) as caught:
        load_system(path)
    assert caught.value.code == "YW-SCORE-001" and str(path) in caught.value.message
    assert f"第 {line} 行" in caught.value.message and (detail or "") in caught.value.message


def test_a_tree_that_contains_itself_is_refused(tmp_path: Path) -> None:
    text = SYSTEM.replace("  - code: B\n", "  - &loop\n    code: B\n").replace("{code: B2, name: 乙二}", "*loop")
    with pytest.raises(YiwangError, match="引用成环"):
        load_system(write(tmp_path, text))


def test_references_that_grow_without_end_are_refused(tmp_path: Path) -> None:
    text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    with pytest.raises(YiwangError, match="超过 100,000 项"):
        load_system(write(tmp_path, text))


def test_a_measure_that_the_warehouse_has_not_is_refused_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, SYSTEM.replace("external: 表, ", "").replace("name: 甲二", "name: 甲二, measure: M99").replace("name: 甲一", "name: 甲一, measure: M01")
                 .replace("name: 乙一", "name: 乙一, measure: M05").replace("name: 乙二", "name: 乙二, measure: M01, denominator: M98"))
    assert len(load_system(path).indicators) == 4
    with pytest.raises(YiwangError, match=r"第 13 行，指标 A2 的 measure M99"):
        load_system(path, {"M01", "M05", "M98"})
    with pytest.raises(YiwangError, match=r"第 20 行，指标 B2 的 denominator M98"):
        load_system(path, {"M01", "M05", "M99"})


def compared(*pairs: tuple[str, str, float]) -> str:
    judged = [{"better": a, "than": b, "by": by} for a, b, by in pairs]
    three = [{"code": f"C{n}", "name": f"丙{n}"} for n in range(1, 4)]
    content: dict[str, Any] = yaml.safe_load(SYSTEM) | {"children": three, "weighting": "ahp", "comparisons": judged}
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False)


def test_judgements_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    assert load_system(write(tmp_path, compared(("C1", "C2", 2), ("C2", "C3", 2), ("C1", "C3", 4)))).weighting == "ahp"
    with pytest.raises(YiwangError, match=r"第 \d+ 行，city 的两两比较前后矛盾，一致性比率 \d+\.\d+ 大于 0.1"):
        load_system(write(tmp_path, compared(("C1", "C2", 9), ("C2", "C3", 9), ("C3", "C1", 9))))
    with pytest.raises(YiwangError, match="对每两项恰好比较一次"):
        load_system(write(tmp_path, compared(("C1", "C2", 2), ("C2", "C3", 2))))


@pytest.mark.parametrize(("content", "detail"), [("[]", "键和值"), ("", "键和值"), ("{}", "缺少这一项"), ("a: [", "expected")])
def test_what_is_no_system_is_refused(content: str, detail: str, tmp_path: Path) -> None:
    with pytest.raises(YiwangError, match=detail):
        load_system(write(tmp_path, content))


def test_an_unknown_system_is_refused_with_those_that_ship(tmp_path: Path) -> None:
    with pytest.raises(YiwangError, match="nowhere.*routine"):
        load_system("nowhere")
    with pytest.raises(YiwangError, match="文件不存在"):
        load_system(tmp_path / "none.yml")


def test_an_indicator_names_exactly_one_origin() -> None:
    given = {"code": "A", "name": "甲", "unit": "%", "direction": "higher", "weight_source": "assumed", "normalisation": {"method": "share"}}
    with pytest.raises(ValueError, match="应恰好写一项"):
        Indicator.model_validate(given)
    assert Indicator.model_validate(given | {"not_measured": "没有"}).is_divided is False
