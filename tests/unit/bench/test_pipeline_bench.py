"""The bench of the pipeline: its arithmetic, its script, and the whole of it in small."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest

from bench import pipeline
from bench.__main__ import main
from bench.pipeline import Step, ratios
from bench.processes import Usage
from pipelines.sample.service import write_sample

UNTIL = date(2026, 6, 28)


def step(seconds: float) -> Step:
    return Step("", seconds, 2 * seconds, 1.0)


def test_ratios_leave_the_start_up_out() -> None:
    steps = {"fixed": step(20), "fixed_again": step(15), "full": step(80), "plain": step(30), "day": step(18), "unchanged": step(5)}
    assert ratios(steps) == {
        "full": {"wall_seconds": 2.0, "processor_seconds": 2.0},
        "day": {"wall_seconds": 0.05, "processor_seconds": 0.05},
    }


def test_a_step_takes_medians_and_the_largest_peak() -> None:
    usages = [Usage(wall, wall / 2, int(peak * 2**30), "✓ 同步 a·办件（1.5 秒）9 行") for wall, peak in ((3, 1), (1, 4), (2, 2))]
    assert Step.of("t", usages) == Step("t", 2, 1, 4.0, {"同步 a·办件": 1.5})


def test_an_unknown_bench_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    assert "用法" in capsys.readouterr().err


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small city and the script's marts of it."""
    home = tmp_path_factory.mktemp("city")
    write_sample(home, 1000, UNTIL, errors=0.2)
    target = home / "plain.duckdb"
    command = [sys.executable, "-m", "bench.plain.build", str(home / "sample"), str(target)]
    subprocess.run(command, check=True, env={"YIWANG_DIGEST_KEY": "a key for tests only"})
    return home, target


@pytest.mark.parametrize(
    ("subject", "mart", "key"),
    [
        ("case", "fct_case", "case_number"),
        ("case_event", "fct_case_event", "(case_number, sequence)"),
        ("certificate", "fct_certificate", "certificate_id"),
        ("review", "fct_review", "review_id"),
    ],
)
def test_the_script_loses_no_record(built: tuple[Path, Path], subject: str, mart: str, key: str) -> None:
    home, target = built
    with duckdb.connect(str(target), read_only=True) as connection:
        kept = connection.execute(f"SELECT count(*) FROM marts.{mart}").fetchone()
        keyed = connection.execute(
            f"SELECT count(DISTINCT {key}) FROM (SELECT *, filename, file_row_number FROM '{home}/sample/{subject}/*.parquet') AS r "
            f"WHERE NOT EXISTS (SELECT 1 FROM marts.quarantine AS q WHERE '{home}/' || q.file = r.filename AND q.file_row = r.file_row_number + 1)"
        ).fetchone()
        aside = connection.execute("SELECT DISTINCT subject FROM marts.quarantine").fetchall()
    assert kept == keyed
    assert {("case",), ("certificate",)} <= set(aside)  # the faults that must be set aside are there


def test_the_script_shows_no_identifier(built: tuple[Path, Path]) -> None:
    with duckdb.connect(str(built[1]), read_only=True) as connection:
        tables = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'marts'").fetchall()]
        clear = "regexp_matches(to_json(t)::VARCHAR, '[\"][1-9][0-9]{16}[0-9X][\"]')"
        assert {table for table in tables if connection.execute(f"SELECT count(*) FROM marts.{table} AS t WHERE {clear}").fetchall()[0][0]} == set()


@pytest.mark.slow
def test_pipeline_and_script_make_the_same_marts(tmp_path: Path) -> None:
    figures = pipeline.run(1000, 1, tmp_path, lambda line: None)  # raises where they differ
    assert figures.day_cases > 0
    assert set(figures.steps) == set(pipeline.TITLES)
