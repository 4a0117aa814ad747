"""One built home for all integration tests that only read it, or that change a copy of it."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.migration import upgrade
from pipelines.sample.service import write_sample
from tests.support.city import CASES, ENVIRONMENT, UNTIL, YIWANG


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after the first run of a city of 1,000 cases with planted errors; nobody writes into it (copy it).

    It is built once for all workers; digests use the key of ``tests.support.city``; ``seconds`` says how long the run took.
    """
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    home = shared / "city"
    with (shared / "city.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "snapshots" / "current.json").exists():
            write_sample(home, cases=CASES, until=UNTIL, errors=0.02)
            started = time.monotonic()
            done = subprocess.run([YIWANG, "run", "--home", str(home)], capture_output=True, text=True, check=False, env={**os.environ, **ENVIRONMENT})
            assert done.returncode == 0, done.stdout + done.stderr
            (home / "seconds").write_text(str(time.monotonic() - started))
    return home


@pytest.fixture(params=["sqlite", "postgresql"])
def settings_of_store(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of an operational database of the test's own, empty and without tables, on each kind of server."""
    if request.param == "sqlite":
        return Settings(home=tmp_path)
    server = request.getfixturevalue("postgres")
    return Settings(home=tmp_path, database_url=server.url_of(server.create()))


@pytest.fixture
def database(settings_of_store: Settings) -> Iterator[Database]:
    """An operational database with its tables, on each kind of server."""
    opened = Database(settings_of_store)
    upgrade(opened)
    yield opened
    opened.close()
