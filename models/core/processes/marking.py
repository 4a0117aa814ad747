"""Where a case stands in its process: open steps, branches that wait, phase; and how an action moves it.

Only what a process itself decides is here: who acts, when, and why is judged by :mod:`models.core.processes.engine`.
"""

from dataclasses import dataclass, field, replace

from models.core.processes.definition import OPEN, Action, Effect, Phase, Process

_FROM: dict[Effect, tuple[Phase, ...]] = {
    Effect.NONE: (*OPEN, Phase.COMPLETED),
    Effect.SUBMIT: (Phase.DRAFT, Phase.RETURNED),
    Effect.RETURN: (Phase.RECEIVED,),
    Effect.ASK_CORRECTION: (Phase.RECEIVED,),
    Effect.CORRECT: (Phase.CORRECTING,),
    Effect.ACCEPT: (Phase.RECEIVED,),
    Effect.REFUSE: (Phase.RECEIVED,),
    Effect.SUSPEND: (Phase.IN_APPROVAL,),
    Effect.RESUME: (Phase.IN_APPROVAL,),
    Effect.EXTEND: (Phase.IN_APPROVAL,),
    Effect.SUPPLY: (Phase.IN_APPROVAL,),
    Effect.GIVE_UP_COMMITMENT: (Phase.RECEIVED, Phase.IN_APPROVAL),
    Effect.TRANSFER: OPEN,
    Effect.COMPLETE: (Phase.RECEIVED, Phase.IN_APPROVAL),
    Effect.WITHDRAW: OPEN,
    Effect.TERMINATE: OPEN,
    Effect.CLOSE: (Phase.COMPLETED,),
}
_TO: dict[Effect, Phase] = {
    Effect.SUBMIT: Phase.RECEIVED,
    Effect.RETURN: Phase.RETURNED,
    Effect.ASK_CORRECTION: Phase.CORRECTING,
    Effect.CORRECT: Phase.RECEIVED,
    Effect.ACCEPT: Phase.IN_APPROVAL,
    Effect.REFUSE: Phase.COMPLETED,
    Effect.COMPLETE: Phase.COMPLETED,
    Effect.WITHDRAW: Phase.CLOSED,
    Effect.TERMINATE: Phase.CLOSED,
    Effect.CLOSE: Phase.CLOSED,
}
ENDING = frozenset({Effect.REFUSE, Effect.COMPLETE, Effect.WITHDRAW, Effect.TERMINATE})
"""Effects that decide the case: whatever else is open ends with them."""


@dataclass(frozen=True)
class Marking:
    """Where a case stands.

    Attributes:
        phase: Its phase.
        open_steps: Steps that somebody has to do.
        waiting: Steps that are done and on whose siblings a join waits.
        is_corrected: Correction has been asked for, which is possible once.
        is_commitment: The applicant promises instead of proving.
    """

    phase: Phase
    open_steps: frozenset[str] = field(default_factory=frozenset)
    waiting: frozenset[str] = field(default_factory=frozenset)
    is_corrected: bool = False
    is_commitment: bool = False

    @property
    def is_over(self) -> bool:
        """Nothing is left to do."""
        return not self.open_steps and self.phase in (Phase.COMPLETED, Phase.CLOSED)


def begin(process: Process, is_commitment: bool = False) -> Marking:
    """A new case."""
    return Marking(Phase.DRAFT, frozenset({process.start}), is_commitment=is_commitment)


def accept_by_time(process: Process, marking: Marking) -> Marking:
    """Where a case stands that counts as accepted because the body was silent (ALL art. 32(4)).

    As after its acceptance; where the process decides without one, everything stays as it is but for the phase.
    """
    accept = process.acceptance(marking.is_commitment)
    if accept is None:
        return replace(marking, phase=Phase.IN_APPROVAL)
    return fire(process, replace(marking, phase=Phase.RECEIVED, open_steps=frozenset({accept.at or ""}), waiting=frozenset()), accept)


def grant_by_time(process: Process, marking: Marking) -> Marking:
    """Where a case stands that counts as granted because the body was silent (ALL art. 50)."""
    grant = process.granting(marking.is_commitment)
    return replace(marking, phase=Phase.COMPLETED, open_steps=frozenset(grant.to if grant else ()), waiting=frozenset())


def is_possible(marking: Marking, action: Action) -> bool:
    """Whether the process allows the action where the case stands."""
    if action.at is not None and action.at not in marking.open_steps:
        return False
    if action.at is None and marking.phase not in action.phases:
        return False
    if action.effect is Effect.ASK_CORRECTION and marking.is_corrected:
        return False
    if not action.is_for(marking.is_commitment) or (action.effect is Effect.GIVE_UP_COMMITMENT and not marking.is_commitment):
        return False
    if action.effect is Effect.COMPLETE and (marking.open_steps != {action.at} or marking.waiting):
        return False  # a branch is still at work, or what it found has not been taken up
    return marking.phase in _FROM[action.effect]


def fire(process: Process, marking: Marking, action: Action) -> Marking:
    """Where the case stands after a possible action."""
    phase = _TO.get(action.effect, marking.phase)
    is_corrected = marking.is_corrected or action.effect is Effect.ASK_CORRECTION
    is_commitment = marking.is_commitment and action.effect is not Effect.GIVE_UP_COMMITMENT
    if action.effect in ENDING:
        return Marking(phase, frozenset(action.to), frozenset(), is_corrected, is_commitment)
    open_steps, done = set(marking.open_steps), set(marking.waiting)
    if action.at and not action.keeps_step:
        open_steps.discard(action.at)
        if any(action.at in process.step(name).needs for name in action.to):  # on its way to the join, not sent elsewhere
            done.add(action.at)
    for name in action.to:
        needs = set(process.step(name).needs)
        if needs <= done:
            done -= {*needs, name}
            open_steps.add(name)
    return Marking(phase, frozenset(open_steps), frozenset(done), is_corrected, is_commitment)
