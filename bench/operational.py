"""``python -m bench operational``: the operational API under an open load, beside a bare endpoint in the same run.

    python -m bench operational [--database sqlite|postgresql] [--cases 1000000] [--rate 200] [--seconds 60] [--folder DIR]

A store with as many cases, the server, the worker (sealing the audit) and the clients, each a process of its own. Rights, encryption and
audit are on: the clients are systems with keys. ``--folder`` keeps the poured store for the next time (SQLite). How to read it: docs/bench.md.
"""

import argparse
import asyncio
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx
import psutil
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from bench.load.client import Connections, Sample, open_loop
from bench.load.town import MIX, Town, settle_in
from bench.pipeline import machine
from models.domain.settings import Settings
from pipelines.pouring.service import pour
from pipelines.sample.service import write_sample

TARGETS = {"read": 100, "list": 100, "write": 250}
"""Milliseconds at the 95th percentile."""
_UNTIL = date(2026, 6, 30)
_BARE_SECONDS = 15
_DONE = "poured"


@dataclass(frozen=True)
class Load:
    """What is asked of the server."""

    rate: float
    seconds: float
    connections: int
    workers: int


def measure(settings: Settings, load: Load, console: Console, watched: dict[str, psutil.Process]) -> None:
    """Serve, load, and print."""
    with ExitStack() as stack:
        port = stack.enter_context(server(settings, load.workers, watched))
        watched["后台程序"] = stack.enter_context(process([program(), "worker"], settings))
        town = settle_in(settings, port, load.connections)
        asyncio.run(open_loop(load.rate, 5, 1, town.ask))
        town.wrong.clear()
        before, own = {name: used(each) for name, each in watched.items()}, time.process_time()
        started = time.perf_counter()
        samples = asyncio.run(_again(town, load))
        wall = time.perf_counter() - started
        after, mine = {name: used(each) for name, each in watched.items()}, time.process_time() - own
    with bare_server(settings) as port:
        bare = asyncio.run(_bare(port, town.desks[0].cases, load))
    _show(samples, bare, wall, console)
    processors = "，".join(f"{name} {(after[name] - before[name]) / wall:.2f}" for name in watched)
    console.print(f"处理器（核）：{processors}，压力机 {mine / wall:.2f}；{len(town.desks)} 个系统、{load.connections} 条连接；出错 {town.wrong or '无'}")


async def _again(town: Town, load: Load) -> list[Sample]:
    town.connections = Connections(town.connections.port, load.connections)  # connections belong to a loop
    return await open_loop(load.rate, load.seconds, 2, town.ask)


async def _bare(port: int, cases: Sequence[object], load: Load) -> list[Sample]:
    connections = Connections(port, load.connections)

    async def ask(randomly: random.Random) -> tuple[str, int]:
        return "bare", (await connections.ask("GET", f"/bare/{randomly.choice(cases)}", "")).status

    await open_loop(load.rate, 3, 1, ask)
    return await open_loop(load.rate, _BARE_SECONDS, 3, ask)


def _show(samples: list[Sample], bare: list[Sample], wall: float, console: Console) -> None:
    reference = _percentile([each.milliseconds for each in bare], 95)
    table = Table("种类", "请求", "p50（毫秒）", "p95", "p99", "最大", "出错", "p95 ÷ 裸接口", "目标 p95")
    for kind in ("read", "list", "write"):
        found = [each for each in samples if each.kind == kind]
        times = [each.milliseconds for each in found]
        p95 = _percentile(times, 95)
        wrong = sum(not 200 <= each.status < 300 for each in found)
        table.add_row(
            {"read": "读取", "list": "列表", "write": "写入"}[kind], f"{len(found):,}", f"{_percentile(times, 50):.1f}", f"{p95:.1f}", f"{_percentile(times, 99):.1f}",
            f"{max(times):.0f}", str(wrong), f"{p95 / reference:.1f}", f"≤ {TARGETS[kind]}",
        )  # fmt: skip
    times = [each.milliseconds for each in bare]
    table.add_row("裸接口", f"{len(bare):,}", f"{_percentile(times, 50):.1f}", f"{reference:.1f}", f"{_percentile(times, 99):.1f}", f"{max(times):.0f}", str(sum(each.status != 200 for each in bare)), "1", "")
    console.print(table)
    console.print(f"实际 {len(samples) / wall:.0f} 次/秒；组合 {MIX}")


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def program() -> str:
    """The command."""
    return str(Path(sys.executable).with_name("yiwang"))


def environment(settings: Settings) -> dict[str, str]:
    """For the processes of one store."""
    url = {"YIWANG_DATABASE_URL": settings.database_url.get_secret_value()} if settings.database_url else {}
    return os.environ | url | {"YIWANG_HOME": str(settings.home), "YIWANG_DEV": "0"}


@contextmanager
def process(command: Sequence[str], settings: Settings) -> Iterator[psutil.Process]:
    """A process for as long as the block lasts."""
    with (settings.home / "bench.log").open("ab") as log:
        child = subprocess.Popen(command, env=environment(settings), stdout=log, stderr=log)  # noqa: S603 - our own commands
    try:
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(30)


@contextmanager
def server(settings: Settings, workers: int, watched: dict[str, psutil.Process]) -> Iterator[int]:
    """The real server on a free port; several processes share it."""
    port = free_port()
    command = [program(), "serve", "--no-worker", "--port", str(port), *(["--processes", str(workers)] if workers > 1 else [])]
    with process(command, settings) as child:
        watched["服务"] = child
        _until_ready(port, "/health")
        yield port


@contextmanager
def bare_server(settings: Settings) -> Iterator[int]:
    """The plain alternative on a free port."""
    port = free_port()
    with process([sys.executable, "-m", "uvicorn", "--factory", "bench.load.bare:app", "--port", str(port), "--log-level", "error", "--no-access-log"], settings):
        _until_ready(port, "/openapi.json")
        yield port


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def used(one: psutil.Process) -> float:
    """Processor seconds of a process and its children so far."""
    try:
        family = [one, *one.children(recursive=True)]
        return sum(sum(each.cpu_times()[:2]) for each in family)
    except psutil.NoSuchProcess:
        return 0.0


def _until_ready(port: int, path: str) -> None:
    for _ in range(600):
        try:
            if httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise RuntimeError("服务没有启动，请看数据目录中的 bench.log")


def poured(home: Path, cases: int, url: SecretStr | None, console: Console) -> Settings:
    """A home with a store that holds so many cases."""
    settings = Settings(home=home, database_url=url)
    if not (home / "sample" / "manifest.json").exists():
        console.print(f"· 生成 {cases:,} 件的样例城市")
        write_sample(home, cases, _UNTIL, errors=0)
    if url is None and (home / _DONE).exists():
        console.print("· 用上次灌入的业务数据库")
        return settings
    started = time.perf_counter()
    done = pour(settings, beside=True)
    (home / _DONE).touch()
    console.print(f"· 已灌入 {done.rows['case_file']:,} 件、{done.rows['case_event']:,} 个环节、{done.rows['party']:,} 个办事主体（{time.perf_counter() - started:.0f} 秒）")
    return settings


def main(arguments: list[str]) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench operational", description="业务接口的开环压力测试")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1, help="服务进程数")
    parser.add_argument("--folder", type=Path, help="数据目录，保留以便再用")
    chosen = parser.parse_args(arguments)
    console = Console(width=160)
    os.environ.setdefault("YIWANG_DIGEST_KEY", "bench operational: not a secret")
    load = Load(chosen.rate, chosen.seconds, chosen.connections, chosen.workers)
    with ExitStack() as stack:
        folder = chosen.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yiwang-load-")))
        folder.mkdir(parents=True, exist_ok=True)
        watched: dict[str, psutil.Process] = {}
        url = None
        if chosen.database == "postgresql":
            from tests.support import postgres

            cluster = stack.enter_context(postgres.running())
            with cluster.connect() as connection:
                for setting in ("fsync = on", "full_page_writes = on", "autovacuum = on", "shared_buffers = '512MB'", "max_wal_size = '2GB'", "max_connections = 100"):
                    connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            cluster.restart()
            url = SecretStr(cluster.url_of(cluster.create()))
            watched["PostgreSQL"] = psutil.Process(int((cluster.folder / "data" / "postmaster.pid").read_text().split()[0]))
        settings = poured(folder, chosen.cases, url, console)
        if url is not None:
            with cluster.connect(url.get_secret_value().split("/")[3].split("?")[0]) as connection:
                connection.execute(b"VACUUM ANALYZE")
        console.print("　".join(f"{name} {value}" for name, value in machine().items() if name in ("processor", "cores", "memory_gib", "load", "python")))
        console.print(f"{chosen.database}，{chosen.cases:,} 件；开环 {chosen.rate:.0f} 次/秒，{chosen.seconds:.0f} 秒，服务进程 {chosen.workers}")
        measure(settings, load, console, watched)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
