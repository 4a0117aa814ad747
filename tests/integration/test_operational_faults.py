"""Faults around the operational API: the database away, locked or full; clocks of hosts that disagree."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from models.core.handling.service import Move
from models.core.handling.service import act as act_on
from models.core.policy.service import Access, Grant, Principal, policy
from models.core.work.service import Actor, work
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.database import Database
from tests.integration.test_operational_kills import port
from tests.support import postgres as postgres_support
from tests.support.operational_api import MATTER, City, city, key
from tests.support.operational_server import prepared, serving
from tests.support.postgres import Server


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A PostgreSQL server of this test's own, to be stopped."""
    if (reason := postgres_support.missing()) is not None:
        pytest.skip(reason)
    with postgres_support.running() as server:
        yield server


def away(own_server: Server, tmp_path: Path, seconds: float) -> None:
    settings = Settings(home=tmp_path, database_url=SecretStr(own_server.url_of(own_server.create())))
    [headers, *_], _ = prepared(settings)
    at = port()
    with serving(settings, at), httpx.Client(base_url=f"http://127.0.0.1:{at}", timeout=20) as asking:
        assert asking.get("/api/v1/cases", headers=headers).status_code == 200
        own_server.stop()
        end, asked = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            started = time.monotonic()
            answer = asking.get("/api/v1/cases", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "YW-STORE-008")
            assert time.monotonic() - started < 6, "it says so at once, it does not hang"
            assert (asking.get("/health").status_code, asking.get("/ready").status_code) == (200, 503)
            asked += 1
            time.sleep(0.1)
        assert asked >= 3
        own_server.start()
        end = time.monotonic() + 15
        while asking.get("/api/v1/cases", headers=headers).status_code != 200:
            assert time.monotonic() < end, "it recovers by itself"
            time.sleep(0.1)


def test_a_database_that_goes_away_is_said_at_once_and_missed_no_longer_than_it_is_away(own_server: Server, tmp_path: Path) -> None:
    away(own_server, tmp_path, 3)


@pytest.mark.slow
def test_a_database_away_for_half_a_minute(own_server: Server, tmp_path: Path) -> None:
    away(own_server, tmp_path, 30)


def test_a_store_locked_by_another_process_is_waited_for_and_then_said(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with city(settings) as town:
        case = town.draft()["id"]
        locker = sqlite3.connect(tmp_path / "operational.db", isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        refused = town.act(case, town.citizens[0], "submit")
        assert (refused.status_code, refused.json()["code"]) == (503, "YW-STORE-008")
        assert town.get(f"/api/v1/cases/{case}", town.citizens[0]).status_code == 200, "reading goes on"
        locker.execute("ROLLBACK")
        locker.close()
        assert town.act(case, town.citizens[0], "submit").status_code == 200


def test_a_disk_that_is_full_loses_nothing_and_is_said(tmp_path: Path) -> None:
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(tmp_path)], check=False, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        with city(Settings(home=tmp_path)) as town:
            case = town.draft()["id"]
            filler = tmp_path / "filler"
            with filler.open("wb") as file:
                try:
                    while True:
                        file.write(b"x" * 65536)
                        file.flush()
                except OSError:
                    pass
            answers = [town.post("/api/v1/cases", town.citizens[0], {"matter_code": MATTER, "form": {"x": "y" * 5000}}).status_code for _ in range(60)]
            assert set(answers) <= {201, 503} and answers[-1] == 503
            made = len(town.get("/api/v1/cases", town.citizens[0], limit=200).json()["items"])
            assert made == 1 + answers.count(201), "what was acknowledged is there, what was not is not"
            filler.unlink()
            assert town.act(case, town.citizens[0], "submit").status_code == 200
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=False)


@pytest.fixture
def town(database: Database, database_settings: Settings) -> Iterator[City]:
    with city(database_settings) as found:
        yield found


@pytest.mark.parametrize(("behind", "is_taken"), [(0, True), (30, True), (60, True), (61, False), (3600, False)])
def test_a_clock_that_lies_behind_is_borne_a_little_and_then_named(town: City, database: Database, database_settings: Settings, behind: int, is_taken: bool) -> None:
    case = town.draft()["id"]
    assert town.act(case, town.citizens[0], "submit").status_code == 200
    submitted = datetime.fromisoformat(town.get(f"/api/v1/cases/{case}/events", town.citizens[0]).json()["items"][0]["occurred_at"])
    clerk: Access = policy().access(Principal("key:other-host", frozenset({Grant("clerk", "B01")})), "case:act")
    at = submitted - timedelta(seconds=behind)

    def act() -> None:
        from uuid import UUID

        with work(database, Actor("key:other-host", frozenset({"clerk"})), at) as now:
            act_on(now, database_settings, clerk, UUID(case), Move("pass"))

    if is_taken:
        act()
        second = town.get(f"/api/v1/cases/{case}/events", town.citizens[0]).json()["items"][1]
        assert datetime.fromisoformat(second["occurred_at"]) == submitted, "nothing happens before what has happened"
    else:
        with pytest.raises(YiwangError) as caught:
            act()
        assert caught.value.code == "YW-CORE-007" and str(behind) in caught.value.message


def test_keys_that_are_wrong_expired_revoked_or_guessed_let_nobody_in(town: City) -> None:
    secret = town.keys["clerk"]["authorization"].removeprefix("Bearer ")
    wrong = [secret[:-1] + ("A" if secret[-1] != "A" else "B"), secret + "x", "yw_", "yw_" + "0" * 32 + "_" + "x" * 43, "yw_nonsense"]
    answers = [town.client.get("/api/v1/tasks", headers={"authorization": f"Bearer {each}"}) for each in wrong]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 429]
    assert answers[-1].headers["retry-after"].isdigit() and answers[-1].json()["code"] == "YW-ACCESS-002"
    assert town.get("/api/v1/tasks", town.keys["clerk"]).status_code == 200, "a right key is not locked out by others' guesses"


def test_a_revoked_key_and_an_ended_session_are_out(town: City) -> None:
    security = town.staff["security_administrator"]
    made = town.post("/api/v1/keys", security, {"name": "短期", "grants": [{"role": "clerk", "unit_code": "B01"}], "expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()})
    assert made.status_code == 201, made.text
    headers, address = {"authorization": f"Bearer {made.json()['secret']}"}, f"/api/v1/keys/{made.json()['id']}/confirmation"
    assert town.get("/api/v1/tasks", headers).status_code == 401, "nobody gives himself a role by a key"
    assert town.post(address, security).status_code == 403
    confirmed = town.post(address, town.staff["system_administrator"]).json()
    assert confirmed["created_by"] != confirmed["confirmed_by"] and town.get("/api/v1/tasks", headers).status_code == 200
    assert town.post(f"/api/v1/keys/{made.json()['id']}/revocation", security).status_code == 200
    time.sleep(1.1)
    assert town.get("/api/v1/tasks", headers).status_code == 401
    [session] = [each for each in town.get("/api/v1/sessions", security).json()["items"] if each["subject"] == f"party:{town.parties[1]}"]
    assert town.get("/api/v1/cases", town.citizens[1]).status_code == 200
    assert town.post(f"/api/v1/sessions/{session['id']}/end", security).status_code == 200
    assert town.get("/api/v1/cases", town.citizens[1]).status_code == 401


def test_the_secret_of_a_key_is_shown_once_however_often_it_is_asked_for(town: City) -> None:
    security, header = town.staff["security_administrator"], key()
    body = {"name": "系统", "grants": [{"role": "clerk", "unit_code": "B01"}], "expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    first, second = (town.client.post("/api/v1/keys", json=body, headers=security | header).json() for _ in range(2))
    assert first["id"] == second["id"] and first["secret"] and second["secret"] is None
    for role, unit, code in (
        ("security_administrator", None, "YW-ACCESS-001"), ("applicant", None, "YW-ACCESS-001"), ("government_head", None, "YW-ACCESS-001"),
        ("clerk", None, "YW-ORG-001"), ("supervisor", "B01", "YW-ORG-001"), ("clerk", "NOSUCH", "YW-STORE-011"),
    ):  # fmt: skip
        assert town.post("/api/v1/keys", security, body | {"grants": [{"role": role, "unit_code": unit}]}).json()["code"] == code, role
    assert town.post("/api/v1/keys", security, body | {"unit_code": "NOSUCH"}).json()["code"] == "YW-STORE-011"


def test_another_site_cannot_use_a_session(town: City) -> None:
    evil = town.citizens[0] | {"origin": "https://evil.example"}
    assert town.post("/api/v1/cases", evil, {"matter_code": MATTER}).status_code == 401
