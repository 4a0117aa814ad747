"""A sync of several pages killed at any point loses nothing and doubles nothing: the next one goes on.

As tests/integration/test_sync_kill.py, with a real PostgreSQL server. Run as a script, this file is the process that
is killed.
"""

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.domain.settings import Settings
from tests.support.killing import arm
from tests.support.postgres import Server
from tests.support.sql import office
from tests.support.sync import SyncHome

POINTS: dict[str, tuple[str, str, int]] = {
    # point: (what is patched, before or after it, at which call); loads: deletions, what was late, four pages, keys
    "before the first statement": ("pipelines.sources.databases.postgres.Postgres.describe", "before", 1),
    "before the deletions are merged": ("pipelines.sources.merge._note", "before", 1),
    "after the deletions": ("pipelines.sources.sync.merge", "after", 1),
    "after what was late": ("pipelines.sources.sync.merge", "after", 2),
    "after a page is extracted": ("dlt.pipeline.pipeline.Pipeline.extract", "after", 4),
    "before a page is committed": ("pipelines.sources.merge._note", "after", 4),
    "after a page": ("pipelines.sources.sync.merge", "after", 4),
    "before the keys are merged": ("pipelines.sources.merge._delete_vanished", "before", 1),
}
TABLES = """
CREATE TABLE kase (case_number text, matter_code text, received_at text, updated_at timestamptz, gone boolean);
CREATE TABLE gone (number text, at timestamptz);
INSERT INTO kase SELECT 'C' || i, 'M1', CASE WHEN i % 9 = 0 THEN '?' END, timestamptz '2026-03-01' + i / 3 * interval '1 min', false FROM generate_series(1, 40) AS i;
"""
CHANGES = """
INSERT INTO gone VALUES ('C1', '2026-04-01'), ('C2', '2026-04-01');
DELETE FROM kase WHERE case_number IN ('C1', 'C2', 'C3', 'C4');
UPDATE kase SET matter_code = 'M2' WHERE case_number IN ('C5', 'C6', 'C7');
UPDATE kase SET received_at = '2026-01-01' WHERE case_number = 'C9';
UPDATE kase SET matter_code = 'M3', updated_at = '2026-03-05' WHERE case_number IN ('C10', 'C11', 'C12');
UPDATE kase SET gone = true, updated_at = '2026-03-06' WHERE case_number = 'C13';
INSERT INTO kase SELECT 'C' || i, 'M1', CASE WHEN i % 9 = 0 THEN '?' END, timestamptz '2026-03-06' + i / 3 * interval '1 min', false FROM generate_series(41, 72) AS i;
"""


def open_home(folder: Path) -> SyncHome:
    return SyncHome(folder, Settings(home=folder / "home", threads=1, memory_limit="1GB"))


@pytest.fixture(scope="module")
def before(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home after a first sync, and the changes made that the second one finds."""
    home = SyncHome.make(tmp_path_factory.mktemp("before"))
    with office(postgres, home, TABLES) as town:
        deletions = {"table": "gone", "key": ["number"], "at": "at"}
        town.configure(page_rows=11, deletions=deletions, vanished="delete")
        home.sync()
        town.do(CHANGES)
        yield home.folder


@pytest.fixture(scope="module")
def expected(before: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("unkilled") / "city"
    shutil.copytree(before, folder)
    home = open_home(folder)
    found = outcome(home, home.sync())
    assert {"inserted", "updated", "deleted", "quarantined"} <= set(found["counts"])
    return found


def outcome(home: SyncHome, _: Any) -> dict[str, Any]:
    """All that must not depend on a kill: rows, what is set aside, what was counted since the first run."""
    numbers: Counter[str] = Counter()
    names = ("rows_read", "inserted", "updated", "unchanged", "superseded", "deleted", "quarantined")
    for row in home.rows(f"SELECT {', '.join(names)} FROM ops.sync_count WHERE run_seq > 1"):
        assert row[0] == sum(row[1:])
        numbers.update(dict(zip(names, row, strict=True)))
    return {
        "rows": home.rows('SELECT * EXCLUDE (_file_id, _file_row, _run_seq), _run_seq > 1 FROM raw."case" ORDER BY case_number'),
        "quarantine": home.rows("SELECT record_key, reason, raw, file FROM raw.quarantine ORDER BY 1"),
        "counts": +numbers,
        "position": home.rows("SELECT json_extract(position, '$.rows.at'), json_extract(position, '$.deletions.at') FROM ops.source_position"),
    }


OFTEN = ("after the deletions", "after what was late", "before a page is committed", "after a page")


@pytest.mark.parametrize("point", [point if point in OFTEN else pytest.param(point, marks=pytest.mark.slow) for point in POINTS])
def test_a_kill_loses_and_doubles_nothing(before: Path, expected: dict[str, Any], tmp_path: Path, point: str) -> None:
    folder = tmp_path / "city"
    shutil.copytree(before, folder)
    killed = subprocess.run([sys.executable, __file__, str(folder), point], cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    home = open_home(folder)
    assert outcome(home, home.sync()) == expected


def _main(folder: Path, point: str) -> None:
    arm(*POINTS[point])
    open_home(folder).sync()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
