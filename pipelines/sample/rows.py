"""Rows of the contracts from lives: cases and their events as they stand at the horizon.

Each subject answers two questions: which rows there are and when each changed last (:meth:`Rows.places`),
and what stands in some of them (:meth:`Rows.frame`).
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.domain.codes import code_tables
from pipelines.sample.columns import (
    NULL,
    Chars,
    Coded,
    Frame,
    Ints,
    Numbers,
    digits,
    instants,
    matrix,
    repeated,
    some,
    words,
)
from pipelines.sample.days import Draw, mixed
from pipelines.sample.lives import CHANNELS, OUTCOMES, SPECIAL_KINDS, Lives, Step, World
from pipelines.sample.places import DIVISION

_ACTIVITIES = {
    Step.CORRECTION_ASKED_AGAIN: "correction_asked", Step.CORRECTION_SUBMITTED_AGAIN: "correction_submitted",
}  # fmt: skip
_OPINIONS = {
    Step.PRE_REVIEW_RETURNED: "材料图片不清晰，请重新上传", Step.PRE_REVIEWED: "材料齐全，预审通过", Step.CORRECTION_ASKED: "材料不齐，请一次补正以下内容：申请表缺签字",
    Step.CORRECTION_ASKED_AGAIN: "补正材料仍不符合要求，请再次补正", Step.ACCEPTED: "材料齐全，符合法定形式，予以受理", Step.REFUSED: "不属于本机关职权范围，不予受理",
    Step.HANDLED: "已核对材料，拟同意", Step.REVIEWED: "审核通过", Step.APPROVED: "同意", Step.EXTENDED: "情况复杂，经负责人批准延长办理期限",
    Step.WITHDRAWN: "申请人主动撤回", Step.TERMINATED: "申请人不再符合条件，终止办理", Step.SUPERVISED: "已超过承诺时限，请尽快办结",
}  # fmt: skip
_RESULTS = ["准予", "不予许可，理由见决定书", "不予受理", "申请人撤回", "终止办理", "转报上级机关办结", "作废办结", "补正不来，退回办结"]
BY_APPLICANT = (Step.QUEUED, Step.CORRECTION_SUBMITTED, Step.CORRECTION_SUBMITTED_AGAIN, Step.WITHDRAWN)

PASSED = (Step.PRE_REVIEWED, Step.ACCEPTED, Step.HANDLED, Step.REVIEWED, Step.APPROVED)
RETURNED = (Step.PRE_REVIEW_RETURNED, Step.CORRECTION_ASKED, Step.CORRECTION_ASKED_AGAIN, Step.REFUSED)


@cache
def _among(steps: tuple[Step, ...]) -> npt.NDArray[np.bool_]:
    """A table that answers for each step whether it is one of these."""
    return np.isin(np.arange(len(Step)), steps)


def activity(step: Step) -> str:
    """Code of table L.activity."""
    return _ACTIVITIES.get(step, step.name.lower())


@dataclass(frozen=True)
class Vocabulary:
    """The word lists that the coded columns share."""

    matter_codes: pa.Array
    matter_names: pa.Array
    department_codes: pa.Array
    department_names: pa.Array
    shorts: npt.NDArray[np.uint8]
    windows: pa.Array
    streets: pa.Array
    channels: pa.Array
    outcomes: pa.Array
    results: pa.Array
    kinds: pa.Array
    id_types: pa.Array
    activities: pa.Array
    activity_names: pa.Array
    opinions: pa.Array
    special_kinds: pa.Array
    special_names: pa.Array
    certificates: pa.Array
    projects: pa.Array
    years: pa.Array
    common: pa.Array


COMMON = ["1", "2", "申请人提交", "通过", "退回", "其他", "延长审批", "特别程序", "法律法规规定", "已完成，结果合格", "情况复杂，经负责人批准", "410199"]
"""Small words, by place, that need no list of their own."""


def vocabulary(world: World) -> Vocabulary:
    """The city's word lists."""
    m, p = world.matters, world.places
    labels = code_tables()["L.activity"]
    activities = [activity(s) for s in Step]
    return Vocabulary(
        matter_codes=words([r["matter_code"] for r in m.rows]), matter_names=words([r["matter_name"] for r in m.rows]),
        department_codes=p.codes(), department_names=p.names(), shorts=matrix([d.short for d in p.departments]),
        windows=words([w["window_code"] for w in p.windows]), streets=words(p.streets), channels=words(CHANNELS),
        outcomes=words(OUTCOMES), results=words(_RESULTS), kinds=words(["1", "2"]), id_types=words(["111", "990"]),
        activities=words(activities), activity_names=words([labels[a] for a in activities]),
        opinions=words([_OPINIONS.get(s, "") for s in Step]),
        special_kinds=words(SPECIAL_KINDS), special_names=words([code_tables()["L.special_kind"][k] for k in SPECIAL_KINDS]),
        certificates=words(m.certificates),
        projects=words([f"{2023 + i % 4}-{DIVISION}-{47 + i % 4 if i % 3 else 70}-0{1 + i % 3}-{100001 + i * 37 % 899_999:06}" for i in range(2000)]),
        years=words([f"{y}年" if y else "长期" for y in range(21)]), common=words(COMMON),
    )


class Rows:
    """Rows of the cases of some days, as of ``horizon`` (local µs)."""

    def __init__(self, world: World, vocabulary: Vocabulary, lives: Lives, horizon: int, bad: float) -> None:
        self.world, self.words, self.lives, self.horizon, self.bad = world, vocabulary, lives, horizon, bad
        m = world.matters
        self.department = m.department[lives.matter]
        self.desk = np.where(lives.channel == 5, world.places.bureaus + lives.street, self.department)
        self.seen = np.where(lives.times > horizon, NULL, lives.times)

    def when(self, step: Step) -> Ints:
        """When each case took the step, null beyond the horizon."""
        return np.asarray(self.seen[:, step])

    def staff(self, department: Ints, salt: Ints) -> Ints:
        """Index into the names of a member of the department."""
        team = self.world.people.staff
        return np.asarray(team[department, salt % team.shape[1]])

    @cached_property
    def case_numbers(self) -> npt.NDArray[np.uint8]:
        """Case numbers: division, day of receipt, serial of the day."""
        return np.hstack([repeated(DIVISION, len(self.lives.day)), self._dates, digits(self.lives.serial, 6)])

    @cached_property
    def case_words(self) -> pa.Array:
        """Case numbers as words."""
        return Chars(self.case_numbers).arrow()

    @cached_property
    def _dates(self) -> npt.NDArray[np.uint8]:
        first = int(self.lives.day.min(initial=1 << 30))
        span = np.arange(first, int(self.lives.day.max(initial=first)) + 1)
        texts = np.datetime_as_string(span.astype("datetime64[D]")).tolist()
        return np.asarray(matrix([t.replace("-", "") for t in texts])[self.lives.day - first])

    def paper(self, rows: Ints, kind: str, copy: Ints | None = None) -> npt.NDArray[np.uint8]:
        """Numbers of papers such as 样人社受字〔2025〕第0603000123号: unique in body, kind and year."""
        n = len(rows)
        parts = [repeated("样", n), self.words.shorts[self.department[rows]], repeated(f"{kind}字〔", n), self._dates[rows, :4], repeated("〕第", n),
                 self._dates[rows, 4:], digits(self.lives.serial[rows], 6)]  # fmt: skip
        if copy is not None:
            parts.append(digits(copy, 1))
        return np.hstack([*parts, repeated("号", n)])

    # cases

    def case_places(self) -> tuple[Ints, Ints, Ints]:
        """Case, nothing, and when its row changed last."""
        ends = [np.where(e > self.horizon, NULL, e) for e in (self.lives.handled_end, self.lives.reviewed_end, self.lives.reported)]
        changed = np.max(np.column_stack([self.seen.max(axis=1), *ends]), axis=1)
        return np.arange(len(changed)), np.zeros(len(changed), np.int8), changed

    def cases(self, rows: Ints, changed: Ints) -> Frame:
        """Rows of the subject case."""
        life, w, m, people = self.lives, self.words, self.world.matters, self.world.people
        who, matter, channel = life.applicant[rows], life.matter[rows], life.channel[rows]
        received, accepted, done, issued = (self.when(s)[rows] for s in (Step.RECEIVED, Step.ACCEPTED, Step.COMPLETED, Step.ISSUED))
        is_accepted, is_done, is_issued = accepted != NULL, done != NULL, issued != NULL
        is_firm = who >= people.persons
        detail = life.draw[Draw.DETAILS][rows]
        agent = is_firm | (life.draw[Draw.AGENT][rows] % 100 < 6)
        names = people.name(who).astype(np.int32)
        contact = people.contact(who).astype(np.int32)
        department = self.department[rows]
        promised = ~m.immediate[matter]
        certificate = m.certificate[matter]
        reported = np.where(life.reported[rows] > self.horizon, NULL, life.reported[rows])
        number = some(rows, is_issued, lambda r: self.paper(r, "证", np.zeros(len(r), np.int64)))
        acceptance = some(rows, is_accepted, lambda r: self.paper(r, "受"))
        agents = some(who, agent, lambda w: people.resident_ids(mixed(w, 11) % np.uint64(people.persons)))
        engineering = m.scene[matter] == 2
        online = (channel == 1) | (channel == 2)
        text = Coded
        return Frame({
            "case_number": Chars(self.case_numbers[rows]),
            "matter_code": text(matter, w.matter_codes), "matter_name": text(matter, w.matter_names), "case_kind_code": text(promised.astype(np.int8), w.kinds),
            "applicant_name": text(names, people.names), "applicant_id_type_code": text(is_firm.astype(np.int8), w.id_types),
            "applicant_id": Chars(people.identifiers(who)),
            "contact_name": text(np.where(agent, contact, -1), people.names), "contact_id_type_code": text(np.where(agent, 0, -1).astype(np.int8), w.id_types),
            "contact_id": agents, "contact_phone": text(people.phone(who), people.phones),
            "postcode": text(np.full(len(rows), 11, np.int8), w.common), "address": text(people.address(who), people.addresses),
            "legal_representative": text(np.where(is_firm, contact, -1), people.names),
            "channel_code": text(channel.astype(np.int8), w.channels),
            "applied_at": instants(received - np.where(online, 0, detail % 600 * 1_000_000)),
            "project_code": text(np.where(engineering, (life.draw[Draw.PROJECT][rows] % 2000).astype(np.int32), -1), w.projects),
            "region_code": text(life.street[rows].astype(np.int8), w.streets), "received_at": instants(received),
            "department_name": text(department, w.department_names), "department_code": text(department, w.department_codes),
            "accepted_by": text(np.where(is_accepted, self.staff(self.desk[rows], life.draw[Draw.STAFF][rows]), -1), people.names),
            "accepted_at": instants(accepted), "acceptance_number": acceptance,
            "source_promised_due_on": Numbers(np.where(is_accepted, life.due_on[rows], NULL), pa.date32()),
            "completed_by": text(np.where(is_done, self.staff(department, life.draw[Draw.STAFF][rows] >> 8), -1), people.names), "completed_at": instants(done),
            "result_certificate_name": text(np.where(is_issued, certificate, -1), w.certificates), "result_certificate_number": number,
            "result_description": text(np.where(is_done, life.outcome[rows], -1), w.results),
            "result_validity": text(np.where(is_issued, m.years[matter], -1), w.years), "result_issuer": text(np.where(is_issued, department, -1), w.department_names),
            "is_result_posted": Numbers(np.where(is_issued, life.at(Step.DELIVERED)[rows] != NULL, -1).astype(np.int8), pa.bool_()),
            "is_fee_charged": Numbers(m.fee[matter], pa.bool_()), "outcome_code": text(np.where(is_done, life.outcome[rows], -1), w.outcomes),
            "window_code": text(self.windows[rows], w.windows),
            "is_commitment": Numbers(m.commitment[matter] & (detail % 10 < 8), pa.bool_()),
            "is_tolerance": Numbers(promised & ((detail >> 8) % 1000 < 6), pa.bool_()),
            "reported_at": instants(reported), "updated_at": instants(changed),
        }, len(rows))  # fmt: skip

    @cached_property
    def windows(self) -> Ints:
        """Window where each case came in, −1 where at none."""
        channel, p = self.lives.channel, self.world.places
        owner = np.where(channel == 5, self.desk, self.department)
        window = p.first_window[owner] + (self.lives.draw[Draw.STAFF] >> 16) % p.window_count[owner]
        return np.where((channel == 0) | (channel == 5), window, -1).astype(np.int16)

    @cached_property
    def before(self) -> Ints:
        """How many steps each case has taken up to each step, whatever part of them is seen."""
        return np.cumsum(self.lives.times != NULL, axis=1, dtype=np.int32)

    # events

    def event_places(self) -> tuple[Ints, Ints, Ints]:
        """Case, step and when the event changed last, in the order of case and step."""
        case, step = np.nonzero(self.seen != NULL)
        begin, end = self._span(case, step)
        return case, step.astype(np.int8), np.where(end == NULL, begin, end)

    def _span(self, case: Ints, step: Ints) -> tuple[Ints, Ints]:
        begin = self.seen[case, step]
        end = begin.copy()
        for lasting, ends in ((Step.HANDLED, self.lives.handled_end), (Step.REVIEWED, self.lives.reviewed_end), (Step.APPROVED, self.lives.at(Step.COMPLETED)),
                              (Step.SUSPENDED, self.lives.at(Step.RESUMED))):  # fmt: skip
            at = np.flatnonzero(step == lasting)
            end[at] = ends[case[at]]
        end[end > self.horizon] = NULL
        return begin, end

    def events(self, case: Ints, step: Ints, changed: Ints) -> Frame:
        """Rows of the subject case_event."""
        life, w, people, n = self.lives, self.words, self.world.people, len(case)
        begin, end = self._span(case, step)
        at_desk = (step <= Step.REFUSED) & (step != Step.QUEUED)
        department = np.where(at_desk, self.desk[case], self.department[case]).astype(np.int16)
        staff = life.draw[Draw.STAFF][case] + step.astype(np.uint32) * np.uint32(7)
        actor = self.staff(department, np.where(step == Step.ACCEPTED, life.draw[Draw.STAFF][case], staff))
        own = _among(BY_APPLICANT)[step]
        actor[own] = people.name(life.applicant[case[own]])
        opinion = step.astype(np.int8)
        opinion[~_among(tuple(_OPINIONS))[step]] = -1
        action = np.where(_among(PASSED), 3, np.where(_among(RETURNED), 4, 5)).astype(np.int8)[step]
        return Frame({
            "case_number": Coded(case.astype(np.int32), self.case_words), "sequence": Numbers(self.before[case, step], pa.int32()),
            "activity_code": Coded(step, w.activities), "activity": Coded(step, w.activity_names), "action": Coded(action, w.common),
            "actor": Coded(actor, people.names), "opinion": Coded(opinion, w.opinions),
            "occurred_at": instants(begin), "ended_at": instants(end),
            "department_name": Coded(department, w.department_names), "department_code": Coded(department, w.department_codes),
            "step_state_code": Coded((end != NULL).astype(np.int8), w.common), **self._special(case, step, begin, end),
            "window_code": Coded(np.where(at_desk, self.windows[case], -1), w.windows), "updated_at": instants(changed),
        }, n)  # fmt: skip

    def _special(self, case: Ints, step: Ints, begin: Ints, end: Ints) -> dict[str, Coded | Numbers]:
        """The columns of special procedures: null but in the rows that start or extend."""
        n, w = len(case), self.words
        paused, extended = np.flatnonzero(step == Step.SUSPENDED), np.flatnonzero(step == Step.EXTENDED)
        none8 = np.full(n, -1, np.int8)

        def sparse(pause: Ints | int, extension: Ints | int, start: Ints = none8) -> Ints:
            out = start.copy()
            out[paused], out[extended] = pause, extension
            return out

        none64 = np.full(n, NULL, np.int64)
        kind = self.lives.special_kind[case[paused]]
        closed = np.where(end[paused] == NULL, -1, 9)
        written = self.lives.draw[Draw.SPECIAL][case[paused]] % 100
        return {
            "special_name": Coded(sparse(kind, len(SPECIAL_KINDS)), self._special_names), "special_code": Coded(sparse(1, 0), w.common),
            "special_started_at": instants(sparse(begin[paused], begin[extended], none64)), "special_reason": Coded(sparse(8, 10), w.common),
            "special_ended_at": instants(sparse(end[paused], NULL, none64)), "special_result": Coded(sparse(closed, -1), w.common),
            "special_kind_code": Coded(sparse(kind, -1), w.special_kinds),
            "has_written_notice": Numbers(sparse(np.select([written < 93, written < 99], [1, -1], 0), 1), pa.bool_()),
            "extension_days": Numbers(sparse(-1, self.lives.extension_days[case[extended]], np.full(n, -1, np.int32)), pa.int32()),
        }

    @cached_property
    def _special_names(self) -> pa.Array:
        return pa.concat_arrays([self.words.special_names, words(["延长审批"])])
