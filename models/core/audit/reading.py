"""Reading the audit; who reads is written down, too. A row that somebody spoilt is told as such and hides no other."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from models.core.audit.rows import Spoilt, readable
from models.core.work.service import Work
from models.domain.documents import checked
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import Audit

_COLUMNS = (Audit.position, Audit.at, Audit.actor, Audit.authority, Audit.action, Audit.target, Audit.detail, Audit.chain_number)
_SOME_TIME = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
"""Instants that any zone can show."""


@dataclass(frozen=True)
class Entry:
    """A row of the audit as people read it.

    Attributes:
        position: Its place.
        at: When; None where the row cannot be read, and all else is empty.
        actor: Who.
        authority: On whose authority.
        action: What.
        target: To what.
        detail: More of it.
        chain_number: Its place in the chain; None before it is sealed.
        is_readable: False where somebody spoilt it: ``yiwang audit verify`` says how.
    """

    position: int
    at: datetime | None = None
    actor: str = ""
    authority: str = ""
    action: str = ""
    target: str = ""
    detail: dict[str, Any] | None = None
    chain_number: int | None = None
    is_readable: bool = False


def listed(
    now: Work, paging: Paging, *, actor: str | None = None, target: str | None = None, action: str | None = None, since: datetime | None = None,
    until: datetime | None = None,
) -> Page[Entry]:  # fmt: skip
    """Rows of the audit, the newest first; instants without a zone are UTC. Two queries, and one a row on a page with a spoilt one."""
    query = sa.select(Audit.position)
    for column, value in ((Audit.actor, actor), (Audit.target, target), (Audit.action, action)):
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(Audit.at >= _aware(since))
    if until is not None:
        query = query.where(Audit.at <= _aware(until))
    found = page(now.session, query, [Audit.position], paging, is_descending=True, place=lambda position: [position])
    these = sa.select(Audit.position).where(Audit.position.in_(found.items)).order_by(Audit.position.desc())
    items = [_entry(row) for row in readable(now.session, _COLUMNS, [Audit.position], these)]
    now.record("audit.read", "audit", asked={"actor": actor, "target": target, "action": action}, rows=len(items))
    return Page(items, found.next)


def _entry(row: Any) -> Entry:
    if isinstance(row, Spoilt):
        return Entry(row.keys[0])
    try:
        texts = all(isinstance(value, str) for value in (row.actor, row.authority, row.action, row.target))
        is_whole = texts and _SOME_TIME[0] <= row.at < _SOME_TIME[1] and (row.chain_number is None or isinstance(row.chain_number, int)) and isinstance(row.detail, dict)
        detail = checked(row.detail) if is_whole else None
    except (TypeError, ValueError, RecursionError):
        return Entry(row.position)
    return Entry(row.position, row.at, row.actor, row.authority, row.action, row.target, detail, row.chain_number, is_readable=True) if is_whole else Entry(row.position)


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
