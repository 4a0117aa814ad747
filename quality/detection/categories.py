"""Columns of few values: typing slips, values that are no category, values in the wrong column or two in one cell."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow.compute as pc

from quality.detection.signals import Signal, about_values
from quality.detection.table import Bools, Column, Floats, Ints, Table
from quality.detection.views import variants

REPEATED = 0.85
"""Share of the rows whose text is frequent, from which on a column has categories."""
OFTEN, OFTEN_IN_FEW = 10, 5
"""Rows from which on a text is frequent, and how many times as frequent as a slip of it; the second in less than a thousand rows."""
MOST = 20_000
"""Frequent texts against which slips are compared."""
LONGEST = 60
"""Characters beyond which a text is prose."""
_SECOND_LEVEL = 0xD8
"""First byte in GB/T 2312 from which on its characters of the second level stand, by radical."""
SMALL_DOMAIN = 60
"""Categories that a closed list has at most."""


def spelling(number: int, column: Column) -> list[Signal]:
    """Texts that differ from a frequent one in case, width or white space only."""
    found, usual = np.zeros(len(column.values)), {}
    for value, leader in variants(column):
        # variants of one text that are about as frequent are two habits; the frequent one is right where it is usual
        if column.counts[leader] >= 3 * column.counts[value]:
            found[value], usual[value] = 0.85, leader
    return [about_values(number, column, "format", found, lambda text: f"“{text}”与本列常用的写法只差大小写、全半角或空格", lambda value: column.text(usual[value]))]


def typos(number: int, column: Column) -> list[Signal]:
    """Rare texts a letter or two from a frequent one.

    Where frequent texts are such neighbours of each other (numbered streets, codes) nearness says little, unless all that is rare
    is rare as slips are: once or twice, while a long tail of categories has some of every frequency.
    """
    often = OFTEN if column.filled >= 1000 else OFTEN_IN_FEW
    frequent = np.flatnonzero((column.counts >= often) & ~column.is_null)
    if not 0 < len(frequent) <= MOST or not _has_categories(column):
        return []
    words = {column.text(value): int(value) for value in frequent}
    near = _Neighbours([word for word in words if 3 <= len(word) <= LONGEST])
    crowded = sum(any(other != word for other in near.of(word)) for word in near.words) / max(len(near.words), 1)
    rare = np.flatnonzero((column.counts < often) & ~column.is_null)
    tail = min(1.0, 3 * float((column.counts[rare] > 2).mean())) if rare.size else 0.0
    found, meant = np.zeros(len(column.values)), {}
    for value in rare:
        text = column.text(value)
        if not 3 <= len(text) <= LONGEST:
            continue
        # of equally near words the more frequent one is meant; an order of their own, so that runs agree
        for word in sorted(near.of(text), key=lambda word: (-int(column.counts[words[word]]), word)):
            times = column.counts[words[word]] / column.counts[value]
            digits = [c for c in text if c.isdigit()] != [c for c in word if c.isdigit()]
            p = (0.95 if len(text) > 4 else 0.85) * (1 - crowded * tail) * (0.6 if digits and any(c.isdigit() for c in word) else 1)
            if times >= often and p > found[value]:
                found[value], meant[int(value)] = p, words[word]
    return [
        about_values(
            number, column, "typo", found, lambda text: f"“{text}”很少出现，与常见的值只差一两个字", lambda value: column.text(meant[value])
        )
    ]  # fmt: skip


def strangers(number: int, column: Column) -> list[Signal]:
    """Values outside the closed list of categories that a column has: far rarer than its rarest category, with nothing between."""
    counts = np.sort(column.counts[~column.is_null])[::-1]
    if len(counts) < 3 or column.filled < 200 or column.number_share > 0.9:
        return []
    ratio = counts[:-1] / counts[1:]
    at = int(ratio.argmax())
    inside, outside = counts[: at + 1], counts[at + 1 :]
    few = outside.sum() <= 0.03 * column.filled
    if len(inside) > SMALL_DOMAIN or ratio[at] < OFTEN or inside[-1] < 0.01 * column.filled or not few:
        return []
    beyond = (column.counts <= outside[0]) & ~column.is_null
    if outside[0] > 2:  # slips hardly repeat, rare categories do; but they are written in common characters
        known = {character for value in np.flatnonzero((column.counts > outside[0]) & ~column.is_null) for character in column.text(value)}
        uncommon = np.zeros(len(column.values))
        for value in np.flatnonzero(beyond):
            uncommon[value] = 0.8 * any(_is_uncommon(character) and character not in known for character in column.text(value))
        return [about_values(number, column, "domain", uncommon, lambda text: f"“{text}”不在本列的 {len(inside)} 个常用值之中，并含有它们没有的生僻字")]
    found = np.where(beyond, 0.8, 0.0)
    return [about_values(number, column, "domain", found, lambda text: f"“{text}”不在本列的 {len(inside)} 个常用值之中，只出现 {outside[0]} 次以内")]


def _is_uncommon(character: str) -> bool:
    """A Chinese character outside the 3,755 of the first level of GB/T 2312, in which words of administration are written: 囗 for 口."""
    if not "\u4e00" <= character <= "\u9fff":
        return False
    encoded = character.encode("gb2312", errors="ignore")
    return not encoded or encoded[0] >= _SECOND_LEVEL


def merged(table: Table) -> list[Signal]:
    """Cells that hold the value of another column behind their own, while that column is empty: “Bend OR” beside an empty state."""
    domains = [
        {column.text(v) for v in np.flatnonzero((column.counts >= 3) & ~column.is_null)} if _has_categories(column) else set()
        for column in table.columns
    ]  # fmt: skip
    signals: list[Signal] = []
    for number, column in enumerate(table.columns):
        if column.number_share >= 0.5:
            continue
        parts = pc.extract_regex(column.values, r"^(?P<head>.*\S)[\s,;/|，；]+(?P<tail>\S+)$")
        heads, tails = (pc.struct_field(parts, [at]).to_pylist() for at in range(2))
        for other, domain in enumerate(domains):
            if other != number and domain:
                marked = np.array([tail is not None and tail in domain for tail in tails], dtype=bool) & ~column.is_null
                signals += _moved(table, number, other, marked, heads, tails)
    return signals


def _moved(table: Table, number: int, other: int, marked: Bools, heads: Sequence[str], tails: Sequence[str]) -> list[Signal]:
    column, its = table.columns[number], table.columns[other]
    rows, empty = column.rows_of(marked), its.is_null[its.codes]
    both = rows[empty[rows]]
    # by chance the other column would be as empty here as anywhere
    if len(both) < 3 or len(rows) > 0.3 * table.rows or len(both) < 0.5 * len(rows) or empty[rows].mean() < 3 * empty.mean():
        return []
    p, value = np.full(len(both), 0.97), column.codes[both]
    return [
        Signal(number, "swap", both, p, lambda i: f"“{column.text(value[i])}”把“{its.name}”的值也写在了这里", lambda i: heads[value[i]]),
        Signal(other, "missing", both, p, lambda i: f"没有值；它的值写在了“{column.name}”的“{column.text(value[i])}”里", lambda i: tails[value[i]]),
    ]


def swapped(table: Table) -> list[Signal]:
    """Cells whose value is a category of another column and none of their own; surer where the other cell returns the compliment."""
    signals = []
    categories = [_has_categories(column) for column in table.columns]
    for one, first in enumerate(table.columns):
        for other in range(one + 1, len(table.columns)):
            second = table.columns[other]
            if not (categories[one] or categories[other]):
                continue
            here, there = _frequencies(first, second), _frequencies(second, first)
            # a value that is far more at home in the other column
            strange_first = (here >= OFTEN) & (here >= OFTEN * first.counts) & ~first.is_null
            strange_second = (there >= OFTEN) & (there >= OFTEN * second.counts) & ~second.is_null
            a, b = strange_first[first.codes], strange_second[second.codes]
            both = a & b
            for number, column, name, mine in ((one, first, second.name, a), (other, second, first.name, b)):
                rows = np.flatnonzero(mine if categories[number] else both)
                if 0 < len(rows) <= 0.1 * table.rows:
                    p = np.where(both[rows], 0.98, 0.8)
                    opposite = second if number == one else first
                    signals.append(_swap_signal(number, column, opposite, rows, p, name))
    return signals


def _swap_signal(number: int, column: Column, opposite: Column, rows: Ints, p: Floats, name: str) -> Signal:
    return Signal(
        number, "swap", rows, p, lambda i: f"“{column.text(column.codes[rows[i]])}”是“{name}”列的值，可能填错了列",
        lambda i: opposite.text(opposite.codes[rows[i]]) if p[i] > 0.9 else "",
    )  # fmt: skip


def _frequencies(of: Column, among: Column) -> Ints:
    """Rows of the other column that hold each text."""
    at = pc.fill_null(pc.index_in(of.values, among.values), -1).to_numpy(zero_copy_only=False)
    return np.where((at >= 0) & ~among.is_null[at], among.counts[at], 0)


def _has_categories(column: Column) -> bool:
    frequent = (column.counts >= min(OFTEN, max(3, column.filled // 200))) & ~column.is_null
    return column.filled >= 50 and column.share(frequent) >= REPEATED and column.number_share < 0.9


class _Neighbours:
    """Words by what is left of them when a letter, or two of a long one, is struck out: equal remains are near."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self._by_remains: dict[str, list[str]] = {}
        for word in words:
            for remains in _remains(word):
                self._by_remains.setdefault(remains, []).append(word)

    def of(self, text: str) -> Iterator[str]:
        """Words near the text."""
        seen = set()
        for remains in _remains(text):
            for word in self._by_remains.get(remains, ()):
                if word != text and word not in seen:
                    seen.add(word)
                    if _distance(text, word) <= (2 if min(len(text), len(word)) >= 8 else 1):
                        yield word


def _remains(word: str) -> set[str]:
    once = {word} | {word[:i] + word[i + 1 :] for i in range(len(word))}
    if len(word) < 8:
        return once
    return once | {left[:i] + left[i + 1 :] for left in once for i in range(len(left))}


def _distance(one: str, other: str) -> int:
    """Edits from one to the other, neighbours exchanged counting as one."""
    before, line = list(range(len(other) + 1)), list(range(len(other) + 1))
    older = before
    for i, a in enumerate(one, 1):
        older, before, line = before, line, [i] + [0] * len(other)
        for j, b in enumerate(other, 1):
            line[j] = min(before[j] + 1, line[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                line[j] = min(line[j], older[j - 2] + 1)
    return line[-1]


