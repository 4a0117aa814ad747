"""Checking and trying a ``sources.yml`` before it is put into service."""
