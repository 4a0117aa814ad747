"""What is reported of a subject: the items of its contract, each in clear, masked or not at all, and why."""

from dataclasses import dataclass
from datetime import date, datetime

from models.domain.contracts import SUBJECT_TITLES, SUBJECTS, Personal, columns, key_of, python_type
from models.domain.errors import YiwangError
from quality.catalogue.subjects import TABLES, CheckedTable

REPORTED = {"matter": "dim_matter", "case": "fct_case", "case_event": "fct_case_event", "certificate": "fct_certificate", "review": "fct_review"}
"""Subject that can be reported → the mart that holds its records."""
CLEAR, MASKED, ABSENT = "clear", "masked", "absent"
"""How an item goes out."""
_MASKED = "个人信息，只有脱敏值"
_MASKED_NAME = "个人姓名只有脱敏值，企业名称为原文"
_ABSENT = "集市不含该项"
_ABSENT_PERSONAL = "个人信息，不进入集市"


@dataclass(frozen=True)
class Item:
    """An item of a subject's contract, as it is reported.

    Attributes:
        field: Its field in the contract, and its key in JSON Lines.
        title: Its Chinese name, and its heading in a workbook.
        item: Item of GB/T 39046-2020 (``"5.1"``), None for an extension.
        state: :data:`CLEAR`, :data:`MASKED` or :data:`ABSENT`.
        why: Why it is masked or absent, in Chinese; empty for one in clear.
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

    Args:
        subject: Its name.
        mart: Names of the mart's columns.

    Raises:
        YiwangError: YW-REPORT-001 for a subject that is not reported.
    """
    table, contract = table_of(subject), SUBJECTS[subject]
    keys, items = key_of(contract), []
    for field, column in columns(contract).items():
        if column.personal and f"{field}_masked" in mart:
            state, why, sql = MASKED, _MASKED_NAME if column.personal is Personal.NAME else _MASKED, f"t.{field}_masked"
        elif field in mart and not column.personal:
            state, why, sql = CLEAR, "", _shown(f"t.{field}", python_type(contract.model_fields[field]))
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
