"""Texts in files that people open in a spreadsheet."""

import re

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def no_formula(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would take it for a formula and run it; signed numbers stay as they are."""
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
