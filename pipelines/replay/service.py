"""The door to past days: one day as it was published, or as it looks from what is known now; many of them in a row.

Days are kept as files of their own under ``history/``: ``<day>.duckdb`` (marts), ``<day>.html`` (report), ``<day>.json``
(what it is, written last). They are not in service: readers follow ``snapshots/current.json``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg

from models.domain.errors import YiwangError
from models.domain.progress import NoProgress, Progress
from models.domain.settings import Settings
from models.reporting.service import write_report
from models.store.snapshots import SnapshotStore
from pipelines.definitions import JOB, build
from pipelines.defs.resources import AS_OF_TAG, Platform, partition_of
from pipelines.replay.days import DayFile, find_day, keep_day
from pipelines.replay.proof import Verdict, compare
from pipelines.replay.scratch import ready, scratch_home
from pipelines.run.execution import execute, named_errors, quietly
from pipelines.sources.service import RunRef, run_lock, set_as_of, start_run
from pipelines.warehouse.books import warehouse
from pipelines.warehouse.publications import Publication, day_end, day_in, publications
from pipelines.warehouse.service import rules_fingerprint

__all__ = ["DayFile", "Reproduction", "Verdict", "backfill", "each", "past_day", "past_publication", "reproduce"]

STAGE = "回填"


@dataclass(frozen=True)
class Reproduction:
    """The figures of a past day, made again.

    Attributes:
        day: What is kept of it.
        publication: The publication that it repeats.
        verdict: Whether it gives the published figures, and if not, what differs and why.
    """

    day: DayFile
    publication: Publication
    verdict: Verdict


def past_publication(settings: Settings, as_of: datetime) -> Publication | None:
    """The publication that ``yiwang run --as-of`` repeats: of that instant, or the day's last where it is the end of a day.

    One that was made when the day was current goes before those that were made after the event. Only for days before the
    newest that was published: a run for today always reads the sources.

    Args:
        as_of: Instant asked for.

    Raises:
        YiwangError: YW-RUN-001 while another run holds the home.
    """
    known, _ = _publications(settings)
    return _asked_for(known, as_of, settings.zone) if _is_past(settings, known, as_of) else None


def reproduce(settings: Settings, publication: Publication, sources: Path | None = None, progress: Progress | None = None, publish: bool = False) -> Reproduction:
    """Makes the marts of a publication again from what its run knew, and compares them with what was published.

    Args:
        sources: Source configuration, for the catalogue.
        progress: Receiver of progress.
        publish: Put the result into service again; else it is only kept under ``history/``.

    Raises:
        YiwangError: As a run; YW-RUN-001 while another run holds the home.
    """
    with scratch_home(settings, publication.run.run_seq) as home:
        scratch = home.model_copy(update={"zone": publication.zone})
        return _reproduce(settings, scratch, publication, sources, progress or NoProgress(), publish)


def past_day(
    settings: Settings, as_of: datetime, sources: Path | None = None, progress: Progress | None = None, known: str = "then", publish: bool = False
) -> Reproduction | DayFile | None:
    """What ``yiwang run --as-of`` makes of a past day, in place of a run: no source is read, the snapshot in service stays.

    Args:
        as_of: Instant asked for.
        sources: Source configuration, for the catalogue.
        progress: Receiver of progress.
        known: ``then`` reproduces what was published for the day; ``now``, and a day without publication, is made from what
            is known now.
        publish: Put what was reproduced into service.

    Returns:
        None where a run has to do it: the day is not before the newest that was published, or what is known now shall be published.

    Raises:
        YiwangError: As :func:`reproduce`; YW-RUN-004 for a day outside the partitions.
    """
    published, latest = _publications(settings)
    if not _is_past(settings, published, as_of):
        return None
    publication = _asked_for(published, as_of, settings.zone) if known == "then" else None
    if publication:
        return reproduce(settings, publication, sources, progress, publish)
    if publish:
        return None
    partition_of(as_of, settings)
    (made,) = _from_now(settings, [as_of], latest, sources, progress or NoProgress())
    return made


def backfill(
    settings: Settings, days: Sequence[date], sources: Path | None = None, progress: Progress | None = None, known: str = "then"
) -> list[DayFile]:
    """The marts and scores of each day, kept under ``history/``; days that are there and still hold are not made again.

    A day on which something was published is made from what was known then, any other from what is known now. Those share
    one scratch home: from one day to the next only what time changed is made anew.

    Args:
        days: The days, each stands on its last moment.
        sources: Source configuration, for the catalogue.
        progress: Receives a step a day.
        known: ``then`` as above; ``now`` makes every day from what is known now.

    Raises:
        YiwangError: YW-RUN-004 for a day outside the partitions; YW-RUN-001; as a run.
    """
    for day in days:
        partition_of(day_end(day, settings.zone), settings)
    progress = progress or NoProgress()
    progress.start(STAGE, len(days))
    published, latest = _publications(settings)
    done: dict[date, DayFile] = {}
    missing: list[date] = []
    for day in sorted(set(days)):
        publication = _of_day(published, day, settings.zone) if known == "then" else None
        there = find_day(settings, day)
        if there and there.rules == rules_fingerprint() and there.holds(publication, day_end(day, settings.zone), latest):
            done[day] = there
            progress.advance(STAGE)
        elif publication:
            done[day] = reproduce(settings, publication, sources).day
            progress.advance(STAGE)
        else:
            missing.append(day)
    for made in _from_now(settings, [day_end(day, settings.zone) for day in missing], latest, sources, NoProgress()):
        done[made.day] = made
        progress.advance(STAGE)
    progress.finish(STAGE, f"{len(done)} 天")
    return [done[day] for day in sorted(done)]


def each(first: date, last: date, every: str = "day") -> list[date]:
    """The days from first to last; with ``month`` the last day of each month and ``last`` itself.

    Raises:
        YiwangError: YW-RUN-020 when ``first`` is after ``last`` or ``every`` is something else.
    """
    if first > last or every not in ("day", "month"):
        raise YiwangError("YW-RUN-020", first=first, last=last, every=every)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return days if every == "day" else [day for day in days if day == last or (day + timedelta(days=1)).day == 1]


def _reproduce(settings: Settings, scratch: Settings, publication: Publication, sources: Path | None, progress: Progress, publish: bool) -> Reproduction:
    _build(settings, scratch, publication.run, publication.as_of, sources, progress)
    with run_lock(settings):
        verdict = compare(settings, scratch, publication)
        if publish:
            SnapshotStore(settings).publish(scratch.marts, publication.run.run_id, publication.as_of)
            current = SnapshotStore(settings).in_service()
            write_report(settings, current.path, current.run_id)
            (settings.work / "rules.sha256").write_text(rules_fingerprint())
    day = day_in(publication.as_of, publication.zone)
    kept = keep_day(settings, scratch, day, publication.as_of, publication.run.run_id, "then", publication.run.run_seq, verdict.is_same)
    return Reproduction(kept, publication, verdict)


def _from_now(settings: Settings, instants: Sequence[datetime], latest: int, sources: Path | None, progress: Progress) -> Iterator[DayFile]:
    """Days made from what is known now, up to the run ``latest``, all in one scratch home."""
    if not instants:
        return
    with scratch_home(settings, None) as scratch:
        for as_of in instants:
            run = start_run(scratch)
            _build(settings, scratch, run, as_of, sources, progress)
            yield keep_day(settings, scratch, day_in(as_of, settings.zone), as_of, run.run_id, "now", latest, None)


def _build(settings: Settings, scratch: Settings, run: RunRef, as_of: datetime, sources: Path | None, progress: Progress) -> None:
    """Everything of the job but the sync, in the scratch home, on a Dagster instance that is forgotten."""
    platform = Platform(scratch, sources or settings.home / "sources.yml", progress)
    with quietly(settings), named_errors(scratch), dg.DagsterInstance.ephemeral() as instance:
        job = build(scratch, platform, tests=False).resolve_job_def(JOB)
        keys = [key for key in job.asset_layer.executable_asset_keys if key.path[0] != "raw"]
        set_as_of(scratch, run, as_of)
        execute(scratch, job, instance, keys, partition_of(as_of, scratch), {AS_OF_TAG: as_of.isoformat()})


def _publications(settings: Settings) -> tuple[list[Publication], int]:
    """Publications that can be made again, latest first, and the last run that read anything."""
    if not settings.warehouse.exists():
        return [], 0
    with run_lock(settings):
        ready(settings)
        with warehouse(settings) as connection:
            row = connection.execute("SELECT coalesce(max(run_seq), 0) FROM ops.sync_count WHERE rows_read > 0").fetchone()
        return publications(settings), int(row[0]) if row else 0


def _is_past(settings: Settings, known: Sequence[Publication], as_of: datetime) -> bool:
    """Whether a later day was published than the one asked for, whichever is in service now."""
    if not settings.warehouse.exists():
        return False
    current = SnapshotStore(settings).current()  # the only trace of a publication made before there were books of them
    stood = [*(publication.as_of for publication in known), *([current.as_of] if current else [])]
    return bool(stood) and day_in(as_of, settings.zone) < day_in(max(stood), settings.zone)


def _asked_for(known: Sequence[Publication], as_of: datetime, zone: str) -> Publication | None:
    """The publication that an instant means: one of the whole day for the end of a day, else of that very instant."""
    day = day_in(as_of, zone)
    return _of_day(known, day, zone) if as_of == day_end(day, zone) else _foremost([one for one in known if one.as_of == as_of])


def _of_day(known: Sequence[Publication], day: date, zone: str) -> Publication | None:
    return _foremost([publication for publication in known if day_in(publication.as_of, zone) == day])


def _foremost(known: Sequence[Publication]) -> Publication | None:
    """The last that was made when its day was current, else the last; ``known`` is latest first."""
    return next((publication for publication in known if not publication.is_belated), known[0] if known else None)
