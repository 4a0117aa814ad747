"""Reads an indicator system, and refuses a broken one with its file and line."""

from collections.abc import Collection
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import ValidationError

from models.capability.methods.weighting import consistency_ratio
from models.capability.systems.model import MOST_INCONSISTENT, System, leaves, nodes
from models.domain.errors import YiwangError
from models.domain.yaml_lines import Document, Place, YamlFault, read_yaml

SHIPPED = files("models.capability") / "systems"
_WORDS = {
    "missing": "缺少这一项", "extra_forbidden": "没有这一项", "literal_error": "只能是 {expected}", "greater_than": "应大于 {gt}",
    "greater_than_equal": "不应小于 {ge}", "less_than_equal": "不应大于 {le}", "finite_number": "应为有限的数", "float_parsing": "应为数",
    "float_type": "应为数", "int_parsing": "应为整数", "int_type": "应为整数", "int_from_float": "应为整数", "string_type": "应为文字",
    "string_too_short": "不能为空", "too_short": "不能为空", "tuple_type": "应为列表", "dict_type": "应为键和值", "model_type": "应为键和值",
    "model_attributes_type": "应为键和值", "string_pattern_mismatch": "只能由字母、数字和下划线组成，以字母开头",
}  # fmt: skip


def shipped_systems() -> list[str]:
    """Codes of the systems that ship."""
    return sorted(path.name.removesuffix(".yml") for path in SHIPPED.iterdir() if path.name.endswith(".yml"))


def load_system(source: Path | str, measures: Collection[str] | None = None) -> System:
    """Reads an indicator system.

    Args:
        source: A YAML file, or the code of a shipped system (``routine``).
        measures: Measures that the warehouse has, to refuse others; None: any.

    Raises:
        YiwangError: YW-SCORE-001 with the file, the line and the place in it.
    """
    path: Path | Traversable = source if isinstance(source, Path) else SHIPPED / f"{source}.yml"
    if not isinstance(source, Path) and source not in shipped_systems():
        raise YiwangError("YW-SCORE-001", path=source, detail=f"没有这个体系，随附的有 {'、'.join(shipped_systems())}")
    try:
        document = read_yaml(path.read_text(encoding="utf-8-sig"))
    except YamlFault as fault:
        raise _broken(path, fault.line, fault.detail) from fault
    except FileNotFoundError as error:
        raise YiwangError("YW-SCORE-001", path=path, detail="文件不存在") from error
    except (UnicodeDecodeError, OSError) as error:
        raise YiwangError("YW-SCORE-001", path=path, detail=" ".join(str(error).split())) from error
    if not isinstance(document.content, dict):
        raise _broken(path, 1, "文件应由键和值组成")
    _check_unique(path, document)
    try:
        system = System.model_validate(document.content)
    except ValidationError as error:
        raise _invalid(path, document, error) from error
    _check_comparisons(path, document, system)
    if measures is not None:
        _check_measures(path, document, system, measures)
    return system


def _invalid(path: Path | Traversable, document: Document, error: ValidationError) -> YiwangError:
    first = error.errors()[0]
    # the tags of the two kinds of children are no keys of the file
    place: Place = tuple(part for part in first["loc"] if part not in ("node", "indicator"))
    words = _WORDS.get(first["type"], first["msg"].removeprefix("Value error, "))
    for key, value in first.get("ctx", {}).items():
        words = words.replace(f"{{{key}}}", str(value).replace(" or ", "、"))
    where = ".".join(str(part) for part in place)
    return _broken(path, document.line(place), f"{where}：{words}" if where else words)


def _check_unique(path: Path | Traversable, document: Document) -> None:
    """Refuses a code or name that stands twice where it stands the second time."""
    seen: dict[tuple[str, str], int] = {}

    def walk(content: object, place: Place) -> None:
        if not isinstance(content, dict):
            return
        for key, names in (("code", ("code", "system_code")), ("name", ("name",))):
            for name in names:
                value = content.get(name)
                if not isinstance(value, str):
                    continue
                if (first := seen.get((key, value))) is not None:
                    raise _broken(path, document.line((*place, name)), f"{key} {value} 重复，已见于第 {first} 行")
                seen[key, value] = document.line((*place, name))
        children = content.get("children")
        for number, child in enumerate(children if isinstance(children, list) else ()):
            walk(child, (*place, "children", number))

    walk(document.content, ())


def _check_comparisons(path: Path | Traversable, document: Document, system: System) -> None:
    for node in nodes(system):
        if node.weighting == "ahp":
            ratio = consistency_ratio(node.judgements)
            if ratio > MOST_INCONSISTENT:
                detail = f"{node.code} 的两两比较前后矛盾，一致性比率 {ratio:.3f} 大于 {MOST_INCONSISTENT}"
                raise _broken(path, _line_of(document, node.code, "comparisons"), detail)


def _check_measures(path: Path | Traversable, document: Document, system: System, measures: Collection[str]) -> None:
    for leaf in leaves(system):
        for key in ("measure", "denominator"):
            wanted = getattr(leaf, key)
            if leaf.measure is not None and wanted is not None and wanted not in measures:
                raise _broken(path, _line_of(document, leaf.code, key), f"指标 {leaf.code} 的 {key} {wanted} 不是数据仓库的度量")


def _line_of(document: Document, code: str, key: str) -> int:
    """Line of a key of the part that has the code."""

    def find(content: object, place: Place) -> Place | None:
        if isinstance(content, dict):
            if code in (content.get("code"), content.get("system_code")):
                return place
            for number, child in enumerate(content.get("children") or ()):
                if found := find(child, (*place, "children", number)):
                    return found
        return None

    return document.line((*(find(document.content, ()) or ()), key))


def _broken(path: Path | Traversable, line: int, detail: str) -> YiwangError:
    return YiwangError("YW-SCORE-001", path=path, detail=f"第 {line} 行，{detail}")
