"""The comparison of marts finds what differs, and only that."""

from pathlib import Path

import duckdb
import pytest

from bench.plain.equality import KEYS, differences

VALUES = {"date": "DATE '2026-01-01' + i::INTEGER", "sequence": "i::INTEGER", "file_row": "i"}
"""Key columns that are not text, by the row's number."""


@pytest.fixture
def marts(tmp_path: Path) -> tuple[Path, Path]:
    """Two files with the same three rows in every mart, in another order, made by other runs."""
    paths = tmp_path / "one.duckdb", tmp_path / "other.duckdb"
    for number, path in enumerate(paths):
        with duckdb.connect(str(path)) as connection:
            connection.execute("CREATE SCHEMA marts")
            for mart, key in KEYS.items():
                names = [name.strip() for name in key.split(",")]
                values = ", ".join(f"{VALUES.get(name, 'i::VARCHAR')} AS {name}" for name in names)
                order = "DESC" if number else "ASC"
                connection.execute(
                    f"CREATE TABLE marts.{mart} AS SELECT {values}, 'v' || i AS value, {number} AS _run_seq, 'run' || {number} AS run_id "
                    f"FROM range(3) AS r(i) ORDER BY i {order}"
                )
    return paths


def test_order_and_books_do_not_matter(marts: tuple[Path, Path]) -> None:
    assert differences(*marts) == []


@pytest.mark.parametrize(
    ("change", "rows", "columns"),
    [
        ("UPDATE marts.fct_case SET value = 'x' WHERE case_number = '1'", (3, 3), ("value",)),
        # the same values, each with another row's key
        ("UPDATE marts.fct_case SET value = CASE value WHEN 'v0' THEN 'v1' WHEN 'v1' THEN 'v0' ELSE value END", (3, 3), ("value",)),
        ("UPDATE marts.fct_case SET value = NULL WHERE case_number = '2'", (3, 3), ("value",)),
        ("ALTER TABLE marts.fct_case ADD COLUMN extra INTEGER", (3, 3), ("extra",)),
        ("DELETE FROM marts.fct_case WHERE case_number = '0'", (3, 2), ("case_number", "source", "value")),
        ("INSERT INTO marts.fct_case FROM marts.fct_case LIMIT 1", (3, 4), ("case_number", "source", "value")),
    ],
)
def test_a_difference_is_found(marts: tuple[Path, Path], change: str, rows: tuple[int, int], columns: tuple[str, ...]) -> None:
    with duckdb.connect(str(marts[1])) as connection:
        connection.execute(change)
    (found,) = differences(*marts)
    assert (found.mart, found.rows, found.columns) == ("fct_case", rows, columns)


def test_the_example_shows_key_and_values(marts: tuple[Path, Path]) -> None:
    with duckdb.connect(str(marts[1])) as connection:
        connection.execute("UPDATE marts.fct_review SET value = 'other' WHERE review_id = '1'")
    (found,) = differences(*marts)
    assert all(part in str(found) for part in ("fct_review", "'review_id': '1'", "'v1'", "'other'"))
