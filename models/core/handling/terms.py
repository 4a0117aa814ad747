"""By when a case is to be decided and what time will bring, in the words of outputs: each day, or why there is none."""

from dataclasses import dataclass
from datetime import date, datetime

from models.core.processes.deadlines import case_deadline, stands_still
from models.core.processes.engine import CaseState, Engine


@dataclass(frozen=True)
class Terms:
    """The days of a case as they are at an instant.

    Attributes:
        due_on: By which it is to be decided: promised, or else statutory.
        due_basis: ``promised`` or ``statutory``.
        provisional_due_on: An estimate, where the calendar up to the due day is not published.
        due_null_reason: Why there is no due day: ``not_accepted``, ``no_limit``, ``calendar_unpublished``, ``suspended``.
        promised_due_on: By which the body promised to decide.
        statutory_due_on: By which the law wants it decided.
        delivery_due_on: By which a licence that was granted is to be delivered.
        lapse: What happens by itself next (:class:`~models.core.processes.state.Timer`).
        lapses_on: The last day on which that can be averted.
        expires_on: Last day of the licence that is to be renewed.
        is_renewal_in_time: Whether renewal was, or would be now, asked for early enough for silence to grant it.
    """

    due_on: date | None
    due_basis: str | None
    provisional_due_on: date | None
    due_null_reason: str | None
    promised_due_on: date | None
    statutory_due_on: date | None
    delivery_due_on: date | None
    lapse: str | None
    lapses_on: date | None
    expires_on: date | None
    is_renewal_in_time: bool | None


def terms(engine: Engine, state: CaseState, at: datetime) -> Terms:
    """The days of a case."""
    clocks, due, lapse = engine.clocks(state, at), case_deadline(engine, state, at), engine.last_day(state)

    def running(day: date | None) -> date | None:
        return None if stands_still(engine, state, day, at) else day

    return Terms(
        due.on, clocks.due_basis, due.provisional_on, "suspended" if due.is_paused else clocks.due_null_reason, running(clocks.promised_due_on),
        running(clocks.statutory_due_on), clocks.delivery_due_on, lapse[0].value if lapse else None, lapse[1] if lapse else None, engine.expires_on,
        engine.is_asked_in_time(state.received_at or at),
    )  # fmt: skip
