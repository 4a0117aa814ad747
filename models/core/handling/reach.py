"""Which cases somebody reaches: those of their units, of their own party, and of principals who let them act now."""

from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from models.core.cases.service import CASE, LOCKED_CASE
from models.core.parties.authority import lets
from models.core.policy.service import Access
from models.core.processes.definition import Phase
from models.store.operational.tables import CaseFile, Task


def in_reach(access: Access, at: datetime | sa.BindParameter[Any], *, with_parts: bool = False) -> sa.ColumnElement[bool]:
    """The condition under which a case is reached.

    A draft that a party began is the party's alone until it is handed in. An agent's reach ends with the authorisation.

    Args:
        access: Who asks, and how far their roles reach.
        at: Now, or the parameter that says so: an authorisation may be over.
        with_parts: Also the cases in which the caller's units take part.
    """
    by_work = access.rows(CaseFile.unit_code)
    if with_parts:
        by_work = sa.or_(by_work, sa.exists().where(Task.case_id == CaseFile.id, access.rows(Task.unit_code)))
    is_private = sa.and_(CaseFile.phase == Phase.DRAFT.value, sa.func.coalesce(CaseFile.opened_by, "").startswith("party:"))
    reached = [sa.and_(by_work, sa.not_(is_private))]
    party_id = access.principal.party_id
    if access.is_own and party_id is not None:
        as_agent = sa.and_(CaseFile.agent_id == party_id, lets(party_id, at, CaseFile.applicant_id, CaseFile.matter_code))
        reached += [CaseFile.applicant_id == party_id, as_agent]
    return sa.or_(*reached)


@lru_cache(maxsize=512)
def case_in_reach(access: Access, *, with_parts: bool = False, is_locked: bool = False) -> sa.Select[tuple[CaseFile, str]]:
    """The query of a case that somebody reaches, for :func:`models.core.cases.service.load`; built once for each who asks.

    Args:
        access: Who asks, and how far their roles reach.
        with_parts: Also the cases in which the caller's units take part.
        is_locked: Nobody else may change the case until the transaction ends.
    """
    return (LOCKED_CASE if is_locked else CASE).where(in_reach(access, sa.bindparam("at"), with_parts=with_parts))
