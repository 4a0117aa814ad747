"""``python -m bench postgres``: the sync from a real PostgreSQL server beside what plain COPY does, in one run.

Each step is a process of its own, on a server that the bench starts and removes. What does not belong here: the
steps behind the raw layer (:mod:`bench.pipeline`).
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import yaml
from rich.console import Console
from rich.table import Table

from bench.processes import Usage, measure

KEY = "bench postgres: not a secret"
_MARK = "@work"
TABLES = {
    # subject: (title, table, columns)
    "case": ("办件（16 列，含证件号码校验与摘要）", "kase", """
        'C' || lpad(i::text, 9, '0') AS case_number, 'M' || i % 500 AS matter_code, '事项名称' || i % 500 AS matter_name, (i % 3)::text AS channel_code,
        '张三丰' AS applicant_name, '111' AS applicant_id_type_code, '11010519491231002X' AS applicant_id, '13812345678' AS contact_phone,
        '岳麓区某路 ' || i || ' 号' AS address, timestamptz '2026-01-01' + i * interval '13 seconds' AS received_at,
        timestamptz '2026-01-02' + i * interval '13 seconds' AS accepted_at, timestamptz '2026-01-05' + i * interval '13 seconds' AS completed_at,
        'D' || i % 40 AS department_code, '430104' AS region_code, i % 7 = 0 AS is_fee_charged, timestamptz '2026-01-05' + i * interval '13 seconds' AS updated_at"""),
    "case_event": ("环节（8 列）", "step", """
        'C' || lpad((i / 6)::text, 9, '0') AS case_number, (i % 6)::int AS sequence, (i % 6)::text AS activity_code, '环节' || i % 6 AS activity,
        timestamptz '2026-01-01' + i * interval '3 seconds' AS occurred_at, 'D' || i % 40 AS department_code, '1' AS step_state_code,
        timestamptz '2026-01-05' + i * interval '3 seconds' AS updated_at"""),
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One measured process.

    Attributes:
        subject: Which table.
        name: What it did.
        rows: Rows that it moved.
        wall_seconds: Of the work itself, without the start of Python and its imports.
        processor_seconds: Of the same, without the server's.
        peak_gib: Memory of the process, not of the server.
    """

    subject: str
    name: str
    rows: int
    wall_seconds: float
    processor_seconds: float
    peak_gib: float


def run(rows: int, folder: Path, say: Callable[[str], None]) -> list[Step]:
    """Fill a server, and measure every step on every table.

    Raises:
        RuntimeError: There is no PostgreSQL, or a process failed.
    """
    from tests.support import postgres

    if (reason := postgres.missing()) is not None:
        raise RuntimeError(reason)
    steps: list[Step] = []
    with postgres.running() as server:
        for subject, (_, table, columns) in TABLES.items():
            say(f"准备 {table}：{rows:,} 行")
            with server.connect() as connection:
                connection.execute(f"CREATE TABLE {table} AS SELECT {columns} FROM generate_series(1, {rows}) AS i".encode())  # noqa: S608 - constants
                connection.execute(f"CREATE INDEX ON {table} (updated_at)".encode())
                connection.execute(f"VACUUM ANALYZE {table}".encode())
            work = folder / subject
            work.mkdir()

            def step(name: str, moved: int, *arguments: str, subject: str = subject, work: Path = work) -> None:
                say(f"{subject}：{name}")
                usage: Usage = measure([sys.executable, "-m", "bench.postgres", *arguments], {"YIWANG_DIGEST_KEY": KEY}, work / "log")
                wall, processor = next(line for line in usage.output.splitlines() if line.startswith(_MARK)).split()[1:]
                steps.append(Step(subject, name, moved, float(wall), float(processor), usage.peak_bytes / 2**30))

            home = str(work / "home")
            source = {"name": "bench", "kind": "sql", "subject": subject, "location": server.url, "table": table, "cursor": "updated_at"}
            (work / "sources.yml").write_text(yaml.safe_dump({"sources": [source]}, allow_unicode=True), encoding="utf-8")
            step("COPY 到文件", rows, "--copy", server.url, table, str(work / "copy.csv"))
            step("COPY 后装入 DuckDB", rows, "--copy", server.url, table, str(work / "again.csv"), "--into", str(work / "plain.duckdb"))
            step("首次同步", rows, "--sync", home, str(work / "sources.yml"), "--expect", str(rows))
            step("没有新数据", 0, "--sync", home, str(work / "sources.yml"), "--expect", "0")
            with server.connect() as connection:
                connection.execute(f"UPDATE {table} SET updated_at = now(), department_code = 'D99' WHERE abs(hashtext(case_number)) % 100 = 0".encode())  # noqa: S608
                changed = connection.execute(f"SELECT count(*) FROM {table} WHERE department_code = 'D99'".encode()).fetchone()  # noqa: S608
            step("1 % 有变化", changed[0] if changed else 0, "--sync", home, str(work / "sources.yml"), "--expect", str(changed[0] if changed else 0))
    return steps


def show(steps: list[Step], console: Console) -> None:
    """Print the steps with their rates, and the first sync beside the plain ways."""
    for subject, (title, _, _) in TABLES.items():
        table = Table("步骤", "行", "秒", "处理器秒", "行/秒", "内存峰值 GiB", title=title)
        own = {step.name: step for step in steps if step.subject == subject}
        for step in own.values():
            rate = f"{step.rows / step.wall_seconds:,.0f}" if step.rows else "–"
            table.add_row(step.name, f"{step.rows:,}", f"{step.wall_seconds:.2f}", f"{step.processor_seconds:.2f}", rate, f"{step.peak_gib:.2f}")
        console.print(table)
        first = own["首次同步"].wall_seconds
        console.print(f"首次同步 / COPY 到文件 = {first / own['COPY 到文件'].wall_seconds:.1f}；/ COPY 后装入 DuckDB = {first / own['COPY 后装入 DuckDB'].wall_seconds:.1f}；目标 ≥ 150,000 行/秒")
    console.print(f"机器负载（1 分钟）{os.getloadavg()[0]:.1f}，{os.cpu_count()} 核；服务器的处理器与内存不在其内")


def main(arguments: list[str]) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench postgres", description="从 PostgreSQL 同步的速度，与 COPY 并列")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="工作目录，默认为用后即删的临时目录")
    parser.add_argument("--json", action="store_true", help="以 JSON 输出")
    parser.add_argument("--copy", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--into", help=argparse.SUPPRESS)
    parser.add_argument("--sync", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--expect", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.copy:
        url, table, path = chosen.copy
        return _timed(lambda: _copy(url, table, path, chosen.into))
    if chosen.sync:
        return _sync(Path(chosen.sync[0]), Path(chosen.sync[1]), chosen.expect)
    errors = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="yiwang-bench-", dir=chosen.folder) as folder:
        try:
            steps = run(chosen.rows, Path(folder).resolve(), lambda line: errors.print(f"· {line}"))
        except RuntimeError as error:
            errors.print(str(error), markup=False)
            return 1
    if chosen.json:
        sys.stdout.write(json.dumps([asdict(step) for step in steps], ensure_ascii=False, indent=1) + "\n")
    else:
        show(steps, Console(width=140))
    return 0


def _timed(work: Callable[[], object]) -> int:
    """Do something and say how long it took, for the process that measures; the exit code."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    sys.stdout.write(f"{_MARK} {time.perf_counter() - wall:.3f} {time.process_time() - processor:.3f}\n")
    return 0


def _copy(url: str, table: str, path: str, into: str | None) -> None:
    import psycopg

    with psycopg.connect(url) as connection, connection.cursor() as cursor, open(path, "wb") as file:
        with cursor.copy(f"COPY {table} TO STDOUT (FORMAT csv, HEADER)".encode()) as rows:
            for chunk in rows:
                file.write(chunk)
    if into:
        with duckdb.connect(into, config={"threads": 2}) as warehouse:
            warehouse.execute(f"CREATE TABLE {table} AS FROM read_csv('{path}')")


def _sync(home: Path, sources: Path, expected: int) -> int:
    from models.domain.settings import Settings
    from pipelines.sources import service
    from pipelines.sources.service import SyncCount

    settings = Settings(home=home)
    service.prepare(settings)
    with service.run_lock(settings):
        run = service.start_run(settings)
        found: list[SyncCount] = []
        _timed(lambda: found.extend(service.sync(settings, service.load_sources(sources), run)))
        service.finish_run(settings, run, "published")
    return 0 if [count.rows_read for count in found] == [expected] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
