"""``yiwang quality detect`` on tables and rules that mean harm, or say less than they seem to."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.domain.errors import YiwangError
from models.domain.spreadsheets import no_formula
from quality.detection.service import Limits, detect, read_table
from serving.cli.main import app

RUNNER = CliRunner()


def table(folder: Path, *columns: str, rows: int = 60) -> Path:
    """A table of numbers: row i has i in each column, from the last column on negated."""
    path = folder / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([i * (-1) ** (number + 1 == len(columns)) for number in range(len(columns))] for i in range(rows))
    return path


def refusal(folder: Path, columns: tuple[str, ...], rules: str, limits: Limits | None = None) -> str:
    (folder / "rules.yml").write_text(rules, encoding="utf-8")
    with pytest.raises(YiwangError) as raised:
        detect(read_table(table(folder, *columns)), folder / "rules.yml", limits=limits)
    assert raised.value.code == "YW-QUALITY-001" and "rules.yml 第 " in raised.value.message
    return raised.value.message


@pytest.mark.parametrize("rule", ["{failing: a > 1, field: a}", "{failing: 'A > 1', field: b}", "{failing: b > 1, applies: a > 1}", "{required: [a]}", "{failing: b > 1, field: A}", "{unique: [b, A]}"])
def test_names_that_sql_cannot_tell_apart_are_refused(tmp_path: Path, rule: str) -> None:
    assert "A、a 的列名只差大小写" in refusal(tmp_path, ("A", "a", "b"), f"- {rule}\n")


def test_other_columns_of_such_a_table_are_judged(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text("- {failing: b < -50}\n- {failing: a_1 = 7}\n", encoding="utf-8")
    found = detect(read_table(table(tmp_path, "A", "a", "a_1", "__row", "b")), tmp_path / "rules.yml")
    ruled = {(cell.row, cell.column) for cell in found.cells() if "规则" in cell.reason}
    assert ruled == {(8, "a_1"), *((row, "b") for row in range(52, 61))}


def test_a_rule_has_a_limit(tmp_path: Path) -> None:
    endless = "- {failing: '(select count(*) from range(1000000) a, range(1000000) b, range(1000000) c) > 0', field: a}\n"
    assert "超过单条规则的时限 1 秒" in refusal(tmp_path, ("a", "b"), endless, Limits(seconds=1))


@pytest.mark.parametrize("rules", [
    "- {id: !!int abc}\n", "- {id: !!bool abc}\n", "- {id: !!timestamp abc}\n", "- {[a]: 1}\n", "[" * 5000 + "]" * 5000, "- {id: " + "[" * 5000 + "]" * 5000 + "}\n",
    "- {failing: '" + "not " * 600 + "true', field: a}\n", "- {failing: '" + "abs(" * 950 + "1" + ")" * 950 + " > 1', field: a}\n", "- {failing: length(repeat('a', 2000000000)) > 1, field: a}\n",
    "- {id: &a {b: *a}}\n", "- {failing: count(*) > 1, field: a}\n", "- {failing: 'unnest([true])', field: a}\n",
])  # fmt: skip
def test_no_rule_file_is_a_traceback(tmp_path: Path, rules: str) -> None:
    assert refusal(tmp_path, ("a", "b"), rules)


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    odd = ["=cmd|' /C calc'!A0", "@SUM(1+1)", '=HYPERLINK("http://x")', "+1+1", "＝1+1", "-7"]
    path = tmp_path / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["=1+1", "b"], *([text, str(number)] for number, text in enumerate(odd)), *(["x", str(number)] for number in range(60))])
    (tmp_path / "rules.yml").write_text("- {codes: {'=1+1': [x]}}\n", encoding="utf-8")
    result = RUNNER.invoke(app, ["quality", "detect", str(path), "--out", str(tmp_path / "cells.csv"), "--rules", str(tmp_path / "rules.yml")])
    assert result.exit_code == 0, result.output
    with (tmp_path / "cells.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.reader(file))[1:]
    assert {cell[5].removeprefix("'") for cell in cells if cell[1] == "'=1+1"} >= set(odd)
    assert all(value == no_formula(value) for cell in cells for value in cell), "nothing that a spreadsheet would run"
