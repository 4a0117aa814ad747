"""Quality rules as data: what each one checks, on what authority, and how severe it is.

A rule file is a YAML list under ``rules/``. Its SQL is one boolean expression over the columns of one mart, named
``t`` where a subquery needs them; a row for which it is true fails, null passes. What does not belong here: running.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.domain.codes import code_tables
from models.domain.errors import YiwangError

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Dimension = Literal["规范性", "完整性", "准确性", "一致性", "时效性"]
"""Indicators of data quality in GB/T 36344-2018; uniqueness is part of 准确性, safety of 规范性."""


class Rule(BaseModel):
    """A quality rule; exactly one of ``failing``, ``unique`` and ``codes`` says which rows fail.

    Attributes:
        name: Key of the rule.
        table: The mart whose rows it checks.
        dimension: Indicator of GB/T 36344-2018.
        severity: ``error`` stops publishing: the figures cannot be trusted. ``warn`` is reported.
        standard: The law, standard or design that asks for it.
        clause: The place in it.
        applies: Condition of the rows that the rule checks; all rows without it.
        failing: Condition of the rows that fail.
        unique: Columns that together must not repeat.
        codes: Column → code table; another value than null or a code of the table fails.
        message: What is wrong with the rows that fail, in Chinese, without figures.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    table: Name
    dimension: Dimension
    severity: Literal["error", "warn"]
    standard: str = Field(min_length=1)
    clause: str = Field(min_length=1)
    applies: str | None = None
    failing: str | None = None
    unique: tuple[Name, ...] | None = Field(None, min_length=1)
    codes: dict[Name, str] | None = Field(None, min_length=1)
    message: str = Field(min_length=1)

    @field_validator("codes")
    @classmethod
    def _code_tables(cls, codes: dict[str, str] | None) -> dict[str, str] | None:
        if unknown := sorted(set((codes or {}).values()) - set(code_tables())):
            raise ValueError(f"没有代码表 {'、'.join(unknown)}")
        return codes

    @model_validator(mode="after")
    def _one_way(self) -> "Rule":
        if sum(way is not None for way in (self.failing, self.unique, self.codes)) != 1:
            raise ValueError("failing、unique、codes 必须且只能写一个")
        return self

    @cached_property
    def condition(self) -> str:
        """SQL condition of the rows that fail, ``applies`` included."""
        return " AND ".join(_enclosed(part) for part in (self.applies, self._failing) if part)

    @property
    def _failing(self) -> str:
        if self.unique:
            key = ", ".join(self.unique)
            return f"({key}) IN (SELECT ({key}) FROM marts.{self.table} GROUP BY {key} HAVING count(*) > 1)"  # noqa: S608 - checked names
        if self.codes:
            return " OR ".join(f"{column} NOT IN ({_listed(table)})" for column, table in self.codes.items())
        return (self.failing or "").strip()

    @property
    def sql(self) -> str:
        """Query that lists the rows that fail."""
        return f"SELECT * FROM marts.{self.table} AS t WHERE {self.condition}"  # noqa: S608

    @property
    def checked_sql(self) -> str:
        """Query that counts the rows that the rule checks."""
        where = f" WHERE {self.applies}" if self.applies else ""
        return f"SELECT count(*) FROM marts.{self.table} AS t{where}"  # noqa: S608


@dataclass(frozen=True)
class _Entry:
    """A rule and where it stands."""

    rule: Rule
    path: Path | Traversable
    number: int


def load_rules(folder: Path | None = None, connection: duckdb.DuckDBPyConnection | None = None) -> list[Rule]:
    """Reads the rules.

    Args:
        folder: Folder of rule files (``*.yml``); the shipped ones when None.
        connection: Masked marts against which tables, columns and types are checked too; None: what needs no data.

    Raises:
        YiwangError: YW-QUALITY-001 with file and entry.
    """
    entries = _read(folder or files("quality") / "rules")
    if connection is not None:
        for entry in entries:
            _bind(entry, connection)
    return [entry.rule for entry in entries]


def _read(folder: Path | Traversable) -> Sequence[_Entry]:
    entries: list[_Entry] = []
    with duckdb.connect() as parser:
        for path in sorted((p for p in folder.iterdir() if p.name.endswith(".yml")), key=lambda p: p.name):
            for number, content in enumerate(_content(path), start=1):
                entry = _Entry(_validated(path, number, content), path, number)
                if any(entry.rule.name == other.rule.name for other in entries):
                    raise _broken(path, number, entry.rule.name, "名称重复")
                for part in filter(None, (entry.rule.applies, entry.rule.failing)):
                    _parse(entry, part, parser)
                entries.append(entry)
    return entries


def _content(path: Traversable) -> list[Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _broken(path, 0, None, " ".join(str(error).split())) from error
    if not isinstance(content, list):
        raise _broken(path, 0, None, "文件应是规则的列表")
    return content


def _validated(path: Traversable, number: int, content: Any) -> Rule:
    try:
        return Rule.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        name = content.get("name") if isinstance(content, dict) else None
        raise _broken(path, number, name, f"{where} {first['msg']}".strip()) from error


def _bind(entry: _Entry, connection: duckdb.DuckDBPyConnection) -> None:
    """Lets the database look up every name and type, without reading a row."""
    rule = entry.rule
    try:
        for part in filter(None, (rule.applies, rule.condition)):
            described = connection.execute(f"DESCRIBE SELECT (\n{part}\n) FROM marts.{rule.table} AS t").fetchall()  # noqa: S608
            if (kind := described[0][1]) != "BOOLEAN":
                raise _broken(entry.path, entry.number, rule.name, f"条件应为真或假，而不是 {kind}")
    except duckdb.Error as error:
        raise _broken(entry.path, entry.number, rule.name, str(error).splitlines()[0]) from error


def _parse(entry: _Entry, sql: str, parser: duckdb.DuckDBPyConnection) -> None:
    """Refuses text that is not exactly one expression: it could add rows, tables or statements of its own."""
    # NOT (…) stays the outermost node only when the parentheses inside are balanced.
    parsed = parser.execute("SELECT json_serialize_sql($1::VARCHAR)", [f"SELECT NOT (\n{sql}\n)"]).fetchall()[0][0]
    tree = json.loads(parsed)
    if tree["error"]:
        raise _broken(entry.path, entry.number, entry.rule.name, f"SQL 无法解析：{tree['error_message']}")
    nodes = [statement["node"] for statement in tree["statements"]]
    whole = len(nodes) == 1 and nodes[0]["type"] == "SELECT_NODE" and nodes[0]["from_table"]["type"] == "EMPTY"
    if not whole or len(nodes[0]["select_list"]) != 1 or nodes[0]["select_list"][0]["type"] != "OPERATOR_NOT" or nodes[0]["modifiers"]:
        raise _broken(entry.path, entry.number, entry.rule.name, "SQL 必须是单个条件表达式")


def _enclosed(sql: str) -> str:
    return f"({sql.strip()}\n)" if "--" in sql else f"({sql.strip()})"


def _listed(table: str) -> str:
    return ", ".join(f"'{code}'" for code in sorted(code_tables()[table]))


def _broken(path: Traversable, number: int, name: str | None, detail: str) -> YiwangError:
    entry = f"第 {number} 条" + (f"（{name}）" if name else "") if number else "全文"
    return YiwangError("YW-QUALITY-001", path=path, entry=entry, detail=detail)
