"""Places and bodies of the sample city: regions, departments, windows.

All of it is invented: division 430199 exists in no official list, so that nobody real can be meant.
"""

import csv
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa

from models.domain.contracts import SUBJECTS
from models.domain.identifiers import credit_code_check
from models.domain.schema import arrow_schema
from pipelines.sample.columns import Ints, words
from pipelines.sample.days import DAY, HOUR, day_number

DIVISION = "430199"
AREA = "YLXQ"
"""Region code of the new area, which has no division code of its own."""
ORIGIN = date(2023, 1, 1)
"""Since when the city's master data stand."""
_BEFORE = date(2016, 1, 1)
_JOINED_ON = {"龙泉坪镇": date(2026, 1, 1)}
"""Streets that the area has covered only from a later day on."""
_ORG_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


def read(name: str) -> list[dict[str, str]]:
    """Rows of one of the generator's tables."""
    text = files("pipelines.sample").joinpath("tables", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def wordlists() -> dict[str, list[str]]:
    """Names, brands, streets and phrases, by kind."""
    split = {"surname": list, "given1": list}
    return {row["kind"]: split.get(row["kind"], lambda text: text.split(";"))(row["words"]) for row in read("names.csv")}


def credit_code(prefix: str, body: str) -> str:
    """A valid credit code in the fictitious division: organisation code with its own check (GB 11714), then GB 32100."""
    total = sum(int(c, 36) * w for c, w in zip(body, _ORG_WEIGHTS, strict=True))
    check = (11 - total % 11) % 11
    code = prefix + DIVISION + body + ("X" if check == 10 else str(check))
    return code + credit_code_check(code)


@dataclass(frozen=True)
class Department:
    """A bureau, street office or outside body."""

    code: str
    name: str
    short: str
    kind: str
    share: float
    has_own_system: bool
    late_weight: float
    region: str


@dataclass(frozen=True)
class Places:
    """Regions, departments and windows, with the arrays that cases are drawn from.

    ``departments`` holds the bureaus first, then the streets, in the order of ``streets``.
    """

    departments: list[Department]
    streets: list[str]
    communities: list[str]
    community_street: Ints
    windows: list[dict[str, Any]]
    first_window: Ints
    window_count: Ints

    @property
    def bureaus(self) -> int:
        """How many departments are not streets."""
        return len(self.departments) - len(self.streets)

    def tables(self) -> dict[str, pa.Table]:
        """The subjects region, area_region, department and window."""
        return {
            "region": _table("region", self._regions()),
            "area_region": _table("area_region", self._covered()),
            "department": _table("department", self._department_rows()),
            "window": _table("window", self.windows),
        }

    def codes(self) -> pa.Array:
        """Department codes, in order."""
        return words([d.code for d in self.departments])

    def names(self) -> pa.Array:
        """Department names, in order."""
        return words([d.name for d in self.departments])

    def _regions(self) -> list[dict[str, Any]]:
        city = {"region_code": DIVISION, "region_name": "样例市", "region_level_code": "city", "division_code": DIVISION}
        area = {"region_code": AREA, "region_name": "样例新区", "region_level_code": "area", "parent_code": DIVISION, "division_code": DIVISION}
        names = [d.name.removeprefix("样例新区").removesuffix("办事处").removesuffix("人民政府") for d in self.departments[self.bureaus :]]
        streets = [
            {"region_code": c, "region_name": n, "region_level_code": "street", "parent_code": AREA, "division_code": DIVISION}
            for c, n in zip(self.streets, names, strict=True)
        ]
        villages: list[dict[str, Any]] = []
        for street, name in zip(self.community_street, self.communities, strict=True):
            number = sum(v["parent_code"] == self.streets[street] for v in villages) + 1
            villages.append({
                "region_code": f"{self.streets[street]}{number:03}", "region_name": name, "region_level_code": "village",
                "parent_code": self.streets[street], "division_code": DIVISION,
            })
        # a town that became a street when the area was set up
        town = {
            "region_code": f"{DIVISION}104", "region_name": "锦绣镇", "region_level_code": "street", "parent_code": DIVISION, "division_code": DIVISION,
            "effective_from": _BEFORE, "effective_to": ORIGIN, "successor_code": self.streets[names.index("锦绣街道")],
        }  # fmt: skip
        return [city, area, *streets, *villages, town]

    def _covered(self) -> list[dict[str, Any]]:
        """What the area is made of: it has no division code of its own."""
        rows = []
        for code, department in zip(self.streets, self.departments[self.bureaus :], strict=True):
            since = next((day for name, day in _JOINED_ON.items() if name in department.name), ORIGIN)
            statement = f"样例市人民政府关于样例新区范围的通告（虚构，{since.year}年）"
            rows.append({"area_code": AREA, "region_code": code, "valid_from": since, "statement": statement, "is_assumed": False})
        return rows

    def _department_rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [
            {
                "department_code": d.code, "department_name": d.name, "department_kind_code": d.kind, "region_code": d.region,
                "sort_order": i + 1,
            }
            for i, d in enumerate(self.departments)
        ]
        # a bureau that was merged into another when the area was set up
        heir = next(d for d in self.departments if d.short == "发改")
        merged = {
            "department_code": credit_code("11", "MB000001"), "department_name": "样例新区粮食和物资储备局", "department_kind_code": "bureau", "region_code": AREA,
            "sort_order": len(rows) + 1, "effective_from": _BEFORE, "effective_to": ORIGIN, "successor_code": heir.code,
        }  # fmt: skip
        return [*rows, merged]


@cache
def places() -> Places:
    """The city's places; the same for every seed."""
    departments = [
        Department(
            credit_code("11", f"MB{1000 + 37 * i:06}"), row["name"], row["short"], row["kind"], float(row["share"]),
            row["has_own_system"] == "1", float(row["late_weight"]), AREA,
        )
        for i, row in enumerate(read("departments.csv"))
    ]
    streets, communities, belongs = [], [], []
    for i, row in enumerate(read("streets.csv")):
        streets.append(DIVISION + row["number"])
        suffix = "办事处" if row["name"].endswith("街道") else "人民政府"
        departments.append(
            Department(credit_code("11", f"MC{1000 + 41 * i:06}"), f"样例新区{row['name']}{suffix}", "街道", "street", 0.0, False, 1.0, streets[-1])
        )
        for name in row["communities"].split(";"):
            communities.append(f"{name}{'社区' if row['number'] < '100' else '村'}")
            belongs.append(i)
    windows, first, count = _windows(departments)
    return Places(departments, streets, communities, np.array(belongs), windows, np.array(first), np.array(count))


def _windows(departments: list[Department]) -> tuple[list[dict[str, Any]], list[int], list[int]]:
    rows: list[dict[str, Any]] = []
    first, count = [], []
    for i, d in enumerate(departments):
        number = 2 if d.kind == "street" else 2 + round(d.share * 1.5)
        first.append(len(rows))
        count.append(number)
        for n in range(number):
            letter = "J" if d.kind == "street" else "ABC"[i % 3]
            rows.append({
                "window_code": f"{letter}{i + 1:02}{n + 1:02}",
                "window_name": "综合受理窗口" if n == 0 else f"{d.short}业务窗口{n}",
                "department_code": d.code, "region_code": d.region,
                "hall_name": d.name.removeprefix("样例新区") + "便民服务中心" if d.kind == "street" else "样例新区政务服务大厅",
                "floor": 1 if d.kind == "street" else i % 3 + 1, "is_general": n == 0,
            })
    return rows, first, count


def _table(subject: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as the subject's contract, changed last at :data:`ORIGIN`."""
    updated = (day_number(ORIGIN) * DAY + 9 * HOUR) - 8 * HOUR
    has_period = subject in ("region", "department")
    full = [{"updated_at": updated, **({"effective_from": ORIGIN} if has_period else {}), **row} for row in rows]
    return pa.Table.from_pylist(full, arrow_schema(SUBJECTS[subject]))
