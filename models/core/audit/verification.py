"""Finding out whether the audit is as it was written: every row recomputed, every head compared, in pages.

It reads sealed rows only, which never change: pages are transactions of their own, so that nobody waits for it.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.audit import heads
from models.core.audit.chain import START, Head, link
from models.core.audit.rows import Spoilt, readable, whole
from models.core.crypto.types import CryptoProvider
from models.domain.errors import YiwangError
from models.domain.progress import NoProgress, Progress
from models.store.operational.database import Database
from models.store.operational.tables import Audit, AuditHead

_STAGES = ("核对审计记录", "核对库内链头", "核对库外链头")
_GRACE = timedelta(minutes=1)
"""How long a row may wait for the sealer, and a head for its file."""
_AHEAD = timedelta(days=1)
"""How far a row's instant may lie ahead: no clock of ours is that wrong."""
_LEAST = -(2**63)


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was written.

    Attributes:
        kind: ``changed``, ``removed``, ``inserted``, ``head``, ``outside``, ``unsealed``.
        number: Number in the chain, None where it has none.
        sentence: What people read.
    """

    kind: str
    number: int | None
    sentence: str


def verify(
    database: Database, crypto: CryptoProvider, path: Path, at: datetime, page: int = 2000, progress: Progress | None = None
) -> Iterator[Finding]:
    """What is wrong with the audit, as it is found; nothing where all is well. Memory does not grow with the audit.

    Args:
        database: The store.
        crypto: Who hashes, and knows the audit's keys.
        path: File of heads.
        at: Now.
        page: Rows read at once.
        progress: Told of rows and heads.

    Raises:
        YiwangError: YW-AUDIT-001 where the store has no audit; YW-STORE-008 where it is away.
    """
    progress = progress or NoProgress()
    with database.read() as session:
        if not sa.inspect(session.connection()).has_table(AuditHead.__tablename__):
            raise YiwangError("YW-AUDIT-001")
    yield from _rows(database, crypto, page, progress)
    yield from _heads_inside(database, crypto, page, progress)
    yield from _heads_outside(database, crypto, path, at, page, progress)
    yield from _unsealed(database, at)


def _rows(database: Database, crypto: CryptoProvider, page: int, progress: Progress) -> Iterator[Finding]:
    with database.read() as session:
        is_numbered = whole(Audit.chain_number, session)
        progress.start(_STAGES[0], session.scalar(sa.select(sa.func.max(Audit.chain_number)).where(is_numbered)) or 0)
        strange = session.scalar(sa.select(sa.func.count()).where(Audit.chain_number.is_not(None), sa.or_(sa.not_(is_numbered), Audit.chain_number < 1))) or 0
    if strange:
        yield Finding("inserted", None, f"有 {strange} 条审计记录的编号不是从 1 起的整数，不是封存程序写入的。")
    last, previous = 0, START
    columns, keys = list(Audit.__table__.columns), [Audit.chain_number, Audit.chain_hash]
    while True:
        query = sa.select(Audit.chain_number).where(Audit.chain_number > last, is_numbered).order_by(Audit.chain_number).limit(page)
        with database.read() as session:
            rows = readable(session, columns, keys, query)
        if not rows:
            break
        for row in rows:
            number, hash_ = row.keys if isinstance(row, Spoilt) else (row.chain_number, row.chain_hash)
            if number != last + 1:  # what the row's hash should follow is gone: the next row is the first to be told
                yield Finding("removed", last + 1, f"审计记录第 {_range(last + 1, number - 1)} 条已被删除。")
            if isinstance(row, Spoilt) or (number == last + 1 and (right := _link(crypto, previous, number, row)) is None):
                yield Finding("changed", number, f"审计记录第 {number} 条已损坏，内容无法识别。")
            elif number == last + 1 and hash_ != right:
                yield Finding("changed", number, f"审计记录第 {number} 条与封存时不一致：它或它的前一条被改动、替换或调换了顺序。")
            last, previous = number, hash_ or ""
        progress.advance(_STAGES[0], len(rows))
    with database.read() as session:  # a seal writes rows and head at once
        head = session.scalar(sa.select(sa.func.max(AuditHead.number)).where(whole(AuditHead.number, session))) or 0
        beyond = session.scalar(sa.select(sa.func.count()).where(Audit.chain_number > head, is_numbered)) or 0
    if beyond:
        yield Finding("inserted", head + 1, f"链头之后多出 {beyond} 条编了号的审计记录，不是封存程序写入的。")
    progress.finish(_STAGES[0], f"{last} 条")


def _link(crypto: CryptoProvider, previous: str, number: int, row: Any) -> str | None:
    """None for values of which no row is made: bytes for text, JSON too deep to be written."""
    try:
        return link(crypto, previous, number, row)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def _heads_inside(database: Database, crypto: CryptoProvider, page: int, progress: Progress) -> Iterator[Finding]:
    progress.start(_STAGES[1])
    after, wrong = _LEAST, _Wrong("head", "库内")
    columns, keys = [AuditHead.number, AuditHead.hash, AuditHead.at, AuditHead.signature], [AuditHead.number]
    while True:
        with database.read() as session:
            query = sa.select(AuditHead.number).where(AuditHead.number > after, whole(AuditHead.number, session)).order_by(AuditHead.number).limit(page)
            found = readable(session, columns, keys, query)
            read = [Head(*row) for row in found if not isinstance(row, Spoilt) and isinstance(row.hash, str) and isinstance(row.signature, str)]
            wrong.compare(session, crypto, read)
        if not found:
            break
        numbers = [row.keys[0] if isinstance(row, Spoilt) else row.number for row in found]
        wrong.unreadable(sorted(set(numbers) - {head.number for head in read}))
        after = numbers[-1]
        progress.advance(_STAGES[1], len(found))
    with database.read() as session:
        strange = session.scalar(sa.select(sa.func.count()).select_from(AuditHead).where(sa.not_(whole(AuditHead.number, session))))
    if strange:
        yield Finding("head", None, f"库内有 {strange} 个链头的编号不是整数。")
    yield from wrong.findings()
    progress.finish(_STAGES[1])


def _heads_outside(database: Database, crypto: CryptoProvider, path: Path, at: datetime, page: int, progress: Progress) -> Iterator[Finding]:
    progress.start(_STAGES[2])
    wrong, newest, lost, first_lost = _Wrong("outside", "库外"), 0, 0, 0
    lines = heads.read(path) if path.is_file() else iter(())
    while block := list(islice(lines, page)):
        for number, head in block:
            if head is None:
                yield Finding("outside", None, f"链头文件 {path.name} 第 {number} 行无法识别，可能被改动。")
        found = [head for _, head in block if head is not None]
        with database.read() as session:
            known = set(session.scalars(sa.select(AuditHead.number).where(AuditHead.number.in_({head.number for head in found}))))
            wrong.compare(session, crypto, found, known)
            until = max(newest, *(head.number for head in found), 0)
            between = sa.select(sa.func.count(), sa.func.min(AuditHead.number)).where(AuditHead.number > newest, AuditHead.number <= until)
            count, first = session.execute(between.where(AuditHead.number.not_in(known))).one()
        lost, first_lost = lost + count, first_lost or first or 0
        newest = until
        progress.advance(_STAGES[2], len(block))
    if lost:
        yield Finding("outside", first_lost, f"链头文件 {path.name} 从第 {first_lost} 号起缺少 {lost} 个链头：有行被删除。")
    yield from wrong.findings()
    with database.read() as session:
        late = session.scalar(sa.select(sa.func.count()).where(AuditHead.number > newest, AuditHead.at < at - _GRACE, whole(AuditHead.number, session)))
    if late:
        yield Finding("outside", newest + 1, f"库内有 {late} 个链头没有写到链头文件 {path.name}：文件丢失、被截短，或封存程序没有运行。")
    progress.finish(_STAGES[2])


def _unsealed(database: Database, at: datetime) -> Iterator[Finding]:
    with database.read() as session:
        is_odd = sa.or_(Audit.at < at - _GRACE, Audit.at > at + _AHEAD)
        late, first = session.execute(sa.select(sa.func.count(), sa.func.min(Audit.position)).where(Audit.chain_number.is_(None), is_odd)).one()
        half = session.scalar(sa.select(sa.func.count()).where(Audit.chain_number.is_(None), Audit.chain_hash.is_not(None)))
    if late:
        yield Finding("unsealed", None, f"有 {late} 条审计记录超过一分钟未封存，最早的位置是 {first}：封存程序没有运行，或记录不是正常写入的。")
    if half:
        yield Finding("changed", None, f"有 {half} 条审计记录的编号被清空。")


class _Wrong:
    """Heads that do not fit, counted: a chain that was rewritten whole contradicts every head after the change.

    Args:
        kind: Kind of the findings.
        where: Where the heads come from, for people.
    """

    def __init__(self, kind: str, where: str) -> None:
        self._kind, self._where = kind, where
        self._found: dict[str, list[int]] = {}

    def compare(self, session: Session, crypto: CryptoProvider, found: list[Head], inside: Container[int] | None = None) -> None:
        """Compare heads with the rows of their numbers, and with the numbers of the heads inside the store where they are given."""
        numbers = {head.number for head in found}
        rows = sa.select(Audit.chain_number, Audit.chain_hash).where(Audit.chain_number.in_(numbers))
        hashes = {row.chain_number: row.chain_hash for row in session.execute(rows)}
        for head in found:
            if not head.is_signed(crypto):
                self._note("签名不对，或签名密钥不在 YIWANG_AUDIT_KEYS 中", head.number)
            elif head.number not in hashes:
                self._note("指向的审计记录已不在", head.number)
            elif hashes[head.number] != head.hash:
                self._note("与审计记录不符，其前的记录被重写", head.number)
            elif inside is not None and head.number not in inside:
                self._note("在库内的副本已被删除", head.number)

    def unreadable(self, numbers: Sequence[int]) -> None:
        """Heads of which not all can be read."""
        for number in numbers:
            self._note("已损坏，内容无法识别", number)

    def findings(self) -> Iterator[Finding]:
        """One for each way of being wrong."""
        for what, (number, count) in self._found.items():
            yield Finding(self._kind, number, f"{self._where}链头从第 {number} 条起有 {count} 个{what}。")

    def _note(self, what: str, number: int) -> None:
        seen = self._found.setdefault(what, [number, 0])
        seen[0] = min(seen[0], number)
        seen[1] += 1


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} 至 {last}"
