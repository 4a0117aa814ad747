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
from models.domain.validation import said
from quality.catalogue import refusals
from quality.catalogue.functions import TOO_DEEP, refused
from quality.catalogue.model import Rule
from quality.catalogue.subjects import TABLES

RULES = files("quality") / "rules"
"""Folder of the shipped rules."""
_PURE = {"generate_series", "json_each", "range", "unnest"}
"""Table functions that make rows of their arguments alone."""
UNMADE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What PyYAML raises where a value is not what its tag or its looks say."""
_YAML = "不是 UTF-8 编码的合法 YAML"


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


def rule_files(folder: Path | None = None, own: Path | None = None) -> list[Traversable]:
    """The rule files, in the order in which they are read; parameters as of :func:`load_rules`."""
    folders: list[Traversable] = [folder or RULES, *([own] if own is not None and own.is_dir() else [])]
    return [path for each in folders for path in sorted((p for p in each.iterdir() if p.name.endswith(".yml")), key=lambda p: p.name)]


def load_rules(folder: Path | None = None, connection: duckdb.DuckDBPyConnection | None = None, own: Path | None = None) -> list[Rule]:
    """Reads the rules.

    Args:
        folder: Folder of rule files (``*.yml``), each named after its subject; the shipped ones when None.
        connection: Masked marts against which tables, columns and types are checked too; None: what needs no data.
        own: Folder of the city's own rule files, which need not be there. They are read after the others; an entry with the id of
            one of those stands in its place.

    Raises:
        YiwangError: YW-QUALITY-001 with file and line.
    """
    files = rule_files(folder, own)
    found: dict[str, tuple[Rule, _Entry]] = {}
    with duckdb.connect(config={"enable_external_access": False}) as parser:
        aggregates = {row[0] for row in parser.execute("SELECT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'").fetchall()}
        for path in files:
            for entry in _entries(path):
                rule = _validated(entry)
                first = found.get(rule.id)
                if first and _is_in(own, first[1].path) == _is_in(own, path):
                    raise entry.broken(f"id 重复，已见于 {first[1].path.name} 第 {first[1].line} 行", "id")
                _parse(entry, rule, parser, aggregates)
                found[rule.id] = rule, entry
    if connection is not None:
        shipped = [rule for rule, entry in found.values() if folder is None and not _is_in(own, entry.path)]
        known = set(TABLES) | {name for rule in shipped for name in _tables(rule, connection)}
        for rule, entry in found.values():
            _bind(entry, rule, connection, known)
    return [rule for rule, _ in found.values()]


def _is_in(own: Path | None, path: Traversable) -> bool:
    return own is not None and isinstance(path, Path) and path.parent == own


def _entries(path: Traversable) -> list[_Entry]:
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
    except RecursionError as error:
        raise _broken(path, 1, None, "嵌套过深") from error
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise _broken(path, mark.line + 1 if mark else 1, None, _YAML) from error
    if not isinstance(node, yaml.SequenceNode):
        raise _broken(path, 1, None, "文件应是规则的列表")
    return [_entry(path, loader, item) for item in node.value]


def _entry(path: Traversable, loader: yaml.SafeLoader, node: yaml.Node) -> _Entry:
    lines: dict[str, int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode):
            raise _broken(path, key.start_mark.line + 1, None, "键应是文字")
        if key.value in lines:
            raise _broken(path, key.start_mark.line + 1, None, f"{key.value} 写了两次")
        lines[key.value] = value.start_mark.line + 1
    try:
        content = loader.construct_object(node, deep=True)
    except yaml.MarkedYAMLError as error:
        raise _broken(path, error.problem_mark.line + 1 if error.problem_mark else node.start_mark.line + 1, None, _YAML) from error
    except UNMADE as error:  # what looks like a day and is none, for one
        raise _broken(path, _line_of_value(node, loader), None, "写法不对：看似日期或数，却没有这样的值（要写成文字时加引号）") from error
    return _Entry(path, node.start_mark.line + 1, lines, content)


def _line_of_value(node: yaml.Node, loader: yaml.SafeLoader) -> int:
    """Line of the value that cannot be made, from 1."""
    for _, value in node.value if isinstance(node, yaml.MappingNode) else ():
        loader.recursive_objects.clear()  # of the attempt that failed
        try:
            loader.construct_object(value, deep=True)
        except UNMADE:
            return int(value.start_mark.line) + 1
    return int(node.start_mark.line) + 1


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
        raise entry.broken(f"{where} {said(first)}".strip(), first["loc"][0] if first["loc"] else None) from error


def _parse(entry: _Entry, rule: Rule, parser: duckdb.DuckDBPyConnection, aggregates: set[str]) -> None:
    """Refuses SQL that is not exactly one expression: it could add rows, tables or statements of its own."""
    for key, sql in (("applies", rule.applies), ("failing", rule.failing)):
        if sql is None:
            continue
        # NOT (…) stays the outermost node only when the parentheses inside are balanced.
        parsed = parser.execute("SELECT json_serialize_sql($1::VARCHAR)", [f"SELECT NOT (\n{sql}\n)"]).fetchall()[0][0]
        try:
            tree = json.loads(parsed)
        except RecursionError as error:
            raise entry.broken("SQL 嵌套过深", key) from error
        if tree["error"]:
            raise entry.broken(refusals.said(tree["error_message"]), key)
        reason = refused(tree)
        nodes = [statement["node"] for statement in tree["statements"]]
        whole = len(nodes) == 1 and nodes[0]["type"] == "SELECT_NODE" and nodes[0]["from_table"]["type"] == "EMPTY"
        if not whole or len(nodes[0]["select_list"]) != 1 or nodes[0]["select_list"][0]["type"] != "OPERATOR_NOT" or nodes[0]["modifiers"]:
            raise entry.broken("SQL 必须是单个条件表达式", key)
        if reason == TOO_DEEP:
            raise entry.broken(reason, key)
        for node in _of_row(nodes[0]["select_list"]):
            if node["class"] == "STAR":
                raise entry.broken("条件逐行判断，不能用 * 或 COLUMNS 代替字段", key)
            if node["class"] == "WINDOW" or node["function_name"].lower() in aggregates:
                raise entry.broken(f"条件逐行判断，{node['function_name']} 是对许多行的计算，只能写在子查询里", key)
        if reason:
            raise entry.broken(reason, key)
        for source in _sources(nodes[0]["select_list"]):
            # whatever the connection may do: rules read no files
            if not _is_of_marts(source):
                raise entry.broken(f"只能读取 marts 中的数据表，不能读取 {source.get('table_name') or source['function']['function_name']}", key)
    for pattern in (rule.format or {}).values():
        try:
            parser.execute("SELECT regexp_full_match('', $1)", [pattern])
        except duckdb.Error as error:
            raise entry.broken(f"正则表达式“{pattern}”有误（RE2 原文：{_first_line(error).removeprefix('Invalid Input Error: ')}）", "format") from error


def _of_row(node: Any) -> Iterator[dict[str, Any]]:
    """Every function, window and star that is evaluated for the row itself, none of a subquery's own."""
    if isinstance(node, dict):
        if node.get("class") in ("FUNCTION", "WINDOW", "STAR"):
            yield node
        node = [part for key, part in node.items() if not (node.get("class") == "SUBQUERY" and key == "subquery")]
    if isinstance(node, list):
        for part in node:
            yield from _of_row(part)


def _tables(rule: Rule, parser: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Marts that a rule's subqueries read."""
    for sql in (rule.applies, rule.failing):
        if sql and "select" in sql.lower():
            tree = json.loads(parser.execute("SELECT json_serialize_sql($1::VARCHAR)", [f"SELECT NOT (\n{sql}\n)"]).fetchall()[0][0])
            yield from (source["table_name"] for source in _sources(tree) if source["type"] == "BASE_TABLE")


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


def _bind(entry: _Entry, rule: Rule, connection: duckdb.DuckDBPyConnection, known: set[str]) -> None:
    """Lets the database look up every name and type, without reading a row; what reads a known mart that is not there is no fault of the rule's."""
    columns = _columns(rule.table, connection)
    if not columns or any(name in known and not _columns(name, connection) for name in _tables(rule, connection)):
        return
    way = next((key for key in ("failing", "required", "unique", "codes", "format", "length") if key in entry.content), None)
    for key, names in (("field", (rule.field,) if rule.field else ()), (way, rule.columns), ("message", rule.placeholders)):
        if unknown := [name for name in names if name not in columns]:
            raise entry.broken(f"数据表 {rule.table} 没有字段 {'、'.join(unknown)}", key)
    for key, part in (("applies", rule.applies), (way, rule.condition)):
        if part is None:
            continue
        try:
            described = connection.execute(f"DESCRIBE SELECT (\n{part}\n) FROM marts.{rule.table} AS t").fetchall()  # noqa: S608
            connection.execute(f"DESCRIBE SELECT 1 FROM marts.{rule.table} AS t WHERE (\n{part}\n)")  # noqa: S608 - as the results' queries use it
        except duckdb.Error as error:
            raise entry.broken(refusals.said(error), key) from error
        if (kind := described[0][1]) != "BOOLEAN":
            raise entry.broken(f"条件应为真或假，而不是 {kind}", key)


def _columns(table: str, connection: duckdb.DuckDBPyConnection) -> set[str]:
    query = "SELECT column_name FROM duckdb_columns() WHERE database_name = current_database() AND schema_name = 'marts' AND table_name = ?"
    return {row[0] for row in connection.execute(query, [table]).fetchall()}


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _broken(path: Traversable, line: int, rule: str | None, detail: str) -> YiwangError:
    return YiwangError("YW-QUALITY-001", path=path, entry=f"第 {line} 行" + (f"（{rule}）" if rule else ""), detail=detail)
