"""The REST connector against a real HTTP server that pages, changes, fails and throttles."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.domain.errors import YiwangError
from pipelines.sources import service
from pipelines.sources.kinds.rest import RestSource
from tests.support.rest_server import FastClock, Fault, RestServer, bomb, serving
from tests.support.sync import SyncHome, numbers

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it

FIELDS = {"case_number": "id", "applicant_name": {"column": "applicant.name", "optional": "true"}, "updated_at": "updated_at"}
PAGINGS: dict[str, Any] = {
    "page": {"by": "page", "size": "size", "total": "total"},
    "page without total": {"by": "page", "size": "size"},
    "offset": {"by": "offset", "size": "size"},
    "link": {"by": "link", "size": "size"},
    "cursor": {"by": "cursor", "next": "next_cursor", "size": "size"},
    "keyset": {"by": "keyset", "after_id": "after", "size": "size"},
}


@pytest.fixture
def home(tmp_path: Path) -> SyncHome:
    return SyncHome.make(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FastClock:
    clock = FastClock()
    monkeypatch.setattr(RestSource, "clock", clock)
    return clock


@pytest.fixture
def server(clock: FastClock) -> Iterator[RestServer]:
    with serving(RestServer(records=cases(23))) as server:
        yield server


def cases(count: int, day: int = 1, **further: Any) -> list[dict[str, Any]]:
    return [{"id": f"C{i:03}", "applicant": {"name": "张三"}, "updated_at": f"2026-03-{day:02}T08:{i // 60:02}:{i % 60:02}+08:00"} | further for i in range(count)]


def rest(server: RestServer, paging: str = "page", **keys: Any) -> dict[str, Any]:
    server.paging = paging.split()[0]
    server.total = "without" not in paging
    source = {
        "subject": "case", "kind": "rest", "location": server.url, "records": "data.items", "paging": PAGINGS[paging], "page_size": 5, "commit_rows": 10,
        "cursor": "updated_at", "fields": FIELDS, "timeout": 0.5,
    }  # fmt: skip
    return source | ({"since": "since"} if paging == "keyset" else {}) | keys


def stored(home: SyncHome) -> list[Any]:
    return home.rows('SELECT case_number FROM raw."case" WHERE NOT _is_deleted ORDER BY 1')


def fails(home: SyncHome, code: str = "YW-SYNC-008") -> str:
    with pytest.raises(YiwangError) as caught:
        home.sync()
    assert caught.value.code == code
    assert caught.value.__cause__ is None
    return caught.value.message


# --- paging -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paging", PAGINGS)
@pytest.mark.parametrize("count", [0, 1, 5, 23])
def test_every_paging_reads_all_and_again_nothing_changes(home: SyncHome, server: RestServer, paging: str, count: int) -> None:
    server.records = cases(count)
    home.configure(rest(server, paging))
    assert numbers(home.one()) == ({"rows_read": count, "inserted": count} if count else {})
    assert stored(home) == [record["id"] for record in server.records]
    again = numbers(home.one())
    assert again.keys() <= {"rows_read", "unchanged"}
    if paging == "keyset":  # reads again only what is as late as the last
        assert again.get("rows_read", 0) == min(count, 2)
    else:
        assert again.get("rows_read", 0) == count


@pytest.mark.parametrize("paging", ["page", "page without total", "offset", "link"])
def test_a_server_that_gives_smaller_pages_than_asked_for_loses_nothing(home: SyncHome, server: RestServer, paging: str) -> None:
    server.cap = 4
    home.configure(rest(server, paging))
    assert numbers(home.one()) == {"rows_read": 23, "inserted": 23}


def test_behind_the_end_a_server_may_repeat_the_last_page(home: SyncHome, server: RestServer) -> None:
    server.wrap = True
    home.configure(rest(server, "page without total"))
    assert numbers(home.one()) == {"rows_read": 23, "inserted": 23}
    server.records = cases(25)
    assert "total" in fails(home)  # a full page that comes again may be the end or a server that ignores the number
    home.configure(rest(server, "page"))
    assert numbers(home.one()) == {"rows_read": 25, "unchanged": 25}
