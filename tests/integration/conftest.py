"""One built home for all integration tests that only read it, or that change a copy of it."""

import fcntl
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from pipelines.sample.service import write_sample

CITY_CASES, CITY_UNTIL = 1000, date(2026, 6, 29)
YIWANG = str(Path(sys.executable).with_name("yiwang"))


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after the first run of a city of 1,000 cases with planted errors; nobody writes into it (copy it).

    It is built once for all workers; digests use the key ``a key for tests only``.
    """
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    home = shared / "city"
    with (shared / "city.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "snapshots" / "current.json").exists():
            write_sample(home, cases=CITY_CASES, until=CITY_UNTIL, errors=0.02)
            environment = {**os.environ, "YIWANG_DIGEST_KEY": "a key for tests only"}
            done = subprocess.run([YIWANG, "run", "--home", str(home)], capture_output=True, text=True, check=False, env=environment)
            assert done.returncode == 0, done.stdout + done.stderr
    return home
