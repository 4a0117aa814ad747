"""What holds for every process that ships, whatever is done to its cases."""

from datetime import date, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from models.core.processes.definition import Action, Effect, Phase
from models.core.processes.engine import CaseState, Command, Engine
from models.core.processes.service import ROLES, shipped
from models.domain.calendar import work_calendar
from models.domain.clock import Limits
from models.domain.errors import YiwangError
from tests.support.examples import examples
from tests.unit.models_core.life import ZONE, at

LIMITS = [Limits("01", 10, "wd", 20, "wd"), Limits("01", is_joint=True, is_publication_excluded=True), Limits("07"), Limits("05", 1, "month"), Limits("01", 30, "cd", clock_start_code="receipt")]
MOVES = st.lists(st.tuples(st.one_of(st.integers(0, 2000), st.integers(0, 30 * 24 * 60)), st.integers(0, 1000), st.integers(0, 5)), max_size=25)


def commands(engine: Engine, state: CaseState, action: Action, now: object) -> list[Command]:
    """Well-formed commands for an action."""
    missing = state.missing if action.effect is Effect.SUPPLY else ()
    special = next(iter(engine.process.rules.special), None)
    return [
        Command(
            action.action, now, ROLES, reason="依法", outcome=outcome, special_kind=special, has_written_notice=True, extension_days=1,  # type: ignore[arg-type]
            missing=missing, step=action.at, unit_code="B02",
        )
        for outcome in action.outcomes or (None,)
    ]  # fmt: skip


def is_accepted(engine: Engine, state: CaseState, command: Command) -> bool:
    try:
        engine.apply(state, command)
    except YiwangError as error:
        assert error.code in ("YW-CORE-001", "YW-CORE-003")
        return False
    return True


@pytest.mark.parametrize("code", sorted(shipped()))
@settings(max_examples=examples(12))
@given(moves=MOVES, limits=st.sampled_from(LIMITS), is_commitment=st.booleans(), expires_in=st.none() | st.integers(20, 60))
def test_a_case_never_stands_where_nothing_can_be_done(
    code: str, moves: list[tuple[int, int, int]], limits: Limits, is_commitment: bool, expires_in: int | None
) -> None:
    process, now = shipped()[code], at("2025-04-25")
    expires_on: date | None = (now + timedelta(days=expires_in)).date() if expires_in else None
    engine = Engine(process, limits, work_calendar(), ZONE, expires_on)
    state = engine.new(is_commitment and process.rules.commitment)
    for minutes, pick, tolerated in moves:
        now += timedelta(minutes=minutes)
        halfway = engine.settle(state, now - timedelta(minutes=minutes / 2)).state
        settled = engine.settle(state, now).state
        assert engine.settle(halfway, now).state == settled and engine.settle(settled, now).entries == ()
        possible = engine.possible(state, ROLES, now)
        for action in process.actions:
            does = any(is_accepted(engine, state, command) for command in commands(engine, settled, action, now))
            assert does == (action in possible), action.title
        if not possible:
            assert settled.marking.phase is Phase.CLOSED or settled.marking.is_over or (engine.has_expired(now) and settled.received_at is None)
            break
        action = possible[pick % len(possible)]
        if action.effect in (Effect.WITHDRAW, Effect.TERMINATE, Effect.REFUSE) and pick % 5:
            continue
        chosen = next(c for c in commands(engine, settled, action, now) if is_accepted(engine, state, c))
        if action.effect is Effect.ACCEPT and process.rules.tolerance and tolerated == 0:
            chosen = Command(chosen.action, now, ROLES, missing=("照片",))  # type: ignore[arg-type]
        after = engine.apply(state, chosen)
        assert (state.marking.open_steps - after.ended) | after.opened == after.state.marking.open_steps
        state = after.state
        entries = state.entries
        assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
        assert sum(entry.phase_after is not entry.phase_before and entry.phase_after is Phase.COMPLETED for entry in entries) <= 1
        assert [entry.activity for entry in entries].count("correction_asked") <= 1
        assert (state.completed_at is None) == (state.outcome is None)
        if process.kind == "public":
            clocks = engine.clocks(state, now)
            assert (clocks.accepted_at, clocks.is_deemed_accepted) == (state.accepted_at, state.is_deemed_accepted)
            assert state.outcome != "granted" or state.accepted_at is not None
            assert not clocks.has_invalid_pause and not clocks.has_invalid_extension
