"""Who may do what in one case: roles for the unit whose work it is, the applicant's own, steps that one person may not both do."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.organisation.staff import principal_of
from models.core.parties.authority import standing
from models.core.policy.service import Principal, policy
from models.core.processes.definition import Action, Process
from models.store.operational.tables import ApiKey, CaseEvent, CaseFile, Task

APPLICANT = "applicant"
_WINDOW = "clerk"
"""Role that does at the window what its applicant, who stands there, asks for."""


class Rights:
    """What somebody may do in a case at an instant; two queries at most, and those of the policy for trees.

    Args:
        session: The transaction.
        principal: Who.
        case: The case.
        process: Its process.
        at: When.
    """

    def __init__(self, session: Session, principal: Principal, case: CaseFile, process: Process, at: datetime) -> None:
        self._session, self._principal, self._case, self._process = session, principal, case, process
        is_public = case.kind == "public"  # an internal case has no applicant: who spoke is not to be known there
        self._has_applicant = is_public
        party_id, applicant_id = principal.party_id, case.applicant_id
        self._standing = standing(session, party_id, applicant_id, at) if is_public and party_id and applicant_id and party_id in (applicant_id, case.agent_id) else None
        self._done = self._steps_done() if process.apart else frozenset()
        self._roles: dict[str, frozenset[str]] = {}

    def roles(self, unit_code: str) -> frozenset[str]:
        """Roles held for a unit's work; the applicant's are for who applied, who acts for them, and the window at their request."""
        if unit_code not in self._roles:
            held = policy().roles_in(self._session, self._principal, "case:act", unit_code) - {APPLICANT}
            is_for_applicant = self._has_applicant and (self._standing is not None or _WINDOW in held)
            self._roles[unit_code] = held | {APPLICANT} if is_for_applicant else held
        return self._roles[unit_code]

    def basis(self, action: Action, unit_code: str) -> str | None:
        """On what the right to an action rests, for the record; None where there is none."""
        role, roles, case = self._process.role_of(action), self.roles(unit_code), self._case
        if role != APPLICANT or role not in roles:
            return f"{role}@{unit_code}" if role in roles else None
        own = self._standing.rests_on(case.matter_code or "", action.action, case.is_commitment) if self._standing else None
        if own is not None or _WINDOW not in roles:
            return own
        return f"{_WINDOW}@{unit_code} for party:{case.applicant_id}" if case.applicant_id else f"{_WINDOW}@{unit_code}"

    def barred(self, step: str | None) -> str | None:
        """The step that the same person did and that stands apart from this one (不相容岗位); None where nothing does."""
        others = (other for group in self._process.apart if step in group for other in group)
        return next((other for other in others if other != step and other in self._done), None)

    def _steps_done(self) -> frozenset[str]:
        query = sa.select(CaseEvent.step).where(CaseEvent.case_id == self._case.id, CaseEvent.actor == self._principal.name)
        return frozenset(step for step in self._session.scalars(query) if step is not None)


def is_anothers(session: Session, task: Task, principal: Principal, at: datetime) -> bool:
    """Whether somebody else claimed a task who may still do it: who left, lost the role or whose key ended holds nothing."""
    if task.assignee in (None, principal.name):
        return False
    kind, _, number = (task.assignee or "").partition(":")
    if kind == "key":
        key = session.get(ApiKey, UUID(number))
        return key is not None and key.revoked_at is None and key.expires_at > at
    if kind != "staff":
        return True
    holder = principal_of(session, UUID(number), at)
    return holder is not None and task.role in policy().roles_in(session, holder, "task:claim", task.unit_code)
