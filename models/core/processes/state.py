"""What the engine of cases takes and gives: commands, events, the state of a case.

Plain values; the rules are in :mod:`models.core.processes.engine`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from models.core.processes.definition import Phase
from models.core.processes.marking import Marking
from models.domain.clock import CaseFacts, Event

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
        missing: By name: at acceptance, minor materials that may come later; when a promise is taken back, the proofs that it
            stood for; at their arrival, those that came.
        step: Step at which the action is taken, where several have it.
        unit_code: Unit that goes on with the case, to transfer it.
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
    unit_code: str | None = None


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
    missing: tuple[str, ...] = ()
    """Materials that have still to come afterwards."""
    documents: tuple[str, ...] = ()
    """Documents that are issued."""
    unit_code: str | None = None
    """Unit that goes on with the case, where it was transferred."""


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
    def complete_at(self) -> datetime | None:
        """When what the applicant brought was complete: the answer to a correction, else the receipt."""
        return self.last("correction_submitted") or self.received_at

    def last(self, activity: str) -> datetime | None:
        """Instant of the last event of this kind."""
        return next((entry.at for entry in reversed(self.entries) if entry.activity == activity), None)

    def _resumed_at(self, number: int) -> datetime | None:
        """When the pause of this entry ended: said outright, as a pause may begin at the instant at which another ended."""
        return next((entry.at for entry in self.entries[number:] if entry.activity == "resumed"), None)

    @property
    def facts(self) -> CaseFacts:
        """What the statutory clock reads."""
        events = tuple(
            Event(
                sequence=number, activity_code=entry.activity, occurred_at=entry.at, special_code=entry.special_code,
                special_kind_code=entry.special_kind, has_written_notice=entry.has_written_notice, extension_days=entry.extension_days,
                special_ended_at=self._resumed_at(number) if entry.activity == "suspended" else None,
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
