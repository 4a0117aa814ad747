"""By when the body, or the applicant, must act in each phase; worked examples with real days, and pauses at random."""

from datetime import date, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from models.core.processes.deadlines import Deadline, case_deadline
from models.core.processes.service import shipped
from models.domain.clock import Limits
from tests.support.examples import examples
from tests.unit.models_core.life import Life, accepted, at

TESTING = {"special_kind": "testing", "has_written_notice": True}


def due(life: Life, on: str) -> Deadline:
    """By when the case is to be decided, seen on a day."""
    return case_deadline(life.engine, life.state, at(on))


def test_before_acceptance_the_five_days_from_receipt_hold_whatever_is_returned() -> None:
    life = Life()
    assert life.step_due("application", "03-03") == Deadline(), "nobody waits for a draft"
    life.all("03-03", "submit")
    assert life.step_due("pre_review", "03-03") == Deadline(date(2025, 3, 10))
    life.all("03-04", "return")
    assert life.step_due("application", "03-04") == Deadline(date(2025, 3, 10)), "a return in pre-review stops nothing"
    life.all("03-05", "submit", "pass")
    assert life.step_due("acceptance", "03-05") == Deadline(date(2025, 3, 10))


def test_a_correction_is_due_before_it_lapses_and_starts_the_five_days_anew() -> None:
    life = Life().all("03-03", "submit", "pass", "ask_correction")
    assert life.step_due("correction", "03-03") == Deadline(date(2025, 3, 31))
    assert life.engine.last_day(life.state) == ("correction_lapsed", date(2025, 3, 31))
    life.all("03-12", "correct")
    assert life.step_due("acceptance", "03-12") == Deadline(date(2025, 3, 19))


def test_what_is_tolerated_as_missing_has_its_own_last_day() -> None:
    life = Life().all("03-03", "submit", "pass")
    life.do("accept", "03-03", missing=("照片",))
    assert life.engine.last_day(life.state) == ("tolerance_lapsed", date(2025, 3, 10)) and life.step_due("handling", "03-03") == Deadline(date(2025, 3, 17))


@pytest.mark.parametrize("decision", ["grant", "deny"])
def test_what_was_decided_is_issued_and_delivered_within_ten_days_of_the_decision(decision: str) -> None:
    life = accepted().all("03-04", "handle", "review", decision)
    assert {life.step_due(step, "03-04") for step in life.state.marking.open_steps} == {Deadline(date(2025, 3, 18))}
    assert due(life, "03-05") == Deadline(date(2025, 3, 17)), "what the decision was due by does not move"


def test_a_check_of_promises_keeps_its_own_limit_after_the_decision() -> None:
    life = Life("licence_commitment", is_commitment=True).all("03-03", "submit", "accept_promise", "grant_on_promise")
    assert life.step_due("issue", "03-03") == Deadline(date(2025, 3, 17)) and life.step_due("check", "03-03") == Deadline(date(2025, 4, 28))


def test_while_a_special_procedure_goes_on_no_day_runs_and_then_the_case_goes_on() -> None:
    life = accepted()
    life.do("suspend", "03-05", **TESTING)
    assert due(life, "03-05") == due(life, "06-30") == life.step_due("handling", "03-03", "06-30") == Deadline(is_paused=True)
    life.do("resume", "03-12")
    assert due(life, "03-12") == due(life, "06-30") == Deadline(date(2025, 3, 24))


def test_a_limit_that_had_run_out_before_the_special_procedure_stays_run_out() -> None:
    life = accepted()
    life.do("suspend", "03-20", **TESTING)
    assert due(life, "06-30") == life.step_due("handling", "03-03", "06-30") == Deadline(date(2025, 3, 17))


def test_a_branch_with_a_limit_of_its_own_stands_still_as_the_case_does() -> None:
    life = accepted("engineering", limits=Limits("01", 30, "wd", 40, "wd"))
    assert life.step_due("drawings", "03-03") == Deadline(date(2025, 3, 17)) and life.step_due("fire_opinion", "03-03") == Deadline(date(2025, 4, 15))
    life.do("suspend", "03-05", **TESTING)
    assert life.step_due("drawings", "03-03", "04-30") == Deadline(is_paused=True)
    life.do("resume", "03-12")
    assert life.step_due("drawings", "03-03", "04-30") == Deadline(date(2025, 3, 24))


def test_beyond_the_published_calendar_a_day_is_an_estimate() -> None:
    life = Life()
    until = life.engine.calendar.published_until
    on = f"{until - timedelta(2)} 10:00"
    life.all(on, "submit")
    received = life.step_due("pre_review", on)
    assert received.on is None and received.provisional_on is not None and received.provisional_on > until and life.engine.last_day(life.state) is None
    life.all(on, "pass", "accept")
    decided = due(life, on)
    assert decided.on is None and decided.provisional_on is not None and life.step_due("handling", on) == decided


def test_a_matter_without_limit_has_none_whether_it_is_suspended_or_not() -> None:
    life = accepted("registration", limits=Limits("07"))
    life.do("suspend", "03-05", **TESTING)
    assert due(life, "03-06") == life.step_due("review", "03-03", "03-06") == Deadline()


@settings(max_examples=examples(60))
@given(pauses=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 40)), max_size=3), later=st.integers(0, 400))
def test_what_a_list_keeps_stays_right_until_something_happens(pauses: list[tuple[int, int]], later: int) -> None:
    life, now = accepted("engineering", limits=Limits("01", 40, "wd", 60, "wd")), at("03-03")
    assert "fire" in {step.step for step in shipped()["engineering"].steps}
    for before, length in pauses:
        now += timedelta(days=before)
        life.do("suspend", f"{now:%Y-%m-%d %H:%M}", **TESTING)
        now += timedelta(days=length)
        if length % 3:
            life.do("resume", f"{now:%Y-%m-%d %H:%M}")
        else:
            break
    seen = f"{now + timedelta(days=later):%Y-%m-%d %H:%M}"
    for step in ("fire", "fire_opinion"):
        assert life.step_due(step, "03-03", seen) == life.step_due(step, "03-03", f"{now:%Y-%m-%d %H:%M}")
    assert due(life, seen) == due(life, f"{now:%Y-%m-%d %H:%M}")
