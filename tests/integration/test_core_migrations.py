"""Migrations of the operational store, on SQLite and on PostgreSQL: with rows, at once, and the tables that the code expects."""

import threading
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from models.core.audit.service import seal, verify
from models.core.crypto.service import encrypting
from models.core.feedback.reading import letter_of
from models.core.outbox.service import read, subscribe
from models.core.parties.authority import evidence_of
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.migration import _config, upgrade
from models.store.operational.tables import Authorisation, Base, Feedback, Party
from models.store.operational.types import Instant
from tests.support.operational import AT, CRYPTO


def _to(database: Database, revision: str) -> None:
    config = _config()
    with database.write() as session:
        config.attributes["connection"] = session.connection()
        command.upgrade(config, revision)


def test_the_migrated_tables_are_those_of_the_code(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata) == []


def test_a_store_of_the_first_version_with_rows_comes_to_this_one(settings_of_store: Settings) -> None:
    database = Database(settings_of_store)
    _to(database, "0001")
    transaction = "NULL" if database.is_sqlite else "pg_current_xact_id()::text::bigint"
    now = AT.strftime("'%Y-%m-%dT%H:%M:%S.%fZ'")
    with database.engine.begin() as connection:
        for target in ("old-1", "old-2"):
            insert = 'INSERT INTO audit ("transaction", at, actor, authority, action, target, detail)'
            connection.execute(sa.text(f"{insert} VALUES ({transaction}, {now}, 'u', '', 'a', '{target}', '{{}}')".replace(":", "\\:")))
    upgrade(database)
    path = settings_of_store.home / "audit.heads"
    assert seal(database, CRYPTO, path, AT) == 2 and list(verify(database, CRYPTO, path, AT)) == []
    subscribe(database, "sync", AT)
    assert read(database, "sync") == []
    database.close()


def test_texts_that_earlier_versions_kept_in_clear_are_encrypted(settings_of_store: Settings) -> None:
    number = "11010519491231002X"
    database = Database(settings_of_store)
    _to(database, "0012")
    rows = {table.name: {column.name: _some(column) for column in table.columns if not column.nullable} for table in (Party.__table__, Authorisation.__table__, Feedback.__table__)}
    first, second = uuid4(), uuid4()
    with database.engine.begin() as connection:
        for party_id in (first, second):
            connection.execute(sa.insert(Party).values(rows["party"] | {"id": party_id, "number_digest": str(party_id)}))
        given = {"id": first, "principal_id": first, "agent_id": second, "evidence": f"公证 2026 第 1234567 号 {number}"}
        connection.execute(sa.insert(Authorisation).values(rows["authorisation"] | given))
        connection.execute(sa.insert(Feedback).values(rows["feedback"] | {"id": first, "letter_number": number, "tags": [f"态度差 {number}"]}))
    with pytest.raises(ValueError, match="nothing to encrypt"):
        upgrade(database)
    upgrade(database, encrypting(CRYPTO))
    with database.read() as session:
        review, authorisation = session.get_one(Feedback, first), session.get_one(Authorisation, first)
        assert number not in f"{review.letter_number} {review.tags} {authorisation.evidence}" and review.tags == ["态度差 ***"]
        assert letter_of(CRYPTO, review) == "***" and evidence_of(CRYPTO, authorisation) == "公证 2026 第 1234567 号 ***"
    database.close()


def _some(column: sa.Column[object]) -> object:
    if isinstance(column.type, Instant):
        return AT
    return {sa.Boolean: False, sa.Integer: 1, sa.Uuid: uuid4()}.get(type(column.type), [] if isinstance(column.type, sa.JSON) else "x")


def test_two_processes_that_start_at_once_migrate_once(settings_of_store: Settings) -> None:
    failed: list[BaseException] = []

    def start() -> None:
        database = Database(settings_of_store)
        try:
            upgrade(database)
        except BaseException as error:
            failed.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_store_of_a_newer_version_is_left_alone(settings_of_store: Settings) -> None:
    database = Database(settings_of_store)
    upgrade(database)
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(YiwangError) as caught:
        upgrade(database)
    assert caught.value.code == "YW-STORE-009"
    database.close()
