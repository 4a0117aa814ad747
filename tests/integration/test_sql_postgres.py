"""Cases from a real PostgreSQL server: reading on, late commits, types, drift, rights and faults."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from models.domain.errors import YiwangError
from pipelines.sources import service
from tests.support.postgres import Server
from tests.support.sql import Office, office
from tests.support.sync import SyncHome, numbers


@pytest.fixture
def town(postgres: Server, tmp_path: Path) -> Iterator[Office]:
    with office(postgres, SyncHome.make(tmp_path)) as found:
        yield found


def fails(home: SyncHome, code: str = "YW-SYNC-007") -> str:
    with pytest.raises(YiwangError) as caught:
        home.sync()
    assert caught.value.code == code
    return caught.value.message


def fill(town: Office, rows: int = 25) -> None:
    town.do("INSERT INTO kase (case_number, matter_code, updated_at) SELECT 'C' || i, 'M', timestamptz '2026-03-01' + i / 4 * interval '1 hour' FROM generate_series(1, %s) AS i", rows)  # fmt: skip


# --- reading on -------------------------------------------------------------------------------------------


def test_only_what_is_new_is_read(town: Office) -> None:
    fill(town)
    town.configure(page_rows=10)
    assert numbers(town.home.one()) == {"rows_read": 25, "inserted": 25}
    assert numbers(town.home.one()) == {}
    town.do("UPDATE kase SET matter_code = 'M2', updated_at = '2026-04-01' WHERE case_number = 'C3'")
    town.do("UPDATE kase SET gone = true, updated_at = '2026-04-01' WHERE case_number = 'C4'")
    town.add("new", "2026-04-02")
    assert numbers(town.home.one()) == {"rows_read": 3, "inserted": 1, "updated": 1, "deleted": 1}
    assert town.home.rows('SELECT count(*), count(*) FILTER (_is_deleted) FROM raw."case"') == [(26, 1)]


@pytest.mark.parametrize("page_rows", [1, 3, 100])
def test_ties_across_pages_lose_nothing(town: Office, page_rows: int) -> None:
    for number in [*range(5), None, None, 3, 3]:
        town.add(number, "2026-03-01")
    town.add("later", "2026-03-02")
    town.configure(page_rows=page_rows)
    count = town.home.one()
    assert (count.rows_read, count.inserted, count.superseded + count.unchanged + count.updated, count.quarantined) == (10, 6, 2, 2)
    assert numbers(town.home.one()) == {}


def test_a_row_without_cursor_is_read_and_read_again_when_it_changes(town: Office) -> None:
    town.add("A", None)
    town.add("B", "2026-03-01")
    town.configure()
    assert numbers(town.home.one()) == {"rows_read": 2, "inserted": 2}
    assert numbers(town.home.one()) == {}
    town.do("UPDATE kase SET matter_code = 'M2' WHERE case_number = 'A'")
    town.add("C", None)
    assert numbers(town.home.one()) == {"rows_read": 2, "inserted": 1, "updated": 1}


def test_a_change_that_leaves_the_cursor_alone_comes_in(town: Office) -> None:
    fill(town)
    town.configure()
    town.home.sync()
    town.do("UPDATE kase SET matter_code = 'M2' WHERE case_number = 'C3'")
    assert numbers(town.home.one()) == {"rows_read": 1, "updated": 1}


def test_cursors_of_the_far_future_and_beyond_the_calendar_hold_nothing_up(town: Office) -> None:
    for number, at in {"A": "infinity", "B": "-infinity", "C": "0044-03-15 BC", "D": "9999-12-31", "E": "12026-01-01", "F": "2026-03-01"}.items():
        town.add(number, at)
    town.configure(page_rows=1)
    count = town.home.one()
    assert (count.rows_read, count.inserted, count.quarantined) == (6, 2, 4)
    assert town.home.rows("SELECT record_key, reason FROM raw.quarantine ORDER BY 1")[0] == ("A", "更新时间（updated_at）的值“infinity”不是日期时间")
    town.add("new", "2026-03-02")
    assert numbers(town.home.one()) == {"rows_read": 1, "inserted": 1}
    town.do("UPDATE kase SET updated_at = '2026-03-03' WHERE case_number IN ('A', 'B', 'C', 'E')")
    assert numbers(town.home.one()) == {"rows_read": 4, "inserted": 4}
    assert town.home.rows("SELECT count(*) FROM raw.quarantine") == [0]


def test_a_table_without_cursor_is_read_whole_and_misses_what_vanished(town: Office) -> None:
    fill(town)
    town.configure(cursor=None, vanished="delete")
    assert numbers(town.home.one()) == {"rows_read": 25, "inserted": 25}
    town.do("DELETE FROM kase WHERE case_number = 'C3'")
    assert numbers(town.home.one()) == {"rows_read": 25, "unchanged": 24, "deleted": 1}


def test_vanished_records_are_found_by_their_keys(town: Office) -> None:
    fill(town)
    town.configure(vanished="delete", page_rows=10)
    town.home.sync()
    town.do("DELETE FROM kase WHERE case_number IN ('C3', 'C9')")
    town.add("new", "2026-04-01")
    assert numbers(town.home.one()) == {"rows_read": 3, "inserted": 1, "deleted": 2}
    assert [row[0] for row in town.raw() if row[2]] == ["C3", "C9"]
    assert numbers(town.home.one()) == {}
    town.add("C3", "2026-05-01")
    assert numbers(town.home.one()) == {"rows_read": 1, "updated": 1}
    town.do("TRUNCATE kase")
    assert "vanished_limit" in fails(town.home, "YW-SYNC-006")


def test_a_table_of_deletions_marks_records_and_keeps_what_they_said(town: Office) -> None:
    town.do("CREATE TABLE 删除记录 (编号 text, 删除时间 timestamptz)")
    fill(town)
    town.configure(deletions={"table": "删除记录", "key": ["编号"], "at": "删除时间"})
    town.do("INSERT INTO 删除记录 VALUES ('never loaded', '2026-03-01')")
    assert numbers(town.home.one()) == {"rows_read": 25, "inserted": 25}
    town.do("DELETE FROM kase WHERE case_number = 'C3'")
    town.do("INSERT INTO 删除记录 VALUES ('C3', '2026-04-01'), ('C4', '2020-01-01')")  # C4 was changed after its deletion
    assert numbers(town.home.one()) == {"rows_read": 1, "deleted": 1}
    assert [row for row in town.raw() if row[2]] == [("C3", "M", True)]
    assert numbers(town.home.one()) == {}
    town.add("C3", "2026-04-02", "M3")
    assert numbers(town.home.one()) == {"rows_read": 1, "updated": 1}


def test_a_view_knows_a_number_in_the_future_a_deletion_in_its_second_and_a_record_that_came_back(town: Office) -> None:
    town.do("CREATE VIEW view AS SELECT case_number, matter_code, to_char(updated_at, 'YYYYMMDDHH24MISS')::bigint AS updated_at, gone FROM kase")
    town.do("CREATE TABLE log (id bigint, at timestamptz)")
    for key in range(8):
        town.add(key, "9999-01-01 00:00" if key == 7 else f"2026-03-0{key + 1}")
    deletions = {"table": "log", "key": ["id"], "at": "at"}
    town.configure(table="view", deletions=deletions, vanished="delete")
    assert numbers(town.home.one()) == {"rows_read": 8, "inserted": 8}
    town.add("new", "2026-04-01")
    town.do("UPDATE kase SET updated_at = '2026-04-02' WHERE case_number = '3'")
    town.do("INSERT INTO log VALUES (3, '2026-04-02 00:00+08'), (4, '2026-04-02')")
    town.do("DELETE FROM kase WHERE case_number IN ('4', '5')")
    assert numbers(town.home.one()) == {"rows_read": 4, "inserted": 1, "updated": 1, "deleted": 2}
    town.add("5", "2026-03-06")
    assert numbers(town.home.one()) == {"rows_read": 1, "updated": 1}
    assert [row[0] for row in town.raw() if row[2]] == ["4"]
    assert numbers(town.home.one()) == {}


# --- late commits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("write", "position"), [
    ("INSERT INTO kase (case_number, updated_at) VALUES ('late', '2026-03-01 00:30')", "id"),
    ("SAVEPOINT s; INSERT INTO kase (case_number, updated_at) VALUES ('late', '2026-03-01 00:30'); RELEASE s", None),
])  # fmt: skip
def test_what_is_committed_late_comes_in(town: Office, write: str, position: str | None) -> None:
    town.configure(position=position)
    with town.session() as slow:
        for statement in write.split(";"):
            slow.execute(statement)  # type: ignore[call-overload]
        fill(town)  # later times, greater numbers, committed first
        assert numbers(town.home.one()) == {"rows_read": 25, "inserted": 25}
        assert numbers(town.home.one()) == {}  # an open transaction neither blocks nor counts
        slow.commit()
    assert numbers(town.home.one()) == {"rows_read": 1, "inserted": 1}
    assert numbers(town.home.one()) == {}


def test_a_prepared_transaction_neither_blocks_nor_is_lost(town: Office) -> None:
    fill(town)
    town.configure()
    with town.session() as slow:
        town.add("late", "2026-03-01", connection=slow)
        slow.execute(f"PREPARE TRANSACTION '{town.name}'")
        slow.commit()
    assert numbers(town.home.one()) == {"rows_read": 25, "inserted": 25}
    town.do("UPDATE kase SET matter_code = 'M2' WHERE case_number = 'C3'")
    assert numbers(town.home.one()) == {"rows_read": 1, "updated": 1}
    assert numbers(town.home.one()) == {}
    town.do(f"COMMIT PREPARED '{town.name}'")
    assert numbers(town.home.one()) == {"rows_read": 1, "inserted": 1}


@pytest.mark.parametrize("position", [None, "id"])
def test_views_step_back_to_before_the_oldest_session(town: Office, position: str | None) -> None:
    town.do("CREATE VIEW view AS SELECT id, case_number, matter_code, updated_at, gone FROM kase")
    fill(town)
    town.configure(table=None, query="SELECT *, ':1' AS extra FROM view -- all of it", position=position, page_rows=10)
    assert numbers(town.home.one()) == {"rows_read": 25, "inserted": 25}
    with town.session() as slow:
        slow.execute("SELECT 1")
        town.add("soon", "2026-03-02")
        assert numbers(town.home.one()) == {"rows_read": 1, "inserted": 1}
        town.add("late", "2026-03-01 18:00", connection=slow)
        slow.execute("UPDATE kase SET id = nextval('kase_id_seq') WHERE case_number = 'late'")
        town.add("sooner", "2026-03-03")
        assert numbers(town.home.one()) == {"rows_read": 1, "inserted": 1}
        slow.commit()
    assert numbers(town.home.one()) == {"rows_read": 1, "inserted": 1}
    assert numbers(town.home.one()) == {}


def test_another_server_is_not_taken_for_the_one_before(town: Office, tmp_path: Path) -> None:
    """A restored database counts its transactions anew: all rows are looked at again, and only what differs counts."""
    fill(town)
    town.configure()
    town.home.sync()
    with office(town.server, town.home) as restored:
        fill(restored)
        restored.do("UPDATE kase SET matter_code = 'M2' WHERE case_number = 'C3'")
        restored.configure()
        assert numbers(town.home.one()) == {"rows_read": 1, "updated": 1}


def test_partitioned_tables_and_materialised_views(town: Office) -> None:
    town.do("CREATE TABLE parts (case_number text, updated_at timestamptz) PARTITION BY RANGE (updated_at)")
    town.do("CREATE TABLE parts_1 PARTITION OF parts DEFAULT")
    town.configure(table="public.parts", deleted=None)
    with town.session() as slow:
        slow.execute("INSERT INTO parts VALUES ('late', '2026-01-01')")
        town.do("INSERT INTO parts VALUES ('A', '2026-03-01')")
        assert numbers(town.home.one()) == {"rows_read": 1, "inserted": 1}
        slow.commit()
    assert numbers(town.home.one()) == {"rows_read": 1, "inserted": 1}


# --- types ------------------------------------------------------------------------------------------------


def test_types_arrive_exactly_and_what_cannot_be_typed_is_set_aside(town: Office) -> None:
    town.do("CREATE TYPE channel AS ENUM ('1', '窗口')")
    town.do("CREATE DOMAIN instant AS timestamptz")
    town.do("""
        CREATE TABLE 办件 (编号 uuid, project_code numeric, channel_code channel, received_at timestamp, 更新 instant, due date, is_fee_charged boolean,
            matter_code char(6), matter_name varchar(20), address jsonb, result_description text[], postcode bytea, region_code int, "a ""b"" %s:c" float8)
    """)
    number = "11111111-2222-3333-4444-555555555555"
    town.do(f"""INSERT INTO 办件 VALUES ('{number}', 12345678901234567890.10, '窗口', '2026-03-02 09:00', '2026-03-02 09:00:00.123456+08', '9999-12-31', true,
        'M1', '', '{{"路": "岳麓"}}', '{{a,"b,c"}}', '\\x01ff', 430104, 0.1)""")
    town.do("INSERT INTO 办件 (编号, due) VALUES (gen_random_uuid(), 'infinity'), (gen_random_uuid(), '0044-03-15 BC'), (gen_random_uuid(), '10000-01-01')")
    fields = {"case_number": "编号", "updated_at": "更新", "source_promised_due_on": "due", "applicant_name": 'a "b" %s:c'}
    town.configure(table="办件", deleted=None, fields=fields)
    count = town.home.one()
    assert (count.inserted, count.quarantined, count.unmapped) == (1, 3, ())
    columns = "case_number, project_code, channel_code, received_at::VARCHAR, updated_at::VARCHAR, source_promised_due_on::VARCHAR, is_fee_charged, matter_code, matter_name, address, result_description, postcode, region_code, applicant_name"
    assert town.home.rows(f'SELECT {columns} FROM raw."case"') == [(
        number, "12345678901234567890.10", "窗口", "2026-03-02 01:00:00+00", "2026-03-02 01:00:00.123456+00", "9999-12-31", True,
        "M1", None, '{"路": "岳麓"}', '["a","b,c"]', "\\x01ff", "430104", "0.1",
    )]  # fmt: skip
    reasons = town.home.rows("SELECT reason FROM raw.quarantine ORDER BY 1")
    assert len(reasons) == 3 and all("source_promised_due_on" in reason for reason in reasons) and any("infinity" in reason for reason in reasons)


def test_no_end_of_validity_is_none(town: Office) -> None:
    town.do("CREATE TABLE r (region_code text, effective_to date)")
    town.do("INSERT INTO r VALUES ('1', 'infinity'), ('2', '2026-01-01')")
    town.home.configure({"kind": "sql", "subject": "region", "location": town.server.url_of(town.name), "table": "r"})
    assert numbers(town.home.one()) == {"rows_read": 2, "inserted": 2}
    assert town.home.rows("SELECT effective_to::VARCHAR FROM raw.region ORDER BY region_code") == [None, "2026-01-01"]


def test_a_mended_record_comes_in_by_itself(town: Office) -> None:
    town.do("ALTER TABLE kase ALTER received_at TYPE text")
    fill(town)
    town.do("UPDATE kase SET received_at = '2026年13月' WHERE case_number = 'C3'")
    town.configure()
    assert numbers(town.home.one()) == {"rows_read": 25, "inserted": 24, "quarantined": 1}
    town.do("UPDATE kase SET received_at = '2026-03-01' WHERE case_number = 'C3'")
    assert numbers(town.home.one()) == {"rows_read": 1, "inserted": 1}
    assert town.home.rows("SELECT count(*) FROM raw.quarantine") == [0]


# --- drift ------------------------------------------------------------------------------------------------


def test_drift_is_reported(town: Office) -> None:
    fill(town)
    town.configure(fields={"matter_code": "matter_code"})
    town.home.sync()
    town.do("ALTER TABLE kase ADD extra text")
    town.add("new", "2026-04-01")
    assert town.home.one().unmapped == ("extra", "id")
    town.do("ALTER TABLE kase ALTER received_at TYPE text USING '昨天'")
    count = town.home.one()
    assert (count.rows_read, count.quarantined) == (26, 26)
    town.do("ALTER TABLE kase DROP matter_code")
    assert "matter_code" in fails(town.home, "YW-SYNC-003")


# --- rights and faults ------------------------------------------------------------------------------------


def test_a_reader_needs_select_only(town: Office) -> None:
    fill(town)
    town.do(f'CREATE ROLE "{town.name}_reader" LOGIN')
    try:
        town.configure(location=town.server.url_of(town.name, f"{town.name}_reader"))
        assert "权限" in fails(town.home)
        town.do(f'GRANT SELECT ON kase TO "{town.name}_reader"')
        assert numbers(town.home.one()) == {"rows_read": 25, "inserted": 25}
        assert numbers(town.home.one()) == {}
    finally:
        town.do(f'DROP OWNED BY "{town.name}_reader"')
        town.do(f'DROP ROLE "{town.name}_reader"')


def test_nothing_can_be_written(town: Office) -> None:
    town.do("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ INSERT INTO kase (case_number) VALUES ('written') RETURNING case_number $$")
    town.configure(table=None, cursor=None, deleted=None, query="SELECT f() AS case_number")
    assert "只读" in fails(town.home)


@pytest.mark.parametrize(("location", "words"), [
    ("postgresql://postgres:${DB_SECRET}@127.0.0.1:{port}/postgres", "密码"),
    ("postgresql://postgres:${DB_SECRET}@127.0.0.1:1/postgres", "连不上"),
    ("postgresql://postgres:${DB_SECRET}@no-such-host.invalid/postgres", "连不上"),
    ("postgresql://postgres@/no_such_base?host={folder}&port={port}", "没有这个库"),
    ("${DB_SECRET}", "网址"),
    ("nosuch://u:${DB_SECRET}@h/d", "驱动"),
])  # fmt: skip
def test_a_database_that_does_not_let_us_in(town: Office, monkeypatch: pytest.MonkeyPatch, location: str, words: str) -> None:
    secret = "s3cr3t-%25-wrong"  # noqa: S105
    monkeypatch.setenv("DB_SECRET", secret)
    town.configure(location=location.replace("{port}", str(town.server.port)).replace("{folder}", str(town.server.folder)))
    with pytest.raises(YiwangError) as caught:
        town.home.sync()
    assert caught.value.code == "YW-SYNC-007" and words in caught.value.message
    shown = "".join(map(str, [caught.value.message, caught.value.values, caught.value.__cause__, caught.value.__suppress_context__]))
    assert "s3cr3t" not in shown and "True" in shown


def test_a_password_in_the_file_is_refused(town: Office) -> None:
    town.configure(location="postgresql://u:hunter2@h/d")
    message = fails(town.home, "YW-SYNC-001")
    assert "环境变量" in message and "hunter2" not in message


@pytest.mark.parametrize(("keys", "words"), [
    ({"table": "nix"}, "没有这张表"), ({"table": "nix.kase"}, "没有这张表"), ({"table": None, "query": "SELECT * FROM kase WHERE"}, "写法"),
    ({"table": None, "query": "SELECT case_number, case_number FROM kase"}, "同名"), ({"table": None, "query": "SELECT 1/0 AS case_number"}, "表达式"),
])  # fmt: skip
def test_tables_and_queries_that_are_wrong(town: Office, keys: dict[str, Any], words: str) -> None:
    town.configure(cursor=None, deleted=None, **keys)
    assert words in fails(town.home)


@pytest.mark.parametrize("keys", [{"table": None}, {"query": "SELECT 1"}, {"table": "a.b.c"}, {"table": 'x" y'}, {"table": None, "query": "DELETE FROM kase"}, {"table": None, "query": "SELECT 1; SELECT 2"}])
def test_entries_that_are_wrong(town: Office, keys: dict[str, Any]) -> None:
    town.configure(**keys)
    assert "city" in fails(town.home, "YW-SYNC-001")


SLOW = "SELECT case_number, updated_at, matter_code || coalesce(pg_sleep(CASE WHEN id > 20 THEN 0.2 ELSE 0 END)::text, '') || repeat('x', 100000) AS matter_code FROM kase WHERE id > 0"


def test_a_connection_that_is_cut_loses_nothing(town: Office) -> None:
    """The server ends the session while a later page is read; what was committed stays, and the next sync goes on."""
    fill(town, 60)
    town.do("CREATE INDEX ON kase (updated_at, case_number)")
    town.do("ANALYZE kase")
    town.configure(table=None, deleted=None, query=SLOW, page_rows=5)

    def cut() -> None:
        while not town.home.settings.warehouse.exists() or not town.connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'yiwang' AND query LIKE 'COPY%pg_sleep%' AND clock_timestamp() - query_start > interval '1.5 s'"
        ).fetchone()[0]:  # type: ignore[index]
            time.sleep(0.02)

    thread = threading.Thread(target=cut)
    thread.start()
    message = fails(town.home)
    thread.join()
    assert "连接中断" in message
    before = town.home.rows('SELECT count(*) FROM raw."case"')
    assert before[0] < 60
    town.configure(table=None, deleted=None, query=SLOW.replace("0.2", "0.0"), page_rows=5)
    town.home.sync()
    assert town.home.rows('SELECT count(*), count(DISTINCT case_number) FROM raw."case"') == [(60, 60)]


def test_a_statement_that_takes_too_long(town: Office) -> None:
    fill(town, 60)
    town.configure(table=None, deleted=None, query=SLOW, timeout="1s")
    assert "timeout" in fails(town.home)


def test_a_locked_table_is_waited_for_only_so_long(town: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.sources.databases import postgres

    monkeypatch.setattr(postgres, "LOCK_TIMEOUT", "200ms")
    town.configure()
    with town.session() as migration:
        migration.execute("ALTER TABLE kase ADD extra text")
        assert "锁住" in fails(town.home)
        migration.rollback()
    assert numbers(town.home.one()) == {}


def test_a_restart_of_the_server(town: Office) -> None:
    fill(town)
    town.configure()
    town.home.sync()
    town.add("new", "2026-04-01")
    town.server.stop()
    try:
        assert "连不上" in fails(town.home)
    finally:
        town.server.start()
    assert numbers(town.home.one()) == {"rows_read": 1, "inserted": 1}
    with pytest.raises(psycopg.Error):
        town.do("SELECT 1")


def test_a_dry_run_reads_a_few_rows_and_leaves_no_trace(town: Office) -> None:
    fill(town)
    town.configure(vanished="delete")
    file = service.load_sources(town.home.yml)
    found = service.preview(town.home.settings, file, file.sources[0], limit=3)
    assert len(found.rows) == 3 and found.unmapped == ["id"]
    assert numbers(town.home.one())["inserted"] == 25
