"""Columns of a source file become the fields of a contract: one SELECT, evaluated by DuckDB.

Its result has the columns of :func:`package_columns`: what is stored of each field, where the row came from,
and, for a row that must be set aside, why. What does not belong here: reading files, merging.
"""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

from collections.abc import Mapping

from models.domain.codes import standard_items
from models.domain.contracts import Column, Personal, columns
from models.domain.identifiers import (
    sql_digest,
    sql_is_credit_code,
    sql_is_resident_id,
    sql_mask_identifier,
)
from models.domain.schema import sql_columns, stored_columns
from pipelines.sources.config import FieldSpec, Source
from pipelines.sources.masking import masked_code, masked_key, masked_personal, masked_text, masked_typed, shown
from pipelines.sources.store import literal, name
from pipelines.sources.typing_sql import LONG_TERM, as_text, cast, trimmed, typed

_TYPE_NAMES = {"TIMESTAMPTZ": "日期时间", "DATE": "日期", "INTEGER": "整数", "BOOLEAN": "是或否"}
_LAST_DAYS = ("valid_to", "effective_to")
_MOMENTS = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
_CODES = ("_code", "_codes", "_number", "_id")
PACKAGE_COLUMNS = {
    "_file_id": "INTEGER",
    "_file_row": "BIGINT",
    "_is_deleted": "BOOLEAN",
    "_reason_code": "VARCHAR",
    "_reason": "VARCHAR",
    "_record_key": "VARCHAR",
    "_record_hash": "VARCHAR",
    "_raw": "VARCHAR",
    "_raw_masked": "VARCHAR",
}
"""Technical columns of a load package; ``_reason_code`` is null where the row is good."""


def package_columns(source: Source) -> dict[str, str]:
    """Column → DuckDB type of the source's load packages."""
    return stored_columns(source.contract) | PACKAGE_COLUMNS


def origins(source: Source, available: Mapping[str, str]) -> dict[str, FieldSpec]:
    """Field → where its value comes from: as configured, else the column named like the field or its Chinese title.

    Configured columns that the file lacks are left as configured: see :func:`missing_columns`.
    """
    by_name = {column.lower(): column for column in available}
    found: dict[str, FieldSpec] = {}
    for field, spec in columns(source.contract).items():
        if configured := source.fields.get(field):
            exact = by_name.get((configured.column or "").lower())
            found[field] = configured if configured.column in available or exact is None else configured.model_copy(update={"column": exact})
        elif own := next((by_name[n.lower()] for n in _names(field, spec) if n.lower() in by_name), None):
            found[field] = FieldSpec(column=own)
    return found


def _names(field: str, spec: Column) -> list[str]:
    return [field, spec.title, *([standard_items()[spec.item]["item"]] if spec.item else [])]


def missing_columns(source: Source, available: Mapping[str, str]) -> list[str]:
    """Columns that the source must have and has not: configured ones, keys, cursor, deletion mark."""
    mapped = {field: spec for field, spec in origins(source, available).items() if not (spec.optional and spec.column not in available)}
    needed = [spec.column for spec in mapped.values() if spec.column] + ([source.deleted] if source.deleted else [])
    unkeyed = [field for field in [*source.keys, *([source.cursor] if source.cursor else [])] if field not in mapped]
    return [column for column in dict.fromkeys(needed + unkeyed) if column not in available]


def filled(source: Source, available: Mapping[str, str]) -> dict[str, str]:
    """Field → the column that fills it, of rows with these columns."""
    return {field: spec.column for field, spec in origins(source, available).items() if spec.column and spec.column in available}


def lost(source: Source, available: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Field → column, of the ``known`` ones that nothing fills any more since their column is gone.

    Not lost is what the configuration speaks of (:func:`missing_columns` holds it to that; ``optional`` lets it go), nor
    what it no longer maps though the column is there.
    """
    mapped, there = origins(source, available), {column.lower() for column in available}
    return {field: column for field, column in known.items() if field not in mapped and column.lower() not in there}


def used_columns(source: Source, available: Mapping[str, str]) -> set[str]:
    """The columns that the source's fields or its deletion mark take."""
    used = {spec.column for spec in origins(source, available).values() if spec.column}
    return used | ({source.deleted} if source.deleted else set())


def select(source: Source, available: Mapping[str, str], relation: str, faults: bool = False) -> str:
    """The SELECT over ``relation``, which has the ``available`` columns, ``_file_id`` and ``_file_row``.

    With ``faults`` it also has ``_fault``, the sentence for a row that its reader sets aside, and ``_line``, that row's
    text where it could not be taken apart into columns.
    """
    mapped = {field: spec for field, spec in origins(source, available).items() if not spec.column or spec.column in available}
    types = sql_columns(source.contract)
    flags = {column.no_end: field for field, column in columns(source.contract).items() if column.no_end}
    # Three levels, so that each value is computed once: read (text or native), typed, then judged.
    read: dict[str, str] = {}
    typed_values: dict[str, str] = {}
    suspects: dict[str, str] = {}
    for field, target in types.items():
        spec = mapped.get(field)
        said = None
        if field in flags:
            said = f"_said_{field}"
            read[said] = _says_no_end(mapped.get(flags[field]), available)
        if spec is None:
            typed_values[field] = f"r.{name(said)}" if said else f"NULL::{target}"
            continue
        value, checked = _read(source, field, spec, available.get(spec.column or "", "VARCHAR"), target)
        read[field] = value
        typed_values[field] = checked or f"r.{name(field)}"
        if said:  # a column of its own may be there and empty
            typed_values[field] = f"CASE WHEN r.{name(field)} IS NULL THEN r.{name(said)} ELSE {typed_values[field]} END"
        if checked:
            suspects[field] = target
    if source.deleted:
        read["_deleted"] = as_text(name(source.deleted), available[source.deleted])
        typed_values["_deleted"] = typed('r."_deleted"', "BOOLEAN", [])
        suspects["_deleted"] = "BOOLEAN"

    source_columns = ", ".join(f"{name(column)} AS {name('s.' + column)}" for column in available)
    levels = (
        f"SELECT _file_id, _file_row, {'_fault, _line, ' if faults else ''}{source_columns}"
        + "".join(f", {value} AS {name(field)}" for field, value in read.items())
        + f" FROM {relation}"
    )
    values = ", ".join(f"{value} AS {name('t.' + field)}" for field, value in typed_values.items())
    judged = f"SELECT *, {values} FROM ({levels}) AS r"
    reason_code, reason = _reasons(source, suspects)
    whole = "CAST(to_json({" + ", ".join(f"{literal(column)}: {name('s.' + column)}" for column in available) + "}) AS VARCHAR)"
    masked = _masked(source, mapped, available)
    if faults:
        whole = f"CASE WHEN _line IS NULL THEN {whole} ELSE CAST(to_json({{'line': _line}}) AS VARCHAR) END"
        masked = f"CASE WHEN _line IS NULL THEN {masked} ELSE '{{}}' END"
        reason_code, reason = f"CASE WHEN _fault IS NOT NULL THEN 'not_parsed' ELSE {reason_code} END", f"coalesce(_fault, {reason})"
    stored = ", ".join(f"{expression} AS {name(column)}" for column, expression in _stored(source).items())
    is_deleted = 'coalesce("t._deleted", false)' if source.deleted else "false"
    return (
        f"SELECT {stored}, _file_id, _file_row, {is_deleted} AS _is_deleted, _reason_code, "
        f"CASE WHEN _reason_code IS NOT NULL THEN {reason} END AS _reason, "
        f"CASE WHEN _reason_code IS NOT NULL THEN {_record_key(source)} END AS _record_key, "
        f"CASE WHEN _reason_code IS NOT NULL THEN coalesce({_hash('t.', source)}, md5({whole})) END AS _record_hash, "
        f"CASE WHEN _reason_code IS NOT NULL THEN {whole} END AS _raw, "
        f"CASE WHEN _reason_code IS NOT NULL THEN {masked} END AS _raw_masked "
        f"FROM (SELECT *, {reason_code} AS _reason_code FROM ({judged}))"
    )


def _read(source: Source, field: str, spec: FieldSpec, source_type: str, target: str) -> tuple[str, str | None]:
    """The value as read, and the expression over it that types it (None where reading is all)."""
    plain = not (spec.codes or spec.pad or spec.formats) and spec.constant is None
    column = name(spec.column) if spec.column else literal(spec.constant)
    reversed_scale = field == "satisfaction_code" and source.satisfaction_direction == "best_is_5"
    if target != "VARCHAR" and plain:
        if source_type == {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}.get(target, target) and target not in ("TIMESTAMPTZ", "DATE"):
            return column, None
        if field in _LAST_DAYS and source_type in _MOMENTS:
            column = f"nullif({column}, 'infinity'::{source_type})"
        if direct := cast(f"r.{name(field)}", source_type, target):
            return column, direct
    value = as_text(column, source_type)
    if field in _LAST_DAYS:
        value = f"(CASE WHEN {trimmed(value)} NOT IN {LONG_TERM!r} THEN {value} END)"
    if spec.codes:
        cases = " ".join(f"WHEN {literal(old)} THEN {literal(new)}" for old, new in spec.codes.items())
        value = f"nullif(CASE {trimmed(value)} {cases} ELSE {value} END, '')"
    if spec.pad:
        value = f"(CASE WHEN length({trimmed(value)}) < {spec.pad} THEN lpad({trimmed(value)}, {spec.pad}, '0') ELSE {value} END)"
    if reversed_scale:
        value = f"(CASE WHEN {value} IN ('1', '2', '3', '4', '5') THEN CAST(6 - CAST({value} AS INTEGER) AS VARCHAR) ELSE {value} END)"
    if target == "VARCHAR":
        return value, None
    return value, typed(f"r.{name(field)}", target, spec.formats)


def _says_no_end(day: FieldSpec | None, available: Mapping[str, str]) -> str:
    """Whether the column of a last day says that there is none; false too where nothing fills the day."""
    if day is None:
        return "false"
    column = name(day.column) if day.column else literal(day.constant)
    source_type = available.get(day.column or "", "VARCHAR")
    says = f"{trimmed(as_text(column, source_type))} IN {LONG_TERM!r}"
    if source_type in _MOMENTS:
        says = f"{column} = 'infinity'::{source_type}"
    return f"coalesce({says}, false)"


def _stored(source: Source) -> dict[str, str]:
    """Stored column → expression over the typed values."""
    specs = columns(source.contract)
    stored: dict[str, str] = {}
    for field in sql_columns(source.contract):
        value = name("t." + field)
        if specs[field].personal is not Personal.IDENTIFIER:
            stored[field] = value
            continue
        kind = name(f"t.{field}_type_code")
        stored[f"{field}_digest"] = sql_digest(value)
        stored[f"{field}_masked"] = sql_mask_identifier(value)
        # 111 resident id, 990 unified credit code (L.id_type); the other kinds have no rule.
        stored[f"{field}_is_valid"] = (
            f"(CASE {kind} WHEN '111' THEN {sql_is_resident_id(value)} WHEN '990' THEN {sql_is_credit_code(value)} END)"
        )
    return stored


def _reasons(source: Source, suspects: Mapping[str, str]) -> tuple[str, str]:
    """The expression of the reason's code (null for a good row) and that of its sentence."""
    specs = columns(source.contract)
    no_key = " OR ".join(f"{name('t.' + field)} IS NULL" for field in source.keys)
    bad = {field: f"({name(field)} IS NOT NULL AND {name('t.' + field)} IS NULL)" for field in suspects}
    any_bad = f"WHEN {' OR '.join(bad.values())} THEN 'not_typed' " if bad else ""
    code = f"CASE {any_bad}WHEN {no_key} THEN 'no_key' END"
    parts = []
    for field, condition in bad.items():
        title = "删除标记" if field == "_deleted" else f"{specs[field].title}（{field}）"
        value = shown(f"CAST({name(field)} AS VARCHAR)")
        parts.append(f"CASE WHEN {condition} THEN '{title}的值“' || {value} || '”不是{_TYPE_NAMES.get(suspects[field], '数')}' END")
    for field in source.keys:
        if field not in bad:
            parts.append(f"CASE WHEN {name('t.' + field)} IS NULL THEN '主键{specs[field].title}（{field}）为空' END")
        else:
            parts.append(f"CASE WHEN {name(field)} IS NULL THEN '主键{specs[field].title}（{field}）为空' END")
    return code, f"concat_ws('；', {', '.join(parts)})"


def record_hash(source: Source) -> str:
    """What a record that was set aside is known by, over the key columns of a good row."""
    return _hash("", source)


def _hash(prefix: str, source: Source) -> str:
    """Of the key; null where a part of it is missing."""
    return "md5(" + " || chr(31) || ".join(f"CAST({name(prefix + field)} AS VARCHAR)" for field in source.keys) + ")"


def _record_key(source: Source) -> str:
    keys = (masked_key(f"CAST({name('t.' + field)} AS VARCHAR)") for field in source.keys)
    return f"nullif(concat_ws('/', {', '.join(keys)}), '')"


def _masked(source: Source, mapped: Mapping[str, FieldSpec], available: Mapping[str, str]) -> str:
    """JSON of the mapped columns only; a column that several fields take is masked as the most private of them."""
    specs = columns(source.contract)
    order = [Personal.TEXT, *(kind for kind in Personal if kind is not Personal.TEXT), None]
    fields = sorted((field for field, spec in mapped.items() if spec.column in available), key=lambda field: order.index(specs[field].personal))
    takers: dict[str, str] = {}
    for field in fields:
        takers.setdefault(mapped[field].column or "", field)
    shows = {column: _mask(source, takers[column], f"CAST({name('s.' + column)} AS VARCHAR)") for column in available if column in takers}
    return "CAST(to_json({" + ", ".join(f"{literal(column)}: {value}" for column, value in shows.items()) + "}) AS VARCHAR)"


def _mask(source: Source, field: str, text: str) -> str:
    if personal := columns(source.contract)[field].personal:
        return masked_personal(text, personal)
    if field in source.keys:
        return masked_key(text)
    if sql_columns(source.contract)[field] != "VARCHAR":
        return masked_typed(text)
    return masked_code(text) if field.endswith(_CODES) else masked_text(text)
