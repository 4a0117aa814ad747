"""The internal processes behind feedback: their limits from the settings, their opening in the platform's own name.

They are cases of kind ``internal``: stored beside the others, never synchronised as 办件, so that they do not change the score that
opened them. Their events are read by the unit that was reviewed: none of them names who spoke.
"""

from collections.abc import Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from models.core.cases.service import act, open_case, publish
from models.core.matters.service import newest_process, next_number
from models.core.processes.definition import Process, Time
from models.core.processes.engine import Command
from models.core.processes.service import shipped
from models.core.work.service import Actor, Work
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.tables import CaseFile, Task

PLATFORM = "system"
"""Who opens and ends internal cases on behalf of people who are not to be known there."""
SUPERIOR = "superior"
"""Part in a process of the unit above the one that it is about."""


def followup_process(now: Work, settings: Settings) -> Process:
    """The process for bad reviews with the limits of the settings; changed limits are a new version, running cases keep theirs."""
    days: Mapping[str, int] = {"verify": settings.review_verify_days, "simple": settings.review_simple_days, "complex": settings.review_complex_days}
    newest = internal_process(now, "review_followup")
    steps = tuple(
        step.model_copy(update={"within": Time(length=days[step.step], unit=settings.review_unit)}) if step.step in days else step for step in newest.steps
    )  # fmt: skip
    if steps == newest.steps:
        return newest
    _publish(now, newest.model_copy(update={"steps": steps, "version": newest.version + 1}))
    return newest_process(now.session, newest.process)


def internal_process(now: Work, code: str) -> Process:
    """The newest version of an internal process: an administrator's own, or the one that ships where the store knows none as new."""
    try:
        known = newest_process(now.session, code)
    except YiwangError:
        known = None
    if known is None or known.version < shipped()[code].version:
        _publish(now, shipped()[code])
        known = newest_process(now.session, code)
    return known


def begin(
    now: Work, process: Process, unit_code: str, prefix: str, action: str, role: str, authority: str, zone: str, *, by: str = PLATFORM,
    superior: str | None = None,
) -> CaseFile:  # fmt: skip
    """Open an internal case for a unit and hand it in.

    Args:
        now: The unit of work.
        process: Its process.
        unit_code: Unit that deals with it.
        prefix: Of its number.
        action: The first action.
        role: Role that takes it.
        authority: On what it rests.
        zone: Zone of days.
        by: Who is named in its events.
        superior: Unit that plays :data:`SUPERIOR`.
    """
    day = f"{now.at.astimezone(ZoneInfo(zone)):%Y%m%d}"  # of the city, as cases have it
    number = f"{prefix}{day}{next_number(now, f'{prefix} {day}'):06d}"
    case = open_case(now, process, number, unit_code, units={SUPERIOR: superior} if superior else None, zone=zone)
    roles = frozenset({role})
    act(replace(now, actor=Actor(by, roles, unit_code, authority)), case.id, Command(action, now.at, roles), zone=zone)
    return case


def exclude(now: Work, case: CaseFile, reason: str, authority: str, zone: str) -> None:
    """End a follow-up wherever it stands: its review is left out of the count. One that is over stays as it is."""
    if now.session.scalar(sa.select(Task.id).where(Task.case_id == case.id, Task.closed_at.is_(None)).limit(1)) is None:
        return
    roles = frozenset({"supervisor"})
    named = replace(now, actor=Actor(PLATFORM, roles, case.unit_code, authority))
    act(named, case.id, Command("exclude", now.at, roles, reason=reason, outcome="unfounded"), zone=zone)


def take_back(now: Work, case: CaseFile, reason: str, zone: str) -> None:
    """End what deals with a complaint at the word of whoever made it, in the platform's name: they are not to be known there.

    Raises:
        YiwangError: YW-CORE-001 where it is over.
    """
    roles = frozenset({"applicant"})
    named = replace(now, actor=Actor(PLATFORM, roles, case.unit_code, "complaint"))
    act(named, case.id, Command("withdraw", now.at, roles, reason=reason), zone=zone)


def _publish(now: Work, wanted: Process) -> None:
    """Of two who publish the first version at once, the second goes on with the first's."""
    try:
        with now.session.begin_nested():
            publish(now, wanted)
            now.session.flush()
    except sa.exc.IntegrityError:
        return
