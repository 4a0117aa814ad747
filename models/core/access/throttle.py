"""The lock after failed attempts to come in, by account and by address; kept in the store, so that it holds for all processes."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.work.service import Work
from models.domain.settings import Settings
from models.store.operational.tables import Attempts

_FORGET = timedelta(hours=24)
_LONGEST = timedelta(hours=1)


def locked_until(session: Session, names: Sequence[str], at: datetime) -> datetime | None:
    """Until when nobody is let in under one of the names; None where they may try. One query by key."""
    query = sa.select(sa.func.max(Attempts.locked_until)).where(Attempts.name.in_(names), Attempts.locked_until > at)
    return session.scalar(query)


def lock_after(failures: int, allowed: int) -> timedelta | None:
    """For how long so many failures in a row lock: half a minute from the last one allowed on, each further one twice as long, up to an hour."""
    over = failures - allowed
    return None if over < 0 else min(timedelta(seconds=30) * 2 ** min(over, 10), _LONGEST)


def failed(now: Work, settings: Settings, names: Sequence[str]) -> datetime | None:
    """An attempt failed under these names.

    The fifth failure (``login_failures``) locks for half a minute, each further one for twice as long, up to an hour.

    Returns:
        Until when the names are locked, None where they are not yet.
    """
    found = {row.name: row for row in now.session.scalars(sa.select(Attempts).where(Attempts.name.in_(names)).order_by(Attempts.name).with_for_update())}
    latest = None
    for name in names:
        row = found.get(name)
        if row is None:
            row = Attempts(name=name, failures=0, locked_until=None, updated_at=now.at)
            now.session.add(row)
        if now.at - row.updated_at > _FORGET:
            row.failures = 0
        row.failures, row.updated_at = row.failures + 1, now.at
        if (lock := lock_after(row.failures, settings.login_failures)) is not None:
            row.locked_until = now.at + lock
            latest = max(latest or row.locked_until, row.locked_until)
    now.session.flush()
    return latest


def succeeded(now: Work, names: Sequence[str]) -> None:
    """Somebody was let in: failures under these names are forgotten."""
    now.session.execute(sa.delete(Attempts).where(Attempts.name.in_(names)))
