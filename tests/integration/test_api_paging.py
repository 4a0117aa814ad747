"""Pages of a list, put together, are what plain SQL says: complete, in order, without duplicates."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.cursors import Cursor
from models.store.resources import RESOURCES
from models.store.snapshots import SnapshotStore
from models.store.warehouse import WarehouseRepository, sortable
from tests.support.examples import examples
from tests.support.snapshots import publish

DAYS = st.dates(date(2025, 1, 1), date(2026, 7, 1))
BUREAUS = st.integers(0, 23).map(lambda number: f"11430104{number:09d}K")
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "department_code": BUREAUS | st.lists(BUREAUS, min_size=1, max_size=12),
        "channel_code": st.lists(st.sampled_from("12359"), min_size=1, max_size=3),
        "outcome_code": st.sampled_from(["granted", "denied", "nothing"]),
        "is_late": st.booleans(), "is_completed": st.booleans(), "has_limit": st.booleans(), "is_corrected": st.booleans(),
        "correction_count": st.integers(0, 2),
        "received_from": DAYS, "received_to": DAYS, "completed_from": DAYS, "due_to": DAYS,
    },
)
PLAIN = {
    "department_code": "list_contains(?, department_code)", "channel_code": "list_contains(?, channel_code)", "outcome_code": "outcome_code = ?",
    "is_late": "is_late IS NOT DISTINCT FROM ?", "is_completed": "is_completed IS NOT DISTINCT FROM ?", "has_limit": "(is_late IS NOT NULL) = ?",
    "is_corrected": "(coalesce(correction_count, 0) > 0) = ?", "correction_count": "correction_count = ?", "received_from": "received_on >= ?",
    "received_to": "received_on <= ?", "completed_from": "completed_on >= ?", "due_to": "due_on <= ?",
}
SORTS = st.sampled_from([sign + column for column in sortable("cases") for sign in ("", "-")])


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseRepository]:
    """A snapshot in which many cases share their instants and some have none, so that order hangs on ties and nulls."""
    home = Settings(home=Path(tmp_path_factory.mktemp("paging")))
    publish(home, cases=500)
    with duckdb.connect(str(home.marts)) as connection:
        connection.execute("UPDATE marts.fct_case SET received_at = date_trunc('month', received_at)")
        connection.execute("UPDATE marts.fct_case SET received_at = NULL, received_on = NULL WHERE hash(case_number) % 7 = 0")
        connection.execute("UPDATE marts.fct_case SET case_number = 'same' WHERE hash(case_number) % 11 = 0")
    store = SnapshotStore(home)
    store.publish(home.marts, "ties", store.in_service().as_of)
    yield WarehouseRepository(store)
    store.close()


@given(filters=FILTERS, sort=SORTS, limit=st.integers(1, 200))
@settings(max_examples=examples(120), deadline=None)
def test_pages_are_the_list(repository: WarehouseRepository, filters: dict[str, Any], sort: str, limit: int) -> None:
    column, order = sort.lstrip("-"), "DESC" if sort.startswith("-") else "ASC"
    conditions = " AND ".join(PLAIN[name] for name in filters) or "true"
    values = [[value] if name == "department_code" and isinstance(value, str) else value for name, value in filters.items()]
    with repository.store.acquire() as connection:
        expected = connection.execute(f"SELECT {column} FROM marts.fct_case WHERE {conditions} ORDER BY 1 {order} NULLS LAST", values).fetchall()
        whole = connection.execute(f"SELECT source, matter_code, received_on, updated_at, completed_at, due_on FROM marts.fct_case WHERE {conditions}", values)
        rows = sorted(map(repr, whole.fetchall()))
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = repository.page("cases", filters, sort=sort, limit=limit, cursor=cursor, count=True)
        found += page.items
        assert len(page.items) == limit or page.next is None
        assert page.count == len(expected)
        if (cursor := page.next) is None:
            break
    assert [row[column] for row in found] == [row[0] for row in expected]
    names = ("source", "matter_code", "received_on", "updated_at", "completed_at", "due_on")
    assert sorted(repr(tuple(row[name] for name in names)) for row in found) == rows


@pytest.mark.parametrize("name", sorted(RESOURCES))
@pytest.mark.parametrize("descending", [False, True])
def test_every_sort_of_every_resource_pages_through(repository: WarehouseRepository, name: str, descending: bool) -> None:
    for column in sortable(name):
        cursor, found = None, []
        for _ in range(1000):
            page = repository.page(name, sort=("-" if descending else "") + column, limit=100 if name == "measures" else 37, cursor=cursor, count=True)
            found += page.items
            if (cursor := page.next) is None:
                break
        assert len(found) == page.count
        assert len({repr(row) for row in found}) == len(found)


def test_cursor_fits_only_its_own_question(repository: WarehouseRepository) -> None:
    token = repository.page("cases", {"is_completed": True}, limit=5).next
    for filters, sort in (({"is_completed": False}, None), ({}, None), ({"is_completed": True}, "due_at"), ({"is_completed": True, "is_late": True}, None)):
        with pytest.raises(YiwangError) as refused:
            repository.page("cases", filters, sort=sort, limit=5, cursor=token)
        assert refused.value.code == "YW-STORE-006"
    with pytest.raises(YiwangError):
        repository.page("matters", limit=5, cursor=token)
    assert repository.page("cases", {"is_completed": True}, limit=9, cursor=token).items


@given(place=st.integers(0, 200), other=st.characters())
@settings(max_examples=examples(150), deadline=None)
def test_changed_cursor_is_refused(repository: WarehouseRepository, place: int, other: str) -> None:
    token = repository.page("cases", limit=5).next
    assert token is not None
    place %= len(token)
    changed = token[:place] + other + token[place + 1 :]
    if changed == token:
        return
    with pytest.raises(YiwangError) as refused:
        repository.page("cases", limit=5, cursor=changed)
    assert refused.value.code == "YW-STORE-006"


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.hex()))
@settings(max_examples=examples(150), deadline=None)
def test_any_text_as_cursor_is_refused(repository: WarehouseRepository, token: str) -> None:
    with pytest.raises(YiwangError) as refused:
        repository.page("cases", limit=5, cursor=token)
    assert refused.value.code == "YW-STORE-006"


@pytest.mark.parametrize("value", ["yesterday", "'; DROP TABLE marts.fct_case", "9" * 40, ""])
def test_forged_value_in_a_well_formed_cursor_is_refused(repository: WarehouseRepository, value: str) -> None:
    token = repository.page("cases", limit=5).next
    assert token is not None
    known = Cursor.parse(token)
    with pytest.raises(YiwangError) as refused:
        repository.page("cases", limit=5, cursor=Cursor(known.file, known.question, value, known.row).token())
    assert refused.value.code == "YW-STORE-006"


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_limit_has_bounds(repository: WarehouseRepository, limit: int) -> None:
    with pytest.raises(YiwangError) as refused:
        repository.page("cases", limit=limit)
    assert refused.value.code == "YW-SERVE-005"


def test_days_are_inclusive(repository: WarehouseRepository) -> None:
    day = next(row["completed_on"] for row in repository.page("cases", {"is_completed": True}).items)
    found = repository.page("cases", {"completed_from": day, "completed_to": day}, limit=200).items
    assert found and all(row["completed_on"] == day for row in found)
    assert not repository.page("cases", {"completed_from": day + timedelta(days=1), "completed_to": day}).items
