"""Whole processes, measured: wall time, processor time, and memory of the process with all its children."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_EVERY_SECONDS = 0.05


@dataclass(frozen=True)
class Usage:
    """What a process and its children used.

    Attributes:
        wall_seconds: From start to end.
        processor_seconds: User and system time, of the children that were waited for too.
        peak_bytes: Largest sum of resident memory, sampled; pages that processes share count in each.
        output: What it wrote to its standard output.
        spilled_bytes: Largest size of the folder that was watched, sampled.
    """

    wall_seconds: float
    processor_seconds: float
    peak_bytes: int
    output: str
    spilled_bytes: int = 0


def measure(command: Sequence[str], environment: Mapping[str, str], log: Path, spill: Path | None = None) -> Usage:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        environment: Added to the environment of this process.
        log: File that gets standard output and standard error.
        spill: Folder into which it spills, to be watched.

    Raises:
        RuntimeError: It ended with another exit code than 0; the message ends with its last lines.
    """
    with log.open("w+b") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603 - our own commands
        peak = [0, 0]
        watcher = threading.Thread(target=_watch, args=(process.pid, peak, spill))
        watcher.start()
        # wait4 tells what this child and those that it waited for used; psutil would miss children that have ended
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        watcher.join()
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} 以 {process.returncode} 结束：\n" + "\n".join(text.splitlines()[-20:]))
    return Usage(wall, used.ru_utime + used.ru_stime, peak[0], text, peak[1])


def _watch(pid: int, peak: list[int], spill: Path | None) -> None:
    while True:
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return
            resident = 0
            for one in [process, *process.children(recursive=True)]:
                try:
                    resident += one.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
        except psutil.NoSuchProcess:
            return
        peak[0] = max(peak[0], resident)
        if spill is not None:
            peak[1] = max(peak[1], _size(spill))
        time.sleep(_EVERY_SECONDS)


def _size(folder: Path) -> int:
    size = 0
    for path in folder.glob("*"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:  # spilled blocks come and go
            continue
    return size
