"""Files read as the sync reads them, without a home: for tests of formats."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from models.domain.settings import Settings
from pipelines.sources.config import SourceFile
from pipelines.sources.reading import Reading
from pipelines.sources.store import create_tables, use_digest_key
from tests.support.sync import SyncHome


@dataclass(frozen=True)
class Found:
    """What was read: typed rows, rows set aside, columns that nothing maps."""

    rows: list[dict[str, Any]]
    aside: list[dict[str, Any]]
    unmapped: list[str]

    def of(self, *fields: str) -> list[Any]:
        """Values of the good rows; tuples where there are several fields."""
        return [row[fields[0]] if len(fields) == 1 else tuple(row[field] for field in fields) for row in self.rows]

    @property
    def reasons(self) -> list[tuple[int, str]]:
        """Row and reason of what was set aside."""
        return [(row["_file_row"], row["_reason"]) for row in self.aside]


@dataclass(frozen=True)
class Reader:
    """Reads files of a folder."""

    folder: Path
    connection: duckdb.DuckDBPyConnection
    settings: Settings

    def of(self, folder: Path) -> "Reader":
        """The same for another folder."""
        return replace(self, folder=folder)

    def read(self, location: str, *others: dict[str, Any], **source: Any) -> Found:
        """All rows of a source; ``others`` are sources beside it."""
        first = {"name": "city", "subject": "case", "location": location} | source
        file = SourceFile.model_validate({"sources": [first, *({"name": "city"} | other for other in others)]})
        file = file.model_copy(update={"folder": self.folder})
        reading = Reading(self.settings, self.connection, file, file.sources[0])
        self.connection.execute(f"SET TimeZone = '{file.sources[0].zone}'")
        batches, unmapped = [], set()
        for load in file.sources[0].loads(reading):
            batches += list(load.rows())
            unmapped |= set(load.unmapped)
        self.connection.execute("SET TimeZone = 'UTC'")
        rows = [
            {field: value.astimezone(UTC) if isinstance(value, datetime) else value for field, value in row.items()}
            for row in (pa.Table.from_batches(batches).to_pylist() if batches else [])
        ]
        return Found([r for r in rows if r["_reason_code"] is None], [r for r in rows if r["_reason_code"]], sorted(unmapped))


@contextmanager
def reader(folder: Path) -> Iterator[Reader]:
    """A reader of a folder; its warehouse is in memory."""
    settings = Settings(home=folder / "home", threads=1, memory_limit="1GB", digest_key="0123456789abcdef")  # type: ignore[arg-type]
    with duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "1GB", "autoload_known_extensions": False}) as connection:
        create_tables(connection)
        use_digest_key(settings, connection)
        found = Reader(folder, connection, settings)
        Reading(settings, connection, SourceFile.model_construct(sources=[]), None).scratch.mkdir(parents=True)  # type: ignore[arg-type]
        yield found


@cache
def _prepared() -> Path:
    folder = Path(tempfile.mkdtemp())
    SyncHome.make(folder)
    return folder


def home_in(folder: Path) -> SyncHome:
    """A prepared home in a folder, copied from one that is made once."""
    shutil.copytree(_prepared() / "home", folder / "home", dirs_exist_ok=True)
    return SyncHome(folder, Settings(home=folder / "home", threads=1, memory_limit="1GB"))
