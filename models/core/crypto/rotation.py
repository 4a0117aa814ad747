"""Making ciphertexts anew with the key in use, while everybody goes on working."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from models.core.crypto.types import CryptoProvider, Place
from models.domain.errors import YiwangError
from models.domain.progress import NoProgress, Progress
from models.store.operational.database import Database
from models.store.operational.tables import Base

_STAGE = "更换密钥"
_FIRST = UUID(int=0)


@dataclass
class Rotation:
    """What a rotation did.

    Attributes:
        changed: Values made anew.
        failed: Places whose value could not be read, as they were; the rest went on.
    """

    changed: int
    failed: list[Place]


def rotate(database: Database, crypto: CryptoProvider, batch: int = 500, progress: Progress | None = None) -> Rotation:
    """Encrypt anew what is not of the current key and cipher.

    Every batch is a transaction; a run that was killed is begun again and finds only what is left. A value that somebody
    changed meanwhile is left to them: it is written only over the ciphertext that was read. Rows and their versions stay as they are.

    Args:
        database: The store.
        crypto: Old keys and, first, the new one.
        batch: Rows a transaction.
        progress: Told of rows that were looked at.
    """
    progress = progress or NoProgress()
    progress.start(_STAGE)
    done = Rotation(0, [])
    for table, columns in _encrypted():
        after = _FIRST
        while (last := _batch(database, crypto, table, columns, after, batch, done, progress)) is not None:
            after = last
    progress.finish(_STAGE, f"{done.changed} 个值")
    return done


def remaining(database: Database, crypto: CryptoProvider) -> int:
    """Number of rows that still hold a ciphertext of another key: zero before an old key is taken away."""
    with database.read() as session:
        return sum(
            session.scalar(sa.select(sa.func.count()).select_from(table).where(_old(columns, crypto))) or 0 for table, columns in _encrypted()
        )


def _batch(
    database: Database, crypto: CryptoProvider, table: sa.Table, columns: list[sa.Column[Any]], after: UUID, batch: int, done: Rotation, progress: Progress
) -> UUID | None:
    query = sa.select(table.c.id, *columns).where(table.c.id > after, _old(columns, crypto)).order_by(table.c.id).limit(batch)
    with database.write() as session:
        rows = session.execute(query).all()
        for row in rows:
            for column in columns:
                old = getattr(row, column.name)
                if old is None or old.startswith(crypto.current_prefix()):
                    continue
                place = Place(table.name, column.name, row.id)
                try:
                    new = crypto.encrypt(crypto.decrypt(old, place), place)
                except YiwangError:
                    done.failed.append(place)
                    continue
                changing = sa.update(table).where(table.c.id == row.id, column == old).values({column.name: new})
                done.changed += getattr(session.execute(changing), "rowcount", 0)
    progress.advance(_STAGE, len(rows))
    return rows[-1].id if rows else None


def _encrypted() -> Iterator[tuple[sa.Table, list[sa.Column[Any]]]]:
    for table in Base.metadata.sorted_tables:
        if columns := [column for column in table.columns if column.info.get("encrypted")]:
            yield table, columns


def _old(columns: list[sa.Column[Any]], crypto: CryptoProvider) -> sa.ColumnElement[bool]:
    return sa.or_(*(sa.not_(column.startswith(crypto.current_prefix(), autoescape=True)) for column in columns))
