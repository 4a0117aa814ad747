"""What interfaces and pages work on: one an application."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from models.core.crypto.types import CryptoProvider
from models.domain.settings import Settings
from models.store.operational.database import Database


@dataclass(frozen=True)
class Operations:
    """The operational store and what goes with it.

    Attributes:
        settings: Zone, limits.
        database: The store.
        crypto: Encrypts and digests.
        clock: Says what time it is.
    """

    settings: Settings
    database: Database
    crypto: CryptoProvider
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
