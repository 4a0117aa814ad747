"""The profile of the columns of a mart, in few passes over it: one over all rows, the rest over a sample that is chosen by key."""

# ruff: noqa: S608 - names come from the database's own catalogue and are quoted

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb

from models.domain.contracts import SUBJECTS, columns
from quality.catalogue.subjects import TABLES
from quality.profile.distributions import LEVELS, MOST_VALUES, Distribution

SAMPLE = 20_000
"""Rows from which quantiles, values and shapes are taken."""
DAYS = 30
"""Days of a month's rows, for drift."""
FREQUENT, SHAPES = 10, 5
LONGEST = 120
"""Characters of a value that is shown whole."""
_QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE"}
_PERSONAL_WHOLE = {("quarantine", "raw")}


@dataclass(frozen=True)
class Field:
    """A column of a mart.

    Attributes:
        table: The mart.
        name: The column.
        position: From 1.
        type: Type of the database.
    """

    table: str
    name: str
    position: int
    type: str

    @property
    def sql(self) -> str:
        """The name, quoted."""
        return '"' + self.name.replace('"', '""') + '"'

    @property
    def is_number(self) -> bool:
        """Whether a quantity can be in it."""
        return self.type in _NUMBERS or self.type.startswith("DECIMAL")

    @property
    def is_time(self) -> bool:
        """Whether it is a day or an instant."""
        return self.type == "DATE" or self.type.startswith("TIMESTAMP")

    @property
    def has_shapes(self) -> bool:
        """Whether how its values are written says something; of a digest it says nothing."""
        return not (self.is_number or self.is_time or self.type == "BOOLEAN" or self.name.endswith("_digest"))

    @property
    def is_personal(self) -> bool:
        """Whether it was made of personal data: then its values are nobody's business, masked as they are."""
        base = self.name.removesuffix("_masked").removesuffix("_digest")
        return base != self.name or (self.table, self.name) in _PERSONAL_WHOLE or self.name in personal_fields()


def personal_fields() -> frozenset[str]:
    """Fields of the contracts that hold personal data."""
    return frozenset(name for contract in SUBJECTS.values() for name, column in columns(contract).items() if column.personal)


def fields(connection: duckdb.DuckDBPyConnection) -> dict[str, list[Field]]:
    """Table of the marts → its columns."""
    query = """SELECT table_name, column_name, column_index, data_type FROM duckdb_columns()
        WHERE database_name = current_database() AND schema_name = 'marts' ORDER BY table_name, column_index"""
    found: dict[str, list[Field]] = defaultdict(list)
    for table, name, _, kind in connection.execute(query).fetchall():
        found[table].append(Field(table, name, len(found[table]) + 1, kind))
    return dict(found)


@dataclass(frozen=True)
class Look:
    """What a sample of rows holds; texts by column.

    Attributes:
        rows: Rows of the sample.
        filled: Rows with a value.
        distinct: Different values.
        values: The most frequent values and their rows, :data:`MOST_VALUES` and one at most.
        shapes: The same of shapes.
    """

    rows: int
    filled: dict[str, int]
    distinct: dict[str, int]
    values: dict[str, dict[str, int]]
    shapes: dict[str, dict[str, int]]


def shape(value: str) -> str:
    """SQL of the shape of a text: digits as 9, letters as A and a, ideographs as 文, white space as a blank; long runs as ``9+``."""
    text = value
    for pattern, mark in ((r"[0-9]", "9"), (r"\p{Lu}", "A"), (r"\p{Ll}", "a"), (r"\p{Lo}", "文"), (r"\s", " ")):
        text = f"regexp_replace({text}, '{pattern}', '{mark}', 'g')"
    return f"left(regexp_replace(regexp_replace({text}, '文文+', '文+', 'g'), '(9{{20}})9+|(A{{20}})A+|(a{{20}})a+', '\\1\\2\\3+', 'g'), 60)"


def profile_columns(connection: duckdb.DuckDBPyConnection, table: str, known: list[Field]) -> tuple[list[dict[str, Any]], Look]:
    """What the columns of a mart hold.

    Args:
        connection: Has the marts; temporary tables are made in it.
        table: The mart.
        known: Its columns.

    Returns:
        A row a column: the part of ``marts.quality_profile`` that needs no time; and what the sample holds.
    """
    rows = int(connection.execute(f'SELECT count(*) FROM marts."{table}"').fetchall()[0][0])
    look = _look(connection, table, f'SELECT * FROM marts."{table}" AS t', rows, known)
    whole = _whole(connection, table, known, None if look.rows < rows else look.distinct)
    quantiles = _quantiles(connection, [field for field in known if field.is_number or field.is_time], list(_QUANTILES.values()), as_text=True)
    found = []
    for field, figures in zip(known, whole, strict=True):
        filled = max(look.filled.get(field.name, 0), 1)
        # where every value is another, none is frequent
        shown = [] if field.is_personal else [(value, n) for value, n in look.values.get(field.name, {}).items() if n > 1 or filled == 1]
        found.append(
            {
                "table_name": table, "column_name": field.name, "position": field.position, "data_type": field.type, "is_personal": field.is_personal,
                "row_count": rows, "sampled_rows": look.rows, **figures, **dict(zip(_QUANTILES, quantiles.get(field.name, [None] * 5), strict=True)),
                "frequent": _as_json(shown[:FREQUENT], filled), "shapes": _as_json(list(look.shapes.get(field.name, {}).items())[:SHAPES], filled),
            }
        )  # fmt: skip
    return found, look


def recent(connection: duckdb.DuckDBPyConnection, table: str, known: list[Field], last: date, day: str) -> dict[str, Distribution]:
    """How the columns are distributed in the rows of :data:`DAYS` days.

    Args:
        connection: Has the marts.
        table: The mart.
        known: Its columns.
        last: The last day.
        day: SQL of the day of a row ``t``.
    """
    wanted = f"FROM marts.\"{table}\" AS t WHERE {day} BETWEEN DATE '{last - timedelta(days=DAYS - 1)}' AND DATE '{last}'"
    rows = int(connection.execute(f"SELECT count(*) {wanted}").fetchall()[0][0])
    return distributions(connection, known, _look(connection, table, f"SELECT t.* {wanted}", rows, known))


def distributions(connection: duckdb.DuckDBPyConnection, known: list[Field], look: Look) -> dict[str, Distribution]:
    """How the columns are distributed in the sample that was looked at last.

    Args:
        connection: Has the sample.
        known: The columns.
        look: What it holds.
    """
    found, plain = {}, [field for field in known if not field.is_time and not field.name.startswith("_")]
    numbers = [field for field in plain if field.is_number and look.distinct.get(field.name, 0) > MOST_VALUES]
    quantiles = _quantiles(connection, numbers, LEVELS, as_text=False)
    for field in known:
        kind, counts, at = "none", {}, []
        if field not in plain:
            pass  # time goes on: its values are always others
        elif 0 < look.distinct.get(field.name, 0) <= MOST_VALUES and not field.is_personal:
            kind, counts = "values", look.values[field.name]
        elif field.name in quantiles:
            kind, at = "quantiles", [float(value) for value in quantiles[field.name]]
        elif 0 < len(look.shapes.get(field.name, ())) <= MOST_VALUES:
            kind, counts = "shapes", look.shapes[field.name]
        found[field.name] = Distribution(kind, look.rows, look.rows - look.filled.get(field.name, 0), counts, at)  # type: ignore[arg-type]
    return found


def _whole(connection: duckdb.DuckDBPyConnection, table: str, known: list[Field], distinct: dict[str, int] | None) -> list[dict[str, Any]]:
    parts = []
    for field in known:
        name = f"t.{field.sql}"
        counted = f"approx_count_distinct({name})" if distinct is None else str(distinct.get(field.name, 0))
        ends = "NULL, NULL" if field.is_personal else f"left(min({name})::VARCHAR, {LONGEST}), left(max({name})::VARCHAR, {LONGEST})"
        finite = f"avg({name}) FILTER (isfinite({name}::DOUBLE))" if field.is_number else "NULL"
        parts.append(f"count({name}), {counted}, {ends}, {finite}")
    row = connection.execute(f'SELECT count(*), {", ".join(parts)} FROM marts."{table}" AS t').fetchall()[0]
    total, found = row[0], []
    for at in range(1, len(row), 5):
        filled, different, least, greatest, mean = row[at : at + 5]
        found.append({"null_count": total - filled, "distinct_count": min(different, filled), "minimum": least, "maximum": greatest, "mean": None if mean is None else float(mean)})
    return found


def _look(connection: duckdb.DuckDBPyConnection, table: str, query: str, rows: int, known: list[Field]) -> Look:
    """Keeps some of the rows as ``_sample``, the same ones each time: by their key, where one is known; and counts what they hold."""
    step = math.ceil(rows / SAMPLE)
    if step > 1:
        key = ", ".join(f't."{column}"' for column in TABLES[table].key) if table in TABLES else "t.rowid"
        query += f" {'AND' if ' WHERE ' in query else 'WHERE'} hash({key}) % {step} = 0"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE _sample AS {query}")
    selected = ", ".join(f"left({field.sql}::VARCHAR, {LONGEST}) AS {field.sql}" for field in known)
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE _counted AS
        SELECT name, value, count(*) AS n FROM (UNPIVOT (SELECT {selected} FROM _sample) ON COLUMNS(*) INTO NAME name VALUE value) GROUP BY ALL"""
    )
    most = MOST_VALUES + 1
    counted = connection.execute(
        f"""SELECT name, value, n, sum(n) OVER own, count(*) OVER own FROM _counted
        WINDOW own AS (PARTITION BY name) QUALIFY row_number() OVER (PARTITION BY name ORDER BY n DESC, value) <= {most} ORDER BY name, n DESC, value"""
    ).fetchall()
    texts = ", ".join(f"'{field.name}'" for field in known if field.has_shapes) or "NULL"
    shaped = connection.execute(
        f"""WITH shaped AS (SELECT name, {shape('value')} AS shape, sum(n) AS n FROM _counted WHERE name IN ({texts}) GROUP BY ALL)
        SELECT name, shape, n FROM shaped QUALIFY row_number() OVER (PARTITION BY name ORDER BY n DESC, shape) <= {most} ORDER BY name, n DESC, shape"""
    ).fetchall()
    filled, distinct = {row[0]: int(row[3]) for row in counted}, {row[0]: int(row[4]) for row in counted}
    return Look(int(connection.execute("SELECT count(*) FROM _sample").fetchall()[0][0]), filled, distinct, _grouped(counted), _grouped(shaped))


def _grouped(rows: list[tuple[Any, ...]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for name, value, n, *_ in rows:
        found[name][value] = int(n)
    return dict(found)


def _quantiles(connection: duckdb.DuckDBPyConnection, known: list[Field], levels: list[float], *, as_text: bool) -> dict[str, list[Any]]:
    """Quantiles of the sample that was looked at last; infinite numbers and days are left out."""
    if not known:
        return {}
    cast = "::VARCHAR[]" if as_text else "::DOUBLE[]"
    finite = {field.name: f"FILTER (isfinite({field.sql}{'::DOUBLE' if field.is_number else ''}))" for field in known}
    parts = ", ".join(f"(quantile_disc({field.sql}, {levels}) {finite[field.name]}){cast}" for field in known)
    row = connection.execute(f"SELECT {parts} FROM _sample").fetchall()[0]
    return {field.name: value for field, value in zip(known, row, strict=True) if value is not None}


def _as_json(counts: list[tuple[str, int]], filled: int) -> str | None:
    if not counts:
        return None
    return json.dumps([{"value": value, "share": round(n / filled, 4)} for value, n in counts], ensure_ascii=False)
