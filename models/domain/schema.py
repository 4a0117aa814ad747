"""Contracts compiled: Arrow schema, SQL columns, SQL checks.

The warehouse never validates a row in Python: these are the same contracts as
:mod:`models.domain.contracts` in forms that Arrow and DuckDB evaluate over whole tables.
"""

from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa

from models.domain.codes import code_tables, standard_items
from models.domain.contracts import Column, Contract, Personal, columns, python_type

_ARROW: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int32(),
    bool: pa.bool_(),
    date: pa.date32(),
    datetime: pa.timestamp("us", tz="UTC"),
    Decimal: pa.decimal128(18, 2),
}
_SQL: dict[type, str] = {
    str: "VARCHAR",
    int: "INTEGER",
    bool: "BOOLEAN",
    date: "DATE",
    datetime: "TIMESTAMPTZ",
    Decimal: "DECIMAL(18,2)",
}


def arrow_schema(contract: type[Contract]) -> pa.Schema:
    """The Arrow schema of a contract; each field's metadata holds ``title`` and, where it has one, ``item``."""
    fields = []
    for name, field in contract.model_fields.items():
        spec = columns(contract)[name]
        metadata = {"title": spec.title} | ({"item": spec.item} if spec.item else {})
        fields.append(pa.field(name, _ARROW[python_type(field)], nullable=not field.is_required(), metadata=metadata))
    return pa.schema(fields)


def sql_columns(contract: type[Contract]) -> dict[str, str]:
    """Field name → DuckDB type."""
    return {name: _SQL[python_type(field)] for name, field in contract.model_fields.items()}


def stored_columns(contract: type[Contract]) -> dict[str, str]:
    """Column name → DuckDB type of the raw table: identifiers are replaced by what may be stored of them.

    A field ``x`` that is a personal identifier becomes ``x_digest`` (hex HMAC-SHA256), ``x_masked`` and
    ``x_is_valid`` (null where there is no value or no rule for its type).
    """
    stored: dict[str, str] = {}
    for name, sql_type in sql_columns(contract).items():
        if columns(contract)[name].personal is Personal.IDENTIFIER:
            stored |= {f"{name}_digest": "VARCHAR", f"{name}_masked": "VARCHAR", f"{name}_is_valid": "BOOLEAN"}
        else:
            stored[name] = sql_type
    return stored


RAW_COLUMNS: dict[str, str] = {
    "_file_id": "INTEGER",
    "_file_row": "BIGINT",
    "_run_seq": "INTEGER",
    "_is_deleted": "BOOLEAN",
}
"""Technical columns of every raw table: the file (``ops.source_file``) and row a record came from, the run
in which it last changed, and whether its source deleted it."""


def raw_columns(contract: type[Contract]) -> dict[str, str]:
    """Column name → DuckDB type of ``raw.<subject>``: ``source``, :func:`stored_columns`, :data:`RAW_COLUMNS`."""
    return {"source": "VARCHAR", **stored_columns(contract), **RAW_COLUMNS}


def sql_checks(contract: type[Contract]) -> dict[str, str]:
    """Field name → SQL condition that a valid value meets (true for null): code tables and text lengths.

    The same conditions as :func:`is_valid`, over columns named as the fields.
    """
    checks = {}
    for name, field in contract.model_fields.items():
        conditions = []
        spec = columns(contract)[name]
        if spec.code_table:
            codes = ", ".join(f"'{code}'" for code in sorted(code_tables()[spec.code_table]))
            conditions.append(f"{name} IN ({codes})")
        if (longest := max_length(spec)) is not None and python_type(field) is str:
            conditions.append(f"length({name}) <= {longest}")
        if conditions:
            checks[name] = f"({name} IS NULL OR ({' AND '.join(conditions)}))"
    return checks


def is_valid(spec: Column, value: str | None) -> bool:
    """Whether a text value meets its column's code table and length: the Python twin of :func:`sql_checks`."""
    if value is None:
        return True
    longest = max_length(spec)
    in_table = spec.code_table is None or value in code_tables()[spec.code_table]
    return in_table and (longest is None or len(value) <= longest)


_UNBOUNDED = {"4.2", "4.3", "5.2", "4.12", "6.6", "7.9"}
"""Codes that real data has longer than the standard (GB/T 39554.1-2020 and local numbers): never truncated."""


def max_length(spec: Column) -> int | None:
    """Longest text in characters that the item's format allows (``an..50`` → 50), None without a bound."""
    if spec.item is None or spec.item in _UNBOUNDED:
        return None
    form = standard_items()[spec.item]["format"]
    return int(form.split("..")[1]) if form.startswith("a") and ".." in form else None
