"""The ``sources.yml`` that lets the pipelines read the sample city."""

from pathlib import Path
from typing import Any

import yaml

from models.domain.contracts import SUBJECTS

WRITTEN = tuple(subject for subject in SUBJECTS if subject != "calendar_day")
"""Subjects of the sample: the city keeps to the official calendar."""


def write_sources(home: Path) -> None:
    """Write ``<home>/sources.yml`` unless there is one: it belongs to the user from then on."""
    path = home / "sources.yml"
    if path.exists():
        return
    home.mkdir(parents=True, exist_ok=True)
    sources: list[dict[str, Any]] = [
        {"name": "sample", "kind": "file", "subject": subject, "location": f"sample/{subject}/*.parquet", "cursor": "updated_at"}
        # every version of a matter is kept
        | ({"key": ["matter_code", "version"]} if subject == "matter" else {})
        for subject in WRITTEN
    ]
    path.write_text(yaml.safe_dump({"sources": sources}, allow_unicode=True, sort_keys=False), encoding="utf-8")
