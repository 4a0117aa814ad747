"""Where sources are, as people may see it: placeholders stay placeholders, passwords and tokens are hidden."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from models.domain.locations import shown


def written_locations(path: Path) -> dict[tuple[str, str], str]:
    """(source, subject) → location as the file has it, before ``${NAME}`` is replaced; empty where it cannot be read."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506 - a BaseLoader makes text only
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    entries = content.get("sources") if isinstance(content, Mapping) else None
    found: dict[tuple[str, str], str] = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, Mapping) and isinstance(entry.get("location"), str):
            found[str(entry.get("name")), str(entry.get("subject"))] = entry["location"]
    return found


def location_of(source: Any, written: Mapping[tuple[str, str], str]) -> str:
    """A source's location for the catalogue: as it is written, else as it is, without secrets."""
    return shown(written.get((source.name, source.subject)) or source.location or "")
