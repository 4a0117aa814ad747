"""Fixtures that more than one room's tests need."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from models.domain.settings import Settings
from tests.support import postgres as postgres_support
from tests.support.examples import examples
from tests.support.postgres import Server
from tests.support.snapshots import publish

# A shared machine may be slow: a test fails for what it finds, never for how long it took.
hypothesis_settings.register_profile("yiwang", deadline=None, max_examples=examples(100))
hypothesis_settings.load_profile("yiwang")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Property tests are marked as such: `make test-all` runs them once more with all their examples."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.property)


@pytest.fixture(scope="session")
def _published_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    publish(Settings(home=home))
    return home


@pytest.fixture
def snapshot_settings(_published_home: Path, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a home of its own with one published snapshot: a few hundred believable rows in every mart."""
    home = tmp_path / "home"
    (home / "snapshots").mkdir(parents=True)
    for file in (_published_home / "snapshots").glob("*.duckdb"):
        (home / "snapshots" / file.name).hardlink_to(file)
    shutil.copy(_published_home / "snapshots" / "current.json", home / "snapshots")
    yield Settings(home=home)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server for the whole session; ``create()`` gives a test its own database."""
    if (reason := postgres_support.missing()) is not None:
        pytest.skip(reason)
    with postgres_support.running() as server:
        yield server
