"""How a kind of case is handled, as data: steps, roles, actions, time rules, documents.

A process is a workflow net: a step is work of one role; an action ends a step (or is taken beside all steps while the
case is in certain phases), opens the next ones (several: parallel branches) and has one effect on the case. A step that
several branches must reach waits for all of them (``needs``). :mod:`models.core.processes.soundness` proves at load that
every way through it ends properly. What does not belong here: who somebody is (policy), and what is stored (cases).
"""

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
    COMPLETE = "complete"
    WITHDRAW = "withdraw"
    TERMINATE = "terminate"
    CLOSE = "close"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Time(_Strict):
    """A time limit."""

    length: int = Field(ge=0, description="Number of units.")
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

    accept_within: int | None = Field(5, ge=1, description="Working days for acceptance, refusal or correction notice; then the case counts as accepted from the day of receipt; none: no such rule.")
    correction: Correction | None = Field(None, description="Whether materials may be corrected before acceptance.")
    special: tuple[str, ...] = Field((), description="Special procedures that may stop the clock (L.special_kind).")
    extension: Literal["none", "once"] = Field("none", description="Whether the limit may be extended.")
    silence: Literal["none", "granted"] = Field("none", description="What it means that the body has not decided when the limit ends (renewal: Administrative Licence Law art. 50).")
    tolerance: Tolerance | None = Field(None, description="Whether minor materials may come later.")
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
    within: Time | None = Field(None, description="The step's own limit, counted from its opening; advises only.")


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
        return self


class Process(_Strict):
    """A version of a process; once a case has run on it, it never changes: a change is a new version."""

    process: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Code.")
    version: int = Field(ge=1, description="Number of the version.")
    title: str = Field(description="Chinese name.")
    kind: Literal["public", "internal"] = Field("public", description="`public`: cases 办件, synchronised; `internal`: rectification and follow-up, stored apart.")
    start: str = Field(description="Step with which a case begins.")
    channels: tuple[str, ...] = Field((), description="Channels (L.channel) through which one may apply; none: all.")
    rules: Rules = Field(default_factory=Rules, description="Time rules.")
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
        if unknown := sorted(set(self.channels) - set(code_tables()["L.channel"])):
            raise ValueError(f"没有这些渠道：{'、'.join(unknown)}")
        return self

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
