"""Scores to and from a real file of marts."""

from pathlib import Path

import duckdb
import pytest

from models.capability.service import load_system, score
from models.store.scores import read_facts, write_scores
from tests.support.snapshots import write_marts


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("marts") / "masked.duckdb"
    write_marts(path, cases=300)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP TABLE marts.score_indicator_month; DROP TABLE marts.score_department_month")
    return path


def test_scores_replace_those_of_their_system_only(masked: Path) -> None:
    facts = read_facts(masked)
    first = score(load_system("routine"), facts)
    write_scores(masked, first)
    write_scores(masked, score(load_system("routine").model_copy(update={"code": "city"}), facts.slice(0, 10)))
    write_scores(masked, first)
    with duckdb.connect(str(masked), read_only=True) as connection:
        for table, rows in (("score_indicator_month", first.indicators), ("score_department_month", first.totals)):
            held = connection.sql(f"SELECT * FROM marts.{table} WHERE system_code = 'routine' ORDER BY ALL").to_arrow_table()
            order = [(name, "ascending") for name in rows.column_names]
            assert held.sort_by(order).equals(rows.sort_by(order).cast(held.schema)) and rows.num_rows > 0
            assert connection.sql(f"SELECT count(DISTINCT system_code) FROM marts.{table}").fetchall() == [(2,)]


def test_every_department_of_the_facts_has_its_name(masked: Path) -> None:
    facts = read_facts(masked)
    assert facts.num_rows > 0 and facts["department_name"].null_count == 0
