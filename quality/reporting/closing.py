"""The reconciliation of a package: where every row of the source is; it closes to zero or nothing is built."""

# ruff: noqa: S608 - names are ours or of the catalogue

import duckdb

from models.domain.errors import YiwangError
from quality.reporting.items import Subject
from quality.reporting.manifest import HeldLine, Reconciliation
from quality.reporting.selection import CORRECT, HELD, LATE, NEW, SENT, WITHDRAWN, one

_VERSIONED = ("dim_matter",)
"""Marts that show one version of each record only, so that the sync's books of rows say nothing of their number."""


def reconcile(connection: duckdb.DuckDBPyConnection, subject: Subject, not_due: str, titles: dict[str, str]) -> Reconciliation:
    """Counts both sides apart and compares them; fills ``closing`` (line, rule_id, rows) for the ledger.

    Args:
        connection: Has ``fate``, ``line``, ``held_reason`` of the package.
        subject: Its subject.
        not_due: SQL condition of the mart's rows ``t`` that are not due.
        titles: Rule or reason → its Chinese name.

    Raises:
        YiwangError: YW-REPORT-005 where it does not close.
    """
    table = f"marts.{subject.table}"
    records = one(connection, f"SELECT count(*) FROM {table}")
    quarantined = one(connection, "SELECT count(*) FROM marts.quarantine WHERE subject = $1", [subject.name])
    superseded = one(connection, "SELECT coalesce(sum(superseded), 0)::BIGINT FROM marts.mart_sync_run WHERE subject = $1", [subject.name])
    repeated = one(connection, "SELECT count(*) - count(DISTINCT (source, record_key)) FROM fate")
    if repeated:
        raise YiwangError("YW-REPORT-005", detail=f"{repeated} 行的主键重复")
    fates: dict[str, int] = dict(connection.execute("SELECT fate, count(*) FROM fate GROUP BY 1").fetchall())
    lines = one(connection, "SELECT count(*) FROM line WHERE action <> 'withdraw'")
    held = connection.execute("SELECT rule_id, count(*) FILTER (is_first), count(*) FROM held_reason GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1").fetchall()
    closing = Reconciliation(
        source_rows=records + quarantined + superseded, in_package=lines, reported_before=fates.get(SENT, 0),
        held_back=sum(row[1] for row in held), withdrawn=fates.get(WITHDRAWN, 0),
        not_due=one(connection, f"SELECT count(*) FROM {table} AS t WHERE {not_due}"), quarantined=quarantined, superseded=superseded,
        held=tuple(HeldLine(rule_id=rule, title=titles.get(rule, rule), first=first, all=every) for rule, first, every in held),
        books=_books(connection, subject, records),
    )  # fmt: skip
    apart = {"上报": (lines, sum(fates.get(fate, 0) for fate in (NEW, LATE, CORRECT))), "未上报": (closing.held_back, fates.get(HELD, 0))}
    for name, (written, decided) in apart.items():
        if written != decided:
            raise YiwangError("YW-REPORT-005", detail=f"{name}写出 {written} 行，应为 {decided} 行")
    if closing.difference:
        raise YiwangError("YW-REPORT-005", detail=f"来源 {closing.source_rows} 行与各去向之和差 {closing.difference} 行")
    _keep(connection, closing)
    return closing


def _books(connection: duckdb.DuckDBPyConnection, subject: Subject, records: int) -> str | None:
    """What the sync counted must fit the records: a row lost between the sync and the marts would show nowhere else."""
    if subject.table in _VERSIONED:
        return None
    whole, first, inserted, deleted = connection.execute(
        "SELECT count(DISTINCT run_seq) = max(run_seq), min(run_seq), coalesce(sum(inserted) FILTER (subject = $1), 0)::BIGINT, "
        "coalesce(sum(deleted) FILTER (subject = $1), 0)::BIGINT FROM marts.mart_sync_run", [subject.name],
    ).fetchall()[0]  # fmt: skip
    if not whole or first != 1:  # old books were closed
        return None
    if not inserted - deleted <= records <= inserted:  # a deleted record may have come back, one never seen may be deleted
        raise YiwangError("YW-REPORT-005", detail=f"同步账上新增 {inserted} 条、删除 {deleted} 条，集市有 {records} 条")
    return f"新增 {inserted} 条，删除 {deleted} 条，集市 {records} 条"


def _keep(connection: duckdb.DuckDBPyConnection, closing: Reconciliation) -> None:
    counts = {name: value for name, value in closing.model_dump().items() if isinstance(value, int)}
    rows: list[tuple[str, str | None, int]] = [(name, None, value) for name, value in counts.items()]
    rows += [("held_back", line.rule_id, line.first) for line in closing.held]
    connection.execute("CREATE OR REPLACE TEMP TABLE closing (line VARCHAR, rule_id VARCHAR, rows BIGINT)")
    connection.executemany("INSERT INTO closing VALUES (?, ?, ?)", rows)
