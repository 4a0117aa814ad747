"""One entry of a ``sources.yml`` as a form: taken out of the text, put back, everything around it as it was.

Text only. What does not belong here: whether the file is right (``yiwang sources check``).
"""

from dataclasses import dataclass
from typing import Any

import yaml

from models.domain.errors import YiwangError
from models.domain.locations import shown

COMMON = ("name", "kind", "subject", "location", "key", "cursor", "deleted", "zone", "owner", "fresh_within")
"""Keys that have a field of their own in the form; the rest is YAML."""
LARGEST = 300_000
"""Characters of a file that is edited by page."""
NEW = "new"
_DEEPEST = 40
_WIDE = 4096


@dataclass(frozen=True)
class Entry:
    """A source of the file.

    Attributes:
        number: Its place, from 0.
        content: What is written, all of it text.
        start: Where its text begins.
        end: Where it ends, without what follows it.
        indent: Column in which it begins.
        is_flow: It stands in a list in brackets.
    """

    number: int
    content: dict[str, Any]
    start: int
    end: int
    indent: int
    is_flow: bool

    @property
    def location(self) -> str:
        """The location without passwords."""
        return shown(str(self.content.get("location", "")))


def entries(text: str) -> list[Entry]:
    """The sources of a file; none where it is no YAML of that shape, for which the whole text must be edited."""
    if is_deep(text):
        return []
    try:
        root = yaml.compose(text, yaml.BaseLoader)
        content = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - a BaseLoader makes text only
    except (yaml.YAMLError, RecursionError, ValueError):
        return []
    if not isinstance(root, yaml.MappingNode) or not isinstance(content, dict):
        return []
    nodes = next((value for key, value in root.value if key.value == "sources" and isinstance(value, yaml.SequenceNode)), None)
    listed = content.get("sources")
    if nodes is None or not isinstance(listed, list):
        return []
    found, before = [], -1
    for number, (node, item) in enumerate(zip(nodes.value, listed, strict=True)):
        start, end = node.start_mark.index, node.end_mark.index
        if not isinstance(item, dict) or start <= before:  # an alias stands where its anchor does
            return []
        before = start
        found.append(Entry(number, item, start, _without_tail(text, start, end), node.start_mark.column, nodes.flow_style is True))
    return found


def is_deep(text: str) -> bool:
    """Whether brackets stand in each other deeper than any configuration needs: YAML's reader slows down with the square of it."""
    depth = deepest = 0
    for character in text:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth = max(0, depth - 1)
    return deepest > _DEEPEST


def replace(text: str, number: int | None, content: dict[str, Any]) -> str:
    """The file with one entry written anew, or with one more where ``number`` is None.

    Raises:
        YiwangError: YW-SERVE-006 when there is no such entry.
    """
    known = entries(text)
    if number is None:
        if not known:
            begin = text if not text or text.endswith("\n") else text + "\n"
            has_key = any(line.startswith("sources:") for line in text.splitlines())
            if has_key:
                raise YiwangError("YW-SERVE-006", what="可以加入的来源列表（请用全文编辑）")
            return f"{begin}sources:\n- {_written(content, 2)}"
        last = known[-1]
        if last.is_flow:
            return f"{text[: last.end]}, {_flow(content)}{text[last.end :]}"
        head, tail = text[: last.end], text[last.end :]
        return f"{head}\n{' ' * max(0, last.indent - 2)}- {_written(content, last.indent)}{tail.lstrip(' ').removeprefix(chr(10))}"
    if not 0 <= number < len(known):
        raise YiwangError("YW-SERVE-006", what="此来源")
    entry = known[number]
    written = _flow(content) if entry.is_flow else _written(content, entry.indent).rstrip("\n")
    return text[: entry.start] + written + text[entry.end :]


def content_of(form: dict[str, str], rest: str) -> dict[str, Any]:
    """What a form says: its filled fields, and the keys of its YAML.

    Raises:
        YiwangError: YW-SYNC-001 when the YAML is no mapping, or repeats a key of the form.
    """
    if is_deep(rest):
        raise YiwangError("YW-SYNC-001", path="其余设置", detail="括号嵌套太深")
    try:
        more = yaml.load(rest, yaml.BaseLoader)  # noqa: S506 - a BaseLoader makes text only
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        raise YiwangError("YW-SYNC-001", path="其余设置", detail=f"第 {mark.line + 1} 行不是合法的 YAML" if mark else "不是合法的 YAML") from error
    if more is None or more == "":
        more = {}
    if not isinstance(more, dict):
        raise YiwangError("YW-SYNC-001", path="其余设置", detail="应为键值，例如 fields: {case_number: BJBH}")
    if twice := [key for key in more if key in COMMON]:
        raise YiwangError("YW-SYNC-001", path="其余设置", detail=f"{'、'.join(twice)} 已有专门的输入框")
    content: dict[str, Any] = {}
    for key in COMMON:
        value = form.get(key, "").strip()
        if value:
            content[key] = [part.strip() for part in value.replace("，", ",").split(",") if part.strip()] if key == "key" else value
    return content | more


def form_of(content: dict[str, Any]) -> tuple[dict[str, str], str]:
    """The fields of the form, and the rest as YAML."""
    form = {}
    for key in COMMON:
        value = content.get(key, "")
        form[key] = ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)
    rest = {key: value for key, value in content.items() if key not in COMMON}
    return form, _dump(rest) if rest else ""


def _written(content: dict[str, Any], indent: int) -> str:
    """An entry's text, its first line without indentation."""
    first, *lines = _dump(content).splitlines() or ["{}"]
    return "\n".join([first, *(" " * indent + line for line in lines)]) + "\n"


def _flow(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=1 << 30, default_flow_style=True).strip()


def _dump(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=_WIDE)


def _without_tail(text: str, start: int, end: int) -> int:
    """The end of an entry's own text: blank lines and comments behind it belong to what follows."""
    lines = text[start:end].splitlines(keepends=True)
    while len(lines) > 1 and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    kept = "".join(lines)
    return start + len(kept.rstrip())
