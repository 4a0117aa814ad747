"""The REST connector in a home: counts, deletions, dry run, and a process that is killed while it reads.

Run as a script, this file is the process that is killed.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.sources import service
from pipelines.sources.kinds.rest import RestSource
from tests.support.rest_reading import regions, rest
from tests.support.rest_server import FastClock, Fault, RestServer, serving
from tests.support.sync import SyncHome, numbers

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it


@pytest.fixture
def home(tmp_path: Path) -> SyncHome:
    return SyncHome.make(tmp_path)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RestServer]:
    monkeypatch.setattr(RestSource, "clock", FastClock())
    with serving(RestServer(records=regions(23))) as server:
        yield server


def stored(home: SyncHome) -> list[str]:
    return home.rows("SELECT region_code FROM raw.region WHERE NOT _is_deleted ORDER BY 1")


def ids(server: RestServer) -> list[str]:
    return sorted(record["id"] for record in server.records)


def test_a_field_that_the_interface_no_longer_gives_is_reported(home: SyncHome, server: RestServer) -> None:
    server.records = [record | {"effective_from": "2026-01-01"} for record in server.records]
    home.configure(rest(server))
    assert home.one().missing == ()
    for number, record in enumerate(server.records):
        server.records[number] = {key: value for key, value in record.items() if key != "effective_from"}
    assert home.one().missing == ("effective_from",)
    server.records = server.records[:3]
    assert home.one().missing == ()  # few records may lack it by chance


def test_counts_from_sync_to_sync(home: SyncHome, server: RestServer) -> None:
    source = rest(server, since="since", deleted="gone", commit_rows=1000)
    server.records = [record | {"gone": "0", "more": {"x": 1}} for record in server.records]
    server.records[7]["updated_at"] = "?"
    home.configure(source)
    count = home.one()
    assert numbers(count) == {"rows_read": 23, "inserted": 22, "quarantined": 1} and count.unmapped == ("more.x",)
    assert numbers(home.one()) == {}  # all is read again, since one record that is set aside states no time
    server.records[7]["updated_at"] = "2026-03-02T00:00:00Z"
    server.records[0] |= {"updated_at": "2026-03-02T00:00:01Z", "gone": "1"}
    server.records[1] |= {"updated_at": "2026-03-02T00:00:02Z", "manager": {"name": "李四"}}
    assert numbers(home.one()) == {"rows_read": 3, "inserted": 1, "updated": 1, "deleted": 1}
    assert home.rows("SELECT count(*) FROM raw.quarantine") == [0]
    server.records[2] |= {"manager": {"name": "不提时间"}}  # changed without a time of change: beyond what the source says
    assert numbers(home.one()) == {}
    assert stored(home) == ids(server)[1:]
    home.configure(rest(server, commit_rows=1000, deleted="gone"))  # all again
    assert numbers(home.one()) == {"rows_read": 23, "updated": 1, "unchanged": 22}


@pytest.mark.parametrize("paging", ["page", "offset", "keyset"])
def test_what_is_set_aside_comes_in_once_it_is_mended(home: SyncHome, server: RestServer, paging: str) -> None:
    for record in server.records:
        record["gone"] = "0"
    server.records[7]["gone"] = server.records[9]["gone"] = "?"
    home.configure(rest(server, paging, since="since", deleted="gone"))
    assert numbers(home.one()) == {"rows_read": 23, "inserted": 21, "quarantined": 2}
    server.requests.clear()
    assert numbers(home.one()) == {}  # what is read again to be sure is no news
    assert server.requests[0][2]["since"] == "2026-03-01T08:00:06+08:00"
    server.records[7]["gone"] = "0"  # its time stays
    assert numbers(home.one()) == {"rows_read": 1, "inserted": 1}
    del server.records[9]  # mended or gone, it is no longer set aside
    home.sync()
    assert home.rows("SELECT count(*) FROM raw.quarantine") == [0] and stored(home) == ids(server)
    server.requests.clear()
    home.sync()
    assert server.requests[0][2]["since"] == "2026-03-01T08:00:21+08:00"


def test_a_time_that_is_mended_to_the_past_comes_in(home: SyncHome, server: RestServer) -> None:
    server.records[4]["updated_at"] = "2026-13-01"
    home.configure(rest(server, "page", since="since"))
    assert numbers(home.one()) == {"rows_read": 23, "inserted": 22, "quarantined": 1}
    server.records[4]["updated_at"] = "2026-02-01T00:00:00+08:00"
    assert numbers(home.one()) == {"rows_read": 1, "inserted": 1}
    assert home.rows("SELECT count(*) FROM raw.quarantine") == [0]


def test_a_keyset_ends_where_records_have_no_time(home: SyncHome, server: RestServer) -> None:
    server.records[20]["updated_at"] = server.records[3]["updated_at"] = None
    home.configure(rest(server, "keyset"))
    assert numbers(home.one()) == {"rows_read": 23, "inserted": 21, "quarantined": 2}
    assert "没有时间" in home.rows("SELECT reason FROM raw.quarantine")[0]
    server.records.append({"id": "D", "manager": {"name": "李四"}, "updated_at": "2026-03-02T00:00:00+08:00"})
    assert numbers(home.one()) == {"rows_read": 1, "inserted": 1}
    server.records[20]["updated_at"] = server.records[3]["updated_at"] = "2026-03-01T08:00:09+08:00"
    assert numbers(home.one()) == {"rows_read": 2, "inserted": 2}
    server.records = [{"id": f"N{number}", "updated_at": None} for number in range(9)]  # first or last: nobody knows
    with pytest.raises(YiwangError, match="无法翻页"):
        home.sync()


def test_vanished_records_go_only_after_a_whole_listing(home: SyncHome, server: RestServer) -> None:
    source = rest(server, "page", vanished="delete", retries=0)
    home.configure(source)
    assert numbers(home.one()) == {"rows_read": 23, "inserted": 23}
    del server.records[20:]
    server.faults = {len(server.requests) + 4: Fault(500)}
    with pytest.raises(YiwangError, match="HTTP 500"):
        home.sync()
    assert len(stored(home)) == 23
    assert numbers(home.one())["deleted"] == 3
    assert stored(home) == ids(server)
    server.records = server.records[:3]
    with pytest.raises(YiwangError) as caught:
        home.sync()
    assert caught.value.code == "YW-SYNC-006" and len(stored(home)) == 20
    server.records = []
    with pytest.raises(YiwangError) as caught:
        home.sync()
    assert caught.value.code == "YW-SYNC-006" and len(stored(home)) == 20


def test_a_record_that_moves_out_of_sight_has_not_vanished(home: SyncHome, server: RestServer) -> None:
    home.configure(rest(server, "page", vanished="delete", commit_rows=1000))
    home.sync()
    begun = len(server.requests)

    def move(number: int) -> None:  # from the last page to the first, when the reader has left that
        if number == begun + 3:
            server.records.insert(0, server.records.pop() | {"updated_at": "2026-03-05T00:00:00Z"})

    server.before = move
    assert "deleted" not in numbers(home.one())
    assert stored(home) == ids(server)


def test_the_dry_run_shows_the_first_rows(home: SyncHome, server: RestServer) -> None:
    home.configure(rest(server, vanished="delete"))
    file = service.load_sources(home.yml)
    shown = service.preview(home.settings, file, file.sources[0], limit=4)
    assert [row["region_code"] for row in shown.rows] == ["C000", "C001", "C002", "C003"]
    assert len(server.requests) == 1


@pytest.mark.parametrize(("paging", "request_number"), [("cursor", 4), ("page", 6)])
def test_a_process_killed_while_it_reads_loses_nothing(tmp_path: Path, paging: str, request_number: int) -> None:
    home = SyncHome.make(tmp_path)
    with serving(RestServer(records=regions(23))) as server:
        home.configure(rest(server, paging))
        process = subprocess.Popen([sys.executable, __file__, str(tmp_path)], cwd=Path(__file__).parents[2])
        server.before = lambda number: process.kill() if number == request_number else None
        assert process.wait() == -signal.SIGKILL
        assert 10 <= len(stored(home)) < 23
        server.before = lambda number: None
        count = home.one()
        assert count.rows_read == 23 - 10 and stored(home) == ids(server)
        assert sum(home.rows("SELECT rows_read FROM ops.sync_count")) == 23
        again = home.one()
        assert again.unchanged == again.rows_read


def _main(folder: Path) -> None:
    SyncHome(folder, Settings(home=folder / "home", threads=1, memory_limit="1GB")).sync()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
