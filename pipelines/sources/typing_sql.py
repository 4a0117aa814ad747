"""Values of a source typed in SQL: text, whole numbers, flags, days and instants as sources write them.

Every function takes an SQL expression and returns one that is null where the value cannot be read.
What does not belong here: which column becomes which field (:mod:`pipelines.sources.mapping`).
"""

from collections.abc import Sequence

from pipelines.sources.store import literal

_BLANKS = " || ".join(f"chr({ord(character)})" for character in " \t\n\v\f\r\u00a0\u200b\u3000\ufeff")
_TRUE = ("1", "true", "t", "yes", "y", "是", "有")
_FALSE = ("0", "false", "f", "no", "n", "否", "无")
DAY_FORMATS = ("%Y/%m/%d", "%Y年%m月%d日", "%Y.%m.%d", "%Y%m%d")
INSTANT_FORMATS = (
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y年%m月%d日 %H:%M:%S", "%Y年%m月%d日 %H时%M分%S秒", "%Y%m%d%H%M%S", "%Y-%m-%d %H:%M",
    *DAY_FORMATS,
)  # fmt: skip
"""What is tried, beside ISO 8601, where a field has no formats of its own."""
LONG_TERM = ("长期", "长期有效", "永久", "永久有效")
"""What a last day of validity says where there is none."""


def trimmed(text: str) -> str:
    """The text without blanks around it, full-width ones included."""
    return f"trim({text}, {_BLANKS})"


def not_blank(text: str) -> str:
    """The text as it stands, null where there is nothing but blanks.

    What begins with visible ASCII or a Chinese character is known by a comparison: trimming each value of each
    column would take longer than all else.
    """
    plain = f"WHEN {text} >= '!' AND {text} < chr(160) THEN {text} WHEN {text} >= '\u4e00' AND {text} < chr(65279) THEN {text}"
    return f"(CASE {plain} WHEN {trimmed(text)} <> '' THEN {text} END)"


def as_text(value: str, source_type: str) -> str:
    """A value of any DuckDB type as text; nested values as JSON; blank text as null."""
    if source_type == "VARCHAR":
        return not_blank(value)
    if source_type.endswith("]") or source_type.startswith(("STRUCT", "MAP")):
        return f"CAST(to_json({value}) AS VARCHAR)"
    return f"CAST({value} AS VARCHAR)"


def typed(text: str, target: str, formats: Sequence[str]) -> str:
    """Text as a value of the type ``target`` (a type of :func:`models.domain.schema.sql_columns`)."""
    value = trimmed(text)
    if target == "TIMESTAMPTZ":
        return _between_years(_parsed(value, target, formats, INSTANT_FORMATS), "TIMESTAMPTZ")
    if target == "DATE":
        return _between_years(_parsed(value, target, formats, DAY_FORMATS), "DATE")
    if target == "INTEGER":  # a cast alone would round 3.7 to 4
        return f"CASE WHEN regexp_full_match({value}, '[+-]?[0-9]+(\\.0*)?') THEN TRY_CAST({value} AS INTEGER) END"
    if target == "BOOLEAN":
        lower = f"lower({value})"
        return f"CASE WHEN {lower} IN {_list(_TRUE)} THEN true WHEN {lower} IN {_list(_FALSE)} THEN false END"
    return f"TRY_CAST({value} AS {target})"


def cast(value: str, source_type: str, target: str) -> str | None:
    """A direct cast where source and target are both numbers, or both days or instants; None where text must be read.

    Days and instants outside the years 1 to 9999, infinite ones among them, are null.

    An instant without zone is one of the connection's ``TimeZone``, and so is the day of an instant.
    """
    moments = ("DATE", "TIMESTAMP")
    if target in ("DATE", "TIMESTAMPTZ") and source_type.startswith(moments):
        same = source_type == {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}.get(target, target)
        return _between_years(value if same else f"TRY_CAST({value} AS {target})", target)
    if target == "INTEGER" and source_type in ("TINYINT", "SMALLINT", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"):
        return f"TRY_CAST({value} AS INTEGER)"
    if target == "INTEGER" and source_type in ("DOUBLE", "FLOAT"):
        return f"CASE WHEN {value} = trunc({value}) THEN TRY_CAST({value} AS INTEGER) END"
    if target.startswith("DECIMAL") and source_type in ("DOUBLE", "FLOAT", "INTEGER", "BIGINT"):
        return f"TRY_CAST({value} AS {target})"
    return None


def _parsed(value: str, target: str, formats: Sequence[str], usual: Sequence[str]) -> str:
    if formats:
        return f"CAST(try_strptime({value}, {_array(formats)}) AS {target})"
    # The cast reads ISO 8601, with or without zone; a day may also be the day of an instant.
    casts = [f"TRY_CAST({value} AS {target})"] + ([f"CAST(TRY_CAST({value} AS TIMESTAMPTZ) AS DATE)"] if target == "DATE" else [])
    return f"coalesce({', '.join(casts)}, CAST(try_strptime({value}, {_array(usual)}) AS {target}))"


def _between_years(value: str, target: str) -> str:
    """Null outside the years 1 to 9999: 'infinity' and the like are no dates."""
    last = "9999-12-31" if target == "DATE" else "9999-12-31 23:59:59.999999"
    return f"(CASE WHEN {value} BETWEEN {target} '0001-01-01' AND {target} '{last}' THEN {value} END)"


def _list(values: Sequence[str]) -> str:
    return "(" + ", ".join(literal(value) for value in values) + ")"


def _array(values: Sequence[str]) -> str:
    return "[" + ", ".join(literal(value) for value in values) + "]"
