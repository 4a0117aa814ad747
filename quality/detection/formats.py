"""Texts that are not written as their column is written: other shapes, units among numbers, wrong check digits, impossible days."""

import re
from collections.abc import Callable
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.domain.identifiers import is_credit_code, is_resident_id
from quality.detection.signals import Signal, about_values, nothing
from quality.detection.table import Bools, Column, Floats, Shapes, shape_pattern

FREQUENT = 0.05
"""Share of the rows from which on a shape is one that the column is meant to have."""
STRICT, LOOSE = 0.9, 0.7
"""Share that what is usual must cover for the rest to be slips, and share from which on a column is of a kind at all."""
FIXED = 0.985
"""Share of one length from which on a column's texts have that length."""
KNOWN = {"电子邮箱": r"^[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+$", "网址": r"^(?i:https?|ftp)://\S+$"}
"""Kinds of text whose shapes vary as they like: name → expression."""
MOMENT = r"^\s*\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?|^\s*\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})\b|^\s*(?:19|20)\d{6}\s*$|\b\d{1,2}:\d{2}"
"""Where days and times of the day begin, in whatever order."""
INVISIBLE = "[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]"
"""Soft hyphen, space of no width, marks of direction, joiner of words, mark of byte order; not the joiners that some scripts need."""
FEW = 3
"""Frequent shapes that a column with a format has at most."""
_AFFIXED = r"^[^\d\s+\-.]{0,3}\s*[+-]?\d[\d,]*(?:\.\d+)?(?:[eE]-?\d+)?\s*[^\d\s.,:/\-][^\d]*$|^[$¥￥€£]\s*\d[\d,]*(?:\.\d+)?$"
_NUMBER_INSIDE = r"[+-]?\d[\d,]*(?:\.\d+)?(?:[eE]-?\d+)?"
_DAY = r"^(?:\D*)(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:\D.*)?$"


def units(number: int, column: Column) -> list[Signal]:
    """Numbers with a unit or sign written beside them, where others stand alone or the unit is spelled in several ways.

    A column of numbers whose unit is spelled alike throughout is consistent, and left alone; spelled in several ways, no cell can
    be compared with another before its unit is taken off.
    """
    values = pc.utf8_trim_whitespace(column.values)
    affixed = np.asarray(pc.match_substring_regex(values, _AFFIXED).to_numpy(zero_copy_only=False)) & ~column.is_null & np.isnan(column.numbers)
    plain, with_unit = column.number_share, column.share(affixed)
    if not with_unit or plain + with_unit < STRICT or _is_code(column):
        return []
    affix = pc.replace_substring_regex(values, _NUMBER_INSIDE, "#")
    if plain >= with_unit:
        wrong, p = affixed, 0.97
    else:
        encoded = pc.dictionary_encode(affix)
        spelling = encoded.indices.to_numpy(zero_copy_only=False)
        rows = np.bincount(spelling, np.where(affixed, column.counts, 0))
        usual = rows.max() / max(column.filled, 1)
        spelled_alike = usual >= STRICT
        # several units (kg, cm) are not several spellings of one: then most first letters differ too
        heads = pc.utf8_lower(pc.utf8_slice_codeunits(pc.replace_substring_regex(encoded.dictionary, r"^[#\s]*", ""), 0, 1))
        frequent = rows >= rows.max() * FREQUENT
        one_unit = len(set(np.asarray(heads)[frequent].tolist())) == 1
        if not spelled_alike and not one_unit:
            return []
        wrong, p = (affixed & (spelling != rows.argmax()), 0.95) if spelled_alike else (affixed, 0.9)
    found = np.where(wrong, p, 0.0)
    inside = re.compile(_NUMBER_INSIDE)
    whole = np.asarray(pc.match_substring_regex(values, r"^[+-]?\d[\d,]*(\.0+)?$").to_numpy(zero_copy_only=False)) & ~column.is_null
    with_zeros = np.asarray(pc.match_substring_regex(values, r"\.0+$").to_numpy(zero_copy_only=False)) & whole
    keeps_zeros = column.share(with_zeros) > column.share(whole) / 2 > 0  # 12.0, as the plain numbers of the column are written

    def number_of(value: int) -> str:
        match = inside.search(column.text(value))
        return "" if not match else match[0] if keeps_zeros else re.sub(r"\.0+$", "", match[0])

    return [about_values(number, column, "unit", found, lambda text: f"“{text}”把单位或符号写进了数字，与本列其他写法不一致", number_of)]


def not_numbers(number: int, column: Column) -> list[Signal]:
    """Texts in a column of numbers."""
    if not STRICT <= column.number_share < 1 or _is_code(column):
        return []
    found = np.where(np.isnan(column.numbers) & ~column.is_null, 0.95, 0.0)
    return [about_values(number, column, "format", found, lambda text: f"本列都是数字，“{text}”不是数字")]


def shapes(number: int, column: Column) -> list[Signal]:
    """Texts of a rare shape in a column that has a format."""
    usual = _moments(column) or dominant(column)
    if usual is None or any(column.share(_matches(column, pattern)) >= STRICT for pattern in KNOWN.values()):
        return []
    level, frequent, cover = usual
    weight = np.where(frequent | (level.counts == 0), 0.0, 0.97 if cover >= STRICT else 0.9)
    found = np.where(column.is_null, 0.0, np.maximum(weight[level.of_value], _punctuated(column)))
    sample = column.text(int(np.flatnonzero((level.of_value == int(level.counts.argmax())) & ~column.is_null)[0]))
    return [about_values(number, column, "format", found, lambda text: f"“{text}”的写法少见，本列通常写成“{sample}”这样", lambda value: repaired(column, level, value))]


def dominant(column: Column) -> tuple[Shapes, Bools, float] | None:
    """The format of a column: exact shapes where few cover nearly all, else wide ones; None where it has none.

    Prose, names and plain quantities have none: their shapes vary as they like.

    Returns:
        The shapes, those that are the format, and the share of the filled rows that they cover.
    """
    if column.filled < 20 or (column.number_share >= LOOSE and not _is_code(column)):
        return None
    for level in (column.shapes, column.wide_shapes) if _has_width(column) else (column.wide_shapes,):
        share = level.counts / column.filled
        # a shape is rare only where so few rows of it would be unlikely had it the share of a frequent one
        frequent = share + 1.64 * np.sqrt(share / column.filled) >= FREQUENT
        cover = float(share[frequent].sum())
        names = [level.names[at] for at in np.flatnonzero(frequent)]
        if not 0 < len(names) <= FEW or cover < STRICT or not all(map(_structured, names)):
            continue
        # lengths of runs that vary among the frequent shapes (7:10 and 10:40) say nothing among the rare ones
        if level is column.shapes and len({_wide(name) for name in names}) < len(names):
            continue
        return level, frequent, cover
    return None


def _punctuated(column: Column) -> Floats:
    """Probability of texts that have the letters and digits of the usual shape but other marks between: 4416668 for 441-6668."""
    shapes, bare = column.shapes, [re.sub(r"(?<=\w)[-\s./:_]+(?=\w)|[()]", "", name) for name in column.shapes.names]
    if column.number_share >= LOOSE and not _is_code(column):  # points and signs of quantities mean something
        return np.zeros(len(column.values))
    usual = int(shapes.counts.argmax())
    if "9" not in bare[usual] or shapes.counts[usual] < LOOSE * column.filled:
        return np.zeros(len(column.values))
    other = np.array([name == bare[usual] and at != usual and shapes.counts[at] > 0 for at, name in enumerate(bare)])
    return np.where(other, 0.9, 0.0)[shapes.of_value]


def known_kinds(number: int, column: Column) -> list[Signal]:
    """Texts that are no address, in a column of mail or web addresses."""
    for name, pattern in KNOWN.items():
        right = _matches(column, pattern)
        if column.share(right) >= STRICT:
            found = np.where(right | column.is_null, 0.0, 0.95)
            return [about_values(number, column, "format", found, lambda text, name=name: f"本列都是{name}，“{text}”不是")]  # type: ignore[misc]
    return []


def _moments(column: Column) -> tuple[Shapes, Bools, float] | None:
    """In a column of days or times, the one way in which most are written; every other way is a slip, however frequent."""
    if column.filled < 20 or column.number_share >= LOOSE:
        return None
    level = column.wide_shapes
    cover = float(level.counts.max()) / column.filled
    if column.share(_matches(column, MOMENT)) < STRICT or not 0.6 <= cover < 1:
        return None
    return level, level.counts == level.counts.max(), cover


def repaired(column: Column, level: Shapes, value: int) -> str:
    """The part of a text that is written like the column's most frequent shape; empty where it has none."""
    match = re.search(rf"(?<![0-9]){shape_pattern_plain(level.names[int(level.counts.argmax())])}", column.text(value))
    return match[0] if match else ""


def shape_pattern_plain(shape: str) -> str:
    """As :func:`shape_pattern`, for Python's expressions, which know no classes of Unicode."""
    return shape_pattern(shape).replace(r"\p{Lu}", "[A-Z]").replace(r"\p{Ll}", "[a-z]").replace(r"\p{Lo}", "[^\\W\\d_a-zA-Z]")


def strange_characters(number: int, column: Column) -> list[Signal]:
    """Characters of a class that a column of names or words does not have: digits, controls, replacement marks, stray spaces."""
    values = column.values
    found = np.zeros(len(values))
    for pattern, p, free in (
        (r"[\x00-\x08\x0b-\x1f\x7f]|�|Ã.|锟斤拷", 0.95, 1.0), (r"^\s+|\s+$", 0.9, 0.05), (r"\S\s{2,}\S", 0.8, 0.02), (r"[0-9]", 0.8, 0.01),
        (r"[^\p{L}\p{N}\p{M}\p{Z}\p{P}]", 0.75, 0.005), (r"[！-～　]", 0.6, 0.02), (r"[*#@_=+<>{}|~^\\$%\[\]]", 0.8, 0.02),
    ):  # fmt: skip
        marked = np.asarray(pc.match_substring_regex(values, pattern).to_numpy(zero_copy_only=False)) & ~column.is_null
        if 0 < column.share(marked) <= free and (pattern != "[0-9]" or _is_words(column)):
            found = np.maximum(found, np.where(marked, p, 0.0))
    tidy = re.compile(r"\s+")
    return [
        about_values(
            number, column, "format", found, lambda text: f"“{text}”含有本列其他值没有的字符或多余的空格",
            lambda value: tidy.sub(" ", column.text(value)).strip(),
        )
    ]  # fmt: skip


def invisible_characters(number: int, column: Column) -> list[Signal]:
    """Characters of no width, where most texts have none: the text looks like another and equals none."""
    marked = _matches(column, INVISIBLE)
    if column.share(marked) > 0.5:
        return []
    unseen = re.compile(INVISIBLE)
    return [
        about_values(
            number, column, "format", np.where(marked, 0.99, 0.0),
            lambda text: f"“{text}”含有看不见的字符（{'、'.join(f'U+{ord(one):04X}' for one in dict.fromkeys(unseen.findall(text)))}）",
            lambda value: unseen.sub("", column.text(value)).strip(),
        )
    ]  # fmt: skip


def check_digits(number: int, column: Column) -> list[Signal]:
    """Identifiers whose check digit is wrong, in a column nearly all of whose texts have a right one."""
    for name, right in (("居民身份证号码", is_resident_id), ("统一社会信用代码", is_credit_code)):
        length = pc.utf8_length(pc.utf8_trim_whitespace(column.values)).to_numpy(zero_copy_only=False)
        if column.share(length == 18) < LOOSE:
            return []
        passes = _passes(column, right)
        if column.share(passes) >= LOOSE:
            found = np.where(passes | column.is_null, 0.0, 0.97)
            return [about_values(number, column, "check_digit", found, lambda text, name=name: f"“{text}”不是有效的{name}（长度或校验位不符）")]  # type: ignore[misc]
    return []


def impossible_days(number: int, column: Column) -> list[Signal]:
    """Days that no calendar has, in a column of days."""
    parts = pc.extract_regex(column.values, _DAY.replace("(\\d{4})", r"(?P<y>\d{4})").replace("(\\d{1,2})[-/.月]", r"(?P<m>\d{1,2})[-/.月]").replace("(\\d{1,2})日", r"(?P<d>\d{1,2})日"))
    is_day = np.asarray(pc.is_valid(parts).to_numpy(zero_copy_only=False)) & ~column.is_null
    if column.share(is_day) < LOOSE:
        return []
    years, months, days = (np.nan_to_num(pc.cast(pc.struct_field(parts, [i]), pa.float64()).to_numpy(zero_copy_only=False)).astype(int) for i in range(3))
    wrong = np.zeros(len(column.values), dtype=bool)
    odd = is_day & ((months < 1) | (months > 12) | (days < 1) | (days > 28) | (years < 1))
    for value in np.flatnonzero(odd):
        try:
            date(int(years[value]), int(months[value]), int(days[value]))
        except ValueError:
            wrong[value] = True
    return [about_values(number, column, "format", np.where(wrong, 0.97, 0.0), lambda text: f"“{text}”不是日历上有的日期", nothing)]


def _passes(column: Column, right: Callable[[str], bool]) -> Bools:
    return np.array([right(text.strip()) for text in column.values.to_pylist()], dtype=bool)


def _is_code(column: Column) -> bool:
    """Digits that count nothing: leading zeros, or one length of eleven digits and more."""
    return column.share(_matches(column, r"^0\d+$")) > 0.01 or column.share(_matches(column, r"^\d{11,}[\dXx]?$")) >= LOOSE


def _has_width(column: Column) -> bool:
    """Texts are filled up to a width: with zeros, or all of one length; a number with a sign or unit is not."""
    if column.share(_matches(column, _AFFIXED)) >= LOOSE and not _is_code(column):
        return False
    if column.share(_matches(column, r"(?:^|\D)0\d")) > 0.01:
        return True
    length = pc.utf8_length(column.values).to_numpy(zero_copy_only=False)
    return bool(np.bincount(length, np.where(column.is_null, 0, column.counts)).max() >= FIXED * column.filled)


def _matches(column: Column, pattern: str) -> Bools:
    return np.asarray(pc.match_substring_regex(column.values, pattern).to_numpy(zero_copy_only=False)) & ~column.is_null


def _wide(shape: str) -> str:
    return re.sub(r"(.)\1+", r"\1", shape)


def _structured(shape: str) -> bool:
    """Has digits, and is no sentence."""
    return "9" in shape and shape.count(" ") <= 2 and shape.count("a ") + shape.count("A ") <= 2


def _is_words(column: Column) -> bool:
    letters = np.asarray(pc.match_substring_regex(column.values, r"^[\p{L}\p{M}\s'’.·,&/()（）-]+$").to_numpy(zero_copy_only=False))
    return column.share(letters) >= 0.98

