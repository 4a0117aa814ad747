"""Tables, columns and lineage: from dbt's manifest, Dagster's graph, the contracts and the databases themselves.

Whatever exists is listed, also what nobody describes; whatever is described is listed, also before it exists.
What does not belong here: counting by partition (:mod:`pipelines.catalogue.partitions`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import duckdb

from models.domain.contracts import SUBJECT_TITLES, SUBJECTS, Column, Personal, columns
from pipelines.catalogue.types import CatalogueFile

_CODES = re.compile(r"(?:codes |\()((?:A\.\d|L\.\w+))")
_SAID = r"^{title}( \(GB/T 39046 item [\d.]+\))?(, codes [AL]\.\w+)?(\. |\.?$)"
"""What a description repeats of title, item and codes, which have columns of their own."""
_SUFFIXES = {"_masked": "（已脱敏）", "_digest": "（摘要）", "_is_valid": "是否有效"}
_CJK = re.compile(r"[㐀-鿿]")
_HISTORY = "_history"
SOURCE = "source."
"""In front of a source's name in the lineage."""


@dataclass
class Product:
    """A table, view or other product of the platform.

    Attributes:
        name: ``<layer>.<name>``; a published or working table under its schema.
        layer: Key of ``layers`` in ``catalogue.yml``.
        kind: ``table``, ``view``, ``ephemeral``, ``source``, ``file`` or the type of an exposure.
        rows: Its rows, None for what has none of its own.
        described: Column → what dbt says of it.
        types: Column → type, in order, as the database has it.
    """

    name: str
    layer: str
    kind: str
    title: str = ""
    description: str = ""
    owner: str = ""
    rows: int | None = None
    described: dict[str, dict[str, Any]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)


def products_of_dbt(manifest: Mapping[str, Any]) -> dict[str, Product]:
    """Models, seeds, sources and exposures of the manifest, by name."""
    found = {}
    for node in _nodes(manifest):
        name, layer = _name(node), _name(node).partition(".")[0]
        if node["resource_type"] == "exposure":
            owner = node.get("owner") or {}
            found[name] = Product(
                name, layer, node.get("type") or "exposure", node.get("label") or "", node["description"], owner.get("name") or owner.get("email") or ""
            )
            continue
        kind = {"view": "view", "ephemeral": "ephemeral"}.get(node.get("config", {}).get("materialized", ""), "table")
        meta = {**node.get("meta", {}), **node.get("config", {}).get("meta", {})}
        found[name] = Product(name, layer, kind, meta.get("title") or "", node["description"], meta.get("owner") or "", described=node["columns"])
    return found


def edges_of_dbt(manifest: Mapping[str, Any]) -> set[tuple[str, str]]:
    """What each model and exposure is made from: (upstream, downstream)."""
    names = {node["unique_id"]: _name(node) for node in _nodes(manifest)}
    return {
        (names[upstream], _name(node))
        for node in _nodes(manifest)
        for upstream in node.get("depends_on", {}).get("nodes", ())
        if upstream in names
    }


def add_tables(connection: duckdb.DuckDBPyConnection, catalog: str, schemas: Sequence[str], products: dict[str, Product]) -> None:
    """Put in what the database has in these schemas: tables with their rows, views, columns with their types."""
    listed = connection.execute(
        """
        SELECT schema_name, table_name, 'table' AS kind FROM duckdb_tables() WHERE database_name = $catalog AND schema_name IN $schemas AND NOT starts_with(table_name, '_')
        UNION ALL SELECT schema_name, view_name, 'view' FROM duckdb_views() WHERE database_name = $catalog AND schema_name IN $schemas ORDER BY ALL
        """,
        {"catalog": catalog, "schemas": list(schemas)},
    ).fetchall()
    for schema, table, kind in listed:
        products.setdefault(f"{schema}.{table}", Product(f"{schema}.{table}", schema, kind)).kind = kind
    for name, rows in _counts(connection, catalog, [f"{schema}.{table}" for schema, table, kind in listed if kind == "table"]):
        products[name].rows = rows
    typed = connection.execute(
        "SELECT schema_name || '.' || table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = ? AND list_contains(?, schema_name) "
        "ORDER BY 1, column_index",
        [catalog, list(schemas)],
    ).fetchall()
    for name, column, data_type in typed:
        if name in products:
            products[name].types[column] = data_type


def _counts(connection: duckdb.DuckDBPyConnection, catalog: str, tables: Sequence[str]) -> list[tuple[str, int]]:
    if not tables:
        return []
    quoted = ('"' + '"."'.join(part.replace('"', '""') for part in (catalog, *table.split(".", 1))) + '"' for table in tables)
    union = " UNION ALL ".join(f"SELECT {number} AS number, count(*) AS n FROM {name}" for number, name in enumerate(quoted))  # noqa: S608 - quoted names
    return [(tables[number], n) for number, n in connection.execute(union).fetchall()]


def table_rows(products: Mapping[str, Product], data: CatalogueFile) -> list[dict[str, Any]]:
    """Rows of ``catalogue_table``, from the sources to the consumers."""
    order = list(data.layers)
    ordered = sorted(products.values(), key=lambda p: (order.index(p.layer) if p.layer in order else len(order), p.name))
    return [
        {
            "table_name": product.name, "layer": product.layer, "title": _title(product, data), "kind": product.kind,
            "description": _grain(product, data), "owner": product.owner or data.owner, "row_count": product.rows,
            "column_count": len(_columns(product)), "sort_order": number,
        }
        for number, product in enumerate(ordered)
    ]  # fmt: skip


def column_rows(products: Mapping[str, Product], data: CatalogueFile) -> list[dict[str, Any]]:
    """Rows of ``catalogue_column``."""
    return [_column(product, position, name, data) for product in products.values() for position, name in enumerate(_columns(product), start=1)]


def _columns(product: Product) -> list[str]:
    """The columns that the database has; before the table exists, those that are described."""
    return list(product.types) or list(product.described)


def _column(product: Product, position: int, name: str, data: CatalogueFile) -> dict[str, Any]:
    said = product.described.get(name, {})
    description = said.get("description") or ""
    base, suffix = name, ""
    spec = _spec(product.name, name)
    if spec is None and (suffix := next((ending for ending in _SUFFIXES if name.endswith(ending)), "")):
        base = name.removesuffix(suffix)
        spec = _spec(product.name, base)
    first = re.split(r"[(,.（，。]", description, maxsplit=1)[0].strip()
    title = spec.title + _SUFFIXES.get(suffix, "") if spec else data.columns.get(name) or (first if _CJK.search(first) else name)
    codes = _CODES.search(description)
    is_whole = not suffix
    meta = {**said.get("meta", {}), **said.get("config", {}).get("meta", {})}
    return {
        "table_name": product.name, "position": position, "column_name": name, "data_type": product.types.get(name) or (said.get("data_type") or "").upper(),
        "title": title, "description": re.sub(_SAID.format(title=re.escape(first)), "", description) or (spec.description if spec and is_whole else ""),
        "gb_item": meta.get("gbt39046") or (spec.item if spec else None),
        "code_table": codes.group(1) if codes else spec.code_table if spec and is_whole else None,
        "is_personal": bool(spec and spec.personal) and suffix != "_is_valid",
    }  # fmt: skip


def _spec(table: str, name: str) -> Column | None:
    """The contract's column: of the table's own subject, else of the only kind that all contracts with this field agree on."""
    own = re.sub(r"^(raw\.|staging\.stg_|marts\.(fct|dim)_)|_(history|version)$", "", table)
    if own in SUBJECTS:
        return _specs()[own].get(name)
    found = {spec for specs in _specs().values() if (spec := specs.get(name))}
    if len(found) == 1:
        return next(iter(found))
    # fields of one name differ between subjects: what they share holds, and personal data stays personal
    if not found:
        return None
    titles = {spec.title for spec in found}
    if len(titles) > 1:
        return None
    shared = {spec.code_table for spec in found}
    personal: Personal | None = next((spec.personal for spec in found if spec.personal), None)
    return Column(titles.pop(), code_table=shared.pop() if len(shared) == 1 else None, personal=personal)


@cache
def _specs() -> dict[str, dict[str, Column]]:
    return {subject: columns(contract) for subject, contract in SUBJECTS.items()}


def _title(product: Product, data: CatalogueFile) -> str:
    layer, _, own = product.name.partition(".")
    if layer == "raw" and own.removesuffix(_HISTORY) in SUBJECT_TITLES:
        return f"{SUBJECT_TITLES[own.removesuffix(_HISTORY)]}（{'被取代的' if own.endswith(_HISTORY) else '原始'}）"
    known = data.tables.get(own)
    return product.title or (known.title if known else own)


def _grain(product: Product, data: CatalogueFile) -> str:
    """What one row is: in Chinese where the catalogue's data says it, else as dbt does."""
    layer, _, own = product.name.partition(".")
    if layer == "raw" and own.removesuffix(_HISTORY) in SUBJECTS:
        what = SUBJECT_TITLES[own.removesuffix(_HISTORY)]
        return f"每行一条被取代的{what}记录，及取代它的运行" if own.endswith(_HISTORY) else f"每行一个数据源的一条{what}记录，保持来源的样子"
    known = data.tables.get(own) if layer in ("staging", "intermediate", "marts") and product.name not in data.written else None
    return known.grain if known else product.description


def _nodes(manifest: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for node in manifest["nodes"].values():
        if node["resource_type"] in ("model", "seed", "snapshot"):
            yield node
    yield from manifest["sources"].values()
    yield from manifest.get("exposures", {}).values()


def _name(node: Mapping[str, Any]) -> str:
    if node["resource_type"] == "exposure":
        return f"exposure.{node['name']}"
    return f"{node['schema']}.{node.get('alias') or node.get('identifier') or node['name']}"
