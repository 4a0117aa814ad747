"""By when a case is to be decided, and each of its open steps to be done.

A deadline depends on events, on the calendar and, while a special procedure goes on, on time: then its clock stands still and there is no
day to state. Before acceptance and after the decision the days are those of the process's rules, in between the statutory clock's.
What does not belong here: what happens when a day is over (:mod:`models.core.processes.engine`).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from models.core.processes.definition import Phase, Time
from models.core.processes.engine import Engine
from models.core.processes.state import CaseState


@dataclass(frozen=True)
class Deadline:
    """By when something is to be done.

    Attributes:
        on: The last day; None where there is none, it cannot be stated, or its clock stands still.
        provisional_on: An estimate by weekends, where the calendar up to it is not published.
        is_paused: A special procedure goes on: the day is known when it has ended.
    """

    on: date | None = None
    provisional_on: date | None = None
    is_paused: bool = False


def case_deadline(engine: Engine, state: CaseState, as_of: datetime) -> Deadline:
    """By when the case is to be decided: by its promise, or else by the law's limit."""
    if not state.entries:
        return Deadline()
    clocks = engine.clocks(state, as_of)
    if clocks.due_null_reason != "no_limit" and stands_still(engine, state, clocks.due_on, as_of):
        return Deadline(is_paused=True)
    return Deadline(clocks.due_on, clocks.provisional_due_on)


def step_deadline(engine: Engine, state: CaseState, step: str, opened_at: datetime, as_of: datetime) -> Deadline:
    """By when an open step is to be done: by its own limit, or else by what is set for the phase in which the case is."""
    phase, within = state.marking.phase, engine.process.step(step).within
    if within is not None:
        return _within(engine, state, opened_at, within, as_of)
    if phase is Phase.IN_APPROVAL:
        return case_deadline(engine, state, as_of)
    if phase is Phase.COMPLETED:
        return _within(engine, state, state.completed_at, engine.process.rules.deliver_within, as_of)
    return _within(engine, state, *engine.wait(state), as_of)


def stands_still(engine: Engine, state: CaseState, day: date | None, as_of: datetime) -> bool:
    """Whether the clock that leads to a day is stopped; one that had run out before the special procedure began is not."""
    return state.is_suspended and (day is None or day >= as_of.astimezone(engine.zone).date())


def _within(engine: Engine, state: CaseState, since: datetime | None, limit: Time | None, as_of: datetime) -> Deadline:
    if since is None or limit is None:
        return Deadline()
    day = engine.day(since, limit.limit, _pauses(engine, state, since, as_of))
    if stands_still(engine, state, day, as_of):
        return Deadline(is_paused=True)
    return Deadline(day) if day and engine.calendar.is_published(day) else Deadline(provisional_on=day)


def _pauses(engine: Engine, state: CaseState, since: datetime, as_of: datetime) -> list[tuple[date, date]]:
    """What special procedures take out of a count that begins at an instant: first day, first day after."""

    def day_of(instant: datetime) -> date:
        return instant.astimezone(engine.zone).date()

    spans = []
    for number, entry in enumerate(state.entries):
        if entry.activity == "suspended":
            ended_at = next((later.at for later in state.entries[number:] if later.activity == "resumed"), as_of)
            spans.append((max(day_of(entry.at), day_of(since) + timedelta(1)), day_of(ended_at)))
    return [(on, off) for on, off in spans if on < off]
