"""Processes are measured with their children."""

import sys
from pathlib import Path

import pytest

from bench.processes import measure

BUSY = "sum(i * i for i in range(2_000_000))"


def test_children_count(tmp_path: Path) -> None:
    alone = measure([sys.executable, "-c", BUSY], {}, tmp_path / "log")
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r} + '; ' + {BUSY!r}])"
    with_child = measure([sys.executable, "-c", child], {}, tmp_path / "log")
    assert with_child.processor_seconds > alone.processor_seconds > 0


def test_memory_of_a_child_counts(tmp_path: Path) -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; held = bytearray(200 << 20); time.sleep(1)'])"
    assert measure([sys.executable, "-c", script], {}, tmp_path / "log").peak_bytes > 200 << 20


def test_environment_and_output(tmp_path: Path) -> None:
    usage = measure([sys.executable, "-c", "import os; print(os.environ['BENCH_WORD'])"], {"BENCH_WORD": "词"}, tmp_path / "log")
    assert usage.output == "词\n"


def test_a_failure_shows_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="以 3 结束(?s:.*)why"):
        measure([sys.executable, "-c", "import sys; sys.stderr.write('why'); sys.exit(3)"], {}, tmp_path / "log")
