"""Parties on SQLite and on PostgreSQL: encrypted, found, masked, shown only on the record; agents; new keys while people work."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from models.core.crypto.service import Place, provider, remaining, rotate
from models.core.crypto.software import SoftwareProvider
from models.core.parties.service import (
    amend,
    authorise,
    find,
    find_by_phone,
    masked,
    may_act,
    register,
    remove,
    reveal,
    revoke,
)
from models.core.work.service import work
from models.domain.errors import YiwangError
from models.domain.identifiers import credit_code_check, resident_id_check
from models.domain.settings import get_settings
from models.store.operational.database import Database
from models.store.operational.migration import upgrade
from models.store.operational.tables import Audit, Party
from serving.cli.main import app
from tests.support.operational import AT, CLERK, CRYPTO

DAY = timedelta(days=1)


def resident(number: int) -> str:
    body = f"110101199003{number % 28 + 1:02d}{number // 28:03d}"
    return body + resident_id_check(body)


ZHANG = resident(1)
FIRM = "91110000MA0012345" + credit_code_check("91110000MA0012345")


def add(database: Database, number: str = ZHANG, name: str = "张小三", phone: str | None = "138 0013 8000") -> UUID:
    with work(database, CLERK, AT) as now:
        kind, id_type = ("enterprise", "990") if number == FIRM else ("person", "111")
        return register(now, CRYPTO, kind, name, id_type, number, phone).id  # type: ignore[arg-type]


def code(error: pytest.ExceptionInfo[YiwangError]) -> str:
    return error.value.code


def test_nothing_personal_lies_in_clear_and_everything_is_found(database: Database) -> None:
    party_id = add(database)
    add(database, FIRM, "张小三餐饮店", None)
    with database.engine.connect() as connection:
        tables = [connection.execute(sa.text(f"SELECT * FROM {table}")).all() for table in ("party", "audit", "outbox")]  # noqa: S608
    text = repr(tables)
    assert not any(secret in text for secret in ("张小三", ZHANG, ZHANG[6:14], FIRM, "13800138000", "0013 8000"))
    with database.read() as session:
        found = find(session, CRYPTO, "111", f"　{ZHANG[:-1]}{ZHANG[-1].lower()} ")
        assert found is not None and found.id == party_id
        assert find(session, CRYPTO, "414", ZHANG) is None and find(session, CRYPTO, "111", resident(2)) is None
        assert [party.id for party in find_by_phone(session, CRYPTO, "+86-13800138000")] == [party_id]
        shown = masked(CRYPTO, found)
    assert (shown.name, shown.number, shown.phone) == ("张*三", f"110{'*' * 13}{ZHANG[-2:]}", "138******8000")


def test_finding_by_number_is_one_query_by_index(database: Database) -> None:
    with database.read() as session:
        seen: list[str] = []
        sa.event.listen(database.engine, "before_cursor_execute", lambda c, cursor, statement, *more: seen.append(statement))
        find(session, CRYPTO, "111", ZHANG)
        (statement,) = [text for text in seen if text.startswith("SELECT")]
        assert "id_type_code" in statement and "number_digest" in statement
        if database.is_sqlite:
            plan = session.execute(sa.text("EXPLAIN QUERY PLAN SELECT * FROM party WHERE id_type_code = '1' AND number_digest = '2' AND deleted_at IS NULL")).all()
        else:
            session.execute(sa.text("SET LOCAL enable_seqscan = off"))
            plan = session.execute(sa.text("EXPLAIN SELECT * FROM party WHERE id_type_code = '1' AND number_digest = '2' AND deleted_at IS NULL")).all()
        assert "uq_party__number" in repr(plan)


@pytest.mark.parametrize(
    ("kind", "name", "id_type", "number", "phone", "says"),
    [
        ("person", "张三", "111", ZHANG[:-1] + ("0" if ZHANG[-1] != "0" else "1"), None, "校验码"),
        ("person", "张三", "111", "1", None, "居民身份证号码"),
        ("enterprise", "某店", "990", FIRM[:-1] + ("0" if FIRM[-1] != "0" else "1"), None, "统一社会信用代码"),
        ("enterprise", "某店", "111", ZHANG, None, "证件类型"),
        ("person", "张三", "990", FIRM, None, "证件类型"),
        ("person", "张三", "777", "E12345678", None, "证件类型"),
        ("person", "张三", "414", "E1", None, "证件号码"),
        ("person", " ", "111", ZHANG, None, "姓名"),
        ("person", "张三", "111", ZHANG, "12", "电话"),
    ],
)
def test_wrong_values_are_refused_and_not_repeated(database: Database, kind: Any, name: str, id_type: str, number: str, phone: str | None, says: str) -> None:
    with pytest.raises(YiwangError, match=says) as caught, work(database, CLERK, AT) as now:
        register(now, CRYPTO, kind, name, id_type, number, phone)
    assert code(caught) == "YW-PARTY-001" and (len(number) < 3 or number not in caught.value.message)


def test_a_number_is_registered_once_also_by_many_hands(database: Database) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(5)

    def hand() -> None:
        barrier.wait()
        try:
            add(database)
            outcomes.append("done")
        except YiwangError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=hand) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("done") == 1 and set(outcomes) <= {"done", "YW-PARTY-002", "YW-STORE-010"}


def test_a_party_is_amended_by_who_saw_it_last_and_its_number_is_free_when_it_is_gone(database: Database) -> None:
    party_id, other = add(database), add(database, resident(2))
    with work(database, CLERK, AT) as now:
        assert amend(now, CRYPTO, party_id, 1, name="张四", phone="010-12345678").version == 2
    for changes, expected in (({"version": 1, "name": "李四"}, "YW-STORE-010"), ({"version": 2, "number": resident(2)}, "YW-PARTY-002")):
        with pytest.raises(YiwangError) as caught, work(database, CLERK, AT) as now:
            amend(now, CRYPTO, party_id, **changes)  # type: ignore[arg-type]
        assert code(caught) == expected
    with work(database, CLERK, AT) as now:
        assert masked(CRYPTO, amend(now, CRYPTO, party_id, 2, number=resident(3))).name == "张*"
        remove(now, other, f"重复登记 {resident(2)}")
    again = add(database, resident(2))
    with database.read() as session:
        found, gone = find(session, CRYPTO, "111", resident(2)), session.get_one(Party, other)
        assert found is not None and found.id == again and gone.deleted_reason == "重复登记 ***"
        assert [party.id for party in find_by_phone(session, CRYPTO, "01012345678")] == [party_id]
    with pytest.raises(YiwangError) as caught, work(database, CLERK, AT) as now:
        amend(now, CRYPTO, other, 2, name="x")
    assert code(caught) == "YW-STORE-011"


def test_showing_in_clear_needs_a_reason_and_leaves_a_trace(database: Database) -> None:
    party_id = add(database)
    with work(database, CLERK, AT) as now:
        assert reveal(now, CRYPTO, party_id, "number", "窗口核对身份证 13800138000") == ZHANG
        assert reveal(now, CRYPTO, party_id, "name", "打印") == "张小三"
    with pytest.raises(YiwangError) as caught, work(database, CLERK, AT) as now:
        reveal(now, CRYPTO, party_id, "phone", "  ")
    assert code(caught) == "YW-PARTY-003"
    with database.read() as session:
        rows = session.scalars(sa.select(Audit).where(Audit.action == "party.revealed").order_by(Audit.position))
        shown = [(row.actor, row.target, row.detail) for row in rows]
    assert shown == [
        ("u1", f"party:{party_id}", {"field": "number", "reason": "窗口核对身份证 ***"}), ("u1", f"party:{party_id}", {"field": "name", "reason": "打印"})
    ]  # fmt: skip


def test_a_ciphertext_copied_to_another_party_is_refused(database: Database) -> None:
    mine, theirs = add(database), add(database, resident(2), "李四")
    with database.write() as session:
        session.execute(sa.update(Party).where(Party.id == mine).values(number=session.get_one(Party, theirs).number))
    with pytest.raises(YiwangError, match=f"party.number/{mine}") as caught, work(database, CLERK, AT) as now:
        reveal(now, CRYPTO, mine, "number", "核对")
    assert code(caught) == "YW-CRYPTO-001"
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).where(Audit.action == "party.revealed")) == 0


@pytest.mark.parametrize(
    ("matter", "action", "at", "is_commitment", "may"),
    [
        ("M1", "submit", AT, False, True),
        ("M2", "submit", AT, False, False),
        ("M1", "withdraw", AT, False, False),
        ("M1", "submit", AT, True, False),
        ("M1", "submit", AT - DAY, False, False),
        ("M1", "submit", AT + 10 * DAY, False, False),
        ("M1", "submit", AT + 10 * DAY - timedelta(microseconds=1), False, True),
        ("M3", "anything", AT, True, True),
    ],
)
def test_an_agent_may_what_was_authorised_and_while_it_was(database: Database, matter: str, action: str, at: Any, is_commitment: bool, may: bool) -> None:
    firm, agent = add(database, FIRM, "某店"), add(database)
    with work(database, CLERK, AT) as now:
        plain = authorise(now, CRYPTO, firm, agent, ["M1"], ["submit"], AT, AT + 10 * DAY, "授权书 1 号")
        special = authorise(now, CRYPTO, firm, agent, ["M3"], ["*"], AT, AT + DAY, "授权书 2 号", is_special=True)
    with database.read() as session:
        rests_on = may_act(session, agent, firm, matter, at, action, is_commitment)
        assert (rests_on is not None) == may and rests_on in (None, f"authorisation:{plain.id}", f"authorisation:{special.id}")
        assert may_act(session, firm, agent, matter, at, action) is None, "never the other way round"
        assert may_act(session, agent, agent, matter, at, action) == "self" and may_act(session, uuid4(), uuid4(), matter, at, action) is None


def test_authority_ends_with_revocation_and_with_either_party(database: Database) -> None:
    firm, agent = add(database, FIRM, "某店"), add(database)
    with work(database, CLERK, AT) as now:
        first = authorise(now, CRYPTO, firm, agent, ["*"], ["*"], AT - DAY, AT + 90 * DAY, "授权书")
    with work(database, CLERK, AT + DAY) as now:
        revoke(now, first.id, "解除")
        revoke(now, first.id, "再次解除")
    with database.read() as session:
        assert may_act(session, agent, firm, "M1", AT, "submit") == f"authorisation:{first.id}", "what was done before stays good"
        assert may_act(session, agent, firm, "M1", AT + DAY, "submit") is None
    with work(database, CLERK, AT + DAY) as now:
        authorise(now, CRYPTO, firm, agent, ["*"], ["*"], AT, AT + 90 * DAY, "授权书")
        assert may_act(now.session, agent, firm, "M1", AT + DAY, "submit") is not None
        remove(now, firm, "注销")
        assert may_act(now.session, agent, firm, "M1", AT + DAY, "submit") is None and may_act(now.session, firm, firm, "M1", AT, "submit") is None
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).where(Audit.action == "authorisation.revoked")) == 1


def test_an_authorisation_without_scope_term_or_evidence_is_refused(database: Database) -> None:
    firm, agent = add(database, FIRM, "某店"), add(database)
    good: dict[str, Any] = {"principal_id": firm, "agent_id": agent, "matters": ["M1"], "actions": ["submit"], "valid_from": AT, "valid_to": AT + DAY, "evidence": "1"}
    for wrong in ({"matters": []}, {"actions": []}, {"valid_to": AT}, {"evidence": " "}, {"agent_id": firm}, {"agent_id": uuid4()}):
        with pytest.raises(YiwangError) as caught, work(database, CLERK, AT) as now:
            authorise(now, CRYPTO, **(good | wrong))
        assert code(caught) in ("YW-PARTY-001", "YW-STORE-011")


NEXT = SoftwareProvider({"k2": b"9" * 32, "k1": b"1" * 32}, {"a1": b"2" * 32}, b"3" * 32, "aes-256-gcm")
ONLY_NEXT = SoftwareProvider({"k2": b"9" * 32}, {"a1": b"2" * 32}, b"3" * 32, "sm4-gcm")


def test_keys_rotate_while_people_write_and_a_killed_rotation_goes_on(database: Database) -> None:
    parties = [add(database, resident(number), f"张{number}") for number in range(30)]

    class Killed(Exception):
        pass

    class DiesAtTheTwentieth(SoftwareProvider):
        count = 0

        def encrypt(self, text: str, place: Any) -> str:
            self.count += 1
            if self.count > 20:
                raise Killed
            return super().encrypt(text, place)

    dying = DiesAtTheTwentieth({"k2": b"9" * 32, "k1": b"1" * 32}, {"a1": b"2" * 32}, b"3" * 32, "aes-256-gcm")
    with pytest.raises(Killed):
        rotate(database, dying, batch=5)
    assert remaining(database, NEXT) == 25, "one batch of three values a row, the second undone"
    failed: list[BaseException] = []

    def write(crypto: SoftwareProvider, first: int) -> None:
        try:
            for number in range(first, 30, 2):
                with work(database, CLERK, AT) as now:
                    seen = now.session.get_one(Party, parties[number]).version
                    amend(now, crypto, parties[number], seen, phone=f"1380000{number:04d}")
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=given) for given in ((CRYPTO, 0), (NEXT, 1))]
    for thread in writers:
        thread.start()
    rotate(database, NEXT, batch=4)
    for thread in writers:
        thread.join()
    assert failed == [], "who writes is not disturbed, whichever key is first where they are"
    assert rotate(database, NEXT).failed == [] and remaining(database, NEXT) == 0
    with database.read() as session:
        for number, party_id in enumerate(parties):
            party = session.get_one(Party, party_id)
            shown = masked(ONLY_NEXT, party)
            assert (shown.phone, shown.number[-2:], party.version) == (f"138****{number:04d}", resident(number)[-2:], 2)
            found = find(session, ONLY_NEXT, "111", resident(number))
            assert found is not None and found.id == party_id


def test_a_value_that_cannot_be_read_is_told_and_does_not_stop_the_rotation(database: Database) -> None:
    bad, good = add(database), add(database, resident(2))
    with database.write() as session:
        session.execute(sa.update(Party).where(Party.id == bad).values(name="k1.s.AAAA"))
    done = rotate(database, NEXT)
    assert [str(place) for place in done.failed] == [f"party.name/{bad}"] and done.changed == 5 and remaining(database, NEXT) == 1
    with database.read() as session:
        assert masked(ONLY_NEXT, session.get_one(Party, good)).name == "张*三"


def test_the_commands_rotate_and_tell_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = f"k1:{'1' * 64}", f"k2:{'2' * 64}"
    for name, value in {"HOME": str(tmp_path), "KEYS": old, "AUDIT_KEYS": old, "DIGEST_KEY": "0123456789abcdef"}.items():
        monkeypatch.setenv(f"YIWANG_{name}", value)
    monkeypatch.delenv("YIWANG_DATABASE_URL", raising=False)
    run = CliRunner().invoke
    try:
        get_settings.cache_clear()
        database, before = Database(get_settings()), provider(get_settings())
        upgrade(database)
        with work(database, CLERK, AT) as now:
            good = register(now, before, "person", "张三", "111", ZHANG).id
            bad = register(now, before, "person", "李四", "111", resident(2))
            bad.name = before.encrypt("李四", Place("party", "name", good))
        monkeypatch.setenv("YIWANG_KEYS", f"{new},{old}")
        get_settings.cache_clear()
        first = run(app, ["store", "rotate"])
        assert first.exit_code == 1 and f"✗ party.name/{bad.id} 无法解密" in first.output and "还有 1 行使用旧密钥" in first.output
        with work(database, CLERK, AT) as now:
            amend(now, provider(get_settings()), bad.id, 2, name="李四")
        assert (second := run(app, ["store", "rotate"])).exit_code == 0 and "旧密钥可以移除" in second.output
        assert run(app, ["store", "rebase"]).exit_code == 0
        monkeypatch.setenv("YIWANG_KEYS", "k1")
        get_settings.cache_clear()
        wrong = run(app, ["store", "rotate"])
        assert wrong.exit_code == 2 and "YIWANG_KEYS" in wrong.output and "64 位十六进制" in wrong.output
        database.close()
    finally:
        get_settings.cache_clear()
