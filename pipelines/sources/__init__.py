"""Sync of the sources into the raw layer; :mod:`pipelines.sources.service` is the door."""
