"""Any table by any system: what is read, what every stage is, and what is refused, each with one Chinese sentence."""

import csv
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.capability.service import TableScores, load_system, result, score_table, stage
from models.domain.errors import YiwangError

LEAVES: list[dict[str, Any]] = [
    {"code": "A", "name": "甲", "weight": 0.5}, {"code": "B", "name": "乙", "weight": 0.3, "direction": "lower"},
    {"code": "C", "name": "丙", "weight": 0.2, "denominator": "人口", "scale": 100},
]
TABLE = """\
unit_code,unit_name,A,乙,C,人口
x,甲局,10,3,5,100
y,乙局,20,2,8,200
z,丙局,30,1,,100
"""


def system(tmp_path: Path, children: list[dict[str, Any]] | None = None, defaults: dict[str, Any] | None = None, **keys: Any) -> Path:
    content = {
        "system_code": "city", "name": "城市体系", "year": 2026, "label": "自评", "weight_source": "assumed", "children": children or LEAVES,
        "defaults": {"direction": "higher", "unit": "%", "external": "表", "normalisation": {"method": "minmax"}} | (defaults or {}),
    } | keys  # fmt: skip
    path = tmp_path / "city.yml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def scored(tmp_path: Path, table: str = TABLE, period: str | None = None, encoding: str = "utf-8", **keys: Any) -> TableScores:
    path = tmp_path / "data.csv"
    path.write_bytes(table.encode(encoding))
    return score_table(load_system(system(tmp_path, **keys)), path, period)


def test_a_table_by_hand(tmp_path: Path) -> None:
    """C a hundred inhabitants is 5 and 4; the third has none, so that its weight goes to A and B."""
    found = scored(tmp_path)
    rows = {row["unit_code"]: row for row in result(found.evaluation).to_pylist()}
    assert [row["unit_code"] for row in result(found.evaluation).to_pylist()] == ["z", "y", "x"]  # best first
    assert [rows["x"][code] for code in "ABC"] == [0, 0, 100] and [rows["y"][code] for code in "ABC"] == [50, 50, 0]
    assert rows["x"]["score"] == pytest.approx(20) and rows["y"]["score"] == pytest.approx(40) and rows["z"]["score"] == pytest.approx(100)
    assert (rows["z"]["rank"], rows["z"]["indicators_scored"], rows["z"]["indicators_total"], rows["z"]["C"]) == (1, 2, 3, None)
    assert {row["label"] for row in rows.values()} == {"自评"} and rows["x"]["unit_name"] == "甲局" and rows["x"]["period"] == "2026"
    assert stage(found.evaluation, "denominated")["C"].to_pylist() == [5, 4, None] and stage(found.evaluation, "raw")["C"].to_pylist() == [5, 8, None]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_the_encodings_that_spreadsheets_write(encoding: str, tmp_path: Path) -> None:
    assert result(scored(tmp_path, encoding=encoding).evaluation)["unit_name"].to_pylist() == ["丙局", "乙局", "甲局"]


def test_years_are_chosen_compared_together_or_each_by_itself(tmp_path: Path) -> None:
    table = "unit_code,year,A\nx,2024,1\ny,2024,2\nx,2025.0,3\ny,2025.0,5\nz,2025,4\n"
    leaves = [{"code": "A", "name": "甲", "weight": 1}]
    each = scored(tmp_path, table, children=leaves).evaluation
    assert each.figures.periods == ("2024", "2025") and each.figures.units == ("x", "y", "z")
    assert each.score[1].tolist() == [0, 100, 50] and each.rank.tolist() == [[2, 1, 0], [3, 1, 2]]  # z was not there
    assert scored(tmp_path, table, "2025", children=leaves).evaluation.score.tolist() == [[0, 100, 50]]
    together = scored(tmp_path, table, children=leaves, reference="all").evaluation
    assert together.score[:, :2].tolist() == [[0, 25], [50, 100]]


def test_levels_are_data_of_the_system_and_their_limits_belong_to_one(tmp_path: Path) -> None:
    bands = [{"name": "非常高", "over": 90}, {"name": "高", "from": 80}, {"name": "中"}]
    leaves = [{"code": "A", "name": "甲", "weight": 1, "normalisation": {"method": "share"}}]
    table = "unit_code,A\na,0.9\nb,0.9000001\nc,0.8\nd,0.7999\ne,0.90000000000001\nf,\n"
    found = result(scored(tmp_path, table, children=leaves, bands=bands).evaluation)
    assert dict(zip(found["unit_code"].to_pylist(), found["band"].to_pylist(), strict=True)) == {
        "a": "高", "b": "非常高", "c": "高", "d": "中", "e": "高", "f": None,
    }


def test_shares_of_few_cases_are_drawn_to_all_and_too_few_have_none(tmp_path: Path) -> None:
    leaf = {"code": "A", "name": "甲", "weight": 1, "measure": "M1", "minimum_sample": 2, "shrinkage": "beta_binomial", "normalisation": {"method": "share"}}
    table = "unit_code,A_numerator,A_denominator\na,1,1\nb,3,3\nc,900,1000\nd,1200,2000\ne,0,0\n"
    found = scored(tmp_path, table, children=[leaf], defaults={"external": None}).evaluation
    assert found.reasons[0, :, 0].tolist() == [2, 0, 0, 0, 1]
    assert 0.7 < found.shrunk[0, 1, 0] < 0.97 and found.shrunk[0, 2, 0] == pytest.approx(0.9, abs=0.005)
    values = scored(tmp_path, "unit_code,A\nb,1\nc,0.9\n", children=[leaf], defaults={"external": None})
    assert values.not_shrunk == ("甲",) and values.evaluation.score.tolist() == [[100, 90]]


@pytest.mark.parametrize(("weighting", "expected"), [("equal", [1 / 3] * 3), ("ahp", [0.6, 0.3, 0.1])])
def test_weights_that_are_not_given(weighting: str, expected: list[float], tmp_path: Path) -> None:
    pairs = [("A", "B", 2), ("B", "C", 3), ("A", "C", 6)]
    more = {"comparisons": [{"better": a, "than": b, "by": by} for a, b, by in pairs]} if weighting == "ahp" else {}
    leaves = [{key: value for key, value in leaf.items() if key != "weight"} for leaf in LEAVES]
    found = scored(tmp_path, children=leaves, weighting=weighting, **more).evaluation
    assert found.weights["city"].ravel() == pytest.approx(expected)


@pytest.mark.parametrize("weighting", ["entropy", "critic", "pca"])
def test_weights_from_the_data_are_those_of_the_points(weighting: str, tmp_path: Path) -> None:
    leaves = [{"code": code, "name": name} for code, name in zip("AB", "甲乙", strict=True)]
    found = scored(tmp_path, TABLE, children=leaves, weighting=weighting).evaluation
    weights = found.weights["city"].ravel()
    assert weights.sum() == pytest.approx(1) and (weights > 0).all()
    assert found.score[0] == pytest.approx(found.normalised[0] @ weights)


def test_topsis_and_means_in_one_tree(tmp_path: Path) -> None:
    above = {"method": "minmax", "points": [1, 100]}
    leaves = [{"code": code, "name": name, "weight": 0.5} for code, name in zip("AB", "甲乙", strict=True)]
    for kind, expected in (("geometric", [1, 50.5, 100]), ("harmonic", [1, 50.5, 100]), ("topsis", [0, 50, 100])):
        found = scored(tmp_path, TABLE, children=[leaves[0], leaves[1] | {"direction": "lower"}], aggregation=kind, defaults={"normalisation": above})
        assert found.evaluation.score[0] == pytest.approx(expected)


BROKEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "no value in a column": (TABLE.replace("5,100", ",100").replace("8,200", ",200"), {}, "指标“丙”整列没有值"),
    "text in a number": (TABLE.replace("20,2", "20,约2"), {}, "第 3 行“乙”列的“约2”不是数"),
    "infinity": (TABLE.replace("20,2", "inf,2"), {}, "第 3 行“A”列的“inf”不是数"),
    "an unknown column": (TABLE.replace(",乙,", ",丁,"), {}, r"缺少列 乙（B），表中的列有 unit_code、unit_name、A、丁"),
    "no denominator column": (TABLE.replace("人口", "户数"), {}, "缺少列 人口"),
    "both names of a column": (TABLE.replace("人口", "甲").replace("unit_name", "人口"), {}, "列 A 和 甲 是同一个指标"),
    "no unit column": (TABLE.replace("unit_code", "代码"), {}, "没有单位代码列 unit_code"),
    "no unit code": (TABLE.replace("y,乙局", ",乙局"), {}, "第 3 行没有单位代码"),
    "a unit twice": (TABLE.replace("y,乙局", "x,乙局"), {}, "第 3 行：单位 x 在 2026 已有一行"),
    "a column twice": (TABLE.replace("unit_name", "A"), {}, "列名重复：A"),
    "a row too short": (TABLE.replace("20,2,8,200", "20,2"), {}, "第 3 行有 4 列，表头有 6 列"),
    "no rows": (TABLE.splitlines()[0] + "\n", {}, "没有一行数据"),
    "another separator": (TABLE.replace(",", ";"), {}, "只有一列，列与列之间应以英文逗号分隔"),
    "no header": ("", {}, "第一行应是列名"),
    "one unit": ("\n".join(TABLE.splitlines()[:2]), {}, "只有一个单位，而“甲”的标准化 minmax 要与别的单位相比"),
    "no group column": (TABLE, {"defaults": {"missing": {"method": "group_mean", "group": "类别"}}}, "缺少列 类别"),
    "a gap that must not be": (TABLE, {"defaults": {"missing": {"method": "refuse"}}}, "丙局没有“丙”的值，体系规定此项不得缺失"),
    "zero under a geometric mean": (TABLE, {"aggregation": "geometric"}, "城市体系按几何平均合成，但“甲”有 0 分，不大于 0"),
    "negative under a harmonic mean": (
        TABLE, {"aggregation": "harmonic", "defaults": {"normalisation": {"method": "zscore", "mean": 0}}}, "城市体系按调和平均合成，但“甲”有 -10 分",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_scored_is_refused_in_one_sentence(what: str, tmp_path: Path) -> None:
    table, keys, detail = BROKEN[what]
    with pytest.raises(YiwangError) as caught:
        scored(tmp_path, table, **keys)
    assert caught.value.code in ("YW-SCORE-002", "YW-SCORE-003") and detail in caught.value.message
    assert caught.value.message.endswith("。") and caught.value.message.count("。") == 1


def test_a_year_or_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(YiwangError, match=r"none.csv 不能评分：没有这个文件"):
        score_table(load_system(system(tmp_path)), tmp_path / "none.csv")
    with pytest.raises(YiwangError, match="没有年份列 year，不能按 2025 选取"):
        scored(tmp_path, period="2025")
    with pytest.raises(YiwangError, match="没有 2023 的行，year 列有 2024"):
        scored(tmp_path, "unit_code,year,A\nx,2024,1\ny,2024,2\n", "2023", children=[{"code": "A", "name": "甲", "weight": 1}])


def test_denominators_of_zero_and_values_that_do_not_differ_are_defined(tmp_path: Path) -> None:
    zero = scored(tmp_path, TABLE.replace(",100", ",0").replace(",200", ",0"))
    assert zero.empty == ("丙",) and zero.evaluation.reasons[0, :, 2].tolist() == [1, 1, 1]
    assert zero.evaluation.score[0].tolist() == [0, 50, 100]  # by A and B alone
    tied = scored(tmp_path, TABLE.replace("20,2,8", "10,3,10"))
    assert tied.evaluation.rank[0].tolist() == [2, 2, 1] and tied.empty == ("丙",) and tied.evaluation.reasons[0, 0, 2] == 4
    one = scored(tmp_path, "unit_code,A\nx,0.5\n", children=[{"code": "A", "name": "甲", "weight": 1, "normalisation": {"method": "share"}}])
    assert one.evaluation.score.tolist() == [[50]] and one.evaluation.rank.tolist() == [[1]]


def test_the_example_of_the_documentation_scores(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "capability.md").read_text(encoding="utf-8")
    for name, kind in (("district.yml", "yaml"), ("data.csv", "csv")):
        (tmp_path / name).write_text(text.split(f"```{kind}\n")[1].split("```")[0], encoding="utf-8")
    found = score_table(load_system(tmp_path / "district.yml"), tmp_path / "data.csv")
    assert (found.unused, found.empty) == ((), ()) and result(found.evaluation)["unit_code"].to_pylist() == ["A", "D", "C", "B"]


def test_the_command_line_scores_refuses_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(TABLE, encoding="utf-8")
    yiwang = str(Path(sys.executable).with_name("yiwang"))
    command = [yiwang, "score", "--system", str(system(tmp_path)), "--table", str(tmp_path / "data.csv"), "--out", str(tmp_path / "out.csv")]
    done = subprocess.run([*command, "--robustness", "200", "--stages", str(tmp_path / "stages")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "城市体系 2026（自评）" in done.stdout and "名次区间" in done.stdout
    with (tmp_path / "out.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [row["unit_code"] for row in rows] == ["z", "y", "x"] and all(int(r["rank_low"]) <= int(r["rank_median"]) <= int(r["rank_high"]) for r in rows)
    assert {path.name for path in (tmp_path / "stages").iterdir()} == {f"{name}.csv" for name in ("raw", "denominated", "shrunk", "imputed", "treated", "normalised")}
    (tmp_path / "out.csv").unlink()
    (tmp_path / "data.csv").write_text(TABLE.replace("20,2", "20,约2"), encoding="utf-8")
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and re.fullmatch(r"YW-SCORE-002 .*第 3 行“乙”列的“约2”不是数.*。\n", refused.stderr) and not refused.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["city.yml", "data.csv", "stages"]
