"""Applicants: persons and enterprises that cannot exist, computed from their number alone.

Identity numbers and credit codes have right check characters but the fictitious division, phones are
199 0000 xxxx: syntactically valid, really impossible.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.sample.columns import Ints, digits, matrix, words
from pipelines.sample.days import day_number, mixed
from pipelines.sample.places import DIVISION, Places, wordlists

_FIRST_BIRTH = day_number(date(1938, 1, 1))
_BIRTH_DAYS = day_number(date(2008, 1, 1)) - _FIRST_BIRTH
_STRIDE = 7_919_033
"""A prime: steps through all (birthday, serial) pairs, so that no two persons share a number."""
_SERIALS = 990
_CREDIT = np.frombuffer(b"0123456789ABCDEFGHJKLMNPQRTUWXY", np.uint8)
_CREDIT_VALUE = np.zeros(128, np.int64)
_CREDIT_VALUE[_CREDIT] = np.arange(31)
_ID_WEIGHTS = np.array([pow(2, 17 - i, 11) for i in range(17)])
_ID_CHECK = np.frombuffer(b"10X98765432", np.uint8)
_STAFF = 20
"""Staff of a department."""


@dataclass(frozen=True)
class People:
    """The persons, enterprises and staff of a city of a given size.

    Numbers below ``persons`` are persons, the rest enterprises. ``names`` holds the persons' names first,
    then those of the enterprises.
    """

    persons: int
    enterprises: int
    seed: int
    names: pa.Array
    person_names: int
    phones: pa.Array
    addresses: pa.Array
    staff: Ints
    credit_codes: npt.NDArray[np.uint8]

    def name(self, who: Ints) -> Ints:
        """Index into ``names`` of each applicant."""
        return np.where(who < self.persons, self._person_name(who), self.person_names + who - self.persons)

    def contact(self, who: Ints) -> Ints:
        """Index into ``names`` of a person who acts for each applicant."""
        return self._person_name(mixed(who, 11) % np.uint64(self.persons))

    def phone(self, who: Ints) -> Ints:
        """Index into ``phones``."""
        return (mixed(who, 12) % np.uint64(len(self.phones))).astype(np.int32)

    def address(self, who: Ints) -> Ints:
        """Index into ``addresses``."""
        return (mixed(who, 13) % np.uint64(len(self.addresses))).astype(np.int32)

    def street(self, who: Ints, streets: int) -> Ints:
        """Street where each applicant lives: address i lies in street i modulo their number."""
        return self.address(who) % streets

    def identifiers(self, who: Ints) -> npt.NDArray[np.uint8]:
        """Identity number or credit code of each applicant, 18 bytes."""
        is_person = who < self.persons
        out = np.empty((len(who), 18), np.uint8)
        out[is_person] = self.resident_ids(who[is_person])
        out[~is_person] = self.credit_codes[who[~is_person] - self.persons]
        return out

    def resident_ids(self, who: Ints) -> npt.NDArray[np.uint8]:
        """Identity number of each person."""
        place = (who.astype(np.int64) * _STRIDE + self.seed % 1_000_003) % (_BIRTH_DAYS * _SERIALS)
        born = (place % _BIRTH_DAYS + _FIRST_BIRTH).astype("datetime64[D]")
        year = born.astype("datetime64[Y]")
        month = born.astype("datetime64[M]")
        number = (
            (year.astype(np.int64) + 1970) * 10_000
            + (month.astype(np.int64) % 12 + 1) * 100
            + (born - month.astype("datetime64[D]")).astype(np.int64) + 1
        ) * 1000 + place // _BIRTH_DAYS + 1
        out = np.empty((len(who), 18), np.uint8)
        out[:, :6] = np.frombuffer(DIVISION.encode(), np.uint8)
        out[:, 6:17] = digits(number, 11)
        total = (out[:, :17] - 48).astype(np.int64) @ _ID_WEIGHTS
        out[:, 17] = _ID_CHECK[total % 11]
        return out

    def _person_name(self, who: Ints) -> Ints:
        return (mixed(who, 10) % np.uint64(self.person_names)).astype(np.int32)


def people(seed: int, yearly: float, city: Places) -> People:
    """The people of a city in which ``yearly`` cases are filed a year: each files about twice."""
    lists = wordlists()
    given = lists["given1"] + lists["given2"] + [a + b for a in lists["given1"][:20] for b in lists["given1"][30:40]]
    # Common surnames stand first in the list and come more often.
    surnames = lists["surname"] + lists["surname"][:40] + lists["surname"][:12] * 3
    names = [s + g for s in surnames for g in given]
    persons = max(2_000, int(yearly * 0.45))
    enterprises = max(300, int(yearly * 0.03))
    number = np.arange(enterprises)
    brands = [a + b[0] for a in lists["brand"] for b in lists["brand"]]
    companies = [
        f"样例市{brands[i % len(brands)]}{lists['trade'][i % 16]}有限公司" if i % 3 else f"样例市{brands[i * 7 % len(brands)]}{lists['shop'][i % 12]}"
        for i in range(min(enterprises, 20_000))
    ]
    staff = mixed(np.arange(len(city.departments) * _STAFF), 20) % np.uint64(len(names))
    return People(
        persons, enterprises, seed, words(names + [companies[i % len(companies)] for i in number]), len(names),
        words([f"1990000{i:04}" for i in range(10_000)]), words(_addresses(city)), staff.astype(np.int32).reshape(-1, _STAFF),
        _credit_codes(number),
    )


def _addresses(city: Places) -> list[str]:
    roads = wordlists()["road"]
    street_names = [d.name.removeprefix("样例新区").removesuffix("办事处").removesuffix("人民政府") for d in city.departments[city.bureaus :]]
    homes: list[list[str]] = [[] for _ in street_names]
    for street, community in zip(city.community_street, city.communities, strict=True):
        homes[street].append(community)
    count = len(street_names)
    return [
        f"样例市样例新区{street_names[i % count]}{homes[i % count][i // count % len(homes[i % count])]}{roads[i // 7 % len(roads)]}"
        f"{i % 199 + 1}号{i % 17 + 1}栋{i % 30 + 1:02}{i % 4 + 1:02}"
        for i in range(6_000)
    ]


def _credit_codes(number: Ints) -> npt.NDArray[np.uint8]:
    """Credit codes 91/92 of enterprises, with both check characters (GB 11714, GB 32100-2015)."""
    out = np.empty((len(number), 18), np.uint8)
    out[:, 0] = ord("9")
    out[:, 1] = np.where(number % 3, ord("1"), ord("2"))
    out[:, 2:8] = np.frombuffer(DIVISION.encode(), np.uint8)
    out[:, 8:10] = matrix(["MA"])[0]
    out[:, 10:16] = digits(number, 6)
    inner = np.array([ord("M") - 55, 10, 0, 0, 0, 0, 0, 0]) @ np.array([3, 7, 9, 10, 5, 8, 4, 2])
    check = (11 - (inner + (out[:, 10:16] - 48).astype(np.int64) @ np.array([9, 10, 5, 8, 4, 2])) % 11) % 11
    out[:, 16] = np.frombuffer(b"0123456789X", np.uint8)[check]
    total = _CREDIT_VALUE[out[:, :17]] @ np.array([pow(3, i, 31) for i in range(17)])
    out[:, 17] = _CREDIT[-total % 31]
    return out
