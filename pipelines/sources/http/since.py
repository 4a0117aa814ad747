"""Instants as a server wants them in its parameters."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(BaseModel):
    """A parameter that takes an instant."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    send: str = Field(min_length=1, description="Parameter that takes the instant.")
    format: str | None = Field(None, description="strftime format (in the source's zone; in UTC where it ends in `Z`), `epoch` or `epoch_ms`; default: ISO 8601 with offset.")
    first: str | None = Field(None, description="What is sent before anything was read; default: nothing.")

    def text(self, instant: datetime, zone: str) -> str | int:
        """The instant as it is sent, never later than it is."""
        if self.format in ("epoch", "epoch_ms"):
            return (instant - EPOCH) // timedelta(**{"seconds" if self.format == "epoch" else "milliseconds": 1})
        if self.format and self.format.endswith("Z"):
            return instant.astimezone(UTC).strftime(self.format)
        local = instant.astimezone(ZoneInfo(zone))
        return local.strftime(self.format) if self.format else local.isoformat(timespec="seconds")


def _short_form(value: Any) -> Any:
    return {"send": value} if isinstance(value, str) else value


AnyInstant = Annotated[Instant, BeforeValidator(_short_form)]


def micros(instant: datetime) -> int:
    """Microseconds since 1970."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def step_back(watermark: int, look_back: str | None) -> datetime:
    """The instant from which to read again: before the watermark by ``look_back``, and by a second at least."""
    back = timedelta(**{_UNITS[look_back[-1]]: int(look_back[:-1])}) if look_back else timedelta()
    try:
        return EPOCH + timedelta(microseconds=watermark) - max(back, timedelta(seconds=1))
    except OverflowError:
        return datetime(1, 1, 2, tzinfo=UTC)
