"""One built home for all integration tests that only read it, or that change a copy of it."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.migration import upgrade
from models.store.operational.tables import Base
from pipelines.sample.service import write_sample
from tests.support.city import CASES, ENVIRONMENT, UNTIL, YIWANG
from tests.support.postgres import Server

LONGEST = ("test_run.py", "test_history.py", "test_upgrade.py", "test_operational_kills.py", "test_history_dims.py", "test_marts.py", "test_pouring.py")
"""Files that take a minute or more: begun first, none is left for the end, when one worker would do it while the other waits."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the others stay in their order."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


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
            done = subprocess.run([YIWANG, "run", "--home", str(home)], capture_output=True, text=True, check=False, env={**os.environ, **ENVIRONMENT, "YIWANG_QUALITY_RECOUNT": "true"})
            assert done.returncode == 0, done.stdout + done.stderr
            (home / "seconds").write_text(str(time.monotonic() - started))
    return home


@pytest.fixture(params=["sqlite", "postgresql"])
def settings_of_store(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of an operational database of the test's own, empty and without tables, on each kind of server: for tests of migrations."""
    if request.param == "sqlite":
        return Settings(home=tmp_path)
    server = request.getfixturevalue("postgres")
    return Settings(home=tmp_path, database_url=server.url_of(server.create()))


@pytest.fixture(scope="session")
def _migrated(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    url = postgres.url_of(postgres.create())
    opened = Database(Settings(home=tmp_path_factory.mktemp("migrated"), database_url=SecretStr(url)))
    upgrade(opened)
    opened.close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of ``database``."""
    if request.param == "sqlite":
        return Settings(home=tmp_path)
    return Settings(home=tmp_path, database_url=request.getfixturevalue("_migrated"))


@pytest.fixture
def database(database_settings: Settings) -> Iterator[Database]:
    """An operational database with its tables and no row, on each kind of server; PostgreSQL's is emptied, not made anew."""
    opened = Database(database_settings)
    upgrade(opened)
    if not opened.is_sqlite:
        with opened.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            connection.exec_driver_sql(f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY")
    yield opened
    opened.close()
