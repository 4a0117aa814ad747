"""The state machine of all cases: a pure function from a case and a command to what becomes of it.

It judges who (roles), where (:mod:`models.core.processes.marking`), when (the statutory clock) and why; every step that
it allows is an event. Nothing here reads a clock or a database. Rules of law carry their article (Administrative
Licence Law, ALL); local practice is data of the process.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta, tzinfo
from enum import StrEnum

from models.core.processes.definition import Action, Effect, Phase, Process, Time
from models.core.processes.marking import Marking, begin, fire, is_possible
from models.domain.calendar import WorkCalendar
from models.domain.clock import CaseFacts, Clocks, Event, Limits, clock
from models.domain.errors import YiwangError
from models.domain.time_limit import due_number

SYSTEM = "system"
"""Role of the platform itself: what happens because time passes."""


class Timer(StrEnum):
    """What happens by itself when its day is over."""

    DEEMED_ACCEPTED = "deemed_accepted"
    CORRECTION_LAPSED = "correction_lapsed"
    TOLERANCE_LAPSED = "tolerance_lapsed"
    SILENCE = "silence"


@dataclass(frozen=True)
class Command:
    """Something that somebody wants to do to a case.

    Attributes:
        action: Name of the action.
        at: Instant, aware.
        roles: Roles that the actor holds for this case.
        reason: Why.
        outcome: Chosen among the action's outcomes.
        special_kind: Kind of special procedure (L.special_kind), to suspend.
        has_written_notice: The applicant was told in writing.
        extension_days: Length of an extension, in the unit of the matter's limit.
        missing: By name: at acceptance, minor materials that may come later; at their arrival, those that came.
        step: Step at which the action is taken, where several have it.
    """

    action: str
    at: datetime
    roles: frozenset[str]
    reason: str | None = None
    outcome: str | None = None
    special_kind: str | None = None
    has_written_notice: bool = False
    extension_days: int | None = None
    missing: tuple[str, ...] = ()
    step: str | None = None


@dataclass(frozen=True)
class Entry:
    """One event of a case, before it is stored: what, from where, to where."""

    activity: str
    action: str
    at: datetime
    phase_before: Phase
    phase_after: Phase
    role: str
    step: str | None = None
    reason: str | None = None
    special_kind: str | None = None
    special_code: str | None = None
    has_written_notice: bool | None = None
    extension_days: int | None = None


@dataclass(frozen=True)
class CaseState:
    """A case, as far as its process is concerned.

    Attributes:
        marking: Where it stands.
        entries: Its events so far, in order.
        received_at: First complete handing-in; never moved by a return or a correction.
        accepted_at: Acceptance; the instant of receipt where it is deemed.
        is_deemed_accepted: The body did not tell in time what is missing (ALL art. 32(4)).
        completed_at: Decision.
        outcome: Code of L.outcome.
        is_suspended: A special procedure goes on.
        is_extended: The limit was extended, which is possible once.
        missing: Materials accepted as missing that have not come yet.
    """

    marking: Marking
    entries: tuple[Entry, ...] = ()
    received_at: datetime | None = None
    accepted_at: datetime | None = None
    is_deemed_accepted: bool = False
    completed_at: datetime | None = None
    outcome: str | None = None
    is_suspended: bool = False
    is_extended: bool = False
    missing: tuple[str, ...] = ()

    @property
    def facts(self) -> CaseFacts:
        """What the statutory clock reads."""
        events = tuple(
            Event(
                sequence=number, activity_code=entry.activity, occurred_at=entry.at, special_code=entry.special_code,
                special_kind_code=entry.special_kind, has_written_notice=entry.has_written_notice, extension_days=entry.extension_days,
            )
            for number, entry in enumerate(self.entries, start=1)
        )  # fmt: skip
        # A deemed acceptance is the clock's own finding: nobody accepted.
        return CaseFacts(self.received_at, None if self.is_deemed_accepted else self.accepted_at, self.completed_at, self.outcome, None, events)


@dataclass(frozen=True)
class Transition:
    """What becomes of a case.

    Attributes:
        state: The case afterwards.
        entries: The events that are new.
        opened: Steps that somebody has to do from now on.
        ended: Steps that are over.
        documents: Documents that are issued.
    """

    state: CaseState
    entries: tuple[Entry, ...]
    opened: frozenset[str] = field(default_factory=frozenset)
    ended: frozenset[str] = field(default_factory=frozenset)
    documents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Engine:
    """Runs cases of one process for one matter.

    Attributes:
        process: The process.
        limits: Limits of the matter.
        calendar: Work calendar.
        zone: Zone in which instants become days.
    """

    process: Process
    limits: Limits
    calendar: WorkCalendar
    zone: tzinfo

    def new(self) -> CaseState:
        """A case that nobody has handed in yet."""
        return CaseState(begin(self.process))

    def possible(self, state: CaseState, roles: frozenset[str]) -> list[Action]:
        """The actions that holders of the roles may take now, in the order of the process."""
        return [
            action
            for action in self.process.actions
            if is_possible(state.marking, action) and self.process.role_of(action) in roles and self._blocked(state, action) is None
        ]

    def apply(self, state: CaseState, command: Command) -> Transition:
        """Do it, or say why not.

        What time has brought about before the command (:meth:`settle`) happens first and is part of the transition.

        Raises:
            YiwangError: YW-CORE-001 where the case does not allow the action, YW-CORE-002 where the actor may not take it,
                YW-CORE-003 where something that it needs is missing or wrong.
        """
        if state.entries and command.at < state.entries[-1].at:
            raise _incomplete(command, "时间早于办件的上一个环节")
        settled = self.settle(state, command.at)
        now = settled.state
        named = [action for action in self.process.actions if action.action == command.action]
        if not named:
            raise YiwangError("YW-CORE-001", action=command.action, detail="流程中没有这个动作")
        here = [action for action in named if is_possible(now.marking, action) and command.step in (None, action.at)]
        if not here:
            raise YiwangError("YW-CORE-001", action=named[0].title, detail=f"办件当前处于“{self._where(now)}”")
        if len(here) > 1:
            raise _incomplete(command, "有几个环节可以这样办理，请写明环节")
        action = here[0]
        if self.process.role_of(action) not in command.roles:
            raise YiwangError("YW-CORE-002", action=action.title, role=self.process.role_of(action))
        if blocked := self._blocked(now, action):
            raise YiwangError("YW-CORE-001", action=action.title, detail=blocked)
        self._check(now, action, command)
        done = self._do(now, action, command)
        return replace(
            done, entries=(*settled.entries, *done.entries), opened=(settled.opened - done.ended) | done.opened,
            ended=settled.ended | done.ended, documents=(*settled.documents, *done.documents),
        )  # fmt: skip

    def settle(self, state: CaseState, now: datetime) -> Transition:
        """What has happened by itself until ``now``: deemed acceptance, lapses, silence; nothing where no timer ran out."""
        result = Transition(state, ())
        while (timer := self.next_timer(result.state)) is not None and timer[1] <= now:
            step = self._lapse(result.state, *timer)
            result = Transition(
                step.state, (*result.entries, *step.entries), (result.opened - step.ended) | step.opened, result.ended | step.ended,
                (*result.documents, *step.documents),
            )  # fmt: skip
        return result

    def next_timer(self, state: CaseState) -> tuple[Timer, datetime] | None:
        """What will happen by itself next, and at which instant (the end of its last day); None for nothing."""
        rules, phase = self.process.rules, state.marking.phase
        if phase in (Phase.RECEIVED, Phase.RETURNED) and rules.accept_within:
            complete_at = _last(state, "correction_submitted") or state.received_at
            return self._timer(Timer.DEEMED_ACCEPTED, complete_at, Time(length=rules.accept_within))
        if phase is Phase.CORRECTING and rules.correction and rules.correction.answer_within:
            return self._timer(Timer.CORRECTION_LAPSED, _last(state, "correction_asked"), rules.correction.answer_within)
        if phase is Phase.IN_APPROVAL and state.missing and rules.tolerance:
            return self._timer(Timer.TOLERANCE_LAPSED, state.accepted_at, rules.tolerance.within)
        if phase is Phase.IN_APPROVAL and rules.silence == "granted" and not state.is_suspended:
            clocks = self.clocks(state, state.entries[-1].at)
            return (Timer.SILENCE, clocks.due_at) if clocks.due_at else None
        return None

    def clocks(self, state: CaseState, as_of: datetime) -> Clocks:
        """The statutory clock of the case."""
        return clock(state.facts, self.limits, self.calendar, as_of, self.zone)

    def _timer(self, timer: Timer, since: datetime | None, limit: Time) -> tuple[Timer, datetime] | None:
        if since is None:
            return None
        number, _ = due_number(since.astimezone(self.zone).date(), limit.limit, None, (), self.calendar)
        day = self.calendar.day_of(number) if number else None
        if day is None or not self.calendar.is_published(day):
            return None  # beyond the published calendar nothing lapses by itself
        return timer, datetime.combine(day + timedelta(1), time(), self.zone)

    def _lapse(self, state: CaseState, timer: Timer, at: datetime) -> Transition:
        # The instant is the first that is over the limit; the event stands at it, in the platform's own name.
        match timer:
            case Timer.DEEMED_ACCEPTED:  # ALL art. 32(4): from the day of receipt, or on which the complete set came
                accepted_at = _last(state, "correction_submitted") or state.received_at
                accept = next(a for a in self.process.actions if a.effect is Effect.ACCEPT)
                marking = fire(self.process, Marking(Phase.RECEIVED, frozenset({accept.at or ""})), accept)
                changed = replace(state, marking=marking, accepted_at=accepted_at, is_deemed_accepted=True)
                return self._moved(state, changed, accept.activity, Timer.DEEMED_ACCEPTED, at, "逾期未告知，自收到之日起视为受理", accept.documents)
            case Timer.CORRECTION_LAPSED:
                outcome = self.process.rules.correction.lapse if self.process.rules.correction else "terminated"
                reason = "逾期未补正"
            case Timer.TOLERANCE_LAPSED:
                outcome, reason = "terminated", f"逾期未补齐：{'、'.join(state.missing)}"
            case Timer.SILENCE:  # ALL art. 50
                grant = next(a for a in self.process.actions if "granted" in a.outcomes)
                marking = Marking(Phase.COMPLETED, frozenset(grant.to), frozenset(), state.marking.is_corrected)
                changed = replace(state, marking=marking, completed_at=at, outcome="granted")
                return self._moved(state, changed, grant.activity, timer, at, "逾期未作决定，视为准予", grant.documents)
        closed = Marking(Phase.CLOSED, frozenset(), frozenset(), state.marking.is_corrected)
        changed = replace(state, marking=closed, completed_at=at, outcome=outcome)
        return self._moved(state, changed, "withdrawn" if outcome == "withdrawn" else "terminated", timer, at, reason)

    def _moved(
        self, before: CaseState, after: CaseState, activity: str, timer: Timer, at: datetime, reason: str, documents: Sequence[str] = ()
    ) -> Transition:
        entry = Entry(activity, timer, at, before.marking.phase, after.marking.phase, SYSTEM, reason=reason)
        opened, ended = after.marking.open_steps - before.marking.open_steps, before.marking.open_steps - after.marking.open_steps
        return Transition(replace(after, entries=(*before.entries, entry)), (entry,), opened, ended, tuple(documents))

    def _blocked(self, state: CaseState, action: Action) -> str | None:
        """Why the case as a whole does not allow an action that its process would."""
        if action.effect is Effect.SUPPLY:
            return None if state.missing else "没有容缺的材料"
        if state.is_suspended and action.effect not in (Effect.RESUME, Effect.WITHDRAW, Effect.TERMINATE):
            return "特别程序进行中，须先结束特别程序"
        if action.effect is Effect.RESUME and not state.is_suspended:
            return "没有进行中的特别程序"
        if action.effect is Effect.EXTEND and (self.process.rules.extension == "none" or state.is_extended):
            return "已经延长过一次" if state.is_extended else "本流程不能延长"
        if action.effect is Effect.ASK_CORRECTION and self.process.rules.correction is None:
            return "本流程没有补正"
        return None

    def _check(self, state: CaseState, action: Action, command: Command) -> None:
        rules = self.process.rules
        if action.needs_reason and not (command.reason and command.reason.strip()):
            raise _incomplete(command, "须说明理由")
        if action.effect is Effect.COMPLETE:
            outcome = command.outcome or (action.outcomes[0] if len(action.outcomes) == 1 else None)
            if outcome not in action.outcomes:
                raise _incomplete(command, f"办理结果须为 {'、'.join(action.outcomes)} 之一")
            if state.missing and outcome == "granted":
                raise _incomplete(command, f"容缺材料尚未补齐：{'、'.join(state.missing)}")
        if action.effect is Effect.SUSPEND:
            if command.special_kind not in rules.special:
                raise _incomplete(command, f"特别程序须为 {'、'.join(rules.special) or '（本流程没有特别程序）'} 之一")
            if not command.has_written_notice:  # ALL art. 45
                raise _incomplete(command, "特别程序须书面告知申请人")
        if action.effect is Effect.EXTEND:
            self._check_extension(state, command)
        if action.effect is Effect.ACCEPT and command.missing and rules.tolerance is None:
            raise _incomplete(command, "本流程不能容缺受理")
        if action.effect is Effect.SUPPLY and not set(command.missing) & set(state.missing):
            raise _incomplete(command, f"须写明补齐了哪些材料：{'、'.join(state.missing)}")

    def _check_extension(self, state: CaseState, command: Command) -> None:
        """ALL art. 42: once, before the limit ends, no longer than the law or the matter allows."""
        if command.extension_days is None or command.extension_days < 1:
            raise _incomplete(command, "须写明延长的天数")
        after = replace(state, entries=(*state.entries, _extension(command, state.marking.phase)))
        clocks = self.clocks(after, command.at)
        if clocks.has_invalid_extension or clocks.extension_days != command.extension_days:
            raise _incomplete(command, "延长须在期限届满前作出，且不超过法定的最长时间")

    def _do(self, state: CaseState, action: Action, command: Command) -> Transition:
        marking = fire(self.process, state.marking, action)
        changes: dict[str, object] = {"marking": marking}
        match action.effect:
            case Effect.SUBMIT:
                changes["received_at"] = state.received_at or command.at
            case Effect.ACCEPT:
                changes |= {"accepted_at": command.at, "missing": command.missing}
            case Effect.REFUSE:
                changes |= {"completed_at": command.at, "outcome": "refused"}
            case Effect.COMPLETE:
                changes |= {"completed_at": command.at, "outcome": command.outcome or action.outcomes[0]}
            case Effect.WITHDRAW:
                changes |= {"completed_at": command.at, "outcome": "withdrawn", "is_suspended": False}
            case Effect.TERMINATE:
                changes |= {"completed_at": command.at, "outcome": "terminated", "is_suspended": False}
            case Effect.SUSPEND | Effect.RESUME:
                changes["is_suspended"] = action.effect is Effect.SUSPEND
            case Effect.EXTEND:
                changes["is_extended"] = True
            case Effect.SUPPLY:
                changes["missing"] = tuple(name for name in state.missing if name not in command.missing)
        entry = Entry(
            action.activity, action.action, command.at, state.marking.phase, marking.phase, self.process.role_of(action), action.at, command.reason,
            special_kind=command.special_kind if action.effect is Effect.SUSPEND else None,
            special_code={Effect.SUSPEND: "2", Effect.EXTEND: "1"}.get(action.effect),  # GB/T 39046-2020 A.7
            has_written_notice=command.has_written_notice if action.effect is Effect.SUSPEND else None,
            extension_days=command.extension_days if action.effect is Effect.EXTEND else None,
        )
        after = replace(state, **changes, entries=(*state.entries, entry))  # type: ignore[arg-type]
        opened, ended = marking.open_steps - state.marking.open_steps, state.marking.open_steps - marking.open_steps
        return Transition(after, (entry,), opened, ended, action.documents)

    def _where(self, state: CaseState) -> str:
        titles = [self.process.step(step).title for step in sorted(state.marking.open_steps)]
        return "、".join(titles) or {Phase.COMPLETED: "已办结", Phase.CLOSED: "已结束"}.get(state.marking.phase, state.marking.phase)


def _extension(command: Command, phase: Phase) -> Entry:
    return Entry("extended", command.action, command.at, phase, phase, "", special_code="1", extension_days=command.extension_days)


def _last(state: CaseState, activity: str) -> datetime | None:
    return next((entry.at for entry in reversed(state.entries) if entry.activity == activity), None)


def _incomplete(command: Command, detail: str) -> YiwangError:
    return YiwangError("YW-CORE-003", action=command.action, detail=detail)


