"""The engine against a licence handled by hand: random commands, legal and not, across weekends and holidays."""

from datetime import datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from models.core.processes.definition import Phase
from models.core.processes.engine import CaseState, Command, Engine
from models.core.processes.service import shipped
from models.domain.calendar import work_calendar
from models.domain.clock import Limits
from models.domain.errors import YiwangError
from tests.support.examples import examples
from tests.unit.models_core.licence_by_hand import (
    ACTIONS,
    EXTENSION,
    LAST_PUBLISHED,
    PROMISED,
    ROLES,
    STATUTORY,
    ZONE,
    ByHand,
)

LIMITS = Limits("01", PROMISED, "wd", STATUTORY, "wd", extension_cap=EXTENSION)
ENGINE = Engine(shipped()["licence"], LIMITS, work_calendar(), ZONE)
NEXT = {  # which phase may follow which
    "draft": {"received"},
    "received": {"returned", "correcting", "in_approval", "completed", "closed"},
    "returned": {"received", "in_approval", "closed"},
    "correcting": {"received", "closed"},
    "in_approval": {"completed", "closed"},
    "completed": {"closed"},
    "closed": set(),
}
BEGINNINGS = [  # ahead of the Spring Festival, Labour Day and National Day with their make-up days, and of the calendar's end
    datetime(2026, 2, 9, 9, 30, tzinfo=ZONE), datetime(2025, 4, 25, 16, tzinfo=ZONE), datetime(2025, 9, 26, 23, 59, tzinfo=ZONE),
    datetime(2026, 3, 7, 8, tzinfo=ZONE), datetime(2026, 12, 10, 10, tzinfo=ZONE),
]  # fmt: skip
MINUTES = st.one_of(st.sampled_from([0, 1, 60, 24 * 60, 3 * 24 * 60]), st.integers(0, 6 * 24 * 60), st.integers(0, 40 * 24 * 60))
MATERIALS = st.sampled_from([(), ("甲证明",), ("甲证明", "乙证明"), ("丙证明",), ("乙证明", "丙证明"), ("甲证明", "甲证明"), ("",)])
WITH = st.fixed_dictionaries(
    {
        "reason": st.sampled_from([None, " ", "依法", "依法", "依法"]),
        "outcome": st.sampled_from([None, None, None, "granted", "denied", "terminated"]),
        "special_kind": st.sampled_from([None, "hearing", "hearing", "testing", "publication", "holiday"]),
        "has_written_notice": st.sampled_from([True, True, False]),
        "extension_days": st.sampled_from([None, 0, 1, 5, 10, 11, 400]),
        "missing": st.one_of(st.just(()), MATERIALS),
        "unit_code": st.sampled_from([None, "B02"]),
    }
)
WELL = {"reason": "依法", "special_kind": "hearing", "has_written_notice": True, "extension_days": 1, "unit_code": "B02"}


class Licence(RuleBasedStateMachine):
    @initialize(beginning=st.sampled_from(BEGINNINGS), is_commitment=st.booleans(), ahead=st.integers(0, 4), missing=MATERIALS)
    def begin(self, beginning: datetime, is_commitment: bool, ahead: int, missing: tuple[str, ...]) -> None:
        self.now, self.hand, self.state = beginning, ByHand(is_commitment), ENGINE.new(is_commitment)
        if ahead == 4:  # sent back in pre-review, and nobody cares for a while
            for minutes, action in ((0, "submit"), (5, "return"), (12 * 24 * 60, "submit")):
                self.command(minutes, action, set(ROLES), {"reason": "材料不清"})
            return
        for action in ("submit", "pass", "accept")[:ahead]:
            self.command(7, action, set(ROLES), {"missing": missing} if action == "accept" else {})

    @rule(minutes=MINUTES, action=st.sampled_from(ACTIONS), roles=st.sets(st.sampled_from(ROLES)), with_=WITH)
    def do_anything(self, minutes: int, action: str, roles: set[str], with_: dict[str, Any]) -> None:
        self.command(minutes, action, roles, with_)

    @rule(minutes=MINUTES, pick=st.integers(0, 30), with_=WITH)
    def do_what_is_due(self, minutes: int, pick: int, with_: dict[str, Any]) -> None:
        possible = [action for action in ACTIONS if self.hand.role(action) and action not in ("withdraw", "terminate", "refuse")]
        if possible:
            self.command(minutes, possible[pick % len(possible)], set(ROLES), with_ | {"reason": "依法"})

    @precondition(lambda self: self.hand.phase == "in_approval")
    @rule(pauses=st.tuples(MINUTES, MINUTES), actions=st.lists(st.sampled_from(["supply", "supply", "supply", *ACTIONS]), max_size=3), with_=WITH, is_named=st.booleans())
    def rest(self, pauses: tuple[int, int], actions: list[str], with_: dict[str, Any], is_named: bool) -> None:
        self.command(0, "suspend", set(ROLES), with_ | WELL)
        for action in (["supply"] if is_named else []) + actions:
            named = tuple(self.hand.missing[:1]) if is_named else with_["missing"]
            if action not in ("withdraw", "terminate", "resume"):
                self.command(pauses[0] // 50, action, set(ROLES), WELL | {"missing": named})
        self.command(pauses[1] // 3, "resume", set(ROLES), {})

    @precondition(lambda self: self.hand.phase == "in_approval")
    @rule(minutes=st.integers(0, 12 * 24 * 60), action=st.sampled_from(["suspend", "resume", "extend", "extend", "supply", "give_up", "grant"]), with_=WITH, is_well=st.booleans())
    def do_something_special(self, minutes: int, action: str, with_: dict[str, Any], is_well: bool) -> None:
        well: dict[str, Any] = WELL | {"missing": tuple(self.hand.missing) if action == "supply" else with_["missing"]}
        self.command(minutes, action, set(ROLES), well if is_well else with_ | {"reason": "依法"})

    @precondition(lambda self: self.hand.phase in ("draft", "received"))
    @rule(minutes=st.integers(0, 4 * 24 * 60), way=st.sampled_from([("return", "submit"), ("pass", "ask_correction", "correct"), ("ask_correction", "correct", "wait"), ("return", "wait", "wait")]))
    def go_round(self, minutes: int, way: tuple[str, ...]) -> None:
        for action in ("submit", *way):
            self.command(minutes, action, set(ROLES), {"reason": "依法"})

    @precondition(lambda self: self.hand.phase == "received")
    @rule(minutes=st.integers(0, 3 * 24 * 60), missing=MATERIALS)
    def accept_what_is_there(self, minutes: int, missing: tuple[str, ...]) -> None:
        self.command(0, "pass", set(ROLES), {})
        self.command(minutes, "accept", set(ROLES), {"missing": missing})

    @rule(minutes=st.integers(0, 2 * 24 * 60), pick=st.integers(0, 3))
    def go_on(self, minutes: int, pick: int) -> None:
        ahead = ("submit", "pass", "accept", "handle", "review", "grant", "issue", "deliver", "correct", "resume")
        possible = [action for action in ahead if self.hand.allows(action, self.now, set(ROLES), {})]
        if possible:
            self.command(minutes, possible[pick % len(possible)], set(ROLES), {})

    @rule(minutes=MINUTES, parts=st.integers(1, 4))
    def wait(self, minutes: int, parts: int) -> None:
        later = self.now + timedelta(minutes=minutes)
        at_once, bit_by_bit = ENGINE.settle(self.state, later).state, self.state
        for part in range(1, parts + 1):
            bit_by_bit = ENGINE.settle(bit_by_bit, self.now + timedelta(minutes=minutes) * (part / parts)).state
        assert bit_by_bit == at_once
        assert ENGINE.settle(at_once, later).entries == ()
        self.hand.let_pass(later)
        self.now, self.state = later, at_once

    def command(self, minutes: int, action: str, roles: set[str], with_: dict[str, Any]) -> None:
        before, self.now = self.state, self.now + timedelta(minutes=minutes)
        self.hand.let_pass(self.now)
        is_allowed = self.hand.allows(action, self.now, roles, with_)
        try:
            transition = ENGINE.apply(before, Command(action, self.now, frozenset(roles), **with_))
        except YiwangError as error:
            assert not is_allowed, f"{action} refused: {error}"
            self.state = ENGINE.settle(before, self.now).state
            return
        assert is_allowed, f"{action} accepted in {before}"
        self.hand.do(action, self.now, with_)
        self.state = transition.state
        assert transition.state.entries == (*before.entries, *transition.entries)
        assert before.marking.open_steps - transition.ended | transition.opened == transition.state.marking.open_steps

    @invariant()
    def both_stand_alike(self) -> None:
        state, hand = self.state, self.hand
        assert (state.marking.phase, state.outcome) == (hand.phase, hand.outcome)
        assert state.marking.open_steps == ({hand.step} if hand.step else set())
        assert (state.received_at, state.accepted_at, state.is_deemed_accepted) == (hand.received, hand.accepted, hand.is_deemed)
        assert (state.is_suspended, state.is_extended) == (hand.is_suspended, hand.was_extended)
        assert (state.marking.is_corrected, state.marking.is_commitment) == (hand.asked is not None, hand.is_commitment)
        assert list(state.missing) == hand.missing

    @invariant()
    def what_the_law_forbids_has_not_happened(self) -> None:
        entries, state = self.state.entries, self.state
        assert all(before.at <= after.at for before, after in zip(entries, entries[1:], strict=False))
        phases = ["draft", *(entry.phase_after for entry in entries)]
        for before, entry in zip(phases, entries, strict=False):
            assert entry.phase_before == before
            assert entry.phase_after == before or entry.phase_after in NEXT[before]
        did = [entry.activity for entry in entries]
        assert did.count("correction_asked") <= 1 and did.count("extended") <= 1 and did.count("accepted") <= 1
        assert sum(entry.phase_after == Phase.COMPLETED != entry.phase_before for entry in entries) <= 1
        assert "correction_asked" not in did[did.index("accepted"):] if "accepted" in did else True
        assert (state.completed_at is None) == (state.outcome is None)
        assert state.outcome != "granted" or (state.accepted_at is not None and not state.missing)
        paused = False
        for entry in entries:
            assert not paused or entry.activity in ("resumed", "withdrawn", "terminated", "supplied")
            paused = entry.activity == "suspended" or (paused and entry.activity == "supplied")
        assert paused == state.is_suspended

    @invariant()
    def the_clock_says_the_same(self) -> None:
        state, hand = self.state, self.hand
        clocks = ENGINE.clocks(state, self.now)
        assert (clocks.accepted_at, clocks.is_deemed_accepted) == (state.accepted_at, state.is_deemed_accepted)
        assert clocks.is_told_once_in_time is not False and not clocks.has_invalid_pause and not clocks.has_invalid_extension
        assert clocks.extension_days == hand.extension and clocks.is_paused == state.is_suspended
        if state.accepted_at and not hand.is_suspended and state.outcome is None:
            extra = hand.extension if hand.extension else 0
            due = hand.due(STATUTORY + extra)
            assert clocks.statutory_due_on == (due if due and due <= LAST_PUBLISHED else None)

    @invariant()
    def what_is_possible_can_be_done_and_nothing_else(self) -> None:
        at = self.now + timedelta(days=9 * (len(self.state.entries) % 2))
        possible = [(action.action, action.at) for action in ENGINE.possible(self.state, frozenset(ROLES), at)]
        for action in ENGINE.process.actions:
            assert can_be_done(self.state, action.action, action.at, at) == ((action.action, action.at) in possible), action.title
        assert ENGINE.possible(self.state, frozenset(), self.now) == []


def can_be_done(state: CaseState, action: str, step: str | None, at: datetime) -> bool:
    """Whether some command of this name is accepted."""
    missing = ENGINE.settle(state, at).state.missing if action == "supply" else ()
    try:
        ENGINE.apply(state, Command(action, at, frozenset(ROLES), step=step, missing=missing, **WELL))  # type: ignore[arg-type]
    except YiwangError:
        return False
    return True


Licence.TestCase.settings = settings(max_examples=examples(120), stateful_step_count=30, deadline=None)
TestLicence = Licence.TestCase


def test_time_does_not_run_backwards_and_cases_do_not_fly() -> None:
    at = BEGINNINGS[0]
    state = ENGINE.apply(ENGINE.new(), Command("submit", at, frozenset(ROLES))).state
    with pytest.raises(YiwangError, match="时间早于"):
        ENGINE.apply(state, Command("pass", at - timedelta(seconds=1), frozenset(ROLES)))
    with pytest.raises(YiwangError, match="没有时区"):
        ENGINE.apply(state, Command("pass", at.replace(tzinfo=None), frozenset(ROLES)))
    with pytest.raises(YiwangError, match="没有这个动作"):
        ENGINE.apply(state, Command("fly", at, frozenset(ROLES)))
