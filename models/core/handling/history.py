"""What was done to a case, as somebody may see it."""

from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.handling.reach import in_reach
from models.core.policy.service import Access
from models.domain.errors import YiwangError
from models.store.operational.paging import Listing, Page, Paging
from models.store.operational.tables import ApiKey, CaseEvent, CaseFile, Staff

_PARTY = "party"
_EVENTS = Listing(sa.select(CaseEvent).where(CaseEvent.case_id == sa.bindparam("case_id")), [CaseEvent.sequence])


@dataclass(frozen=True)
class Told:
    """An event of a case; fields as :class:`~models.store.operational.tables.CaseEvent`.

    Attributes:
        actor: Who, by identifier; ``party`` where the caller is not to know which.
        actor_name: Name of the person or system; None for parties, and where the caller is not to know it.
    """

    sequence: int
    activity: str
    action: str
    step: str | None
    occurred_at: datetime
    phase_before: str
    phase_after: str
    role: str
    actor: str
    authority: str
    unit_code: str
    reason: str | None
    special_kind: str | None
    has_written_notice: bool | None
    extension_days: int | None
    missing: list[str]
    documents: list[str]
    actor_name: str | None = None


def events(session: Session, access: Access, case_id: UUID, paging: Paging, at: datetime) -> Page[Told]:
    """What was done to a case, in order; a fixed number of queries.

    Raises:
        YiwangError: YW-STORE-011 out of reach.
    """
    if not _reaches(session, access, case_id, at):
        raise YiwangError("YW-STORE-011", what="办件", key=case_id)
    found = _EVENTS.page(session, paging, {"case_id": case_id})
    names = _names(session, {event.actor for event in found.items}) if sees(session, access, case_id, "case.staff", at) else {}
    shows_party = sees(session, access, case_id, "case.applicant", at)
    return Page([_told(event, names, shows_party) for event in found.items], found.next)


def sees(session: Session, access: Access, case_id: UUID, name: str, at: datetime) -> bool:
    """Whether a field (``case.form``) of a case in reach is shown; at most one query."""
    seeing = access.seeing(name)
    return seeing == access or _reaches(session, seeing, case_id, at)


def _reaches(session: Session, access: Access, case_id: UUID, at: datetime) -> bool:
    return session.scalar(_id_in_reach(access), {"case_id": case_id, "at": at}) is not None


@lru_cache(maxsize=512)
def _id_in_reach(access: Access) -> sa.Select[tuple[UUID]]:
    reached = in_reach(access, sa.bindparam("at"), with_parts=True)
    return sa.select(CaseFile.id).where(CaseFile.id == sa.bindparam("case_id"), CaseFile.deleted_at.is_(None), reached)


def _told(event: CaseEvent, names: dict[str, str], shows_party: bool) -> Told:
    columns = {each.name: getattr(event, each.name) for each in fields(Told) if each.name != "actor_name"}
    if not shows_party:
        columns["authority"] = event.authority.partition(f" for {_PARTY}:")[0]
        columns["actor"] = _PARTY if event.actor.startswith(f"{_PARTY}:") else event.actor
    return Told(**columns, actor_name=names.get(event.actor))


def _names(session: Session, actors: set[str]) -> dict[str, str]:
    """Who of the staff and which systems they are; two queries at most."""
    found: dict[str, str] = {}
    for kind, table in (("staff", Staff), ("key", ApiKey)):
        wanted = [UUID(actor.partition(":")[2]) for actor in actors if actor.startswith(f"{kind}:")]
        if wanted:
            found |= {f"{kind}:{row.id}": row.name for row in session.execute(sa.select(table.id, table.name).where(table.id.in_(wanted)))}
    return found
