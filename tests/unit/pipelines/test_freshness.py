"""How old a source's newest record is, by the clock of who asks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from pipelines.catalogue.types import table_of
from pipelines.upkeep.freshness import Freshness, _judge, freshness

NEWEST = datetime(2026, 6, 30, 12, tzinfo=UTC)
SOURCES = """
sources:
  - {name: city, subject: case, location: c.csv, fresh_within: 6h}
  - {name: city, subject: review, location: r.csv}
  - {name: city, subject: region, location: g.csv}
"""


def row(subject: str, **other: Any) -> dict[str, Any]:
    return {
        "source": "city", "subject": subject, "kind": "file", "is_configured": True, "newest_at": NEWEST, "last_checked_at": NEWEST,
        "habit": "daily", "freshness": "fresh", "freshness_reason": "按日到齐", **other,
    }  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path)
    settings.work.mkdir()
    rows = [
        row("case"), row("review", freshness="stale", freshness_reason="最近 3 个工作日没有记录"),
        row("region", newest_at=None, habit=None, freshness="no_rule", freshness_reason="基础数据，不按日更新"), row("window", is_configured=False),
    ]  # fmt: skip
    with duckdb.connect(str(settings.marts)) as connection:
        connection.register("_rows", table_of("catalogue_source", rows))
        connection.execute("CREATE SCHEMA marts; CREATE TABLE marts.catalogue_source AS FROM _rows")
    SnapshotStore(settings).publish(settings.marts, "run-1", NEWEST)
    (tmp_path / "sources.yml").write_text(SOURCES)
    return settings


def of(settings: Settings, subject: str, hours: float) -> Freshness:
    (found,) = (one for one in freshness(settings, NEWEST + timedelta(hours=hours)) if one.subject == subject)
    return found


@pytest.mark.parametrize(("hours", "is_stale"), [(0, False), (6, False), (6.01, True), (1000, True)])
def test_a_sources_own_limit_counts_by_the_clock(settings: Settings, hours: float, is_stale: bool) -> None:
    found = of(settings, "case", hours)
    assert found.is_stale is is_stale and found.limit == timedelta(hours=6)
    assert "6 小时" in found.reason


def test_without_a_limit_the_catalogues_verdict_counts(settings: Settings) -> None:
    found = of(settings, "review", 0)
    assert (found.is_stale, found.limit, found.reason) == (True, None, "最近 3 个工作日没有记录")


def test_the_platforms_limit_is_for_what_comes_in_all_the_time(settings: Settings) -> None:
    strict = settings.model_copy(update={"fresh_within_hours": 48})
    assert [of(strict, "review", hours).is_stale for hours in (48, 49)] == [False, True]
    assert of(strict, "case", 7).is_stale, "the source's own limit goes before it"
    assert of(strict, "region", 1000).is_stale is None


def test_what_is_no_longer_configured_is_not_judged(settings: Settings) -> None:
    assert {one.subject for one in freshness(settings, NEWEST)} == {"case", "review", "region"}


def test_a_configuration_that_cannot_be_read_states_no_limit(settings: Settings) -> None:
    (settings.home / "sources.yml").write_text("sources: [")
    assert of(settings, "case", 1000).is_stale is False


def test_nothing_published(tmp_path: Path) -> None:
    with pytest.raises(YiwangError) as raised:
        freshness(Settings(home=tmp_path), NEWEST)
    assert raised.value.code == "YW-STORE-001"


@pytest.mark.parametrize(("habit", "days", "overdue"), [("daily", 2, None), ("daily", 148, 101), ("monthly", 31, None), ("monthly", 148, 4), (None, 148, None)])
def test_without_a_limit_the_habit_is_held_against_the_clock(settings: Settings, habit: str | None, days: int, overdue: int | None) -> None:
    """All sources that stop together stop ``as_of`` too: the published verdict stays."""
    judged = _judge(row("review", habit=habit), None, settings, NEWEST + timedelta(days=days))
    assert judged.is_stale is False and judged.age == timedelta(days=days)
    assert judged.overdue == overdue
    stated = _judge(row("review", habit=habit), timedelta(days=400), settings, NEWEST + timedelta(days=days))
    assert stated.overdue is None and stated.is_stale is False
