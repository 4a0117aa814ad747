"""A sync killed at any point loses nothing and doubles nothing: the next run completes it.

A real process is killed with SIGKILL at a named point; the same sources are synchronised again and compared
with a home in which nobody was killed. Run as a script, this file is the process that is killed.
"""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.domain.settings import Settings
from pipelines.sources import package
from pipelines.sources.service import SyncCount
from tests.support.killing import arm
from tests.support.sync import SyncHome, reconciles

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it

POINTS: dict[str, tuple[str, str, int]] = {
    # point: (what is patched, before or after it, at which call); the sync has three subjects
    "before the files are listed": ("pipelines.sources.kinds.file.list_files", "before", 1),
    "before files are compared": ("pipelines.sources.kinds.file.changed_files", "before", 2),
    "while rows are read": ("pipelines.sources.sync._rows", "before", 2),
    "after the extraction": ("dlt.pipeline.pipeline.Pipeline.extract", "after", 2),
    "after the normalisation": ("dlt.pipeline.pipeline.Pipeline.normalize", "after", 2),
    "before a file is parsed": ("pipelines.sources.formats.Records._spool_all", "before", 2),
    "while records wait": ("pipelines.sources.formats.Records._flush", "after", 2),
    "after vanished records are found": ("pipelines.sources.merge._delete_vanished", "after", 1),
    "before the merge": ("pipelines.sources.sync.merge", "before", 2),
    "after repeats are found": ("pipelines.sources.merge._find_repeats", "after", 2),
    "after rows are judged": ("pipelines.sources.merge._judge", "after", 2),
    "after old rows are removed": ("pipelines.sources.merge._apply", "after", 2),
    "after rows are written": ("pipelines.sources.merge._merge_records", "after", 2),
    "after rows are set aside": ("pipelines.sources.merge._set_aside", "after", 2),
    "before the commit": ("pipelines.sources.merge._note", "after", 2),
    "after the commit": ("pipelines.sources.sync.merge", "after", 2),
    "after the load": ("dlt.pipeline.pipeline.Pipeline.load", "after", 2),
    "after the package is removed": ("pipelines.sources.package.load", "after", 2),
    "before the last commit": ("pipelines.sources.merge._note", "after", 3),
    "after the last commit": ("pipelines.sources.sync.merge", "after", 3),
}


KILLS = 100
"""That landed, in the slow test."""
OTHER_FORMATS = ("before a file is parsed", "while records wait", "after vanished records are found")


def write(home: SyncHome, generation: int) -> None:
    """Sources as they stand before (1) and at (2) the sync that is killed: new, changed, late, deleted, repeated and broken rows."""
    randomly = random.Random(generation)  # noqa: S311
    header = ["case_number", "matter_code", "received_at", "updated_at", "gone"]
    for part in range(generation):
        rows = []
        for _ in range(60):
            at = "2026-02-30" if randomly.random() < 0.1 else f"2026-03-{randomly.randint(1, 28):02}"
            rows.append([f"C{randomly.randint(1, 90)}", f"M{randomly.randint(1, 3)}", "2026-01-01", at, randomly.choice(["", "", "", "1"])])
        home.csv(f"case{part}.csv", header, rows)
    for part in range(3 * generation):
        table = pa.table(
            {
                "case_number": [f"C{part}-{i}" for i in range(40)],
                "sequence": pa.array([i % 3 for i in range(40)], pa.int32()),
                "activity": [f"{randomly.randint(1, 2)}" for _ in range(40)],
                "occurred_at": ["2026-03-01" if i % 7 else "?" for i in range(40)],
                f"extra{part % 2}": ["x"] * 40,
            }
        )
        pq.write_table(table, home.folder / f"event{part}.parquet")
    home.csv("region.csv", ["region_code", "region_name"], [[i, generation] for i in range(20)])


def write_formats(home: SyncHome, generation: int) -> None:
    """The like in a workbook, JSON Lines and an event log, with rows that are set aside and records that vanish."""
    randomly = random.Random(generation)  # noqa: S311
    book = openpyxl.Workbook()
    for row in (["region_code", "region_name"], *([f"R{i}", generation if i % 5 else "=A1"] for i in range(generation, 20))):
        book.worksheets[0].append(row)
    book.save(home.folder / "region.xlsx")
    for part in range(generation):
        lines = [json.dumps({"case_number": f"C{randomly.randint(1, 90)}", "matter_code": randomly.randint(1, 3), "updated_at": f"2026-03-{i % 28 + 1:02}"}) for i in range(60)]
        (home.folder / f"case{part}.jsonl").write_text("\n".join([*lines, '{"broken', ""]))
    traces = []
    for i in range(40 * generation):
        events = "".join(f"<event><string key='concept:name' value='{randomly.randint(1, 2)}'/><date key='time:timestamp' value='{'?' if i % 7 == 0 else '2026-03-01'}'/></event>" for _ in range(3))
        traces.append(f"<trace><string key='concept:name' value='C{i}'/><int key='spare' value='1'/>{events}</trace>")
    (home.folder / "log.xes").write_text(f"<log>{''.join(traces)}</log>")


def open_home(folder: Path) -> SyncHome:
    return SyncHome(folder, Settings(home=folder / "home", threads=1, memory_limit="1GB"))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after a first sync, with the sources of the second in place."""
    home = SyncHome.make(tmp_path_factory.mktemp("before"))
    home.configure(
        {"subject": "region", "location": "region.csv"},
        {"subject": "case", "location": "case*.csv", "cursor": "updated_at", "deleted": "gone"},
        {"subject": "case_event", "location": "event*.parquet"},
    )
    write(home, 1)
    home.sync()
    write(home, 2)
    return home.folder


@pytest.fixture(scope="module")
def formats_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The like of ``before`` in the other formats; the call numbers of ``POINTS`` fit here too."""
    home = SyncHome.make(tmp_path_factory.mktemp("formats"))
    home.configure(
        {"subject": "region", "location": "region.xlsx", "vanished": "delete"},
        {"subject": "case", "location": "case*.jsonl", "cursor": "updated_at"},
        {"subject": "case_event", "location": "log.xes", "fields": {"case_number": "case:concept:name", "sequence": "event:sequence", "activity": "concept:name", "occurred_at": "time:timestamp"}},
    )
    write_formats(home, 1)
    home.sync()
    write_formats(home, 2)
    return home.folder


@pytest.fixture(scope="module")
def formats_expected(formats_before: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("unkilled") / "city"
    shutil.copytree(formats_before, folder)
    home = open_home(folder)
    return outcome(home, home.sync())


@pytest.fixture(scope="module")
def expected(before: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("unkilled") / "city"
    shutil.copytree(before, folder)
    home = open_home(folder)
    return outcome(home, home.sync())


def outcome(home: SyncHome, counts: list[SyncCount]) -> dict[str, Any]:
    """All that must not depend on a kill: rows, what is set aside, what was counted since the first run, files."""
    rows = {
        table: sorted(map(str, home.rows(f'SELECT * EXCLUDE (_file_id, _run_seq), _run_seq > 1 FROM raw."{table}"')))
        for table in ("region", "case", "case_event")
    }
    numbers: Counter[str] = Counter()
    for row in home.rows("SELECT subject, rows_read, inserted, updated, unchanged, superseded, deleted, quarantined FROM ops.sync_count WHERE run_seq > 1"):
        assert row[1] == sum(row[2:])
        numbers.update({f"{row[0]} {i}": n for i, n in enumerate(row[1:])})
    assert all(reconciles(count) for count in counts)
    return rows | {
        "quarantine": sorted(map(str, home.rows("SELECT * EXCLUDE (run_id, _run_seq) FROM raw.quarantine"))),
        "counts": +numbers,
        "files": sorted(map(str, home.rows("SELECT source, subject, path, fingerprint FROM ops.source_file"))),
        "sources of rows": sorted(map(str, home.rows("SELECT f.path, e.case_number FROM raw.case_event AS e JOIN ops.source_file AS f ON f.file_id = e._file_id"))),
        "columns": sorted(set(home.rows("SELECT column_name FROM ops.unmapped_column"))),
    }


def start(folder: Path, point: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, str(folder), point], cwd=Path(__file__).parents[2])  # noqa: S603


@pytest.mark.parametrize("points", [[point] for point in POINTS if point not in OTHER_FORMATS] + [["after the extraction", "before the commit"], ["after the commit", "after the commit"]], ids=" then ".join)
def test_a_kill_loses_and_doubles_nothing(before: Path, expected: dict[str, Any], tmp_path: Path, points: list[str]) -> None:
    folder = tmp_path / "city"
    shutil.copytree(before, folder)
    for point in points:
        assert start(folder, point).wait() == -signal.SIGKILL
    home = open_home(folder)
    assert outcome(home, home.sync()) == expected
    assert home.rows("SELECT DISTINCT state FROM ops.run WHERE run_seq BETWEEN 2 AND ?", 1 + len(points)) == ["failed"]
    assert all(count.rows_read == 0 for count in home.sync())


@pytest.mark.parametrize("point", ["before a file is parsed", "while records wait", "after the extraction", "after vanished records are found", "before the commit", "after the commit"])
def test_a_kill_while_other_formats_are_read(formats_before: Path, formats_expected: dict[str, Any], tmp_path: Path, point: str) -> None:
    folder = tmp_path / "city"
    shutil.copytree(formats_before, folder)
    assert start(folder, point).wait() == -signal.SIGKILL
    home = open_home(folder)
    assert outcome(home, home.sync()) == formats_expected
    assert [path for path in (home.settings.work / "duckdb_tmp").iterdir() if path.suffix in (".rows", ".utf8")] == []


@pytest.mark.slow
def test_a_kill_at_a_hundred_random_moments(before: Path, expected: dict[str, Any], formats_before: Path, formats_expected: dict[str, Any], tmp_path: Path) -> None:
    """Moments spread over what a whole sync takes here; up to three kills before one that is left alone."""
    sides = [(before, expected), (formats_before, formats_expected)]
    takes = []
    for place, (folder, _) in enumerate(sides):
        shutil.copytree(folder, tmp_path / f"timed{place}")
        began = time.monotonic()
        assert start(tmp_path / f"timed{place}", "nowhere").wait() == 0
        takes.append(time.monotonic() - began)
    randomly = random.Random(2026)
    kills = 0
    while kills < KILLS:
        place = randomly.randrange(2)
        folder = tmp_path / "city"
        shutil.copytree(sides[place][0], folder)
        for _ in range(randomly.randint(1, 3)):
            process = start(folder, "nowhere")
            time.sleep(randomly.uniform(0.1, 1) * takes[place])
            process.kill()
            if process.wait() == -signal.SIGKILL:
                kills += 1
            else:  # it was done before: the machine is faster now than when it was timed
                takes[place] *= 0.95
                break
        home = open_home(folder)
        assert outcome(home, home.sync()) == sides[place][1], f"kill {kills}"
        assert all(count.rows_read == 0 for count in home.sync())
        shutil.rmtree(folder)
    assert kills >= KILLS


@pytest.mark.parametrize("seconds", [0.7, 1.0, 1.2, 1.4])
def test_a_kill_at_any_moment(before: Path, expected: dict[str, Any], tmp_path: Path, seconds: float) -> None:
    folder = tmp_path / "city"
    shutil.copytree(before, folder)
    process = start(folder, "nowhere")
    time.sleep(seconds)
    process.kill()
    process.wait()
    home = open_home(folder)
    assert outcome(home, home.sync()) == expected


@pytest.mark.parametrize("point", ["after the extraction", "after the normalisation", "before the commit"])
def test_a_left_over_package_is_resumed_not_read_again(before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    folder = tmp_path / "city"
    shutil.copytree(before, folder)
    assert start(folder, point).wait() == -signal.SIGKILL
    read = []
    load = package.load
    monkeypatch.setattr(package, "load", lambda *arguments: read.append(arguments[1]) or load(*arguments))
    counts = open_home(folder).sync()
    assert read == ["city__case_event"]
    assert [count.rows_read for count in counts] == [0, 120, 240]


def test_files_read_before_a_left_over_package_is_resumed_keep_apart_from_it(before: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    """New files that another subject brings in the meantime must not take the numbers that the package holds."""
    folder = tmp_path / "city"
    shutil.copytree(before, folder)
    assert start(folder, "after the extraction").wait() == -signal.SIGKILL
    home = open_home(folder)
    home.yml.write_text(home.yml.read_text().replace("location: region.csv", "location: region*.csv"))
    home.csv("region_new.csv", ["region_code", "region_name"], [["new", 2]])
    home.sync(["region"])
    found = outcome(home, home.sync())
    assert {name: found[name] for name in ("case", "case_event", "quarantine", "sources of rows")} == {
        name: expected[name] for name in ("case", "case_event", "quarantine", "sources of rows")
    }
    assert len(found["files"]) == len(expected["files"]) + 1
    assert home.rows("SELECT count(*) FROM ops.source_file GROUP BY file_id HAVING count(*) > 1") == []


def test_a_left_over_package_of_other_settings_is_dropped(before: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "city"
    shutil.copytree(before, folder)
    assert start(folder, "after the extraction").wait() == -signal.SIGKILL
    home = open_home(folder)
    home.yml.write_text(home.yml.read_text().replace("cursor: updated_at", "zone: UTC\n  cursor: updated_at"))
    home.sync()
    (at,) = home.rows('SELECT DISTINCT received_at::VARCHAR FROM raw."case" WHERE _run_seq > 2')
    assert at == "2026-01-01 00:00:00+00"


def test_a_damaged_package_is_read_again(before: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "city"
    shutil.copytree(before, folder)
    assert start(folder, "after the normalisation").wait() == -signal.SIGKILL
    left = list((folder / "home" / "work" / "dlt").rglob("*.parquet"))
    assert left
    for path in left:
        path.write_bytes(path.read_bytes()[:100])
    home = open_home(folder)
    assert outcome(home, home.sync()) == expected


def _main(folder: Path, point: str) -> None:
    if point in POINTS:
        arm(*POINTS[point])
    open_home(folder).sync()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
