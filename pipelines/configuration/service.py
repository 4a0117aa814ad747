"""The door to a ``sources.yml`` that is being written: every fault in it, a dry run of one source, what it holds.

For operators on the command line (``yiwang sources``) and, in a process of its own, for the page. Nothing is changed.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from models.domain.contracts import SUBJECT_TITLES, columns
from models.domain.errors import YiwangError
from models.domain.locations import shown, variables
from models.domain.settings import Settings
from pipelines.configuration.policy import guard, refusals
from pipelines.sources.config import told_twice
from pipelines.sources.service import SourceFile, load_sources, preview

MOST_ROWS = 200
_MOST_FAULTS = 50
_LARGEST = 1_000_000


def check(settings: Settings, text: str, folder: Path, current: str | None = None) -> list[str]:
    """Every fault of a file, one Chinese sentence each, with source and field; empty when it can be used.

    Args:
        settings: Home, and what a page-edited file may name.
        text: The file's content.
        folder: Folder to which its locations are relative.
        current: Content of the file in service: the text is then held to the policy for pages
            (:mod:`pipelines.configuration.policy`) too; None for an operator's own file.
    """
    if len(text.encode()) > _LARGEST:
        return [f"配置超过 {_LARGEST:,} 字节"]
    faults = _faults(text)
    refused: list[str] = []
    if current is not None:
        refused = refusals(settings, entries(text), entries(current), folder, variables(settings, current, os.environ))
    if any("环境变量" in refusal for refusal in refused):
        faults = [fault for fault in faults if "环境变量" not in fault]  # those that may not be named are not set here either
    return [*refused, *faults]


def attempt(settings: Settings, text: str, folder: Path, name: str, subject: str, rows: int = 20, current: str | None = None) -> dict[str, Any]:
    """A dry run of one source: its first rows as they would be loaded.

    Args:
        settings: As :func:`check`; memory and threads.
        text: The file's content.
        folder: Folder to which its locations are relative.
        name: Source.
        subject: Subject.
        rows: Greatest number of rows read.
        current: As :func:`check`.

    Returns:
        ``fields`` (field, title), ``rows``, ``set_aside`` (reason, key, raw), ``unmapped`` columns; personal data masked.

    Raises:
        YiwangError: YW-SYNC-001 with the first fault, YW-SERVE-006 when there is no such source, YW-SYNC-… of the source.
    """
    if faults := check(settings, text, folder, current):
        raise YiwangError("YW-SYNC-001", path="sources.yml", detail=faults[0])
    file = _load(text).model_copy(update={"folder": folder.resolve()})
    source = next((source for source in file.sources if (source.name, source.subject) == (name, subject)), None)
    if source is None:
        raise YiwangError("YW-SERVE-006", what=f"来源 {name}/{subject}")
    may_read = None if current is None else guard(settings, entries(text)[file.sources.index(source)], entries(current))
    found = preview(settings, file, source, min(max(1, rows), MOST_ROWS), may_read)
    titles = columns(source.contract)
    return {
        "source": name, "subject": subject, "fields": [{"field": field, "title": titles[field].title} for field in found.fields],
        "rows": found.rows, "set_aside": found.set_aside, "unmapped": found.unmapped,
    }  # fmt: skip


def summary(text: str) -> list[dict[str, Any]]:
    """What a file holds, one row an entry: placeholders stay placeholders, passwords are hidden."""
    return [
        {
            "source": str(entry.get("name", "")), "subject": str(entry.get("subject", "")), "title": SUBJECT_TITLES.get(str(entry.get("subject")), ""),
            "kind": str(entry.get("kind", "file")), "location": shown(str(entry.get("location", ""))), "owner": entry.get("owner"),
            "mapped": len(entry["fields"]) if isinstance(entry.get("fields"), Mapping) else 0,
        }
        for entry in entries(text)
    ]  # fmt: skip


def entries(text: str) -> list[dict[str, Any]]:
    """The sources of a file as they are written; empty where it is no YAML of that shape."""
    try:
        content = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - a BaseLoader makes text only
    except (yaml.YAMLError, RecursionError, ValueError):
        return []
    listed = content.get("sources") if isinstance(content, Mapping) else None
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _load(text: str) -> SourceFile:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sources.yml"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return load_sources(path)


def _faults(text: str) -> list[str]:
    """Every fault that ``load_sources`` finds, which tells one at a time: what it names is taken out, and it looks again."""
    # said first: what is put in for an entry with a fault has another name
    pairs = [(str(entry.get("name", "")), str(entry.get("subject", ""))) for entry in entries(text)]
    found = [f"sources：{fault}" for fault in [told_twice(pairs)] if fault]
    names: dict[str, str] = {}
    for _ in range(_MOST_FAULTS):
        try:
            _load(text)
        except YiwangError as error:
            fault = str(error.values.get("detail") or error.message)
            for stand_in, written in names.items():
                fault = fault.replace(f"“{stand_in}”", f"“{written}”")
            found.append(fault)
            cause = error.__cause__
            mended = _without(text, list(cause.errors()[0]["loc"]), names) if isinstance(cause, ValidationError) else None
            if mended is None or mended == text:
                break
            text = mended
        except RecursionError:
            return ["内容嵌套太深"]
        else:
            break
    return list(dict.fromkeys(found))


def _without(text: str, place: list[int | str], names: dict[str, str]) -> str | None:
    """The file without what a fault names: a key of an entry; the whole entry, by one without fault, where that is not enough."""
    content = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - a BaseLoader makes text only
    if len(place) >= 2 and place[0] == "sources" and isinstance(place[1], int):
        number = place[1]
        entry = content["sources"][number]
        names.setdefault(f"without_fault_{number}", str(entry.get("name", "")) if isinstance(entry, dict) else "")
        if not isinstance(entry, dict) or not _mend(entry, number, place[2:]):
            content["sources"][number] = {"name": f"without_fault_{number}", "subject": "case", "location": "none"}
    elif len(place) == 1 and place[0] in content and place[0] != "sources":
        del content[place[0]]
    else:
        return None
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False)


def _mend(entry: dict[Any, Any], number: int, place: list[int | str]) -> bool:
    """Take what a fault names out of an entry, or put in what has none; False where that cannot be done."""
    key = place[0] if place else None
    if key in ("name", "location"):
        entry[key] = f"without_fault_{number}"
    elif key in entry and key not in ("subject", "kind"):
        below = place[1] if len(place) > 1 else None
        if isinstance(entry[key], dict) and below in entry[key]:
            del entry[key][below]
        else:
            del entry[key]
    else:
        return False
    return True
