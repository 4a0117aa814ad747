"""Numbers, shares and days as people read them; a null is a dash and never looks like a zero."""

from datetime import date, datetime

NOTHING = "—"


def count(value: float | None) -> str:
    """A count with separators: 12,345."""
    return NOTHING if value is None else f"{value:,.0f}"


def amount(value: float | None) -> str:
    """A sum that need not be whole: 12,345 or 12.5."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def percent(value: float | None) -> str:
    """A share from 0 to 1: 97.3%. Only what is exactly all or nothing reads 100% or 0%."""
    if value is None:
        return NOTHING
    if value in (0, 1):
        return f"{value:.0%}"
    if 0 < value < 0.0001:
        return "<0.01%"
    if 0.9999 < value < 1:
        return ">99.99%"
    text = f"{value:.1%}"
    return f"{value:.2%}" if text in ("0.0%", "100.0%") else text


def points(value: float | None) -> str:
    """A score from 0 to 100: 87.5; exactly full reads 100."""
    if value is None:
        return NOTHING
    return "100" if value == 100 else f"{min(value, 99.9):.1f}"


def day(value: date | datetime | None) -> str:
    """2026 年 6 月 30 日."""
    return NOTHING if value is None else f"{value.year} 年 {value.month} 月 {value.day} 日"


def month(value: date | None) -> str:
    """2026 年 6 月."""
    return NOTHING if value is None else f"{value.year} 年 {value.month} 月"


def instant(value: datetime | None) -> str:
    """2026 年 6 月 30 日 23:59, in the zone that the value carries."""
    return NOTHING if value is None else f"{day(value)} {value:%H:%M}"


def whole(value: int) -> str:
    """A count in words that fit a headline: 123 万 from a hundred thousand on."""
    return f"{value:,}" if value < 100_000 else f"{value / 10_000:,.1f} 万"
