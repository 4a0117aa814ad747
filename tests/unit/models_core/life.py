"""A case in a test: who does what on which day."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from models.core.processes.deadlines import Deadline, step_deadline
from models.core.processes.definition import Process
from models.core.processes.engine import CaseState, Command, Engine, Transition
from models.core.processes.service import ROLES, shipped
from models.domain.calendar import work_calendar
from models.domain.clock import Clocks, Limits

ZONE = ZoneInfo("Asia/Shanghai")
LICENCE = Limits("01", 10, "wd", 20, "wd")


def at(text: str) -> datetime:
    """An instant from ``03-03`` (10:00, 2025) or ``03-03 22:00``; 2025-03-03 is a Monday, March has no holidays."""
    text = text if len(text.split(" ")[0]) == 10 else f"2025-{text}"
    return datetime.fromisoformat(text if " " in text else f"{text} 10:00").replace(tzinfo=ZONE)


class Life:
    """One case."""

    def __init__(self, process: str | Process = "licence", limits: Limits = LICENCE, is_commitment: bool = False, expires_on: date | None = None) -> None:
        self.engine = Engine(shipped()[process] if isinstance(process, str) else process, limits, work_calendar(), ZONE, expires_on)
        self.state: CaseState = self.engine.new(is_commitment)

    def do(self, action: str, on: str, roles: frozenset[str] = ROLES, **with_: Any) -> Transition:
        """Do something, for a reason unless told otherwise."""
        transition = self.engine.apply(self.state, Command(action, at(on), roles, **({"reason": "依法"} | with_)))
        self.state = transition.state
        return transition

    def all(self, on: str, *actions: str) -> "Life":
        """Several things on a day."""
        for action in actions:
            self.do(action, on)
        return self

    def wait(self, until: str) -> Transition:
        """Let time pass."""
        transition = self.engine.settle(self.state, at(until))
        self.state = transition.state
        return transition

    def possible(self, on: str, *roles: str) -> set[str]:
        """What holders of the roles (none given: of all) may do."""
        return {action.action for action in self.engine.possible(self.state, frozenset(roles) or ROLES, at(on))}

    def clocks(self, on: str) -> Clocks:
        """The statutory clock."""
        return self.engine.clocks(self.state, at(on))

    def step_due(self, step: str, opened: str, on: str | None = None) -> Deadline:
        """By when a step that was opened on a day is to be done, seen on a day."""
        return step_deadline(self.engine, self.state, step, at(opened), at(on or opened))

    @property
    def stands(self) -> tuple[str, str | None, set[str]]:
        """Phase, outcome, open steps."""
        return self.state.marking.phase.value, self.state.outcome, set(self.state.marking.open_steps)


def accepted(process: str = "licence", on: str = "03-03", **with_: Any) -> Life:
    """A licence that was accepted on a day."""
    life = Life(process, **with_).all(on, "submit")
    if process == "licence":
        life.do("pass", on)
    life.do("accept", on)
    return life
