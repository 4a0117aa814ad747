"""The door to processes: those that ship, and those that a place adds, each checked before any case runs on it."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import yaml
from pydantic import ValidationError

from models.core.processes.definition import Process
from models.core.processes.soundness import faults
from models.domain.errors import YiwangError

ROLES = frozenset({"applicant", "clerk", "handler", "reviewer", "approver", "head", "issuer", "supervisor"})
"""Roles that a process may ask for; who holds them is policy."""


@cache
def shipped() -> dict[str, Process]:
    """Process code → newest version of the processes that ship with the platform.

    Raises:
        YiwangError: YW-CORE-004 naming file and fault.
    """
    folder = files("models.core.processes") / "definitions"
    loaded = [load(path) for path in sorted(folder.iterdir(), key=lambda p: p.name) if path.name.endswith(".yml")]
    newest: dict[str, Process] = {}
    for process in sorted(loaded, key=lambda p: p.version):
        newest[process.process] = process
    return newest


def load(path: Traversable) -> Process:
    """One definition, checked: form, references, soundness, roles.

    Raises:
        YiwangError: YW-CORE-004 naming file and fault.
    """
    try:
        process = Process.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise YiwangError("YW-CORE-004", path=path.name, detail=f"第 {mark.line + 1} 行不是合法的 YAML" if mark else "不是 UTF-8 编码的 YAML") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise YiwangError("YW-CORE-004", path=path.name, detail=f"{place}：{first['msg'].removeprefix('Value error, ')}") from error
    if found := faults(process, ROLES):
        raise YiwangError("YW-CORE-004", path=path.name, detail="；".join(found))
    return process
