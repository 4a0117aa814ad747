"""What might be a rule of a mart, read off its profile: nothing here counts a row, or asks whether a rule says it already."""

# ruff: noqa: S608 - names come from the database's own catalogue

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from models.domain.codes import code_tables
from models.domain.contracts import SUBJECTS, columns
from models.domain.progress import NoProgress
from quality.catalogue.subjects import TABLES
from quality.detection.dependencies import discover
from quality.profile.columns import Field, Look

FEW = 30
"""Values of a code list at most."""
OFTEN = 5
"""Rows of a value from which on it belongs to a list."""
SHAPES = 3
"""Shapes of a format at most."""
FAR = 12
"""Quartile distances above the upper quartile up to which a quantity is usual."""
LEFTS = 2
"""Left sides of dependencies that are offered for a column."""
_KEYS = {"dim_window": "window_code", **{table: known.key[0] for table, known in TABLES.items() if len(known.key) == 1}}
"""Mart → the column that names its rows, for marts that one column names."""


@dataclass(frozen=True)
class Candidate:
    """A rule that may hold.

    Attributes:
        name: What it says, in letters; part of the rule's id.
        columns: Columns that it is about; a changed value of the first breaks it.
        way: The entry's part that says what fails.
        dimension: Dimension of the rule.
        message: What is wrong with a row that fails, in Chinese.
        fails: SQL of a row ``t`` that fails.
        applies: SQL of a row ``t`` that it is asked of.
        broken: SQL of a value of the first column with which it fails.
    """

    name: str
    columns: tuple[str, ...]
    way: dict[str, Any]
    dimension: str
    message: str
    fails: str
    applies: str
    broken: str = field(repr=False)


def candidates(connection: duckdb.DuckDBPyConnection, table: str, known: Sequence[Field], profile: Sequence[dict[str, Any]], look: Look) -> list[Candidate]:
    """All that may hold of a mart.

    Args:
        connection: Has the marts, and the sample that was looked at last.
        table: The mart.
        known: Its columns.
        profile: What :func:`quality.profile.columns.profile_columns` found.
        look: What the sample holds.
    """
    contract = _not_null(connection, table)
    names = {one.name for one in known}
    # the day of an instant that stands beside it says nothing of its own, nor does the platform's own column
    derived = {one.name for one in known if one.name.startswith("_") or one.name == "source" or (one.name.endswith("_on") and f"{one.name[:-3]}_at" in names)}
    plain = [one for one in known if one.name not in derived]
    rows = {row["column_name"]: row for row in profile}
    found: list[Candidate] = []
    for one in plain:
        row = rows[one.name]
        if not row["row_count"] or row["null_count"] == row["row_count"]:
            continue
        # a flag is the platform's own; a constraint of the mart says it already
        if one.name not in contract and one.type != "BOOLEAN":
            found.append(_required(one))
        if one.type == "VARCHAR" and row["distinct_count"] > 0.9 * (row["row_count"] - row["null_count"]) and one.name not in TABLES[table].key:
            found.append(_unique(table, one))
        if not one.is_personal and one.type == "VARCHAR":
            found += _written(one, look)
        if one.is_number:
            found += _range(one, row)
    found += _orders(plain)
    found += _dependencies(connection, table, plain, look)
    found += _inclusions(connection, table, [one for one in plain if not one.is_personal and one.type == "VARCHAR"], look)
    return found


def _required(one: Field) -> Candidate:
    name = one.name
    return Candidate("required", (name,), {"required": [name]}, "completeness", f"{name} 为空", f"t.{one.sql} IS NULL", "true", f"NULL::{one.type}")


def _unique(table: str, one: Field) -> Candidate:
    repeated = f"t.{one.sql} IN (SELECT {one.sql} FROM marts.{table} GROUP BY {one.sql} HAVING count(*) > 1)"
    return Candidate("unique", (one.name,), {"unique": [one.name]}, "uniqueness", f"{one.name} 重复", repeated, f"t.{one.sql} IS NOT NULL", "NULL")


def _written(one: Field, look: Look) -> Iterator[Candidate]:
    """A list of values where there are few of them, else a format."""
    name, filled = one.name, look.filled.get(one.name, 0)
    applies = f"t.{one.sql} IS NOT NULL"
    values = look.values.get(name, {})
    if look.distinct.get(name, 0) <= FEW:
        listed = sorted(value for value, n in values.items() if n >= OFTEN)
        if len(listed) < 2 or filled < 20 * len(listed):  # one value for all says nothing of the next
            return
        codes = _code_table(name, listed)
        fails = f"t.{one.sql} NOT IN ({', '.join(map(_quoted, sorted(code_tables()[codes]) if codes else listed))})"
        way: dict[str, Any] = {"codes": {name: codes}} if codes else {"failing": f"{name} not in ({', '.join(map(_quoted, listed))})"}
        yield Candidate("codes", (name,), way, "validity", f"{name}“{{{name}}}”不在常见的取值中", fails, applies, "'~'")
        return
    shapes = [shape for shape, n in look.shapes.get(name, {}).items() if n >= max(OFTEN, 0.01 * filled)]
    if 0 < len(shapes) <= SHAPES and all(re.search("[9A]", shape) and "文" not in shape and shape.count(" ") < 3 and len(shape) < 60 for shape in shapes):
        pattern = "|".join(map(_pattern, sorted(shapes)))
        fails = f"NOT regexp_full_match(t.{one.sql}, {_quoted(pattern)})"
        yield Candidate("format", (name,), {"format": {name: pattern}}, "validity", f"{name}“{{{name}}}”的写法与其他不同", fails, applies, f"{one.sql} || '~'")


def _range(one: Field, row: dict[str, Any]) -> Iterator[Candidate]:
    quartiles = [row[name] for name in ("p05", "p25", "p75")]
    if row["distinct_count"] < 2 or any(value is None for value in quartiles):
        return
    low, lower, upper = (float(value) for value in quartiles)
    name, applies = one.name, f"t.{one.sql} IS NOT NULL"
    bounds = []
    if low >= 0:
        bounds.append((f"{name} < 0", "-1"))
    if upper > lower:
        most = _round_up(upper + FAR * (upper - lower))
        bounds.append((f"{name} > {most}", f"{most * 10}"))
    if bounds:
        condition = " or ".join(said for said, _ in bounds)
        yield Candidate("range", (name,), {"failing": condition}, "accuracy", f"{name} {{{name}}} 超出常见的范围", condition, applies, bounds[-1][1])


def _orders(known: Sequence[Field]) -> Iterator[Candidate]:
    times = [one for one in known if one.is_time]
    for first, second in itertools.permutations(times, 2):
        if first.type == second.type and "as_of" not in (first.name, second.name):
            condition = f"{first.name} > {second.name}"
            message = f"{first.name}“{{{first.name}}}”晚于 {second.name}“{{{second.name}}}”"
            applies = f"t.{first.sql} IS NOT NULL AND t.{second.sql} IS NOT NULL AND isfinite(t.{first.sql}) AND isfinite(t.{second.sql})"
            broken = f"({second.sql} + to_days(400))::{first.type}"
            yield Candidate("order", (first.name, second.name), {"failing": condition}, "accuracy", message, condition, applies, broken)


def _dependencies(connection: duckdb.DuckDBPyConnection, table: str, known: Sequence[Field], look: Look) -> Iterator[Candidate]:
    usable = [one for one in known if not (one.is_time or one.is_personal or one.type.startswith(("DOUBLE", "FLOAT"))) and 1 < look.distinct.get(one.name, 0)]
    if len(usable) < 2:
        return
    sample = connection.sql(f"SELECT {', '.join(f'{one.sql}::VARCHAR' for one in usable)} FROM _sample").to_arrow_table()
    offered: dict[int, int] = {}
    for found in sorted(discover([_codes(column) for column in sample.columns], NoProgress()), key=lambda one: (one.right, len(one.left), one.slip, one.left)):
        lefts, right = [usable[at] for at in found.left], usable[found.right]
        if offered.get(found.right, 0) >= LEFTS or right.type == "BOOLEAN" or any(left.type != "VARCHAR" for left in lefts):
            continue
        offered[found.right] = offered.get(found.right, 0) + 1
        names = [left.name for left in lefts]
        same = " and ".join(f"x.{name} = t.{name}" for name in names)
        condition = f"{right.name} <> (select mode(x.{right.name}) from marts.{table} as x where {same})"
        key = ", ".join(f"t.{left.sql}" for left in lefts)
        values = list(look.values[right.name])[:2]
        cast = f"::{right.type}"
        broken = f"CASE WHEN {right.sql} = {_quoted(values[0])}{cast} THEN {_quoted(values[1])}{cast} ELSE {_quoted(values[0])}{cast} END"
        # a value that stands alone agrees with nobody: it neither supports nor contradicts
        alone = f"count(*) OVER (PARTITION BY {key}) > 1 AND t.{right.sql} IS NOT NULL AND {' AND '.join(f't.{left.sql} IS NOT NULL' for left in lefts)}"
        yield Candidate(
            f"by_{'_and_'.join(names)}", (right.name, *names), {"failing": condition}, "consistency", f"{right.name}“{{{right.name}}}”与同一 {'、'.join(names)} 的其他记录不同",
            f"t.{right.sql} <> mode(t.{right.sql}) OVER (PARTITION BY {key})", alone, broken,
        )  # fmt: skip


def _inclusions(connection: duckdb.DuckDBPyConnection, table: str, known: Sequence[Field], look: Look) -> Iterator[Candidate]:
    wide = [one for one in known if look.distinct.get(one.name, 0) >= 10]
    there = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'marts'").fetchall()}
    for other, key in _KEYS.items():
        if other == table or other not in there:
            continue
        query = f"SELECT name, avg((value IN (SELECT {key} FROM marts.{other}))::INTEGER) FROM _counted GROUP BY 1"
        inside = dict(connection.execute(query).fetchall())
        for one in wide:
            if inside.get(one.name, 0) >= 0.8:  # the rows decide, below; this only spares the hopeless
                condition = f"{one.name} not in (select x.{key} from marts.{other} as x where x.{key} is not null)"
                broken = f"translate({one.sql}, '0123456789', '1234567890')"
                message = f"{one.name}“{{{one.name}}}”不在 {other} 中"
                yield Candidate(f"in_{other}", (one.name,), {"failing": condition}, "consistency", message, condition, f"t.{one.sql} IS NOT NULL", broken)


def _codes(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) and encoded.num_chunks else encoded
    if isinstance(encoded, pa.ChunkedArray):
        return np.zeros(0, dtype=np.int64)
    return np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _code_table(name: str, values: Sequence[str]) -> str | None:
    """The code table that the contracts name for a field, where the values are all of it."""
    said = {column.code_table for contract in SUBJECTS.values() for field_, column in columns(contract).items() if field_ == name and column.code_table}
    fitting = [code for code in sorted(said) if set(values) <= set(code_tables()[code])]
    return fitting[0] if fitting else None


def _not_null(connection: duckdb.DuckDBPyConnection, table: str) -> set[str]:
    query = "SELECT unnest(constraint_column_names) FROM duckdb_constraints() WHERE schema_name = 'marts' AND table_name = ? AND constraint_type = 'NOT NULL'"
    return {row[0] for row in connection.execute(query, [table]).fetchall()}


def _pattern(shape: str) -> str:
    """Regular expression (RE2) of the texts of a shape."""
    classes = {"9": "[0-9]", "A": r"\p{Lu}", "a": r"\p{Ll}", " ": r"\s"}
    parts = []
    for run in re.finditer(r"(.)\1*\+?", shape):
        text, mark = run.group(), run.group(1)
        count = len(text) - text.endswith("+") * (mark != "+")
        many = f"{{{count},}}" if text.endswith("+") and mark != "+" and count == 20 else f"{{{count}}}" if count > 1 else ""
        if mark in classes:
            parts.append(classes[mark] + many)
        else:
            parts.append(re.escape(text))
    return "".join(parts)


def _round_up(value: float) -> int:
    """The next of 1, 2, 5, 10, 20 …"""
    if value <= 1:
        return 1
    power = 10 ** math.floor(math.log10(value))
    return int(next(step * power for step in (1, 2, 5, 10) if step * power >= value))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
