"""Rows that follow from a case: certificates and reviews, as they stand at the horizon."""

from datetime import date
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.domain.identifiers import certificate_id_check
from pipelines.sample.columns import NULL, Chars, Coded, Frame, Ints, Numbers, digits, instants, matrix, repeated, words
from pipelines.sample.days import DAY, HOUR, MINUTE, Draw, day_number, mixed, work_days
from pipelines.sample.lives import LIFE, Step, World
from pipelines.sample.places import wordlists
from pipelines.sample.rows import Rows

LOOK_BACK = LIFE + 80
"""Days after receipt within which all is over, reviews and rectification included."""
RECTIFY_DAYS = 15
"""Working days in which a bad review must be put right (a local limit)."""
DEFAULT_DAYS = 15
"""Working days after which a review is given by default."""
_FIRST_TEXT_DAY = day_number(date(2015, 1, 1))
_LAST_TEXT_DAY = day_number(date(2060, 12, 31))
_HEX = np.frombuffer(b"".join(b"%02x" % i for i in range(256)), np.uint16)
_REVIEW_CHANNELS = ["tablet", "pc", "mobile", "qr", "terminal", "phone", "sms", "hotline"]
_BY_CHANNEL = np.array([[0, 0, 3, 0], [1, 1, 1, 6], [2, 2, 2, 6], [6, 5, 6, 7], [4, 4, 3, 4], [3, 0, 3, 5]])


@cache
def _day_words() -> pa.Array:
    """Days as text, as certificate catalogues export them; 长期 stands last."""
    days = np.arange(_FIRST_TEXT_DAY, _LAST_TEXT_DAY + 1).astype("datetime64[D]").astype(str)
    return words([*days.tolist(), "长期"])


@cache
def _state_words() -> pa.Array:
    return words(["valid", "cancelled"])


@cache
def _review_words() -> dict[str, pa.Array]:
    lists = wordlists()
    return {
        "channel": words(_REVIEW_CHANNELS), "satisfaction": words(["1", "2", "3", "4", "5"]),
        "comment": words(lists["good"] + lists["plain"] + lists["bad"]),
    }


class CertificateNumbers:
    """Certificate identifiers (GB/T 36904-2018), with the check character worked out over arrays."""

    def __init__(self, world: World) -> None:
        m = world.matters
        codes = [world.places.departments[d].code for d in m.department]
        types = [f"{code}{max(c, 0):03}" for code, c in zip(codes, m.certificate, strict=True)]
        self.prefix = matrix([f"1.2.156.3005.2.{kind}.{code}." for kind, code in zip(types, codes, strict=True)])
        self.types = words(types)
        # State of ISO 7064 MOD 37,36 after the prefix: a check character determines it.
        alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        self.state = np.array([(37 - alphabet.index(certificate_id_check(kind + code))) % 36 for kind, code in zip(types, codes, strict=True)])
        self.state[self.state == 0] = 36
        self.alphabet = np.frombuffer(alphabet.encode(), np.uint8)

    def identifiers(self, matter: Ints, serial: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Identifiers of version 001 for serials of digits."""
        state = self.state[matter]
        tail = np.hstack([serial, repeated("001", len(matter))])
        for column in tail.T:
            total = (state + column - 48) % 36
            state = np.where(total == 0, 36, total) * 2 % 37
        check = self.alphabet[(37 - state) % 36][:, None]
        return np.hstack([self.prefix[matter], serial, repeated(".001.", len(matter)), check])


def certificate_places(rows: Rows) -> tuple[Ints, Ints, Ints]:
    """Case, copy (0, or 1 for a duplicate 副本) and when it was issued; a few never reach the store."""
    life = rows.lives
    u = life.u(Draw.CERTIFICATE)
    issued = rows.when(Step.ISSUED)
    stored = (issued != NULL) & (u < 0.955)
    second = stored & ((life.draw[Draw.CERTIFICATE] % 100 < 14) | (rows.world.matters.two_certificates[life.matter] & (u < 0.4)))
    case, copy = np.nonzero(np.column_stack([stored, second]))
    return case, copy.astype(np.int8), issued[case]


def certificates(rows: Rows, numbers: CertificateNumbers, case: Ints, copy: Ints, changed: Ints) -> Frame:
    """Rows of the subject certificate."""
    life, w, m, people, n = rows.lives, rows.words, rows.world.matters, rows.world.people, len(case)
    matter, department = life.matter[case], rows.department[case]
    day = changed // DAY
    years = m.years[matter]
    until = np.where(years == 0, len(_day_words()) - 1, day + (years * 365.25).astype(np.int64) - 1 - _FIRST_TEXT_DAY)
    holder = life.applicant[case]
    state = life.draw[Draw.CERTIFICATE_STATE][case]
    mixes = mixed(life.draw[Draw.CERTIFICATE_STATE][case].astype(np.uint64) << np.uint64(20) | life.serial[case].astype(np.uint64), 30)
    digest = np.column_stack([mixed(mixes, 31 + i) for i in range(4)]).view(np.uint8)
    serial = np.hstack([rows.case_numbers[case, 6:], digits(copy, 1)])
    return Frame({
        "certificate_id": Chars(numbers.identifiers(matter, serial)), "certificate_type_code": Coded(matter, numbers.types),
        "certificate_name": Coded(m.certificate[matter], w.certificates), "certificate_number": Chars(rows.paper(case, "证", copy)),
        "holder_name": Coded(people.name(holder).astype(np.int32), people.names),
        "holder_id_type_code": Coded((holder >= people.persons).astype(np.int8), w.id_types), "holder_id": Chars(people.identifiers(holder)),
        "issuer_name": Coded(department, w.department_names), "issuer_code": Coded(department, w.department_codes),
        "issued_on": Coded(day - _FIRST_TEXT_DAY, _day_words()), "valid_from": Coded(day - _FIRST_TEXT_DAY, _day_words()), "valid_to": Coded(until, _day_words()),
        "certificate_state_code": Coded((state % 1000 < 4).astype(np.int8), _state_words()),
        "case_number": Coded(np.where((state >> 10) % 1000 < 35, -1, case).astype(np.int32), rows.case_words),
        "file_hash": Chars(_HEX[digest].view(np.uint8)), "updated_at": instants(changed),
    }, n)  # fmt: skip


class _Opinions:
    """What is thought of each case, and when: arrays over cases, worked out once."""

    def __init__(self, rows: Rows) -> None:
        life, days = rows.lives, work_days()
        done = rows.when(Step.COMPLETED)
        can = done != NULL
        safe = np.where(can, done, rows.lives.day * DAY)
        u = life.u(Draw.REVIEW)
        online = np.isin(life.channel, (1, 2))
        share = np.where(online, 0.27, 0.33)
        self.active = can & (u < share)
        self.default = can & ~self.active & (u < share + 0.34) & (life.outcome != 7)
        minutes = life.draw[Draw.REVIEW_TIME]
        soon = safe + np.where(minutes % 10 < 8, 2 + (minutes >> 8) % 70, 60 + (minutes >> 8) % 4300).astype(np.int64) * MINUTE
        number = days.number(safe // DAY)
        self.at = np.where(self.active, soon, days.day_of(number + DEFAULT_DAYS) * DAY + 10 * MINUTE)
        # The late are liked less.
        bad = np.minimum(rows.bad * np.where(life.is_late, 15, 1) * np.where(rows.world.matters.materials[life.matter] > 3, 1.5, 0.9), 0.5)
        u = life.u(Draw.SATISFACTION)
        good = np.searchsorted([0.915, 0.985], (u - bad) / (1 - bad), side="right")
        self.level = np.where(self.default, 0, np.where(u < bad * 0.3, 4, np.where(u < bad, 3, good)))
        self.is_bad = self.active & (self.level >= 3)
        self.anonymous = life.draw[Draw.REVIEW_FLAGS] % 100 < 30
        read = days.number(self.at // DAY)
        office = days.day_of(read + 1) * DAY + 9 * HOUR + (minutes % 400).astype(np.int64) * MINUTE
        self.visited = np.where(self.is_bad & ~self.anonymous, office, NULL)
        r = life.u(Draw.RECTIFIED)
        spent = np.where(r < 0.985, 2 + (r * 12).astype(np.int64), RECTIFY_DAYS + 2)
        self.due = np.where(self.is_bad, days.day_of(read + RECTIFY_DAYS), NULL)
        self.rectified = np.where(self.is_bad, days.day_of(read + spent) * DAY + 10 * HOUR + (minutes % 380).astype(np.int64) * MINUTE, NULL)
        again = self.is_bad & ~self.anonymous & ((life.draw[Draw.RECTIFIED] >> 4) % 10 < 6)
        self.followed = np.where(again, self.rectified + DAY + (minutes % 5000).astype(np.int64) * MINUTE, NULL)
        limit = np.minimum(rows.horizon, (life.day + LOOK_BACK) * DAY)
        for times in (self.visited, self.rectified, self.followed):
            times[times > limit] = NULL
        self.given = (self.active | self.default) & (self.at <= limit)


class Results(Rows):
    """Rows of cases, and what was thought of them."""

    @cached_property
    def opinions(self) -> _Opinions:
        """Reviews of all cases."""
        return _Opinions(self)


def review_places(rows: Results) -> tuple[Ints, Ints, Ints]:
    """Case, round (0 the review, 1 the one that follows up) and when it changed last."""
    view = rows.opinions
    case, round_ = np.nonzero(np.column_stack([view.given, view.followed != NULL]))
    changed = np.max(np.column_stack([view.at, view.visited, view.rectified]), axis=1)
    return case, round_.astype(np.int8), np.where(round_ == 0, changed[case], view.followed[case])


def reviews(rows: Results, case: Ints, round_: Ints, changed: Ints) -> Frame:
    """Rows of the subject review."""
    view, life, w, n = rows.opinions, rows.lives, rows.words, len(case)
    text = _review_words()
    first = round_ == 0
    level = np.where(first, view.level[case], 1 + life.draw[Draw.REVIEW_TIME][case] % 2)
    lists = wordlists()
    starts = np.cumsum([0, len(lists["good"]), len(lists["plain"])])
    tone = np.where(level >= 3, 2, np.where(level == 2, 1, 0))
    size = np.array([len(lists[k]) for k in ("good", "plain", "bad")])[tone]
    talks = ~view.default[case] & ((life.draw[Draw.REVIEW_FLAGS][case] >> 8) % 100 < np.where(level >= 3, 95, 15))
    comment = np.where(talks, starts[tone] + (life.draw[Draw.REVIEW_FLAGS][case] >> 16) % size, -1).astype(np.int8)
    hidden = view.anonymous[case] | view.default[case]
    identifier = np.hstack([repeated("PJ", n), rows.case_numbers[case], digits(round_ + 1, 1)])
    previous = np.where(first[:, None], 0, np.hstack([identifier[:, :-1], repeated("1", n)])).astype(np.uint8)

    def only_first(values: Ints) -> Ints:
        return np.where(first, values[case], NULL)

    return Frame({
        "review_id": Chars(identifier), "case_number": Coded(case.astype(np.int32), rows.case_words),
        "review_channel_code": Coded(_BY_CHANNEL[life.channel[case], life.draw[Draw.REVIEW_FLAGS][case] % 4], text["channel"]),
        "reviewer_name": Coded(np.where(hidden, -1, rows.world.people.name(life.applicant[case])).astype(np.int32), rows.world.people.names),
        "reviewed_at": instants(np.where(first, view.at[case], view.followed[case])), "review_round": Numbers(round_.astype(np.int32) + 1, pa.int32()),
        "satisfaction_code": Coded(level.astype(np.int8), text["satisfaction"]), "comment": Coded(comment, text["comment"]),
        "region_code": Coded(life.street[case].astype(np.int8), w.streets), "department_code": Coded(rows.department[case], w.department_codes),
        "is_default": Numbers(view.default[case], pa.bool_()), "is_anonymous": Numbers(hidden, pa.bool_()),
        "visited_at": instants(only_first(view.visited)), "rectify_due_on": Numbers(only_first(view.due), pa.date32()),
        "rectified_at": instants(only_first(view.rectified)), "follows_review_id": Chars(previous), "updated_at": instants(changed),
    }, n)  # fmt: skip
