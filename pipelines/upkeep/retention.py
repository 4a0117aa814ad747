"""What grows with every run, and how long it is kept.

Nothing here touches what is published, what a run needs to go on, or what a source still says. **A table that grows
with the runs gets its entry in** :func:`tables`; a folder gets its function in :mod:`pipelines.upkeep.leftovers`.
Replaced versions of records (``raw.<subject>_history``) are pruned by their own module, which this one calls.
"""

# ruff: noqa: S608 - names are constants or come through store.name()

from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from models.domain.contracts import SUBJECTS
from models.domain.settings import Settings
from pipelines.sources import history
from pipelines.sources.store import history_of, literal, name

_OLD_RUNS = "run_seq IN (FROM _old_run)"


@dataclass(frozen=True)
class Table:
    """A table from which rows go.

    Attributes:
        title: What its rows are, in Chinese.
        table: The table.
        where: Which rows go. ``_old_run`` (run_seq) and ``_old_run_id`` (run_id) hold the runs whose books are closed, ``_last_news``
            (run_seq, source, subject) the runs in which each source last brought rows;
            ``$deleted_seq`` is the last run whose deletions are old enough and in every mart.
    """

    title: str
    table: str
    where: str


def tables() -> list[Table]:
    """Every table that is kept short, in the order in which rows go; the books of runs come last."""
    return [
        *(
            # a record's row goes only when its deletion was published: until then dbt has to see it; and never where its
            # history is read as data, whose replaced versions would count again without it
            Table("已删除的记录", f"raw.{name(subject)}", "_is_deleted AND _run_seq <= $deleted_seq")
            for subject in SUBJECTS if subject not in history.READ_BY_MODELS
        ),
        Table("检查结果", "masked.marts.check_result", "run_id IN (FROM _old_run_id)"),
        Table("已消除的质量问题", "masked.marts.quality_violation", "healed_run IN (FROM _old_run_id)"),
        Table("未映射列", "ops.unmapped_column", "run_id IN (FROM _old_run_id)"),
        Table("缺失列", "ops.missing_column", "run_id IN (FROM _old_run_id)"),
        # what a source was last seen to bring stays: its freshness is told from it
        Table("同步计数", "ops.sync_count", f"{_OLD_RUNS} AND (run_seq, source, subject) NOT IN (FROM _last_news)"),
        Table("运行账", "ops.run", f"{_OLD_RUNS} AND run_seq NOT IN (SELECT run_seq FROM _last_news)"),
    ]


def prune(connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime, published: list[str], dry_run: bool) -> dict[str, int]:
    """Remove the rows whose time is over, one transaction for each table.

    Args:
        connection: The warehouse, with the masked marts attached as ``masked``; the home's lock is held.
        settings: How long things are kept.
        now: The moment by which age is measured.
        published: Runs whose snapshots are kept: their books stay whatever their age.
        dry_run: Count only.

    Returns:
        Rows removed (or to be removed), by title.
    """
    _find_old_runs(connection, now - timedelta(days=settings.keep_runs_days), published)
    deleted_seq = _last_taken_up(connection, now - timedelta(days=settings.keep_deleted_days))
    there = {f"{row[0]}.{row[1]}.{row[2]}" for row in connection.execute("SELECT database_name, schema_name, table_name FROM duckdb_tables()").fetchall()}
    home = connection.execute("SELECT current_database()").fetchall()[0][0]
    # first: it tells by the books of runs, which go below, from where on history is needed
    removed = {"被替代的版本": _prune_history(connection, now - timedelta(days=settings.keep_runs_days), dry_run)}
    for table in tables():
        plain = table.table.replace('"', "")
        if (plain if plain.count(".") == 2 else f"{home}.{plain}") not in there:
            continue
        where = table.where.replace("$deleted_seq", literal(deleted_seq))
        gone = connection.execute(f"SELECT count(*) FROM {table.table} WHERE {where}").fetchall()[0][0]
        if gone and not dry_run:
            connection.execute(f"DELETE FROM {table.table} WHERE {where}")
        removed[table.title] = removed.get(table.title, 0) + gone
    return removed


def old_run_ids(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Runs whose books :func:`prune` closed or would close."""
    return {row[0] for row in connection.execute("FROM _old_run_id").fetchall()}


def _find_old_runs(connection: duckdb.DuckDBPyConnection, before: datetime, published: list[str]) -> None:
    """Runs that began before, apart from the newest one, the last published one, and those of kept snapshots."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE _old_run_id AS SELECT run_id FROM ops.run WHERE started_at < $before AND state <> 'running' "
        "AND NOT list_contains($published, run_id) AND run_seq < (SELECT max(run_seq) FROM ops.run) "
        "AND run_seq IS DISTINCT FROM (SELECT max(run_seq) FROM ops.run WHERE state = 'published')",
        {"before": before, "published": published},
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE _last_news AS SELECT max(run_seq) AS run_seq, source, subject FROM ops.sync_count WHERE rows_read > 0 GROUP BY ALL"
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE _old_run AS SELECT run_seq FROM ops.run WHERE run_id IN (FROM _old_run_id)")


def _last_taken_up(connection: duckdb.DuckDBPyConnection, before: datetime) -> int:
    """The last run that began before, and not after the last published one: its deletions are in every mart."""
    row = connection.execute(
        "SELECT least(coalesce((SELECT min(run_seq) - 1 FROM ops.run WHERE started_at >= $before), (SELECT max(run_seq) FROM ops.run)), "
        "(SELECT max(run_seq) FROM ops.run WHERE state = 'published'))",
        {"before": before},
    ).fetchone()
    return int(row[0]) if row and row[0] is not None else -1


def _prune_history(connection: duckdb.DuckDBPyConnection, before: datetime, dry_run: bool) -> int:
    """Remove the versions of records that only runs before knew; those runs can then no longer be reproduced."""
    row = connection.execute(
        "SELECT coalesce(min(run_seq) FILTER (started_at >= $before), max(run_seq)), max(run_seq) FILTER (state = 'published') FROM ops.run",
        {"before": before},
    ).fetchone()
    if row is None or row[1] is None:
        return 0
    first_seq = min(row)
    if not dry_run:
        return history.prune(connection, first_seq)
    there = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw'").fetchall()}
    kept = [table for table in map(history_of, history.prunable()) if table in there]
    if not kept:  # a home of an older program that no run has upgraded yet
        return 0
    counted = (f"SELECT count(*) AS n FROM raw.{name(table)} WHERE _known_to_seq <= {first_seq}" for table in kept)
    return int(connection.execute(f"SELECT sum(n) FROM ({' UNION ALL '.join(counted)})").fetchall()[0][0])
