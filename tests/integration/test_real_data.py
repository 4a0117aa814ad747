"""Real data through every layer, checked on the published marts: a permit log and a city's matter list."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"


def published(example: str, variable: str, folder: str, home: Path) -> duckdb.DuckDBPyConnection:
    """Runs an example's sources with the command line and opens what it published."""
    if not (DATA / folder).is_dir():
        pytest.skip(f"real data not here: {folder}")
    environment = {**os.environ, variable: str(DATA / folder)}
    command = [str(Path(sys.executable).with_name("yiwang")), "run", "--sources", str(ROOT / "examples" / example), "--home", str(home)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (snapshot,) = (home / "snapshots").glob("*.duckdb")
    connection = duckdb.connect(str(snapshot), read_only=True)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@pytest.fixture(scope="module")
def permits(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    return published("permits.sources.yml", "YIWANG_PERMITS_DIR", "permits", tmp_path_factory.mktemp("permits"))


@pytest.fixture(scope="module")
def matters(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    return published("matters.sources.yml", "YIWANG_MATTERS_DIR", "matters", tmp_path_factory.mktemp("matters"))


PERMIT_FACTS = {
    "events": ("select count(*) from marts.fct_case_event", 8577),
    "cases": ("select count(*) from marts.fct_case", 1434),
    "activities": ("select count(distinct activity) from marts.fct_case_event", 27),
    "variants": (
        "select count(distinct path) from (select string_agg(activity, '→' order by sequence) as path from marts.fct_case_event group by case_number)",
        116,
    ),
    "variants in the mart": ("select sum(variants) from marts.mart_matter_path", 116),
    "cases in the mart of paths": ("select sum(cases) from marts.mart_matter_path", 1434),
    "steps in the mart of paths": ("select sum(steps) from marts.mart_matter_path", 8577),
    "cases of the most frequent path": ("select cases from marts.mart_matter_path where variant_rank = 1", 713),
    "variants named one by one": ("select count(*) from marts.mart_matter_path where row_kind = 'variant'", 20),
    "cases with rework": ("select sum(rework_cases) from marts.mart_matter_path", 91),
    "completed by department, channel and month": ("select sum(completed) from marts.mart_channel_month", 1329),
    "late by department and month": ("select sum(late) from marts.mart_case_timeliness", 377),
    "finished": ("select count(*) filter (completed_at is not null) from marts.fct_case", 1329),
    "late": ("select count(*) filter (is_completed and is_late) from marts.fct_case", 377),
    "after the planned end": ("select count(*) filter (completed_at > source_planned_at) from marts.fct_case", 389),
    "without an end": ("select count(*) filter (completed_at is null) from marts.fct_case", 105),
    "end before start": ("select count(*) filter (is_end_before_start) from marts.fct_case", 2),
    "events after the end": ("select count(*) filter (is_after_case_end) from marts.fct_case_event", 180),
    "deadlines by the source": ("select count(*) filter (due_basis = 'source') from marts.fct_case", 1434),
    "set aside": ("select count(*) from marts.quarantine", 0),
    "open cases with a forecast": ("select count(*) from marts.forecast_case where probability between 0 and 1 and reasons is not null", 66),
    "forecast by the model": ("select method from marts.forecast_summary", "model"),
    "forecast better than either baseline": ("select bool_and(gain_low > 0.02) from marts.forecast_measure where name <> 'model'", True),
    "order of the forecast": ("select roc_auc > 0.69 from marts.forecast_measure where name = 'model'", True),
    "rows that do not reconcile": (
        "select count(*) from marts.mart_sync_run where rows_read <> inserted + updated + unchanged + superseded + deleted + quarantined", 0,
    ),
}

MATTER_FACTS = {
    "matters": ("select count(*) from marts.dim_matter", 1135),
    "codes": ("select count(distinct matter_code) from marts.dim_matter", 1135),
    "shortest code": ("select min(length(matter_code)) from marts.dim_matter", 23),
    "longest code": ("select max(length(matter_code)) from marts.dim_matter", 55),
    "departments": ("select count(*) from marts.dim_department", 34),
    "departments of matters": ("select count(distinct department_code) from marts.dim_matter", 34),
    "type codes of one digit": ("select count(*) from marts.dim_matter where length(type_code) <> 2", 0),
    "licences in per cent": ("select round(100.0 * count(*) filter (type_code = '01') / count(*)) from marts.dim_matter", 47),
    "set aside": ("select count(*) from marts.quarantine", 0),
}


@pytest.mark.parametrize("fact", PERMIT_FACTS)
def test_permit_log(permits: duckdb.DuckDBPyConnection, fact: str) -> None:
    sql, expected = PERMIT_FACTS[fact]
    assert single(permits, sql) == expected


@pytest.mark.parametrize("fact", MATTER_FACTS)
def test_matter_list(matters: duckdb.DuckDBPyConnection, fact: str) -> None:
    sql, expected = MATTER_FACTS[fact]
    assert single(matters, sql) == expected


def single(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    """The one value of a query."""
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]
