"""The pipeline beside one hand-written script that makes the same marts from the same files.

    python -m bench pipeline [--cases 1000000] [--rounds 3] [--json]

Measured are whole processes, each in a home of its own: the run on files without rows (fixed start-up), the full build
and the script in turn, a run with one more day of data, and a run with nothing new. The published marts are compared
with the script's after the full build and after the added day; the bench fails when they differ. How to read the
figures: docs/bench.md. Nothing here asserts a time.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path

import psutil
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from bench.plain.equality import differences
from bench.processes import Usage, measure
from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from pipelines.sample.service import write_sample

UNTIL = date(2026, 6, 28)
"""Last day of the city; a Monday, the busiest weekday, follows as the added day."""
KEY = "bench-digest-key-of-no-secret"
PACKAGES = ("duckdb", "dlt", "dbt-core", "dagster", "great-expectations", "pyarrow")
_STAGE = re.compile(r"✓ (?P<stage>.+?)（(?P<seconds>[0-9.]+) 秒）")


@dataclass(frozen=True)
class Step:
    """One kind of process, over the rounds.

    Attributes:
        title: What it did.
        wall_seconds: Median.
        processor_seconds: Median of user and system time with children.
        peak_gib: Largest.
        stages: Seconds of each stage that the last one reported; for dbt of each model above 0.1 s.
    """

    title: str
    wall_seconds: float
    processor_seconds: float
    peak_gib: float
    stages: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, title: str, usages: list[Usage]) -> "Step":
        """The step of these processes."""
        return cls(
            title,
            statistics.median(u.wall_seconds for u in usages),
            statistics.median(u.processor_seconds for u in usages),
            max(u.peak_bytes for u in usages) / 2**30,
            {m["stage"]: float(m["seconds"]) for m in _STAGE.finditer(usages[-1].output)},
        )


@dataclass(frozen=True)
class Figures:
    """All that the bench found.

    Attributes:
        machine: Cores, memory, versions.
        rows: Rows of the files by subject.
        day_cases: Records of cases in the added day's files.
        steps: Name → step.
        ratios: Name → ratio, of wall and of processor time.
    """

    machine: dict[str, str]
    rows: dict[str, int]
    day_cases: int
    steps: dict[str, Step]
    ratios: dict[str, dict[str, float]]


def run(cases: int, rounds: int, folder: Path, say: Callable[[str], None]) -> Figures:
    """Make the city and measure.

    Args:
        cases: Cases of the city.
        rounds: Full builds and scripts, in turn.
        folder: Where cities and homes are made; a few gigabytes for a million cases.
        say: Receives what it does.

    Raises:
        RuntimeError: A process failed, or the marts are not the same.
    """
    say(f"生成 {cases:,} 件的样例城市")
    city, later, empty = folder / "city", folder / "later", folder / "empty"
    summary = write_sample(city, cases, UNTIL)
    shutil.copytree(city, later, copy_function=os.link)
    grown = write_sample(later, cases, UNTIL + timedelta(days=1))
    day_cases = grown.rows["case"] - summary.rows["case"]
    _without_rows(city, empty)
    bench = _Bench(folder, say)

    usages: dict[str, list[Usage]] = {name: [] for name in TITLES}
    usages["fixed"].append(bench.pipeline("empty", empty, UNTIL))
    usages["fixed_again"].append(bench.pipeline("empty", empty, UNTIL + timedelta(days=1)))
    for number in range(1, rounds + 1):
        home = f"home-{number}"
        for old in folder.glob("home-*"):
            shutil.rmtree(old)
        usages["plain"].append(bench.plain(city))
        usages["full"].append(bench.pipeline(home, city))
        bench.compare(home, "全量")
        full_stages = bench.models(home)
        usages["day"].append(bench.pipeline(home, later))
        day_stages = bench.models(home)
        usages["unchanged"].append(bench.pipeline(home, later))
    bench.plain(later)
    bench.compare(home, "增加一日之后")
    steps = {name: Step.of(title, usages[name]) for name, title in TITLES.items()}
    for name, models in (("full", full_stages), ("day", day_stages)):
        steps[name] = replace(steps[name], stages=steps[name].stages | models)
    return Figures(machine(), summary.rows, day_cases, steps, ratios(steps))


TITLES = {
    "fixed": "空输入（固定启动）",
    "fixed_again": "空输入，再次运行",
    "full": "全量构建",
    "plain": "手写脚本",
    "day": "增加一日",
    "unchanged": "无新数据",
}


def ratios(steps: dict[str, Step]) -> dict[str, dict[str, float]]:
    """What the targets speak of, by wall and by processor time.

    ``full``: full build beyond its fixed start-up, over the script. ``day``: the added day beyond the start-up of a home
    that has run before, over the full build beyond its own.
    """
    found: dict[str, dict[str, float]] = {"full": {}, "day": {}}
    for of in ("wall_seconds", "processor_seconds"):
        value = {name: float(getattr(step, of)) for name, step in steps.items()}
        work = value["full"] - value["fixed"]
        found["full"][of] = work / value["plain"]
        found["day"][of] = (value["day"] - value["fixed_again"]) / work
    return found


class _Bench:
    """The processes, and the homes that they work in."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._target = folder / "plain.duckdb"

    def pipeline(self, home: str, city: Path, as_of: date | None = None) -> Usage:
        self._say(f"运行流水线：{home} ← {city.name}")
        program = Path(sys.executable).with_name("yiwang")
        command = [str(program), "run", "--sources", str(city / "sources.yml"), "--home", str(self._folder / home)]
        command += ["--as-of", as_of.isoformat()] if as_of else []
        return measure(command, {"YIWANG_DIGEST_KEY": KEY, "YIWANG_THREADS": "2", "YIWANG_MEMORY_LIMIT": "3GB"}, self._folder / "pipeline.log")

    def plain(self, city: Path) -> Usage:
        self._say(f"运行手写脚本：{city.name}")
        self._target.unlink(missing_ok=True)
        command = [sys.executable, "-m", "bench.plain.build", str(city / "sample"), str(self._target)]
        return measure(command, {"YIWANG_DIGEST_KEY": KEY}, self._folder / "plain.log")

    def compare(self, home: str, when: str) -> None:
        self._say(f"比对集市：{when}")
        published = SnapshotStore(Settings(home=self._folder / home)).in_service().path
        if found := differences(published, self._target):
            raise RuntimeError(f"{when}，流水线发布的集市与手写脚本的不同：\n" + "\n".join(str(one) for one in found))

    def models(self, home: str) -> dict[str, float]:
        """Seconds of the dbt nodes of the last run, those above 0.1 s."""
        path = Settings(home=self._folder / home).work / "dbt_target" / "run_results.json"
        results = json.loads(path.read_bytes())["results"]
        return {r["unique_id"].removeprefix("model.yiwang."): round(r["execution_time"], 2) for r in results if r["execution_time"] > 0.1}


def _without_rows(city: Path, empty: Path) -> None:
    """The city's files and ``sources.yml``, with the same columns and no row."""
    empty.mkdir()
    shutil.copyfile(city / "sources.yml", empty / "sources.yml")
    for path in (city / "sample").glob("*/*.parquet"):
        target = empty / path.relative_to(city)
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pq.read_schema(path).empty_table(), target)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    named = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": named[0] if named else platform.processor(),
        "cores": str(os.cpu_count()),
        "memory_gib": f"{psutil.virtual_memory().total / 2**30:.0f}",
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def show(figures: Figures, console: Console) -> None:
    """The figures as tables for people."""
    console.print("　".join(f"{name} {value}" for name, value in figures.machine.items()))
    console.print("行数：" + "，".join(f"{subject} {rows:,}" for subject, rows in figures.rows.items()) + f"；增加一日 {figures.day_cases:,} 条办件")
    table = Table("过程", "墙钟（秒）", "处理器（秒）", "内存峰值（GiB）")
    for step in figures.steps.values():
        table.add_row(step.title, f"{step.wall_seconds:.1f}", f"{step.processor_seconds:.1f}", f"{step.peak_gib:.2f}")
    console.print(table)
    full, day = figures.ratios["full"], figures.ratios["day"]
    peak = max(step.peak_gib for step in figures.steps.values())
    console.print(f"（全量 − 固定）/ 手写脚本 = {full['wall_seconds']:.2f}（处理器 {full['processor_seconds']:.2f}；目标 ≤ 2）")
    console.print(f"（增加一日 − 固定）/（全量 − 固定）= {day['wall_seconds']:.1%}（处理器 {day['processor_seconds']:.1%}；目标 ≤ 10%）")
    console.print(f"内存峰值 {peak:.2f} GiB（目标 ≤ 4）；集市与手写脚本逐列一致")
    for name in ("full", "day"):
        slowest = sorted(figures.steps[name].stages.items(), key=lambda item: -item[1])[:12]
        console.print(f"{figures.steps[name].title}各阶段（秒）：" + "，".join(f"{stage} {seconds:g}" for stage, seconds in slowest))


def main(arguments: list[str]) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench pipeline", description="流水线与手写脚本的速度")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="全量构建与手写脚本交替运行的次数")
    parser.add_argument("--folder", type=Path, help="工作目录，默认为用后即删的临时目录")
    parser.add_argument("--json", action="store_true", help="以 JSON 输出")
    chosen = parser.parse_args(arguments)
    errors = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="yiwang-bench-", dir=chosen.folder) as folder:
        try:
            figures = run(chosen.cases, chosen.rounds, Path(folder).resolve(), lambda line: errors.print(f"· {line}"))
        except RuntimeError as error:
            errors.print(str(error), markup=False)
            return 1
    if chosen.json:
        sys.stdout.write(json.dumps(asdict(figures), ensure_ascii=False, indent=1) + "\n")
    else:
        show(figures, Console(width=140))
    return 0
