"""The statutory clock: worked examples with real dates, each with its article (ALL: Administrative Licence Law,
CC: Civil Code), and properties that hold for every case."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.domain.calendar import work_calendar
from models.domain.clock import PAUSE_KINDS, CaseFacts, Clocks, Event, Limits, clock

ZONE = ZoneInfo("Asia/Shanghai")
CALENDAR = work_calendar()
MARCH_3 = "2025-03-03"  # a Monday in a month without holidays; five working days later is Monday 03-10
FIVE = Limits(promised_limit=5, promised_limit_unit="wd")


def at(text: str) -> datetime:
    """An instant from ``2025-03-03`` (10:00) or ``2025-03-03 22:00``."""
    return datetime.fromisoformat(text if " " in text else f"{text} 10:00").replace(tzinfo=ZONE)


def run(limits: Limits = FIVE, events: Sequence[Event] = (), as_of: str | None = None, **facts: str | None) -> Clocks:
    """Clock a case accepted on 2025-03-03 unless told otherwise, as of the last thing that happened to it."""
    given_facts: dict[str, Any] = {"received_at": MARCH_3, "accepted_at": MARCH_3} | facts
    instants = {k: at(v) if v and k.endswith("_at") else v for k, v in given_facts.items()}
    happened = [v for k, v in instants.items() if isinstance(v, datetime) and k != "source_due_at"]
    happened += [i for e in events for i in (e.occurred_at, e.special_started_at, e.special_ended_at) if i]
    seen_at = at(as_of) if as_of else max(at("2025-03-04"), *happened)
    return clock(CaseFacts(**instants, events=tuple(events)), limits, CALENDAR, seen_at, ZONE)


def pause(begun: str, ended: str | None, kind: str = "hearing", **values: Any) -> Event:
    return Event(
        activity_code="suspended", occurred_at=at(begun), special_code="2", special_kind_code=kind,
        special_started_at=at(begun), special_ended_at=at(ended) if ended else None, **values,
    )  # fmt: skip


def event(activity: str, on: str, **values: Any) -> Event:
    return Event(activity_code=activity, occurred_at=at(on), **values)


def extended(on: str, days: int | None, **values: Any) -> Event:
    return event("extended", on, special_code="1", extension_days=days, **values)


def wd(limit: int | None, **values: Any) -> Limits:
    return Limits(promised_limit=limit, promised_limit_unit="wd", **values)


@pytest.mark.parametrize(
    ("accepted", "limit", "unit", "due"),
    [
        ("2025-03-03", 5, "wd", "2025-03-10"),  # CC 201: the first day is not counted
        ("2025-01-23", 5, "wd", "2025-02-06"),  # ALL 82: over Spring Festival, with the make-up Sunday 01-26
        ("2025-02-06", 2, "wd", "2025-02-08"),  # a make-up Saturday is a working day
        ("2025-09-26", 20, "wd", "2025-10-30"),  # over the golden week, with 09-28 and 10-11 made up
        ("2025-03-08", 1, "wd", "2025-03-10"),  # accepted on a Saturday
        ("2025-03-03", 0, "wd", "2025-03-03"),  # 即办件
        ("2025-03-08", 0, "wd", "2025-03-10"),  # 即办件 accepted on a day of rest
        ("2025-03-03", 7, "cd", "2025-03-10"),
        ("2025-03-03", 5, "cd", "2025-03-10"),  # CC 203: ends on Saturday, moves to Monday
        ("2025-09-24", 7, "cd", "2025-10-09"),  # CC 203: ends in the golden week
        ("2025-01-31", 1, "month", "2025-02-28"),  # CC 202: February has no 31st
        ("2024-01-31", 1, "month", "2024-02-29"),  # CC 202 in a leap year
        ("2025-01-31", 2, "month", "2025-03-31"),  # from the original start, not from 28 February
        ("2025-09-01", 1, "month", "2025-10-09"),  # CC 202 and 203
        ("2024-12-31", 14, "month", "2026-02-28"),  # a make-up Saturday of the year 2026
    ],
)
def test_days_are_counted(accepted: str, limit: int, unit: str, due: str) -> None:
    limits = Limits(promised_limit=limit, promised_limit_unit=unit)
    clocks = run(limits, received_at=accepted, accepted_at=accepted, as_of=accepted)
    assert clocks.due_on == clocks.promised_due_on == date.fromisoformat(due)
    assert clocks.due_at == datetime.combine(date.fromisoformat(due), datetime.max.time(), ZONE)  # 24:00 of that day
    assert (clocks.due_basis, clocks.is_late) == ("promised", False)


def test_a_due_day_is_kept_until_midnight() -> None:
    assert run(completed_at="2025-03-10 23:59").is_late is False
    assert run(completed_at="2025-03-11 00:00").is_late is True
    assert run(as_of="2025-03-10 23:59").is_late is False
    assert run(as_of="2025-03-11 00:00").is_late is True


@pytest.mark.parametrize(
    ("limits", "statutory", "promised"),
    [
        (Limits(type_code="01"), "2025-03-31", None),  # ALL 42(1): 20 working days
        (Limits(type_code="01", is_joint=True), "2025-05-08", None),  # ALL 42(2): 45, with the make-up Sunday 04-27
        (Limits(type_code="07"), None, None),  # the law is on licences only
        (Limits(type_code="01", statutory_limit=15), "2025-03-24", None),  # a special rule goes first
        (Limits(type_code="01", is_joint=True, statutory_limit=15), "2025-03-24", None),
        (wd(5, type_code="01"), "2025-03-31", "2025-03-10"),  # promise and law are apart
        (wd(-1, statutory_limit=99_999), None, None),  # mistakes are no limits
        (Limits(promised_limit=1, promised_limit_unit="year"), None, None),
    ],
)
def test_statutory_and_promised_limits_are_apart(limits: Limits, statutory: str | None, promised: str | None) -> None:
    clocks = run(limits, as_of="2025-03-11")
    assert (clocks.statutory_due_on, clocks.promised_due_on) == tuple(
        date.fromisoformat(day) if day else None for day in (statutory, promised)
    )
    assert clocks.due_on == clocks.promised_due_on or clocks.statutory_due_on
    assert clocks.due_null_reason == (None if statutory or promised else "no_limit")
    assert clocks.is_late is (promised is not None if statutory or promised else None)
    assert clocks.is_statutory_late is (False if statutory else None)


class TestAcceptance:
    """ALL art. 32."""

    @pytest.mark.parametrize(
        ("accepted", "as_of", "is_deemed", "accepted_on"),
        [
            ("2025-03-10", "2025-03-20", False, "2025-03-10"),  # the fifth working day
            ("2025-03-11", "2025-03-20", True, "2025-03-03"),  # 32(4): from the day of receipt, not from day five
            (None, "2025-03-10", False, None),  # still in time
            (None, "2025-03-11", True, "2025-03-03"),
        ],
    )
    def test_silence_of_five_working_days_accepts_from_receipt(
        self, accepted: str | None, as_of: str, is_deemed: bool, accepted_on: str | None
    ) -> None:
        clocks = run(accepted_at=accepted, as_of=as_of)
        assert clocks.is_deemed_accepted is is_deemed
        assert (
            clocks.accepted_on == clocks.clock_started_on == (date.fromisoformat(accepted_on) if accepted_on else None)
        )
        assert clocks.accepted_at == (at(accepted_on) if accepted_on else None)

    def test_the_window_of_a_case_received_on_a_rest_day_begins_with_the_next_working_day(self) -> None:
        received = "2025-03-08 22:00"  # Saturday night, on line
        assert not run(received_at=received, accepted_at=None, as_of="2025-03-14").is_deemed_accepted
        assert run(received_at=received, accepted_at=None, as_of="2025-03-15").is_deemed_accepted

    def test_acceptance_may_be_recorded_as_an_event_only(self) -> None:
        clocks = run(events=[event("accepted", "2025-03-05")], accepted_at=None, as_of="2025-03-20")
        assert (clocks.accepted_at, clocks.is_deemed_accepted) == (at("2025-03-05"), False)

    def test_a_timely_notice_puts_acceptance_after_the_correction(self) -> None:
        events = [event("correction_asked", "2025-03-10"), event("correction_submitted", "2025-03-20")]
        clocks = run(events=events, accepted_at="2025-03-21", as_of="2025-03-21")
        assert (clocks.accepted_on, clocks.is_deemed_accepted) == (date(2025, 3, 21), False)
        assert clocks.due_on == date(2025, 3, 28)
        assert (clocks.correction_count, clocks.is_told_once_in_time) == (1, True)

    def test_after_the_correction_five_working_days_run_anew(self) -> None:
        events = [event("correction_asked", "2025-03-10"), event("correction_submitted", "2025-03-20")]
        assert run(events=events, accepted_at=None, as_of="2025-03-27").accepted_on is None
        clocks = run(events=events, accepted_at=None, as_of="2025-03-28")
        assert (clocks.accepted_on, clocks.is_deemed_accepted) == (date(2025, 3, 20), True)

    def test_while_the_applicant_corrects_nothing_is_deemed(self) -> None:
        clocks = run(events=[event("correction_asked", "2025-03-05")], accepted_at=None, as_of="2025-06-01")
        assert (clocks.accepted_on, clocks.due_null_reason) == (None, "not_accepted")

    def test_a_late_notice_stops_nothing(self) -> None:
        events = [event("correction_asked", "2025-03-11"), event("correction_submitted", "2025-03-20")]
        clocks = run(events=events, accepted_at="2025-03-21", as_of="2025-03-21")
        assert (clocks.accepted_on, clocks.is_deemed_accepted) == (date(2025, 3, 3), True)
        assert clocks.is_told_once_in_time is False
        assert clocks.is_late is True

    def test_a_second_notice_is_a_violation_and_moves_nothing(self) -> None:
        once = [event("correction_asked", "2025-03-04"), event("correction_submitted", "2025-03-05")]
        twice = [*once, event("correction_asked", "2025-03-06"), event("correction_submitted", "2025-03-30")]
        first = run(events=once, accepted_at=None, as_of="2025-04-02")
        second = run(events=twice, accepted_at=None, as_of="2025-04-02")
        assert second == replace(first, correction_count=2, is_told_once_in_time=False)
        assert second.accepted_on == date(2025, 3, 5)

    def test_a_pre_review_return_is_no_notice(self) -> None:
        clocks = run(events=[event("pre_review_returned", "2025-03-04")], accepted_at=None, as_of="2025-03-11")
        assert (clocks.is_deemed_accepted, clocks.correction_count, clocks.is_told_once_in_time) == (True, 0, None)

    @pytest.mark.parametrize("outcome", ["refused", "withdrawn", "correction_lapsed"])
    def test_a_case_that_ended_in_the_window_without_a_decision_was_not_accepted(self, outcome: str) -> None:
        clocks = run(accepted_at=None, completed_at="2025-03-10", outcome_code=outcome, as_of="2025-05-01")
        assert (clocks.accepted_on, clocks.due_null_reason, clocks.is_late) == (None, "not_accepted", None)

    def test_a_refusal_after_the_window_comes_too_late(self) -> None:
        clocks = run(accepted_at=None, completed_at="2025-03-11", outcome_code="refused", as_of="2025-05-01")
        assert (clocks.accepted_on, clocks.is_deemed_accepted, clocks.is_late) == (date(2025, 3, 3), True, True)

    def test_a_decision_on_the_spot_accepts_what_it_decides(self) -> None:
        """ALL art. 34; nothing was neglected, so nothing is deemed."""
        clocks = run(wd(0), accepted_at=None, completed_at=MARCH_3, outcome_code="granted")
        assert (clocks.accepted_on, clocks.is_deemed_accepted, clocks.is_late) == (date(2025, 3, 3), False, False)
        assert clocks.net_working_days == 0


class TestPauses:
    """ALL art. 45. Without a pause the due day is Monday 03-10."""

    @pytest.mark.parametrize(
        ("events", "due", "paused", "has_invalid"),
        [
            ([pause("2025-03-05", "2025-03-07")], "2025-03-12", 2, False),  # day of pausing out, day of resuming in
            ([pause("2025-03-05", "2025-03-05 18:00")], "2025-03-10", 0, False),
            ([pause("2025-03-07", "2025-03-10")], "2025-03-11", 1, False),  # a weekend costs one working day
            ([pause("2025-03-05", "2025-03-07"), pause("2025-03-06", "2025-03-10", "testing")], "2025-03-13", 3, False),
            ([pause("2025-03-05", "2025-03-12"), pause("2025-03-06", "2025-03-07")], "2025-03-17", 5, False),
            ([pause("2025-03-05", "2025-03-07", has_written_notice=False)], "2025-03-10", 0, True),
            ([pause("2025-03-05", "2025-03-07", has_written_notice=True)], "2025-03-12", 2, False),
            ([pause("2025-03-05", "2025-03-07", "publication")], "2025-03-10", 0, True),  # 公示 is not on the list
            ([pause("2025-03-05", "2025-03-07", "lunch")], "2025-03-10", 0, True),
            ([pause("2025-03-07", "2025-03-05")], "2025-03-10", 0, True),
            ([pause("2025-03-03", "2025-03-05")], "2025-03-11", 1, False),  # the first day is not counted anyway
            ([pause("2025-02-20", "2025-03-05")], "2025-03-11", 1, False),
            ([pause("2025-03-10", "2025-03-12")], "2025-03-12", 2, False),  # on the due day there is a clock to stop
            ([pause("2025-03-11", "2025-03-13")], "2025-03-10", 2, False),  # after it there is none
            ([pause("2025-03-05", "2025-03-07"), pause("2025-03-12", "2025-03-14")], "2025-03-14", 4, False),
        ],
    )
    def test_what_is_not_counted(self, events: list[Event], due: str, paused: int, has_invalid: bool) -> None:
        clocks = run(events=events, completed_at="2025-03-31", as_of="2025-04-30")
        assert clocks.due_on == date.fromisoformat(due)
        assert (clocks.paused_days, clocks.has_invalid_pause) == (paused, has_invalid)
        assert clocks.net_working_days == 20 - paused

    def test_publication_counts_where_the_guide_says_so(self) -> None:
        limits = replace(FIVE, is_publication_excluded=True)
        clocks = run(limits, [pause("2025-03-05", "2025-03-07", "publication")], completed_at="2025-03-12")
        assert (clocks.due_on, clocks.has_invalid_pause, clocks.is_late) == (date(2025, 3, 12), False, False)

    def test_calendar_days_pause_as_calendar_days(self) -> None:
        limits = Limits(promised_limit=7, promised_limit_unit="cd")
        assert run(limits, [pause("2025-03-07", "2025-03-10")], as_of="2025-03-20").due_on == date(2025, 3, 13)

    def test_an_open_pause_ends_for_the_time_being_at_as_of(self) -> None:
        events = [pause("2025-03-05", None)]
        clocks = run(events=events, as_of="2025-03-20")
        assert (clocks.is_paused, clocks.is_late, clocks.paused_days) == (True, False, 11)
        assert clocks.due_on == date(2025, 3, 25)
        resumed = run(events=[*events, event("resumed", "2025-03-06")], as_of="2025-03-20")
        assert (resumed.is_paused, resumed.is_late, resumed.due_on) == (False, True, date(2025, 3, 11))

    def test_a_pause_that_begins_when_another_ends_has_an_end_of_its_own(self) -> None:
        steps = [("suspended", "2025-03-05"), ("resumed", "2025-03-07"), ("suspended", "2025-03-07"), ("resumed", "2025-03-12")]
        events = [
            replace(pause(day, None) if step == "suspended" else event(step, day), sequence=n) for n, (step, day) in enumerate(steps, 1)
        ]
        assert run(events=events, as_of="2025-03-20").paused_days == 5
        assert run(events=events[:3], as_of="2025-03-20").is_paused
        ended_at_once = [replace(one, sequence=n) for n, one in enumerate([pause("2025-03-05", None), event("resumed", "2025-03-05")])]
        assert run(events=ended_at_once, as_of="2025-03-20").paused_days == 0

    def test_a_completed_case_is_not_paused(self) -> None:
        clocks = run(events=[pause("2025-03-05", None)], completed_at="2025-03-07", as_of="2025-05-01")
        assert (clocks.is_paused, clocks.paused_days, clocks.net_working_days) == (False, 2, 2)


class TestExtension:
    """ALL art. 42; GB/T 39046-2020 A.7 code 1 moves the due day, it is not a pause."""

    LICENCE = wd(5, type_code="01")

    @pytest.mark.parametrize(
        ("events", "promised", "statutory", "days", "has_invalid"),
        [
            ([extended("2025-03-10", 10)], "2025-03-24", "2025-04-15", 10, False),  # on the due day, over Qingming
            ([extended("2025-03-10", 11)], "2025-03-24", "2025-04-15", 10, True),  # no longer than the law allows
            ([extended("2025-03-11", 10)], "2025-03-10", "2025-04-15", 10, False),  # the promise is already broken
            ([extended("2025-04-01", 10)], "2025-03-10", "2025-03-31", 0, True),  # nothing left to extend
            ([extended("2025-03-05", 2), extended("2025-03-06", 2)], "2025-03-12", "2025-04-02", 2, True),  # once
            ([extended("2025-03-05", None)], "2025-03-10", "2025-03-31", 0, True),
            (
                [extended("2025-03-05", 2, special_started_at=at("2025-03-05"), special_ended_at=at("2025-03-20"))],
                "2025-03-12", "2025-04-02", 2, False,
            ),
        ],
    )  # fmt: skip
    def test_it_moves_the_due_day(
        self, events: list[Event], promised: str, statutory: str, days: int, has_invalid: bool
    ) -> None:
        clocks = run(self.LICENCE, events, as_of="2025-05-01")
        assert clocks.promised_due_on == date.fromisoformat(promised)
        assert clocks.statutory_due_on == date.fromisoformat(statutory)
        assert (clocks.extension_days, clocks.has_invalid_extension, clocks.paused_days) == (days, has_invalid, 0)

    @pytest.mark.parametrize(
        ("limits", "days"),
        [
            (replace(LICENCE, is_joint=True), 15),
            (replace(LICENCE, extension_cap=3), 3),
            (replace(LICENCE, extension_cap=0), 0),
            (replace(LICENCE, type_code="07"), 40),
        ],
    )
    def test_its_cap(self, limits: Limits, days: int) -> None:
        assert run(limits, [extended("2025-03-05", 40)]).extension_days == days

    def test_a_pause_in_the_extended_time_counts(self) -> None:
        events = [extended("2025-03-10", 5), pause("2025-03-12", "2025-03-14")]
        assert run(FIVE, events, as_of="2025-05-01").due_on == date(2025, 3, 19)

    def test_months_are_counted_from_the_start_with_the_extension(self) -> None:
        limits = Limits(statutory_limit=1, statutory_limit_unit="month")
        clocks = run(limits, [extended("2025-02-20", 1)], received_at="2025-01-30", accepted_at="2025-01-31")
        assert clocks.due_on == date(2025, 3, 31)

    def test_in_another_unit_it_goes_on_from_the_due_day(self) -> None:
        limits = wd(5, statutory_limit=2, statutory_limit_unit="month")
        clocks = run(limits, [extended("2025-03-05", 1)])
        assert (clocks.promised_due_on, clocks.statutory_due_on) == (date(2025, 4, 10), date(2025, 6, 3))


class TestFromReceipt:
    """Construction Law art. 8: seven days from receipt."""

    LIMITS = Limits(type_code="01", statutory_limit=7, statutory_limit_unit="cd", clock_start_code="receipt")

    def test_the_day_of_acceptance_does_not_matter(self) -> None:
        for accepted in (None, "2025-03-05"):
            clocks = run(self.LIMITS, accepted_at=accepted)
            assert (clocks.clock_started_on, clocks.due_on) == (date(2025, 3, 3), date(2025, 3, 10))

    def test_the_applicants_correction_stops_it(self) -> None:
        events = [event("correction_asked", "2025-03-04"), event("correction_submitted", "2025-03-07")]
        assert run(self.LIMITS, events, accepted_at="2025-03-07", as_of="2025-03-20").due_on == date(2025, 3, 13)
        working_days = replace(self.LIMITS, statutory_limit_unit="wd")
        assert run(working_days, events, accepted_at="2025-03-07", as_of="2025-03-20").due_on == date(2025, 3, 17)
        assert run(self.LIMITS, events[:1], accepted_at=None, as_of="2025-03-06").is_paused

    def test_nothing_is_due_when_it_was_refused(self) -> None:
        clocks = run(self.LIMITS, accepted_at=None, completed_at="2025-03-05", outcome_code="refused")
        assert (clocks.clock_started_on, clocks.due_null_reason) == (None, "not_accepted")


def test_a_source_deadline_is_an_instant() -> None:
    due = "2025-03-05 12:00"
    assert run(source_due_at=due, completed_at="2025-03-05 12:00").is_late is False
    clocks = run(source_due_at=due, completed_at="2025-03-05 12:01")
    assert (clocks.is_late, clocks.due_at, clocks.due_on, clocks.due_basis) == (
        True,
        at(due),
        date(2025, 3, 5),
        "source",
    )
    assert clocks.promised_due_on == date(2025, 3, 10)
    assert run(Limits(), source_due_at=due, as_of="2025-03-05 12:01").is_late is True


def test_a_licence_is_to_be_delivered_within_ten_working_days_of_the_decision() -> None:
    """ALL art. 44: a clock of its own, after completion."""
    licence = wd(5, type_code="01")
    facts = {
        "received_at": "2025-09-25",
        "accepted_at": "2025-09-25",
        "completed_at": "2025-09-26",
        "outcome_code": "granted",
    }
    clocks = run(licence, as_of="2025-10-16", **facts)
    assert (clocks.delivery_due_on, clocks.is_delivery_late, clocks.is_late) == (date(2025, 10, 16), False, False)
    assert run(licence, as_of="2025-10-17", **facts).is_delivery_late is True
    assert run(licence, [event("issued", "2025-10-16")], as_of="2025-12-01", **facts).is_delivery_late is False
    delivered = [event("issued", "2025-10-16"), event("delivered", "2025-10-17")]
    assert run(licence, delivered, as_of="2025-12-01", **facts).is_delivery_late is True
    assert run(FIVE, as_of="2025-12-01", **facts).delivery_due_on is None
    assert run(licence, as_of="2025-12-01", **facts | {"outcome_code": "denied"}).is_delivery_late is None


def test_a_due_day_beyond_the_published_calendar_is_provisional() -> None:
    until = CALENDAR.published_until
    received = (until - timedelta(3)).isoformat()
    clocks = run(wd(20), received_at=received, accepted_at=received, as_of=until.isoformat())
    assert (clocks.due_on, clocks.due_at, clocks.due_null_reason) == (None, None, "calendar_unpublished")
    assert clocks.provisional_due_on is not None
    assert clocks.provisional_due_on > until
    assert clocks.is_late is False
    late = run(wd(20), received_at=received, accepted_at=received, as_of=f"{until.year + 1}-12-01")
    assert late.is_late is None


def test_an_unpublished_window_is_held_against_nobody() -> None:
    received = CALENDAR.published_until.isoformat()
    clocks = run(received_at=received, accepted_at=None, as_of=f"{CALENDAR.published_until.year + 1}-06-01")
    assert (clocks.accepted_on, clocks.is_deemed_accepted) == (None, False)


PATIENT = settings(deadline=None)
INSTANTS = st.datetimes(datetime(2024, 11, 1), datetime(2025, 4, 30)).map(lambda d: d.replace(tzinfo=UTC))
EVENTS = st.builds(
    Event,
    activity_code=st.sampled_from(
        [
            "correction_asked",
            "correction_submitted",
            "accepted",
            "refused",
            "suspended",
            "resumed",
            "extended",
            "issued",
        ]
    ),
    occurred_at=INSTANTS,
    special_code=st.sampled_from([None, None, "1", "2"]),
    special_kind_code=st.sampled_from([None, "publication", *sorted(PAUSE_KINDS)]),
    special_started_at=st.none() | INSTANTS,
    special_ended_at=st.none() | INSTANTS,
    has_written_notice=st.sampled_from([None, True, False]),
    extension_days=st.none() | st.integers(-1, 60),
)
FACTS = st.builds(
    CaseFacts,
    received_at=st.none() | INSTANTS,
    accepted_at=st.none() | INSTANTS,
    completed_at=st.none() | INSTANTS,
    outcome_code=st.sampled_from([None, "granted", "denied", "refused", "withdrawn"]),
    source_due_at=st.sampled_from([None, None, None, datetime(2025, 2, 1, tzinfo=UTC)]),
    events=st.lists(EVENTS, max_size=5).map(
        lambda events: tuple(replace(e, sequence=n) for n, e in enumerate(events, 1))
    ),
)
UNITS = st.sampled_from([None, "wd", "cd", "month", "year"])
LENGTHS = st.none() | st.integers(-1, 70)
LIMITS = st.builds(
    Limits,
    type_code=st.sampled_from([None, "01", "07"]),
    promised_limit=LENGTHS,
    promised_limit_unit=UNITS,
    statutory_limit=LENGTHS,
    statutory_limit_unit=UNITS,
    clock_start_code=st.sampled_from([None, "acceptance", "receipt"]),
    is_joint=st.booleans(),
    extension_cap=st.none() | st.integers(0, 30),
    is_publication_excluded=st.booleans(),
)


@PATIENT
@given(FACTS, LIMITS, INSTANTS, st.timedeltas(timedelta(0), timedelta(90)))
def test_time_passing_takes_nothing_back(facts: CaseFacts, limits: Limits, as_of: datetime, later: timedelta) -> None:
    # A row whose special procedure begins after the row's own instant is known late and then says something of before.
    assume(not any(e.occurred_at and e.special_started_at and e.occurred_at <= as_of < e.special_started_at for e in facts.events))
    before, after = (clock(facts, limits, CALENDAR, instant, ZONE) for instant in (as_of, as_of + later))
    assert after.is_late or not before.is_late
    assert after.is_statutory_late or not before.is_statutory_late
    assert after.is_delivery_late or not before.is_delivery_late
    assert after.is_deemed_accepted or not before.is_deemed_accepted
    for name in ("promised_due_on", "statutory_due_on"):
        first, second = getattr(before, name), getattr(after, name)
        assert first is None or second is None or first <= second


@PATIENT
@given(FACTS, LIMITS, INSTANTS, st.randoms())
def test_the_order_of_rows_and_the_zone_of_instants_do_not_matter(
    facts: CaseFacts, limits: Limits, as_of: datetime, random: Any
) -> None:
    shuffled = list(facts.events)
    random.shuffle(shuffled)
    local = {
        name: value.astimezone(ZONE) if value else None
        for name in ("received_at", "accepted_at", "completed_at", "source_due_at")
        for value in [getattr(facts, name)]
    }
    assert clock(replace(facts, events=tuple(shuffled), **local), limits, CALENDAR, as_of, ZONE) == clock(
        facts, limits, CALENDAR, as_of, ZONE
    )


@PATIENT
@given(
    st.dates(date(2024, 1, 1), date(2025, 12, 31)),
    st.integers(1, 60),
    st.integers(1, 30),
    st.integers(0, 60),
    st.booleans(),
)
def test_a_pause_or_an_extension_of_n_working_days_moves_the_due_day_by_n(
    start: date, limit: int, first: int, length: int, is_split: bool
) -> None:
    assume(first <= limit)
    text = start.isoformat()
    plain = run(wd(limit), received_at=text, accepted_at=text, as_of="2026-12-01")
    on, off = start + timedelta(first), start + timedelta(first + length)
    assume(plain.due_on is not None and on <= plain.due_on)
    half = start + timedelta(first + length // 2)
    spans = [(on, half), (half, off), (on, half)] if is_split else [(on, off)]
    events = [pause(begun.isoformat(), ended.isoformat()) for begun, ended in spans]
    paused = run(wd(limit), events, received_at=text, accepted_at=text, as_of="2026-12-01")
    numbers = [
        CALENDAR.number(day) for day in (plain.due_on, off - timedelta(1), on - timedelta(1), paused.due_on) if day
    ]
    assert numbers[0] + numbers[1] - numbers[2] == numbers[3]
    assert paused.paused_days == numbers[1] - numbers[2]
    if length:
        longer = run(wd(limit), [extended(text, length)], received_at=text, accepted_at=text, as_of="2026-12-01")
        assert CALENDAR.number(longer.due_on) == numbers[0] + length


@PATIENT
@given(st.dates(date(2004, 1, 1), date(2020, 12, 31)), st.integers(0, 48))
def test_months_end_on_the_corresponding_day_or_the_months_last(start: date, months: int) -> None:
    text = start.isoformat()
    limits = Limits(statutory_limit=months, statutory_limit_unit="month")
    due = run(limits, received_at=text, accepted_at=text).due_on
    first_of_month = date(start.year + (start.month - 1 + months) // 12, (start.month - 1 + months) % 12 + 1, 1)
    last_of_month = (first_of_month + timedelta(31)).replace(day=1) - timedelta(1)
    assert due == CALENDAR.next_working(min(first_of_month + timedelta(start.day - 1), last_of_month))


ANY_INSTANT = st.datetimes().map(lambda d: d.replace(tzinfo=UTC))


@PATIENT
@given(FACTS, LIMITS, st.lists(ANY_INSTANT, min_size=6, max_size=6))
def test_no_date_crashes_it(facts: CaseFacts, limits: Limits, instants: list[datetime]) -> None:
    received, accepted, completed, source_due, begun, ended = instants
    wild = Event(0, "suspended", begun, "2", "hearing", None, ended)
    clock(
        replace(
            facts, received_at=received, accepted_at=accepted, completed_at=completed, source_due_at=source_due,
            events=(*facts.events, wild, Event(9, "extended", begun, extension_days=2_000_000_000)),
        ),
        limits, CALENDAR, ended, ZONE,
    )  # fmt: skip
    clock(replace(facts, received_at=received), limits, CALENDAR, received, ZONE)


def test_what_is_dated_after_as_of_has_not_happened_yet() -> None:
    seen = run(completed_at="2025-03-12", as_of="2025-03-11")
    assert (seen.is_completed, seen.completed_on, seen.is_late) == (False, None, True)
    unaccepted = run(accepted_at="2025-03-05", as_of="2025-03-04")
    assert unaccepted.accepted_on is None
    paused = [pause("2025-03-05", "2025-03-10")]
    assert run(events=paused, as_of="2025-03-04").due_on == run(as_of="2025-03-04").due_on
    assert run(events=paused, as_of="2025-03-06").is_paused
