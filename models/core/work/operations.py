"""What interfaces and pages work on: one an application."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

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

    def answer(self) -> None:
        """Ask the store something that costs nothing.

        Raises:
            YiwangError: YW-STORE-008 where it does not answer.
        """
        with self.database.read() as session:
            session.execute(sa.select(sa.literal(1)))
