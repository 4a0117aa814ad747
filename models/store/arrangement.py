"""The order of rows inside a snapshot, which decides how much of it a page has to read.

DuckDB skips row groups by their smallest and largest value. The list of cases comes newest first, so cases lie by
``received_at``: a page of a million cases then reads one or two row groups instead of all of them.
What does not belong here: what the rows say; arranging never changes a value.
"""

from pathlib import Path

import duckdb

from models.domain.settings import Settings

_BLOCK = 100_000
"""Rows over which overlap is measured; about a row group (122,880)."""
_MOST_OVERLAP = 0.6
"""Share of the blocks that a block may overlap on average before cases are laid out anew. An ordered table to which
weeks of changed cases were appended stays below; rows in any order come close to 1."""

_OVERLAP = f"""
    WITH block AS (
        SELECT rowid // {_BLOCK} AS number, min(received_at) AS first, max(received_at) AS last FROM marts.fct_case GROUP BY ALL
    ), overlap AS (
        SELECT a.number, count(*) AS blocks FROM block AS a JOIN block AS b ON a.first <= b.last AND b.first <= a.last GROUP BY ALL
    )
    SELECT coalesce(avg(blocks) / count(*), 0) FROM overlap HAVING count(*) > 4  -- below, every page reads little
"""  # noqa: S608 (a constant)


def arrange(database: Path, settings: Settings) -> bool:
    """Order the cases of a snapshot that is not in service yet, if their order is too far from the list's.

    A million cases in random order take about 2 s on two cores; cases that are near enough in order cost 20 ms.

    Args:
        database: The snapshot's file.
        settings: Threads, memory limit and working folder.

    Returns:
        Whether rows were laid out anew.
    """
    with duckdb.connect(str(database)) as connection:
        if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'marts' AND table_name = 'fct_case'").fetchone():
            return False
        overlap = connection.execute(_OVERLAP).fetchone()
        if overlap is None or overlap[0] <= _MOST_OVERLAP:
            return False
        connection.execute(f"SET threads = {settings.threads}")
        connection.execute(f"SET memory_limit = '{settings.memory_limit}'")
        connection.execute("SET temp_directory = ?", [str(settings.work / "duckdb_tmp")])
        connection.execute("CREATE TABLE marts._ordered AS FROM marts.fct_case ORDER BY received_at DESC NULLS LAST, source, case_number")
        connection.execute("DROP TABLE marts.fct_case")
        connection.execute("ALTER TABLE marts._ordered RENAME TO fct_case")
        connection.execute("CHECKPOINT")
    return True
