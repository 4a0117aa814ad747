"""The days that a package is about."""

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta

from models.domain.errors import YiwangError

_MONTH = re.compile(r"(\d{4})-(\d{2})")
_DAYS = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.\.(\d{4}-\d{2}-\d{2}))?")


@dataclass(frozen=True)
class Period:
    """Days from the first to the last, both included."""

    first: date
    last: date

    @classmethod
    def parse(cls, text: str) -> "Period":
        """A period as people type it: ``2026-06``, ``2026-06-15`` or ``2026-06-01..2026-06-15``.

        Raises:
            YiwangError: YW-REPORT-002.
        """
        try:
            if month := _MONTH.fullmatch(text):
                year, number = int(month[1]), int(month[2])
                return cls(date(year, number, 1), date(year, number, calendar.monthrange(year, number)[1]))
            if days := _DAYS.fullmatch(text):
                period = cls(date.fromisoformat(days[1]), date.fromisoformat(days[2] or days[1]))
                if period.first <= period.last:
                    return period
        except (ValueError, IndexError):  # no such month or day
            pass
        raise YiwangError("YW-REPORT-002", period=text, detail="应写成 2026-06、2026-06-15 或 2026-06-01..2026-06-15，起日不晚于止日")

    def __str__(self) -> str:
        if self.first.day == 1 and (self.last + timedelta(days=1)).day == 1 and (self.first.year, self.first.month) == (self.last.year, self.last.month):
            return f"{self.first:%Y-%m}"
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"
