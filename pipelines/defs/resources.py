"""What the stages share: settings, the configured sources, the progress receiver, the day partitions, the run in hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg

from models.domain.errors import YiwangError
from models.domain.progress import NoProgress, Progress
from models.domain.settings import Settings
from pipelines.sources.service import SourceFile, load_sources

AS_OF_TAG = "yiwang/as_of"
TOLD_TAG = "yiwang/told"
"""Marks the runs whose end the command line itself tells to alerts."""
OWNERS = ["team:data-platform"]
EACH_DAY = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)
"""A backfill runs day by day: each day stands on its own as_of."""


@dataclass
class Platform:
    """The one resource of the job.

    Attributes:
        settings: Settings of the run.
        sources: Path of the source configuration; ``sources.yml`` in the home when None.
        progress: Receiver of progress.
    """

    settings: Settings
    sources: Path | None = None
    progress: Progress = field(default_factory=NoProgress)

    def source_file(self) -> SourceFile:
        """The configured sources."""
        return load_sources(self.sources or self.settings.home / "sources.yml")


def mart(name: str) -> dg.AssetKey:
    """Asset key of a published mart, as dbt's translator gives it."""
    return dg.AssetKey(["marts", name])


def daily(settings: Settings) -> dg.DailyPartitionsDefinition:
    """The days on which a run can stand: its ``as_of`` falls on the partition's day.

    A year past today is allowed: data may be ahead of a machine's clock.
    """
    return dg.DailyPartitionsDefinition(start_date="2004-01-01", timezone=settings.zone, end_offset=366)


def partition_of(as_of: datetime, settings: Settings) -> str:
    """Partition key of an instant.

    Raises:
        YiwangError: YW-RUN-004 when the day is outside the partitions.
    """
    key = as_of.astimezone(ZoneInfo(settings.zone)).date().isoformat()
    if not daily(settings).has_partition_key(key):
        raise YiwangError("YW-RUN-004", day=key)
    return key


def as_of_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, settings: Settings) -> datetime:
    """The run's instant: its tag, else the last moment of its partition."""
    tags: Mapping[str, str] = context.run.tags
    if AS_OF_TAG in tags:
        return datetime.fromisoformat(tags[AS_OF_TAG])
    day = datetime.fromisoformat(context.partition_key).date()
    next_midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(settings.zone))
    return (next_midnight - timedelta(microseconds=1)).astimezone(UTC)
