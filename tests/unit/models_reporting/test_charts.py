"""Pictures made from numbers."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from models.reporting import charts

values = st.lists(st.none() | st.floats(0, 1), min_size=0, max_size=14)


def parsed(picture: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(picture)  # noqa: S314 - our own picture


def coordinates(picture: Markup) -> list[float]:
    points = [part.split(",") for line in parsed(picture).iter("polyline") for part in line.attrib["points"].split()]
    points += [(dot.attrib["cx"], dot.attrib["cy"]) for dot in parsed(picture).iter("circle")]
    return [float(y) for _, y in points]


@given(values)
def test_a_line_stays_inside_its_picture_and_leaves_gaps_for_nulls(shares: list[float | None]) -> None:
    picture = charts.line([f"{n}月" for n in range(len(shares))], shares, ["x"] * len(shares), "题", "述")
    assert all(0 <= y <= 190 for y in coordinates(picture))
    assert len(list(parsed(picture).iter("circle"))) == sum(share is not None for share in shares)
    assert (parsed(picture).findtext("title"), parsed(picture).findtext("desc")) == ("题", "述")


@given(st.lists(st.none() | st.integers(0, 10**7), max_size=13))
def test_columns_have_a_rectangle_for_each_known_value(counts: list[int | None]) -> None:
    picture = charts.columns([str(n) for n in range(len(counts))], [("收件", "received", counts)], "题", "述", "顶")
    heights = [float(bar.attrib["height"]) for bar in parsed(picture).iter("rect")]
    assert len(heights) == sum(count is not None for count in counts) and all(0 <= height <= 170.05 for height in heights)


def test_a_gap_breaks_the_line() -> None:
    lines = parsed(charts.line(list("abcd"), [0.1, 0.2, None, 0.4], list("abcd"), "题", "述")).iter("polyline")
    assert len(list(lines)) == 1


@given(values)
def test_a_sparkline_is_a_picture_or_a_dash(scores: list[float | None]) -> None:
    picture = charts.sparkline([None if s is None else s * 100 for s in scores], "甲 <乙>")
    if all(score is None for score in scores):
        assert "—" in picture
    else:
        assert parsed(picture).findtext("desc") == "甲 <乙>" and all(0 <= y <= 24 for y in coordinates(picture))


@pytest.mark.parametrize(("value", "width"), [(None, "0.0"), (50, "50.0"), (140, "100.0"), (-5, "0.0")])
def test_a_bar_stays_within_its_track(value: float | None, width: str) -> None:
    assert f'class="fill" width="{width}"' in charts.bar(value)
