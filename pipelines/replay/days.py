"""Days that were made after the event: one file of marts each under ``history/``, beside a note of what it is."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

from models.domain.settings import Settings
from models.store.pointer import POINTER
from models.store.snapshots import SnapshotStore
from pipelines.warehouse.publications import Publication
from pipelines.warehouse.service import rules_fingerprint


@dataclass(frozen=True)
class DayFile:
    """A day that was made after the event.

    Attributes:
        day: The day.
        as_of: Instant on which it stands, ISO.
        run_id: Run that it repeats, or by which it was made.
        known: ``then``: from what the run knew that published on the day; ``now``: from what was known when it was made.
        known_seq: The last run whose records went into it.
        is_same: Whether it gives the published figures; None where nothing was published on the day.
        rules: Fingerprint of the rules by which it was made.
        marts: The DuckDB file.
        report: The report.
    """

    day: date
    as_of: str
    run_id: str
    known: str
    known_seq: int
    is_same: bool | None
    rules: str
    marts: Path
    report: Path

    def holds(self, publication: Publication | None, as_of: datetime, latest_seq: int) -> bool:
        """Whether making it anew, by the same rules, could only repeat it; ``as_of`` counts where there is no publication."""
        if publication:
            return self.known == "then" and self.run_id == publication.run.run_id
        return self.known == "now" and self.known_seq == latest_seq and datetime.fromisoformat(self.as_of) == as_of


def find_day(settings: Settings, day: date) -> DayFile | None:
    """What is kept of a day; None when it is not there whole."""
    marts, report, note = _paths(settings, day)
    if not (marts.is_file() and report.is_file() and note.is_file()):
        return None
    try:
        return DayFile(day=day, marts=marts, report=report, **json.loads(note.read_text(encoding="utf-8")))
    except (ValueError, TypeError):  # half written by a full disk, or by another version
        return None


def keep_day(
    settings: Settings, scratch: Settings, day: date, as_of: datetime, run_id: str, known: str, known_seq: int, is_same: bool | None
) -> DayFile:
    """Moves what a scratch home has published into ``history/``; a kill leaves the day as not there, never as half."""
    marts, report, note = _paths(settings, day)
    marts.parent.mkdir(parents=True, exist_ok=True)
    note.unlink(missing_ok=True)
    os.replace(SnapshotStore(scratch).in_service().path, marts)
    (scratch.snapshots / POINTER).unlink()  # the next day in this home must not miss a snapshot that was taken away on purpose
    os.replace(scratch.home / "reports" / f"{run_id}.html", report)
    kept = DayFile(day, as_of.isoformat(), run_id, known, known_seq, is_same, rules_fingerprint(), marts, report)
    content = {key: value for key, value in asdict(kept).items() if key not in ("day", "marts", "report")}
    draft = note.with_suffix(".json.tmp")
    draft.write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(draft, note)
    return kept


def _paths(settings: Settings, day: date) -> tuple[Path, Path, Path]:
    folder = settings.home / "history"
    return folder / f"{day}.duckdb", folder / f"{day}.html", folder / f"{day}.json"
