"""The marts that rules check: what names a row, whose it is, on which day it falls, and what it belongs to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Parent:
    """The mart to whose rows the rows of another belong.

    Attributes:
        table: The parent's mart.
        columns: Column of the child → column of the parent; a row whose columns are null has no parent.
    """

    table: str
    columns: dict[str, str]


@dataclass(frozen=True)
class CheckedTable:
    """A mart that rules check.

    Attributes:
        subject: What a row is.
        title: The same, in Chinese.
        key: Columns that name a row, the source apart.
        department: SQL of the department that answers for a row ``t``; None where it is the platform itself.
        day: SQL of the day into whose partition a row ``t`` falls; None where all rows are one partition.
        parent: What a row belongs to.
        source: SQL of the source from which a row ``t`` came; None where it came from none.
    """

    subject: str
    title: str
    key: tuple[str, ...]
    department: str | None = None
    day: str | None = None
    parent: Parent | None = None
    source: str | None = "t.source"

    @property
    def record_key(self) -> str:
        """SQL of a row's key as one text: the parts of the key, joined by ``/``."""
        return " || '/' || ".join(f"coalesce(CAST(t.{column} AS VARCHAR), '')" for column in self.key)


_CASE = Parent("fct_case", {"source": "source", "case_number": "case_number"})
_OF_CASE = "(SELECT any_value(c.department_code) FROM marts.fct_case AS c WHERE c.source = t.source AND c.case_number = t.case_number)"

TABLES: dict[str, CheckedTable] = {
    "dim_matter": CheckedTable("matter", "事项", ("matter_code",), "t.department_code"),
    "dim_matter_version": CheckedTable("matter_version", "事项版本", ("matter_code", "valid_from"), "t.department_code"),
    "fct_case": CheckedTable(
        "case", "办件", ("case_number",), "t.department_code", "t.received_on", Parent("dim_matter", {"matter_code": "matter_code"})
    ),
    # a step that names no department is its case's
    "fct_case_event": CheckedTable(
        "case_event", "办件环节", ("case_number", "sequence"), f"coalesce(t.department_code, {_OF_CASE})", "t.occurred_on", _CASE
    ),
    "fct_certificate": CheckedTable(
        "certificate", "电子证照", ("certificate_id",), f"coalesce({_OF_CASE}, t.issuer_code)", "t.issued_on", _CASE
    ),
    "fct_review": CheckedTable(
        "review", "好差评", ("review_id",), f"coalesce(t.department_code, {_OF_CASE})", "t.reviewed_on", _CASE
    ),
    "dim_department": CheckedTable("department", "部门", ("department_code",), "t.department_code"),
    "dim_region": CheckedTable("region", "区划", ("region_code",)),
    "bridge_area_region": CheckedTable("area_region", "区域构成", ("area_code", "region_code", "valid_from"), source=None),
    "mart_department_day": CheckedTable(
        "department_day", "部门日指标", ("date", "department_code", "measure_code"), "t.department_code", "t.date", source=None
    ),
    "mart_sync_run": CheckedTable("sync_run", "同步", ("run_id", "subject")),
    "quarantine": CheckedTable("quarantine", "隔离记录", ("subject", "file", "file_row")),
}
"""Mart → what is known of it."""
