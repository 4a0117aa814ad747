"""The catalogue of a snapshot: sources, tables, columns, lineage and partitions, as data that is published with it."""
