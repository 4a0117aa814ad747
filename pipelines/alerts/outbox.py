"""Alerts that wait for delivery, and what is amiss at present: small files in the home, whole after any kill."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from models.domain.settings import Settings

_OPEN = "open.json"


class Outbox:
    """The folder ``alerts`` of a home: ``<event id>.json`` for each event not delivered, ``open.json`` for what is amiss.

    Args:
        settings: Home.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.home / "alerts"

    def put(self, event_id: str, payload: Mapping[str, Any]) -> None:
        """Keep an event until :meth:`remove`."""
        self._write(f"{event_id}.json", payload)

    def pending(self) -> Iterator[tuple[str, bytes]]:
        """Events not delivered, oldest first (UUIDv7 sorts by time): id and body as it is posted."""
        for path in sorted(path for path in self.folder.glob("*.json") if path.name != _OPEN):
            try:
                yield path.stem, path.read_bytes()
            except FileNotFoundError:  # another process delivered it
                continue

    def remove(self, event_id: str) -> None:
        """The event is delivered."""
        (self.folder / f"{event_id}.json").unlink(missing_ok=True)

    def amiss(self) -> dict[str, str]:
        """What was alerted and is not over: subject of the alert → its kind."""
        try:
            content = json.loads((self.folder / _OPEN).read_bytes())
            return {str(about): str(kind) for about, kind in content.items()}
        except (OSError, ValueError, AttributeError):  # none yet, or damaged: at worst something is alerted once more
            return {}

    def set_amiss(self, amiss: Mapping[str, str]) -> None:
        """Replace :meth:`amiss`."""
        if amiss != self.amiss():
            self._write(_OPEN, amiss)

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{name}.{os.getpid()}"
        with draft.open("w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.folder / name)
