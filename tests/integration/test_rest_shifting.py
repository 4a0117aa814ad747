"""A listing that changes while it is read: nothing that stays in it as it is, from beginning to end, is missed.

What changes meanwhile comes with the next listing, which begins before the end of this one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from models.domain.errors import YiwangError
from pipelines.sources.http.listing import Listing, Resume
from pipelines.sources.http.paging import AnyPaging, Paging, Place, Reply
from pipelines.sources.kinds.rest import RestSource
from tests.support.examples import examples
from tests.support.rest_reading import PAGINGS, RestReadings, regions, rest
from tests.support.rest_server import FastClock, RestServer, serving

PULLS = ["delete", "update", "move to the end"]
PUSHES = ["insert", "move"]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RestSource, "clock", FastClock())


def change(server: RestServer, kind: str, here: int, there: int, number: int) -> None:
    """A change of the list; what is changed says so."""
    records, at = server.records, f"2026-07-01T{number // 60:02}:{number % 60:02}:00.{there:03}Z"
    if kind == "insert":
        records.insert(here % (len(records) + 1), {"id": f"N{number}-{here}-{there}", "updated_at": at})
    elif records:
        record = records.pop(here % len(records))
        if kind != "delete":
            place = {"update": here % (len(records) + 1), "move": there % (len(records) + 1)}.get(kind, len(records))
            records.insert(place, record | {"updated_at": at})


def paging_of(name: str) -> Paging:
    bound: Paging = TypeAdapter(AnyPaging).validate_python(PAGINGS[name])
    return bound.model_copy(update={"since": "since", "id": "id", "time": "updated_at"}) if name == "keyset" else bound


class Reader:
    """Reads the server's list without HTTP."""

    def __init__(self, server: RestServer, name: str, script: dict[int, list[Any]]) -> None:
        server.paging, server.total = name.split()[0], "without" not in name
        self.server, self.paging, self.script, self.asked = server, paging_of(name), script, 0

    def ask(self, place: Place) -> Reply:
        self.asked += 1
        for kind, here, there in self.script.get(self.asked, []):
            change(self.server, kind, here, there, self.asked)
        params = {"size": "5"} | {key: str(value) for key, value in self.paging.send(place).items()}
        params |= dict(parse_qsl(urlsplit(self.paging.link(place) or "").query))
        records, extra, link = self.server.page(params)
        headers = httpx.Headers({"link": f'<{link}>; rel="next"'} if link else {})
        return Reply([dict(record) for record in records], {"items": records} | extra, headers, 0)

    def fail(self, detail: str) -> NoReturn:
        raise YiwangError("YW-SYNC-008", source="city", url="", detail=detail)

    def read(self, resume: Resume | None = None) -> Iterator[tuple[set[str], Resume | None]]:
        for page in Listing(self.paging, self.ask, self.fail, 1000, resume).pages():
            yield {record["id"] for record in page.records}, page.resume


def script_of(name: str) -> st.SearchStrategy[dict[int, list[Any]]]:
    # A pull and a push that undo each other within two requests escape the proof of pages by number: see docs/sources.md.
    kinds = PULLS if name.split()[0] in ("page", "link") else PULLS + PUSHES
    one = st.tuples(st.sampled_from(kinds), st.integers(0, 40), st.integers(0, 40))
    return st.dictionaries(st.integers(2, 30), st.lists(one, min_size=1, max_size=7), max_size=12)


@pytest.mark.parametrize("name", PAGINGS)
@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_nothing_that_stays_is_missed(name: str, data: st.DataObject) -> None:
    server = RestServer(records=regions(data.draw(st.integers(0, 40))))
    reader = Reader(server, name, data.draw(script_of(name)))
    killed_after = data.draw(st.one_of(st.none(), st.integers(1, 4)))
    at_start = list(server.records)
    seen: set[str] = set()
    resume: Resume | None = None
    try:
        for number, (found, reached) in enumerate(reader.read(), 1):
            seen |= found
            resume = reached
            if number == killed_after:
                break
        if killed_after and resume:
            for found, _ in reader.read(resume):
                seen |= found
    except YiwangError as error:  # it may give up where the list does not rest, but not in silence
        assert any(words in error.message for words in ("不断变化", "没有理会", "就没有了"))
    else:
        assert {record["id"] for record in server.records if record in at_start} <= seen


@pytest.mark.parametrize("name", ["page", "page without total", "offset", "offset without total", "link"])
@pytest.mark.parametrize("number", range(2, 9))
def test_a_deletion_on_a_page_already_read_pulls_nothing_out_of_sight(name: str, number: int) -> None:
    """The plain case at each moment; who simply asks for page after page misses records in most of them."""
    server = RestServer(records=regions(23))
    reader = Reader(server, name, {number: [("delete", 0, 0)] * 3})
    seen = set().union(*(found for found, _ in reader.read()))
    assert {record["id"] for record in server.records} <= seen


def test_a_listing_that_never_rests_is_given_up_and_the_next_sync_reads_it(tmp_path: Path) -> None:
    with serving(RestServer(records=regions(60))) as server:
        server.before = lambda number: change(server, "move to the end", 0, 0, number)
        readings = RestReadings(tmp_path, RestReadings.warehouse())
        with pytest.raises(YiwangError, match="不断变化"):
            readings.sync(rest(server, "page"))
        assert len(server.requests) < 100
        server.before = lambda number: None
        readings.sync(rest(server, "page"))
        assert readings.keys() == sorted(record["id"] for record in server.records)


def test_what_changes_while_the_list_is_read_comes_with_the_next_sync(tmp_path: Path) -> None:
    """The watermark stays at the server's time when the listing began, though later changes were read."""
    with serving(RestServer(records=regions(23), now=1_772_352_000.0)) as server:  # 2026-03-01 16:00 in Shanghai

        def changes(number: int) -> None:
            if number == 4:
                server.records[0] |= {"manager": {"name": "先改"}, "updated_at": "2026-03-01T16:00:05+08:00"}
                server.records[22] |= {"manager": {"name": "后改"}, "updated_at": "2026-03-01T16:00:09+08:00"}

        server.before = changes
        readings = RestReadings(tmp_path, RestReadings.warehouse())
        readings.sync(rest(server, "offset", since="since"))
        assert readings.records["C022"]["region_name"] == "后改" and readings.records["C000"]["region_name"] == "张三"
        readings.sync(rest(server, "offset", since="since"))
        assert readings.records["C000"]["region_name"] == "先改"
