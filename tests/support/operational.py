"""What tests of the operational store share: keys, an actor, rows of the audit, and a hand that goes round the triggers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import sqlalchemy as sa

from models.core.access.service import confirm_key, issue_key
from models.core.crypto.software import SoftwareProvider
from models.core.policy.service import Grant
from models.core.work.service import Actor, Work, work
from models.store.operational.database import Database
from models.store.operational.tables import Audit

AT = datetime(2026, 3, 2, 1, tzinfo=UTC)
CLERK = Actor("u1", frozenset({"window"}), "B01", "window of B01")
CONFIRMER = Actor("confirmer", frozenset(), authority="test")
CRYPTO = SoftwareProvider({"k1": b"1" * 32}, {"a1": b"2" * 32}, b"3" * 32, "sm4-gcm")


def system_key(now: Work, name: str, grants: Sequence[Grant], expires_at: datetime, unit_code: str = "") -> str:
    """A key that works: issued by one, confirmed by another."""
    issued = issue_key(now, name, grants, expires_at, unit_code)
    confirm_key(replace(now, actor=CONFIRMER), issued.id)
    return issued.secret


def record(database: Database, count: int, at: datetime = AT, actor: Actor = CLERK) -> None:
    """One unit of work with that many rows of audit."""
    with work(database, actor, at) as now:
        for number in range(count):
            now.record("case.moved", f"case:{number}", number=number, share=number / 3, text="一网 \\ \"é\" \U0001f600", more={"b": [1, None], "a": True})


def chain(database: Database) -> list[tuple[int | None, str]]:
    """Numbers and targets of the audit, in the order of the chain."""
    with database.read() as session:
        rows = session.execute(sa.select(Audit.chain_number, Audit.target).order_by(Audit.chain_number, Audit.position))
        return [(row.chain_number, row.target) for row in rows]


def unguarded(database: Database, *statements: str) -> None:
    """Statements of somebody who may do anything to the database, its triggers taken away."""
    with database.engine.begin() as connection:
        if database.is_sqlite:
            for name in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for statement in statements:
            connection.execute(sa.text(statement.replace(":", "\\:")))
