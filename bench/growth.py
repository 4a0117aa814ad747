"""How the pipeline grows: full builds of ever larger cities, at most linear and within the memory that it is given.

    python -m bench growth [--cases 1000000 5000000 10000000] [--plot docs/images/growth.svg]

Each size is a whole process in a home of its own, under the same memory limit; what does not fit is spilled to disk. The
smallest size also says what of it is start-up. Nothing here asserts a time. How to read the figures: docs/bench.md.
"""

import argparse
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.pipeline import KEY, UNTIL, machine
from bench.processes import measure
from models.domain.settings import Settings
from pipelines.sample.service import write_sample

MEMORY_LIMIT = "3GB"


@dataclass(frozen=True)
class Size:
    """One full build.

    Attributes:
        cases: Cases of the city.
        rows: Rows of all subjects.
        wall_seconds: From start to end.
        processor_seconds: User and system time, children too.
        peak_gib: Resident memory of all processes.
        spilled_gib: Largest size of what DuckDB had spilled.
        home_gib: Size of the home afterwards, the sample apart.
    """

    cases: int
    rows: int
    wall_seconds: float
    processor_seconds: float
    peak_gib: float
    spilled_gib: float
    home_gib: float


def run(sizes: Sequence[int], folder: Path, say: Callable[[str], None]) -> list[Size]:
    """Build each size.

    Args:
        sizes: Cases.
        folder: Where cities and homes are made, one after the other; about 4 GB a million cases.
        say: Receives what it does.

    Raises:
        RuntimeError: A process failed.
    """
    found = []
    for cases in sizes:
        home = folder / "home"
        say(f"生成 {cases:,} 件的样例城市")
        summary = write_sample(home, cases, UNTIL)
        say("运行流水线")
        program = Path(sys.executable).with_name("yiwang")
        settings = {"YIWANG_DIGEST_KEY": KEY, "YIWANG_THREADS": "2", "YIWANG_MEMORY_LIMIT": MEMORY_LIMIT}
        usage = measure([str(program), "run", "--home", str(home)], settings, folder / "run.log", Settings(home=home).work / "duckdb_tmp")
        size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file() and path.relative_to(home).parts[0] != "sample")
        found.append(
            Size(cases, sum(summary.rows.values()), usage.wall_seconds, usage.processor_seconds, usage.peak_bytes / 2**30, usage.spilled_bytes / 2**30, size / 2**30)
        )
        one = found[-1]
        say(f"{cases:,} 件：墙钟 {one.wall_seconds:.0f} 秒，处理器 {one.processor_seconds:.0f} 秒，内存 {one.peak_gib:.2f} GiB，溢出 {one.spilled_gib:.2f} GiB")
        shutil.rmtree(home)
    return found


def exponent(first: Size, last: Size) -> float:
    """Growth of processor time from the first to the last size as a power of the cases: 1 is linear, less is better.

    Processor time, so that what else the machine does is not taken for growth.
    """
    return math.log(last.processor_seconds / first.processor_seconds) / math.log(last.cases / first.cases)


def show(sizes: Sequence[Size], console: Console) -> None:
    """The figures as a table for people."""
    console.print("　".join(f"{name} {value}" for name, value in machine().items()))
    table = Table("办件", "行数", "墙钟（秒）", "处理器（秒）", "每百万件（秒）", "内存峰值（GiB）", "溢出到磁盘（GiB）", "数据目录（GiB）")
    for size in sizes:
        table.add_row(
            f"{size.cases:,}", f"{size.rows:,}", f"{size.wall_seconds:.0f}", f"{size.processor_seconds:.0f}", f"{size.wall_seconds / size.cases * 1e6:.1f}",
            f"{size.peak_gib:.2f}", f"{size.spilled_gib:.2f}", f"{size.home_gib:.1f}",
        )  # fmt: skip
    console.print(table)
    if len(sizes) > 1:
        console.print(f"处理器时间随办件数的 {exponent(sizes[0], sizes[-1]):.2f} 次方增长（目标 ≤ 1）；DuckDB 内存上限 {MEMORY_LIMIT}")


def plot(sizes: Sequence[Size], path: Path) -> None:
    """Seconds and memory over cases, as a picture."""
    import matplotlib.pyplot as plt

    from models.reporting.plots import use_chinese_type

    use_chinese_type()
    figure, (seconds, memory) = plt.subplots(1, 2, figsize=(9, 3.4))
    millions = [size.cases / 1e6 for size in sizes]
    seconds.plot(millions, [size.processor_seconds for size in sizes], marker="o", label="全量构建")
    linear = [sizes[0].processor_seconds * size.cases / sizes[0].cases for size in sizes]
    seconds.plot(millions, linear, linestyle=":", color="#5B5B5B", label="与最小规模成正比")
    seconds.set(title="处理器时间", xlabel="百万件", ylabel="秒")
    seconds.set_ylim(0)
    seconds.legend()
    memory.plot(millions, [size.peak_gib for size in sizes], marker="o", label="内存峰值")
    memory.plot(millions, [size.spilled_gib for size in sizes], marker="s", label="溢出到磁盘")
    memory.set(title=f"内存（DuckDB 上限 {MEMORY_LIMIT}）", xlabel="百万件", ylabel="GiB")
    memory.set_ylim(0)
    memory.legend()
    figure.savefig(path, metadata={"Date": None})


def main(arguments: list[str]) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench growth", description="规模增长时的时间与内存")
    parser.add_argument("--cases", type=int, nargs="+", default=[1_000_000, 5_000_000, 10_000_000])
    parser.add_argument("--folder", type=Path, help="工作目录，默认为用后即删的临时目录")
    parser.add_argument("--plot", type=Path, help="图的文件名（SVG）")
    parser.add_argument("--json", action="store_true", help="以 JSON 输出")
    chosen = parser.parse_args(arguments)
    errors = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="yiwang-growth-", dir=chosen.folder) as folder:
        try:
            sizes = run(sorted(chosen.cases), Path(folder).resolve(), lambda line: errors.print(f"· {line}"))
        except RuntimeError as error:
            errors.print(str(error), markup=False)
            return 1
    if chosen.plot:
        plot(sizes, chosen.plot)
    if chosen.json:
        sys.stdout.write(json.dumps([asdict(size) for size in sizes], ensure_ascii=False, indent=1) + "\n")
    else:
        show(sizes, Console(width=150))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
