"""What was known when: versions of raw records that a later run replaced.

``raw.<subject>`` holds what is known now. A version that a run replaces or deletes moves to ``raw.<subject>_history`` with
``_known_to_seq``, the run that replaced it; it was known to the runs from its ``_run_seq`` up to, but not including, that one.
``raw.quarantine`` has such a history too. A version that is replaced within the run that wrote it was never known to a
whole run and is not kept.
What does not belong here: which versions are replaced (:mod:`pipelines.sources.merge`), and what is made of an old
state (:mod:`pipelines.replay`).
"""

# ruff: noqa: S608 - names enter statements through store.name(), numbers as numbers

import duckdb

from pipelines.sources.store import history_of, name, versioned_tables

READ_BY_MODELS = {"matter"}
"""Tables whose history is data, not only memory: old cases are judged by the versions in it. Neither it nor the deletions of its records are ever pruned."""


def prunable() -> list[str]:
    """Raw tables whose history may go once no run that knew it has to be reproduced."""
    return [table for table in versioned_tables() if table not in READ_BY_MODELS]


def keep_versions(connection: duckdb.DuckDBPyConnection, table: str, run_seq: int, condition: str) -> int:
    """Copies the versions that a run is about to replace into the history; to be called in the transaction that replaces them.

    Args:
        table: Name of the raw table.
        run_seq: The run that replaces them.
        condition: SQL condition on the raw table that finds them.

    Returns:
        Number of versions kept.
    """
    row = connection.execute(
        f"INSERT INTO raw.{name(history_of(table))} BY NAME SELECT {_columns(table)}, {int(run_seq)} AS _known_to_seq "
        f"FROM raw.{name(table)} WHERE ({condition}) AND _run_seq < {int(run_seq)}"
    ).fetchone()
    return int(row[0]) if row else 0


def as_known(table: str, run_seq: int, database: str = "") -> str:
    """A relation: the raw table as it was when a run had synchronised.

    Args:
        table: Name of the raw table.
        run_seq: The run.
        database: Name under which the warehouse is attached; the connection's own when empty.
    """
    prefix = f"{name(database)}.raw" if database else "raw"
    columns, seq = _columns(table), int(run_seq)
    return (
        f"(SELECT {columns} FROM {prefix}.{name(table)} WHERE _run_seq <= {seq} UNION ALL "
        f"SELECT {columns} FROM {prefix}.{name(history_of(table))} WHERE _run_seq <= {seq} AND _known_to_seq > {seq})"
    )


def replaced_until(table: str, run_seq: int, database: str) -> str:
    """A relation: the history of a raw table as it was when a run had synchronised; parameters as :func:`as_known`."""
    return f"(FROM {name(database)}.raw.{name(history_of(table))} WHERE _known_to_seq <= {int(run_seq)})"


def prune(connection: duckdb.DuckDBPyConnection, first_seq: int) -> int:
    """Removes the versions that no run from ``first_seq`` on knew; earlier runs can no longer be reproduced.

    Their publications are struck off in the same transaction, so that nobody takes figures of half a history for theirs.

    Args:
        first_seq: Number of the first run that stays reproducible.

    Returns:
        Number of versions removed.
    """
    removed = 0
    connection.begin()
    try:
        for table in prunable():
            row = connection.execute(f"DELETE FROM raw.{name(history_of(table))} WHERE _known_to_seq <= {int(first_seq)}").fetchone()
            removed += int(row[0]) if row else 0
        for table in ("publication", "mart_digest", "touched_partition"):
            connection.execute(f"DELETE FROM ops.{table} WHERE run_seq < {int(first_seq)}")
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return removed


def _columns(table: str) -> str:
    return ", ".join(name(column) for column in versioned_tables()[table])
