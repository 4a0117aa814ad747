"""The door to processes: those that ship, and those that a place adds, each checked before any case runs on it."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml
from pydantic import ValidationError

from models.core.processes.definition import Process
from models.core.processes.soundness import faults
from models.domain.errors import YiwangError

ROLES = frozenset(
    {"applicant", "clerk", "handler", "reviewer", "approver", "head", "government_head", "issuer", "supervisor", "visitor"}
)  # fmt: skip
"""Roles that a process may ask for; who holds them is policy."""
_FAULTS = {
    "missing": "缺少这一项",
    "extra_forbidden": "没有这一项",
    "literal_error": "取值不在允许的范围内",
    "enum": "取值不在允许的范围内",
    "string_pattern_mismatch": "只能用小写字母、数字和下划线，以字母开头",
    "string_type": "应为文字",
    "tuple_type": "应为列表",
    "too_short": "至少要有一项",
    "model_type": "应为键值",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "bool_parsing": "应为 true 或 false",
    "bool_type": "应为 true 或 false",
    "greater_than_equal": "数值太小",
}
_TWICE = "的键重复"


_MOST_FAULTS = 5
_MOST_NODES = 50_000
"""Of a definition with all its references written out; the largest that ships has a thousand."""


class _Loader(yaml.SafeLoader):
    """Refuses a key written twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len({str(key) for key in keys}) < len(keys):
            raise yaml.constructor.ConstructorError(None, None, _TWICE, node.start_mark)
        return super().construct_mapping(node, deep)


@cache
def shipped() -> dict[str, Process]:
    """Process code → newest version of the processes that ship with the platform.

    Raises:
        YiwangError: YW-CORE-004 naming file and fault.
    """
    return load_all(files("models.core.processes") / "definitions")


def load_all(folder: Traversable) -> dict[str, Process]:
    """Process code → newest version of the definitions (``*.yml``) in a folder.

    Raises:
        YiwangError: YW-CORE-004 naming file and fault, also where two files define the same version.
    """
    known: dict[tuple[str, int], Process] = {}
    for path in sorted((p for p in folder.iterdir() if p.name.endswith(".yml")), key=lambda p: p.name):
        process = load(path)
        if (process.process, process.version) in known:
            raise YiwangError("YW-CORE-004", path=path.name, detail=f"{process.process} 第 {process.version} 版已在另一个文件中定义")
        known[process.process, process.version] = process
    return {code: known[code, version] for code, version in sorted(known)}


def load(path: Traversable) -> Process:
    """One definition, checked: form, references, soundness, roles.

    Raises:
        YiwangError: YW-CORE-004 naming file and fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise YiwangError("YW-CORE-004", path=path.name, detail="不是 UTF-8 编码的 YAML") from error
    return parse(text, path.name)


def parse(text: str, name: str) -> Process:
    """A definition that somebody wrote, checked: form, references, soundness, roles.

    Args:
        text: YAML, or JSON, which is YAML too.
        name: What the text is called in the message.

    Raises:
        YiwangError: YW-CORE-004 naming the faults.
    """
    try:
        if _size(yaml.compose(text, _Loader), {}) > _MOST_NODES:  # a few lines that refer to one another make millions
            raise YiwangError("YW-CORE-004", path=name, detail="内容过多")
        process = Process.model_validate(yaml.load(text, _Loader))  # noqa: S506 - a safe loader
    except (yaml.YAMLError, RecursionError) as error:
        mark, said = getattr(error, "problem_mark", None), _TWICE if _TWICE in str(error) else "不是合法的 YAML"
        raise YiwangError("YW-CORE-004", path=name, detail=f"第 {mark.line + 1} 行{said}" if mark else said) from error
    except ValidationError as error:
        raise YiwangError("YW-CORE-004", path=name, detail=_faults(error)) from error
    if found := faults(process, ROLES):
        raise YiwangError("YW-CORE-004", path=name, detail="；".join(found))
    return process


def _size(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Nodes, each as often as it is referred to; one that contains itself has no end."""
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1
        parts = node.value if isinstance(node, yaml.SequenceNode) else [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode) else []
        known[id(node)] = min(1 + sum(_size(part, known) for part in parts), _MOST_NODES + 1)
    return known[id(node)]


def _faults(error: ValidationError) -> str:
    """The first faults in Chinese, each with its place."""
    told: list[str] = []
    for fault in error.errors()[:_MOST_FAULTS]:
        place = ".".join(str(part + 1 if isinstance(part, int) else part) for part in fault["loc"])
        said = fault["msg"].removeprefix("Value error, ") if fault["type"] == "value_error" else _FAULTS.get(fault["type"], "写法不对")
        told.append(f"{place}：{said}" if place else said)
    return "；".join(told)
