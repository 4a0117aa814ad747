"""``yiwang quality detect``: cells written, scores printed, rules heeded, bad input refused."""

import csv
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.detection import write
from bench.wrong_tables import spoilt_matters
from quality.detection.service import detect, read_table, scored
from serving.cli.main import app

RUNNER = CliRunner()
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(spoilt_matters(21, 600), tmp_path_factory.mktemp("table"))[0]


def run(*arguments: object) -> tuple[int, str]:
    result = RUNNER.invoke(app, ["quality", "detect", *map(str, arguments)])
    return result.exit_code, result.output


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_cells_are_written_and_scored(dirty: Path, tmp_path: Path) -> None:
    code, said = run(dirty, "--out", tmp_path / "cells.csv", "--truth", dirty.with_name("clean.csv"))
    assert code == 0, said
    assert all(way in said for way in ("本平台", "依赖多数表决", "同键多数表决、空即错", "罕见字符形状", "F1"))
    cells = rows(tmp_path / "cells.csv")
    assert list(cells[0]) == ["row", "column", "kind", "reason", "suggestion", "value", "probability"]
    with dirty.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert all(table[int(cell["row"]) - 1][cell["column"]] == cell["value"] for cell in cells)
    assert len({(cell["row"], cell["column"]) for cell in cells}) == len(cells) > 100


def test_rules_add_what_no_detector_can_know(dirty: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(
        "- {id: fee, field: 费用, failing: 费用 > 300 and 渠道 = '网上申请', message: 网上申请的费用过高}\n"
        "- {unique: [申请人]}\n- {codes: {渠道: [网上申请, 窗口受理]}}\n- {format: {办件编号: 'BJ2025\\d{6}'}}\n- {required: [办结日期]}\n- {length: {手机: [11, 11]}}\n",
        encoding="utf-8",
    )
    assert run(dirty, "--out", tmp_path / "plain.csv")[0] == 0
    assert run(dirty, "--out", tmp_path / "cells.csv", "--rules", rules)[0] == 0
    plain, ruled = ({(cell["row"], cell["column"]) for cell in rows(tmp_path / name)} for name in ("plain.csv", "cells.csv"))
    assert plain <= ruled
    with dirty.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    added = {column: {cell for cell in ruled - plain if cell[1] == column} for column in table[0]}
    assert {(str(i + 1), "渠道") for i, row in enumerate(table) if row["渠道"] == "自助终端"} <= added["渠道"]
    assert {(str(i + 1), "办结日期") for i, row in enumerate(table) if not row["办结日期"]} <= ruled
    assert added["费用"] and added["申请人"] and not added["办件编号"]
    assert any(cell["reason"].startswith("网上申请的费用过高") for cell in rows(tmp_path / "cells.csv"))


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("- {id: a, unique: [状态]}\n- id: b\n  failing: 没有的列 > 1\n", 3, "没有的列"),
        ("- failing: 状态 = '1') or (true\n", 1, ""),
        ("- failing: length(状态)\n", 1, "条件应为真或假"),
        ("- unique: [状态]\n  required: [状态]\n", 1, "只能写一个"),
        ("- unique: [列外]\n", 1, "没有列 列外"),
        ("- required: [状态]\n  severity: blocks\n", 2, "severity"),
        ("- codes: {状态: 无此表}\n", 1, "没有代码表"),
        ("-\n  format: {状态: '('}\n", 2, ""),
        ("a: [\n", 2, ""),
        ("a: 1\n", 1, "列表"),
        ("- failing: (select count(*) from read_csv('/etc/passwd')) > 0\n", 1, ""),
    ],
)  # fmt: skip
def test_a_broken_rule_is_refused_with_its_line(text: str, line: int, sentence: str, dirty: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(text, encoding="utf-8")
    code, said = run(dirty, "--out", tmp_path / "cells.csv", "--rules", tmp_path / "rules.yml")
    assert code == 2
    assert "YW-QUALITY-001" in said and f"rules.yml 第 {line} 行" in said and sentence in said
    assert not (tmp_path / "cells.csv").exists()


def test_bad_input_ends_with_one_sentence(dirty: Path, tmp_path: Path) -> None:
    (tmp_path / "ragged.csv").write_text("a,b\n1,2,3\n")
    (tmp_path / "short.csv").write_text("a,b\n1,2\n")
    for arguments in (
        (tmp_path / "none.csv", "--out", tmp_path / "cells.csv"), (tmp_path / "ragged.csv", "--out", tmp_path / "cells.csv"),
        (dirty, "--out", tmp_path / "cells.csv", "--truth", tmp_path / "short.csv"), (dirty, "--out", tmp_path / "no" / "cells.csv"),
        (dirty, "--out", tmp_path / "cells.csv", "--rules", tmp_path / "none.yml"),
    ):  # fmt: skip
        code, said = run(*arguments)
        assert (code, said.count("YW-")) == (2, 1), said
    assert not (tmp_path / "cells.csv").exists()


@pytest.mark.parametrize(("name", "least"), [("flights", 0.95), ("beers", 0.95)])
def test_real_tables(name: str, least: float) -> None:
    folder = Path(os.environ.get("YIWANG_DQ_DIR") or ROOT.parent / "shared" / "data" / "dq")
    if not folder.is_dir():
        pytest.skip("real tables not here: set YIWANG_DQ_DIR or put them at ../shared/data/dq")
    path = folder / name
    assert scored(detect(read_table(path / "dirty.csv")), path / "clean.csv")[0].f1 >= least


def test_no_file_that_is_read_is_written_over(dirty: Path, tmp_path: Path) -> None:
    for name in ("dirty.csv", "clean.csv"):
        (tmp_path / name).write_bytes(dirty.with_name(name).read_bytes())
    (tmp_path / "rules.yml").write_text("- {required: [办结日期]}\n", encoding="utf-8")
    (tmp_path / "same.csv").symlink_to(tmp_path / "dirty.csv")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for out in ("dirty.csv", "clean.csv", "rules.yml", "same.csv"):
        code, said = run(tmp_path / "dirty.csv", "--out", tmp_path / out, "--truth", tmp_path / "clean.csv", "--rules", tmp_path / "rules.yml")
        assert code == 2 and "YW-SERVE-005" in said and "不能覆盖" in said
    code, said = run(tmp_path / "dirty.csv", "--out", tmp_path)
    assert code == 2 and "是目录" in said
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
