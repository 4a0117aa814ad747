"""What a ``sources.yml`` that is edited through a page may name: folders, environment variables, addresses.

Whoever edits the page must not read with it what the operator did not offer: other files of the machine, the platform's
own files and secrets, other hosts. An entry whose ``location`` is word for word the one in service stays allowed: whoever
wrote that file could read it anyway. What does not belong here: whether the file is right (``load_sources`` says it).
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import Any

from models.domain.locations import PLACEHOLDER, PREFIX
from models.domain.settings import Settings

_PATH_KINDS = frozenset({"file"})
_FILE_KEYS = ("ca_file",)
"""Keys beside ``location`` that name a file."""
_BASE_KINDS = frozenset({"rest"})
"""Kinds to whose address a path may be added."""
_OFFERED = ("sample", "uploads")
"""Folders of the home that are for sources; all else in it is the platform's, files that it does not have yet included."""
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
    kept = _in_service(current)
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


def guard(settings: Settings, entry: Mapping[str, Any], current: Sequence[Mapping[str, Any]]) -> Callable[[Path], bool] | None:
    """What a source of an edited file may open, asked of the real path of each file when it is read; None: all that it names.

    Args:
        settings: Home and allowed folders.
        entry: The source, as it is written.
        current: Those of the file in service.
    """
    location = entry.get("location")
    if entry.get("kind", "file") not in _PATH_KINDS or not isinstance(location, str) or ("file", location) in _in_service(current):
        return None
    home, roots = _real(settings.home), _roots(settings, location)
    return lambda real: _is_allowed(home, roots, real)


def _in_service(current: Sequence[Mapping[str, Any]]) -> set[tuple[Any, str]]:
    return {(entry.get("kind", "file"), entry["location"]) for entry in current if isinstance(entry.get("location"), str)}


def _path_refusal(settings: Settings, location: str, folder: Path) -> str | None:
    """Why files at a location may not be read through the page; None when they may."""
    if "://" in location or "\0" in location:
        return "只能是文件路径，不能是网络地址"
    home, roots = _real(settings.home), _roots(settings, location)
    pattern = Path(os.path.normpath(folder / PLACEHOLDER.sub(lambda match: os.environ.get(match.group(1), ""), location)))
    fixed, globbed = _split(pattern)
    fixed = _real(fixed)
    if not _is_allowed(home, roots, fixed):
        return f"不在允许的目录内，可用的目录是 {'、'.join(str(root) for root in roots)}"
    if not globbed and not os.path.isfile(fixed):  # a folder, or what may become one: all that is beneath it
        globbed = ("**", "*")
    if _reaches(home, fixed, globbed):
        return "会读到平台自己的文件，请写明存放数据的子目录"
    # a link inside an allowed folder may lead elsewhere
    for path in _matches(fixed, globbed):
        if not _is_allowed(home, roots, _real(path)):
            return f"其中 {path.name} 指向允许的目录之外"
    return None


def _roots(settings: Settings, location: str) -> list[Path]:
    """Folders whose files a location may name: those of the home that are for sources, and what the operator offers.

    The operator offers folders by the setting, and by a variable that begins the location.
    """
    offered = [*_OFFERED, *(name for name in settings.source_roots.split(os.pathsep) if name)]
    leading = PLACEHOLDER.match(location)
    if leading and (value := os.environ.get(leading.group(1))) and Path(value).is_absolute():
        offered.append(value)
    return list(dict.fromkeys(_real(settings.home / name) for name in offered))


def _is_allowed(home: Path, roots: Sequence[Path], real: Path) -> bool:
    """Whether a real path lies in one of the folders; a folder that holds the home does not open the home."""
    within = [root for root in roots if real.is_relative_to(root)]
    if real.is_relative_to(home):
        within = [root for root in within if root != home and root.is_relative_to(home)]
    return bool(within)


def _split(pattern: Path) -> tuple[Path, tuple[str, ...]]:
    parts = pattern.parts
    first = next((number for number, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    return Path(*parts[:first]), parts[first:]


def _reaches(home: Path, fixed: Path, globbed: Sequence[str]) -> bool:
    """Whether a pattern that begins above the home may come to match something in it."""
    if not globbed or fixed == home or not home.is_relative_to(fixed):
        return False  # the home itself is no allowed folder
    down = home.relative_to(fixed).parts
    for name, part in zip(down, globbed, strict=False):
        if part == "**":
            return True
        if not fnmatch(name, part):
            return False
    return len(globbed) > len(down)


def _matches(fixed: Path, globbed: Sequence[str], most: int = 100_000) -> Iterator[Path]:
    if globbed:
        yield from (path for path in islice(fixed.glob("/".join(globbed)), most) if os.path.isfile(path))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve() raises where links go in a circle


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
