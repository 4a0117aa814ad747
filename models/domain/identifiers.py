"""Identifiers: check arithmetic, masks and digests, each in Python and as a DuckDB expression that agrees.

The ``sql_*`` functions take a column name (or any VARCHAR expression) and return a scalar expression; none
of them calls back into Python, so that millions of rows are checked inside the engine. A null stays null.
The checks are strict about the text as it stands (no spaces, upper case): wrap a column in
:func:`sql_normalise` where dirt is to be forgiven. What does not belong here: rules that say what follows
from a wrong identifier (they are in ``quality``).
"""

import hashlib
import hmac
import re
from datetime import date
from typing import Any, Protocol

_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_WEIGHTS = [pow(3, i, 31) for i in range(17)]
_RESIDENT_WEIGHTS = [pow(2, 17 - i, 11) for i in range(17)]
_RESIDENT_CHECKS = "10X98765432"
_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OID = "1.2.156.3005.2."

_PROVINCES = "1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]"
_MONTH_DAY = (
    "(?:(?:0[13578]|1[02])(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)(?:0[1-9]|[12][0-9]|30)|02(?:0[1-9]|[12][0-9]))"
)
_RESIDENT = f"(?:{_PROVINCES})[0-9]{{4}}(?:18|19|20)[0-9]{{2}}{_MONTH_DAY}[0-9]{{3}}[0-9X]"
_CREDIT = f"[{_CREDIT_ALPHABET}]{{2}}[0-9]{{6}}[{_CREDIT_ALPHABET}]{{10}}"
_DIVISION = f"(?:{_PROVINCES})(?:0000|(?:0[1-9]|[1-9][0-9])[0-9]{{2}})(?:[0-9]{{3}}|[0-9]{{6}})?"

_BLANKS = " \t\n\r\f\v\u00a0\u200b\u3000\ufeff"
_WIDE = "".join(chr(c) for c in range(0xFF01, 0xFF5F)) + "\u3000" + "abcdefghijklmnopqrstuvwxyz"
_NARROW = ("".join(chr(c) for c in range(0x21, 0x7F)) + " ").upper() + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NORMAL = str.maketrans(_WIDE, _NARROW)

_D = "[0-9０-９]"
_C = "[0-9A-HJ-NPQRTUWXYa-hj-npqrtuwxy]"
_S = "[-._·•・\u2010-\u2015－．\u00a0\u3000\u200b-\u200f\u2060\ufeff ]{0,2}"
"""What people, and who wants to get past a mask, put between digits."""
_OF_PEOPLE = "|".join(
    [
        f"[1-8１-８](?:{_S}{_D}){{5}}{_S}(?:[1１]{_S}[89８９]|[2２]{_S}[0０])(?:{_S}{_D}){{9}}{_S}[0-9０-９XxＸｘ]",  # resident id, however it is spread
        f"[1１]{_S}[3-9３-９](?:{_S}{_D}){{9}}",  # mobile number, likewise
    ]
)
_IN_TEXT = "|".join(
    [
        _OF_PEOPLE,
        f"{_D}{{6}}[ -]?{_D}{{8}}[ -]?{_D}{{3}}[0-9０-９XxＸｘ]",  # resident id, also in groups
        f"{_C}{{2}}[0-9]{{6}}{_C}{{10}}",  # credit code
        f"[1１]{_D}{{2}}(?:[ -]?{_D}{{4}}){{2}}",  # mobile number, also in groups
        f"[0０]{_D}{{2,3}}[ -]{_D}{{7,8}}",  # landline
        f"{_D}{{7,}}[XxＸｘ]?",  # any other long run: old ids, passports, bank cards
    ]
)
_IN_TEXT_MASK = "***"


class _Connection(Protocol):
    def execute(self, query: str, parameters: object = ..., /) -> object: ...


def is_credit_code(value: str) -> bool:
    """Whether the text is a unified social credit code with a right check character (GB 32100-2015)."""
    if not re.fullmatch(_CREDIT, value):
        return False
    return credit_code_check(value[:17]) == value[17]


def credit_code_check(body: str) -> str:
    """The 18th character of the credit code whose first 17 are ``body`` (GB 32100-2015)."""
    total = sum(_CREDIT_ALPHABET.index(c) * w for c, w in zip(body, _CREDIT_WEIGHTS, strict=True))
    return _CREDIT_ALPHABET[-total % 31]


def is_resident_id(value: str) -> bool:
    """Whether the text is a resident identity number: province, date of birth and check (GB 11643-1999).

    Only the first two digits of the division are tested: merged counties stay valid inside a number.
    """
    if not re.fullmatch(_RESIDENT, value):
        return False
    year, month, day = int(value[6:10]), int(value[10:12]), int(value[12:14])
    if (month, day) == (2, 29) and not _is_leap(year):
        return False
    return resident_id_check(value[:17]) == value[17]


def resident_id_check(body: str) -> str:
    """The 18th character of the identity number whose first 17 digits are ``body`` (ISO 7064 MOD 11-2)."""
    return _RESIDENT_CHECKS[sum(int(c) * w for c, w in zip(body, _RESIDENT_WEIGHTS, strict=True)) % 11]


def birth_date(resident_id: str) -> date | None:
    """Date of birth in a valid identity number, None where the number is not valid."""
    if not is_resident_id(resident_id):
        return None
    return date(int(resident_id[6:10]), int(resident_id[10:12]), int(resident_id[12:14]))


def is_division_code(value: str) -> bool:
    """Whether the text has the form of a division code: six digits (GB/T 2260), nine or twelve with street and village.

    Form only: which divisions exist is a table of regions, not arithmetic.
    """
    return re.fullmatch(_DIVISION, value) is not None


def certificate_id_check(body: str) -> str:
    """The check character of a certificate identifier (GB/T 36904-2018; ISO 7064 MOD 37,36, GB/T 17710).

    Args:
        body: Type code, issuer code, serial and version, with or without the OID and the dots between them.

    Raises:
        ValueError: A character outside ``0-9A-Z``.
    """
    product = 36
    for character in body.removeprefix(_OID).replace(".", ""):
        total = (product + _ALPHANUMERIC.index(character)) % 36 or 36
        product = total * 2 % 37
    return _ALPHANUMERIC[(37 - product) % 36]


def is_certificate_id(value: str) -> bool:
    """Whether the text is a certificate identifier with a right check character (GB/T 36904-2018).

    Advice only, never a reason to refuse: one published example does not fit the rule.
    """
    body, _, check = value.rpartition(".")
    form = re.fullmatch(r"1\.2\.156\.3005\.2\.[0-9A-Z]+\.[0-9A-Z]+\.[0-9A-Z]+\.[0-9A-Z]{3}", body)
    return form is not None and check == certificate_id_check(body)


def normalise(value: str) -> str:
    """An identifier in the one form in which it is digested: half-width, no blanks around it, upper case (ASCII)."""
    return value.translate(_NORMAL).strip(_BLANKS)


def digest(key: bytes, value: str) -> str:
    """HMAC-SHA256 of the normalised value, in hex: equal values can be joined without being known."""
    return hmac.new(key, normalise(value).encode(), hashlib.sha256).hexdigest()


def mask_name(value: str) -> str:
    """A name with only its first and, from three characters on, its last character shown."""
    return _mask(value, [(3, 1, 1), (2, 1, 0)])


def mask_identifier(value: str) -> str:
    """An identifier with three characters before and two after shown; fewer where it is short."""
    return _mask(value, [(15, 3, 2), (8, 1, 1)])


def mask_phone(value: str) -> str:
    """A phone number with its first three and last four characters shown; fewer where it is short."""
    return _mask(value, [(11, 3, 4), (7, 0, 2)])


def mask_text(value: str) -> str:
    """Free text in which phone numbers, identifiers and digit runs of seven or more are replaced by ``***``."""
    return re.sub(_IN_TEXT, _IN_TEXT_MASK, value)


def mask_people(value: str) -> str:
    """A number of something (a letter, a deed) in which nothing but numbers that surely are a person's is replaced: its own long numbers stay."""
    return re.sub(_OF_PEOPLE, _IN_TEXT_MASK, value)


def mask_values(value: Any) -> Any:
    """A value of JSON with :func:`mask_text` over all its texts, names of fields and numbers; its form stays."""
    match value:
        case str():
            return mask_text(value)
        case dict():
            return {mask_text(str(name)): mask_values(each) for name, each in value.items()}
        case list():
            return [mask_values(each) for each in value]
        case int() | float() if not isinstance(value, bool) and mask_text(str(value)) != str(value):
            return _IN_TEXT_MASK
        case _:
            return value


def sql_is_credit_code(column: str) -> str:
    """:func:`is_credit_code` as a DuckDB expression."""
    terms = " + ".join(
        f"(strpos('{_CREDIT_ALPHABET}', substr({column}, {i + 1}, 1)) - 1) * {w}" for i, w in enumerate(_CREDIT_WEIGHTS)
    )
    check = f"(strpos('{_CREDIT_ALPHABET}', substr({column}, 18, 1)) - 1)"
    # CASE so that the arithmetic runs only over what has the form.
    return f"(CASE WHEN regexp_full_match({column}, '{_CREDIT}') THEN ({terms} + {check}) % 31 = 0 ELSE {_false(column)} END)"


def sql_is_resident_id(column: str) -> str:
    """:func:`is_resident_id` as a DuckDB expression."""
    # Digits come out of two 32-bit numbers: six times faster than one of 64 bits, or than a substr() each.
    halves = [(f"CAST(substr({column}, 1, 9) AS INTEGER)", 9, 0), (f"CAST(substr({column}, 10, 8) AS INTEGER)", 8, 9)]
    terms = " + ".join(
        f"({half} // {10 ** (size - 1 - i)} % 10) * {_RESIDENT_WEIGHTS[start + i]}"
        for half, size, start in halves
        for i in range(size)
    )
    check = f"CASE WHEN substr({column}, 18, 1) = 'X' THEN 10 ELSE CAST(substr({column}, 18, 1) AS INTEGER) END"
    year = f"CAST(substr({column}, 7, 4) AS INTEGER)"
    leap = f"(substr({column}, 11, 4) <> '0229' OR ({year} % 4 = 0 AND ({year} % 100 <> 0 OR {year} % 400 = 0)))"
    arithmetic = f"{leap} AND ({terms} + {check}) % 11 = 1"
    return f"(CASE WHEN regexp_full_match({column}, '{_RESIDENT}') THEN {arithmetic} ELSE {_false(column)} END)"


def sql_is_division_code(column: str) -> str:
    """:func:`is_division_code` as a DuckDB expression."""
    return f"regexp_full_match({column}, '{_DIVISION}')"


def sql_normalise(column: str) -> str:
    """:func:`normalise` as a DuckDB expression."""
    blanks = " || ".join(f"chr({ord(c)})" for c in _BLANKS)
    ascii_blanks = " || ".join(f"chr({ord(c)})" for c in _BLANKS if c.isascii())
    wide, narrow = (text.replace("'", "''") for text in (_WIDE, _NARROW))
    # translate() builds its table anew for each row, so plain ASCII, nearly all of it, goes round it.
    return (
        f"(CASE WHEN strlen({column}) = length({column}) THEN upper(trim({column}, {ascii_blanks})) "
        f"ELSE trim(translate({column}, '{wide}', '{narrow}'), {blanks}) END)"
    )


def sql_digest(column: str) -> str:
    """:func:`digest` as a DuckDB expression, on a connection prepared by :func:`set_digest_key`.

    The statement names two session variables, never the key; without them it fails instead of giving null.
    """
    inner, outer = (
        f"coalesce(getvariable('{name}')::BLOB, error('set_digest_key')::VARCHAR::BLOB)" for name in ("digest_inner", "digest_outer")
    )
    return f"sha256({outer} || unhex(sha256({inner} || encode({sql_normalise(column)}))))"


def set_digest_key(connection: _Connection, key: bytes) -> None:
    """Give a DuckDB connection the key of :func:`sql_digest`; each cursor of it needs the call anew."""
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    connection.execute("SET VARIABLE digest_inner = $1::BLOB", [bytes(b ^ 0x36 for b in block)])
    connection.execute("SET VARIABLE digest_outer = $1::BLOB", [bytes(b ^ 0x5C for b in block)])


def sql_mask_name(column: str) -> str:
    """:func:`mask_name` as a DuckDB expression."""
    return _sql_mask(column, [(3, 1, 1), (2, 1, 0)])


def sql_mask_identifier(column: str) -> str:
    """:func:`mask_identifier` as a DuckDB expression."""
    return _sql_mask(column, [(15, 3, 2), (8, 1, 1)])


def sql_mask_phone(column: str) -> str:
    """:func:`mask_phone` as a DuckDB expression."""
    return _sql_mask(column, [(11, 3, 4), (7, 0, 2)])


def sql_mask_text(column: str) -> str:
    """:func:`mask_text` as a DuckDB expression."""
    return f"regexp_replace({column}, '{_IN_TEXT}', '{_IN_TEXT_MASK}', 'g')"


def _mask(value: str, steps: list[tuple[int, int, int]]) -> str:
    for least, before, after in steps:
        if len(value) >= least:
            return value[:before] + "*" * (len(value) - before - after) + value[len(value) - after :]
    return "*" * len(value)


def _sql_mask(column: str, steps: list[tuple[int, int, int]]) -> str:
    cases = " ".join(
        f"WHEN length({column}) >= {least} THEN left({column}, {before}) "
        f"|| repeat('*', length({column}) - {before + after}) || right({column}, {after})"
        for least, before, after in steps
    )
    return f"(CASE {cases} ELSE repeat('*', length({column})) END)"


def _false(column: str) -> str:
    return f"CASE WHEN {column} IS NOT NULL THEN false END"


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
