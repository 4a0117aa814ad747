"""The life of each case: what happens to it and when, as arrays over cases.

A case's whole life follows from its day and its own draws, past the horizon too; rows are cut at the
horizon afterwards. Times are local µs; :data:`~pipelines.sample.columns.NULL` means never. A life lasts
at most :data:`LIFE` days: later steps never happen, the case stays open.
"""

from dataclasses import dataclass
from enum import IntEnum, auto
from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from pipelines.sample.columns import NULL, Ints
from pipelines.sample.days import DAY, HOUR, MINUTE, SECOND, Days, Draw, draws, months, work_days
from pipelines.sample.matters import Matters
from pipelines.sample.people import People
from pipelines.sample.places import Places

LIFE = 110
OUTCOMES = ["granted", "denied", "refused", "withdrawn", "terminated", "forwarded", "void", "correction_lapsed"]
SPECIAL_KINDS = ["inspection", "testing", "expert_review", "appraisal", "hearing", "publication"]
CHANNELS = ["1", "2", "3", "4", "5", "6"]
# Window, computer, mobile, post, kiosk, grassroots; by scene: ordinary, not on line, engineering, street.
_CHANNELS = np.array([
    [0.430, 0.210, 0.252, 0.002, 0.061, 0.045], [0.880, 0.0, 0.0, 0.020, 0.0, 0.100],
    [0.040, 0.860, 0.090, 0.0, 0.0, 0.010], [0.020, 0.030, 0.120, 0.0, 0.0, 0.830],
])  # fmt: skip
_CHANNELS_REST = np.array([0.0, 0.36, 0.56, 0.0, 0.08, 0.0])


class Step(IntEnum):
    """Steps of a case in the order in which they can happen; also columns of :attr:`Lives.times`."""

    QUEUED = 0
    RECEIVED = auto()
    PRE_REVIEW_RETURNED = auto()
    PRE_REVIEWED = auto()
    CORRECTION_ASKED = auto()
    CORRECTION_SUBMITTED = auto()
    CORRECTION_ASKED_AGAIN = auto()
    CORRECTION_SUBMITTED_AGAIN = auto()
    ACCEPTED = auto()
    REFUSED = auto()
    HANDLED = auto()
    SUSPENDED = auto()
    RESUMED = auto()
    EXTENDED = auto()
    REVIEWED = auto()
    APPROVED = auto()
    SUPERVISED = auto()
    WITHDRAWN = auto()
    TERMINATED = auto()
    COMPLETED = auto()
    ISSUED = auto()
    DELIVERED = auto()


@dataclass
class Lives:
    """Cases of some days, one element a case, in the order of (day, serial).

    ``times`` has a column a :class:`Step`; ``ends`` the end of steps that last; ``applicant`` numbers of
    :class:`~pipelines.sample.people.People`; ``due_on`` the source's promised due day.
    """

    draw: npt.NDArray[np.uint32]
    day: Ints
    serial: Ints
    matter: Ints
    applicant: Ints
    channel: Ints
    street: Ints
    times: Ints
    handled_end: Ints
    reviewed_end: Ints
    outcome: Ints
    due_on: Ints
    special_kind: Ints
    extension_days: Ints
    is_late: npt.NDArray[np.bool_]
    reported: Ints

    def u(self, draw: Draw) -> npt.NDArray[np.float64]:
        """A draw as numbers in [0, 1)."""
        return np.asarray(self.draw[draw] * 2.0**-32)

    def at(self, step: Step) -> Ints:
        """When each case took the step."""
        return np.asarray(self.times[:, step])


@dataclass(frozen=True)
class World:
    """What lives are drawn in."""

    places: Places
    matters: Matters
    people: People
    seed: int


def live(world: World, day: Ints, size: Ints) -> Lives:
    """The lives of ``size[i]`` cases received on ``day[i]``."""
    raw = draws(world.seed, day, size)
    return _Living(world, np.repeat(day, size), np.concatenate([np.arange(n) for n in size]) if len(size) else day, raw).lives()


class _Living:
    """One pass over arrays; attributes are shared by its steps."""

    def __init__(self, world: World, day: Ints, serial: Ints, raw: npt.NDArray[np.uint32]) -> None:
        self.world, self.day, self.serial, self.raw = world, day.astype(np.int64), serial, raw
        self.days: Days = work_days()
        self.count = len(day)
        self.times = np.full((self.count, len(Step)), NULL, np.int64)

    def u(self, draw: Draw) -> npt.NDArray[np.float64]:
        return np.asarray(self.raw[draw] * 2.0**-32)

    def bits(self, draw: Draw, shift: int, size: int) -> Ints:
        """A small whole number out of a draw's lower bits, independent of its use as a fraction for practical ends."""
        return np.asarray((self.raw[draw] >> np.uint32(shift)) % np.uint32(size), np.int64)

    def lives(self) -> Lives:
        """Draw everything."""
        m = self.world.matters
        is_rest = ~self.days.working(self.day)
        table = months(self.day) + 12 * is_rest
        # One search for all months: row r of the table answers the numbers between r and r + 1.
        ladder = (m.cdf + np.arange(len(m.cdf))[:, None]).reshape(-1)
        self.matter = np.minimum(np.searchsorted(ladder, table + self.u(Draw.MATTER), side="right") - table * m.cdf.shape[1], m.cdf.shape[1] - 1)
        self.immediate = m.immediate[self.matter]
        self._applicants()
        self._channels(is_rest)
        self._receive()
        self._accept()
        self._decide()
        self._finish()
        return Lives(
            self.raw, self.day, self.serial, self.matter, self.applicant, self.channel, self.street, self.times, self.handled_end, self.reviewed_end,
            self.outcome, self.due_on, self.special_kind, self.extension_days, self.is_late, self.reported,
        )

    def _applicants(self) -> None:
        people = self.world.people
        u = self.u(Draw.APPLICANT)
        is_enterprise = self.bits(Draw.DETAILS, 0, 1000) < self.world.matters.enterprise[self.matter] * 1000
        # Some come often: the square draws low numbers more.
        self.applicant = np.where(is_enterprise, people.persons + (u * u * people.enterprises).astype(np.int64), (u * people.persons).astype(np.int64))
        self.street = people.street(self.applicant, len(self.world.places.streets)).astype(np.int64)
        owner = self.world.matters.department[self.matter] - self.world.places.bureaus
        self.street = np.where(owner >= 0, owner, self.street)

    def _channels(self, is_rest: npt.NDArray[np.bool_]) -> None:
        scene = self.world.matters.scene[self.matter]
        ladder = np.where(is_rest[:, None], np.cumsum(_CHANNELS_REST), np.cumsum(_CHANNELS, axis=1)[scene])
        self.channel = np.minimum((self.u(Draw.CHANNEL)[:, None] >= ladder).sum(axis=1), 5)
        self.online = (self.channel == 1) | (self.channel == 2)

    def _receive(self) -> None:
        minute = np.where(
            self.online | (self.channel == 4), _online_minutes()[self.bits(Draw.RECEIVED, 8, 4096)], _office_minutes()[self.bits(Draw.RECEIVED, 8, 4096)],
        )
        received = self.day * DAY + minute * MINUTE + self.bits(Draw.RECEIVED, 0, 60) * SECOND
        self._set(Step.RECEIVED, received)
        queued = (self.channel == 0) & (self.u(Draw.QUEUED) < 0.70)
        self._set(Step.QUEUED, received - (4 + self.bits(Draw.QUEUED, 0, 37)) * MINUTE, queued)
        u = self.u(Draw.PRE_REVIEW)
        seen = self._desk(received, (3 + self.bits(Draw.PRE_REVIEW, 0, 60)) * MINUTE)
        reviewed = self.online & (u < np.where(self.immediate, 0.75, 0.95))
        returned = reviewed & (u < 0.04)
        self._set(Step.PRE_REVIEW_RETURNED, seen, returned)
        again = self._desk(seen + (60 + self.bits(Draw.PRE_REVIEW, 6, 240)) * MINUTE, 20 * MINUTE)
        self._set(Step.PRE_REVIEWED, np.where(returned, again, seen), reviewed)
        self.ready = np.where(returned, again, np.where(reviewed, seen, received))

    def _accept(self) -> None:
        m, days = self.world.matters, self.days
        received = self.times[:, Step.RECEIVED]
        start = days.number(self.day)
        u = self.u(Draw.CORRECTION)
        asked = u < m.correction[self.matter]
        share = u / np.maximum(m.correction[self.matter], 1e-9)  # uniform again among those asked
        wait = np.where(self.u(Draw.CORRECTION_DAY) < 0.996, self.bits(Draw.CORRECTION_DAY, 0, 4), 6 + self.bits(Draw.CORRECTION_DAY, 3, 2))
        asked_at = np.maximum(self._office(np.maximum(start + wait, days.number(self.ready // DAY)), Draw.CORRECTION_DAY), self.ready + 10 * MINUTE)
        gap = (1 + self.bits(Draw.RESUBMITTED, 0, 9)) * DAY + self.bits(Draw.RESUBMITTED, 8, 300) * MINUTE
        submitted_at = asked_at + gap
        self.lapsed = asked & (share < 0.06)
        twice = asked & (share > 0.985)
        asked_again = self._desk(submitted_at + DAY, 30 * MINUTE)
        submitted_again = asked_again + gap // 2
        self._set(Step.CORRECTION_ASKED, asked_at, asked)
        self._set(Step.CORRECTION_SUBMITTED, submitted_at, asked & ~self.lapsed)
        self._set(Step.CORRECTION_ASKED_AGAIN, asked_again, twice)
        self._set(Step.CORRECTION_SUBMITTED_AGAIN, submitted_again, twice)
        whole = np.where(asked, submitted_at, self.ready)
        whole = np.where(twice, submitted_again, whole)
        # Acceptance: the same hour, or some working days later, never after the fifth.
        u = self.u(Draw.ACCEPT_DAY)
        later = np.where(self.immediate, 0, np.searchsorted([0.80, 0.93, 0.98, 0.995], u, side="right"))
        later = np.where(m.by_receipt[self.matter], np.minimum(later, 1), later)
        at_once = self._desk(whole, (2 + self.bits(Draw.ACCEPT_TIME, 0, 15)) * MINUTE)
        number = days.number(at_once // DAY) + later
        limit = np.where(asked, days.number(whole // DAY), start) + 5
        number = np.minimum(number, np.maximum(limit, days.number(at_once // DAY)))
        deemed = (self.u(Draw.ACCEPT_DAY) > 0.9999) & ~asked
        number = np.where(deemed, limit + 1 + self.bits(Draw.ACCEPT_TIME, 4, 3), number)
        self.accepted = np.where(number > days.number(at_once // DAY), self._office(number, Draw.ACCEPT_TIME), at_once)
        u = self.u(Draw.OUTCOME)
        refused = (u < 0.007) & ~self.lapsed
        self._set(Step.ACCEPTED, self.accepted, ~refused & ~self.lapsed)
        self._set(Step.REFUSED, self.accepted, refused)
        self.goes_on = ~refused & ~self.lapsed
        self.correction_days = np.where(asked, days.number(submitted_at // DAY) - days.number(asked_at // DAY), 0)
        self.received_number = days.number(received // DAY)
        self.closed_early = np.where(self.lapsed, self._office(days.number(asked_at // DAY) + 21, Draw.CORRECTION_DAY), self.accepted)

    def _decide(self) -> None:
        m, days = self.world.matters, self.days
        began = self.accepted // DAY
        number = days.number(began)
        limit = m.limit[self.matter]
        by_receipt = m.by_receipt[self.matter]
        start = np.where(by_receipt, self.day, began)
        # Months are taken short, so that what is meant to be in time is.
        calendar = start + np.select([m.unit[self.matter] == 1, m.unit[self.matter] == 2], [limit, 28 * limit], 0)
        # A last day that is a rest day moves to the next working day.
        last = np.where(m.unit[self.matter] == 0, days.number(start) + limit, days.number(calendar) + ~days.working(calendar))
        room = np.maximum(last + np.where(by_receipt, self.correction_days, 0) - number, 0)
        self.due_on = days.day_of(number + room)

        normal = np.exp(0.69 + 0.98 * _normal()[self.bits(Draw.DURATION, 4, 4096)])
        taken = np.minimum(normal.astype(np.int64), room)
        spike = self.u(Draw.DURATION_SPIKE) < 0.10
        taken = np.where(spike, np.maximum(room - self.bits(Draw.DURATION_SPIKE, 0, 2), 0), taken)
        taken = np.where(self.immediate, 0, taken)

        special = (self.u(Draw.SPECIAL) < m.special[self.matter]) & self.goes_on & (room >= 1)
        publication = m.publication[self.matter]
        self.special_kind = np.where(special, np.where(publication, 5, np.minimum(self.bits(Draw.SPECIAL_KIND, 0, 100) // 35 + self.bits(Draw.SPECIAL_KIND, 8, 3), 4)), -1)
        pause = np.where(special, np.where(publication, 5, 1 + self.bits(Draw.SPECIAL_DAYS, 0, 10)), 0)
        taken = np.where(special, np.maximum(taken, 1), taken)
        extended = (self.u(Draw.LATE_BY) < 0.002) & ~self.immediate & ~special & self.goes_on & (m.type_code[self.matter] == 0) & (room >= 2)
        self.extension_days = np.where(extended, 5 + 5 * self.bits(Draw.LATE_BY, 0, 2), -1)
        taken = np.where(extended, room + 1 + self.bits(Draw.LATE_BY, 1, 4), taken)
        # Lateness clusters in few departments, grows with the number of materials, and after long rests.
        weight = np.array([d.late_weight for d in self.world.places.departments])[m.department[self.matter]]
        rested = days.day_of(number) - days.day_of(np.maximum(number - 1, 1)) > 3
        chance = 0.0003 * weight * np.where(rested, 4.0, 1.0) * np.where(self.immediate, 0.35, 1.0) * np.minimum(m.materials[self.matter], 6) / 3
        slack = m.slack[self.matter]
        self.is_late = (self.u(Draw.LATE) < chance) & ~extended & self.goes_on & (slack > 0)
        # Nearly always within the statutory limit.
        reach = np.where(self.bits(Draw.LATE_BY, 8, 100) < 97, np.minimum(slack, 12), 12)
        taken = np.where(self.is_late, room + 1 + self.bits(Draw.LATE_BY, 0, 1 << 20) % reach.clip(1), taken)
        self.never = self.goes_on & (self.u(Draw.LATE) > 0.9997) & ~self.immediate

        outcome = self.u(Draw.OUTCOME)
        self.outcome = np.searchsorted([0.987, 0.990, 0.992, 0.9965, 0.9995], outcome, side="right")
        self.outcome = np.array([0, 1, 5, 3, 4, 6])[self.outcome]
        # On-line and promised cases are given up more often.
        self.outcome = np.where((self.outcome == 0) & (outcome > 0.972) & ~self.immediate & ~self.is_late, 3, self.outcome)
        self.outcome = np.where(self.lapsed, 7, np.where(outcome < 0.007, 2, self.outcome))

        quick = self.accepted + (3 + self.bits(Draw.COMPLETE_TIME, 0, 40)) * MINUTE
        self.begin = self.accepted
        end_number = number + taken + pause
        completed = np.where(taken + pause == 0, quick, self._office(end_number, Draw.COMPLETE_TIME))
        stop_offset = np.minimum(self.bits(Draw.SPECIAL_DAYS, 8, 2), np.maximum(taken - 1, 0))
        suspended = np.maximum(self._office(number + stop_offset, Draw.SPECIAL_DAYS), self.accepted + 15 * MINUTE)
        resumed = self._office(number + stop_offset + pause, Draw.SPECIAL_KIND)
        completed = np.where(special, np.maximum(completed, resumed + 5 * MINUTE), completed)
        self._set(Step.SUSPENDED, suspended, special)
        self._set(Step.RESUMED, resumed, special)
        self._set(Step.EXTENDED, self._office(number + np.maximum(room - 1, 1), Draw.LATE_BY), extended)
        overdue = self._office(number + room + pause + 1, Draw.LATE)
        self.overdue = overdue
        self.completed = np.where(self.goes_on, completed, self.closed_early)
        self.begin = np.where(special, resumed, np.where(extended, self.times[:, Step.EXTENDED], self.accepted))

    def _finish(self) -> None:
        m = self.world.matters
        completed, goes_on = self.completed, self.goes_on
        promised = goes_on & ~self.immediate
        # Some on-the-spot matters have a clerk and a reviewer too.
        handled = promised | (goes_on & (self.bits(Draw.STEPS, 5, 100) < 30))
        first = self._between(self.begin, completed, 0.35)
        second = self._between(self.begin, completed, 0.75)
        self.handled_end = np.where(handled, first, NULL)
        self.reviewed_end = np.where(promised, second, NULL)
        decided = goes_on & ((self.outcome < 2) | (self.outcome >= 5)) & ~self.never
        self._set(Step.HANDLED, self.accepted, handled)
        self._set(Step.REVIEWED, first, promised & decided)
        self._set(Step.APPROVED, np.where(promised, second, np.where(handled, first, self.accepted)), decided)
        warned = np.where(decided, np.maximum(self.overdue, second), self.overdue)
        self._set(Step.SUPERVISED, warned, (self.is_late & (warned < completed)) | self.never)
        self._set(Step.WITHDRAWN, completed, goes_on & (self.outcome == 3) & ~self.never)
        self._set(Step.TERMINATED, completed, goes_on & (self.outcome == 4) & ~self.never)
        self._set(Step.COMPLETED, completed, ~self.never)
        certified = (m.certificate[self.matter] >= 0) & (self.outcome == 0) & goes_on & ~self.never
        soon = completed + (2 + self.bits(Draw.ISSUED, 0, 50)) * MINUTE
        wait = np.where(self.immediate, 0, np.minimum(self.bits(Draw.ISSUED, 8, 100) // 25, 3))
        issued = np.where(wait == 0, soon, self._office(self.days.number(completed // DAY) + wait, Draw.ISSUED))
        self._set(Step.ISSUED, issued, certified)
        delivered = certified & (self.u(Draw.DELIVERED) < np.where(self.online, 0.55, 0.12))
        # A licence without a certificate is a decision, which is handed over all the same.
        paper = ~certified & (m.type_code[self.matter] == 0) & (self.outcome == 0) & goes_on & ~self.never
        handed = np.where(paper, soon, issued + DAY + self.bits(Draw.DELIVERED, 0, 4320) * MINUTE)
        self._set(Step.DELIVERED, handed, delivered | paper)
        self._after_the_fact()
        slow = self.u(Draw.REPORTED) > 0.975
        gap = np.where(slow, (3 * 1440 + self.bits(Draw.REPORTED, 0, 7200)), 10 + self.bits(Draw.REPORTED, 0, 1400)) * MINUTE
        self.times[self.times > (self.day * DAY + LIFE * DAY)[:, None]] = NULL
        done = self.times[:, Step.COMPLETED]
        self.reported = np.where(done == NULL, NULL, done + gap)

    def _after_the_fact(self) -> None:
        """Departments with systems of their own write some cases in one go: all steps within a minute."""
        own = np.array([d.has_own_system for d in self.world.places.departments])[self.world.matters.department[self.matter]]
        hasty = own & self.immediate & (self.u(Draw.STEPS) < 0.075) & ~self.online & (self.channel != 4) & (self.times[:, Step.CORRECTION_ASKED] == NULL) & self.goes_on
        rows = np.flatnonzero(hasty & (self.completed - self.times[:, Step.RECEIVED] < DAY))
        minute = self.times[rows, Step.RECEIVED] // MINUTE * MINUTE
        self.times[rows, Step.HANDLED] = self.handled_end[rows] = NULL
        for place, step in enumerate((Step.QUEUED, Step.RECEIVED, Step.ACCEPTED, Step.APPROVED, Step.WITHDRAWN, Step.TERMINATED, Step.COMPLETED, Step.ISSUED)):
            had = self.times[rows, step] != NULL
            self.times[rows[had], step] = minute[had] + (place * 6 + 2) * SECOND

    def _set(self, step: Step, time: Ints, where: npt.NDArray[np.bool_] | None = None) -> None:
        self.times[:, step] = time if where is None else np.where(where, time, NULL)

    def _desk(self, time: Ints, delay: Ints | int) -> Ints:
        """When a clerk has dealt with what came in at ``time``: the same day within hours, else early next working day."""
        day, clock = time // DAY, time % DAY
        ready = np.maximum(clock, 9 * HOUR) + delay
        same = self.days.working(day) & (ready <= 17 * HOUR + 20 * MINUTE)
        following = self.days.day_of(self.days.number(day) + 1)
        return np.asarray(np.where(same, day * DAY + ready, following * DAY + 9 * HOUR + delay % (3 * HOUR) + clock % MINUTE))

    def _office(self, number: Ints, draw: Draw) -> Ints:
        """An office hour on the working day with that number."""
        time = self.days.day_of(number) * DAY + _office_minutes()[self.bits(draw, 16, 4096)] * MINUTE
        return np.asarray(time + self.bits(draw, 10, 60) * SECOND)

    def _between(self, begin: Ints, end: Ints, part: float) -> Ints:
        """An office hour about ``part`` of the way, never before ``begin`` or after ``end``."""
        first, last = self.days.number(begin // DAY), self.days.number(end // DAY)
        number = first + ((last - first) * part).astype(np.int64)
        hour = self._office(number, Draw.STEPS)
        hour = np.where((number == first) | (number == last), (begin + (end - begin) * part).astype(np.int64), hour)
        day_end = self.days.day_of(np.maximum(number, 1)) * DAY + 17 * HOUR + self.bits(Draw.STEPS, 3, 1500) * SECOND
        hour = np.where((number == first) & (first != last), np.minimum(hour, np.maximum(day_end, begin)), hour)
        hour = np.where((number == last) & (first != last), np.maximum(hour, end - 40 * MINUTE), hour)
        return np.asarray(np.clip(hour // SECOND * SECOND, begin, np.maximum(begin, end)))


def _minutes(density: list[tuple[float, float, float]]) -> Ints:
    """4,096 minutes of the day whose frequencies follow pieces (from hour, to hour, weight)."""
    weight = np.zeros(1440)
    for first, last, height in density:
        weight[int(first * 60) : int(last * 60)] = height
    ladder = np.cumsum(weight) / weight.sum()
    return np.asarray(np.searchsorted(ladder, (np.arange(4096) + 0.5) / 4096))


@cache
def _office_minutes() -> Ints:
    return _minutes([(9, 9.5, 0.9), (9.5, 11, 1.3), (11, 12, 0.8), (13.5, 14, 0.6), (14, 16, 1.1), (16, 16.8, 0.6)])


@cache
def _online_minutes() -> Ints:
    return _minutes([
        (0, 6, 0.05), (6, 8, 0.3), (8, 9, 0.8), (9, 11.5, 1.4), (11.5, 14, 0.7), (14, 16.5, 1.2), (16.5, 20, 0.6), (20, 22, 1.1), (22, 24, 0.35),
    ])


@cache
def _normal() -> npt.NDArray[np.float64]:
    """4,096 quantiles of the standard normal."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((i + 0.5) / 4096) for i in range(4096)])
