"""Packages and the lists of records held back, read from their files for people to look at.

The ledger is not opened: it belongs to whoever builds, and looking must neither wait for a package nor be in its way. What is
in the folder of packages is in the ledger (:mod:`quality.reporting.ledger`), so that nothing is shown that was not built.
"""

# ruff: noqa: S608 - paths are of files that are there, columns are ours

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from quality.reporting.files import HELD_COLUMNS
from quality.reporting.ledger import Folders
from quality.reporting.manifest import NUMBER, Manifest
from quality.reporting.verification import read_manifest


@dataclass(frozen=True)
class HeldGroup:
    """Records of a department that a rule, or a reason that is none, holds back.

    Attributes:
        department_code: None where the records name none.
        department_name: None where the list of departments has none.
        rule_id: The rule or reason.
        rule: Its Chinese name.
        first: Records counted under it, each under one.
        all: All records that it concerns.
    """

    department_code: str | None
    department_name: str | None
    rule_id: str
    rule: str
    first: int
    all: int


@dataclass(frozen=True)
class HeldLine:
    """A reason why a record is held back: a line of the list of its department, values masked as in the ledger of violations."""

    source: str
    record_key: str
    day: date | None
    department_code: str | None
    department_name: str | None
    rule_id: str
    rule: str
    field: str | None
    value: str | None
    message: str | None
    is_first: bool
    is_reported: bool


def built(settings: Settings, subject: str | None = None, number: int = 1, size: int = 50) -> tuple[list[Manifest], int]:
    """A page of the packages, the newest first, and how many there are.

    Args:
        settings: The home.
        subject: Of this subject only.
        number: Of the page, from 1.
        size: Packages a page.
    """
    folder = Folders.of(settings).packages
    there = [path for path in folder.glob("*") if NUMBER.fullmatch(path.name)] if folder.is_dir() else []
    there = [path for path in there if subject is None or path.name.rpartition("-")[0] == subject]
    # folders are made in the order of the packages, and moving them into place leaves their time
    there.sort(key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    return [read_manifest(path) for path in there[(number - 1) * size : number * size]], len(there)


def manifest_of(settings: Settings, package: str) -> Manifest:
    """What a package says of itself.

    Raises:
        YiwangError: YW-REPORT-006 where there is no such package.
    """
    if not NUMBER.fullmatch(package):
        raise YiwangError("YW-REPORT-006", package=package)
    return read_manifest(Folders.of(settings).packages / package)


def held_groups(settings: Settings, package: str) -> list[HeldGroup]:
    """What was held back from a package, by department and rule, the most first."""
    groups = ("department_code", "department_name", "rule_id", "rule")
    query = f"SELECT {', '.join(groups)}, count(*) FILTER (is_first), count(*) FROM line GROUP BY ALL ORDER BY 6 DESC, 1, 3"
    return [HeldGroup(*row) for row in _asked(_lists(settings, package), query)]


def held_lines(settings: Settings, package: str, department: str | None, number: int = 1, size: int = 50) -> tuple[list[HeldLine], int]:
    """A page of the reasons why records were held back from a package, and how many there are.

    Args:
        settings: The home.
        package: Number of the package.
        department: Code of a department; "" for records that name none, None for all.
        number: Of the page, from 1.
        size: Reasons a page.
    """
    where = "" if department is None else "WHERE coalesce(department_code, '') = $department"
    values: dict[str, object] = {} if department is None else {"department": department}
    lists = _lists(settings, package)
    rows = _asked(
        lists,
        f"SELECT {', '.join(HELD_COLUMNS)} FROM line {where} ORDER BY is_first DESC, source, record_key, rule_id LIMIT {int(size)} OFFSET {(int(number) - 1) * int(size)}",
        values,
    )
    count = _asked(lists, f"SELECT count(*) FROM line {where}", values)
    return [HeldLine(*row) for row in rows], count[0][0] if count else 0


def held_files(settings: Settings, package: str) -> list[Path]:
    """The workbooks of the departments' lists."""
    return sorted((Folders.of(settings).held / manifest_of(settings, package).package).glob("*.xlsx"))


def _lists(settings: Settings, package: str) -> list[Path]:
    return sorted((Folders.of(settings).held / manifest_of(settings, package).package).glob("*.jsonl"))


def _asked(lists: Iterable[Path], query: str, values: dict[str, object] | None = None) -> list[tuple]:  # type: ignore[type-arg]
    paths = [str(path) for path in lists if path.stat().st_size]
    if not paths:
        return []
    with duckdb.connect(config={"threads": 1, "memory_limit": "256MB"}) as connection:
        # a relation of its own: the files are named by us, the query has the values only
        relation = connection.read_json(paths, columns=HELD_COLUMNS, format="newline_delimited")  # type: ignore[arg-type]
        connection.register("line", relation)
        return connection.execute(query, values or {}).fetchall()
