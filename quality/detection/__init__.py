"""Finds wrong cells in a table that nobody has described; :mod:`quality.detection.service` is the door."""
