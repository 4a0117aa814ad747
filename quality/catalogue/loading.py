"""Reads the rules, and refuses a broken one with its file and line before anything is run."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import duckdb
import yaml
from pydantic import ValidationError

from models.domain.errors import YiwangError
from quality.catalogue.model import Rule

RULES = files("quality") / "rules"
"""Folder of the shipped rules."""
_PURE = {"generate_series", "json_each", "range", "unnest"}
"""Table functions that make rows of their arguments alone."""


@dataclass(frozen=True)
class _Entry:
    """An entry of a rule file and where its parts stand.

    Attributes:
        path: The file.
        line: Line on which the entry begins, from 1.
        lines: Key of the entry → line on which its value begins.
        content: What it says.
    """

    path: Traversable
    line: int
    lines: dict[str, int]
    content: Any

    @property
    def id(self) -> str | None:
        return self.content.get("id") if isinstance(self.content, dict) else None

    def broken(self, detail: str, key: object = None) -> YiwangError:
        return _broken(self.path, self.lines.get(str(key), self.line), self.id, detail)


def load_rules(folder: Path | None = None, connection: duckdb.DuckDBPyConnection | None = None) -> list[Rule]:
    """Reads the rules.

    Args:
        folder: Folder of rule files (``*.yml``), each named after its subject; the shipped ones when None.
        connection: Masked marts against which tables, columns and types are checked too; None: what needs no data.

    Raises:
        YiwangError: YW-QUALITY-001 with file and line.
    """
    found: dict[str, tuple[Rule, _Entry]] = {}
    with duckdb.connect(config={"enable_external_access": False}) as parser:
        for path in sorted((p for p in (folder or RULES).iterdir() if p.name.endswith(".yml")), key=lambda p: p.name):
            for entry in _entries(path):
                rule = _validated(entry)
                if rule.id in found:
                    first = found[rule.id][1]
                    raise entry.broken(f"id 重复，已见于 {first.path.name} 第 {first.line} 行", "id")
                _parse(entry, rule, parser)
                if connection is not None:
                    _bind(entry, rule, connection)
                found[rule.id] = rule, entry
    return [rule for rule, _ in found.values()]


def _entries(path: Traversable) -> list[_Entry]:
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise _broken(path, mark.line + 1 if mark else 1, None, " ".join(str(error).split())) from error
    if not isinstance(node, yaml.SequenceNode):
        raise _broken(path, 1, None, "文件应是规则的列表")
    return [_entry(path, loader, item) for item in node.value]


def _entry(path: Traversable, loader: yaml.SafeLoader, node: yaml.Node) -> _Entry:
    lines: dict[str, int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value in lines:
            raise _broken(path, key.start_mark.line + 1, None, f"{key.value} 写了两次")
        lines[key.value] = value.start_mark.line + 1
    try:
        content = loader.construct_object(node, deep=True)
    except yaml.MarkedYAMLError as error:
        raise _broken(path, node.start_mark.line + 1, None, " ".join(str(error).split())) from error
    return _Entry(path, node.start_mark.line + 1, lines, content)


def _validated(entry: _Entry) -> Rule:
    if not isinstance(entry.content, dict):
        raise entry.broken("应是一条规则")
    if "subject" in entry.content:
        raise entry.broken("subject 由文件名给出", "subject")
    try:
        return Rule.model_validate({**entry.content, "subject": entry.path.name.removesuffix(".yml")})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise entry.broken(f"{where} {first['msg']}".strip(), first["loc"][0] if first["loc"] else None) from error


def _parse(entry: _Entry, rule: Rule, parser: duckdb.DuckDBPyConnection) -> None:
    """Refuses SQL that is not exactly one expression: it could add rows, tables or statements of its own."""
    for key, sql in (("applies", rule.applies), ("failing", rule.failing)):
        if sql is None:
            continue
        # NOT (…) stays the outermost node only when the parentheses inside are balanced.
        parsed = parser.execute("SELECT json_serialize_sql($1::VARCHAR)", [f"SELECT NOT (\n{sql}\n)"]).fetchall()[0][0]
        tree = json.loads(parsed)
        if tree["error"]:
            raise entry.broken(f"SQL 无法解析：{tree['error_message']}", key)
        nodes = [statement["node"] for statement in tree["statements"]]
        whole = len(nodes) == 1 and nodes[0]["type"] == "SELECT_NODE" and nodes[0]["from_table"]["type"] == "EMPTY"
        if not whole or len(nodes[0]["select_list"]) != 1 or nodes[0]["select_list"][0]["type"] != "OPERATOR_NOT" or nodes[0]["modifiers"]:
            raise entry.broken("SQL 必须是单个条件表达式", key)
        for source in _sources(nodes[0]["select_list"]):
            # whatever the connection may do: rules read no files
            if not _is_of_marts(source):
                raise entry.broken(f"只能读取 marts 中的数据表，不能读取 {source.get('table_name') or source['function']['function_name']}", key)
    for pattern in (rule.format or {}).values():
        try:
            parser.execute("SELECT regexp_full_match('', $1)", [pattern])
        except duckdb.Error as error:
            raise entry.broken(_first_line(error), "format") from error


def _sources(node: Any) -> Iterator[dict[str, Any]]:
    """Every table and table function that the parsed SQL reads."""
    if isinstance(node, dict):
        if node.get("type") in ("BASE_TABLE", "TABLE_FUNCTION"):
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _sources(part)


def _is_of_marts(source: dict[str, Any]) -> bool:
    if source["type"] == "TABLE_FUNCTION":
        return source["function"]["function_name"].lower() in _PURE
    return bool(source["schema_name"].lower() == "marts" and not source["catalog_name"])


def _bind(entry: _Entry, rule: Rule, connection: duckdb.DuckDBPyConnection) -> None:
    """Lets the database look up every name and type, without reading a row."""
    columns = _columns(rule.table, connection)
    if not columns:
        raise entry.broken(f"没有数据表 {rule.table}", "table")
    way = next((key for key in ("failing", "required", "unique", "codes", "format", "length") if key in entry.content), None)
    for key, names in (("field", (rule.field,) if rule.field else ()), (way, rule.columns), ("message", rule.placeholders)):
        if unknown := [name for name in names if name not in columns]:
            raise entry.broken(f"数据表 {rule.table} 没有字段 {'、'.join(unknown)}", key)
    for key, part in (("applies", rule.applies), (way, rule.condition)):
        if part is None:
            continue
        try:
            described = connection.execute(f"DESCRIBE SELECT (\n{part}\n) FROM marts.{rule.table} AS t").fetchall()  # noqa: S608
        except duckdb.Error as error:
            raise entry.broken(_first_line(error), key) from error
        if (kind := described[0][1]) != "BOOLEAN":
            raise entry.broken(f"条件应为真或假，而不是 {kind}", key)


def _columns(table: str, connection: duckdb.DuckDBPyConnection) -> set[str]:
    query = "SELECT column_name FROM duckdb_columns() WHERE database_name = current_database() AND schema_name = 'marts' AND table_name = ?"
    return {row[0] for row in connection.execute(query, [table]).fetchall()}


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _broken(path: Traversable, line: int, rule: str | None, detail: str) -> YiwangError:
    return YiwangError("YW-QUALITY-001", path=path, entry=f"第 {line} 行" + (f"（{rule}）" if rule else ""), detail=detail)
