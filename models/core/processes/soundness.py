"""Whether a process can be run: every step reached, every action possible, every way to an end with nothing left open.

Classical soundness of workflow nets (van der Aalst, The Application of Petri Nets to Workflow Management, 1998), proved by
walking all markings; processes here have a few dozen.
"""

from collections import deque
from collections.abc import Iterator

from models.core.processes.definition import Effect, Phase, Process
from models.core.processes.marking import Marking, accept_by_time, begin, fire, grant_by_time, is_possible

MOST_MARKINGS = 20_000
"""Beyond it a process is too tangled to be run by people."""
_WAYS_OUT = (Effect.WITHDRAW, Effect.TERMINATE)
_Ways = dict[Marking, set[Marking]]


def faults(process: Process, roles_held: frozenset[str] | None = None) -> list[str]:
    """What is wrong with a process, in Chinese sentences; empty when it can be run.

    Withdrawal, termination and the passing of time are no ways to an end here: a step from which only they lead out is a
    dead end. What time does is walked all the same: wherever it leads, the case must go on.

    Args:
        process: The process.
        roles_held: Roles that exist; None leaves them unchecked.
    """
    found: list[str] = []
    starts = [begin(process, is_commitment) for is_commitment in ((False, True) if process.rules.commitment else (False,))]
    ways: _Ways = {start: set() for start in starts}
    taken: set[tuple[str, str | None]] = set()
    queue = deque(starts)
    while queue:
        marking = queue.popleft()
        following = set(_by_time(process, marking))
        for action in process.actions:
            if not is_possible(marking, action):
                continue
            taken.add((action.action, action.at))
            if action.effect in _WAYS_OUT:
                continue
            if set(action.to) & (marking.open_steps - {action.at or ""}):
                found.append(f"动作“{action.title}”会再次打开还没有办完的环节")
                continue
            after = fire(process, marking, action)
            following.add(after)
            if after != marking and action.effect is not Effect.GIVE_UP_COMMITMENT:
                ways[marking].add(after)
        for new in following - ways.keys():
            if len(ways) >= MOST_MARKINGS:
                return [*dict.fromkeys(found), f"流程的走法超过 {MOST_MARKINGS} 种，过于复杂"]
            ways[new] = set()
            queue.append(new)
    reached = {step for marking in ways for step in marking.open_steps}
    found += [f"环节“{step.title}”永远走不到" for step in process.steps if step.step not in reached]
    found += [f"动作“{action.title}”永远不会发生" for action in process.actions if (action.action, action.at) not in taken]
    for marking in _stuck(ways):
        titles = "、".join(process.step(step).title for step in sorted(marking.open_steps | marking.waiting))
        found.append(f"办到“{titles or process.title}”之后走不到任何结局")
    if roles_held is not None:
        found += [f"角色“{role}”没有人担任" for role in sorted(process.roles - roles_held)]
    return list(dict.fromkeys(found))


def _by_time(process: Process, marking: Marking) -> Iterator[Marking]:
    """Where silence of the body leads."""
    if process.rules.accept_within and marking.phase in (Phase.RECEIVED, Phase.RETURNED):
        yield accept_by_time(process, marking)
    if process.rules.silence == "granted" and marking.phase is Phase.IN_APPROVAL:
        yield grant_by_time(process, marking)


def _stuck(ways: _Ways) -> list[Marking]:
    """Markings from which no proper end can be reached."""
    before: _Ways = {marking: set() for marking in ways}
    for marking, following in ways.items():
        for target in following:
            before[target].add(marking)
    good = {marking for marking in ways if marking.is_over and not marking.waiting}
    queue = deque(good)
    while queue:
        for marking in before[queue.popleft()] - good:
            good.add(marking)
            queue.append(marking)
    return [marking for marking in ways if marking not in good]
