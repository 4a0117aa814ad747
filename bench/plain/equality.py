"""Whether two DuckDB files hold the same marts: row counts and order-free checksums of every column.

Columns that tell of a run and not of the city (``run_id``, ``as_of``, ``_run_seq``, ``_matter_hash``) are not compared, nor is the masked
picture of a row that was set aside (``raw``): its key, reason, file and row are.
"""

# ruff: noqa: S608 - names come from KEYS and from the tables themselves

from dataclasses import dataclass
from pathlib import Path

import duckdb

KEYS = {
    "fct_case": "source, case_number",
    "fct_case_event": "source, case_number, sequence",
    "fct_certificate": "source, certificate_id",
    "fct_review": "source, review_id",
    "dim_department": "department_code",
    "dim_matter": "source, matter_code",
    "dim_matter_version": "source, matter_code, valid_from",
    "dim_region": "region_code",
    "bridge_area_region": "area_code, region_code, valid_from",
    "dim_window": "source, window_code",
    "quarantine": "source, subject, file, file_row",
    "mart_department_day": "date, department_code, measure_code",
    "mart_department_month": "month, department_code, measure_code",
    "mart_area_day": "date, area_code",
}
"""The marts compared and the key of each."""
BOOKS = ("run_id", "as_of", "_run_seq", "_matter_hash", "raw")


@dataclass(frozen=True)
class Difference:
    """A mart that is not the same in both files.

    Attributes:
        mart: Its name.
        rows: Rows in the one and in the other.
        columns: Columns whose values differ, or that only one has.
        example: Key and both values of one row that differs, empty where the keys themselves do.
    """

    mart: str
    rows: tuple[int, int]
    columns: tuple[str, ...]
    example: str

    def __str__(self) -> str:
        return f"{self.mart}：{self.rows[0]:,} 行与 {self.rows[1]:,} 行，不同的列 {'、'.join(self.columns) or '无'}；例：{self.example or '主键不同'}"


def differences(one: Path, other: Path) -> list[Difference]:
    """The marts of :data:`KEYS` that differ between two files, with an example each."""
    with duckdb.connect(config={"threads": 2, "memory_limit": "3GB"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, path in (("one", one), ("other", other)):
            connection.execute(f"ATTACH '{path}' AS {name} (READ_ONLY)")
        found = (_compare(connection, mart, key) for mart, key in KEYS.items())
        return [difference for difference in found if difference]


def _compare(connection: duckdb.DuckDBPyConnection, mart: str, key: str) -> Difference | None:
    columns = [_columns(connection, name, mart) for name in ("one", "other")]
    sums = []
    for name, own in zip(("one", "other"), columns, strict=True):
        checks = ", ".join(f"sum(hash({key}, {column}))" for column in own)
        row = connection.execute(f"SELECT count(*), {checks} FROM {name}.marts.{mart}").fetchone()
        assert row is not None  # noqa: S101 - an aggregate has one row
        sums.append((int(row[0]), dict(zip(own, row[1:], strict=True))))
    (rows_one, one), (rows_other, other) = sums
    differing = tuple(sorted({c for c in one | other if one.get(c, "-") != other.get(c, "-")}))
    if rows_one == rows_other and not differing:
        return None
    return Difference(mart, (rows_one, rows_other), differing, _example(connection, mart, key, [c for c in differing if c in one and c in other]))


def _columns(connection: duckdb.DuckDBPyConnection, name: str, mart: str) -> list[str]:
    rows = connection.execute(f"SELECT column_name FROM (DESCRIBE {name}.marts.{mart})").fetchall()
    return [row[0] for row in rows if row[0] not in BOOKS]


def _example(connection: duckdb.DuckDBPyConnection, mart: str, key: str, columns: list[str]) -> str:
    keys = [column.strip() for column in key.split(",")]
    same = " AND ".join(f"a.{column} = b.{column}" for column in keys)
    for column in columns:
        shown = ", ".join(f"a.{own}" for own in keys)
        row = connection.execute(
            f"SELECT {shown}, a.{column}, b.{column} FROM one.marts.{mart} AS a JOIN other.marts.{mart} AS b ON {same} "
            f"WHERE a.{column} IS DISTINCT FROM b.{column} ORDER BY ALL LIMIT 1"
        ).fetchone()
        if row:
            return f"{dict(zip([*keys, 'a.' + column, 'b.' + column], row, strict=True))}"
    return ""
