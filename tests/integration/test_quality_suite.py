"""The suite as Great Expectations runs it, in its own process, over a real file."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
import yaml

from models.domain.errors import YiwangError
from quality.service import check, load_rules, partition_checks, write_results
from quality.suite import Expectation, unexpected_rows
from tests.support.quality_marts import plant, write_good_marts


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("marts 集市 %3F") / "masked.duckdb"  # a folder whose name would break a URL
    write_good_marts(path)
    return path


@pytest.fixture(scope="module")
def faulty(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faulty") / "masked.duckdb"
    shutil.copyfile(good, path)
    plant(path, *load_rules())
    return path


def test_the_suite_counts_what_plain_sql_counts(faulty: Path) -> None:
    results = check(faulty, "run-1")
    with duckdb.connect(str(faulty), read_only=True) as connection:
        counted = {r.check_name: connection.execute(f"SELECT count(*) FROM ({r.sql})").fetchall()[0][0] for r in results}
    assert {r.check_name: r.failed_rows for r in results} == counted
    assert [r.check_name for r in results] == [*(rule.id for rule in load_rules()), *partition_checks()]
    assert sum(r.passed is False for r in results) > 40 and all(r.passed == (r.failed_rows == 0 if r.checked_rows else None) for r in results)
    worst = max(results, key=lambda result: result.failed_rows)
    assert f"{worst.failed_rows:,} 行不符" in worst.message and f"{worst.checked_rows:,}" in worst.message


def test_marts_without_a_row_have_nothing_to_check(good: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.duckdb"
    shutil.copyfile(good, empty)
    with duckdb.connect(str(empty)) as connection:
        for table in ("fct_certificate", "fct_review"):  # a source that has no such records
            connection.execute(f"DELETE FROM marts.{table}")
    results = {result.check_name: result for result in check(empty, "run-1")}
    of_them = [results[rule.id] for rule in load_rules() if rule.table in ("fct_certificate", "fct_review")]
    assert len(of_them) > 40
    assert {(result.failed_rows, result.checked_rows, result.passed) for result in of_them} == {(0, 0, None)}
    with duckdb.connect(str(empty), read_only=True) as connection:
        assert {rule.id for rule in load_rules() if rule.table in ("fct_certificate", "fct_review")} <= {
            row[0] for row in connection.execute("SELECT rule_id FROM marts.quality_rule WHERE status = 'empty'").fetchall()
        }
    assert all(result.message.endswith("没有可检查的行") for result in of_them)


def test_a_mart_that_is_missing_and_rules_of_a_city(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "masked.duckdb"
    shutil.copyfile(good, path)
    (tmp_path / "rules").mkdir()
    own = "- {id: city_rule, table: fct_case, dimension: accuracy, severity: counts, standard: 本市办法, clause: 一, failing: 'true', message: '办件“{channel_code}”', remedy: 请改正}"
    (tmp_path / "rules" / "city.yml").write_text(own, encoding="utf-8")
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP TABLE marts.fct_certificate")
    results = {result.check_name: result for result in check(path, "run-1", own=tmp_path / "rules")}
    with duckdb.connect(str(path), read_only=True) as connection:
        states = {rule: (status, remedy) for rule, status, remedy in connection.execute("SELECT rule_id, status, remedy FROM marts.quality_rule").fetchall()}
        cases = connection.execute("SELECT count(*) FROM marts.fct_case").fetchall()[0][0]
        said = connection.execute("SELECT DISTINCT message FROM marts.quality_violation WHERE rule_id = 'city_rule'").fetchall()
    assert states["city_rule"] == ("evaluated", "请改正") and results["city_rule"].failed_rows == cases
    assert "办件“窗口办理”" in {row[0] for row in said}
    assert all(states[rule.id][0] == "missing" and not results[rule.id].passed for rule in load_rules() if rule.table == "fct_certificate")
    assert states["case_certificate_missing"][0] == "missing" and states["case_channel_missing"] == ("evaluated", "请补填申报来源代码")


def test_results_are_kept_by_run(good: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = check(good, "run-1")
    assert all(result.passed is not False for result in results) and sum(bool(result.passed) for result in results) > 200
    assert capfd.readouterr() == ("", "")  # no bars, no telemetry, no report of leaks on a user's screen
    for _ in range(2):
        write_results(good, results)
    write_results(good, [])
    with duckdb.connect(str(good), read_only=True) as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT check_name), bool_and(passed) FROM marts.check_result").fetchall() == [
            (len(results) + 7, len(results) + 7, False)  # the fixture's own seven results of another run stay
        ]


def test_a_rule_that_does_not_fit_the_marts_stops_before_anything_is_checked(good: Path, tmp_path: Path) -> None:
    rule = {
        "id": "odd", "table": "fct_case", "dimension": "accuracy", "severity": "counts", "standard": "平台设计", "clause": "一",
        "failing": "no_such_column", "message": "不合理",
    }  # fmt: skip
    (tmp_path / "city.yml").write_text(yaml.safe_dump([rule]), encoding="utf-8")
    with pytest.raises(YiwangError, match=r"行（odd）"):
        check(good, "run-1", rules=tmp_path)


def test_a_rule_reads_no_file(good: Path, tmp_path: Path) -> None:
    rule = {
        "id": "odd", "table": "fct_case", "dimension": "accuracy", "severity": "counts", "standard": "平台设计", "clause": "一",
        "failing": f"case_number in (select content from read_text('{tmp_path}/secret.txt'))", "message": "不合理",
    }  # fmt: skip
    (tmp_path / "secret.txt").write_text("x", encoding="utf-8")
    (tmp_path / "city.yml").write_text(yaml.safe_dump([rule]), encoding="utf-8")
    with pytest.raises(YiwangError, match="read_text"):
        check(good, "run-1", rules=tmp_path)


def test_an_expectation_that_cannot_be_run_is_no_good_result(good: Path) -> None:
    odd = [Expectation("fine", "fct_case", "false"), Expectation("odd", "fct_case", "error('on purpose') IS NULL")]
    with pytest.raises(YiwangError, match="odd .*on purpose"):
        list(unexpected_rows(good, odd))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(YiwangError, match="nowhere"):
        list(unexpected_rows(tmp_path / "nowhere.duckdb", [Expectation("a", "fct_case", "false")]))


def test_braces_and_colons_in_a_condition_stay_what_they_are(good: Path) -> None:
    condition = "regexp_matches('a:b{2}', '^a:b.2.$') AND case_number::VARCHAR IS NOT NULL AND strftime(received_at, '%H:%M') <> 'join'"
    with duckdb.connect(str(good), read_only=True) as connection:
        rows = connection.execute("SELECT count(*) FROM marts.fct_case").fetchall()[0][0]
    assert dict(unexpected_rows(good, [Expectation("all", "fct_case", condition)])) == {"all": rows}


def test_a_killed_run_leaves_the_file_free(good: Path) -> None:
    """The process of the suite ends with its parent: the next run must be able to write."""
    slow = "(SELECT count(*) FROM range(100000000000) AS r(i) WHERE sqrt(i) < 0) > 0"
    code = (
        "import sys; from pathlib import Path; from quality.suite import Expectation, unexpected_rows\n"
        f"rows = unexpected_rows(Path(sys.argv[1]), [Expectation('quick', 'dim_region', 'false'), Expectation('slow', 'fct_case', {slow!r})])\n"
        "next(rows); sys.stdout.write('started\\n'); sys.stdout.flush(); next(rows)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(good)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stdout.readline() == "started\n"
        os.kill(run.pid, signal.SIGKILL)
    for _ in range(200):
        try:
            duckdb.connect(str(good)).close()
            return
        except duckdb.IOException:
            time.sleep(0.1)
    pytest.fail("the file is still locked")


def test_the_listing_of_duckdb_is_still_needed(good: Path) -> None:
    """When this fails, Great Expectations answers without the listing: delete quality/duckdb_dialect.py."""
    code = (
        "import sys, quality.duckdb_dialect as d; d.keep_connection = lambda: None\n"
        "from pathlib import Path; from quality.checkpoint import run; from quality.suite import Expectation\n"
        "sys.stdout.write(str(list(run(Path(sys.argv[1]), [Expectation('rows', 'fct_case', 'true')], 'UTC', None, 'run'))))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(good)], capture_output=True, text=True, check=False)
    assert "'unexpected'" not in done.stdout


def test_a_home_may_be_named_from_where_one_stands(faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(faulty, "masked.duckdb")
    expectations = [Expectation("none", "fct_case", "t.case_number IS NULL", title="办件没有编号")]
    assert dict(unexpected_rows(Path("masked.duckdb"), expectations, "UTC", Path("docs"), "run-1")) == {"none": 0}
    assert (tmp_path / "docs" / "index.html").is_file()
