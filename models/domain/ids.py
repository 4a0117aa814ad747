"""Identifiers inside the platform: UUIDv7, which sort by time."""

import os
from datetime import UTC, datetime
from uuid import UUID


def uuid7(at: datetime) -> UUID:
    """A UUIDv7 of an instant (RFC 9562 §5.7); Python has none before 3.14."""
    value = int(at.timestamp() * 1000) << 80 | int.from_bytes(os.urandom(10))
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def instant_of(identifier: UUID) -> datetime:
    """The instant of a UUIDv7, to the millisecond.

    Raises:
        ValueError: It is of another version.
    """
    if identifier.version != 7:
        raise ValueError(f"{identifier} is no UUIDv7")
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
