"""Values of rows that are set aside, as they may be published.

The columns of a bad row may have slipped: any field may hold somebody's name, address or number, so that a
value is judged by what it looks like and not by its field alone. Text beyond ASCII shows its first character;
numbers of people and sentences show nothing; days, codes and small numbers stay readable.
Every function takes an SQL expression of text and returns one; a null stays null.
"""

from models.domain.contracts import Personal
from models.domain.identifiers import (
    sql_is_resident_id,
    sql_mask_identifier,
    sql_mask_name,
    sql_mask_phone,
    sql_mask_text,
)

_NOTHING = "'***'"
# Phones and identity numbers, one digit short ones too, that stand between characters that are no digits.
_PHONE = "1[3-9][0-9]-?[0-9]{4}-?[0-9]{4}|0[0-9]{2,3}-[0-9]{7,8}"
_SOMEBODYS = f"{_PHONE}|[0-9]{{15}}|[0-9]{{16,17}}[0-9Xx]"
_BORN = "(19|20[01])[0-9]{1,2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
_SURELY_SOMEBODYS = f"{_PHONE}|[1-8][0-9]{{5}}{_BORN}[0-9]{{3}}[0-9Xx]"
_SHORT = "[0-9]{1,6}|(19|20)[0-9]{6}([0-9]{6})?"
_DATED = "[0-9]{4}[-/.年][0-9]{1,2}([-/.月][-/.:+TZ 0-9年月日时分秒]{0,30})?"


def masked_personal(text: str, kind: Personal) -> str:
    """The value of a personal field."""
    if kind is Personal.TEXT:
        return f"(CASE WHEN {text} IS NOT NULL THEN {_NOTHING} END)"
    if kind is Personal.PHONE:  # shows seven characters, too many of anything but a phone
        shape = f"regexp_full_match({text}, '[-+() 0-9]{{1,14}}')"
        return f"(CASE WHEN {shape} THEN {sql_mask_phone(text)} WHEN {_is_foreign(text)} THEN {_initial(text)} ELSE {sql_mask_identifier(text)} END)"
    return sql_mask_name(text) if kind is Personal.NAME else sql_mask_identifier(text)


def masked_typed(text: str) -> str:
    """The value of a field that should be a day, a number or a flag."""
    dated = f"regexp_full_match({text}, '{_DATED}') AND {sql_mask_text(text)} = {text}"
    return f"(CASE WHEN regexp_full_match({text}, '{_SHORT}') OR {dated} THEN {text} ELSE {masked_text(text)} END)"


def masked_text(text: str) -> str:
    """The value of a field that holds words."""
    return f"(CASE WHEN {_is_foreign(text)} THEN {_initial(text)} ELSE {sql_mask_text(text)} END)"


def masked_code(text: str) -> str:
    """The value of a field that holds a code: its long numbers stay unless they have the form of a person's."""
    return f"(CASE WHEN regexp_full_match({text}, '[!-?A-~]+') THEN {_without(text, _SOMEBODYS)} ELSE {masked_text(text)} END)"


def masked_key(text: str) -> str:
    """A value of a key, by which people find the record: hidden only where it surely is somebody's."""
    certain = f"WHEN {sql_is_resident_id(f'upper({text})')} THEN {_NOTHING}"
    plain = f"WHEN regexp_full_match({text}, '[!-?A-~]+') THEN {_without(text, _SURELY_SOMEBODYS)}"
    return f"(CASE {certain} {plain} ELSE {masked_text(text)} END)"


def shown(text: str) -> str:
    """A value that could not be typed, as a message may show it: as :func:`masked_typed`, at most 40 characters."""
    return f"left({masked_typed(text)}, 40)"


def _is_foreign(text: str) -> str:
    """Beyond ASCII: names, addresses, sentences; mail addresses too."""
    return f"regexp_matches({text}, '[^\\x00-\\x3F\\x41-\\x7F]')"


def _initial(text: str) -> str:
    return f"left({text}, 1) || {_NOTHING}"


def _without(text: str, numbers: str) -> str:
    once = f"regexp_replace({text}, '(^|[^0-9])({numbers})($|[^0-9])', '\\1***\\{_groups(numbers) + 3}', 'g')"
    # Twice: two numbers may share the character between them.
    return f"regexp_replace({once}, '(^|[^0-9])({numbers})($|[^0-9])', '\\1***\\{_groups(numbers) + 3}', 'g')"


def _groups(pattern: str) -> int:
    return pattern.count("(")
