"""Reading the audit; who reads is written down, too."""

from datetime import UTC, datetime

import sqlalchemy as sa

from models.core.work.service import Work
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import Audit


def listed(
    now: Work, paging: Paging, *, actor: str | None = None, target: str | None = None, action: str | None = None, since: datetime | None = None,
    until: datetime | None = None,
) -> Page[Audit]:  # fmt: skip
    """Rows of the audit, the newest first; instants without a zone are UTC."""
    query = sa.select(Audit)
    for column, value in ((Audit.actor, actor), (Audit.target, target), (Audit.action, action)):
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(Audit.at >= _aware(since))
    if until is not None:
        query = query.where(Audit.at <= _aware(until))
    found = page(now.session, query, [Audit.position], paging, is_descending=True)
    now.record("audit.read", "audit", asked={"actor": actor, "target": target, "action": action}, rows=len(found.items))
    return found


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
