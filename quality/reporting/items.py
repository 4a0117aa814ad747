"""What is reported of a subject: the items of its contract, each in clear, masked or not at all, and why."""

from dataclasses import dataclass
from datetime import date, datetime

from models.domain.contracts import NO_END, SUBJECT_TITLES, SUBJECTS, Personal, columns, key_of, python_type
from models.domain.errors import YiwangError
from quality.catalogue.subjects import TABLES, CheckedTable

REPORTED = {"matter": "dim_matter", "case": "fct_case", "case_event": "fct_case_event", "certificate": "fct_certificate", "review": "fct_review"}
"""Subject that can be reported → the mart that holds its records."""
REPORTED_FIRST = {"fct_case": "case"}
"""Mart → its subject, where its records must stand above before what belongs to them. Matters need not: the level above has the list of them
from elsewhere, the packages only bring it up to date."""
CLEAR, MASKED, ABSENT = "clear", "masked", "absent"
"""How an item goes out."""
_MASKED = "个人信息，只有脱敏值"
_MASKED_NAME = "个人姓名只有脱敏值，企业名称为原文"
_ABSENT = "集市不含该项"
_ABSENT_PERSONAL = "个人信息，不进入集市"
_ABSENT_FLAG = "由{title}写明“{no_end}”"
_FILLED = {
    ("matter", "department_code"): "来源未填代码的，取实施主体名称",
    ("matter", "matter_state_code"): "来源未填的，视为在用",
    ("case", "matter_name"): "来源未填的，取收件当日事项的名称",
    ("case", "case_kind_code"): "来源未填的，取收件当日事项的办件类型",
    ("case", "received_at"): "来源未填的，取申请时间",
    ("review", "is_default"): "来源未填的，视为否",
}
"""Items in clear that the marts fill where the source left them empty, and with what."""


@dataclass(frozen=True)
class Item:
    """An item of a subject's contract, as it is reported.

    Attributes:
        field: Its field in the contract, and its key in JSON Lines.
        title: Its Chinese name, and its heading in a workbook.
        item: Item of GB/T 39046-2020 (``"5.1"``), None for an extension.
        state: :data:`CLEAR`, :data:`MASKED` or :data:`ABSENT`.
        why: Why it is masked or absent, or with what it is filled where the source left it empty, in Chinese; else empty.
        sql: Expression over the mart's row ``t``; None for one that is absent.
    """

    field: str
    title: str
    item: str | None
    state: str
    why: str
    sql: str | None


@dataclass(frozen=True)
class Subject:
    """A subject that can be reported.

    Attributes:
        name: Its name, as in the contracts.
        title: Its Chinese name.
        table: Its mart.
        items: All items of its contract, in its order.
    """

    name: str
    title: str
    table: str
    items: tuple[Item, ...]

    @property
    def on(self) -> CheckedTable:
        """Key, department, day and parent of its mart."""
        return TABLES[self.table]

    @property
    def sent(self) -> tuple[Item, ...]:
        """The items that go out."""
        return tuple(item for item in self.items if item.sql is not None)


def table_of(subject: str) -> str:
    """The mart of a subject.

    Raises:
        YiwangError: YW-REPORT-001 for a subject that is not reported.
    """
    if subject not in REPORTED:
        raise YiwangError("YW-REPORT-001", subject=subject, known="、".join(REPORTED))
    return REPORTED[subject]


def subject_of(subject: str, mart: set[str]) -> Subject:
    """What is reported of a subject, from what its mart has.

    Of what the platform works out beside what the source recorded (``recorded_x`` beside ``x``), the recorded goes out.

    Args:
        subject: Its name.
        mart: Names of the mart's columns.

    Raises:
        YiwangError: YW-REPORT-001 for a subject that is not reported.
    """
    table, contract = table_of(subject), SUBJECTS[subject]
    keys, items = key_of(contract), []
    ends = {column.no_end: column for column in columns(contract).values() if column.no_end}
    for field, column in columns(contract).items():
        recorded = f"recorded_{field}" if f"recorded_{field}" in mart else field
        if field in ends:
            state, why, sql = ABSENT, _ABSENT_FLAG.format(title=ends[field].title, no_end=NO_END), None
        elif column.personal and f"{field}_masked" in mart:
            state, why, sql = MASKED, _MASKED_NAME if column.personal is Personal.NAME else _MASKED, f"t.{field}_masked"
        elif field in mart and not column.personal:
            state, why, sql = CLEAR, _FILLED.get((subject, field), ""), _shown(f"t.{recorded}", python_type(contract.model_fields[field]))
            if column.no_end in mart:
                sql = f"coalesce({sql}, CASE WHEN t.{column.no_end} THEN '{NO_END}' END)"
        else:
            state, why, sql = ABSENT, _ABSENT_PERSONAL if column.personal else _ABSENT, None
        items.append(Item(field, column.title, column.item, state, why, sql))
    assert all(item.sql for item in items if item.field in keys)  # noqa: S101 - marts have the keys of their contracts
    return Subject(subject, SUBJECT_TITLES[subject], table, tuple(items))


def _shown(column: str, kind: type) -> str:
    if issubclass(kind, datetime):
        # in the zone of the connection; whole hours of an offset come without minutes, which RFC 3339 wants
        return f"regexp_replace(strftime({column}, '%Y-%m-%dT%H:%M:%S%z'), '([+-]\\d\\d)$', '\\1:00')"
    if issubclass(kind, date):
        return f"strftime({column}, '%Y-%m-%d')"
    return column
