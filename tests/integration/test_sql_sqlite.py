"""Cases from an SQLite file: columns without type, short pages beside a writer, what is read again, faults."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from models.domain.errors import YiwangError
from pipelines.sources.databases import dialects
from tests.support.sync import SyncHome, numbers

SOURCE: dict[str, Any] = {"kind": "sql", "subject": "case", "location": "sqlite:///office.db", "table": "办件", "cursor": "updated_at", "deleted": "gone"}


class Office:
    """An SQLite file and a home that reads it."""

    def __init__(self, folder: Path) -> None:
        self.home = SyncHome.make(folder)
        self.path = folder / "office.db"
        self.writer = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self.do("PRAGMA journal_mode = WAL")
        self.do("CREATE TABLE 办件 (case_number, matter_code TEXT, 收件时间, updated_at, gone)")

    def do(self, statement: str, *parameters: object) -> None:
        self.writer.execute(statement, parameters)

    def add(self, number: object, at: object, received: object = "2026-01-01", matter: str = "M") -> None:
        self.do("INSERT INTO 办件 VALUES (?, ?, ?, ?, 0)", number, matter, received, at)

    def configure(self, **keys: Any) -> None:
        self.home.configure({key: value for key, value in (SOURCE | keys).items() if value is not None})


@pytest.fixture
def office(tmp_path: Path) -> Any:
    found = Office(tmp_path)
    yield found
    found.writer.close()


def fails(home: SyncHome, code: str = "YW-SYNC-007") -> str:
    with pytest.raises(YiwangError) as caught:
        home.sync()
    assert caught.value.code == code
    return caught.value.message


@pytest.mark.parametrize("page_rows", [3, 100])
def test_only_what_is_new_is_read(office: Office, page_rows: int) -> None:
    for number in [1, "2", 3.5, None, None, 6, 7]:
        office.add(number, "2026-03-01 09:00:00")
    office.add("none", None)
    office.configure(page_rows=page_rows)
    assert numbers(office.home.one()) == {"rows_read": 8, "inserted": 6, "quarantined": 2}
    assert office.home.rows('SELECT case_number FROM raw."case" ORDER BY 1') == ["1", "2", "3.5", "6", "7", "none"]
    assert numbers(office.home.one()) == {}
    office.add("tie", "2026-03-01 09:00:00")  # in the same second as the last one read
    office.add("none 2", None)
    office.add("later", "2026-03-01 10:00:00")
    office.do("UPDATE 办件 SET gone = 1, updated_at = '2026-03-01 11:00:00' WHERE case_number = 6")
    assert numbers(office.home.one()) == {"rows_read": 4, "inserted": 3, "deleted": 1}
    assert numbers(office.home.one()) == {}


def test_cursors_that_are_none_hold_nothing_up(office: Office) -> None:
    for number, at in {"A": "昨天", "B": "9999-12-31", "C": b"\x01\xff", "D": "", "E": "2026/3/2 9:00", "F": "2026-03-01"}.items():
        office.add(number, at)
    office.configure(page_rows=1)
    count = office.home.one()
    assert (count.rows_read, count.inserted, count.quarantined) == (6, 4, 2)
    office.add("new", "2026-03-02")
    assert numbers(office.home.one()) == {"rows_read": 1, "inserted": 1}
    office.do("UPDATE 办件 SET updated_at = '2026-03-03' WHERE case_number IN ('A', 'C')")
    assert numbers(office.home.one()) == {"rows_read": 2, "inserted": 2}
    assert office.home.rows("SELECT count(*) FROM raw.quarantine") == [0]


def test_a_mended_record_comes_in_though_its_cursor_stays(office: Office) -> None:
    office.add("A", "2026-03-01", received="昨天")
    office.add(7, "2026-03-02", received="前天")
    office.add("C", "2026-03-03")
    office.configure()
    assert numbers(office.home.one()) == {"rows_read": 3, "inserted": 1, "quarantined": 2}
    assert numbers(office.home.one()) == {}
    office.do("UPDATE 办件 SET 收件时间 = '2026-03-01' WHERE case_number <> 'C'")
    assert numbers(office.home.one()) == {"rows_read": 2, "inserted": 2}


@pytest.mark.parametrize(("look_back", "found"), [("1h", {}), ("3h", {"rows_read": 1, "inserted": 1})])
def test_look_back(office: Office, look_back: str, found: dict[str, int]) -> None:
    office.add("A", "2026-03-01 12:00:00")
    office.configure(look_back=look_back)
    office.home.sync()
    office.add("late", "2026-03-01 10:00:00")
    assert numbers(office.home.one()) == found


def test_a_writer_goes_on_and_its_log_is_emptied_between_pages(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pages the whole log can be checkpointed, and what was written meanwhile behind the page is not lost."""
    for number in range(10):
        office.add(number, f"2026-03-01 09:00:0{number}")
    office.configure(page_rows=4)
    checkpoints = []
    pages = dialects.Dialect.pages

    def beside(*arguments: Any) -> Any:
        for page in pages(*arguments):
            yield page
            office.add(f"behind {len(checkpoints)}", "2026-03-01 09:00:00.5")
            checkpoints.append(office.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])

    monkeypatch.setattr(dialects.Dialect, "pages", beside)
    assert office.home.one().inserted == 10
    assert checkpoints == [0, 0, 0]
    monkeypatch.undo()
    assert numbers(office.home.one()) == {"rows_read": 3, "inserted": 3}
    assert numbers(office.home.one()) == {}


def test_the_whole_table_and_texts_of_another_encoding(office: Office) -> None:
    office.add("A", None)
    office.do("UPDATE 办件 SET matter_code = CAST(? AS TEXT)", "事项".encode("gb18030"))
    office.configure(cursor=None, vanished="delete")
    assert numbers(office.home.one()) == {"rows_read": 1, "inserted": 1}
    assert office.home.rows('SELECT matter_code FROM raw."case"') == ["事项"]
    office.do("DELETE FROM 办件")
    assert numbers(office.home.one()) == {"rows_read": 1, "deleted": 1}


def test_deletions_and_vanished_keys(office: Office) -> None:
    office.do("CREATE TABLE gone (no, at)")
    for number in range(8):
        office.add(number, "2026-03-01 09:00:00")
    office.configure(deletions={"table": "gone", "key": ["no"], "at": "at"}, vanished="delete", vanished_limit="0.5")
    office.home.sync()
    office.do("INSERT INTO gone VALUES (3, '2026-03-02')")
    office.do("DELETE FROM 办件 WHERE case_number IN (3, 4)")
    assert numbers(office.home.one()) == {"rows_read": 2, "deleted": 2}
    assert office.home.rows('SELECT case_number, matter_code FROM raw."case" WHERE _is_deleted ORDER BY 1') == [("3", "M"), ("4", "M")]
    assert numbers(office.home.one()) == {}


def test_faults(office: Office) -> None:
    office.configure(location="sqlite:///nowhere.db")
    assert "不存在" in fails(office.home) and not (office.path.parent / "nowhere.db").exists()
    (office.path.parent / "text.db").write_text("no database, " * 100)
    office.configure(location="sqlite:///text.db")
    assert "不是 SQLite" in fails(office.home)
    office.configure(table="nix")
    assert "没有这张表" in fails(office.home)
    office.configure(connect_timeout="0s")
    office.do("PRAGMA journal_mode = DELETE")
    office.do("BEGIN EXCLUSIVE")
    assert "锁住" in fails(office.home)
    office.do("ROLLBACK")
    office.do("PRAGMA journal_mode = WAL")
    office.do("ALTER TABLE 办件 DROP COLUMN updated_at")
    assert "updated_at" in fails(office.home, "YW-SYNC-003")


def test_a_column_that_mapped_by_itself_and_is_gone_stops_the_sync(office: Office) -> None:
    office.add("A", "2026-03-01 09:00:00")
    office.configure()
    office.home.sync()
    office.do("ALTER TABLE 办件 RENAME COLUMN matter_code TO matter")
    office.add("B", "2026-03-02 09:00:00")
    assert "matter_code" in fails(office.home, "YW-SYNC-003")
    assert office.home.rows('SELECT case_number, matter_code FROM raw."case"') == [("A", "M")]
    office.configure(fields={"matter_code": "matter"})
    office.home.sync()
    assert office.home.rows('SELECT case_number, matter_code FROM raw."case" ORDER BY 1') == [("A", "M"), ("B", "M")]


def test_the_file_is_opened_for_reading_only(office: Office) -> None:
    office.configure(cursor=None, deleted=None, table=None, query="WITH x AS (SELECT 1) DELETE FROM 办件")
    fails(office.home)
    office.add("A", None)
    assert office.writer.execute("SELECT count(*) FROM 办件").fetchone() == (1,)


def test_a_record_that_comes_back_in_the_second_of_its_deletion_stays(office: Office) -> None:
    office.do("CREATE TABLE gone (no, at)")
    office.add("A", "2026-03-01 09:00:00")
    office.add("B", "2026-03-01 09:00:00")
    office.configure(deletions={"table": "gone", "key": ["no"], "at": "at"})
    office.home.sync()
    for number in "AB":
        office.do("DELETE FROM 办件 WHERE case_number = ?", number)
        office.do("INSERT INTO gone VALUES (?, '2026-03-02 10:00:00')", number)
    office.add("A", "2026-03-02 10:00:00")
    assert numbers(office.home.one()) == {"rows_read": 3, "updated": 1, "deleted": 2}
    for day in (3, 4):
        office.add(f"new {day}", f"2026-03-0{day} 09:00:00")
        assert numbers(office.home.one()) == {"rows_read": 1, "inserted": 1}
    assert office.home.rows('SELECT case_number FROM raw."case" WHERE _is_deleted') == ["B"]
    office.do("DELETE FROM 办件 WHERE case_number = 'A'")  # and again, still in that second
    office.do("INSERT INTO gone VALUES ('A', '2026-03-02 10:00:00')")
    assert numbers(office.home.one()) == {"rows_read": 2, "deleted": 1, "superseded": 1}


@pytest.mark.parametrize(("formats", "ahead", "number"), [([], 99991231000000, 20260302090000), (["%Y%m%d%H"], 9999123100, 2026030209)])
def test_a_number_in_the_future_holds_nothing_up(office: Office, formats: list[str], ahead: int, number: int) -> None:
    office.add("A", number)
    office.add("future", ahead)
    office.add("0", 0)
    office.configure(fields={"updated_at": {"column": "updated_at", "formats": formats}})
    office.home.sync()
    office.add("B", number + 10000 if not formats else number + 1)
    office.do("UPDATE 办件 SET updated_at = ? WHERE case_number = '0'", number)
    assert numbers(office.home.one()) == {"rows_read": 2, "inserted": 2}
    assert numbers(office.home.one()) == {}


def test_what_the_keys_show_to_be_missing_is_read(office: Office) -> None:
    """With a unique key: a record that came back, one that was renamed, both with the cursor they had."""
    office.do("CREATE UNIQUE INDEX one ON 办件 (case_number)")
    for number in range(9):
        office.add(number, f"2026-03-0{number + 1} 09:00:00")
    office.configure(vanished="delete", vanished_limit="0.5", page_rows=4)
    office.home.sync()
    office.do("DELETE FROM 办件 WHERE case_number IN (0, 1)")
    office.do("UPDATE 办件 SET case_number = 99 WHERE case_number = 2")
    assert numbers(office.home.one()) == {"rows_read": 4, "inserted": 1, "deleted": 3}
    office.add(0, "2026-03-01 09:00:00", matter="N")
    office.add(1, "2026-01-01 09:00:00")
    assert numbers(office.home.one()) == {"rows_read": 2, "updated": 2}
    assert numbers(office.home.one()) == {}
    assert office.home.rows('SELECT case_number FROM raw."case" WHERE NOT _is_deleted ORDER BY 1') == ["0", "1", "3", "4", "5", "6", "7", "8", "99"]
