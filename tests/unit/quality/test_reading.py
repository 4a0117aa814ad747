"""How far a change elsewhere reaches is told from a rule's SQL; what is not recognised reaches everything."""

from collections.abc import Iterator

import duckdb
import pytest

from quality.engine.reading import reading_of
from tests.support.quality_marts import write_good_marts


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path = tmp_path_factory.mktemp("marts") / "masked.duckdb"
    write_good_marts(path)
    with duckdb.connect(str(path), read_only=True) as connection:
        yield connection


_OWN = "case_number is null and completed_at < received_at"
_OF_CASE = [
    "hash(source, case_number) not in (select hash(source, case_number) from marts.fct_case where is_completed)",
    "(source, case_number) in (select (source, case_number) from marts.fct_review)",
    "hash(t.source, t.case_number) in (select hash(source, case_number) from marts.fct_case_event group by all having count(*) > 3)",
    "(source, case_number, sequence) in (select (source, case_number, sequence) from marts.fct_case_event group by source, case_number, sequence having count(*) > 1)",
    "exists (select 1 from marts.fct_case as c where c.source = t.source and t.case_number = c.case_number and c.received_at > t.occurred_at)",
    "(select max(c.received_at) from marts.fct_case as c where c.source = t.source and c.case_number = t.case_number) > t.occurred_at",
]
_OPEN = [
    "exists (select 1 from marts.fct_case as c where c.case_number = t.case_number)",
    "exists (select 1 from marts.fct_case as c where (c.source = t.source and c.case_number = t.case_number) or c.department_code = t.department_code)",
    "exists (select 1 from marts.dim_matter as m where m.department_code = t.department_code)",
    "exists (select 1 from marts.fct_case as c where c.source = t.source and c.case_number = t.case_number and c.matter_code in (select matter_code from marts.dim_matter))",
]
_STANDS_ALONE = [
    "occurred_at > (select max(as_of) from marts.fct_case)",
    "department_code not in (select department_code from marts.dim_department)",
    # a group that does not keep cases apart, a key of which only a part is compared, a window over all rows
    "hash(source, case_number) in (select hash(source, case_number) from marts.fct_case group by hash(source, case_number) having count(*) > 3)",
    "hash(case_number) in (select hash(case_number) from marts.fct_case)",
    "(source, case_number) in (select (source, case_number) from marts.fct_case qualify row_number() over (order by received_at) < 9)",
    "(source, case_number) in (select (source, case_number) from marts.fct_case order by received_at limit 5)",
    "(source, case_number) in (select (case_number, source) from marts.fct_case)",
]


def test_a_condition_on_its_own_row_reads_nothing(marts: duckdb.DuckDBPyConnection) -> None:
    reading = reading_of(_OWN, "fct_case_event", marts)
    assert (reading.tables, reading.inputs, reading.is_open, reading.whole, reading.scoped) == (frozenset(), {}, False, _OWN, _OWN)


@pytest.mark.parametrize("condition", _OF_CASE)
def test_rows_of_the_same_case(marts: duckdb.DuckDBPyConnection, condition: str) -> None:
    reading = reading_of(condition, "fct_case_event", marts)
    assert reading.of_case == reading.tables and not reading.inputs and not reading.is_open
    assert reading.whole == condition and "scope_fct_" in reading.scoped


@pytest.mark.parametrize("condition", _STANDS_ALONE)
def test_what_does_not_depend_on_the_row_is_worked_out_once(marts: duckdb.DuckDBPyConnection, condition: str) -> None:
    reading = reading_of(condition, "fct_case_event", marts)
    assert len(reading.inputs) == 1 and not reading.of_case and not reading.is_open
    with marts.cursor() as own:
        for name, given in reading.inputs.items():
            own.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {given.sql}")
        rows = [own.execute(f"SELECT count(*) FROM marts.fct_case_event AS t WHERE {sql}").fetchall() for sql in (condition, reading.whole, reading.scoped)]
    assert rows[0] == rows[1] == rows[2]


@pytest.mark.parametrize("condition", _OPEN)
def test_anything_else_may_concern_every_row(marts: duckdb.DuckDBPyConnection, condition: str) -> None:
    reading = reading_of(condition, "fct_case_event", marts)
    assert reading.is_open and not reading.of_case and not reading.inputs


def test_rows_of_the_same_day(marts: duckdb.DuckDBPyConnection) -> None:
    condition = "denominator <> (select count(*) from marts.fct_case as c where c.department_code = t.department_code and c.received_on = t.date)"
    reading = reading_of(condition, "mart_department_day", marts)
    assert (reading.of_day, reading.is_open) == ({"fct_case"}, False)
    assert reading_of(condition.replace("c.received_on", "c.due_on"), "mart_department_day", marts).is_open
