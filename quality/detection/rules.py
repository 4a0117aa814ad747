"""Rules that a person knows of a table, in the words of the rule catalogue, and the cells that break them."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.domain.codes import code_tables
from models.domain.errors import YiwangError
from models.domain.validation import said as said_of
from quality.catalogue import refusals
from quality.catalogue.functions import TOO_DEEP, refused
from quality.catalogue.loading import UNMADE
from quality.detection.signals import Signal, nothing
from quality.detection.table import Table
from quality.engine.evaluation import Limits, reason_of, stopped_after

_CERTAIN = 0.99
_ROW = "\x01"
_WAYS = ("failing", "required", "unique", "codes", "format", "length")


class TableRule(BaseModel):
    """A rule over a table; exactly one of ``failing``, ``required``, ``unique``, ``codes``, ``format`` and ``length``; null passes all but ``required``.

    Attributes:
        id: What it is called, for the person who wrote it.
        field: Column at fault; without it those that the rule names.
        applies: SQL condition of the rows that it looks at.
        failing: SQL condition of the rows that fail.
        required: Columns none of which may be empty.
        unique: Columns that together must not repeat.
        codes: Column → code table, or the values that are allowed.
        format: Column → regular expression (RE2) that its whole value must match.
        length: Column → least and greatest number of characters.
        message: Chinese sentence for what is wrong.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = None
    field: str | None = None
    applies: str | None = None
    failing: str | None = None
    required: tuple[str, ...] | None = Field(None, min_length=1)
    unique: tuple[str, ...] | None = Field(None, min_length=1)
    codes: dict[str, str | tuple[str, ...]] | None = Field(None, min_length=1)
    format: dict[str, str] | None = Field(None, min_length=1)
    length: dict[str, tuple[int, int]] | None = Field(None, min_length=1)
    message: Annotated[str, Field(min_length=1)] = "不符合给定的规则"

    @model_validator(mode="after")
    def _one_way(self) -> "TableRule":
        if sum(getattr(self, way) is not None for way in _WAYS) != 1:
            raise ValueError("failing、required、unique、codes、format、length 必须且只能写一个")
        return self

    @property
    def way(self) -> str:
        """Which of them it is."""
        return next(way for way in _WAYS if getattr(self, way) is not None)


def broken_rules(table: Table, path: Path, limits: Limits | None = None) -> list[Signal]:
    """Cells that break the rules of a file.

    In the rules' SQL the table is ``t``, an empty cell is null; a column of numbers (nine filled cells in ten) is DOUBLE, null
    where a cell is none, and every other one VARCHAR; ``codes``, ``format`` and ``length`` see the text.

    Args:
        table: The table.
        path: YAML file: a list of rules.
        limits: What one rule may take.

    Raises:
        YiwangError: YW-QUALITY-001 with file and line, also of a rule that takes more.
    """
    rules, limits = _read(path), limits or Limits()
    names = {column.name: number for number, column in enumerate(table.columns)}
    with duckdb.connect(config={"enable_external_access": False, "memory_limit": limits.memory, "temp_directory": ""}) as connection:
        connection.register("t", _arrow(table))
        connection.execute("SET lock_configuration = true")
        found: list[Signal] = []
        for rule, lines in rules:
            found += _findings(connection, table, names, path, rule, lines, limits)
    return found


def _findings(
    connection: duckdb.DuckDBPyConnection, table: Table, names: dict[str, int], path: Path, rule: TableRule, lines: dict[str, int], limits: Limits,
) -> list[Signal]:
    def broken(key: str, detail: str) -> YiwangError:
        return _broken(path, lines.get(key, lines[""]), detail)

    conditions, said = _conditions(rule, broken)
    if unknown := [name for name in (*conditions, *([rule.field] if rule.field else [])) if name and name not in names]:
        raise broken(rule.way if rule.field not in unknown else "field", f"表格没有列 {'、'.join(unknown)}")
    alike = _alike(table)
    applies = _expression(connection, rule.applies, "applies", broken, alike)[0] if rule.applies else "true"
    if unclear := [name for name in (*conditions, rule.field) if name and name.lower() in alike]:
        raise broken(rule.way if unclear[0] in conditions else "field", _unclear(alike[unclear[0].lower()]))
    signals = []
    for name, condition in conditions.items():
        columns = [name]
        if rule.failing is not None:
            condition, used = _expression(connection, condition, "failing", broken, alike)
            columns = [rule.field] if rule.field else [column for column in names if column.lower() in used]
        key = "failing" if rule.failing is not None else rule.way
        try:
            with stopped_after(connection, limits.seconds):
                reply = connection.execute(f'SELECT "{_ROW}" FROM t WHERE ({applies}\n) AND ({condition}\n) ORDER BY 1').fetchnumpy()  # noqa: S608 - one expression each
        except (duckdb.InterruptException, duckdb.OutOfMemoryException) as error:
            raise broken(key, reason_of(error, limits)) from error
        except duckdb.Error as error:
            raise broken(key, refusals.said(error)) from error
        rows = np.asarray(reply[_ROW], dtype=np.int64)
        reason = _said(f"{rule.message}（规则{f' {rule.id}' if rule.id else ''}：{said(name)}）")
        for column in columns if rule.field is None else [rule.field]:
            signals.append(Signal(names[column], "rule", rows, np.full(len(rows), _CERTAIN), reason, nothing))
    if not signals:
        raise broken(rule.way, "没有用到表格的任何列，请用 field 指明有错的列")
    return signals


def _conditions(rule: TableRule, broken: Callable[[str, str], YiwangError]) -> tuple[dict[str, str], Callable[[str], str]]:
    """Column → SQL condition of the rows that fail, and what is said of a column; the column of ``failing`` has no name yet."""
    if rule.required:
        return {name: f"{_name(name)} IS NULL" for name in rule.required}, lambda name: f"“{name}”不能为空"
    if rule.unique:
        key = ", ".join(map(_name, rule.unique))
        condition = f"({key}) IN (SELECT ({key}) FROM t GROUP BY {key} HAVING count(*) > 1)"  # noqa: S608 - quoted names
        condition = f"{' AND '.join(f'{_name(name)} IS NOT NULL' for name in rule.unique)} AND {condition}"
        together = "、".join(rule.unique)
        return dict.fromkeys(rule.unique, condition), lambda _: f"“{together}”不能重复"
    if rule.codes:
        allowed = {}
        for name, codes in rule.codes.items():
            if isinstance(codes, str) and codes not in code_tables():
                raise broken("codes", f"没有代码表 {codes}")
            allowed[name] = sorted(code_tables()[codes]) if isinstance(codes, str) else list(codes)
        listed = {name: ", ".join(map(_text, codes)) for name, codes in allowed.items()}
        return {name: f"CAST({_name(name, text=True)} AS VARCHAR) NOT IN ({codes})" for name, codes in listed.items()}, lambda name: f"“{name}”不在允许的值之中"
    if rule.format:
        return (
            {name: f"NOT regexp_full_match({_name(name, text=True)}, {_text(pattern)})" for name, pattern in rule.format.items()},
            lambda name: f"“{name}”应符合 {(rule.format or {})[name]}",
        )
    if rule.length:
        return (
            {name: f"length({_name(name, text=True)}) NOT BETWEEN {least} AND {most}" for name, (least, most) in rule.length.items()},
            lambda name: f"“{name}”的长度应在 {(rule.length or {})[name][0]} 到 {(rule.length or {})[name][1]} 之间",
        )
    return {"": rule.failing or ""}, lambda _: " ".join((rule.failing or "").split())


def _expression(
    connection: duckdb.DuckDBPyConnection, sql: str, key: str, broken: Callable[[str, str], YiwangError], alike: Mapping[str, list[str]]
) -> tuple[str, set[str]]:
    """A condition that is exactly one expression, and the columns that it names, in lower case."""
    parsed = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [f"SELECT NOT (\n{sql}\n)"]).fetchall()[0][0]
    try:
        tree = json.loads(parsed)
    except RecursionError as error:
        raise broken(key, TOO_DEEP) from error
    if tree["error"]:
        raise broken(key, refusals.said(tree["error_message"]))
    if reason := refused(tree):
        raise broken(key, reason)
    nodes = [statement["node"] for statement in tree["statements"]]
    whole = len(nodes) == 1 and nodes[0]["type"] == "SELECT_NODE" and nodes[0]["from_table"]["type"] == "EMPTY" and not nodes[0]["modifiers"]
    if not whole or len(nodes[0]["select_list"]) != 1 or nodes[0]["select_list"][0]["type"] != "OPERATOR_NOT":
        raise broken(key, "SQL 必须是单个条件表达式")
    used = set(_named(tree))
    if unclear := sorted(used & alike.keys()):
        raise broken(key, _unclear(alike[unclear[0]]))
    try:
        kind = connection.execute(f"DESCRIBE SELECT (\n{sql}\n) FROM t").fetchall()[0][1]  # noqa: S608 - one expression
    except duckdb.Error as error:
        raise broken(key, refusals.said(error)) from error
    if kind != "BOOLEAN":
        raise broken(key, f"条件应为真或假，而不是 {kind}")
    return sql, used


def _named(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [str(node["column_names"][-1]).lower()] if node.get("class") == "COLUMN_REF" else []
        return own + [name for child in node.values() for name in _named(child)]
    return [name for child in node for name in _named(child)] if isinstance(node, list) else []


def _arrow(table: Table) -> pa.Table:
    """The table for SQL; a column of numbers also as text, under a name that no header has, and columns whose names SQL takes for one under none."""
    arrays: dict[str, Any] = {_ROW: np.arange(table.rows)}
    alike = _alike(table)
    for column in table.columns:
        if column.name.lower() in alike:
            continue
        text = pa.DictionaryArray.from_arrays(pa.array(column.codes), column.values).cast(pa.string())
        text = pc.if_else(pa.array(column.is_blank[column.codes]), pa.scalar(None, pa.string()), text)
        is_number = column.filled > 0 and column.number_share >= 0.9
        arrays[column.name] = pa.array(column.numbers[column.codes], from_pandas=True) if is_number else text
        arrays[f"\x01{column.name}"] = text
    return pa.table(arrays)


def _alike(table: Table) -> dict[str, list[str]]:
    """Names of columns that differ in capital letters alone, which SQL does not see, by the name in small letters."""
    counts = Counter(column.name.lower() for column in table.columns)
    return {name: [column.name for column in table.columns if column.name.lower() == name] for name, count in counts.items() if count > 1}


def _unclear(names: list[str]) -> str:
    return f"列 {'、'.join(names)} 的列名只差大小写，分不清说的是哪一列，请先改列名"


def _name(name: str, *, text: bool = False) -> str:
    quoted = name.replace('"', '""')
    return f'"\x01{quoted}"' if text else f'"{quoted}"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _said(sentence: str) -> Callable[[int], str]:
    return lambda _: sentence


def _read(path: Path) -> list[tuple[TableRule, dict[str, int]]]:
    """The rules with the line of each of their keys; the line of the rule under the empty key."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8-sig"))
        node = loader.get_single_node()
    except RecursionError as error:
        raise _broken(path, 1, "嵌套过深") from error
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise _broken(path, mark.line + 1 if mark else 1, "不是合法的 YAML") from error
    except OSError as error:
        raise YiwangError("YW-QUALITY-003", path=path.name, detail="没有这个规则文件") from error
    if not isinstance(node, yaml.SequenceNode):
        raise _broken(path, 1, "文件应是规则的列表")
    rules = []
    for item in node.value:
        lines = {"": item.start_mark.line + 1}
        for key, value in item.value if isinstance(item, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise _broken(path, key.start_mark.line + 1, "键应是文字")
            if key.value in lines:
                raise _broken(path, key.start_mark.line + 1, f"{key.value} 写了两次")
            lines[str(key.value)] = value.start_mark.line + 1
        try:
            rule = TableRule.model_validate(loader.construct_object(item, deep=True))
            for pattern in (rule.format or {}).values():
                _compiles(pattern)
        except ValidationError as error:
            first = error.errors()[0]
            key = str(first["loc"][0]) if first["loc"] else ""
            raise _broken(path, lines.get(key, lines[""]), f"{'.'.join(map(str, first['loc']))} {said_of(first)}".strip()) from error
        except duckdb.Error as error:
            own = str(error).splitlines()[0].removeprefix("Invalid Input Error: ")
            raise _broken(path, lines.get("format", lines[""]), f"正则表达式有误（RE2 原文：{own}）") from error
        except (yaml.MarkedYAMLError, *UNMADE) as error:  # what looks like a day and is none, for one
            raise _broken(path, lines[""], "有一个值写法不对：看似日期或数，却没有这样的值（要写成文字时加引号）") from error
        rules.append((rule, lines))
    return rules


def _compiles(pattern: str) -> None:
    with duckdb.connect(config={"enable_external_access": False}) as connection:
        connection.execute("SELECT regexp_full_match('', $1)", [pattern])


def _broken(path: Path, line: int, detail: str) -> YiwangError:
    return YiwangError("YW-QUALITY-001", path=path.name, entry=f"第 {line} 行", detail=detail)
