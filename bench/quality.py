"""All quality rules over a city: engine and ledger, with Great Expectations' count, beside plain SQL and Great Expectations on pandas.

    python -m bench quality [--cases 1000000] [--pandas-cases N] [--home DIR] [--json]

The pipeline makes the city's marts and, with one more day of data, those of the next day (with ``--home`` what an earlier
bench left there is used). Each measurement is a process of its own; its seconds are those of the work, without the start of
Python and the import of libraries, its peak that of the whole process. Measured are:

- ``engine``: every rule evaluated over everything, the ledger written;
- ``face``: the same and Great Expectations' own count of it, with Data Docs; its seconds include its start-up (3 to 4 s);
- ``day``: what the added day costs after that;
- ``sql``: one ``SELECT count(*) FILTER (…), …`` a mart, as a person would write it: counts of all rules, no records;
- ``pandas``: Great Expectations on pandas, for the rules that it has expectations for (``required``, ``unique``, ``codes``,
  ``format``, ``length``; the others are SQL), beside ``engine_same``, ours with these rules only. With ``--pandas-cases``
  it gets the cases of that many numbers and is extrapolated linearly; the output says so.

Counts of all ways must agree, or the bench fails. Nothing here asserts a time.
"""

# ruff: noqa: S608 - conditions come from the rule catalogue, paths from the bench itself

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from bench.processes import Usage, measure
from models.domain.calendar import work_calendar
from models.domain.settings import Settings
from pipelines.sample.service import write_sample
from quality.catalogue.model import Rule
from quality.service import Limits, check, load_rules

UNTIL = date(2026, 6, 28)
"""Last day of the city; a Monday, the busiest weekday, follows as the added day."""
ZONE = "Asia/Shanghai"
_LEDGER = ("quality_violation", "quality_check", "quality_rule", "quality_partition", "mart_quality_department_day", "mart_quality_rule_day")
_KEY = "bench-digest-key-of-no-secret"


def prepare(home: Path, cases: int, say: Callable[[str], None]) -> None:
    """Makes ``before.duckdb``, ``after.duckdb`` (its ledger that of before) and the warehouse in a home."""
    if (home / "after.duckdb").is_file():
        return say(f"使用 {home} 里已有的集市")
    environment = {"YIWANG_HOME": str(home), "YIWANG_DIGEST_KEY": _KEY}
    for name, until in (("before", UNTIL), ("after", UNTIL + timedelta(days=1))):
        say(f"生成 {cases:,} 件的样例城市，截至 {until}，运行流水线")
        write_sample(home, cases, until)
        measure([str(Path(sys.executable).with_name("yiwang")), "run"], environment, home / f"{name}.log")
        shutil.copyfile(home / "work" / "masked.duckdb", home / f"{name}.new")
    with duckdb.connect(str(home / "after.new")) as connection:  # as the check of the added day finds it
        connection.execute(f"ATTACH '{home / 'before.new'}' AS earlier (READ_ONLY)")
        for table in _LEDGER:
            connection.execute(f"CREATE OR REPLACE TABLE marts.{table} AS FROM earlier.marts.{table}")
    with duckdb.connect(str(home / "before.new")) as connection:
        for table in _LEDGER:
            connection.execute(f"DROP TABLE marts.{table}")
    for name in ("before", "after"):
        (home / f"{name}.new").rename(home / f"{name}.duckdb")


def engine(home: Path, file: str, only: Sequence[Rule] | None = None) -> dict[str, Any]:
    """The engine and the ledger over a copy of the marts; for the added day with the list of what left."""
    from pipelines.warehouse.books import latest_run
    from pipelines.warehouse.quality_inputs import left_since
    from quality.ledger.checking import Checking
    from quality.service import checked_run

    settings = Settings(home=home)
    marts, rules = _copy(home, file), load_rules() if only is None else list(only)
    left = left_since(settings, checked_run(marts), latest_run(settings)) if file == "after" else None
    with _opened(marts) as connection:
        as_of = connection.execute("SELECT max(as_of) FROM marts.fct_case").fetchall()[0][0]
        started = time.perf_counter()
        outcome = Checking(connection, f"bench-{file}", as_of, rules, Limits(), left, work_calendar()).run()
        seconds = time.perf_counter() - started
        counts = dict(connection.execute("SELECT rule_id, sum(rows_failed)::BIGINT FROM marts.quality_check GROUP BY 1").fetchall())
    return {"seconds": seconds, "rows": outcome.rows, "rules": len(rules), "failed": outcome.failed, "counts": {r.id: counts.get(r.id, 0) for r in rules}}


def face(home: Path) -> dict[str, Any]:
    """Engine, ledger and Great Expectations."""
    marts = _copy(home, "before")
    started = time.perf_counter()
    results = check(marts, "bench-face", zone=ZONE, docs=marts.with_suffix(".docs"))
    return {"seconds": time.perf_counter() - started, "counts": {r.check_name: r.failed_rows for r in results}}


def plain(home: Path) -> dict[str, Any]:
    """One query a mart."""
    rules = load_rules()
    counts: dict[str, int] = {}
    with _opened(home / "before.duckdb", read_only=True) as connection:
        started = time.perf_counter()
        for table in dict.fromkeys(rule.table for rule in rules):
            own = [rule for rule in rules if rule.table == table]
            query = f"SELECT {', '.join(f'count(*) FILTER ({rule.condition})' for rule in own)} FROM marts.{table} AS t"
            counts |= dict(zip([rule.id for rule in own], connection.execute(query).fetchall()[0], strict=True))
        return {"seconds": time.perf_counter() - started, "counts": counts}


def declared() -> list[Rule]:
    """Rules that Great Expectations has expectations for on pandas."""
    return [rule for rule in load_rules() if rule.failing is None and (rule.unique or len(rule.columns) == 1)]


def pandas(home: Path, cases: int | None) -> dict[str, Any]:
    """Great Expectations on pandas: marts read into frames, one batch for each group of rows that rules look at."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    rules, counts = declared(), {}
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("frames")
    groups: dict[tuple[str, str], list[Rule]] = {}
    for rule in rules:
        groups.setdefault((rule.table, rule.checked), []).append(rule)
    rows = 0
    with _opened(home / "before.duckdb", read_only=True) as connection:
        started = time.perf_counter()
        for number, ((table, checked), own) in enumerate(groups.items()):
            columns = ", ".join(sorted({column for rule in own for column in rule.columns}))
            has_case = cases is not None and table.startswith("fct_")
            part = f" AND t.case_number IN (SELECT case_number FROM marts.fct_case ORDER BY hash(case_number) LIMIT {cases})" if has_case else ""
            frame = connection.execute(f"SELECT {columns} FROM marts.{table} AS t WHERE ({checked}){part}").df()
            rows += len(frame)
            batch = source.add_dataframe_asset(f"frame{number}").add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
            suite = gx.ExpectationSuite(name=f"suite{number}", expectations=[_on_pandas(gx.expectations, rule) for rule in own])
            for found in batch.validate(suite, result_format="SUMMARY").results:
                assert found.expectation_config is not None  # noqa: S101 - it has just been run
                counts[found.expectation_config.meta["rule"]] = int(found.result.get("unexpected_count", 0))
        return {"seconds": time.perf_counter() - started, "rows": rows, "counts": counts}


def _on_pandas(built_in: Any, rule: Rule) -> Any:
    from models.domain.codes import code_tables

    said: dict[str, Any] = {"meta": {"rule": rule.id}}
    column = rule.columns[0]
    if rule.unique:
        if len(rule.columns) > 1:
            return built_in.ExpectCompoundColumnsToBeUnique(column_list=list(rule.columns), **said)
        return built_in.ExpectColumnValuesToBeUnique(column=column, **said)
    if rule.required:
        return built_in.ExpectColumnValuesToNotBeNull(column=column, **said)
    if rule.codes:
        return built_in.ExpectColumnValuesToBeInSet(column=column, value_set=sorted(code_tables()[rule.codes[column]]), **said)
    if rule.format:
        return built_in.ExpectColumnValuesToMatchRegex(column=column, regex=f"^(?:{rule.format[column]})$", **said)
    assert rule.length is not None  # noqa: S101 - one of five
    return built_in.ExpectColumnValueLengthsToBeBetween(column=column, min_value=rule.length[column][0], max_value=rule.length[column][1], **said)


def _copy(home: Path, name: str) -> Path:
    target = home / "bench-copy.duckdb"
    shutil.copyfile(home / f"{name}.duckdb", target)
    return target


def _opened(path: Path, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(str(path), read_only=read_only, config={"memory_limit": "2GB", "threads": 2, "preserve_insertion_order": False})
    connection.execute(f"SET TimeZone = '{ZONE}'")
    return connection


_STEPS: dict[str, Callable[[Path, int | None], dict[str, Any]]] = {
    "engine": lambda home, _: engine(home, "before"), "face": lambda home, _: face(home), "day": lambda home, _: engine(home, "after"),
    "sql": lambda home, _: plain(home), "engine_same": lambda home, _: engine(home, "before", declared()), "pandas": pandas,
}  # fmt: skip


def run(home: Path, cases: int, pandas_cases: int | None, say: Callable[[str], None]) -> dict[str, Any]:
    """All measurements.

    Raises:
        RuntimeError: A process failed, or two ways count differently.
    """
    prepare(home, cases, say)
    found: dict[str, dict[str, Any]] = {}
    for name in _STEPS:
        say(f"测量 {name}")
        command = [sys.executable, "-m", "bench.quality", "--step", name, "--home", str(home), *(["--pandas-cases", str(pandas_cases)] if pandas_cases else [])]
        usage: Usage = measure(command, {"GX_ANALYTICS_ENABLED": "false", "YIWANG_DIGEST_KEY": _KEY}, home / f"{name}.log")
        answer = json.loads(next(line for line in usage.output.splitlines() if line.startswith("{")))
        found[name] = answer | {"wall": usage.wall_seconds, "processor": usage.processor_seconds, "peak_gib": usage.peak_bytes / 2**30}
    expected = found["sql"]["counts"]
    for name in ("engine", "face", "engine_same") + (() if pandas_cases else ("pandas",)):
        if wrong := {rule: (count, expected[rule]) for rule, count in found[name]["counts"].items() if rule in expected and count != expected[rule]}:
            raise RuntimeError(f"{name} 与 SQL 的计数不同：{wrong}")
    scale = cases / pandas_cases if pandas_cases else 1.0
    ratios = {
        "pandas / engine_same": found["pandas"]["seconds"] * scale / found["engine_same"]["seconds"],
        "engine / sql": found["engine"]["seconds"] / found["sql"]["seconds"],
        "face / engine": found["face"]["seconds"] / found["engine"]["seconds"],
        "day / engine": found["day"]["seconds"] / found["engine"]["seconds"],
    }
    for answer in found.values():
        answer.pop("counts")
    return {"at": datetime.now(UTC).isoformat(timespec="seconds"), "cases": cases, "pandas_cases": pandas_cases, "steps": found, "ratios": ratios}


def main(arguments: list[str]) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="bench.quality")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--pandas-cases", type=int)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step", choices=list(_STEPS))
    options = parser.parse_args(arguments)
    if options.step:
        sys.stdout.write(json.dumps(_STEPS[options.step](options.home, options.pandas_cases)) + "\n")
        return 0
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="yiwang-bench-") as temporary:
        home = options.home or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        figures = run(home, options.cases, options.pandas_cases, lambda text: console.print(text))
    if options.json:
        sys.stdout.write(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
        return 0
    table = Table("做法", "工作（秒）", "整个进程（秒）", "处理器（秒）", "内存峰值（GiB）", "行", title=f"质量规则，{options.cases:,} 件")
    for name, step in figures["steps"].items():
        cells = [f"{step[key]:.2f}" for key in ("seconds", "wall", "processor", "peak_gib")]
        table.add_row(name, *cells, f"{step['rows']:,}" if "rows" in step else "")
    shown = Console()
    shown.print(table)
    shown.print("　".join(f"{name} = {ratio:.3g}" for name, ratio in figures["ratios"].items()))
    if options.pandas_cases:
        shown.print(f"pandas 只取 {options.pandas_cases:,} 件，按件数线性外推")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
