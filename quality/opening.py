"""How the masked marts are opened for what is worked out over all of them: bounded memory, a bounded place to spill to, nothing installed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

SPILLED = "20GB"
"""What may be spilled to disk before a query counts as run away."""


@contextmanager
def opened(masked: Path, zone: str, memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """The masked marts, open for writing; what was spilled is gone in the end, after a kill with the next opening.

    Args:
        masked: DuckDB file of the masked marts; nothing else may have it open meanwhile.
        zone: Zone in which instants become days.
        memory: What the database may take.
    """
    spilled = masked.with_name(f"{masked.name}.spilled")
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory, "temp_directory": str(spilled), "max_temp_directory_size": SPILLED,
        "autoinstall_known_extensions": False, "autoload_known_extensions": False,
    }  # fmt: skip
    try:
        with duckdb.connect(str(masked), config=config) as connection:
            connection.execute(f"SET TimeZone = '{zone}'")
            yield connection
    finally:
        shutil.rmtree(spilled, ignore_errors=True)
