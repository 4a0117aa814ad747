"""How a kind of case is handled, as data: steps, roles, actions, time rules, documents.

A process is a workflow net: a step is work of one role; an action ends a step (or is taken beside all steps while the
case is in certain phases), opens the next ones (several: parallel branches) and has one effect on the case. A step that
several branches must reach waits for all of them (``needs``). :mod:`models.core.processes.soundness` proves at load that
every way through it ends properly. What does not belong here: who somebody is (policy), and what is stored (cases).
"""

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.domain.clock import ACCEPTANCE_DAYS, DELIVERY_DAYS
from models.domain.codes import code_tables
from models.domain.time_limit import Limit


class Phase(StrEnum):
    """Where a case stands in its life, whatever its process: what people and rules ask first."""

    DRAFT = "draft"
    RECEIVED = "received"
    RETURNED = "returned"
    """By the inner pre-review: not a legal correction, the body's five days go on (domain facts 6)."""
    CORRECTING = "correcting"
    IN_APPROVAL = "in_approval"
    COMPLETED = "completed"
    CLOSED = "closed"


PHASES: dict[str, str] = {
    Phase.DRAFT: "草稿", Phase.RECEIVED: "已收件", Phase.RETURNED: "预审退回", Phase.CORRECTING: "补正中", Phase.IN_APPROVAL: "审批中", Phase.COMPLETED: "已办结", Phase.CLOSED: "已结束",
}  # fmt: skip
"""What people call them."""
OPEN = (Phase.RECEIVED, Phase.RETURNED, Phase.CORRECTING, Phase.IN_APPROVAL)
"""Phases in which the body owes something."""


class Effect(StrEnum):
    """What an action does to the case; each is one rule of the engine."""

    NONE = "none"
    SUBMIT = "submit"
    RETURN = "return"
    ASK_CORRECTION = "ask_correction"
    CORRECT = "correct"
    ACCEPT = "accept"
    REFUSE = "refuse"
    SUSPEND = "suspend"
    RESUME = "resume"
    EXTEND = "extend"
    SUPPLY = "supply"
    """Materials come that were missing at a tolerance acceptance."""
    GIVE_UP_COMMITMENT = "give_up_commitment"
    """The applicant takes the promise back; the case goes on by the ordinary procedure (国办发〔2020〕42号)."""
    TRANSFER = "transfer"
    """Another unit goes on with it."""
    COMPLETE = "complete"
    WITHDRAW = "withdraw"
    TERMINATE = "terminate"
    CLOSE = "close"


MUST_SAY_WHY = frozenset({Effect.REFUSE, Effect.ASK_CORRECTION, Effect.SUSPEND, Effect.EXTEND, Effect.TERMINATE, Effect.GIVE_UP_COMMITMENT, Effect.TRANSFER})
"""Effects that need a reason whatever the process says (ALL art. 32, 38, 42, 45)."""
OWN = frozenset({Effect.NONE, Effect.SUBMIT, Effect.CORRECT, Effect.SUPPLY, Effect.GIVE_UP_COMMITMENT, Effect.WITHDRAW})
"""Effects that the applicant's actions may have: who asks decides nothing."""
ACTIVITIES: dict[Effect, str] = {
    Effect.SUBMIT: "received",
    Effect.RETURN: "pre_review_returned",
    Effect.ASK_CORRECTION: "correction_asked",
    Effect.CORRECT: "correction_submitted",
    Effect.ACCEPT: "accepted",
    Effect.REFUSE: "refused",
    Effect.SUSPEND: "suspended",
    Effect.RESUME: "resumed",
    Effect.EXTEND: "extended",
    Effect.SUPPLY: "supplied",
    Effect.TRANSFER: "transferred",
    Effect.COMPLETE: "completed",
    Effect.WITHDRAW: "withdrawn",
    Effect.TERMINATE: "terminated",
    Effect.GIVE_UP_COMMITMENT: "commitment_withdrawn",
}
"""The event by which the statutory clock, which reads events, knows the effect; no other action may leave it."""
_AT_A_STEP = frozenset({Effect.SUBMIT, Effect.RETURN, Effect.ASK_CORRECTION, Effect.CORRECT, Effect.ACCEPT, Effect.COMPLETE, Effect.CLOSE})
_BESIDE = frozenset({Effect.RESUME, Effect.SUPPLY, Effect.TRANSFER})
"""Effects that must be possible wherever the case stands."""
_LAST = frozenset({Effect.WITHDRAW, Effect.TERMINATE, Effect.CLOSE})
_OWN_OUTCOMES = frozenset({"refused", "withdrawn", "terminated", "correction_lapsed"})
"""Outcomes that an effect of their own, or time, brings about."""
HEADS = frozenset({"head", "government_head"})
"""Who may extend a limit: the head of the body, of the government for joint handling (ALL art. 42)."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Time(_Strict):
    """A time limit."""

    length: int = Field(ge=0, le=3660, description="Number of units.")
    unit: Literal["wd", "cd", "month"] = Field("wd", description="Working days, calendar days or months.")

    @property
    def limit(self) -> Limit:
        """For the clock."""
        return Limit(self.length, self.unit)


class Correction(_Strict):
    """Correction before acceptance, once (Administrative Licence Law art. 32(4))."""

    answer_within: Time | None = Field(None, description="How long the applicant has; none: without end.")
    lapse: Literal["correction_lapsed", "withdrawn"] = Field("correction_lapsed", description="Outcome where the applicant does not answer in time.")


class Tolerance(_Strict):
    """Acceptance though minor materials are missing 容缺受理 (State Council 国发〔2022〕5号)."""

    within: Time = Field(description="How long the applicant has to bring them; the result is issued after they arrive.")
    lapse: Literal["terminated"] = Field("terminated", description="Outcome where they do not arrive in time.")


class Rules(_Strict):
    """Time rules of a process; the limits themselves are the matter's."""

    accept_within: int | None = Field(ACCEPTANCE_DAYS, ge=1, description="Working days for acceptance, refusal or correction notice; then the case counts as accepted from the day of receipt. The law's five in public processes, none in internal ones.")
    correction: Correction | None = Field(None, description="Whether materials may be corrected before acceptance.")
    special: tuple[str, ...] = Field((), description="Special procedures that may stop the clock (L.special_kind).")
    extension: Literal["none", "once"] = Field("none", description="Whether the limit may be extended.")
    silence: Literal["none", "granted"] = Field("none", description="What it means that the body has not decided in time: when the licence expires (renewal, Administrative Licence Law art. 50) or, where nothing expires, when the statutory limit ends.")
    renewal_before: Time | None = Field(None, description="For a renewal, whose cases say when the licence expires: how long before that it must be asked for, else silence means nothing; none: the process renews nothing.")
    tolerance: Tolerance | None = Field(None, description="Whether minor materials may come later.")
    deliver_within: Time = Field(Time(length=DELIVERY_DAYS), description="How long after the decision its results are issued and delivered; the law's ten working days for licences (Administrative Licence Law art. 44). Nothing happens by itself.")
    commitment: bool = Field(False, description="Whether the applicant may promise instead of proving 告知承诺.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if unknown := [kind for kind in self.special if kind not in code_tables()["L.special_kind"]]:
            raise ValueError(f"特别程序“{'、'.join(unknown)}”不在 L.special_kind 中")
        return self


class Step(_Strict):
    """Work of one role."""

    step: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name within the process.")
    title: str = Field(description="Chinese name.")
    role: str = Field(description="Role that does it.")
    needs: tuple[str, ...] = Field((), description="Steps that must all have been done before it opens (join of parallel branches).")
    within: Time | None = Field(None, description="The step's own limit, counted from its opening, special procedures left out: the day by which its task is due, instead of that of the phase (acceptance, correction, decision, delivery); nothing happens by itself.")
    unit: str | None = Field(None, pattern=r"^[a-z][a-z0-9_]*$", description="Which of the units that take part does it, by its part in the process (`planning`); none: the unit that handles the case.")


class Action(_Strict):
    """Something that is done to a case."""

    action: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name within the process.")
    title: str = Field(description="Chinese name.")
    at: str | None = Field(None, description="Step that it ends; none: it is taken beside the steps, in `phases`.")
    phases: tuple[Phase, ...] = Field((), description="Phases in which it may be taken, for an action beside the steps.")
    role: str | None = Field(None, description="Who may; default: the role of its step.")
    effect: Effect = Field(Effect.NONE, description="What it does to the case.")
    activity: str = Field(description="Code of the event (L.activity).")
    to: tuple[str, ...] = Field((), description="Steps that it opens; several: parallel branches.")
    keeps_step: bool = Field(False, description="The step stays open.")
    commitment: bool | None = Field(None, description="Only for cases with a promise (true) or without one (false); none: for both.")
    outcomes: tuple[str, ...] = Field((), description="Outcomes (L.outcome) among which the actor chooses, for an action that completes.")
    needs_reason: bool = Field(False, description="The actor must say why.")
    documents: tuple[str, ...] = Field((), description="Documents that it issues, by name.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.at is None) == (not self.phases):
            raise ValueError(f"动作 {self.action} 须写 at 或 phases 之一")
        if self.at is None and self.role is None:
            raise ValueError(f"动作 {self.action} 没有 role")
        if self.activity not in code_tables()["L.activity"]:
            raise ValueError(f"动作 {self.action} 的 activity“{self.activity}”不在 L.activity 中")
        if unknown := [code for code in self.outcomes if code not in code_tables()["L.outcome"]]:
            raise ValueError(f"动作 {self.action} 的 outcomes“{'、'.join(unknown)}”不在 L.outcome 中")
        if bool(self.outcomes) != (self.effect is Effect.COMPLETE):
            raise ValueError(f"动作 {self.action}：effect 为 complete 的动作且只有它要写 outcomes")
        if own := sorted(_OWN_OUTCOMES & set(self.outcomes)):
            raise ValueError(f"动作 {self.action} 的 outcomes 不能有“{'、'.join(own)}”，它们各有自己的 effect")
        if self.effect in _AT_A_STEP and self.at is None:
            raise ValueError(f"动作 {self.action} 的 effect 为 {self.effect}，须写 at")
        if self.effect in _BESIDE and (self.at is not None or self.to):
            raise ValueError(f"动作 {self.action} 的 effect 为 {self.effect}，须写 phases，不写 at 和 to")
        if self.effect in _LAST and self.to:
            raise ValueError(f"动作 {self.action} 之后办件已结束，不能写 to")
        if (rightly := ACTIVITIES.get(self.effect)) is not None and self.activity != rightly:
            raise ValueError(f"动作 {self.action} 的 effect 为 {self.effect}，activity 须为 {rightly}")
        if self.effect not in ACTIVITIES and self.activity in ACTIVITIES.values():
            raise ValueError(f"动作 {self.action} 的 activity“{self.activity}”只能与同义的 effect 一起用")
        return self

    def is_for(self, is_commitment: bool) -> bool:
        """Whether the action is one for cases with, or without, a promise."""
        return self.commitment in (None, is_commitment)


class Process(_Strict):
    """A version of a process; once a case has run on it, it never changes: a change is a new version."""

    process: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Code.")
    version: int = Field(ge=1, description="Number of the version.")
    title: str = Field(description="Chinese name.")
    kind: Literal["public", "internal"] = Field("public", description="`public`: cases 办件, synchronised; `internal`: rectification and follow-up, stored apart.")
    start: str = Field(description="Step with which a case begins.")
    channels: tuple[str, ...] = Field((), description="Channels (L.channel) through which one may apply; none: all.")
    rules: Rules = Field(default_factory=Rules, description="Time rules.")
    apart: tuple[tuple[str, ...], ...] = Field((), description="Groups of steps of which nobody does two in the same case 不相容岗位 (review apart from decision).")
    steps: tuple[Step, ...] = Field(min_length=1, description="The steps.")
    actions: tuple[Action, ...] = Field(min_length=1, description="The actions.")

    @model_validator(mode="after")
    def _refers_to_what_exists(self) -> Self:
        names = [step.step for step in self.steps]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"环节重复：{'、'.join(sorted(twice))}")
        pairs = [(action.action, action.at) for action in self.actions]
        if again := {name for name, at in pairs if pairs.count((name, at)) > 1}:
            raise ValueError(f"动作重复：{'、'.join(sorted(again))}")
        used = {self.start, *(s for a in self.actions for s in (*a.to, *([a.at] if a.at else []))), *(n for s in self.steps for n in s.needs)}
        if unknown := sorted(used - set(names)):
            raise ValueError(f"没有这些环节：{'、'.join(unknown)}")
        if wrong := next((group for group in self.apart if len(set(group)) < 2 or set(group) - set(names)), None):
            raise ValueError(f"apart 的每一组须为两个以上已有的环节，而不是 {'、'.join(wrong)}")
        if unknown := sorted(set(self.channels) - set(code_tables()["L.channel"])):
            raise ValueError(f"没有这些渠道：{'、'.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _rules_are_the_laws(self) -> Self:
        rules, has = self.rules, {action.effect for action in self.actions}
        if self.kind == "public" and rules.accept_within != ACCEPTANCE_DAYS:
            raise ValueError(f"对外流程的 rules.accept_within 须为 {ACCEPTANCE_DAYS}（行政许可法第三十二条）")
        if self.kind == "internal" and (rules.accept_within or has & {Effect.SUSPEND, Effect.EXTEND, Effect.ASK_CORRECTION, Effect.SUPPLY}):
            raise ValueError("内部流程没有法定时限，rules.accept_within 须为 null，也没有补正、容缺、特别程序和延长")
        needed = {
            "correction": (rules.correction is not None, {Effect.ASK_CORRECTION, Effect.CORRECT}),
            "special": (bool(rules.special), {Effect.SUSPEND, Effect.RESUME}),
            "extension": (rules.extension != "none", {Effect.EXTEND}),
            "tolerance": (rules.tolerance is not None, {Effect.SUPPLY}),
            "commitment": (rules.commitment, {Effect.GIVE_UP_COMMITMENT}),
        }
        for name, (is_on, effects) in needed.items():
            if is_on and (missing := sorted(effects - has)):
                raise ValueError(f"rules.{name} 需要 effect 为 {'、'.join(missing)} 的动作")
            if not is_on and (idle := sorted(effects & has)):
                raise ValueError(f"有 effect 为 {'、'.join(idle)} 的动作，但 rules.{name} 没有写")
        if not rules.commitment and any(action.commitment is not None for action in self.actions):
            raise ValueError("动作写了 commitment，但 rules.commitment 不是 true")
        for is_commitment in (False, True):
            accepting = [a.action for a in self.actions if a.effect is Effect.ACCEPT and a.is_for(is_commitment)]
            if len(accepting) > 1:
                raise ValueError(f"受理的动作只能有一个，而不是 {'、'.join(accepting)}")
            if rules.silence == "granted" and self.granting(is_commitment) is None:
                raise ValueError("rules.silence 为 granted，但没有 outcomes 含 granted 的动作")
        if wrong := [a.action for a in self.actions if a.effect is Effect.EXTEND and self.role_of(a) not in HEADS]:
            raise ValueError(f"动作 {'、'.join(wrong)}：延长须由负责人批准（role 为 {'、'.join(sorted(HEADS))}）")
        if wrong := [a.action for a in self.actions if self.role_of(a) == "applicant" and a.effect not in OWN]:
            raise ValueError(f"动作 {'、'.join(wrong)}：申请人只能提交、补正、补齐材料、撤回，不能受理或作出决定")
        return self

    def acceptance(self, is_commitment: bool) -> Action | None:
        """The action that accepts; None where a case is decided without one."""
        return next((a for a in self.actions if a.effect is Effect.ACCEPT and a.is_for(is_commitment)), None)

    def granting(self, is_commitment: bool) -> Action | None:
        """The action that silence stands for."""
        return next((a for a in self.actions if "granted" in a.outcomes and a.is_for(is_commitment)), None)

    @property
    def is_renewal(self) -> bool:
        """Whether cases renew a licence that expires."""
        return self.rules.renewal_before is not None

    def step(self, name: str) -> Step:
        """The step of this name."""
        return next(step for step in self.steps if step.step == name)

    def role_of(self, action: Action) -> str:
        """Who may take the action."""
        return action.role or self.step(action.at or "").role

    @property
    def roles(self) -> set[str]:
        """All roles that the process needs."""
        return {step.role for step in self.steps} | {action.role for action in self.actions if action.role}
