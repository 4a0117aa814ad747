"""Matters by version, departments and regions that are merged or split, areas whose streets change: by hand, on the built models."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from models.domain.contracts import SUBJECTS
from models.domain.schema import raw_columns
from pipelines.warehouse import service
from tests.support.dbt_models import Warehouse
from tests.support.examples import examples

AS_OF = datetime(2026, 6, 30, 15, 59, 59, tzinfo=UTC)
LATER = AS_OF + timedelta(days=40)
MODELS = "+fct_case +dim_matter +dim_department +dim_region +mart_area_day"


def day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def version(matter: str, number: str | None, since: str | None = None, until: str | None = None, limit: int = 5, **more: Any) -> dict[str, Any]:
    return {
        "matter_code": matter, "version": number, "effective_from": day(since), "effective_to": day(until), "promised_limit": limit,
        "promised_limit_unit": "cd", "matter_name": f"{matter} {number}", "type_code": "20", "matter_state_code": "active",
    } | more  # fmt: skip


MATTERS = [
    version("gap", "1", "2025-01-01", "2025-03-01", 1), version("gap", "2", "2025-06-01", None, 2),
    version("overlap", "1", "2025-01-01", "2025-12-31", 1), version("overlap", "2", "2025-06-01", None, 2),
    version("same_day", "1.9", "2025-01-01", None, 1), version("same_day", "1.10", "2025-01-01", None, 2),
    version("undated", "1", None, None, 1), version("undated", "2", "2025-06-01", None, 2),
    version("to_come", "1", "2027-01-01", None, 1),
    version("announced", "1", "2025-01-01", None, 1), version("announced", "2", "2026-07-15", None, 2),
    version("ended", "1", "2025-01-01", "2025-02-01", 1),
    version("called_off", "1", "2025-01-01", None, 1), version("called_off", "2", "2025-06-01", "2025-06-01", 2),
    version("never", "1", "2025-06-01", "2025-05-01", 1),
    version("suspended", "1", "2025-01-01", None, 1), version("suspended", "2", "2025-06-01", None, 2, matter_state_code="suspended"),
    version("abroad", "9", "2025-01-01", None, 9, source="a"), version("abroad", "1", "2025-06-01", None, 1), version("elsewhere", "9", "2025-01-01", None, 9, source="a"),
    version("elsewhere", "8", "2025-06-01", None, 8, source="a"), version("elsewhere", "1", "2025-01-01", None, 1, source="b"),
]  # fmt: skip
EXPECTED = [
    # matter, day of receipt, version that applies, in force
    ("gap", "2024-12-31", "1", False), ("gap", "2025-01-01", "1", True), ("gap", "2025-02-28", "1", True), ("gap", "2025-03-01", "1", False),
    ("gap", "2025-05-31", "1", False), ("gap", "2025-06-01", "2", True), ("gap", "2026-06-30", "2", True),
    ("overlap", "2025-05-31", "1", True), ("overlap", "2025-06-01", "2", True), ("overlap", "2025-12-31", "2", True),
    ("same_day", "2025-01-01", "1.10", True), ("same_day", "2024-12-31", "1.10", False),
    ("undated", "1999-01-01", "1", True), ("undated", "2025-05-31", "1", True), ("undated", "2025-06-01", "2", True),
    ("to_come", "2026-06-30", "1", False), ("announced", "2026-06-30", "1", True),
    ("ended", "2025-01-31", "1", True), ("ended", "2025-02-01", "1", False), ("ended", "2026-06-30", "1", False),
    ("called_off", "2025-06-01", "1", True), ("called_off", "2025-05-31", "1", True), ("never", "2025-05-15", "1", False), ("never", "2025-06-01", "1", False),
    ("suspended", "2025-05-31", "1", True), ("suspended", "2025-06-01", "2", False),
    ("abroad", "2025-03-01", "1", False), ("abroad", "2025-06-01", "1", True), ("elsewhere", "2025-03-01", "9", True), ("elsewhere", "2025-06-01", "8", True),
]  # fmt: skip


STEADY = [version("m", "1", "2025-01-01", None, 1), version("n", "1", "2025-01-01", None, 1)]
"""Matters whose versions come in later runs."""
STEADY_DAYS = [f"2025-{month:02}-{number}" for month in range(2, 12) for number in ("01", "15")]

DEPARTMENTS = {
    # code: (successors, first day, last day), (state, code of today)
    "chain_1": (("chain_2", None, "2024-01-01"), ("succeeded", "chain_3")),
    "chain_2": (("chain_3", "2024-01-01", "2025-01-01"), ("succeeded", "chain_3")),
    "chain_3": ((None, "2025-01-01", None), ("current", "chain_3")),
    "ring_1": (("ring_2", None, "2024-01-01"), ("cycle", "ring_1")),
    "ring_2": (("ring_1", None, "2024-01-01"), ("cycle", "ring_2")),
    "into_ring": (("ring_1", None, "2024-01-01"), ("cycle", "into_ring")),
    "itself": (("itself", None, "2024-01-01"), ("cycle", "itself")),
    "split": (("chain_3, half", None, "2025-01-01"), ("split", None)),
    "half": ((None, "2025-01-01", None), ("current", "half")),
    "before_split": (("split", None, "2024-01-01"), ("split", None)),
    # split and merged again
    "rejoined": (("part_1，part_2", None, "2024-01-01"), ("succeeded", "chain_3")),
    "part_1": (("chain_3", None, "2025-01-01"), ("succeeded", "chain_3")),
    "part_2": (("chain_2", None, "2025-01-01"), ("succeeded", "chain_3")),
    "lost": (("nobody", None, "2024-01-01"), ("successor_unknown", "lost")),
    "half_lost": (("nobody,half", None, "2024-01-01"), ("split", None)),
    # without a last day the first day of the successor counts
    "undated": (("half", None, None), ("succeeded", "half")),
    "to_come": (("half", None, "2026-07-01"), ("current", "to_come")),
    "undated_to_come": (("young", None, None), ("current", "undated_to_come")),
    "young": ((None, "2026-07-02", None), ("current", "young")),
    "today": (("half", None, "2026-06-30"), ("succeeded", "half")),
}

STATEMENTS = [
    # area, division or street, from, to
    ("NA", "430104", "2020-01-01", None),
    ("NA", "430104005", "2020-01-01", "2025-06-01"),  # leaves, though its district stays
    ("NA", "430112003", "2025-06-01", None),  # comes
    ("NA", "430112004", "2024-01-01", "2025-01-01"), ("NA", "430112004000", "2025-07-01", None),  # comes back
    ("NA", "430182001", "2025-03-01", "2025-03-01"),  # was called off
    ("NB", "430182", "2020-01-01", None), ("NB", "430182", "2025-06-01", "2025-09-01"),  # the later statement has an end
]  # fmt: skip
LOCATED = [
    # region of a case, day of receipt, areas
    ("430104001", "2019-12-31", set()), ("430104001", "2020-01-01", {"NA"}), ("430104001003", "2026-01-01", {"NA"}), ("430104", "2026-01-01", {"NA"}),
    ("430104005", "2025-05-31", {"NA"}), ("430104005", "2025-06-01", set()), ("430104005002", "2025-05-31", {"NA"}), ("430104005002", "2025-06-01", set()),
    ("430112003", "2025-05-31", set()), ("430112003", "2025-06-01", {"NA"}), ("430112", "2025-06-01", set()),
    ("430112004", "2024-12-31", {"NA"}), ("430112004", "2025-01-01", set()), ("430112004", "2025-06-30", set()), ("430112004000", "2025-07-01", {"NA"}),
    ("430182001", "2025-03-01", {"NB"}), ("430182002", "2025-05-31", {"NB"}), ("430182002", "2025-08-31", {"NB"}), ("430182002", "2025-09-01", set()),
    ("NA", "2025-01-01", {"NA"}), ("NA", "2019-01-01", set()), ("4301040010031", "2026-01-01", set()),
]  # fmt: skip


def case(matter: str, received: str | None, number: str | None = None, **more: Any) -> dict[str, Any]:
    """A case that is received and accepted late in the evening of a day, here, and completed long after."""
    at = datetime.fromisoformat(f"{received}T23:30:00+08:00") if received else None
    return {
        "case_number": number or f"{matter} {received}", "matter_code": matter, "received_at": at, "accepted_at": at,
        "completed_at": at + timedelta(days=60) if at and at < AS_OF - timedelta(days=70) else None,
    } | more  # fmt: skip


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    made = Warehouse(tmp_path_factory.mktemp("history") / "home")
    made.put("matter", [*MATTERS, *STEADY])
    made.put("department", [
        {"department_code": code, "department_name": code, "successor_code": heir, "effective_from": day(since), "effective_to": day(until)}
        for code, ((heir, since, until), _) in DEPARTMENTS.items()
    ])  # fmt: skip
    made.put("region", [
        {"region_code": "430104104", "successor_code": "430104001", "effective_to": day("2024-01-01")},
        {"region_code": "430104001", "successor_code": None, "effective_to": None},
    ])  # fmt: skip
    stated = [{"area_code": area, "region_code": code, "valid_from": day(since), "valid_to": day(until)} for area, code, since, until in STATEMENTS]
    # another source that names the same area is not heard
    made.put("area_region", [*stated, {"area_code": "NA", "region_code": "430112", "valid_from": day("2020-01-01"), "source": "t"}])
    made.put("case", [
        *(case(matter, received) for matter, received, *_ in EXPECTED), case("undated", None), case("unheard", "2026-01-01"),
        *(case(matter, received) for matter in ("m", "n") for received in STEADY_DAYS),
        *(case("ended", "2025-01-15", f"of {code}", department_code=code) for code in [*DEPARTMENTS, "unlisted"]),
        *(case("ended", received, f"{region} on {received}", region_code=region) for region, received, _ in LOCATED),
    ])  # fmt: skip
    made.build(MODELS, AS_OF)
    return made


@pytest.fixture(scope="module")
def first(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    """The marts after the first run."""
    names = ("fct_case", "dim_matter", "dim_matter_version", "dim_department", "dim_region", "bridge_area_region", "mart_area_day")
    return {name: warehouse.rows(f"FROM masked.marts.{name}") for name in names}


@pytest.fixture(scope="module")
def cases(first: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return {row["case_number"]: row for row in first["fct_case"]}


@pytest.mark.parametrize(("matter", "received", "applies", "in_force"), EXPECTED)
def test_the_version_of_the_day_of_receipt(cases: dict[str, dict[str, Any]], matter: str, received: str, applies: str, in_force: bool) -> None:
    row = cases[f"{matter} {received}"]
    assert (row["matter_version"], row["is_matter_in_force"], row["matter_name"]) == (applies, in_force, f"{matter} {applies}")


def test_limits_are_those_of_the_version(cases: dict[str, dict[str, Any]]) -> None:
    def limit(number: str) -> int:
        return int((cases[number]["promised_due_on"] - cases[number]["accepted_on"]).days)

    # one calendar day, two calendar days; a holiday puts off the due day (2 June 2025 is one, 4 January 2026 is a Sunday at work)
    assert (limit("gap 2025-02-28"), limit("gap 2025-06-01"), limit("undated 2025-05-31"), limit("overlap 2025-12-31")) == (3, 2, 3, 4)


def test_a_case_without_a_day_or_a_known_matter_has_what_it_can_have(cases: dict[str, dict[str, Any]]) -> None:
    assert (cases["undated None"]["matter_version"], cases["undated None"]["is_matter_in_force"]) == ("2", False)
    assert (cases["unheard 2026-01-01"]["matter_version"], cases["unheard 2026-01-01"]["is_matter_known"]) == (None, False)


def test_the_list_of_matters_shows_the_version_of_the_day(first: dict[str, list[dict[str, Any]]]) -> None:
    shown = {(row["source"], row["matter_code"]): row["version"] for row in first["dim_matter"]}
    assert len(shown) == len(first["dim_matter"]) == len({(m.get("source", "s"), m["matter_code"]) for m in [*MATTERS, *STEADY]})
    assert {code: number for (source, code), number in shown.items() if source == "s"} == {
        "gap": "2", "overlap": "2", "same_day": "1.10", "undated": "2", "to_come": "1", "announced": "1", "ended": "1", "called_off": "1",
        "never": "1", "suspended": "2", "abroad": "1", "m": "1", "n": "1",
    }  # fmt: skip
    # a mistake that somebody should see
    beaten = [(row["version"], row["superseded_versions"]) for row in first["dim_matter_version"] if row["superseded_versions"]]
    assert beaten == [("1.10", "1.9")]


@pytest.mark.parametrize("code", DEPARTMENTS)
def test_a_department_leads_to_the_one_of_today(first: dict[str, list[dict[str, Any]]], cases: dict[str, dict[str, Any]], code: str) -> None:
    row = next(row for row in first["dim_department"] if row["department_code"] == code)
    state, today = DEPARTMENTS[code][1]
    assert (row["succession_state"], row["current_code"]) == (state, today)
    # cases stand under what was recorded, and under the department of today where there is one
    assert (cases[f"of {code}"]["department_code"], cases[f"of {code}"]["current_department_code"]) == (code, today or code)


def test_a_department_that_nobody_lists_is_itself(first: dict[str, list[dict[str, Any]]], cases: dict[str, dict[str, Any]]) -> None:
    row = next(row for row in first["dim_department"] if row["department_code"] == "unlisted")
    assert (row["succession_state"], row["current_code"], cases["of unlisted"]["current_department_code"]) == ("current", "unlisted", "unlisted")


def test_a_region_leads_to_the_one_of_today(first: dict[str, list[dict[str, Any]]]) -> None:
    assert {row["region_code"]: (row["succession_state"], row["current_code"]) for row in first["dim_region"]} == {
        "430104104": ("succeeded", "430104001"), "430104001": ("current", "430104001"),
    }  # fmt: skip


@pytest.mark.parametrize(("region", "received", "areas"), LOCATED)
def test_an_area_is_what_it_was_on_the_day(first: dict[str, list[dict[str, Any]]], region: str, received: str, areas: set[str]) -> None:
    on = date.fromisoformat(received)
    found = [
        row["area_code"] for row in first["bridge_area_region"]
        if row["region_code"] == region and row["valid_from"] <= on and (row["valid_to"] is None or on < row["valid_to"])
    ]  # fmt: skip
    assert sorted(found) == sorted(areas)


def test_days_of_an_area_count_each_case_once(first: dict[str, list[dict[str, Any]]]) -> None:
    expected: dict[tuple[str, date], int] = {}
    for _, received, areas in LOCATED:
        for area in areas:
            expected[area, date.fromisoformat(received)] = expected.get((area, date.fromisoformat(received)), 0) + 1
    assert {(row["area_code"], row["date"]): row["received"] for row in first["mart_area_day"]} == expected


def written(warehouse: Warehouse, run_seq: int) -> set[str]:
    return {row["case_number"] for row in warehouse.rows(f"SELECT case_number FROM masked.marts.fct_case WHERE _run_seq = {run_seq}")}


def table(warehouse: Warehouse) -> list[dict[str, Any]]:
    return warehouse.rows("SELECT * EXCLUDE (as_of, _run_seq) FROM masked.marts.fct_case ORDER BY ALL")


def test_later_runs_touch_only_what_they_change(warehouse: Warehouse, first: dict[str, list[dict[str, Any]]]) -> None:
    """New, corrected, withdrawn and replaced versions in later runs; in the end all is as in a build from nothing."""
    assert first["fct_case"]

    def days(matter: str, since: str, until: str = "9") -> set[str]:
        return {f"{matter} {received}" for received in STEADY_DAYS if since <= received < until}

    # m: a version more, from a source that sends all; n: the newest only, so that the old row is in the history now
    warehouse.put("matter", [version("m", "2", "2025-06-01", None, 2)], run_seq=2)
    warehouse.replace("matter", "matter_code = 'n'", 2, version="2", effective_from=date(2025, 10, 1), promised_limit=30, matter_name="n 2")
    warehouse.build(MODELS, AS_OF, 2)
    assert written(warehouse, 2) == days("m", "2025-06-01") | days("n", "2025-10-01")
    assert {row["matter_version"] for row in warehouse.rows("FROM masked.marts.fct_case WHERE case_number = 'n 2025-09-15'")} == {"1"}

    # the first day of a version is corrected; what no case takes from its matter changes nothing
    warehouse.replace("matter", "matter_code = 'm' AND version = '2'", 3, effective_from=date(2025, 8, 1))
    warehouse.replace("matter", "matter_code = 'n'", 3, theme="another")
    warehouse.build(MODELS, AS_OF, 3)
    assert written(warehouse, 3) == days("m", "2025-06-01", "2025-08-01")

    # the second version is deleted and the first gets an end: it applies again, but was no longer in force; departments are merged meanwhile
    warehouse.replace("matter", "matter_code = 'm' AND version = '1'", 4, effective_to=date(2025, 7, 1))
    warehouse.replace("matter", "matter_code = 'm' AND version = '2'", 4, _is_deleted=True)
    warehouse.build(MODELS, LATER, 4)
    open_before = {row["case_number"] for row in first["fct_case"] if not row["is_completed"]}
    assert written(warehouse, 4) - open_before == days("m", "2025-07-01") | {"of to_come", "of undated_to_come"}
    assert {row["current_department_code"] for row in warehouse.rows("FROM masked.marts.fct_case WHERE starts_with(case_number, 'of ')")} >= {"young"}

    incremental = table(warehouse)
    warehouse.build(MODELS, LATER, 4, full_refresh=True)
    assert table(warehouse) == incremental


class Sql:
    """The compiled model on tables in memory."""

    def __init__(self, warehouse: Warehouse) -> None:
        compiled = service.target_dir(warehouse.settings) / "run/yiwang/models/intermediate/int_matter_version.sql"
        text = compiled.read_text(encoding="utf-8")
        self._create = text[text.index("with known as") :].rstrip().removesuffix(";").rstrip().removesuffix(")")
        self._connection = duckdb.connect()
        self._connection.execute("ATTACH ':memory:' AS warehouse; USE warehouse; CREATE SCHEMA raw; CREATE SCHEMA staging")
        columns = ", ".join(f"{name} {kind}" for name, kind in raw_columns(SUBJECTS["matter"]).items())
        self._connection.execute(f"CREATE TABLE raw.matter ({columns}); CREATE TABLE raw.matter_history ({columns}, _known_to_seq INTEGER)")
        self._connection.execute("CREATE VIEW staging.stg_matter AS FROM raw.matter WHERE NOT _is_deleted")

    def __call__(self, rows: list[dict[str, Any]], history: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for name, own in (("matter", rows), ("matter_history", history)):
            self._connection.execute(f"DELETE FROM raw.{name}")
            if own:
                self._connection.register("records", pa.Table.from_pylist(own))
                self._connection.execute(f"INSERT INTO raw.{name} BY NAME SELECT * FROM records")
        found: list[dict[str, Any]] = self._connection.sql(self._create).to_arrow_table().to_pylist()
        return sorted(found, key=lambda row: row["applies_from"])


@pytest.fixture(scope="module")
def versions_of(warehouse: Warehouse) -> Sql:
    return Sql(warehouse)


DAYS = st.none() | st.integers(0, 12).map(lambda n: date(2025, 1, 1) + timedelta(n))
ROWS = st.lists(
    st.fixed_dictionaries({
        "version": st.sampled_from([None, "1", "2", "10", "甲"]), "effective_from": DAYS, "effective_to": DAYS,
        "updated_at": st.none() | st.integers(0, 3).map(lambda n: datetime(2025, 1, 1 + n, tzinfo=UTC)), "_is_deleted": st.booleans() | st.just(False),
    }),
    max_size=6,
)  # fmt: skip


def filled(rows: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    return [{"source": "s", "matter_code": "m", "_file_id": 1, "_file_row": i} | row | {k: v(i) for k, v in more.items()} for i, row in enumerate(rows)]


@given(rows=ROWS, history=ROWS)
@hypothesis_settings(max_examples=examples(100))
def test_versions_follow_one_another_without_gap_or_overlap(versions_of: Sql, rows: list[dict[str, Any]], history: list[dict[str, Any]]) -> None:
    found = versions_of(filled(rows), filled(history, _known_to_seq=lambda i: 2 + i % 3))
    assert bool(found) == any(not row["_is_deleted"] for row in rows)
    if not found:
        return
    # every day is applied once: from the first to the last that a date can be, one after the other
    assert (found[0]["applies_from"], found[-1]["applies_until"]) == (date.min, date.max)
    assert all(one["applies_until"] + timedelta(1) == other["applies_from"] for one, other in zip(found, found[1:], strict=False))
    # what is in force lies within what is applied
    for one in found:
        start, end = one["valid_from"] or date.min, one["valid_to"]
        assert start >= one["applies_from"] and (end is None or end <= one["applies_until"] + timedelta(1) if one["applies_until"] != date.max else True)
        assert end is None or end >= start
    # each live version with sensible dates is there under its first day, or set aside for a later one of that day
    live = [row for row in rows if not row["_is_deleted"]]
    sensible = [row for row in live if not (row["effective_from"] and row["effective_to"] and row["effective_to"] <= row["effective_from"])]
    starts = [one["valid_from"] for one in found]
    assert len(set(starts)) == len(starts) and {row["effective_from"] for row in sensible} <= set(starts)
    # the history only adds to what was before all that the source still says
    earliest = min(row["effective_from"] or date.min for row in rows)
    assert all((start or date.min) < earliest for start in starts if start not in {row["effective_from"] for row in live})
