"""The statutory clock of a case: acceptance, due days, pauses, extension, lateness.

A pure function over one case, from the Administrative Licence Law (行政许可法, ALL below) and the Civil Code
(民法典, CC); the rules, each with its article and convention, are tabled in ``docs/clock.md``. The warehouse
computes the same for all cases in ``dbt/models/intermediate/int_case_clock.sql``; a test compares the two.
Facts are taken as recorded, also where they contradict themselves: judging data is the work of ``quality``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import overload

from models.domain.calendar import WorkCalendar
from models.domain.time_limit import LONGEST_LIMIT, Extension, Limit, due_number

ACCEPTANCE_DAYS = 5
"""Working days within which a body accepts, refuses or tells once what must be corrected (ALL art. 32(4))."""
LICENCE_DAYS = 20
"""Working days for a licence where no other limit is set (ALL art. 42(1))."""
JOINT_DAYS = 45
"""The same for departments that handle it jointly (ALL art. 42(2))."""
LICENCE_EXTENSION = 10
JOINT_EXTENSION = 15
"""Longest extension of a licence, once (ALL art. 42)."""
DELIVERY_DAYS = 10
"""Working days from the decision to the delivery of the licence (ALL art. 44)."""
LICENCE = "01"
PAUSE_KINDS = frozenset(
    {"hearing", "bidding", "auction", "inspection", "testing", "quarantine", "appraisal", "expert_review"}
)
"""What is not counted in the limit: a closed list (ALL art. 45). Publication is not on it."""
ENDED_WITHOUT_DECISION = frozenset({"refused", "withdrawn", "terminated", "void", "correction_lapsed"})
"""Outcomes that decide nothing on the substance: they do not show that the application had been accepted."""


@dataclass(frozen=True, slots=True)
class Event:
    """A step of a case, fields as in :class:`models.domain.contracts.CaseEvent`."""

    sequence: int = 1
    activity_code: str | None = None
    occurred_at: datetime | None = None
    special_code: str | None = None
    special_kind_code: str | None = None
    special_started_at: datetime | None = None
    special_ended_at: datetime | None = None
    has_written_notice: bool | None = None
    extension_days: int | None = None

    @property
    def is_pause(self) -> bool:
        """Starts a special procedure that is not an extension (GB/T 39046-2020 A.7 code 2)."""
        special = self.special_code or {"suspended": "2"}.get(self.activity_code or "")
        return special == "2" and self.activity_code != "resumed"

    @property
    def is_extension(self) -> bool:
        """Extends the limit (GB/T 39046-2020 A.7 code 1): moves the due day, pauses nothing."""
        special = self.special_code or {"extended": "1"}.get(self.activity_code or "")
        return special == "1" and self.activity_code != "resumed"


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What is recorded of a case, fields as in :class:`models.domain.contracts.Case`."""

    received_at: datetime | None = None
    accepted_at: datetime | None = None
    completed_at: datetime | None = None
    outcome_code: str | None = None
    source_due_at: datetime | None = None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a case's matter, fields as in :class:`models.domain.contracts.Matter`; all empty: no matter."""

    type_code: str | None = None
    promised_limit: int | None = None
    promised_limit_unit: str | None = None
    statutory_limit: int | None = None
    statutory_limit_unit: str | None = None
    clock_start_code: str | None = None
    is_joint: bool | None = None
    extension_cap: int | None = None
    is_publication_excluded: bool | None = None


@dataclass(frozen=True, slots=True)
class Clocks:
    """What the clock says of a case; the columns of ``int_case_clock`` without its key.

    Days are days of the zone, instants are UTC. ``paused_days`` and ``net_working_days`` are working days,
    ``extension_days`` are in the unit of the statutory limit.
    """

    received_on: date | None = None
    accepted_at: datetime | None = None
    accepted_on: date | None = None
    is_deemed_accepted: bool = False
    clock_started_on: date | None = None
    promised_due_on: date | None = None
    statutory_due_on: date | None = None
    delivery_due_on: date | None = None
    due_at: datetime | None = None
    due_on: date | None = None
    due_basis: str | None = None
    due_null_reason: str | None = None
    provisional_due_on: date | None = None
    completed_on: date | None = None
    is_completed: bool = False
    is_late: bool | None = None
    is_statutory_late: bool | None = None
    is_delivery_late: bool | None = None
    is_paused: bool = False
    paused_days: int = 0
    extension_days: int = 0
    correction_count: int = 0
    is_told_once_in_time: bool | None = None
    has_invalid_pause: bool = False
    has_invalid_extension: bool = False
    net_working_days: int | None = None


@dataclass(frozen=True, slots=True)
class _Acceptance:
    at: datetime | None = None
    is_deemed: bool = False
    correction_count: int = 0
    is_told_in_time: bool | None = None
    correction: tuple[date, date | None] | None = None  # day of a timely notice, day the complete set came in


_Span = tuple[date, date | None]
"""A day that does not count any more and the first that counts again, None while it goes on."""


def clock(facts: CaseFacts, limits: Limits, calendar: WorkCalendar, as_of: datetime, zone: tzinfo) -> Clocks:
    """Clock a case.

    Args:
        facts: What is recorded of it; instants are aware.
        limits: Limits of its matter.
        calendar: The work calendar.
        as_of: Instant at which the case is looked at. What is dated later has not happened yet.
        zone: Zone in which instants become days.

    Returns:
        Its clocks. A due day beyond the published calendar is None, with the provisional one beside it.
    """
    facts = _known(facts, as_of)
    days = _Days(calendar, zone)
    as_of_on, completed_on, received_on = days.of(as_of), days.of(facts.completed_at), days.of(facts.received_at)
    acceptance = _acceptance(facts, days, as_of_on)
    accepted_on = days.of(acceptance.at)
    is_from_receipt = limits.clock_start_code == "receipt"
    has_ended = completed_on is not None or _first(facts, "refused") is not None
    start = received_on if is_from_receipt and not (has_ended and accepted_on is None) else accepted_on

    end = completed_on or as_of_on
    spans, has_invalid_pause = _pauses(facts, limits, days)
    if is_from_receipt and acceptance.correction:
        # clocks from acceptance begin after the correction; one from receipt must stand still meanwhile
        spans.append(acceptance.correction)
    is_clocked = start is not None and calendar.number(start) is not None
    pauses = _union(spans, start + timedelta(1), end) if start and is_clocked else []

    statutory, promised = _statutory(limits), Limit.of(limits.promised_limit, limits.promised_limit_unit)
    extension, has_invalid_extension = _extension(facts, limits, statutory or promised, days)
    statutory_number, statutory_moved = due_number(start, statutory, extension, pauses, calendar)
    promised_number, promised_moved = due_number(start, promised, extension, pauses, calendar)
    is_extended = statutory_moved or promised_moved
    is_timed = statutory_number is not None or promised_number is not None

    source_due_at = facts.source_due_at.astimezone(UTC) if facts.source_due_at else None
    basis = "source" if source_due_at else "promised" if promised else "statutory" if statutory else None
    number = promised_number if promised else statutory_number
    due_on = days.of(source_due_at) or days.published(number)
    reason = None
    if due_on is None:
        reason = "no_limit" if basis is None else "not_accepted" if start is None else "calendar_unpublished"
    is_late = days.is_late(end, due_on, start if basis else None)
    if source_due_at:
        is_late = (facts.completed_at or as_of) > source_due_at
    statutory_due_on = days.published(statutory_number)
    delivery_due_on, is_delivery_late = _delivery(facts, limits, days, as_of_on)
    return Clocks(
        received_on=received_on,
        accepted_at=acceptance.at.astimezone(UTC) if acceptance.at else None,
        accepted_on=accepted_on,
        is_deemed_accepted=acceptance.is_deemed,
        clock_started_on=start,
        promised_due_on=days.published(promised_number),
        statutory_due_on=statutory_due_on,
        delivery_due_on=delivery_due_on,
        due_at=source_due_at or days.end_of(due_on),
        due_on=due_on,
        due_basis=basis,
        due_null_reason=reason,
        provisional_due_on=calendar.day_of(number) if number and reason == "calendar_unpublished" else None,
        completed_on=completed_on,
        is_completed=completed_on is not None,
        is_late=is_late,
        is_statutory_late=days.is_late(end, statutory_due_on, start if statutory else None),
        is_delivery_late=is_delivery_late,
        is_paused=completed_on is None
        and is_clocked
        and any(on <= as_of_on and (off is None or off > as_of_on) for on, off in spans),
        paused_days=sum(days.between(on, off) for on, off in pauses),
        extension_days=extension.length if extension and is_extended else 0,
        correction_count=acceptance.correction_count,
        is_told_once_in_time=acceptance.is_told_in_time,
        has_invalid_pause=has_invalid_pause,
        has_invalid_extension=has_invalid_extension or (extension is not None and is_timed and not is_extended),
        net_working_days=_net(accepted_on, completed_on, pauses, days),
    )


class _Days:
    """Days of a zone in a calendar."""

    def __init__(self, calendar: WorkCalendar, zone: tzinfo) -> None:
        self.calendar, self.zone = calendar, zone

    @overload
    def of(self, instant: datetime) -> date: ...
    @overload
    def of(self, instant: datetime | None) -> date | None: ...
    def of(self, instant: datetime | None) -> date | None:
        """The day of an instant."""
        try:
            return instant.astimezone(self.zone).date() if instant else None
        except OverflowError:  # the last hours of year 9999, where sources write "never"
            return date.max

    def end_of(self, day: date | None) -> datetime | None:
        """The last microsecond of a day (CC art. 203: the last moment is 24:00)."""
        if day is None:
            return None
        return datetime.combine(day + timedelta(1), time(), self.zone).astimezone(UTC) - timedelta(microseconds=1)

    def published(self, number: int | None) -> date | None:
        """The working day with this number, None where the calendar up to it is not published."""
        day = None if number is None else self.calendar.day_of(number)
        return day if day and self.calendar.is_published(day) else None

    def after(self, day: date | None, working_days: int) -> date | None:
        """The published n-th working day after a day (CC art. 201: the day itself is not counted)."""
        number = self.calendar.number(day) if day else None
        return None if number is None else self.published(number + working_days)

    def between(self, first: date, after: date) -> int:
        """Working days from a day up to the day before another; 0 where they leave the calendar."""
        until, before = self.calendar.number(after - timedelta(1)), self.calendar.number(first - timedelta(1))
        return 0 if until is None or before is None else until - before

    def is_late(self, end: date, due_on: date | None, start: date | None) -> bool | None:
        """Whether the end lies after the due day; one in the published calendar is before a due day beyond it."""
        if due_on:
            return end > due_on
        is_clocked = start is not None and self.calendar.number(start) is not None
        return False if is_clocked and end <= self.calendar.published_until else None


def _first(facts: CaseFacts, activity: str, since: datetime | None = None) -> datetime | None:
    instants = [e.occurred_at for e in facts.events if e.activity_code == activity and e.occurred_at]
    return min((at for at in instants if since is None or at >= since), default=None)


def _earliest(*days: date | None) -> date | None:
    return min((day for day in days if day), default=None)


def _known(facts: CaseFacts, as_of: datetime) -> CaseFacts:
    """What had happened by ``as_of``: a case decided in June was open in May, whoever looks and whenever."""

    def happened(instant: datetime | None) -> datetime | None:
        return instant if instant and instant <= as_of else None

    events = tuple(
        replace(event, special_ended_at=happened(event.special_ended_at))
        for event in facts.events
        if not any(instant and instant > as_of for instant in (event.occurred_at, event.special_started_at))
    )
    return replace(facts, accepted_at=happened(facts.accepted_at), completed_at=happened(facts.completed_at), events=events)


def _acceptance(facts: CaseFacts, days: _Days, as_of_on: date) -> _Acceptance:
    """When the application was accepted, or is taken by law to have been (ALL art. 32)."""
    notices = sum(e.activity_code == "correction_asked" for e in facts.events)
    notice_at = _first(facts, "correction_asked")
    resubmitted_at = _first(facts, "correction_submitted", notice_at) if notice_at else None
    recorded_at = facts.accepted_at or _first(facts, "accepted")
    received_on, notice_on, recorded_on = days.of(facts.received_at), days.of(notice_at), days.of(recorded_at)
    completed_on = days.of(facts.completed_at)
    refused_on = _earliest(days.of(_first(facts, "refused")), completed_on if facts.outcome_code == "refused" else None)

    base_at, last_day = facts.received_at, days.after(received_on, ACCEPTANCE_DAYS)
    is_in_time = notice_on <= last_day if notice_on and last_day else None
    found = _Acceptance(
        correction_count=notices,
        is_told_in_time=None if notices == 0 else False if notices > 1 else is_in_time,
    )
    if notice_on and is_in_time is not False:  # a notice that is late stops nothing
        base_at, last_day = resubmitted_at, days.after(days.of(resubmitted_at), ACCEPTANCE_DAYS)
        found = replace(found, correction=(notice_on, days.of(resubmitted_at) or recorded_on))

    is_decided = completed_on is not None and facts.outcome_code not in ENDED_WITHOUT_DECISION
    if last_day is None:  # nobody can say that the body was late
        return replace(found, at=recorded_at or (base_at if is_decided else None))
    if recorded_on and recorded_on <= last_day:
        return replace(found, at=recorded_at)
    if refused_on and refused_on <= last_day:
        return replace(found, at=recorded_at)
    if completed_on and completed_on <= last_day:  # a decision on the spot accepts what it decides (ALL art. 34)
        return replace(found, at=base_at if is_decided else recorded_at)
    known = max(d for d in (as_of_on, recorded_on, refused_on, completed_on, notice_on) if d)
    if known > last_day:
        return replace(found, at=base_at, is_deemed=True)
    return found


def _pauses(facts: CaseFacts, limits: Limits, days: _Days) -> tuple[list[_Span], bool]:
    """Days that are not counted (ALL art. 45), and whether a recorded pause is not one."""
    kinds = PAUSE_KINDS | ({"publication"} if limits.is_publication_excluded else set())
    # at one instant the order of the steps tells the end of the last pause from that of the next
    resumed = [(at, e.sequence) for e in facts.events if e.activity_code == "resumed" and (at := e.special_ended_at or e.occurred_at)]
    spans: list[_Span] = []
    events = [e for e in facts.events if e.is_pause]
    valid = 0
    for event in events:
        started = event.special_started_at or event.occurred_at
        if started is None or event.special_kind_code not in kinds or event.has_written_notice is False:
            continue
        ended = event.special_ended_at or min((at for at, place in resumed if (at, place) >= (started, event.sequence)), default=None)
        if ended is None or ended >= started:
            valid += 1
            spans.append((days.of(started), days.of(ended)))
    return spans, valid < len(events)


def _union(spans: Iterable[_Span], first: date, end: date) -> list[tuple[date, date]]:
    """The spans from ``first`` up to the day before ``end``, overlaps counted once, in order."""
    merged: list[tuple[date, date]] = []
    for on, off in sorted((max(on, first), min(off or end, end)) for on, off in spans):
        if on >= off:
            continue
        if merged and on <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], off))
        else:
            merged.append((on, off))
    return merged


def _statutory(limits: Limits) -> Limit | None:
    """The limit of the matter, else the law's (ALL art. 42), which is for licences only."""
    own = Limit.of(limits.statutory_limit, limits.statutory_limit_unit)
    if own or limits.type_code != LICENCE:
        return own
    return Limit(JOINT_DAYS if limits.is_joint else LICENCE_DAYS, "wd")


def _extension(facts: CaseFacts, limits: Limits, limit: Limit | None, days: _Days) -> tuple[Extension | None, bool]:
    """The one extension that may move the due day (ALL art. 42), and whether another or a longer one is recorded."""
    events = [e for e in facts.events if e.is_extension]
    granted = sorted(
        (at, e.sequence, e.extension_days)
        for e in events
        if (at := e.occurred_at or e.special_started_at) and e.extension_days and e.extension_days > 0
    )
    if not granted:
        return None, bool(events)
    at, _, length = granted[0]
    unit = limit.unit if limit else "wd"
    cap = limits.extension_cap
    if cap is None and limits.type_code == LICENCE and unit != "month":  # the law's cap is in days
        cap = JOINT_EXTENSION if limits.is_joint else LICENCE_EXTENSION
    capped = length if cap is None else min(length, max(cap, 0))
    capped = min(capped, LONGEST_LIMIT)
    return (Extension(capped, unit, days.of(at)) if capped else None), len(events) > 1 or capped < length


def _delivery(facts: CaseFacts, limits: Limits, days: _Days, as_of_on: date) -> tuple[date | None, bool | None]:
    """Day by which a licence must be delivered and whether it was not (ALL art. 44): a clock of its own."""
    completed_on = days.of(facts.completed_at)
    if completed_on is None or limits.type_code != LICENCE or facts.outcome_code != "granted":
        return None, None
    due_on = days.after(completed_on, DELIVERY_DAYS)
    done_on = days.of(_first(facts, "delivered") or _first(facts, "issued"))
    return due_on, days.is_late(done_on or as_of_on, due_on, completed_on)


def _net(
    accepted_on: date | None, completed_on: date | None, pauses: Iterable[tuple[date, date]], days: _Days
) -> int | None:
    """Working days after acceptance up to completion that were not paused; None where they cannot be told."""
    calendar = days.calendar
    if accepted_on is None or completed_on is None or not accepted_on <= completed_on <= calendar.published_until:
        return None
    first, last = calendar.number(accepted_on), calendar.number(completed_on)
    if first is None or last is None:
        return None
    return last - first - sum(max(days.between(max(on, accepted_on + timedelta(1)), off), 0) for on, off in pauses)
