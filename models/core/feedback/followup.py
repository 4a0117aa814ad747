"""The internal processes behind feedback: their limits from the settings, their opening in the platform's own name.

They are cases of kind ``internal``: stored beside the others, never synchronised as 办件, so that they do not change the score that
opened them.
"""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import sqlalchemy as sa

from models.core.cases.service import act, open_case, publish
from models.core.matters.service import next_number
from models.core.processes.definition import Process, Time
from models.core.processes.engine import Command
from models.core.processes.service import shipped
from models.core.work.service import Actor, Work
from models.domain.settings import Settings
from models.store.operational.tables import CaseFile, ProcessVersion


def followup_process(now: Work, settings: Settings) -> Process:
    """The process for bad reviews with the limits of the settings; changed limits are a new version, running cases keep theirs."""
    days: Mapping[str, int] = {"verify": settings.review_verify_days, "simple": settings.review_simple_days, "complex": settings.review_complex_days}
    base = shipped()["review_followup"]
    steps = tuple(
        step.model_copy(update={"within": Time(length=days[step.step], unit=settings.review_unit)}) if step.step in days else step for step in base.steps
    )  # fmt: skip
    return _published(now, base.model_copy(update={"steps": steps}))


def shipped_process(now: Work, code: str) -> Process:
    """An internal process as it ships, made known to the store where it is not."""
    return _published(now, shipped()[code])


def begin(now: Work, process: Process, unit_code: str, prefix: str, action: str, roles: frozenset[str], authority: str, zone: str) -> CaseFile:
    """Open an internal case for a unit and hand it in.

    Args:
        now: The unit of work.
        process: Its process.
        unit_code: Unit that deals with it.
        prefix: Of its number.
        action: The first action.
        roles: Roles that take it.
        authority: On what it rests.
        zone: Zone of days.
    """
    number = f"{prefix}{now.at:%Y%m%d}{next_number(now, f'{prefix} {now.at:%Y%m%d}'):06d}"
    case = open_case(now, process, number, unit_code, zone=zone)
    named = replace(now, actor=Actor(now.actor.name, roles, unit_code, authority))
    act(named, case.id, Command(action, now.at, roles), zone=zone)
    return case


def conclude(now: Work, case_id: UUID, action: str, role: str, reason: str, outcome: str | None, authority: str, zone: str) -> None:
    """Take an action on an internal case in the platform's own name."""
    named = replace(now, actor=Actor(now.actor.name, frozenset({role}), now.actor.unit_code, authority))
    act(named, case_id, Command(action, now.at, frozenset({role}), reason=reason, outcome=outcome), zone=zone)


def _published(now: Work, wanted: Process) -> Process:
    """The newest version if it is the same, else a new one."""
    query = sa.select(ProcessVersion).where(ProcessVersion.process == wanted.process).order_by(ProcessVersion.number.desc()).limit(1)
    newest = now.session.scalars(query).one_or_none()
    if newest is not None:
        known = wanted.model_copy(update={"version": newest.number})
        if known.model_dump(mode="json") == newest.body:
            return known
        wanted = wanted.model_copy(update={"version": newest.number + 1})
    publish(now, wanted)
    now.session.flush()
    return wanted
