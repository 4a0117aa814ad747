"""Suspicions: what is planted among like records comes first, what is like the others does not come."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from quality.suspicion.measures import distance, rarity, rate_distance
from quality.suspicion.service import KINDS, suspect
from quality.suspicion.texts import against_level
from tests.support.snapshots import mart_columns

NOW = datetime(2026, 6, 30, 10, tzinfo=UTC)
CASES, DEPARTMENTS = 6000, 10


def empty_marts(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE SCHEMA marts")
    for table in ("fct_case", "fct_case_event", "fct_review"):
        connection.execute(f"CREATE TABLE marts.{table} ({', '.join(f'{name} {kind}' for name, kind in mart_columns(table).items())})")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten departments with 6,000 cases of a year, all alike up to noise."""
    file = tmp_path_factory.mktemp("suspicion") / "masked.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        empty_marts(connection)
        connection.execute(f"""INSERT INTO marts.fct_case BY NAME
            SELECT 's' AS source, 'C' || i AS case_number, 'M' || i % 20 AS matter_code, 'D' || i % {DEPARTMENTS} AS department_code, 'R' AS region_code,
                CASE WHEN hash(i) % 10 < 6 THEN '1' ELSE '3' END AS channel_code, '1' AS case_kind_code, 'granted' AS outcome_code, '111' AS applicant_id_type_code,
                'x' || i AS applicant_id_digest, came AS applied_at, came AS received_at, came::DATE AS received_on, came AS accepted_at,
                came + to_minutes(120 + (hash(i + 7) % 60)::INTEGER) AS completed_at, true AS is_completed, came + to_hours(12) AS reported_at,
                0 AS correction_count, 0 AS paused_days, 0 AS extension_days
            FROM (SELECT i, TIMESTAMPTZ '2025-07-01 09:00:00+08' + to_days((hash(i + 11) % 360)::INTEGER) + to_minutes((hash(i + 3) % 400)::INTEGER) AS came FROM range({CASES}) AS r(i))""")
        connection.execute("""INSERT INTO marts.fct_case_event BY NAME
            SELECT source, case_number, n AS sequence, name AS activity_code, '王*' AS actor_masked, department_code,
                received_at + (completed_at - received_at) * (n - 1) / 2 AS occurred_at, received_on AS occurred_on
            FROM marts.fct_case, (VALUES (1, 'received'), (2, 'accepted'), (3, 'completed')) AS v(n, name)""")
        connection.execute(f"""INSERT INTO marts.fct_review BY NAME
            SELECT 's' AS source, 'V' || i AS review_id, 'C' || i AS case_number, 'D' || i % {DEPARTMENTS} AS department_code, DATE '2026-01-01' + (i % 150)::INTEGER AS reviewed_on,
                CASE WHEN hash(i + 5) % 50 = 0 THEN '3' ELSE '1' END AS satisfaction_code, hash(i + 9) % 2 = 0 AS is_default FROM range(2000) AS r(i)""")
    return file


@pytest.fixture
def altered(city: Path, tmp_path: Path) -> Iterator[tuple[Path, duckdb.DuckDBPyConnection]]:
    file = tmp_path / "masked.duckdb"
    file.write_bytes(city.read_bytes())
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        yield file, connection


def _found(file: Path, connection: duckdb.DuckDBPyConnection, texts: pa.Table | None = None) -> list[tuple[str, ...]]:
    connection.close()
    suspect(file, "r", NOW, texts=texts)
    with duckdb.connect(str(file), read_only=True) as reading:
        return reading.execute("SELECT kind, record_key, department_code, reason FROM marts.quality_suspicion ORDER BY kind, rank").fetchall()


def test_where_all_is_alike_nothing_is_suspicious(altered: tuple[Path, duckdb.DuckDBPyConnection]) -> None:
    assert _found(*altered) == []


def test_a_case_that_took_far_longer(altered: tuple[Path, duckdb.DuckDBPyConnection]) -> None:
    file, connection = altered
    connection.execute("UPDATE marts.fct_case SET completed_at = received_at + INTERVAL 40 DAYS WHERE case_number = 'C1000'")
    found = [row for row in _found(file, connection) if row[0] == "duration"]
    assert [row[1] for row in found] == ["C1000"]
    assert found[0][3].startswith("从收件到办结 40.0 日，同类办件一般 2.")


def test_a_case_odd_in_several_ways_and_whether_a_rule_knows_it(altered: tuple[Path, duckdb.DuckDBPyConnection]) -> None:
    file, connection = altered
    connection.execute("UPDATE marts.fct_case SET received_at = received_on + INTERVAL 3 HOURS, reported_at = NULL, department_code = 'D1' WHERE case_number = 'C1000'")
    connection.execute("CREATE TABLE marts.quality_violation (table_name VARCHAR, source VARCHAR, record_key VARCHAR, severity VARCHAR, healed_at TIMESTAMPTZ)")
    connection.execute("INSERT INTO marts.quality_violation VALUES ('fct_case_event', 's', 'C1000/2', 'counts', NULL)")
    found = [row for row in _found(file, connection) if row[0] == "pattern"]
    assert found[0][1] == "C1000"
    assert "3 时收件" in found[0][3] and "从申请到收件 −" in found[0][3]
    with duckdb.connect(str(file), read_only=True) as reading:
        assert reading.execute("SELECT breaks_rule FROM marts.quality_suspicion WHERE kind = 'pattern' AND rank = 1").fetchall() == [(True,)]


def test_a_flood_and_a_silence(altered: tuple[Path, duckdb.DuckDBPyConnection]) -> None:
    file, connection = altered
    connection.execute("UPDATE marts.fct_case SET received_on = DATE '2026-03-02', department_code = 'D4' WHERE case_number IN (SELECT 'C' || i * 50 FROM range(60) AS r(i))")
    found = [row for row in _found(file, connection) if row[0] == "volume"]
    assert found[0][1:3] == ("2026-03-02", "D4")
    assert found[0][3].startswith("2026-03-02 收件 ")


def test_a_department_that_writes_afterwards_and_one_that_turns_its_scale(altered: tuple[Path, duckdb.DuckDBPyConnection]) -> None:
    file, connection = altered
    connection.execute("UPDATE marts.fct_case_event SET occurred_at = TIMESTAMPTZ '2026-01-05 10:00:00+08', actor_masked = '李*' WHERE department_code = 'D2' AND hash(case_number) % 2 = 0")
    connection.execute("UPDATE marts.fct_review SET satisfaction_code = '5' WHERE department_code = 'D3' AND satisfaction_code = '1'")
    found = {(row[0], row[1], row[2]) for row in _found(file, connection)}
    assert {("steps", "at_once", "D2"), ("staff", "handler=李*,at_once", "D2"), ("levels", "unsatisfied", "D3")} <= found
    assert not {row for row in found if row[0] == "levels"} - {("levels", "unsatisfied", "D3")}


def test_a_channel_that_takes_over(altered: tuple[Path, duckdb.DuckDBPyConnection]) -> None:
    file, connection = altered
    connection.execute("UPDATE marts.fct_case SET channel_code = '2' WHERE department_code = 'D5' AND received_on > DATE '2026-05-10'")
    found = [row for row in _found(file, connection) if row[0] == "channel"]
    assert {row[2] for row in found} == {"D5"}
    assert any(row[1] == "channel=2" and "此前 0.0%" in row[3] for row in found)


def test_texts_against_their_level() -> None:
    rows = [("办事很快，点赞", "1")] * 60 + [("窗口态度好", "2")] * 30 + [("排队太久，没人管", "5")] * 2 + [("排队太久，没人管", "1"), ("办事很快，点赞", "5"), ("窗口态度好", "")]
    table = pa.table(
        {
            "source": ["s"] * len(rows), "review_id": [f"V{at}" for at in range(len(rows))], "department_code": ["D"] * len(rows), "reviewed_on": [None] * len(rows),
            "comment": [text for text, _ in rows], "satisfaction_code": [level for _, level in rows],
        }
    )  # fmt: skip
    found = {row["record_key"]: row["reason"] for row in against_level(table)}
    assert set(found) == {"V92", "V93"}
    assert found["V92"].startswith("评为“非常满意”，文字却像不满")
    assert "排队" not in found["V92"]


def test_marts_without_rows_or_tables(tmp_path: Path) -> None:
    file = tmp_path / "masked.duckdb"
    with duckdb.connect(str(file)) as connection:
        empty_marts(connection)
    assert suspect(file, "r", NOW) == {}
    bare = tmp_path / "bare.duckdb"
    assert suspect(bare, "r", NOW) == {}


def test_the_same_marts_give_the_same_suspicions(altered: tuple[Path, duckdb.DuckDBPyConnection]) -> None:
    file, connection = altered
    connection.execute("UPDATE marts.fct_case SET completed_at = received_at + INTERVAL 40 DAYS WHERE case_number IN ('C10', 'C20', 'C30')")
    first = _found(file, connection)
    assert first and _found(file, duckdb.connect(str(file))) == first


def test_measures_of_nothing_one_and_ties() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert rarity(none).tolist() == []
    assert distance(np.array([np.nan, 1.0]), np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64), 1.0)[0].tolist() == [0, 0]
    z, usual = rate_distance(np.array([1.0] * 9 + [50.0]), np.array([100.0] * 10))
    assert usual == pytest.approx(0.013, abs=0.003) and z[:9] == pytest.approx(np.zeros(9)) and z[9] > 10
    assert set(KINDS) == {"duration", "steps", "volume", "levels", "channel", "staff", "text", "pattern"}
