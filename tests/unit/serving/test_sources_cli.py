"""``yiwang sources``: what it prints, for people and for programs, and with which exit code it ends."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from serving.cli.main import app

GOOD = "sources:\n- name: hall\n  subject: case\n  location: inbox/*.csv\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "cases.csv").write_text("办件编号,收件时间,备注[b]\nA-1,2026-06-01,x\n", encoding="utf-8")
    (tmp_path / "sources.yml").write_text(GOOD, encoding="utf-8")
    return tmp_path


def sources(home: Path, *arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, ["sources", *arguments, "--home", str(home)], input=text)


def test_a_good_file_ends_with_0_and_a_bad_one_with_2(home: Path) -> None:
    good = sources(home, "check")
    assert (good.exit_code, good.stdout) == (0, "配置没有错误。\n")
    bad = sources(home, "check", "--sources", "-", text=GOOD + "  bogus: '[red]'\n")
    assert bad.exit_code == 2 and "第 1 个来源“hall”的 bogus：没有这个设置" in bad.stderr


def test_programs_get_one_object_errors_included(home: Path) -> None:
    bad = sources(home, "check", "--json", "--sources", "-", text=GOOD.replace("case", "nothing"))
    (fault,) = json.loads(bad.stdout)["errors"]
    assert bad.exit_code == 2 and "没有“nothing”这个主题" in fault
    missing = sources(home, "show", "--json", "--sources", str(home / "none.yml"))
    assert missing.exit_code == 2 and json.loads(missing.stdout)["code"] == "YW-SYNC-005"
    tried = sources(home, "try", "--json", "--source", "hall", "--subject", "case", "--rows", "5")
    answer = json.loads(tried.stdout)
    assert tried.exit_code == 0 and [row["case_number"] for row in answer["rows"]] == ["A-1"] and answer["unmapped"] == ["备注[b]"]
    unknown = sources(home, "try", "--json", "--source", "hall", "--subject", "review")
    assert unknown.exit_code == 2 and json.loads(unknown.stdout)["errors"]


def test_people_read_tables(home: Path) -> None:
    tried = sources(home, "try", "--source", "hall", "--subject", "case")
    assert tried.exit_code == 0 and "A-1" in tried.stdout and "没有映射的列：备注[b]" in tried.stdout
    shown = sources(home, "show")
    assert shown.exit_code == 0 and "inbox/*.csv" in shown.stdout and "办件" in shown.stdout


def test_the_sync_says_which_columns_nothing_maps_and_which_are_gone(home: Path) -> None:
    (home / "sources.yml").write_text(GOOD.replace("csv", "jsonl"), encoding="utf-8")
    lines = '{"case_number": "A-1", "matter_name": "甲", "备注[b]": "x"}', '{"case_number": "A-1"}'
    (home / "inbox" / "cases.jsonl").write_text(lines[0], encoding="utf-8")
    first = CliRunner().invoke(app, ["sync", "--home", str(home)])
    assert first.exit_code == 0 and "列“备注[b]”没有映射到办件的任何字段" in first.stdout and "以前映射" not in first.stdout
    (home / "inbox" / "cases.jsonl").write_text(lines[1], encoding="utf-8")
    second = CliRunner().invoke(app, ["sync", "--home", str(home)])
    assert second.exit_code == 0 and "列“matter_name”以前映射到办件" in second.stdout and "没有映射" not in second.stdout


def test_a_file_that_is_no_text_is_told(home: Path) -> None:
    (home / "sources.yml").write_bytes(b"\xff\xfe\x00")
    answer = sources(home, "check")
    assert answer.exit_code == 2 and "YW-SYNC-001" in answer.stderr and "Traceback" not in answer.output
