"""Versions of processes as the store keeps them: listed, read, published."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.cases.service import publish
from models.core.processes.definition import Process
from models.core.processes.service import ROLES
from models.core.processes.soundness import faults
from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.store.operational.paging import Page, Paging, page
from models.store.operational.tables import ProcessVersion


def listed(session: Session, paging: Paging, *, process: str | None = None, kind: str | None = None) -> Page[ProcessVersion]:
    """All versions, or those of a process or a kind, by code and number; one query."""
    query = sa.select(ProcessVersion)
    for column, value in ((ProcessVersion.process, process), (ProcessVersion.kind, kind)):
        if value is not None:
            query = query.where(column == value)
    return page(session, query, [ProcessVersion.process, ProcessVersion.number], paging)


def names(session: Session) -> dict[str, str]:
    """Code → title of the newest version of each process, for people to choose from; one query, of a few dozen rows."""
    rows = session.execute(sa.select(ProcessVersion.process, ProcessVersion.body).order_by(ProcessVersion.process, ProcessVersion.number))
    return {row.process: row.body["title"] for row in rows}


def numbers(session: Session, process: str) -> list[int]:
    """The versions of a process, the newest first; one query."""
    query = sa.select(ProcessVersion.number).where(ProcessVersion.process == process)
    return list(session.scalars(query.order_by(ProcessVersion.number.desc())))


def get(session: Session, process: str, number: int) -> ProcessVersion:
    """One version.

    Raises:
        YiwangError: YW-STORE-011 where there is none.
    """
    found = session.get(ProcessVersion, (process, number))
    if found is None:
        raise YiwangError("YW-STORE-011", what="流程", key=f"{process}/{number}")
    return found


def publish_checked(now: Work, process: Process) -> ProcessVersion:
    """Publish a version that somebody hands in.

    Raises:
        YiwangError: YW-CORE-004 where the process is not sound, YW-CORE-006 where the version is there with another content.
    """
    if found := faults(process, ROLES):
        raise YiwangError("YW-CORE-004", path=f"{process.process}/{process.version}", detail="；".join(found))
    publish(now, process)
    now.session.flush()
    return get(now.session, process.process, process.version)


def summary(version: ProcessVersion) -> dict[str, Any]:
    """What lists show of a version."""
    return {
        "process": version.process, "number": version.number, "title": version.body["title"], "kind": version.kind,
        "published_at": version.published_at.isoformat(),
    }  # fmt: skip


def detail(version: ProcessVersion) -> dict[str, Any]:
    """A version with its definition."""
    return summary(version) | {"body": version.body}
