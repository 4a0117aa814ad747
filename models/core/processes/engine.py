"""The state machine of all cases: a pure function from a case and a command to what becomes of it.

It judges who (roles), where (:mod:`models.core.processes.marking`), when (the statutory clock) and why; every step that
it allows is an event. Nothing here reads a clock or a database. Rules of law carry their article (Administrative
Licence Law, ALL); local practice is data of the process.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from models.core.policy.service import role_title
from models.core.processes.definition import MUST_SAY_WHY, PHASES, Action, Effect, Phase, Process, Time
from models.core.processes.marking import accept_by_time, begin, fire, grant_by_time, is_possible
from models.core.processes.state import SYSTEM, CaseState, Command, Entry, Timer, Transition
from models.domain.calendar import WorkCalendar
from models.domain.clock import ENDED_WITHOUT_DECISION, LICENCE, PAUSE_KINDS, Clocks, Limits, clock
from models.domain.codes import label
from models.domain.errors import YiwangError
from models.domain.time_limit import Limit, due_number

__all__ = ["SYSTEM", "CaseState", "Command", "Engine", "Entry", "Timer", "Transition"]


_ENDS = {Effect.REFUSE: "refused", Effect.WITHDRAW: "withdrawn", Effect.TERMINATE: "terminated"}
_WITHOUT_MISSING = ("denied", "void")
"""Outcomes that grant nothing: missing materials do not stand in their way, but they are never without a reason (ALL art. 38)."""


@dataclass(frozen=True)
class Engine:
    """Runs cases of one process for one matter.

    Attributes:
        process: The process.
        limits: Limits of the matter.
        calendar: Work calendar.
        zone: Zone in which instants become days.
        expires_on: Last day of the licence whose renewal the case is.
    """

    process: Process
    limits: Limits
    calendar: WorkCalendar
    zone: tzinfo
    expires_on: date | None = None

    def new(self, is_commitment: bool = False) -> CaseState:
        """A case that nobody has handed in yet."""
        return CaseState(begin(self.process, is_commitment))

    def possible(self, state: CaseState, roles: frozenset[str], at: datetime) -> list[Action]:
        """The actions that holders of the roles may take at an instant, in the order of the process.

        For each there is a command that :meth:`apply` accepts; for no other.
        """
        now = self.settle(state, at).state
        return [
            action
            for action in self.process.actions
            if is_possible(now.marking, action) and self.process.role_of(action) in roles and self._blocked(now, action, at) is None
        ]

    def apply(self, state: CaseState, command: Command) -> Transition:
        """Do it, or say why not.

        What time has brought about before the command (:meth:`settle`) happens first and is part of the transition.

        Raises:
            YiwangError: YW-CORE-001 where the case does not allow the action, YW-CORE-002 where the actor may not take it,
                YW-CORE-003 where something that it needs is missing or wrong.
        """
        if command.at.tzinfo is None:
            raise _incomplete(self._title(command), "时间没有时区")
        if state.entries and command.at < state.entries[-1].at:
            raise _incomplete(self._title(command), "时间早于办件的上一个环节")
        settled = self.settle(state, command.at)
        now = settled.state
        named = [action for action in self.process.actions if action.action == command.action]
        if not named:
            raise YiwangError("YW-CORE-001", action=command.action, detail="流程中没有这个动作")
        here = [action for action in named if is_possible(now.marking, action) and command.step in (None, action.at)]
        if not here:
            raise YiwangError("YW-CORE-001", action=named[0].title, detail=f"办件当前处于“{self._where(now)}”")
        if len(here) > 1:
            raise _incomplete(named[0].title, "有几个环节可以这样办理，请写明环节")
        action = here[0]
        if self.process.role_of(action) not in command.roles:
            raise YiwangError("YW-CORE-002", action=action.title, role=role_title(self.process.role_of(action)))
        if blocked := self._blocked(now, action, command.at):
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
        timer = self._timer(state)
        if timer is None or not state.entries:
            return timer
        return timer[0], max(timer[1], state.entries[-1].at)  # nothing happens before what has happened

    def last_day(self, state: CaseState) -> tuple[Timer, date] | None:
        """What will happen by itself next, and the last day on which it can be averted."""
        timer = self.next_timer(state)
        return (timer[0], (timer[1] - timedelta(microseconds=1)).astimezone(self.zone).date()) if timer else None

    def wait(self, state: CaseState) -> tuple[datetime | None, Time | None]:
        """Since when, and how long, somebody is waited for before acceptance."""
        rules, phase = self.process.rules, state.marking.phase
        if phase in (Phase.RECEIVED, Phase.RETURNED) and rules.accept_within:
            return state.complete_at, Time(length=rules.accept_within)
        if phase is Phase.CORRECTING and rules.correction:
            return state.last("correction_asked"), rules.correction.answer_within
        return None, None

    def clocks(self, state: CaseState, as_of: datetime) -> Clocks:
        """The statutory clock of the case."""
        return clock(state.facts, self.limits, self.calendar, as_of, self.zone)

    def _timer(self, state: CaseState) -> tuple[Timer, datetime] | None:
        rules, phase = self.process.rules, state.marking.phase
        if phase in (Phase.RECEIVED, Phase.RETURNED, Phase.CORRECTING):
            return self._over(Timer.CORRECTION_LAPSED if phase is Phase.CORRECTING else Timer.DEEMED_ACCEPTED, *self.wait(state))
        if phase is Phase.IN_APPROVAL and state.missing:  # silence grants nothing that may not be granted yet
            since = max((at for at in (state.accepted_at, state.last("commitment_withdrawn")) if at), default=None)
            return self._over(Timer.TOLERANCE_LAPSED, since, rules.tolerance.within if rules.tolerance else None)
        if phase is Phase.IN_APPROVAL and rules.silence == "granted" and (last := self._silent_on(state)):
            end = datetime.combine(last + timedelta(1), time(), self.zone).astimezone(UTC)
            return Timer.SILENCE, end - timedelta(microseconds=1)  # within the last day: the decision is not late
        return None

    def _silent_on(self, state: CaseState) -> date | None:
        """The last day on which the body may still decide itself."""
        if self.expires_on is None:
            if state.is_suspended or self.process.is_renewal:  # a licence may exist whose last day nobody stated
                return None
            clocks = self.clocks(state, state.entries[-1].at)
            is_by_law = self.limits.statutory_limit is not None or self.limits.type_code == LICENCE
            return clocks.statutory_due_on if is_by_law else clocks.promised_due_on
        return self.expires_on if state.received_at and self.is_asked_in_time(state.received_at) else None

    def is_asked_in_time(self, received_at: datetime) -> bool | None:
        """Whether renewal was asked for early enough for silence to mean anything (ALL art. 50); None where nothing expires."""
        if self.expires_on is None:
            return None
        received_on, before = received_at.astimezone(self.zone).date(), self.process.rules.renewal_before
        if before is None:
            return received_on <= self.expires_on
        day = received_on + timedelta(before.length) if before.unit == "cd" else self.day(received_at, before.limit)
        return day is not None and day <= self.expires_on

    def has_expired(self, at: datetime) -> bool:
        """Whether the licence to be renewed is over."""
        return self.expires_on is not None and self.expires_on < at.astimezone(self.zone).date()

    def day(self, since: datetime, limit: Limit, pauses: Sequence[tuple[date, date]] = ()) -> date | None:
        """The day on which a limit ends, published or not."""
        number, _ = due_number(since.astimezone(self.zone).date(), limit, None, pauses, self.calendar)
        return self.calendar.day_of(number) if number else None

    def _over(self, timer: Timer, since: datetime | None, limit: Time | None) -> tuple[Timer, datetime] | None:
        """The first instant that is over the limit; None beyond the published calendar, where nothing lapses by itself."""
        day = self.day(since, limit.limit) if since and limit else None
        return (timer, datetime.combine(day + timedelta(1), time(), self.zone)) if day and self.calendar.is_published(day) else None

    def _lapse(self, state: CaseState, timer: Timer, at: datetime) -> Transition:
        # The event stands at the instant at which it fell due, in the platform's own name, whenever it is noticed.
        process, marking = self.process, state.marking
        match timer:
            case Timer.DEEMED_ACCEPTED:  # ALL art. 32(4): from the day of receipt, or on which the complete set came
                accept = process.acceptance(marking.is_commitment)
                changed = replace(state, marking=accept_by_time(process, marking), accepted_at=state.complete_at, is_deemed_accepted=True)
                return self._moved(state, changed, "accepted", timer, at, "逾期未告知，自收到之日起视为受理", accept.documents if accept else ())
            case Timer.SILENCE:  # ALL art. 50
                grant = process.granting(marking.is_commitment)
                changed = replace(state, marking=grant_by_time(process, marking), completed_at=at, outcome="granted", is_suspended=False)
                return self._moved(state, changed, "completed", timer, at, "逾期未作决定，视为准予", grant.documents if grant else ())
            case Timer.CORRECTION_LAPSED:
                outcome, reason = process.rules.correction.lapse if process.rules.correction else "terminated", "逾期未补正"
            case Timer.TOLERANCE_LAPSED:
                outcome, reason = "terminated", f"逾期未补齐：{'、'.join(state.missing)}"
        closed = replace(marking, phase=Phase.CLOSED, open_steps=frozenset(), waiting=frozenset())
        changed = replace(state, marking=closed, completed_at=at, outcome=outcome, is_suspended=False)
        return self._moved(state, changed, "withdrawn" if outcome == "withdrawn" else "terminated", timer, at, reason)

    def _moved(
        self, before: CaseState, after: CaseState, activity: str, timer: Timer, at: datetime, reason: str, documents: Sequence[str] = ()
    ) -> Transition:
        entry = Entry(
            activity, timer, at, before.marking.phase, after.marking.phase, SYSTEM, reason=reason, missing=after.missing, documents=tuple(documents),
        )  # fmt: skip
        opened, ended = after.marking.open_steps - before.marking.open_steps, before.marking.open_steps - after.marking.open_steps
        return Transition(replace(after, entries=(*before.entries, entry)), (entry,), opened, ended, tuple(documents))

    @property
    def _pauses(self) -> list[str]:
        """Special procedures that may stop the clock here; publication only where the matter says so (ALL art. 45)."""
        closed = PAUSE_KINDS | ({"publication"} if self.limits.is_publication_excluded else set())
        return [kind for kind in self.process.rules.special if kind in closed]

    def _blocked(self, state: CaseState, action: Action, at: datetime) -> str | None:
        """Why the case as a whole does not allow an action that its process would."""
        effect = action.effect
        if state.is_suspended and effect not in (Effect.RESUME, Effect.WITHDRAW, Effect.TERMINATE, Effect.SUPPLY):
            return "特别程序进行中，须先结束特别程序"
        match effect:
            case Effect.SUBMIT if state.received_at is None and self.has_expired(at):
                return f"证件已于 {self.expires_on} 到期，不能再延续，须重新申请"
            case Effect.SUPPLY if not state.missing:
                return "没有容缺的材料"
            case Effect.RESUME if not state.is_suspended:
                return "没有进行中的特别程序"
            case Effect.SUSPEND if not self._pauses:
                return "本流程没有可以扣除时间的特别程序"
            case Effect.EXTEND:
                return self._not_extendable(state, action, at, 1)
            case Effect.COMPLETE if not self._outcomes(state, action):
                return f"容缺材料尚未补齐：{'、'.join(state.missing)}"
        return None

    def _outcomes(self, state: CaseState, action: Action) -> list[str]:
        """Outcomes among which the actor may choose; what was accepted as missing must have come before a result is issued."""
        return [outcome for outcome in action.outcomes if not state.missing or outcome in _WITHOUT_MISSING]

    def _check(self, state: CaseState, action: Action, command: Command) -> None:
        rules, named = self.process.rules, command.missing
        outcome = _outcome(action, command) if action.effect is Effect.COMPLETE else None
        if any(not name.strip() for name in named) or len(set(named)) < len(named):
            raise _incomplete(action.title, "材料名称不能为空，也不能重复")
        if action.effect is Effect.COMPLETE and outcome not in action.outcomes:
            raise _incomplete(action.title, f"办理结果须为{_labels('L.outcome', action.outcomes)}之一")
        if action.effect is Effect.COMPLETE and outcome not in self._outcomes(state, action):
            raise _incomplete(action.title, f"容缺材料尚未补齐：{'、'.join(state.missing)}")
        needs_reason = action.needs_reason or action.effect in MUST_SAY_WHY or outcome in _WITHOUT_MISSING
        if needs_reason and not (command.reason and command.reason.strip()):
            raise _incomplete(action.title, "须说明理由")
        match action.effect:
            case Effect.SUSPEND if command.special_kind not in self._pauses:
                raise _incomplete(action.title, f"特别程序须为{_labels('L.special_kind', self._pauses)}之一")
            case Effect.SUSPEND if not command.has_written_notice:  # ALL art. 45
                raise _incomplete(action.title, "特别程序须书面告知申请人")
            case Effect.EXTEND:
                if command.extension_days is None or command.extension_days < 1:
                    raise _incomplete(action.title, "须写明延长的天数")
                if fault := self._not_extendable(state, action, command.at, command.extension_days):
                    raise _incomplete(action.title, fault)
            case Effect.ACCEPT if named and rules.tolerance is None:
                raise _incomplete(action.title, "本流程不能容缺受理")
            case Effect.SUPPLY if not named or not set(named) <= set(state.missing):
                raise _incomplete(action.title, f"须写明补齐了哪些材料：{'、'.join(state.missing)}")
            case Effect.GIVE_UP_COMMITMENT if named and state.accepted_at is None:
                raise _incomplete(action.title, "受理前撤回承诺的，材料通过补正提交")
            case Effect.GIVE_UP_COMMITMENT if named and rules.tolerance is None:
                raise _incomplete(action.title, "本流程不能容缺，没有补交材料的办法")
            case Effect.TRANSFER if not (command.unit_code and command.unit_code.strip()):
                raise _incomplete(action.title, "须写明转给哪个单位")

    def _not_extendable(self, state: CaseState, action: Action, at: datetime, length: int) -> str | None:
        """Why the limit cannot be extended so far (ALL art. 42): once, before it ends, by the right head, no longer than allowed."""
        if state.is_extended:
            return "已经延长过一次"
        if self.limits.is_joint and self.process.role_of(action) != "government_head":
            return "联合办理的延长须由本级人民政府负责人批准"
        phase = state.marking.phase
        granted = Entry("extended", action.action, at, phase, phase, "", special_code="1", extension_days=length)
        clocks = self.clocks(replace(state, entries=(*state.entries, granted)), at)
        if clocks.has_invalid_extension or clocks.extension_days != length:
            return "延长须在期限届满前作出，且不超过法定的最长时间"
        return None

    def _do(self, state: CaseState, action: Action, command: Command) -> Transition:
        marking = fire(self.process, state.marking, action)
        changes: dict[str, object] = {"marking": marking}
        match action.effect:
            case Effect.SUBMIT:
                changes["received_at"] = state.received_at or command.at
            case Effect.ACCEPT:
                changes |= {"accepted_at": command.at, "missing": command.missing}
            case Effect.REFUSE | Effect.WITHDRAW | Effect.TERMINATE:
                changes |= {"completed_at": command.at, "outcome": _ENDS[action.effect], "is_suspended": False}
            case Effect.COMPLETE:
                outcome = _outcome(action, command)
                changes |= {"completed_at": command.at, "outcome": outcome}
                if self.process.kind == "public" and state.accepted_at is None and outcome not in ENDED_WITHOUT_DECISION:
                    changes["accepted_at"] = state.complete_at  # who decides on the spot accepts what is decided (ALL art. 34)
            case Effect.SUSPEND | Effect.RESUME:
                changes["is_suspended"] = action.effect is Effect.SUSPEND
            case Effect.EXTEND:
                changes["is_extended"] = True
            case Effect.SUPPLY:
                changes["missing"] = tuple(name for name in state.missing if name not in command.missing)
            case Effect.GIVE_UP_COMMITMENT:
                changes["missing"] = tuple(dict.fromkeys((*state.missing, *command.missing)))
        after = replace(state, **changes)  # type: ignore[arg-type]
        entry = Entry(
            action.activity, action.action, command.at, state.marking.phase, marking.phase, self.process.role_of(action), action.at, command.reason,
            special_kind=command.special_kind if action.effect is Effect.SUSPEND else None,
            special_code={Effect.SUSPEND: "2", Effect.EXTEND: "1"}.get(action.effect),  # GB/T 39046-2020 A.7
            has_written_notice=command.has_written_notice if action.effect is Effect.SUSPEND else None,
            extension_days=command.extension_days if action.effect is Effect.EXTEND else None,
            missing=after.missing, documents=action.documents, unit_code=command.unit_code if action.effect is Effect.TRANSFER else None,
        )  # fmt: skip
        after = replace(after, entries=(*state.entries, entry))
        opened, ended = marking.open_steps - state.marking.open_steps, state.marking.open_steps - marking.open_steps
        return Transition(after, (entry,), opened, ended, action.documents)

    def _where(self, state: CaseState) -> str:
        titles = [self.process.step(step).title for step in sorted(state.marking.open_steps)]
        return "、".join(titles) or PHASES[state.marking.phase]

    def _title(self, command: Command) -> str:
        return next((action.title for action in self.process.actions if action.action == command.action), command.action)


def _outcome(action: Action, command: Command) -> str | None:
    return command.outcome or (action.outcomes[0] if len(action.outcomes) == 1 else None)


def _incomplete(title: str, detail: str) -> YiwangError:
    return YiwangError("YW-CORE-003", action=title, detail=detail)


def _labels(table: str, codes: Sequence[str]) -> str:
    return "、".join(f"“{label(table, code)}”" for code in codes)
