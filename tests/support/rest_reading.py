"""Readings of a REST source without a home: what its loads say, kept in a dictionary."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import yaml

from models.domain.identifiers import set_digest_key
from models.domain.settings import Settings
from pipelines.sources.config import SourceFile, load_sources
from pipelines.sources.reading import Load, Reading
from pipelines.sources.store import create_tables
from tests.support.rest_server import RestServer

PAGINGS: dict[str, Any] = {
    "page": {"by": "page", "size": "size", "total": "total"},
    "page without total": {"by": "page", "size": "size"},
    "offset": {"by": "offset", "size": "size", "total": "total"},
    "offset without total": {"by": "offset", "size": "size"},
    "link": {"by": "link", "size": "size"},
    "cursor": {"by": "cursor", "next": "next_cursor", "size": "size"},
    "keyset": {"by": "keyset", "after_id": "after", "size": "size"},
}


def regions(count: int, day: int = 1, **further: Any) -> list[dict[str, Any]]:
    """Regions C000, C001 … that changed one second after the other."""
    return [{"id": f"C{i:03}", "manager": {"name": "张三"}, "updated_at": f"2026-03-{day:02}T08:{i // 60:02}:{i % 60:02}+08:00"} | further for i in range(count)]


def rest(server: RestServer, paging: str = "page", **keys: Any) -> dict[str, Any]:
    """An entry of sources.yml that reads the server; the server pages as the entry says."""
    server.paging = paging.split()[0]
    server.total = "without" not in paging
    fields = {"region_code": "id", "region_name": {"column": "manager.name", "optional": "true"}}
    source = {
        "name": "city", "subject": "region", "kind": "rest", "location": server.url, "records": "data.items", "paging": PAGINGS[paging], "page_size": 5,
        "commit_rows": 10, "cursor": "updated_at", "fields": fields, "timeout": 0.4,
    }  # fmt: skip
    return source | ({"since": "since"} if paging == "keyset" else {}) | keys


@dataclass
class RestReadings:
    """Syncs of one source, one after the other.

    Attributes:
        folder: Where sources.yml lies.
        connection: A warehouse in memory.
        records: Key → the stored version, good rows only; as the merge would keep them.
        position: As the warehouse would keep it, with the ``digest`` of the settings.
        loads: Those of the last sync.
    """

    folder: Path
    connection: duckdb.DuckDBPyConnection
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    position: Any = None
    digest: str = ""
    loads: list[Load] = field(default_factory=list)
    aside: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def warehouse() -> duckdb.DuckDBPyConnection:
        """A warehouse in memory; several readings may share it, as they store nothing there."""
        connection = duckdb.connect(":memory:", config={"threads": 1})
        create_tables(connection)
        set_digest_key(connection, b"0123456789abcdef")
        return connection

    def configure(self, *sources: dict[str, Any]) -> SourceFile:
        """Write sources.yml and read it."""
        path = self.folder / "sources.yml"
        written = [{key: value for key, value in source.items() if value is not None} for source in sources]
        path.write_text(yaml.safe_dump({"sources": written}, allow_unicode=True), encoding="utf-8")
        return load_sources(path)

    def sync(self, *sources: dict[str, Any], limit: int | None = None, stop_after: int | None = None) -> int:
        """One sync of the first source, killed after so many loads; the number of rows read."""
        file = self.configure(*sources)
        if self.digest != file.sources[0].settings_digest():
            self.position, self.digest = None, file.sources[0].settings_digest()
        reading = Reading(Settings(home=self.folder), self.connection, file, file.sources[0], self.position, limit)
        self.loads, self.aside, count = [], [], 0
        (key,) = file.sources[0].keys
        for load in self._loads(file, reading):
            rows = [row for batch in load.rows() for row in batch.to_pylist()]
            count += len(rows)
            for row in rows:
                old = self.records.get(row[key])
                if row["_reason_code"]:
                    self.aside.append(row)
                elif old is None or (old["updated_at"] or row["updated_at"]) is None or row["updated_at"] >= old["updated_at"]:
                    self.records[row[key]] = row
            self.position = load.position if load.position is not None else self.position
            self.loads.append(load)
            if len(self.loads) == stop_after:
                break
        return count

    def _loads(self, file: SourceFile, reading: Reading) -> Iterator[Load]:
        yield from file.sources[0].loads(reading)

    def keys(self) -> list[str]:
        """The stored keys."""
        return sorted(self.records)
