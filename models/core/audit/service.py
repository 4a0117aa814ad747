"""The door to the audit: sealing what was written down, and finding out whether it is still as it was.

Rows are written by :meth:`models.core.work.service.Work.record` within the change that they tell of. Within a second the sealer
chains them in order of commit, signs the chain's end and appends it to a file outside the store. What does not belong here:
what is recorded.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.audit import heads
from models.core.audit.chain import START, Head, link, link_unread, sign
from models.core.audit.rows import Spoilt, readable, whole
from models.core.audit.verification import Finding, verify
from models.core.crypto.types import CryptoProvider
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.order import is_settled
from models.store.operational.tables import Audit, AuditHead

__all__ = ["Finding", "heads_of", "seal", "verify"]

_LOCK = 7316428
_PAGE = 1000
_HEAD = (AuditHead.number, AuditHead.hash, AuditHead.at, AuditHead.signature)


def heads_of(settings: Settings) -> Path:
    """The file of heads: ``audit_heads``, else ``audit.heads`` in the home."""
    return settings.audit_heads or settings.home / "audit.heads"


def seal(database: Database, crypto: CryptoProvider, path: Path, at: datetime, limit: int = 200) -> int:
    """Chain what is committed and not chained yet, and take the chain's head out of the store.

    One sealer at a time: whoever comes while another is at it does nothing. A kill at any moment leaves a whole chain; heads
    that did not reach the file do so with the next call.

    Args:
        database: The store.
        crypto: Who hashes and signs.
        path: File of heads.
        at: Now.
        limit: Rows at most; on SQLite writers wait for as many.

    Returns:
        Number of rows sealed; call again at once while it equals ``limit``.
    """
    with database.write() as session:
        sealed = _chain(session, crypto, at, limit) if database.is_sqlite or _is_alone(session) else 0
    _export(database, path)
    return sealed


def _is_alone(session: Session) -> bool:
    return bool(session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))))


def _chain(session: Session, crypto: CryptoProvider, at: datetime, limit: int) -> int:
    columns = [column for column in Audit.__table__.columns if not column.name.startswith("chain_")]
    query = sa.select(Audit.position).where(Audit.chain_number.is_(None), is_settled(session, Audit.transaction))
    rows = readable(session, columns, [Audit.position], query.order_by(Audit.transaction, Audit.position).limit(limit))
    if not rows:
        return 0
    end = session.execute(sa.select(AuditHead.number, AuditHead.hash).where(whole(AuditHead.number, session)).order_by(AuditHead.number.desc()).limit(1)).one_or_none()
    number, previous = (end.number, end.hash) if end else (0, START)
    links = []
    for row in rows:
        number += 1
        position = row.keys[0] if isinstance(row, Spoilt) else row.position
        previous = _linked(crypto, previous, number, row, position)
        links.append({"row": position, "number": number, "hash": previous})
    chaining = sa.update(Audit.__table__).where(Audit.position == sa.bindparam("row"))  # type: ignore[arg-type]
    session.connection().execute(chaining.values(chain_number=sa.bindparam("number"), chain_hash=sa.bindparam("hash")), links)
    head = sign(crypto, number, previous, at)
    session.add(AuditHead(number=head.number, hash=head.hash, at=head.at, signature=head.signature))
    return len(rows)


def _linked(crypto: CryptoProvider, previous: str, number: int, row: Any, position: int) -> str:
    """One row that somebody spoilt must not keep all others from being sealed."""
    if not isinstance(row, Spoilt):
        try:
            return link(crypto, previous, number, row)
        except (TypeError, ValueError, OverflowError, RecursionError):
            pass
    return link_unread(crypto, previous, number, position)


def _export(database: Database, path: Path) -> None:
    """Append the heads that the file does not have; what it has is never asked of the store."""
    while True:
        known = heads.last(path)
        with database.read() as session:
            query = sa.select(AuditHead.number).where(AuditHead.number > (known.number if known else 0), whole(AuditHead.number, session))
            found = readable(session, _HEAD, _HEAD[:1], query.order_by(AuditHead.number).limit(_PAGE))
        missing = [Head(*row) for row in found if not isinstance(row, Spoilt)]  # one that is spoilt is told by a check
        if missing:
            heads.append(path, missing)
        if len(missing) < _PAGE:  # a page with a spoilt one, too: its rest comes with the next seal
            return
