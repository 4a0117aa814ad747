"""Questions to the catalogue of a snapshot: what there is, where it comes from, whether it is all there.

Lists in pages are asked of :mod:`models.store.warehouse`; here is what needs more than one table of the catalogue.
What does not belong here: how the catalogue is found out (:mod:`pipelines.catalogue`), labels, HTML.
"""

from dataclasses import dataclass
from typing import Any

from models.store.snapshots import Snapshot, SnapshotStore

Row = dict[str, Any]

_MATCHES = "(contains(lower({0}.{1}), lower(?)) OR contains(lower({0}.title), lower(?)) OR contains(lower({0}.description), lower(?)))"


@dataclass(frozen=True)
class Lineage:
    """Products and what each is made from.

    Attributes:
        products: Rows of ``catalogue_table``, from sources to consumers.
        edges: (upstream, downstream).
    """

    products: list[Row]
    edges: list[tuple[str, str]]

    def around(self, name: str) -> "Lineage":
        """Only what a product is made from, however far back, and what is made from it."""
        kept = {name} | self._reached(name, 0, 1) | self._reached(name, 1, 0)
        return Lineage([row for row in self.products if row["table_name"] in kept], [edge for edge in self.edges if set(edge) <= kept])

    def _reached(self, name: str, here: int, there: int) -> set[str]:
        reached: set[str] = set()
        beyond = {name}
        while beyond:
            beyond = {edge[there] for edge in self.edges if edge[here] in beyond} - reached
            reached |= beyond
        return reached


class CatalogueRepository:
    """Reads the catalogue.

    Args:
        store: Where the snapshots are.
    """

    def __init__(self, store: SnapshotStore) -> None:
        self.store = store

    def sources(self, snapshot: Snapshot) -> list[Row]:
        """Every subject of every source."""
        return self.store.rows(snapshot, "SELECT * FROM marts.catalogue_source ORDER BY rowid")

    def tables(self, snapshot: Snapshot, words: tuple[str, ...] = (), layer: str | None = None) -> list[Row]:
        """Tables whose name, title, description or columns have every word; ``found`` has the columns that have one.

        Args:
            snapshot: What is read.
            words: Words that are looked for, letter case aside; none finds every table.
            layer: Only this layer.
        """
        conditions, values = ["true"], list[Any]()
        for word in words:
            in_column = f"EXISTS (FROM marts.catalogue_column AS c WHERE c.table_name = t.table_name AND {_MATCHES.format('c', 'column_name')})"
            conditions.append(f"({_MATCHES.format('t', 'table_name')} OR {in_column})")
            values += [word] * 6
        if layer:
            conditions.append("t.layer = ?")
            values.append(layer)
        any_word = " OR ".join(_MATCHES.format("c", "column_name") for _ in words) or "false"
        sql = f"""
            SELECT t.*, coalesce(list(struct_pack(column_name := c.column_name, title := c.title) ORDER BY c.position) FILTER ({any_word}), []) AS found
            FROM marts.catalogue_table AS t LEFT JOIN marts.catalogue_column AS c USING (table_name)
            WHERE {' AND '.join(conditions)} GROUP BY ALL ORDER BY t.sort_order
        """  # noqa: S608 - constants; what is looked for is bound
        return self.store.rows(snapshot, sql, *[word for word in words for _ in range(3)], *values)

    def layers(self, snapshot: Snapshot) -> list[str]:
        """The layers that have tables, from sources to consumers."""
        return [row["layer"] for row in self.store.rows(snapshot, "SELECT layer FROM marts.catalogue_table GROUP BY layer ORDER BY min(sort_order)")]

    def table(self, snapshot: Snapshot, name: str) -> Row | None:
        """One table with ``columns``, ``upstream``, ``downstream`` and ``partitions`` (counts by source), None if there is none."""
        found = self.store.rows(snapshot, "SELECT * FROM marts.catalogue_table WHERE table_name = ?", name)
        if not found:
            return None
        neighbours = "SELECT t.table_name, t.title, l.told_by FROM marts.catalogue_lineage AS l JOIN marts.catalogue_table AS t ON t.table_name = l."
        return found[0] | {
            "columns": self.store.rows(snapshot, "SELECT * FROM marts.catalogue_column WHERE table_name = ? ORDER BY position", name),
            "upstream": self.store.rows(snapshot, f"{neighbours}upstream WHERE l.downstream = ? ORDER BY t.sort_order", name),
            "downstream": self.store.rows(snapshot, f"{neighbours}downstream WHERE l.upstream = ? ORDER BY t.sort_order", name),
            "partitions": [row for row in self.series(snapshot) if row["table_name"] == name],
        }  # fmt: skip

    def lineage(self, snapshot: Snapshot) -> Lineage:
        """All products and what each is made from."""
        products = self.store.rows(snapshot, "SELECT table_name, layer, title, kind, row_count, sort_order FROM marts.catalogue_table ORDER BY sort_order")
        edges = self.store.rows(snapshot, "SELECT upstream, downstream FROM marts.catalogue_lineage ORDER BY ALL")
        return Lineage(products, [(edge["upstream"], edge["downstream"]) for edge in edges])

    def series(self, snapshot: Snapshot) -> list[Row]:
        """Tables with partitions, by source: partitions that are ok, missing and unexpected, and rows."""
        return self.store.rows(
            snapshot,
            "SELECT table_name, source, any_value(subject) AS subject, count(*) FILTER (verdict = 'ok') AS ok, count(*) FILTER (verdict = 'missing') AS missing, "
            "count(*) FILTER (verdict = 'unexpected') AS unexpected, sum(row_count)::BIGINT AS row_count, "
            "max(grain) FILTER (verdict <> 'unexpected') AS grain, min(partition_on) FILTER (verdict <> 'unexpected') AS first_on, "
            "max(partition_on) FILTER (verdict <> 'unexpected') AS last_on "
            "FROM marts.catalogue_partition GROUP BY table_name, source ORDER BY table_name, source",
        )

    def partitions(self, snapshot: Snapshot, table: str, source: str) -> list[Row]:
        """The partitions of a source's table, oldest first, those without a day last."""
        sql = "SELECT * FROM marts.catalogue_partition WHERE table_name = ? AND source = ? ORDER BY partition_on NULLS LAST, grain, reason"
        return self.store.rows(snapshot, sql, table, source)
