"""Documents that people hand in as JSON without a form of their own: what of them can be kept and read again by everybody.

What does not belong here: what a document must say.
"""

import math
from typing import Any

DEEPEST = 32
"""Levels of lists and objects within one another: forms of people have few, parsers fall from hundreds on."""


def flaw(document: Any) -> str | None:
    """What is wrong with a value of JSON, for people; None where it can be kept as it is (RFC 7493: whole numbers of 64 bits, text that is Unicode)."""
    waiting: list[tuple[Any, int]] = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        match value:
            case bool() | None:
                pass
            case str() if any("\ud800" <= each <= "\udfff" for each in value):
                return "文字含有不完整的字符"
            case int() if not -(2**63) <= value < 2**63:
                return "整数过大"
            case float() if not math.isfinite(value):
                return "数值须为有限的数"
            case dict() | list() if depth >= DEEPEST:
                return f"层次不能超过 {DEEPEST} 层"
            case dict():
                waiting += [(each, depth + 1) for pair in value.items() for each in pair]
            case list():
                waiting += [(each, depth + 1) for each in value]
    return None


def checked(document: Any) -> Any:
    """The document itself.

    Raises:
        ValueError: It has a :func:`flaw`.
    """
    if (found := flaw(document)) is not None:
        raise ValueError(found)
    return document
