"""What an alert says.

What does not belong here: free text of errors. It may quote the data, so an alert carries codes and names only.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["run_failed", "check_failed", "source_stale", "recovered"]
TITLES: Mapping[Kind, str] = {"run_failed": "运行失败", "check_failed": "严重检查未通过", "source_stale": "数据源未按时更新", "recovered": "已恢复"}


@dataclass(frozen=True)
class Event:
    """One alert.

    Attributes:
        id: UUIDv7; the same in every delivery of the event, so that a receiver can leave repeats out.
        kind: What happened.
        about: What it happened to: ``run``, or ``<source>/<subject>``; a ``recovered`` names the same.
        at: When it was noticed.
        sentence: One sentence for people, in Chinese.
        run_id: Run in which it was noticed, None where no run had begun.
        as_of: Instant on which that run stands, None where it is not known.
        code: Code of the error (``YW-…``), None where there is none.
    """

    id: str
    kind: Kind
    about: str
    at: datetime
    sentence: str
    run_id: str | None = None
    as_of: datetime | None = None
    code: str | None = None

    def payload(self) -> dict[str, Any]:
        """The event as JSON values: instants in UTC, ISO 8601."""
        values = asdict(self) | {"title": TITLES[self.kind]}
        return {name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
