"""A home with sources of its own for tests of the sync."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import yaml

from models.domain.settings import Settings
from pipelines.sources import service
from pipelines.sources.service import SyncCount


@dataclass(frozen=True)
class SyncHome:
    """A home, and the folder in which its sources lie."""

    folder: Path
    settings: Settings

    @classmethod
    def make(cls, folder: Path) -> "SyncHome":
        """A prepared home in an empty folder."""
        home = cls(folder, Settings(home=folder / "home", threads=1, memory_limit="1GB"))
        service.prepare(home.settings)
        return home

    def configure(self, *sources: dict[str, Any], **top: Any) -> None:
        """Write sources.yml; each source has name ``city`` unless it says otherwise."""
        content = {**top, "sources": [{"name": "city"} | source for source in sources]}
        self.yml.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    @property
    def yml(self) -> Path:
        """Path of sources.yml."""
        return self.folder / "sources.yml"

    def csv(self, name: str, header: Sequence[str], rows: Iterable[Sequence[object]], encoding: str = "utf-8") -> Path:
        """Write a CSV file."""
        path = self.folder / name
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        return path

    def sync(self, subjects: Sequence[str] | None = None) -> list[SyncCount]:
        """One run of the sync."""
        with service.run_lock(self.settings):
            run = service.start_run(self.settings)
            counts = service.sync(self.settings, service.load_sources(self.yml), run, subjects)
            service.finish_run(self.settings, run, "published")
        assert all(reconciles(count) for count in counts)
        return counts

    def one(self) -> SyncCount:
        """One run of a sync with a single subject."""
        (count,) = self.sync()
        return count

    def rows(self, query: str, *parameters: object) -> list[Any]:
        """Rows of the working warehouse; a list of values where there is one column."""
        with duckdb.connect(str(self.settings.warehouse), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found = connection.execute(query, parameters).fetchall()
        return [row[0] if len(row) == 1 else row for row in found]


def reconciles(count: SyncCount) -> bool:
    """Whether every row read is accounted for."""
    return count.rows_read == (
        count.inserted + count.updated + count.unchanged + count.superseded + count.deleted + count.quarantined
    )


def numbers(count: SyncCount) -> dict[str, int]:
    """The counts that are not zero."""
    plain = replace(count, unmapped=())
    return {name: value for name, value in vars(plain).items() if isinstance(value, int) and value and name not in ("run_seq", "files")}
