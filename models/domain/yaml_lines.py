"""YAML whose parts know the line they stand on, for files that people write and that are refused with their place."""

from dataclasses import dataclass
from typing import Any

import yaml

Place = tuple[str | int, ...]
"""Keys and positions from the top of a document to one of its parts."""

_MOST_PARTS = 100_000


class YamlFault(ValueError):
    """Text that is no usable YAML.

    Attributes:
        line: Where, from 1.
        detail: What is wrong.
    """

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(f"{line}: {detail}")
        self.line, self.detail = line, detail


@dataclass(frozen=True)
class Document:
    """What a file says and where.

    Attributes:
        content: Mappings, lists and values.
        lines: Line of every part, from 1: of a mapping's value the line of its key.
    """

    content: Any
    lines: dict[Place, int]

    def line(self, place: Place) -> int:
        """Line of a part, or of the nearest part around it that the file holds."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_yaml(text: str) -> Document:
    """Parses one document; keys written twice and parts that contain themselves are refused.

    Raises:
        YamlFault: The text cannot be used.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            lines: dict[Place, int] = {}
            if node is None:
                return Document(None, lines)
            _walk(node, (), lines, ())
            return Document(loader.construct_document(node), lines)
        finally:
            loader.dispose()
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError) as error:
        mark = getattr(error, "problem_mark", None)
        raise YamlFault(mark.line + 1 if mark else 1, " ".join(str(error).split())) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, YamlFault):
            raise
        raise YamlFault(1, " ".join(str(error).split())) from error


def _walk(node: yaml.Node, place: Place, lines: dict[Place, int], above: tuple[int, ...]) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if id(node) in above:
        raise YamlFault(node.start_mark.line + 1, "引用成环：它包含它自己")
    if len(lines) > _MOST_PARTS:  # references to references grow without end
        raise YamlFault(node.start_mark.line + 1, f"超过 {_MOST_PARTS:,} 项")
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise YamlFault(key.start_mark.line + 1, "键应是一个词")
            if key.value in seen:
                raise YamlFault(key.start_mark.line + 1, f"{key.value} 写了两次")
            seen.add(key.value)
            lines[*place, key.value] = key.start_mark.line + 1
            _walk(value, (*place, key.value), lines, above)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _walk(item, (*place, number), lines, above)
