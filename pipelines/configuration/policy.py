"""What a ``sources.yml`` that is edited through a page may name: folders, environment variables, addresses.

Whoever edits the page must not read with it what the operator did not offer: other files of the machine, the platform's
own files and secrets, other hosts. An entry whose ``location`` is word for word the one in service stays allowed: whoever
wrote that file could read it anyway. What does not belong here: whether the file is right (``load_sources`` says it).
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from models.domain.locations import PLACEHOLDER, PREFIX
from models.domain.settings import Settings

_PATH_KINDS = frozenset({"file"})
_FILE_KEYS = ("ca_file",)
"""Keys beside ``location`` that name a file."""
_BASE_KINDS = frozenset({"rest"})
"""Kinds to whose address a path may be added."""
_OWN = (
    "work", "snapshots", "dagster", "logs", "reports", "sources.versions", "sources.yml", "sources.log", "yiwang.toml", "run.lock", "digest.key", "session.key",
    "digest.sha256", "home.json", ".sources.lock", "operational.db", "operational.db-wal", "operational.db-shm", "encryption.key", "audit.key",
    "audit.heads", "history", "alerts",
)  # fmt: skip
"""Names in the home that belong to the platform."""
_MAGIC = re.compile(r"[*?\[]")


def refusals(
    settings: Settings, entries: Sequence[Mapping[str, Any]], current: Sequence[Mapping[str, Any]], folder: Path, allowed: frozenset[str]
) -> list[str]:
    """What an edited file may not say, one Chinese sentence each; empty when everything is allowed.

    Args:
        settings: Home, allowed folders and variables.
        entries: The edited file's sources, as they are written.
        current: Those of the file in service.
        folder: Folder to which locations are relative.
        allowed: Environment variables that may be named.
    """
    kept = {(entry.get("kind", "file"), entry["location"]) for entry in current if isinstance(entry.get("location"), str)}
    found = []
    for number, entry in enumerate(entries, start=1):
        place = f"第 {number} 个来源“{entry.get('name', '')}”"
        for key, text in _texts(entry):
            if bad := sorted({name for name in PLACEHOLDER.findall(text) if name not in allowed}):
                found.append(f"{place}的 {key}：不能使用环境变量 {'、'.join(bad)}，可用的是以 {PREFIX} 开头或由管理员列入 source_variables 的")
        for key in _FILE_KEYS:
            name = entry.get(key)
            if isinstance(name, str) and (reason := _path_refusal(settings, name, folder)):
                found.append(f"{place}的 {key}：{reason}")
        kind, location = entry.get("kind", "file"), entry.get("location")
        if not isinstance(location, str) or (kind, location) in kept:
            continue
        if any(name not in allowed for name in PLACEHOLDER.findall(location)):
            continue  # said above
        if kind in _PATH_KINDS:
            reason = _path_refusal(settings, location, folder)
        else:
            reason = _address_refusal(kind, location)
        if reason:
            found.append(f"{place}的 location：{reason}")
        if kind not in _PATH_KINDS:
            found += [
                f"{place}的 {key}：不能写网络地址，请写成环境变量"
                for key, text in _texts(entry) if key != "location" and ("://" in text or text.startswith("//"))
            ]  # fmt: skip
    return found


def _address_refusal(kind: str, location: str) -> str | None:
    match = PLACEHOLDER.match(location)
    rest = location[match.end() :] if match else location
    if match is None or (rest and (kind not in _BASE_KINDS or not rest.startswith("/") or "://" in rest or ".." in rest or rest.startswith("//"))):
        return f"数据库与接口的地址只能写成环境变量，例如 ${{{PREFIX}CITY}}，由管理员在服务器上设置"
    return None


def _path_refusal(settings: Settings, location: str, folder: Path) -> str | None:
    """Why files at a location may not be read through the page; None when they may."""
    if "://" in location or "\0" in location:
        return "只能是文件路径，不能是网络地址"
    roots = roots_of(settings, folder)
    leading = PLACEHOLDER.match(location)
    if leading and (value := os.environ.get(leading.group(1))) and Path(value).is_absolute():
        roots = [*roots, Path(value).resolve()]  # the operator set this folder for sources
    pattern = Path(os.path.normpath(folder / PLACEHOLDER.sub(lambda match: os.environ.get(match.group(1), ""), location)))
    fixed, globbed = _split(pattern)
    fixed = fixed.resolve()
    if not any(fixed == root or fixed.is_relative_to(root) for root in roots):
        return f"不在允许的目录内，可用的目录是 {'、'.join(str(root) for root in roots)}"
    if _reaches_own(settings, fixed, globbed):
        return "会读到平台自己的文件，请写明存放数据的子目录"
    # a link inside an allowed folder may lead elsewhere
    for path in _matches(fixed, globbed):
        real = path.resolve()
        if not any(real.is_relative_to(root) for root in roots) or _is_own(settings, real):
            return f"其中 {path.name} 指向允许的目录之外"
    return None


def roots_of(settings: Settings, folder: Path) -> list[Path]:
    """Folders whose files an edited file may read: the setting's, else the home and the folder of ``sources.yml``."""
    listed = [Path(name).resolve() for name in settings.source_roots.split(os.pathsep) if name]
    return listed or list(dict.fromkeys([settings.home.resolve(), folder.resolve()]))


def _split(pattern: Path) -> tuple[Path, tuple[str, ...]]:
    parts = pattern.parts
    first = next((number for number, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    return Path(*parts[:first]), parts[first:]


def _own(settings: Settings) -> list[Path]:
    home = settings.home.resolve()
    return [home / name for name in _OWN]


def _is_own(settings: Settings, path: Path) -> bool:
    return any(path == own or path.is_relative_to(own) for own in _own(settings))


def _reaches_own(settings: Settings, fixed: Path, globbed: Sequence[str]) -> bool:
    """Whether the pattern is, or may come to match, something of the platform's own."""
    if _is_own(settings, fixed):
        return True
    home = settings.home.resolve()
    if not globbed or not home.is_relative_to(fixed):
        return False
    down = home.relative_to(fixed).parts  # from the fixed part to the home, each part of which the pattern would have to match
    for number, part in enumerate(globbed):
        if part == "**":
            return True
        if number < len(down):
            if not fnmatch(down[number], part):
                return False
            continue
        return any(fnmatch(name, part) for name in _OWN)
    return False


def _matches(fixed: Path, globbed: Sequence[str], most: int = 100_000) -> Iterator[Path]:
    if not globbed:
        if fixed.exists():
            yield fixed
        return
    for number, path in enumerate(fixed.glob("/".join(globbed))):
        if number >= most:
            return
        yield path


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, text) of everything written below."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, f"{key}.{name}" if key else str(name))
            yield from _texts(str(name), key or str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
