"""Real data at the raw layer: every fact of its description, through the examples of the documentation."""

import os
from pathlib import Path
from typing import Any

import pytest

from models.domain.settings import Settings
from pipelines.sources import service
from pipelines.sources.service import SyncCount
from tests.support.sync import SyncHome, numbers

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it
ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"


def synchronised(example: str, home: Path) -> tuple[SyncHome, list[SyncCount]]:
    variable = f"YIWANG_{example.upper()}_DIR"
    folder = Path(os.environ.get(variable) or DATA / example)
    if not folder.is_dir():
        pytest.skip(f"real data not here: set {variable} or put it at ../shared/data/{example}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, str(folder))
        file = service.load_sources(ROOT / "examples" / f"{example}.sources.yml")
    settings = Settings(home=home)
    service.prepare(settings)
    return SyncHome(home, settings), service.sync(settings, file, service.start_run(settings))


@pytest.fixture(scope="module")
def permits(tmp_path_factory: pytest.TempPathFactory) -> tuple[SyncHome, list[SyncCount]]:
    return synchronised("permits", tmp_path_factory.mktemp("permits"))


@pytest.fixture(scope="module")
def matters(tmp_path_factory: pytest.TempPathFactory) -> tuple[SyncHome, list[SyncCount]]:
    return synchronised("matters", tmp_path_factory.mktemp("matters"))


PERMITS = {
    "events": ("SELECT count(*) FROM raw.case_event", 8577),
    "cases": ('SELECT count(*) FROM raw."case"', 1434),
    "activities": ("SELECT count(DISTINCT activity) FROM raw.case_event", 27),
    "variants": (
        "SELECT count(DISTINCT path) FROM (SELECT string_agg(activity, '→' ORDER BY occurred_at, _file_row) AS path FROM raw.case_event GROUP BY case_number)", 116,
    ),
    "finished": ('SELECT count(completed_at) FROM raw."case"', 1329),
    "after the deadline": ('SELECT count(*) FROM raw."case" WHERE completed_at > source_due_at', 377),
    "after the planned end": ('SELECT count(*) FROM raw."case" WHERE completed_at > source_planned_at', 389),
    "without an end": ('SELECT count(*) FROM raw."case" WHERE completed_at IS NULL', 105),
    "end before start": ('SELECT count(*) FROM raw."case" WHERE completed_at < received_at', 2),
    "events after the end": ('SELECT count(*) FROM raw.case_event AS e JOIN raw."case" AS c USING (case_number) WHERE e.occurred_at > c.completed_at', 180),
    "departments": ("SELECT count(*) FROM raw.department", 3),
    "channels": ('SELECT count(DISTINCT channel_code) FROM raw."case"', 4),
    "no group": ("SELECT count(*) FROM raw.case_event WHERE department_name IS NULL", 1936),
    "set aside": ("SELECT count(*) FROM raw.quarantine", 0),
}


@pytest.mark.parametrize("fact", PERMITS)
def test_permit_log(permits: tuple[SyncHome, list[SyncCount]], fact: str) -> None:
    query, expected = PERMITS[fact]
    assert permits[0].rows(query) == [expected]


def test_the_permit_log_is_counted_three_times(permits: tuple[SyncHome, list[SyncCount]]) -> None:
    assert {count.subject: numbers(count) for count in permits[1]} == {
        "department": {"rows_read": 8577, "inserted": 3, "superseded": 8574},
        "case": {"rows_read": 8577, "inserted": 1434, "superseded": 7143},
        "case_event": {"rows_read": 8577, "inserted": 8577},
    }
    assert {count.unmapped for count in permits[1]} == {("case:group",)}


def test_the_horizon_of_the_permit_log_is_its_last_time(permits: tuple[SyncHome, list[SyncCount]]) -> None:
    (last,) = permits[0].rows('SELECT greatest((SELECT max(completed_at) FROM raw."case"), (SELECT max(occurred_at) FROM raw.case_event))')
    assert service.horizon(permits[0].settings) == last


MATTERS: dict[str, tuple[str, Any]] = {
    "matters": ("SELECT count(*) FROM raw.matter", 1135),
    "codes": ("SELECT min(length(matter_code)) || '–' || max(length(matter_code)) FROM raw.matter", "23–55"),
    "departments": ("SELECT count(*) FROM raw.department", 34),
    "departments of matters": ("SELECT count(DISTINCT department_code) FROM raw.matter", 34),
    "department codes of the source": ("SELECT count(DISTINCT source_department_code) FROM raw.matter", 39),
    "licences": ("SELECT count(*) FROM raw.matter WHERE type_code = '01'", 536),
    "type codes of one digit": ("SELECT count(*) FROM raw.matter WHERE length(type_code) <> 2", 0),
    "regions": ("SELECT DISTINCT region_code FROM raw.matter", "511602000000"),
}


@pytest.mark.parametrize("fact", MATTERS)
def test_matter_list(matters: tuple[SyncHome, list[SyncCount]], fact: str) -> None:
    query, expected = MATTERS[fact]
    assert matters[0].rows(query) == [expected]
