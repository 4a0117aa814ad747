"""All quality rules over a city: engine and ledger, with Great Expectations' count, beside plain SQL and Great Expectations on pandas.

    python -m bench quality [--cases 1000000] [--pandas-cases N] [--home DIR] [--json]

The pipeline makes the city's marts and, with one more day of data, those of the next day (with ``--home`` what an earlier
bench left there is used). Each measurement is a process of its own; its seconds are those of the work, without the start of
Python and the import of libraries, its peak that of the whole process. Measured are:

- ``engine``: every rule evaluated over everything, the ledger written;
- ``face``: the same and Great Expectations' own count of it, with Data Docs; its seconds include its start-up (3 to 4 s);
- ``day``: what the added day costs after that;
- ``sql``: one ``SELECT count(*) FILTER (…), …`` a mart, as a person would write it: counts of all rules, no records;
- ``pandas``: Great Expectations on pandas with the rules that are written for it (:mod:`bench.quality_pandas`), beside ``engine_same``,
  ours with the same rules over the same marts. With ``--pandas-cases`` both get that many of the cases.

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
from bench.quality_pandas import MASKS, counts, is_declared
from models.domain.calendar import work_calendar
from models.domain.settings import Settings
from pipelines.sample.service import write_sample
from quality.catalogue.model import Rule
from quality.engine.reading import CASE_TABLES
from quality.ledger.rows import attach_former
from quality.ledger.tables import KEPT
from quality.ledger.tables import TABLES as LEDGER
from quality.service import Limits, check, load_rules

UNTIL = date(2026, 6, 28)
"""Last day of the city; a Monday, the busiest weekday, follows as the added day."""
ZONE = "Asia/Shanghai"
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
    shutil.copyfile(home / "before.new", home / "published.duckdb")
    with duckdb.connect(str(home / "after.new")) as connection:  # as the check of the added day finds it
        connection.execute(f"ATTACH '{home / 'before.new'}' AS earlier (READ_ONLY)")
        kept = "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'earlier' AND (schema_name = ? OR list_contains(?, table_name))"
        for (table,) in connection.execute(kept, [KEPT, list(LEDGER)]).fetchall():
            connection.execute(f"CREATE OR REPLACE TABLE {table} AS FROM earlier.{table}")
    with duckdb.connect(str(home / "before.new")) as connection:
        connection.execute(f"DROP SCHEMA {KEPT} CASCADE")
        for table in LEDGER:
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
        attach_former(connection, home / "published.duckdb" if file == "after" else None)
        as_of = connection.execute("SELECT max(as_of) FROM marts.fct_case").fetchall()[0][0]
        started = time.perf_counter()
        outcome = Checking(connection, f"bench-{file}", as_of, rules, Limits(), left, work_calendar()).run()
        seconds = time.perf_counter() - started
        failed = dict(connection.execute("SELECT rule_id, sum(rows_failed)::BIGINT FROM marts.quality_check GROUP BY 1").fetchall())
    return {"seconds": seconds, "rows": outcome.rows, "rules": len(rules), "failed": outcome.failed, "counts": {r.id: failed.get(r.id, 0) for r in rules}}


def face(home: Path) -> dict[str, Any]:
    """Engine, ledger and Great Expectations."""
    marts = _copy(home, "before")
    started = time.perf_counter()
    results = check(marts, "bench-face", zone=ZONE, docs=marts.with_suffix(".docs"))
    return {"seconds": time.perf_counter() - started, "counts": {r.check_name: r.failed_rows for r in results}}


def plain(home: Path) -> dict[str, Any]:
    """One query a mart."""
    rules = load_rules()
    found: dict[str, int] = {}
    with _opened(home / "before.duckdb", read_only=True) as connection:
        started = time.perf_counter()
        for table in dict.fromkeys(rule.table for rule in rules):
            own = [rule for rule in rules if rule.table == table]
            query = f"SELECT {', '.join(f'count(*) FILTER ({rule.condition})' for rule in own)} FROM marts.{table} AS t"
            found |= dict(zip([rule.id for rule in own], connection.execute(query).fetchall()[0], strict=True))
        return {"seconds": time.perf_counter() - started, "counts": found}


def written() -> list[Rule]:
    """The rules that are written for Great Expectations on pandas."""
    return [rule for rule in load_rules() if is_declared(rule) or rule.id in MASKS]


def pandas(home: Path) -> dict[str, Any]:
    """Great Expectations on pandas, the reading of the marts included."""
    import great_expectations as gx  # noqa: F401 - imported before the clock starts

    with _opened(home / "part.duckdb", read_only=True) as connection:
        started = time.perf_counter()
        return {"counts": counts(connection, written()), "seconds": time.perf_counter() - started, "rules": len(written()), "rows": _rows(connection)}


def cut(home: Path, cases: int | None) -> None:
    """Makes ``part.duckdb``: the marts with some of the cases and what belongs to them; all of them when None."""
    part = home / "part.duckdb"
    shutil.copyfile(home / "before.duckdb", part)
    if cases is None:
        return
    with _opened(part) as connection:
        connection.execute(f"CREATE TEMP TABLE kept AS SELECT source, case_number FROM marts.fct_case ORDER BY hash(case_number) LIMIT {cases}")
        for table in CASE_TABLES:
            connection.execute(f"DELETE FROM marts.{table} AS t WHERE NOT EXISTS (SELECT 1 FROM kept AS k WHERE k.source = t.source AND k.case_number = t.case_number)")
        connection.execute("CHECKPOINT")


def _rows(connection: duckdb.DuckDBPyConnection) -> int:
    return sum(connection.execute(f"SELECT count(*) FROM marts.{table}").fetchall()[0][0] for table in CASE_TABLES)


def _copy(home: Path, name: str) -> Path:
    target = home / "bench-copy.duckdb"
    target.with_name(f"{target.name}.wal").unlink(missing_ok=True)  # of a bench that was stopped
    shutil.copyfile(home / f"{name}.duckdb", target)
    return target


def _opened(path: Path, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(str(path), read_only=read_only, config={"memory_limit": "2GB", "threads": 2, "preserve_insertion_order": False})
    connection.execute(f"SET TimeZone = '{ZONE}'")
    return connection


_STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "engine": lambda home: engine(home, "before"), "face": face, "day": lambda home: engine(home, "after"), "sql": plain,
    "engine_same": lambda home: engine(home, "part", written()), "pandas": pandas,
}  # fmt: skip


def run(home: Path, cases: int, pandas_cases: int | None, say: Callable[[str], None]) -> dict[str, Any]:
    """All measurements.

    Raises:
        RuntimeError: A process failed, or two ways count differently.
    """
    prepare(home, cases, say)
    cut(home, pandas_cases)
    found: dict[str, dict[str, Any]] = {}
    for name in _STEPS:
        say(f"测量 {name}")
        command = [sys.executable, "-m", "bench.quality", "--step", name, "--home", str(home)]
        usage: Usage = measure(command, {"GX_ANALYTICS_ENABLED": "false", "YIWANG_DIGEST_KEY": _KEY}, home / f"{name}.log")
        answer = json.loads(next(line for line in usage.output.splitlines() if line.startswith("{")))
        if answer.get("failed"):
            raise RuntimeError(f"{name} 有规则没有检查：{answer['failed']}")
        found[name] = answer | {"wall": usage.wall_seconds, "processor": usage.processor_seconds, "peak_gib": usage.peak_bytes / 2**30}
    for one, other in (("engine", "sql"), ("face", "sql"), ("pandas", "engine_same")):
        expected = found[other]["counts"]
        if wrong := {rule: (count, expected[rule]) for rule, count in found[one]["counts"].items() if rule in expected and count != expected[rule]}:
            raise RuntimeError(f"{one} 与 {other} 的计数不同：{wrong}")
    ratios = {
        "pandas / engine_same": found["pandas"]["seconds"] / found["engine_same"]["seconds"],
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
        sys.stdout.write(json.dumps(_STEPS[options.step](options.home)) + "\n")
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
        shown.print(f"pandas 和 engine_same 只取 {options.pandas_cases:,} 件")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
