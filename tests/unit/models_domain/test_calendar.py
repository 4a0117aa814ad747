"""The work calendar: published days, make-up working days, the provisional years, numbers both ways."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.calendar import CALENDAR_SCHEMA, calendar_table, work_calendar

CALENDAR = work_calendar()
PATIENT = settings(deadline=None)
DAYS = st.dates(CALENDAR.published_from, CALENDAR.last_day)


@pytest.mark.parametrize(
    ("day", "is_working", "holiday"),
    [
        (date(2025, 1, 26), True, "春节"),  # Sunday, made up for
        (date(2025, 1, 28), False, "春节"),
        (date(2025, 2, 4), False, "春节"),
        (date(2025, 2, 5), True, None),
        (date(2025, 2, 8), True, "春节"),  # Saturday, made up for
        (date(2025, 10, 8), False, "国庆节"),
        (date(2025, 10, 11), True, "国庆节"),  # Saturday, made up for
        (date(2025, 10, 18), False, None),
        (date(2015, 9, 3), False, "中国人民抗日战争暨世界反法西斯战争胜利70周年纪念日"),
    ],
)
def test_published_days(day: date, is_working: bool, holiday: str | None) -> None:
    assert (CALENDAR.is_working(day), CALENDAR.holidays.get(day)) == (is_working, holiday)


def test_it_begins_with_2004_and_goes_on_five_years_with_weekends_only() -> None:
    until = CALENDAR.published_until
    assert CALENDAR.published_from == date(2004, 1, 1)
    assert CALENDAR.last_day == until.replace(year=until.year + 5)
    provisional = [until + timedelta(n) for n in range(1, (CALENDAR.last_day - until).days + 1)]
    assert all(CALENDAR.is_working(day) == (day.weekday() < 5) for day in provisional)
    assert not any(map(CALENDAR.is_published, provisional))


def test_outside_the_calendar_nothing_is_known() -> None:
    for day in (date.min, CALENDAR.published_from - timedelta(1), CALENDAR.last_day + timedelta(1), date.max):
        assert CALENDAR.number(day) is None
        assert CALENDAR.next_working(day) is None
        assert not CALENDAR.is_working(day)
    assert CALENDAR.day_of(0) is None
    assert CALENDAR.day_of(len(CALENDAR.working_days) + 1) is None


@PATIENT
@given(st.integers(1, len(CALENDAR.working_days)))
def test_a_working_day_has_its_number(number: int) -> None:
    day = CALENDAR.day_of(number)
    assert day
    assert CALENDAR.number(day) == number


@PATIENT
@given(DAYS)
def test_the_day_of_a_days_number_is_the_last_working_day(day: date) -> None:
    number = CALENDAR.number(day)
    assert number is not None
    last = CALENDAR.day_of(number)
    if last is None:  # before the first working day
        assert number == 0
    else:
        assert last <= day
        assert not any(CALENDAR.is_working(last + timedelta(n)) for n in range(1, (day - last).days + 1))


@PATIENT
@given(DAYS)
def test_the_next_working_day_is_the_first_not_before(day: date) -> None:
    following = CALENDAR.next_working(day)
    if following:
        assert CALENDAR.is_working(following)
        assert not any(CALENDAR.is_working(day + timedelta(n)) for n in range((following - day).days))


def test_the_table_says_the_same() -> None:
    table = calendar_table()
    assert table.schema == CALENDAR_SCHEMA
    rows = table.to_pylist()
    assert [rows[0]["day"], rows[-1]["day"]] == [CALENDAR.published_from, CALENDAR.last_day]
    assert len(rows) == (CALENDAR.last_day - CALENDAR.published_from).days + 1
    for row in rows[::97]:
        day = row["day"]
        assert row["is_working_day"] == CALENDAR.is_working(day)
        assert row["wd_number"] == CALENDAR.number(day)
        assert row["is_published"] == CALENDAR.is_published(day)
        assert row["next_working_day"] == CALENDAR.next_working(day)
