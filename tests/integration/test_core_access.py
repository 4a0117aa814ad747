"""Keys, sessions, single-use secrets and the lock after failures, on both databases."""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from models.core.access import service, throttle
from models.core.organisation.staff import add, grant
from models.core.parties.service import register, remove
from models.core.policy.service import Grant, Principal
from models.core.work.service import work
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import ApiKey, Attempts, Audit, LoginSession, Once, Unit
from tests.support.operational import AT, CLERK, CRYPTO

SETTINGS = Settings(session_idle_minutes=30, session_hours=12, sessions_per_person=3, login_failures=5)
MINUTE = timedelta(minutes=1)


def staff(database: Database, *roles: str) -> str:
    """Somebody who works here; the subject of their sessions."""
    with work(database, CLERK, AT) as now:
        now.session.merge(Unit(code="B01", name="机构", kind="bureau", path="/B01/", created_at=AT, updated_at=AT, version=1))
        now.session.flush()
        person = add(now, CRYPTO, f"account-{uuid4()}", "甲某", "B01")
        for role in roles:
            grant(now, person.id, role, "" if role.endswith("_administrator") else "B01")
        return f"staff:{person.id}"


def begin(database: Database, subject: str, after: timedelta = timedelta(), **more: object) -> service.Issued:
    with work(database, CLERK, AT + after) as now:
        return service.begin_session(now, SETTINGS, subject, **more)  # type: ignore[arg-type]


def who(database: Database, secret: str, after: timedelta = timedelta(), of_token: Callable[[str], Principal | None] = lambda subject: None) -> service.Known | None:
    with database.read() as session:
        return service.by_session(session, SETTINGS, secret, AT + after, of_token)


def count(database: Database, table: type) -> int:
    with database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def test_a_session_ends_by_itself_when_idle_or_old(database: Database) -> None:
    secret = begin(database, staff(database, "clerk")).secret
    assert who(database, secret, 29 * MINUTE) is not None and who(database, secret, 30 * MINUTE) is None
    for minutes in range(20, 720, 20):  # used all the time
        known = who(database, secret, minutes * MINUTE)
        assert known is not None and known.is_to_be_touched
        with database.write() as session:
            service.touch(session, known.session_id, AT + minutes * MINUTE)
    assert who(database, secret, 719 * MINUTE) is not None and who(database, secret, 720 * MINUTE) is None


def test_a_use_is_written_once_a_minute_and_never_back(database: Database) -> None:
    issued = begin(database, staff(database, "clerk"))
    known = who(database, issued.secret, timedelta(seconds=59))
    assert known is not None and not known.is_to_be_touched
    with database.write() as session:
        service.touch(session, issued.id, AT + 10 * MINUTE)
        service.touch(session, issued.id, AT + 5 * MINUTE)  # a host whose clock is behind
    assert who(database, issued.secret, 39 * MINUTE) is not None


@pytest.mark.parametrize("secret", ["", "x", "0" * 43, "' OR 1=1 --"])
def test_a_number_that_was_never_given_is_nobodys(database: Database, secret: str) -> None:
    begin(database, staff(database, "clerk"))
    assert who(database, secret) is None


def test_the_store_knows_no_secret(database: Database) -> None:
    session, key = begin(database, staff(database, "clerk")), None
    with work(database, CLERK, AT) as now:
        key = service.issue_key(now, "APP", [Grant("clerk", "B01")], AT + MINUTE)
        service.remember_once(now, "a secret that is used once", "/", AT + MINUTE)
    with database.read() as reading:
        rows = [str(row) for table in (LoginSession, ApiKey, Once, Audit) for row in reading.execute(sa.select(table.__table__))]
    for secret in (session.secret, key.secret, key.secret[36:], "a secret that is used once"):
        assert not any(secret in row for row in rows)


def test_one_session_too_many_ends_the_oldest(database: Database) -> None:
    subject = staff(database, "clerk")
    issued = [begin(database, subject, number * MINUTE) for number in range(5)]
    assert [who(database, each.secret, 5 * MINUTE) is not None for each in issued] == [False, False, True, True, True]
    other = begin(database, staff(database, "clerk"))
    assert who(database, other.secret, MINUTE) is not None


def test_an_administrators_session_needs_its_second_factor_even_if_they_became_one_later(database: Database) -> None:
    subject = staff(database, "clerk")
    weak, strong = begin(database, subject, methods=("pwd",)), begin(database, subject, methods=("pwd", "otp"))
    assert who(database, weak.secret) is not None
    with work(database, CLERK, AT) as now:
        grant(now, UUID(subject.removeprefix("staff:")), "audit_administrator")
    assert who(database, weak.secret) is None and who(database, strong.secret) is not None


def test_a_party_out_of_use_a_token_withdrawn_and_a_kind_unknown_are_nobody(database: Database) -> None:
    with work(database, CLERK, AT) as now:
        party = register(now, CRYPTO, "person", "乙某", "111", "11010519491231002X")
        service.identify(now, "https://id.example", "s1", party.id)
    secret = begin(database, f"party:{party.id}").secret
    known = who(database, secret)
    assert known is not None and known.principal.party_id == party.id and known.principal.may("case:apply") and not known.principal.may("task:read")
    with database.read() as session:
        assert service.party_of(session, "https://id.example", "s1") == party.id and service.party_of(session, "https://other.example", "s1") is None
    with work(database, CLERK, AT) as now:
        remove(now, party.id, "登记有误")
    assert who(database, secret) is None
    with database.read() as session:
        assert service.party_of(session, "https://id.example", "s1") is None
    token = begin(database, "token:viewer.abc").secret
    assert who(database, token) is None
    assert who(database, token, of_token=lambda subject: Principal("viewer") if subject == "token:viewer.abc" else None) is not None
    assert who(database, begin(database, "else:x").secret) is None


def test_the_provider_ends_a_session_or_all_of_somebody(database: Database) -> None:
    subject = staff(database, "clerk")
    made = [begin(database, subject, issuer="https://id.example", provider_subject="zhang", provider_session=session) for session in ("a", "b")]
    elsewhere = begin(database, staff(database, "clerk"), issuer="https://other.example", provider_subject="zhang", provider_session="a")
    with work(database, CLERK, AT) as now:
        assert service.end_of_provider(now, "https://id.example", None, "a") == 1
        assert service.end_of_provider(now, "https://id.example", None, None) == 0
    assert [who(database, each.secret) is not None for each in [*made, elsewhere]] == [False, True, True]
    with work(database, CLERK, AT) as now:
        assert service.end_of_provider(now, "https://id.example", "zhang", None) == 1
    assert [who(database, each.secret) is not None for each in [*made, elsewhere]] == [False, False, True]


def test_what_counts_once_counts_once_at_once(database: Database) -> None:
    with work(database, CLERK, AT) as now:
        assert service.remember_once(now, "state", "/desk", AT + 10 * MINUTE) and service.remember_once(now, "old", None, AT)
    taken: list[str | None] = []
    start = threading.Barrier(4)

    def take() -> None:
        start.wait()
        with work(database, CLERK, AT + MINUTE) as now:
            taken.append(service.take_once(now, "state"))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each or "" for each in taken) == ["", "", "", "/desk"]
    with work(database, CLERK, AT + MINUTE) as now:
        assert service.take_once(now, "old") is None and service.take_once(now, "never") is None


def test_a_message_that_came_twice_at_once_counts_once(database: Database) -> None:
    heard: list[bool] = []
    start = threading.Barrier(4)

    def hear() -> None:
        start.wait()
        try:
            with work(database, CLERK, AT) as now:
                heard.append(service.remember_once(now, "jti", None, AT + MINUTE))
        except YiwangError as error:
            heard.append(error.code != "YW-STORE-010")

    threads = [threading.Thread(target=hear) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(heard) == [False, False, False, True]


def test_failures_lock_longer_and_longer_by_name_and_are_forgotten_in_time(database: Database) -> None:
    names, at, locks = ["address:a", "account:b"], AT, []
    for _ in range(8):
        with work(database, CLERK, at) as now:
            until = throttle.failed(now, SETTINGS, names)
        locks.append(int((until - at).total_seconds()) if until else 0)
        at = until or at
    assert locks == [0, 0, 0, 0, 30, 60, 120, 240]
    with database.read() as session:
        assert throttle.locked_until(session, names, at - timedelta(seconds=1)) == at
        assert throttle.locked_until(session, ["account:b", "address:other"], at - timedelta(seconds=1)) == at
        assert throttle.locked_until(session, ["address:other"], at - timedelta(seconds=1)) is None and throttle.locked_until(session, names, at) is None
    with work(database, CLERK, at + timedelta(hours=25)) as now:
        assert throttle.failed(now, SETTINGS, names) is None, "a day without failures"
    with work(database, CLERK, at + timedelta(hours=26)) as now:
        throttle.succeeded(now, names)
    assert count(database, Attempts) == 0


@given(st.integers(0, 10_000), st.integers(1, 20))
def test_a_lock_grows_and_has_an_end(failures: int, allowed: int) -> None:
    lock, more = throttle.lock_after(failures, allowed), throttle.lock_after(failures + 1, allowed)
    assert (lock is None) == (failures < allowed)
    assert lock is None or (more is not None and timedelta(seconds=30) <= lock <= more <= timedelta(hours=1))


def test_what_is_over_is_forgotten(database: Database) -> None:
    begin(database, staff(database, "clerk"))
    with work(database, CLERK, AT) as now:
        service.remember_once(now, "x", None, AT + MINUTE)
        throttle.failed(now, SETTINGS, ["address:a"])
    service.prune(database, AT + timedelta(hours=1))
    assert (count(database, Once), count(database, LoginSession), count(database, Attempts)) == (0, 1, 1)
    service.prune(database, AT + timedelta(days=31))
    assert (count(database, LoginSession), count(database, Attempts)) == (0, 0)
