"""Published versions of processes, parsed: a version never changes, so each is read and parsed once, and known by its digest from then on."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.processes.definition import Process
from models.store.operational.tables import ProcessVersion

_BODY = sa.select(ProcessVersion.body).where(ProcessVersion.digest == sa.bindparam("digest")).limit(1)
_PARSED: dict[str, Process] = {}


def published(session: Session, digest: str) -> Process:
    """The process of a version that is in the store; a query the first time only.

    Args:
        session: The transaction.
        digest: :attr:`ProcessVersion.digest`, which names its content whatever the store.
    """
    if (known := _PARSED.get(digest)) is None:
        known = _PARSED[digest] = Process.model_validate(session.scalars(_BODY, {"digest": digest}).one())
    return known
