"""How old each source's newest record is by the clock of who asks: for operators, alerts and Dagster.

The catalogue of a snapshot judges by the run's ``as_of`` and by habit; a source that no run reads any more stays as
fresh there as it was. Here the caller's clock counts. What does not belong here: figures, which never depend on a clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.catalogue import CatalogueRepository
from models.store.snapshots import SnapshotStore
from pipelines.sources.service import load_sources


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
    """

    source: str
    subject: str
    newest_at: datetime | None
    last_checked_at: datetime | None
    limit: timedelta | None
    is_stale: bool | None
    reason: str


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
    if limit is None and settings.fresh_within_hours and row["habit"] is not None:
        limit = timedelta(hours=settings.fresh_within_hours)
    if limit is None or newest is None:
        verdict, reason = {"fresh": False, "stale": True}.get(row["freshness"]), row["freshness_reason"]
    else:
        age = now - newest.astimezone(UTC)
        verdict, reason = age > limit, f"最新记录距今 {_words(age)}，规定不超过 {_words(limit)}"
    return Freshness(row["source"], row["subject"], newest, row["last_checked_at"], limit, verdict, reason)


def _words(age: timedelta) -> str:
    hours = max(0, int(age.total_seconds() // 3600))
    return f"{hours // 24} 天" if hours >= 48 else f"{hours} 小时"
