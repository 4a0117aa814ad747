"""Wrong cells are found in tables that the detectors have not seen, and none in clean ones."""

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import wrong_tables
from bench.detection import write
from bench.wrong_tables import Wrong
from models.domain.progress import NoProgress
from quality.detection.claims import find_claims
from quality.detection.dependencies import discover
from quality.detection.grouping import groups
from quality.detection.service import Cell, Findings, detect, read_table, scored
from quality.detection.signals import FLOOR, cut
from quality.detection.views import views_of


def found_in(table: Wrong, folder: Path) -> tuple[Findings, list[Cell]]:
    findings = detect(read_table(write(table, folder)[0]))
    return findings, list(findings.cells())


@pytest.mark.parametrize("make", [wrong_tables.spoilt_matters, wrong_tables.spoilt_hospitals, wrong_tables.claimed])
def test_what_was_spoilt_is_found(make: Callable[[int], Wrong], tmp_path: Path) -> None:
    """The injector's ledger knows no detector; thresholds were chosen on other seeds of these generators."""
    table = make(11)
    findings, cells = found_in(table, tmp_path)
    ours, *naive = scored(findings, tmp_path / "clean.csv")
    assert ours.errors == len(table.ledger) > 400
    assert ours.f1 >= 0.95
    assert all(ours.f1 > way.f1 for way in naive)
    right = {(cell.row, cell.column) for cell in cells} & set(table.ledger)
    assert (len(cells), len(right)) == (ours.found, ours.right)


@pytest.mark.parametrize("make", [wrong_tables.matters, wrong_tables.hospitals, wrong_tables.orders, wrong_tables.measurements])
def test_a_clean_table_raises_no_alarm(make: Callable[[int], Wrong], tmp_path: Path) -> None:
    table = make(11)
    cells = found_in(table, tmp_path)[1]
    assert len(cells) <= 0.0005 * len(table.clean) * len(table.names), cells[:5]


def test_every_kind_of_slip_is_found_in_a_table_with_four_times_as_many(tmp_path: Path) -> None:
    random, table = Random(5), wrong_tables.matters(5)
    table.spoil(random, "typo", ["事项名称", "部门名称", "街道"], 0.06, wrong_tables.typo)
    table.spoil(random, "dependency", ["部门名称", "区县"], 0.06, wrong_tables.other)
    table.spoil(random, "unit", ["费用"], 0.08, wrong_tables.with_unit)
    cells = found_in(table, tmp_path)[1]
    found = {(cell.row, cell.column) for cell in cells}
    for kind in ("typo", "dependency", "unit"):
        of_kind = {cell for cell, its in table.ledger.items() if its == kind}
        assert len(found & of_kind) >= 0.9 * len(of_kind), kind
    assert len(found - set(table.ledger)) <= 0.02 * len(found)


def test_the_suggestion_is_what_stood_there(tmp_path: Path) -> None:
    table = wrong_tables.spoilt_hospitals(12)
    cells = [cell for cell in found_in(table, tmp_path)[1] if cell.suggestion]
    right = [cell for cell in cells if cell.suggestion == table.clean[cell.row - 1][table.names.index(cell.column)]]
    assert len(cells) > 300
    assert len(right) >= 0.95 * len(cells)
    assert all("“" in cell.reason for cell in cells)


def test_a_crowd_that_copies_is_not_believed(tmp_path: Path) -> None:
    """Five good sources against nine that copy one which is wrong in one column: the majority is wrong there."""
    random = Random(3)
    names = ["site", "thing", "a", "b", "c"]
    truth = {f"t{i:03d}": [str(random.randrange(10**5)) for _ in range(3)] for i in range(60)}
    other = {k: [str(random.randrange(10**5)) if random.random() < share else v for v, share in zip(vs, (0.7, 0.3, 0.3), strict=True)] for k, vs in truth.items()}
    noise = lambda v: v if random.random() < 0.95 else str(random.randrange(10**5))  # noqa: E731
    good = [[f"g{s}", k, *map(noise, vs)] for s in range(5) for k, vs in truth.items()]
    bad = [[f"b{s}", k, *other[k]] for s in range(4) for k in truth]
    lone = [[f"l{s}", k, *(v if random.random() < 0.5 else str(random.randrange(10**5)) for v in vs)] for s in range(6) for k, vs in truth.items()]
    table = Wrong(names, [[row[0], row[1], *truth[row[1]]] for row in (*good, *bad, *lone)])
    table.dirty = [*good, *bad, *lone]
    findings, _ = found_in(table, tmp_path)
    assert find_claims(views_of(findings.table))
    assert scored(findings, tmp_path / "clean.csv")[0].f1 >= 0.98


def test_what_a_source_says_of_everything_is_no_claim(tmp_path: Path) -> None:
    table = read_table(write(wrong_tables.hospitals(3), tmp_path)[0])
    assert find_claims(views_of(table)) == []


def test_dependencies_that_hold_are_discovered_and_chance_ones_are_not(tmp_path: Path) -> None:
    table = wrong_tables.spoilt_matters(4)
    names = table.names
    found = {(tuple(names[i] for i in d.left), names[d.right]) for d in discover(views_of(read_table(write(table, tmp_path)[0])), NoProgress())}
    assert {(("街道",), "区县"), (("事项编码",), "事项名称"), (("部门编码",), "部门名称")} <= found
    assert not {right for _, right in found} & {"渠道", "手机", "申请人", "费用"}


def test_the_same_table_gives_the_same_cells(tmp_path: Path) -> None:
    table = wrong_tables.spoilt_matters(6, 400)
    assert found_in(table, tmp_path)[1] == found_in(table, tmp_path)[1]


def test_of_two_words_as_near_the_more_frequent_one_is_meant(tmp_path: Path) -> None:
    found = _column(["桃塘镇"] * 30 + ["桃塘街道"] * 40 + ["云栖街道"] * 50 + ["桃塘道"], tmp_path)
    assert found["桃塘道"].suggestion == "桃塘街道"


def test_what_a_reason_counts_is_what_stands_in_the_table(tmp_path: Path) -> None:
    table = wrong_tables.spoilt_hospitals(11)
    cells = [cell for cell in found_in(table, tmp_path)[1] if cell.kind == "与同组不一致" and " 行中有 " in cell.reason]
    assert len(cells) > 20
    at = {name: number for number, name in enumerate(table.names)}
    for cell in cells:
        told = re.fullmatch(r"(.+)的 (\d+) 行中有 (\d+) 行是“(.*)”，这里是“.*”", cell.reason)
        assert told is not None, cell.reason
        lefts = dict(re.findall(r"([^、]+?)为“(.*?)”(?:、|$)", told[1]))
        alike = [row[at[cell.column]] for row in table.dirty if all(row[at[name]] == value for name, value in lefts.items())]
        filled = sum(bool(value.strip()) for value in alike)
        # a value that only says the same in another way, or says that it is missing, is counted by what it means
        assert abs(alike.count(told[4]) - int(told[3])) <= 1 and abs(filled - int(told[2])) <= 1, cell.reason


def _column(values: list[str], tmp_path: Path) -> dict[str, Cell]:
    """Cells found in a table of a key and this column, by their value."""
    table = Wrong(["k", "v"], [[str(i), value] for i, value in enumerate(values)])
    return {cell.value: cell for cell in found_in(table, tmp_path)[1] if cell.column == "v"}


@pytest.mark.parametrize(
    ("usual", "wrong", "kind"),
    [
        (lambda i: f"2025-0{i % 9 + 1}-{i % 27 + 1:02d}", "2025/3/7", "格式"),
        (lambda i: f"2025-0{i % 9 + 1}-{i % 27 + 1:02d}", "2025-02-30", "格式"),
        (lambda i: f"2025-0{i % 9 + 1}-{i % 27 + 1:02d}", "1900-01-01", "离群值"),
        (lambda i: f"{i * 37 % 900 / 7:.2f}", "12.5kg", "数字混入单位"),
        (lambda i: f"{i * 37 % 900 / 7:.2f}", "99999", "离群值"),
        (lambda i: f"{i * 37 % 900 / 7:.2f}", "abc", "格式"),
        (lambda i: f"{i * 37 % 900 / 7:.2f}", "N/A", "缺失"),
        (lambda i: ["north", "south", "east"][i % 3], "nroth", "疑似笔误"),
        (lambda i: ["north", "south", "east"][i % 3], "NORTH", "格式"),
        (lambda i: ["north", "south", "east"][i % 3], "", "缺失"),
        (lambda i: ["north", "south", "east"][i % 3], "purple", "罕见取值"),
        (lambda i: f"u{i}.{i % 7}@mail.example", "u3.mail.example", "格式"),
        (lambda i: f"{100 + i % 800}-{1000 + i * 7 % 9000}", "1234567", "格式"),
    ],
)  # fmt: skip
def test_one_wrong_value_is_named_with_its_kind(usual: Callable[[int], str], wrong: str, kind: str, tmp_path: Path) -> None:
    found = _column([wrong, *(usual(i) for i in range(400))], tmp_path)
    assert {value: cell.kind for value, cell in found.items()} == {wrong: kind}


@pytest.mark.parametrize(
    "usual",
    [
        lambda i: f"{i * 7 % 101}%",
        lambda i: f"{i * 7 % 50} kg",
        lambda i: "" if i % 3 else f"note {i}",
        lambda i: f"{-20 + i % 60}",
        lambda i: ["<=50K", ">50K"][i % 2],
        lambda i: f"第{i % 30}街道",
        lambda i: str(2 ** (i % 40)),
        lambda _: "",
        lambda _: "same",
    ],
)  # fmt: skip
def test_a_consistent_column_is_left_alone(usual: Callable[[int], str], tmp_path: Path) -> None:
    assert _column([usual(i) for i in range(400)], tmp_path) == {}


def test_units_spelled_in_several_ways_are_all_found(tmp_path: Path) -> None:
    values = [f"{i % 9 + 1} {['oz', 'oz.', 'ounce', 'OZ'][i % 4]}" for i in range(200)]
    found = _column(values, tmp_path)
    assert set(found) == set(values)
    assert {cell.suggestion for cell in found.values()} == {str(i) for i in range(1, 10)}


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 3)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_groups_count_as_a_loop_would(rows: list[tuple[int, int]]) -> None:
    keys, values = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    counted = groups(keys, values)
    for at, (key, value) in enumerate(rows):
        its = [v for k, v in rows if k == key and v >= 0 and key >= 0]
        assert counted.size[at] == len(its)
        assert counted.same[at] == (its.count(value) if key >= 0 and value >= 0 else 0)
        if its:
            assert counted.first_count[at] == max(map(its.count, its)) == its.count(int(counted.first[at]))
        else:
            assert counted.first[at] == -1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_no_cut_above_the_floor_has_a_better_expected_f1(probabilities: list[float]) -> None:
    p = np.array(probabilities)
    least = cut(p)
    likely = p[p > 0.01]
    if least > FLOOR:
        expected = {at: 2 * p[p >= at].sum() / ((p >= at).sum() + likely.sum()) for at in {least, *likely.tolist()}}
        assert expected[least] >= max(expected.values()) - 1e-9


def test_numbers_are_suggested_as_their_column_writes_them(tmp_path: Path) -> None:
    ways = [f"{n}.0 {unit}" for n in (12, 16, 24) for unit in ("oz", "ounce", "oz.")] + ["8.4 oz"]
    random = Random(3)
    cells = _column([random.choice(ways) for _ in range(400)], tmp_path)
    assert {cell.suggestion for cell in cells.values()} == {"12", "16", "24", "8.4"}
    kept = _column([f"{random.choice([12, 16, 24])}.0" for _ in range(390)] + ["12.0 oz"] * 10, tmp_path)
    assert {cell.suggestion for cell in kept.values()} == {"12.0"}


def test_an_uncommon_character_in_a_closed_list_is_a_slip_however_often(tmp_path: Path) -> None:
    random = Random(4)
    usual = [random.choice(["窗口", "网上", "自助机"]) for _ in range(2900)]
    assert set(_column(usual + ["窗囗"] * 12 + ["自囗"] * 8, tmp_path)) == {"窗囗", "自囗"}
    assert not _column(usual + ["邮寄"] * 12 + ["代办"] * 8, tmp_path)  # rare categories in common characters


@pytest.mark.parametrize("wrong", ["北京\u200b", "\ufeff北京", "北\u00ad京", "\u202e北京", "北京\u2060"])
@pytest.mark.parametrize("others", [[], ["上海", "广州"]])
def test_a_character_that_nobody_sees_is_found_named_and_taken_out(wrong: str, others: list[str], tmp_path: Path) -> None:
    cities = ["北京", *others]
    found = _column([wrong if at == 17 else cities[at % len(cities)] for at in range(30)], tmp_path)
    [(value, cell)] = found.items()
    assert value == wrong and cell.suggestion == "北京" and "看不见的字符（U+" in cell.reason
