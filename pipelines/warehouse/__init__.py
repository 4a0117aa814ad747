"""The dbt project as the pipelines see it: where it is, its manifest, its environment and its variables."""
