"""The door of the catalogue: writes it into the masked marts, so that each snapshot carries its own.

Serving reads it as data (:mod:`models.store.catalogue`); it never asks dbt, Dagster or the sources.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from models.domain.contracts import SUBJECTS
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.catalogue.locations import location_of, written_locations
from pipelines.catalogue.metadata import (
    SOURCE,
    Product,
    add_tables,
    column_rows,
    edges_of_dbt,
    products_of_dbt,
    table_rows,
)
from pipelines.catalogue.partitions import read_series, write_partitions
from pipelines.catalogue.types import SCHEMAS, CatalogueFile, catalogue_file, table_of
from pipelines.sources.service import Source, load_sources
from pipelines.warehouse.books import warehouse
from pipelines.warehouse.service import load_manifest
from quality.service import load_rules

_WORK, _MASKED = "warehouse", "masked"
_FACT_TIMES = {"case": "received_at", "case_event": "occurred_at", "review": "reviewed_at", "certificate": "issued_on"}


def write_catalogue(settings: Settings, sources: Path | None, as_of: datetime, assets: Mapping[str, Sequence[str]]) -> None:
    """Write ``marts.catalogue_*``: sources, tables, columns, lineage and partitions as they stand now.

    Args:
        settings: Home.
        sources: Source configuration, ``sources.yml`` of the home when None. One that cannot be read any more does not
            stop a publication: its sources are then listed as not configured.
        as_of: Instant on which the run stands; what is newer has not happened yet.
        assets: Dagster's graph: asset → assets that it is made from, as ``<layer>.<name>``.
    """
    data = catalogue_file()
    path = sources or settings.home / "sources.yml"
    manifest = load_manifest(settings)
    with warehouse(settings) as connection:
        # what an older program left of the catalogue would be listed with its old columns
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_MASKED}.marts")
        for table in SCHEMAS:
            connection.execute(f"DROP TABLE IF EXISTS {_MASKED}.marts.{table}")
        there = {row[0] for row in connection.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = ?", [_MASKED]
        ).fetchall()}
        partitions = {table: spec for table, spec in data.partitions.items() if table in there}
        write_partitions(connection, partitions, data.rule, as_of, settings.zone)
        listed = _sources(connection, path, as_of, data)
        products, edges = _graph(connection, manifest, assets, listed, data, settings.own_rules)
        written: dict[str, list[dict[str, Any]]] = {
            "catalogue_source": listed, "catalogue_column": column_rows(products, data),
            "catalogue_lineage": [{"upstream": up, "downstream": down, "told_by": by} for (up, down), by in sorted(edges.items())],
        }  # fmt: skip
        for table, rows in written.items():
            products[f"marts.{table}"].rows = len(rows)
        products["marts.catalogue_table"].rows = len(products)
        written["catalogue_table"] = table_rows(products, data)
        for table, rows in written.items():
            connection.register("_rows", table_of(table, rows))
            connection.execute(f"CREATE OR REPLACE TABLE {_MASKED}.marts.{table} AS FROM _rows")
            connection.unregister("_rows")


def _graph(
    connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any], assets: Mapping[str, Sequence[str]], listed: Sequence[Mapping[str, Any]],
    data: CatalogueFile, own_rules: Path,
) -> tuple[dict[str, Product], dict[tuple[str, str], str]]:
    """Every product, and (upstream, downstream) → who tells of it; each end of an edge is a product."""
    products = products_of_dbt(manifest)
    add_tables(connection, _WORK, ("raw", "ops", "staging", "intermediate"), products)
    add_tables(connection, _MASKED, ("marts",), products)
    edges = {edge: "dbt" for edge in edges_of_dbt(manifest)}
    for name, parents in assets.items():
        products.setdefault(name, Product(name, name.partition(".")[0], "file" if name.startswith("publish.") else "table"))
        for parent in parents:
            products.setdefault(parent, Product(parent, parent.partition(".")[0], "table"))
            edges.setdefault((parent, name), "dagster")
    read_by_rules = sorted({f"marts.{rule.table}" for rule in load_rules(own=own_rules)})
    for name, written in data.written.items():
        product = products.setdefault(name, Product(name, name.partition(".")[0], "table"))
        product.title = product.title or written.title
        product.description = written.description
        for parent in read_by_rules if written.upstream == "rules" else written.upstream:
            if parent in products or parent in data.written:
                edges.setdefault((parent, name), "pipelines")
    for subject in SUBJECTS:  # replaced rows come from the table in which they were replaced
        if f"raw.{subject}_history" in products:
            edges.setdefault((f"raw.{subject}", f"raw.{subject}_history"), "pipelines")
    for name in (f"marts.{table}" for table in SCHEMAS):
        products[name].types = {column.name: _SQL[str(column.type)] for column in SCHEMAS[name.partition(".")[2]]}
    for row in listed:
        name = SOURCE + row["source"]
        products.setdefault(name, Product(name, "source", "source", row["source"], "sources.yml 中的一个数据源", row["owner"]))
        edges[name, f"raw.{row['subject']}"] = "sync"
    return products, edges


_SQL = {
    "string": "VARCHAR", "int64": "BIGINT", "int32": "INTEGER", "bool": "BOOLEAN", "date32[day]": "DATE", "timestamp[us, tz=UTC]": "TIMESTAMP WITH TIME ZONE",
}


_KEPT_IN = {"area_region": "marts.bridge_area_region", "calendar_day": "intermediate.int_calendar"}
"""Subjects whose table is no dimension of their name."""


def _sources(connection: duckdb.DuckDBPyConnection, path: Path, as_of: datetime, data: CatalogueFile) -> list[dict[str, Any]]:
    """Rows of ``catalogue_source``: what is configured, and what was read once and is kept."""
    try:
        configured = {(source.name, source.subject): source for source in load_sources(path).sources}
    except YiwangError:
        configured = {}
    written, held, read, series = written_locations(path), _held(connection, as_of), _read(connection), read_series(connection)
    tables = {spec.subject: table for table, spec in data.partitions.items()}
    order = list(SUBJECTS)
    rows = []
    for source, subject in sorted({*configured, *held, *read}, key=lambda pair: (pair[0], order.index(pair[1]) if pair[1] in order else len(order))):
        entry, own = configured.get((source, subject)), held.get((source, subject), {})
        partitions = series.get((source, subject), {})
        freshness, reason = verdict_of(entry, own, partitions, as_of, data.rule.grace)
        rows.append({
            "source": source, "subject": subject, "kind": entry.kind if entry else None, "location": location_of(entry, written) if entry else None,
            "owner": (getattr(entry, "owner", None) if entry else None) or data.owner, "is_configured": entry is not None,
            "table_name": tables.get(subject, _KEPT_IN.get(subject, f"marts.dim_{subject}")), "row_count": own.get("row_count", 0), "quarantined": own.get("quarantined", 0),
            **(read.get((source, subject)) or {}), "newest_at": own.get("newest_at"), "started_on": partitions.get("started_on"), "habit": partitions.get("habit"),
            "missing_partitions": partitions.get("missing"), "unexpected_partitions": partitions.get("unexpected"),
            "freshness": freshness, "freshness_reason": reason,
        })  # fmt: skip
    return rows


def _held(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> dict[tuple[str, str], dict[str, Any]]:
    """What raw holds of each source's subject: records, the newest one's time up to ``as_of``, rows set aside."""
    parts = []
    for subject in SUBJECTS:
        newest = "updated_at"
        if subject in _FACT_TIMES:
            newest = f"coalesce(updated_at, {_FACT_TIMES[subject]}::TIMESTAMPTZ)"
        parts.append(
            f"SELECT source, '{subject}' AS subject, count(*) FILTER (NOT _is_deleted) AS row_count, 0 AS quarantined, "  # noqa: S608 - names of contracts
            f"max({newest}) FILTER (isfinite({newest}) AND {newest} <= $as_of) AS newest_at FROM raw.\"{subject}\" GROUP BY ALL"
        )
    parts.append("SELECT source, subject, 0, count(*), NULL FROM raw.quarantine GROUP BY ALL")
    query = (
        "SELECT source, subject, sum(row_count)::BIGINT AS row_count, sum(quarantined)::BIGINT AS quarantined, max(newest_at) AS newest_at "  # noqa: S608
        f"FROM ({' UNION ALL '.join(parts)}) GROUP BY ALL"
    )
    rows = connection.sql(query, params={"as_of": as_of}).to_arrow_table().to_pylist()
    return {(row.pop("source"), row.pop("subject")): row for row in rows}


def _read(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], dict[str, Any]]:
    """When each source's subject was looked at last, and when there was something new."""
    rows = connection.sql(
        "SELECT source, subject, max(started_at) AS last_checked_at, max(started_at) FILTER (rows_read > 0) AS last_read_at "
        "FROM ops.sync_count JOIN ops.run USING (run_id) GROUP BY ALL"
    ).to_arrow_table().to_pylist()
    return {(row.pop("source"), row.pop("subject")): row for row in rows}


def verdict_of(
    source: Source | None, held: Mapping[str, Any], partitions: Mapping[str, Any], as_of: datetime, grace: int
) -> tuple[str, str]:
    """Freshness of a source's subject and one sentence for it: ``fresh``, ``stale``, ``empty`` or ``no_rule``.

    Args:
        source: Its configuration, None where it is not configured any more.
        held: ``row_count`` and ``newest_at``.
        partitions: ``habit`` and ``missing_at_end``; empty for master data.
        as_of: Instant on which the run stands.
        grace: Partitions that may be missing at the end.
    """
    if not held.get("row_count"):
        return "empty", "还没有读到任何记录"
    newest: datetime | None = held.get("newest_at")
    within = getattr(source, "fresh_within", None) if source else None
    if within and newest:
        limit = timedelta(days=int(within[:-1])) if within.endswith("d") else timedelta(hours=int(within[:-1]))
        is_late = as_of - newest.astimezone(UTC) > limit
        return ("stale", f"最新记录早于数据截止时刻超过 {within}") if is_late else ("fresh", f"最新记录在 {within} 以内")
    if partitions.get("habit") in ("daily", "monthly"):
        missing, unit = int(partitions["missing_at_end"]), "个工作日" if partitions["habit"] == "daily" else "个月"
        if missing > grace:
            return "stale", f"最近 {missing} {unit}没有记录"
        return "fresh", f"最近 {missing} {unit}没有记录，在允许的 {grace} {unit}以内" if missing else f"按{'日' if unit == '个工作日' else '月'}到齐"
    if partitions:
        return "no_rule", "记录没有规律，不判断是否及时"
    return "no_rule", "基础数据，不按日更新"
