"""Profiles: what they say of columns of every kind, and when a change is told."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from models.domain.errors import YiwangError
from quality.profile.distributions import Distribution, drift
from quality.profile.service import profile, profiles_of

TODAY = date(2026, 6, 30)


@pytest.fixture
def marts() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA marts")
    return connection


def _of(marts: duckdb.DuckDBPyConnection, table: str) -> dict[str, dict[str, object]]:
    return {row["column_name"]: row for row in profiles_of(marts, table)}


def _told(text: object) -> list[tuple[str, float]]:
    return [(one["value"], one["share"]) for one in json.loads(str(text))]


def test_columns_of_every_kind_are_told(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("""CREATE TABLE marts.t AS SELECT i::VARCHAR AS number_text, CASE WHEN i < 40 THEN 'A-' || i ELSE 'B' END AS code, i::INTEGER AS size,
        i % 2 = 0 AS is_even, DATE '2026-01-01' + i::INTEGER AS day, NULL::VARCHAR AS empty, CASE WHEN i % 4 = 0 THEN i::DOUBLE END AS part FROM range(100) AS r(i)""")
    found = _of(marts, "t")
    assert {name: (row["null_count"], row["distinct_count"]) for name, row in found.items()} == {
        "number_text": (0, 100), "code": (0, 41), "size": (0, 100), "is_even": (0, 2), "day": (0, 100), "empty": (100, 0), "part": (75, 25),
    }  # fmt: skip
    size, day = found["size"], found["day"]
    assert [size[name] for name in ("minimum", "p05", "p25", "p50", "p75", "p95", "maximum", "mean")] == ["0", "4", "24", "49", "74", "94", "99", 49.5]
    assert (day["minimum"], day["p50"], day["maximum"]) == ("2026-01-01", "2026-02-19", "2026-04-10")
    assert _told(found["code"]["frequent"])[0] == ("B", 0.6)
    assert _told(found["code"]["shapes"]) == [("A", 0.6), ("A-99", 0.3), ("A-9", 0.1)]
    assert _told(found["is_even"]["frequent"]) == [("false", 0.5), ("true", 0.5)]
    assert found["number_text"]["frequent"] is None  # every value is another
    assert (found["empty"]["frequent"], found["empty"]["shapes"], found["empty"]["minimum"]) == (None, None, None)


def test_personal_columns_show_shapes_and_no_value(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("CREATE TABLE marts.fct_case AS SELECT '张*' AS applicant_name_masked, 'ab12' AS applicant_id_digest, '13900001111' AS contact_phone, source FROM (VALUES ('a'), ('a')) AS v(source)")
    marts.execute("ALTER TABLE marts.fct_case ADD COLUMN case_number VARCHAR")
    found = _of(marts, "fct_case")
    for name in ("applicant_name_masked", "applicant_id_digest", "contact_phone"):
        assert (found[name]["is_personal"], found[name]["minimum"], found[name]["maximum"], found[name]["frequent"]) == (True, None, None, None), name
    assert _told(found["applicant_name_masked"]["shapes"]) == [("文*", 1.0)]
    assert found["applicant_id_digest"]["shapes"] is None
    assert not found["source"]["is_personal"]
    assert _told(found["source"]["frequent"]) == [("a", 1.0)]


@pytest.mark.parametrize("rows", [0, 1])
def test_a_mart_of_no_or_one_row(marts: duckdb.DuckDBPyConnection, rows: int) -> None:
    marts.execute(f"CREATE TABLE marts.t AS SELECT 'x' AS a, 1 AS b, TIMESTAMPTZ '2026-01-01' AS c, [1, 2] AS d FROM range({rows})")
    found = _of(marts, "t")
    assert [row["row_count"] for row in found.values()] == [rows] * 4
    assert found["b"]["p50"] == ("1" if rows else None)


def test_infinite_days_and_numbers(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("CREATE TABLE marts.t AS SELECT unnest(['infinity', '2026-01-01', '-infinity'])::DATE AS day, unnest(['inf', '2', 'nan'])::DOUBLE AS size")
    found = _of(marts, "t")
    assert [found["day"][name] for name in ("minimum", "p50", "maximum")] == ["-infinity", "2026-01-01", "infinity"]
    assert (found["size"]["p50"], found["size"]["mean"]) == ("2.0", 2.0)


def test_a_missing_mart_is_one_sentence(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("CREATE TABLE marts.t (a INTEGER)")
    with pytest.raises(YiwangError) as refused:
        profiles_of(marts, "nothing")
    assert str(refused.value).startswith("没有数据表 nothing，可选：t。")


def _values(rows: int, nulls: int = 0, **counts: int) -> Distribution:
    return Distribution("values", rows, nulls, counts, [])


def test_a_change_is_told_where_it_is_large_and_no_chance() -> None:
    same = drift(_values(1000, a=700, b=300), _values(1000, a=690, b=310), "上月")
    moved = drift(_values(1000, a=300, b=700), _values(1000, a=700, b=300), "上月")
    few = drift(_values(60, a=20, b=40), _values(60, a=40, b=20), "上月")
    assert same is not None and same.reasons == []
    assert moved is not None and moved.measure == "psi"
    assert moved.reasons == ["取值“b”占 70.0%，上月占 30.0%（PSI 0.68）"] or moved.reasons == ["取值“a”占 30.0%，上月占 70.0%（PSI 0.68）"]
    assert few is None
    emptied = drift(_values(1000, 400, a=600), _values(1000, 10, a=990), "上月")
    assert emptied is not None and emptied.reasons == ["空值占 40.0%，上月占 1.0%"]


def test_numbers_are_compared_by_their_quantiles() -> None:
    def numbers(start: float) -> Distribution:
        return Distribution("quantiles", 1000, 0, {}, [start + step for step in range(21)])

    same, moved = drift(numbers(0), numbers(0), "上月"), drift(numbers(5), numbers(0), "上月")
    assert same is not None and (same.value, same.reasons) == (0.0, [])
    assert moved is not None and moved.measure == "ks" and moved.value == pytest.approx(0.25)
    assert moved.reasons == ["数值分布不同（KS 0.25），中位数 15，上月 10"]


def test_the_month_before_is_remembered(tmp_path: Path) -> None:
    file = tmp_path / "masked.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA marts")
        connection.execute("CREATE TABLE marts.dim_window AS SELECT i AS window_code, 'hall' AS hall_name FROM range(400) AS r(i)")
    profile(file, "r1", datetime(2026, 5, 31, tzinfo=UTC))
    profile(file, "r2", datetime(2026, 6, 2, tzinfo=UTC))
    with duckdb.connect(str(file)) as connection:
        connection.execute("UPDATE marts.dim_window SET hall_name = 'other' WHERE window_code < 300")
    profile(file, "r3", datetime(2026, 6, 29, tzinfo=UTC))
    profile(file, "r4", datetime(2026, 6, 30, tzinfo=UTC))
    with duckdb.connect(str(file)) as connection:
        rows = connection.execute("SELECT month::VARCHAR, run_id, drift_basis, drift_reason FROM marts.quality_profile WHERE column_name = 'hall_name' ORDER BY ALL").fetchall()
        assert rows[0] == ("2026-05-01", "r1", None, None)
        assert rows[1][:3] == ("2026-06-01", "r4", "month") and len(rows) == 2
        assert rows[1][3].startswith("取值“other”占 75.0%，上月占 0.0%")


def test_what_is_asked_twice_is_answered_alike(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("CREATE TABLE marts.fct_review AS SELECT 's' AS source, 'R' || i AS review_id, i % 7 AS level, NULL::VARCHAR AS case_number, DATE '2026-06-01' + (i % 30)::INTEGER AS reviewed_on FROM range(60000) AS r(i)")
    first, second = (profiles_of(marts, "fct_review", today=TODAY) for _ in range(2))
    assert first == second
    assert 10_000 < first[0]["sampled_rows"] < 30_000
