"""A warehouse with raw rows written by hand, and dbt's models built on it."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from models.domain.calendar import calendar_table
from models.domain.contracts import SUBJECTS
from models.domain.schema import raw_columns
from models.domain.settings import Settings
from pipelines.sources.store import create_tables
from pipelines.warehouse import service


class Warehouse:
    """Raw tables as the sync leaves them, and the project's own models on them.

    Args:
        home: Folder for its files.
    """

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.settings.work.mkdir(parents=True)
        with self.connected() as connection:
            create_tables(connection)
            connection.register("days", calendar_table())
            connection.execute("DELETE FROM raw.calendar; INSERT INTO raw.calendar BY NAME SELECT * FROM days")

    @contextmanager
    def connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The warehouse, the marts attached."""
        with duckdb.connect(str(self.settings.warehouse)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"ATTACH '{self.settings.marts}' AS masked")
            yield connection

    def put(self, subject: str, rows: Sequence[dict[str, Any]], run_seq: int = 1) -> None:
        """Rows of a subject as a run wrote them; source ``s`` unless a row says another."""
        full = [{"source": "s", "_file_id": 1, "_file_row": i, "_run_seq": run_seq, "_is_deleted": False} | row for i, row in enumerate(rows)]
        given = [column for column in raw_columns(SUBJECTS[subject]) if any(column in row for row in full)]
        columns = ", ".join(f'"{column}"' for column in given)
        with self.connected() as connection:
            connection.register("records", pa.Table.from_pylist([{column: row.get(column) for column in given} for row in full]))
            connection.execute(f'INSERT INTO raw."{subject}" ({columns}) SELECT {columns} FROM records')

    def replace(self, subject: str, condition: str, run_seq: int, **changes: Any) -> None:
        """What the sync does when a run finds records changed: the old rows move to the history."""
        values = ", ".join(f"{column} = ?" for column in changes)
        with self.connected() as connection:
            connection.execute(f'INSERT INTO raw."{subject}_history" BY NAME SELECT *, {run_seq} AS _known_to_seq FROM raw."{subject}" WHERE {condition}')
            connection.execute(f'UPDATE raw."{subject}" SET _run_seq = {run_seq}, {values} WHERE {condition}', list(changes.values()))

    def build(self, select: str, as_of: datetime, run_seq: int = 1, full_refresh: bool = False) -> None:
        """Run models as a run of the pipelines does."""
        project = str(service.project_dir())
        variables = service.variables(self.settings, f"run-{run_seq}", run_seq, as_of)
        command = [
            service.executable(), "--quiet", "run", "--select", *select.split(), "--vars", variables, "--project-dir", project, "--profiles-dir", project,
            *(["--full-refresh"] if full_refresh else []),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | service.environment(self.settings))
        assert done.returncode == 0, done.stdout + done.stderr

    def rows(self, query: str) -> list[dict[str, Any]]:
        """What a query gives."""
        with self.connected() as connection:
            found: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
        return found
