"""Working files that are damaged: what a run puts away, and what it says of the rest."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.run.execution import named_errors
from pipelines.warehouse.books import mend

DAMAGES = [lambda whole: whole[:50_000], lambda whole: b"no database", lambda whole: whole[:100], lambda whole: b""]
DAMAGE_NAMES = ["truncated", "something else", "its beginning", "empty"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two working files with rows enough to have a middle."""
    made = Settings(home=tmp_path, threads=1)
    made.work.mkdir()
    for path in (made.warehouse, made.marts):
        with duckdb.connect(str(path)) as connection:
            connection.execute("CREATE TABLE t AS SELECT sha256(range::VARCHAR) AS s FROM range(50000)")
    return made


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 262_144] = bytes(byte ^ 0xFF for byte in content[middle : middle + 262_144])
    path.write_bytes(content)


def read(path: Path) -> None:
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SELECT max(hash(s)) FROM t").fetchall()


@pytest.mark.parametrize("damage", DAMAGES, ids=DAMAGE_NAMES)
def test_marts_that_cannot_be_opened_are_put_away(settings: Settings, damage: object) -> None:
    settings.marts.write_bytes(damage(settings.marts.read_bytes()))  # type: ignore[operator]
    mend(settings)
    assert not settings.marts.exists() or settings.marts.stat().st_size == 0
    read(settings.warehouse)


@pytest.mark.parametrize("damage", DAMAGES[:3], ids=DAMAGE_NAMES[:3])
def test_a_warehouse_that_cannot_be_opened_is_its_owners(settings: Settings, damage: object) -> None:
    damaged = damage(settings.warehouse.read_bytes())  # type: ignore[operator]
    settings.warehouse.write_bytes(damaged)
    with pytest.raises(YiwangError) as raised:
        mend(settings)
    assert raised.value.code == "YW-RUN-006" and str(settings.warehouse) in raised.value.message
    assert settings.warehouse.read_bytes() == damaged


def test_a_run_that_meets_damage_says_in_which_file(settings: Settings) -> None:
    flip(settings.marts)
    mend(settings)
    with pytest.raises(YiwangError) as raised, named_errors(settings):
        read(settings.marts)
    assert raised.value.code == "YW-RUN-010" and not settings.marts.exists(), "the next run makes it anew"
    flip(settings.warehouse)
    with pytest.raises(YiwangError) as raised, named_errors(settings):
        read(settings.warehouse)
    assert raised.value.code == "YW-RUN-006" and settings.warehouse.exists()
    assert str(settings.warehouse) in raised.value.message


def test_damage_of_another_file_is_not_laid_to_ours(settings: Settings, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    other.write_bytes(settings.warehouse.read_bytes())
    flip(other)
    with pytest.raises(YiwangError) as raised, named_errors(settings):
        read(other)
    assert raised.value.code == "YW-RUN-002"
    read(settings.warehouse)


def test_a_run_waits_for_what_a_killed_run_left_open(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.warehouse.parent.mkdir(parents=True)
    holding = "import duckdb, sys, time; duckdb.connect(sys.argv[1]); print('held', flush=True); time.sleep(1)"
    with subprocess.Popen([sys.executable, "-c", holding, str(settings.warehouse)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        mend(settings)
        duckdb.connect(str(settings.warehouse)).close()
