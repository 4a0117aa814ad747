"""Typing of values in SQL."""

from datetime import date

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources.masking import shown
from pipelines.sources.merge import Manifest
from pipelines.sources.store import literal, name
from pipelines.sources.typing_sql import not_blank, typed


def value(expression: str, zone: str = "Asia/Shanghai") -> object:
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{zone}'")
        row = connection.execute(f"SELECT {expression}").fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-03-02", date(2026, 3, 2)),
        ("2026-3-2", date(2026, 3, 2)),
        ("2026/03/02", date(2026, 3, 2)),
        ("20260302", date(2026, 3, 2)),
        ("2026年3月2日", date(2026, 3, 2)),
        ("2026.3.2", date(2026, 3, 2)),
        ("2026-03-02 23:30:00", date(2026, 3, 2)),
        ("2026-02-30", None),
        ("20260230", None),
        ("infinity", None),
        ("长期", None),
        ("0000-00-00", None),
        ("12026-01-01", None),
    ],
)
def test_days(text: str, day: date | None) -> None:
    assert value(typed(literal(text), "DATE", [])) == day


@pytest.mark.parametrize(
    ("text", "number"),
    [("3", 3), ("-3", -3), ("+3", 3), (" 3 ", 3), ("3.00", 3), ("3.5", None), ("三", None), ("1e3", None), ("2147483648", None), ("0x10", None)],
)
def test_whole_numbers(text: str, number: int | None) -> None:
    assert value(typed(literal(text), "INTEGER", [])) == number


@pytest.mark.parametrize(("text", "flag"), [("是", True), ("Y", True), ("TRUE", True), ("1", True), ("否", False), ("n", False), ("0", False), ("2", None), ("不详", None)])
def test_flags(text: str, flag: bool | None) -> None:
    assert value(typed(literal(text), "BOOLEAN", [])) is flag


@pytest.mark.parametrize("blank", ["", " ", "\t", "　", "\u00a0", "\ufeff", " \r\n"])
def test_blanks_are_null(blank: str) -> None:
    assert value(not_blank(literal(blank))) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [("2026-02-30", "2026-02-30"), ("20260230", "20260230"), ("2025年13月", "2025年13月"), ("张三", "张***"), ("2026-03 张三丰", "2***"), ("19900001234", "***"), ("not a date", "not a date"), ("x" * 50, "x" * 40)],
)
def test_values_in_messages_hide_people(text: str, said: str) -> None:
    assert value(shown(literal(text))) == said


@given(st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"])))
def test_literals_and_names_hold_any_text(text: str) -> None:
    assert value(literal(text)) == text
    assert value(f"x FROM (SELECT 1 AS {name(text or ' ')}) AS t(x)") == 1


def test_a_manifest_survives_as_text() -> None:
    manifest = Manifest("settings", ((1, "a'b.csv", 2, 3, "f"),), ("列",))
    assert Manifest.from_json(manifest.to_json()) == manifest
