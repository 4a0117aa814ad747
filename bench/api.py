"""How fast the warehouse API answers with a million cases, beside the plain way of writing the same list.

    python bench/api.py [--cases 1000000] [--seconds 12] [--folder data/bench]

Makes its snapshot when the folder has none, then runs each server in a process of its own and asks it from this
machine with one and with eight clients. Prints the mix, p50/p95/p99 of each kind of question, requests a second and
the share of the machine that the clients themselves used. Every question has new parameters, so that neither ETags
nor remembered answers help; the last line shows what they do for repeated questions.

The plain way: one FastAPI handler that opens the database for each request, filters, and pages by OFFSET over the
marts as the run left them.
"""

import argparse
import multiprocessing
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx
import psutil

from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from tests.support.snapshots import AS_OF, RUN_ID, write_marts

CASES = "/api/v1/warehouse/cases"
MATTERS = 1621
MIX = ("部门+月份", "事项", "超期", "渠道+办结", "办件编号", "下一页")


@dataclass(frozen=True)
class Seen:
    """What one client saw."""

    times: dict[str, list[float]]
    asked: int
    processor_seconds: float
    failed: int


def questions(seed: int, path: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The default mix, in turn, with parameters that hardly repeat."""
    draw = random.Random(seed)  # noqa: S311 (a benchmark)
    while True:
        matter, bureau, month = draw.randrange(MATTERS), draw.randrange(24), draw.randrange(17)
        year, number = 2025 + month // 12, 1 + month % 12
        days = {"received_from": f"{year}-{number:02d}-01", "received_to": f"{year}-{number:02d}-{draw.randrange(20, 29)}"}
        limit = draw.randrange(40, 61)
        yield MIX[0], path, {"department_code": f"11430104{bureau:09d}K", **days, "limit": limit}
        yield MIX[1], path, {"matter_code": f"11430104{matter % 24:09d}K4370{matter:08d}", "limit": limit}
        yield MIX[2], path, {"is_late": "true", "received_to": f"{year}-{number:02d}-{draw.randrange(1, 29):02d}", "limit": limit}
        yield MIX[3], path, {"channel_code": draw.choice("1235"), "is_completed": "true", "limit": limit, "received_to": days["received_to"]}
        case = draw.randrange(1_000_000)
        yield MIX[4], path, {"case_number": f"4301{25:02d}{number:02d}{draw.randrange(1, 29):02d}{case:08d}"}
        yield MIX[5], path, {"department_code": f"11430104{bureau:09d}K", "is_completed": "true", "limit": limit}


def ask(address: str, path: str, seed: int, until: float, by_offset: bool, same: bool) -> Seen:
    """One client: asks in turn until the time is over; a next page is timed, the page before it is not."""
    times: dict[str, list[float]] = {kind: [] for kind in MIX}
    asked = failed = 0
    before = time.process_time()
    source = questions(seed, path)
    fixed = [next(source) for _ in range(len(MIX))]
    with httpx.Client(base_url=address, timeout=60) as client:
        while time.time() < until:
            for kind, where, wanted in fixed if same else (next(source) for _ in MIX):
                if kind == MIX[5]:
                    first = client.get(where, params=wanted)
                    asked += 1
                    if by_offset:
                        wanted = {**wanted, "offset": wanted["limit"]}
                    else:
                        wanted = {**wanted, "cursor": first.json().get("next")}
                started = time.perf_counter()
                answer = client.get(where, params=wanted)
                times[kind].append((time.perf_counter() - started) * 1e3)
                asked += 1
                failed += answer.status_code != 200
    return Seen(times, asked, time.process_time() - before, failed)


def _wait_at(gate: Any) -> None:
    gate.wait()


def measure(title: str, server: "Server", path: str, clients: int, seconds: float, by_offset: bool = False, same: bool = False) -> float:
    """Runs clients, prints what they saw, and returns p95 over all kinds in milliseconds."""
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(clients + 1)
    with context.Pool(clients, initializer=_wait_at, initargs=(gate,)) as pool:
        gate.wait()  # every client has started
        work = [(server.address, path, 1000 * clients + number + 1, time.time() + seconds, by_offset, same) for number in range(clients)]
        started, busy = time.time(), server.processor_seconds()
        seen = pool.starmap(ask, work, chunksize=1)
        elapsed, busy = time.time() - started, server.processor_seconds() - busy
    every = [one for each in seen for times in each.times.values() for one in times]
    asked = sum(each.asked for each in seen)
    share = sum(each.processor_seconds for each in seen) / elapsed / (os.cpu_count() or 1)
    say(f"{title} · {clients} 客户端：{asked / elapsed:.0f} 次/秒，失败 {sum(each.failed for each in seen)}；服务端每次 {busy / asked * 1e3:.1f} 毫秒处理器时间，"
        f"客户端自身占用 {share:.0%} 的处理器；机器负载 {os.getloadavg()[0]:.1f}")
    for kind in MIX:
        say(f"    {kind:<8}{figures([one for each in seen for one in each.times[kind]])}")
    say(f"    {'全部':<8}{figures(every)}")
    return quantile(every, 95)


def figures(times: list[float]) -> str:
    """p50, p95, p99 in milliseconds."""
    return "".join(f"  p{share} {quantile(times, share):7.1f} ms" for share in (50, 95, 99)) if len(times) > 1 else "  –"


def quantile(times: list[float], share: int) -> float:
    """A percentile."""
    return statistics.quantiles(times, n=100, method="inclusive")[share - 1]


class Server:
    """A server in a process of its own, for the time of a ``with`` block."""

    def __init__(self, script: str, *arguments: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-c", script, str(self.port), *arguments]

    def processor_seconds(self) -> float:
        """Processor time that it has used so far."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def __enter__(self) -> "Server":
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 (its own interpreter)
        for _ in range(300):
            try:
                httpx.get(self.address + "/health")
                return self
            except httpx.TransportError:
                time.sleep(0.1)
        raise SystemExit("server did not start")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


OURS = """
import sys
from pathlib import Path
from models.domain.settings import Settings
from serving.app import serve
serve(Settings(home=Path(sys.argv[2]), dev=True, port=int(sys.argv[1])))
"""

PLAIN = """
import sys
import duckdb, uvicorn
from fastapi import FastAPI, Request
app = FastAPI()
@app.get("/health")
def health(): return "ok"
@app.get("/cases")
def cases(request: Request, limit: int = 50, offset: int = 0):
    tests = {"received_from": "received_on >= ?", "received_to": "received_on <= ?"}
    given = {name: value for name, value in request.query_params.items() if name not in ("limit", "offset")}
    where = " AND ".join(tests.get(name, name + " = ?") for name in given) or "true"
    with duckdb.connect(sys.argv[2], read_only=True) as connection:
        sql = "SELECT * FROM marts.fct_case WHERE " + where
        sql += " ORDER BY received_at DESC NULLS LAST, source, case_number LIMIT ? OFFSET ?"
        result = connection.execute(sql, [*given.values(), limit, offset])
        names = [column[0] for column in result.description]
        return [dict(zip(names, row)) for row in result.fetchall()]
uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
"""


def prepare(folder: Path, cases: int) -> Settings:
    """A home with a published snapshot of that many cases, made when absent."""
    settings = Settings(home=folder / f"api-{cases}")
    store = SnapshotStore(settings, memory_limit="3GB")
    if store.current() is None:
        settings.marts.unlink(missing_ok=True)
        started = time.time()
        write_marts(settings.marts, cases, MATTERS)
        made = time.time()
        store.publish(settings.marts, RUN_ID, AS_OF)
        say(f"生成 {cases:,} 件 {made - started:.1f} 秒；发布（含按收件时间重排）{time.time() - made:.1f} 秒")
    with duckdb.connect(str(settings.marts), read_only=True) as connection:
        found = connection.execute("SELECT count(*) FROM marts.fct_case").fetchone()
    say(f"办件 {found[0] if found else 0:,}，处理器 {os.cpu_count()} 个；问题依次为 {'、'.join(MIX)}，参数每次不同，每页 40–60 行")
    return settings


def say(line: str) -> None:
    """A line for people."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description="接口速度")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--folder", type=Path, default=Path("data/bench"))
    chosen = parser.parse_args()
    settings = prepare(chosen.folder, chosen.cases)
    slow = {}
    with Server(PLAIN, str(settings.marts)) as server:
        for clients in (1, 8):
            slow[clients] = measure("平铺直叙的写法", server, "/cases", clients, chosen.seconds, by_offset=True)
    with Server(OURS, str(settings.home)) as server:
        for clients, target in ((1, 50), (8, 150)):
            ours = measure("一网接口", server, CASES, clients, chosen.seconds)
            say(f"==  {clients} 客户端 p95 {ours:.1f} ms（目标 ≤ {target} ms），为平铺写法的 1/{slow[clients] / ours:.1f}")
        measure("一网接口，重复的问题", server, CASES, 8, chosen.seconds / 2, same=True)


if __name__ == "__main__":
    main()
