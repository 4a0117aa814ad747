"""Code tables: A.1–A.8 of GB/T 39046-2020 and the local tables ``L.*`` that extend them.

Enumerations are stored as their codes everywhere; labels come from here. The tables are data
(``tables/*.csv``); nothing is read at import.
"""

import csv
from functools import cache
from importlib.resources import files


@cache
def code_tables() -> dict[str, dict[str, str]]:
    """All code tables: name (``"A.5"``, ``"L.channel"``) → code → Chinese label."""
    tables: dict[str, dict[str, str]] = {}
    for row in _rows("gbt39046_codes.csv") + _rows("local_codes.csv"):
        name = row["codeset"].split(" ")[0]
        tables.setdefault(name, {})[row["code"]] = row["label"]
    return tables


def label(table: str, code: str | None) -> str:
    """The Chinese label of a code; the code itself where the table does not list it, "" for null."""
    return "" if code is None else code_tables()[table].get(code, code)


@cache
def standard_items() -> dict[str, dict[str, str]]:
    """The data items of GB/T 39046-2020: ``"<table>.<seq>"`` → dataset, item, format, note."""
    return {f"{row['table_no']}.{row['seq']}": row for row in _rows("gbt39046_items.csv")}


@cache
def items_not_carried() -> dict[str, str]:
    """Items of GB/T 39046-2020 that no contract carries, each with its reason."""
    return {row["item"]: row["reason"] for row in _rows("not_carried.csv")}


def _rows(name: str) -> list[dict[str, str]]:
    text = files("models.domain").joinpath("tables", name).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(text.splitlines()))
