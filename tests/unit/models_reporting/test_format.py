"""Numbers as people read them."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.reporting import format


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"), (0, "0%"), (1, "100%"), (0.5, "50.0%"), (0.973, "97.3%"), (0.9991, "99.9%"), (0.9997, "99.97%"), (0.99999, ">99.99%"),
        (0.0004, "0.04%"), (0.00001, "<0.01%"), (-0.2, "-20.0%"), (1.2, "120.0%"),
    ],
)  # fmt: skip
def test_percent(value: float | None, text: str) -> None:
    assert format.percent(value) == text


@given(st.floats(0, 1))
def test_only_all_and_nothing_read_so(value: float) -> None:
    assert (format.percent(value) == "100%") == (value == 1) and (format.percent(value) == "0%") == (value == 0)


@pytest.mark.parametrize(("value", "text"), [(None, "—"), (0, "0.0"), (87.64, "87.6"), (99.99, "99.9"), (100, "100")])
def test_points(value: float | None, text: str) -> None:
    assert format.points(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "—"), (0, "0"), (12345, "12,345"), (2.5, "2.5"), (-3, "-3")])
def test_amount(value: float | None, text: str) -> None:
    assert format.amount(value) == text


def test_days_and_counts() -> None:
    assert format.day(date(2026, 6, 30)) == "2026 年 6 月 30 日" and format.month(date(2026, 6, 1)) == "2026 年 6 月"
    assert format.instant(datetime(2026, 6, 30, 9, 5)) == "2026 年 6 月 30 日 09:05" and format.day(None) == format.instant(None) == "—"
    assert (format.whole(99_999), format.whole(1_234_567), format.count(None)) == ("99,999", "123.5 万", "—")
