"""The Dagster graph, one folder a stage: sync, warehouse, quality, capability, publish. No rules live here."""
