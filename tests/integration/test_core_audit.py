"""The audit chain on SQLite and on PostgreSQL: sealed in order of commit, whole after kills, and whatever is done to it is found."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from models.core.audit import heads
from models.core.audit.chain import START, Head, link, sign
from models.core.audit.reading import listed
from models.core.audit.service import heads_of, seal, verify
from models.core.crypto.service import provider
from models.core.crypto.software import SoftwareProvider
from models.core.work.service import Actor, Work, work
from models.domain.settings import Settings, get_settings
from models.store.operational.database import Database
from models.store.operational.migration import upgrade
from models.store.operational.paging import Paging
from models.store.operational.tables import Audit, AuditHead
from serving.cli.main import app
from tests.support.operational import AT, CRYPTO, chain, record, unguarded

LATER = AT + timedelta(minutes=5)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere" / "audit.heads"


def kinds(database: Database, path: Path) -> list[tuple[str, int | None]]:
    return [(finding.kind, finding.number) for finding in verify(database, CRYPTO, path, LATER, page=3)]


def test_rows_are_chained_in_order_signed_and_once(database: Database, path: Path) -> None:
    assert seal(database, CRYPTO, path, AT) == 0 and not path.exists() and kinds(database, path) == []
    record(database, 5)
    assert [seal(database, CRYPTO, path, AT, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    record(database, 3)
    assert seal(database, CRYPTO, path, AT) == 3
    assert chain(database) == list(zip(range(1, 9), [f"case:{n}" for n in (0, 1, 2, 3, 4, 0, 1, 2)], strict=True))
    lines = [head for _, head in heads.read(path)]
    assert [head.number for head in lines if head] == [2, 4, 5, 8] and all(head and head.is_signed(CRYPTO) for head in lines)
    assert kinds(database, path) == []


_COPY = (
    "INSERT INTO audit (position, at, actor, authority, action, target, detail, chain_number, chain_hash)"
    " SELECT {position}, at, actor, authority, action, target, detail, {number}, chain_hash FROM audit WHERE chain_number = 7"
)
TAMPERING: dict[str, tuple[list[str], list[tuple[str, int | None]]]] = {
    "actor": (["UPDATE audit SET actor = 'u2' WHERE chain_number = 3"], [("changed", 3)]),
    "instant": (["UPDATE audit SET at = (SELECT min(at) FROM audit) WHERE chain_number = 1"], [("changed", 1)]),
    "detail": ([""" UPDATE audit SET detail = '{"number": 9}' WHERE chain_number = 7 """], [("changed", 7)]),
    "hash": (["UPDATE audit SET chain_hash = 'ff' WHERE chain_number = 2"], [("changed", 2), ("changed", 3)]),
    "last hash": (["UPDATE audit SET chain_hash = 'ff' WHERE chain_number = 7"], [("changed", 7), ("head", 7), ("outside", 7)]),
    "no hash": (["UPDATE audit SET chain_hash = NULL WHERE chain_number = 2"], [("changed", 2), ("changed", 3)]),
    "removed": (["DELETE FROM audit WHERE chain_number IN (3, 4)"], [("removed", 3), ("head", 4), ("outside", 4)]),
    "first removed": (["DELETE FROM audit WHERE chain_number = 1"], [("removed", 1)]),
    "last removed": (["DELETE FROM audit WHERE chain_number = 7"], [("head", 7), ("outside", 7)]),
    "last removed with its head": (["DELETE FROM audit WHERE chain_number = 7", "DELETE FROM audit_head WHERE number = 7"], [("inserted", 5), ("outside", 7)]),
    "all removed": (["DELETE FROM audit", "DELETE FROM audit_head"], [("outside", 4)]),
    "reordered": (
        ["UPDATE audit SET chain_number = 99 WHERE chain_number = 2", "UPDATE audit SET chain_number = 2 WHERE chain_number = 3",
         "UPDATE audit SET chain_number = 3 WHERE chain_number = 99"],
        [("changed", 2), ("changed", 3), ("changed", 4)],
    ),
    "appended": (
        [_COPY.format(position=1000, number=8)],
        [("changed", 8), ("inserted", 8)],
    ),
    "unchained": (["UPDATE audit SET chain_number = NULL WHERE chain_number = 7"], [("head", 7), ("outside", 7), ("unsealed", None), ("changed", None)]),
    "inserted before the first": ([_COPY.format(position=1000, number=0), _COPY.format(position=1001, number=-1)], [("inserted", None)]),
    "head removed inside": (["DELETE FROM audit_head WHERE number = 4"], [("outside", 4)]),
    "head": (["UPDATE audit_head SET hash = 'ff' WHERE number = 4"], [("head", 4)]),
    "head of another key": (["UPDATE audit_head SET signature = 'a9:00' WHERE number = 4"], [("head", 4)]),
}  # fmt: skip


def test_whatever_is_done_to_sealed_rows_is_found(database: Database, path: Path) -> None:
    found = {}
    for name, (statements, _) in TAMPERING.items():
        for count in (4, 3):
            record(database, count, AT + timedelta(seconds=count))
            seal(database, CRYPTO, path, AT)
        assert kinds(database, path) == []
        unguarded(database, *statements)
        found[name] = kinds(database, path)
        unguarded(database, "DELETE FROM audit", "DELETE FROM audit_head")
        path.unlink()
    assert found == {name: expected for name, (_, expected) in TAMPERING.items()}


def test_a_row_that_nobody_can_read_is_found_and_the_rest_verified(database: Database, path: Path) -> None:
    if not database.is_sqlite:
        pytest.skip("PostgreSQL keeps no broken JSON")
    record(database, 7)
    seal(database, CRYPTO, path, AT)
    unguarded(database, "UPDATE audit SET detail = '{' WHERE chain_number = 2", "UPDATE audit SET at = 'never' WHERE chain_number = 5")
    assert kinds(database, path) == [("changed", 2), ("changed", 5)]


SPOILT = {
    "a number that is none": ("UPDATE audit SET chain_number = 'abc' WHERE chain_number = 3", [("inserted", None), ("removed", 3)]),
    "bytes for text": ("UPDATE audit SET actor = x'ff00' WHERE chain_number = 3", [("changed", 3)]),
    "text that is none": ("UPDATE audit SET actor = CAST(x'ff' AS TEXT) WHERE chain_number = 3", [("changed", 3)]),
    "bytes for a hash": ("UPDATE audit SET chain_hash = x'ff' WHERE chain_number = 3", [("changed", 3), ("changed", 4)]),
    "JSON too deep": (f"UPDATE audit SET detail = '{'[' * 90_000}{']' * 90_000}' WHERE chain_number = 3", [("changed", 3)]),
    "a head's instant": ("UPDATE audit_head SET at = 'never' WHERE number = 7", [("head", 7)]),
    "a head's number": ("UPDATE audit_head SET number = 'x' WHERE number = 7", [("inserted", 1), ("head", None), ("outside", 7)]),
    "a head's signature": ("UPDATE audit_head SET signature = x'ff' WHERE number = 7", [("head", 7)]),
}


def test_spoilt_rows_are_findings_and_hide_nothing_beside_them(database: Database, path: Path) -> None:
    found = {}
    spoilt = SPOILT if database.is_sqlite else {"no end of days": ("UPDATE audit SET at = 'infinity' WHERE chain_number = 3", [("changed", 3)])}
    for name, (statement, _) in spoilt.items():
        record(database, 7)
        seal(database, CRYPTO, path, AT)
        unguarded(database, statement, "UPDATE audit SET actor = 'x' WHERE chain_number = 6")
        found[name] = kinds(database, path)
        unguarded(database, "DELETE FROM audit", "DELETE FROM audit_head")
        path.unlink()
    merged = {name: sorted([*expected, ("changed", 6)], key=str) for name, (_, expected) in spoilt.items()}
    assert {name: sorted(each, key=str) for name, each in found.items()} == merged


def test_a_list_of_the_audit_says_which_row_cannot_be_read_and_shows_the_others(database: Database, path: Path) -> None:
    names = [name for name in SPOILT if "head" not in name and "hash" not in name] if database.is_sqlite else ["no end of days"]
    for name in names:
        record(database, 5)
        seal(database, CRYPTO, path, AT)
        unguarded(database, SPOILT[name][0] if database.is_sqlite else "UPDATE audit SET at = 'infinity' WHERE chain_number = 3")
        with work(database, Actor("reader", frozenset()), AT) as now:
            read = listed(now, Paging()).items
        assert [entry.is_readable for entry in read] == [True, True, False, True, True], name
        assert read[2].at is None and all(entry.target for entry in read if entry.is_readable)
        unguarded(database, "DELETE FROM audit", "DELETE FROM audit_head")
        path.unlink()


def test_a_row_spoilt_before_it_was_sealed_does_not_keep_others_from_being_sealed(database: Database, path: Path) -> None:
    record(database, 1)
    at, number = ("'never'", "NULL") if database.is_sqlite else ("'infinity'", "CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
    with database.engine.begin() as connection:
        connection.execute(sa.text(f"INSERT INTO audit (\"transaction\", at, actor, authority, action, target, detail) VALUES ({number}, {at}, 'x', '', '', '', '{{}}')"))
    record(database, 2)
    assert kinds(database, path) == [("unsealed", None)], "also where its instant is never over"
    assert seal(database, CRYPTO, path, AT) == 4 and seal(database, CRYPTO, path, AT) == 0
    (number,) = [number for number, target in chain(database) if target == ""]
    assert kinds(database, path) == [("changed", number)], "whoever checks is told each time"


def test_lines_taken_out_of_the_file_of_heads_are_found(database: Database, path: Path) -> None:
    for _ in range(5):
        record(database, 1)
        seal(database, CRYPTO, path, AT)
    lines = path.read_text().splitlines(keepends=True)
    for kept, first in (([1, 2, 3, 4], 1), ([0, 1, 4], 3), ([4], 1)):
        path.write_text("".join(lines[each] for each in kept))
        assert kinds(database, path) == [("outside", first)]
    path.write_text("".join([lines[0], lines[1], lines[1], *lines[2:]]))
    assert kinds(database, path) == [], "a line that was written twice says nothing else"
    path.write_text("".join([*lines, lines[0].replace('"number":1', f'"number":{10**30}')]))
    assert kinds(database, path) == [("outside", None)]


def test_a_chain_rewritten_whole_with_the_key_in_hand_contradicts_the_heads_outside(database: Database, path: Path) -> None:
    for count in (3, 2, 2):
        record(database, count)
        seal(database, CRYPTO, path, AT)
    unguarded(database, "UPDATE audit SET actor = 'nobody' WHERE chain_number = 4")
    _rewrite(database, CRYPTO)
    assert kinds(database, path) == [("outside", 5)]
    (finding,) = verify(database, CRYPTO, path, LATER)
    assert "从第 5 条起有 2 个" in finding.sentence and "重写" in finding.sentence
    _rewrite(database, SoftwareProvider({"k": b"0" * 32}, {"a1": b"9" * 32}, b"0" * 32, "sm4-gcm"))
    assert kinds(database, path) == [("head", 3), ("outside", 5)], "without the key heads of the store give it away too"


def _rewrite(database: Database, crypto: SoftwareProvider) -> None:
    with database.read() as session:
        rows = session.execute(sa.select(*Audit.__table__.columns).order_by(Audit.chain_number)).all()
        ends = set(session.scalars(sa.select(AuditHead.number)))
    previous, statements = START, []
    for row in rows:
        previous = link(crypto, previous, row.chain_number, row)
        statements.append(f"UPDATE audit SET chain_hash = '{previous}' WHERE position = {row.position}")
        if row.chain_number in ends:
            head = sign(crypto, row.chain_number, previous, AT)
            statements.append(f"UPDATE audit_head SET hash = '{head.hash}', signature = '{head.signature}' WHERE number = {head.number}")
    unguarded(database, *statements)


def test_rows_and_heads_that_wait_too_long_are_told(database: Database, path: Path) -> None:
    record(database, 2)
    seal(database, CRYPTO, path, AT)
    record(database, 1)
    assert kinds(database, path) == [("unsealed", None)]
    assert list(verify(database, CRYPTO, path, AT)) == [], "within the minute all is well"
    seal(database, CRYPTO, path, AT)
    path.unlink()
    assert kinds(database, path) == [("outside", 1)]
    assert seal(database, CRYPTO, path, AT) == 0 and kinds(database, path) == [], "heads of the store are written again"


def test_a_line_of_heads_that_a_crash_cut_is_written_again_and_one_that_was_changed_is_found(database: Database, path: Path) -> None:
    for _ in range(3):
        record(database, 1)
        seal(database, CRYPTO, path, AT)
    path.write_bytes(path.read_bytes()[:-30])
    seal(database, CRYPTO, path, AT)
    assert len(path.read_text().splitlines()) == 4 and kinds(database, path) == []
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0].replace("hash", "hush"), *lines[1:]]))
    assert kinds(database, path) == [("outside", None), ("outside", 1)]
    first = Head.of_line(lines[0])
    assert first is not None
    path.write_text("".join([replace(first, hash="0" * 64).line(), *lines[1:]]))
    assert kinds(database, path) == [("outside", 1)]


REFUSED = [
    "UPDATE audit SET actor = 'x' WHERE chain_number = 1", "UPDATE audit SET actor = 'x' WHERE chain_number IS NULL",
    "UPDATE audit SET chain_number = 9, chain_hash = 'x', actor = 'x' WHERE chain_number IS NULL",
    "UPDATE audit SET chain_number = 9 WHERE chain_number IS NULL", "UPDATE audit SET chain_number = NULL, chain_hash = NULL WHERE chain_number = 1",
    "UPDATE audit SET chain_hash = 'x' WHERE chain_number = 1", "DELETE FROM audit WHERE chain_number = 1", "DELETE FROM audit WHERE chain_number IS NULL",
    "INSERT INTO audit (position, at, actor, authority, action, target, detail, chain_number, chain_hash)"
    " SELECT 99, at, actor, authority, action, target, detail, 99, 'x' FROM audit WHERE chain_number = 1",
    "UPDATE audit_head SET hash = 'x'", "DELETE FROM audit_head", "UPDATE case_event SET actor = 'x'", "DELETE FROM case_event",
]  # fmt: skip
SQLITE = [
    "REPLACE INTO audit (position, at, actor, authority, action, target, detail) SELECT position, at, 'x', authority, action, target, detail FROM audit WHERE chain_number = 1",
    "UPDATE OR REPLACE audit SET chain_number = 1, chain_hash = 'x' WHERE chain_number IS NULL",
    "REPLACE INTO audit_head SELECT number, 'x', at, signature FROM audit_head", "REPLACE INTO case_event SELECT * FROM case_event",
]  # fmt: skip
POSTGRESQL = ["TRUNCATE audit", "TRUNCATE audit_head", "TRUNCATE case_event", "TRUNCATE case_file CASCADE"]


def test_the_database_itself_refuses_to_change_what_was_done(database: Database, path: Path) -> None:
    record(database, 1)
    seal(database, CRYPTO, path, AT)
    record(database, 1)
    case = uuid4()
    _a_case_with_an_event(database, case)
    for statement in REFUSED + (SQLITE if database.is_sqlite else POSTGRESQL):
        with pytest.raises(sa.exc.DBAPIError, match="only grows"), database.engine.begin() as connection:
            connection.execute(sa.text(statement))
    with database.read() as session:
        assert session.scalars(sa.select(Audit.actor)).all() == ["u1", "u1"] and session.scalar(sa.text("SELECT actor FROM case_event")) == "u1"
    assert kinds(database, path) == [("unsealed", None)]


def _a_case_with_an_event(database: Database, case: object) -> None:
    """Rows as they may be, whatever columns the tables have: only what the database demands."""
    with database.engine.begin() as connection:
        for name, own in (("case_file", {"id": case}), ("case_event", {"case_id": case, "sequence": 1, "actor": "u1"})):
            table = Audit.metadata.tables[name]
            demanded = {column.name: _some(column) for column in table.columns if not column.nullable}
            connection.execute(sa.insert(table).values(demanded | own))


def _some(column: sa.Column[object]) -> object:
    if column.name.endswith("_at"):
        return AT
    return {sa.String: "x", sa.Integer: 1, sa.Boolean: False, sa.JSON: {}}.get(type(column.type))


def test_a_transaction_that_commits_late_is_chained_where_it_began(database: Database, path: Path) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has one writer: none is late")
    record(database, 1)
    with database.write() as late:
        Work(late, Actor("late", frozenset()), AT, True).record("a", "late")
        late.flush()
        record(database, 2)
        assert seal(database, CRYPTO, path, AT) == 1, "what was committed after the open one began waits for it"
    assert seal(database, CRYPTO, path, AT) == 3
    assert [target for _, target in chain(database)] == ["case:0", "late", "case:0", "case:1"]
    assert kinds(database, path) == []


def test_rows_of_a_logical_backup_are_sealed_on_a_server_that_counts_anew(database: Database, path: Path) -> None:
    record(database, 2)
    unguarded(database, 'UPDATE audit SET "transaction" = 1000000 + position')
    assert seal(database, CRYPTO, path, AT) == 2 and kinds(database, path) == []


def test_writers_and_sealers_at_once_make_one_chain_without_gaps(database: Database, path: Path) -> None:
    failed: list[BaseException] = []
    writing = threading.Event()

    def guarded(body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            failed.append(error)

    def write() -> None:
        for _ in range(12):
            record(database, 2)

    def seal_on() -> None:
        while not writing.is_set():
            seal(database, CRYPTO, path, AT, limit=5)

    writers = [threading.Thread(target=guarded, args=(write,)) for _ in range(3)]
    sealers = [threading.Thread(target=guarded, args=(seal_on,)) for _ in range(2)]
    for thread in [*writers, *sealers]:
        thread.start()
    for thread in writers:
        thread.join()
    writing.set()
    for thread in sealers:
        thread.join()
    while seal(database, CRYPTO, path, AT):
        pass
    assert failed == [] and [number for number, _ in chain(database)] == list(range(1, 73))
    assert kinds(database, path) == []


@pytest.mark.parametrize("moment", ["models.core.audit.service.link:3", "models.core.audit.heads.append:2", "random"])
def test_after_a_kill_in_the_middle_of_sealing_the_chain_is_whole(database: Database, database_settings: Settings, path: Path, moment: str) -> None:
    record(database, 40)
    child = [sys.executable, str(ROOT / "tests" / "support" / "sealing.py"), str(database_settings.home), str(path), moment]
    url = database_settings.database_url
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **({"YIWANG_DATABASE_URL": url.get_secret_value()} if url else {})}
    with subprocess.Popen(child, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"sealing\n"
        if moment == "random":
            time.sleep(int.from_bytes(os.urandom(1)) / 255 * 0.1)
            process.kill()
        assert process.wait(timeout=60) == -signal.SIGKILL
    kept = [number for number, _ in chain(database) if number is not None]
    assert kept == list(range(1, len(kept) + 1)) and (moment == "random" or 0 <= len(kept) < 40)
    assert [kind for kind, _ in kinds(database, path)] in ([], ["unsealed"], ["outside", "unsealed"], ["outside"])
    while seal(database, CRYPTO, path, AT):
        pass
    assert [number for number, _ in chain(database)] == list(range(1, 41)) and kinds(database, path) == []


def test_the_command_says_what_it_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YIWANG_DATABASE_URL", raising=False)
    monkeypatch.setenv("YIWANG_HOME", str(tmp_path))  # the command sets it: here it is set back
    run = CliRunner().invoke
    where = ["--home", str(tmp_path)]
    nothing = run(app, ["audit", "verify", *where])
    assert nothing.exit_code == 2 and "YW-AUDIT-001" in nothing.output
    settings = Settings(home=tmp_path)
    database = Database(settings)
    upgrade(database)
    record(database, 3)
    assert "已封存 3 条" in run(app, ["audit", "seal", *where]).output
    good = run(app, ["audit", "verify", *where])
    assert (good.exit_code, "没有发现问题" in good.output) == (0, True)
    unguarded(database, "UPDATE audit SET actor = 'x' WHERE chain_number = 2")
    bad = run(app, ["audit", "verify", *where])
    assert bad.exit_code == 1 and "✗ 审计记录第 2 条与封存时不一致" in bad.output and "发现 1 个问题" in bad.output
    assert list(verify(database, provider(settings), heads_of(settings), LATER))[0].number == 2
    database.close()
    get_settings.cache_clear()
