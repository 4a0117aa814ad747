"""A quality rule: what it checks, on what authority, how severe it is, and the SQL that it amounts to.

Every rule is one entry of a YAML file; :mod:`quality.catalogue.loading` reads them. Its SQL is one boolean expression
over the columns of one mart, named ``t`` where a subquery needs them; a row for which it is true fails, null passes.
"""

import re
from datetime import date
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.core.policy.service import policy
from models.domain.codes import code_tables
from quality.catalogue.subjects import TABLES, CheckedTable
from quality.catalogue.words import quoted, said_sql, title_of

DIMENSIONS = {
    "completeness": "完整性", "validity": "有效性", "uniqueness": "唯一性", "consistency": "一致性", "timeliness": "时效性", "accuracy": "准确性",
}  # fmt: skip
"""Dimension → its Chinese name. GB/T 36344-2018 names validity 规范性 and counts uniqueness as accuracy."""
SEVERITIES = {"blocks": "不予上报", "counts": "计入质量得分", "advises": "提示"}
"""Severity, most severe first → what it means for the record, in Chinese."""
DEPARTMENT = "department"
"""Owner of a rule whose violations the department of the record mends."""

_OWNERS = {"operator": "平台运维人员", "administrator": "平台管理员"}
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_VALUE = r"\{[a-z][a-z0-9_]*\}"
_FILLED = re.compile(rf"（[^（）]*{_VALUE}[^（）]*）|\s*“{_VALUE}”\s*|\s*{_VALUE}\s*")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_SHOWN_CODES = 8


class Rule(BaseModel):
    """A quality rule; exactly one of ``failing``, ``required``, ``unique``, ``codes``, ``format`` and ``length`` says which rows fail.

    Attributes:
        id: Key of the rule.
        subject: The file that holds it, without ``.yml``: what people look for it under.
        table: The mart whose rows it checks, one of :data:`quality.catalogue.subjects.TABLES`.
        field: Column at fault, whose value is shown; None: the one column that ``required``, ``codes`` … name, if one.
        dimension: Key of :data:`DIMENSIONS`.
        severity: ``blocks``: the level above would refuse the record, it is not reported. ``counts``: it lowers the
            quality score. ``advises``: a person should look; never counted.
        gate: Stops publishing: the platform's own figures could not be trusted. Nothing that a source gets wrong is one.
        standard: The law, standard or design that asks for it.
        clause: The place in it.
        applies: Condition of the rows that the rule looks at; all rows without it.
        failing: Condition of the rows that fail.
        required: Columns none of which may be null.
        unique: Columns that together must not repeat.
        codes: Column → code table; another value than null or a code of the table fails.
        format: Column → regular expression (RE2) that its whole value must match; null passes.
        length: Column → least and greatest number of characters; null passes.
        message: What is wrong with a row that fails, in Chinese; ``{column}`` stands for the row's value, of a code its name.
        remedy: What to do about it, in Chinese; without it :attr:`advice` says what follows from the way in which it fails.
        owner: Who sees to it that violations are mended: ``department`` or a role of the access policy.
        effective_from: First partition day of the rows that it looks at.
        effective_to: Last partition day of the rows that it looks at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Name
    subject: Name
    table: Name
    field: Name | None = None
    dimension: Literal["completeness", "validity", "uniqueness", "consistency", "timeliness", "accuracy"]
    severity: Literal["blocks", "counts", "advises"]
    gate: bool = False
    standard: str = Field(min_length=1)
    clause: str = Field(min_length=1)
    applies: str | None = None
    failing: str | None = None
    required: tuple[Name, ...] | None = Field(None, min_length=1)
    unique: tuple[Name, ...] | None = Field(None, min_length=1)
    codes: dict[Name, str] | None = Field(None, min_length=1)
    format: dict[Name, str] | None = Field(None, min_length=1)
    length: dict[Name, tuple[int, int]] | None = Field(None, min_length=1)
    message: str = Field(min_length=1)
    remedy: str | None = None
    owner: str = DEPARTMENT
    effective_from: date | None = None
    effective_to: date | None = None

    @field_validator("table")
    @classmethod
    def _known(cls, table: str) -> str:
        if table not in TABLES:
            raise ValueError(f"没有登记数据表 {table} 的主键")
        return table

    @field_validator("codes")
    @classmethod
    def _code_tables(cls, codes: dict[str, str] | None) -> dict[str, str] | None:
        if unknown := sorted(set((codes or {}).values()) - set(code_tables())):
            raise ValueError(f"没有代码表 {'、'.join(unknown)}")
        return codes

    @field_validator("length")
    @classmethod
    def _lengths(cls, length: dict[str, tuple[int, int]] | None) -> dict[str, tuple[int, int]] | None:
        if any(not 0 <= least <= greatest for least, greatest in (length or {}).values()):
            raise ValueError("最短长度应不小于 0 且不大于最长长度")
        return length

    @field_validator("message")
    @classmethod
    def _braces(cls, message: str) -> str:
        if set("{}") & set(_PLACEHOLDER.sub("", message)):
            raise ValueError("花括号内只能写字段名")
        return message

    @field_validator("message", "remedy")
    @classmethod
    def _chinese(cls, words: str | None) -> str | None:
        if words is not None and not _CHINESE.search(_PLACEHOLDER.sub("", words)):
            raise ValueError("应写成中文：它给部门的人看")
        return words

    @field_validator("owner")
    @classmethod
    def _owner(cls, owner: str) -> str:
        if owner != DEPARTMENT and owner not in policy().roles:
            raise ValueError(f"没有角色 {owner}")
        return owner

    @model_validator(mode="after")
    def _one_way(self) -> "Rule":
        ways = (self.failing, self.required, self.unique, self.codes, self.format, self.length)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("failing、required、unique、codes、format、length 必须且只能写一个")
        if (self.effective_from or self.effective_to) and not self.on.day:
            raise ValueError(f"数据表 {self.table} 不按日分区，不能写生效日期")
        if self.effective_from and self.effective_to and self.effective_to < self.effective_from:
            raise ValueError("effective_to 早于 effective_from")
        return self

    @property
    def on(self) -> CheckedTable:
        """What is known of its table: key, department, partition day, parent."""
        return TABLES[self.table]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that ``required``, ``unique``, ``codes``, ``format`` or ``length`` name; none for ``failing``."""
        return tuple(self.required or self.unique or self.codes or self.format or self.length or ())

    @property
    def at_fault(self) -> str | None:
        """Column whose value a violation shows."""
        return self.field or (self.columns[0] if len(self.columns) == 1 else None)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Columns whose values the message names."""
        return tuple(_PLACEHOLDER.findall(self.message))

    @property
    def title(self) -> str:
        """The message without the values: what the rule says of any row."""
        return _FILLED.sub("", self.message)

    @property
    def message_sql(self) -> str:
        """SQL expression that fills the message in with the values of the row ``t``."""
        parts = _PLACEHOLDER.split(self.message)
        return " || ".join(said_sql(self.table, part) if index % 2 else quoted(part) for index, part in enumerate(parts) if part)

    @property
    def advice(self) -> str:
        """What to do about a row that fails: ``remedy``, or what follows from what fails and whose it is."""
        if self.remedy:
            return self.remedy
        if self.owner != DEPARTMENT or not self.on.department:
            return f"请{_OWNERS.get(self.owner, '平台管理人员')}核对{self.on.title}，改正后重新运行"
        fields = "、".join(dict.fromkeys(title_of(self.table, column) for column in self.columns or ((self.field,) if self.field else ()))) or f"这条{self.on.title}"
        if self.required:
            return f"请补填{fields}"
        if self.codes:
            codes = code_tables()[next(iter(self.codes.values()))]
            known = "、".join(f"{code}（{label}）" for code, label in list(codes.items())[:_SHOWN_CODES])
            return f"请把{fields}改为代码表中的代码：{known}{' 等' if len(codes) > _SHOWN_CODES else ''}"
        if self.format:
            return f"请按规定的格式改正{fields}"
        if self.length:
            least, most = next(iter(self.length.values()))
            return f"请把{fields}改为 {least} 至 {most} 个字符"
        if self.unique:
            return f"请核对{fields}相同的记录，重复的作废，写错的改正"
        return f"请核对{fields}，与事实不符的改正"

    @cached_property
    def checked(self) -> str:
        """SQL condition of the rows that the rule looks at: ``applies`` and the effective days."""
        day = f"({self.on.day})"
        since = f"{day} >= DATE '{self.effective_from}'" if self.effective_from else None
        until = f"{day} <= DATE '{self.effective_to}'" if self.effective_to else None
        return " AND ".join(_enclosed(part) for part in (self.applies, since, until) if part) or "true"

    @cached_property
    def condition(self) -> str:
        """SQL condition of the rows that fail, among those that it looks at."""
        failing = _enclosed(self._failing)
        return failing if self.checked == "true" else f"{self.checked} AND {failing}"

    @property
    def _failing(self) -> str:
        if self.required:
            return " OR ".join(f"{column} IS NULL" for column in self.required)
        if self.unique:
            key = ", ".join(self.unique)
            return f"({key}) IN (SELECT ({key}) FROM marts.{self.table} GROUP BY {key} HAVING count(*) > 1)"  # noqa: S608 - checked names
        if self.codes:
            return " OR ".join(f"{column} NOT IN ({_listed(table)})" for column, table in self.codes.items())
        if self.format:
            return " OR ".join(f"NOT regexp_full_match({column}, {quoted(pattern)})" for column, pattern in self.format.items())
        if self.length:
            return " OR ".join(f"length({column}) NOT BETWEEN {least} AND {greatest}" for column, (least, greatest) in self.length.items())
        return (self.failing or "").strip()

    @property
    def sql(self) -> str:
        """Query that lists the rows that fail."""
        return f"SELECT * FROM marts.{self.table} AS t WHERE {self.condition}"  # noqa: S608

    @property
    def checked_sql(self) -> str:
        """Query that counts the rows that the rule looks at."""
        return f"SELECT count(*) FROM marts.{self.table} AS t WHERE {self.checked}"  # noqa: S608


def _enclosed(sql: str) -> str:
    return f"({sql.strip()}\n)" if "--" in sql else f"({sql.strip()})"


def _listed(table: str) -> str:
    return ", ".join(quoted(code) for code in sorted(code_tables()[table]))
