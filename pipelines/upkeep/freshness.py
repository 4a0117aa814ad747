"""How old each source's newest record is by the clock of who asks: for operators, alerts and Dagster.

The catalogue of a snapshot judges by the run's ``as_of`` and by habit; a source that no run reads any more stays as
fresh there as it was. Here the caller's clock counts. What does not belong here: figures, which never depend on a clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from models.domain.calendar import work_calendar
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.catalogue import CatalogueRepository
from models.store.snapshots import SnapshotStore
from pipelines.catalogue.types import catalogue_file
from pipelines.sources.service import load_sources

AHEAD = timedelta(days=1)
"""By how much ``as_of`` may be ahead of the machine's clock without a word: other zones, the end of today."""


def ahead(as_of: datetime, settings: Settings) -> str:
    """What to say of data that speak of the future."""
    return f"数据截至 {as_of.astimezone(ZoneInfo(settings.zone)):%Y-%m-%d %H:%M}，晚于本机的当前时刻"


@dataclass(frozen=True)
class Freshness:
    """One subject of one source.

    Attributes:
        source: Name of the source.
        subject: Subject.
        newest_at: Time of its newest record, None where records have none.
        last_checked_at: Start of the last published run that looked at it.
        limit: Age from which it counts as stale; None where nothing is stated.
        is_stale: Whether it is; None where nothing can be said.
        reason: One sentence, in Chinese.
        age: Of its newest record; None where records have no time.
        overdue: Working days (of monthly sources: months) without a record up to the caller's day, where these are more than its habit
            allows and no limit is stated; else None. ``is_stale`` cannot tell it: it goes by ``as_of``, which stops when all sources stop.
    """

    source: str
    subject: str
    newest_at: datetime | None
    last_checked_at: datetime | None
    limit: timedelta | None
    is_stale: bool | None
    reason: str
    age: timedelta | None = None
    overdue: int | None = None


def freshness(settings: Settings, now: datetime, sources: Path | None = None) -> list[Freshness]:
    """Every subject of every configured source of the published snapshot.

    A source's ``fresh_within`` counts, else ``fresh_within_hours`` of the settings (for subjects that come in all the time), else
    what the catalogue says.

    Args:
        settings: Home, and the platform's limit.
        now: The moment by which ages are measured.
        sources: Source configuration, ``sources.yml`` of the home when None.

    Raises:
        YiwangError: YW-STORE-001 when nothing is published, YW-STORE-007 when the snapshot has no catalogue.
    """
    store = SnapshotStore(settings)
    try:
        rows = CatalogueRepository(store).sources(store.in_service())
    finally:
        store.close()
    stated = stated_limits(sources or settings.home / "sources.yml")
    return [_judge(row, stated.get((row["source"], row["subject"])), settings, now) for row in rows if row["is_configured"]]


def stated_limits(path: Path) -> dict[tuple[str, str], timedelta]:
    """Limits that the sources themselves state; none where the configuration cannot be read."""
    try:
        entries = load_sources(path).sources
    except YiwangError:
        return {}
    units = {"d": "days", "h": "hours"}
    return {
        (entry.name, entry.subject): timedelta(**{units[entry.fresh_within[-1]]: int(entry.fresh_within[:-1])})
        for entry in entries if entry.fresh_within
    }  # fmt: skip


def _judge(row: Mapping[str, Any], stated: timedelta | None, settings: Settings, now: datetime) -> Freshness:
    newest: datetime | None = row["newest_at"]
    limit = stated
    age = now - newest.astimezone(UTC) if newest else None
    if limit is None and settings.fresh_within_hours and row["habit"] is not None:
        limit = timedelta(hours=settings.fresh_within_hours)
    overdue = _overdue(newest, row["habit"], settings, now) if limit is None and newest else None
    if limit is None or age is None:
        verdict, reason = {"fresh": False, "stale": True}.get(row["freshness"]), row["freshness_reason"]
    else:
        verdict, reason = age > limit, f"最新记录距今 {words(age)}，规定不超过 {words(limit)}"
    return Freshness(row["source"], row["subject"], newest, row["last_checked_at"], limit, verdict, reason, age, overdue)


def _overdue(newest: datetime, habit: str | None, settings: Settings, now: datetime) -> int | None:
    """What is missing between the newest record and today, the ends left out, where the catalogue's rule does not let it pass."""
    zone = ZoneInfo(settings.zone)
    last, today = newest.astimezone(zone).date(), now.astimezone(zone).date()
    if habit == "daily":
        missing = sum(work_calendar().is_working(last + timedelta(offset)) for offset in range(1, (today - last).days))
    elif habit == "monthly":
        missing = (today.year - last.year) * 12 + today.month - last.month - 1
    else:
        return None
    return missing if missing > catalogue_file().rule.grace else None


def words(age: timedelta) -> str:
    """An age as people say it."""
    hours = max(0, int(age.total_seconds() // 3600))
    return f"{hours // 24} 天" if hours >= 48 else f"{hours} 小时"
