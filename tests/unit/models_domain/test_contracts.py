"""The contracts against GB/T 39046-2020, and their compiled forms against each other."""

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.codes import code_tables, items_not_carried, label, standard_items
from models.domain.contracts import SUBJECTS, Material, columns, key_of
from models.domain.schema import arrow_schema, is_valid, sql_checks, sql_columns, stored_columns

CONTRACTS = {**SUBJECTS, "material": Material}
CARRIED = {spec.item for contract in CONTRACTS.values() for spec in columns(contract).values() if spec.item}


def test_the_standard_is_whole() -> None:
    assert len(standard_items()) == 155
    assert sum(len(codes) for name, codes in code_tables().items() if name.startswith("A.")) == 44


def test_each_item_is_carried_or_set_aside_with_a_reason() -> None:
    assert CARRIED | set(items_not_carried()) == set(standard_items())
    assert not CARRIED & set(items_not_carried())
    assert all(items_not_carried().values())


@pytest.mark.parametrize("subject", SUBJECTS)
def test_each_subject_has_a_key_and_known_code_tables(subject: str) -> None:
    specs = columns(SUBJECTS[subject])
    assert key_of(SUBJECTS[subject])
    assert {s.code_table for s in specs.values() if s.code_table} <= set(code_tables())


@pytest.mark.parametrize("subject", SUBJECTS)
def test_arrow_and_sql_agree_on_types(subject: str) -> None:
    contract = SUBJECTS[subject]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        ddl = ", ".join(f'"{name}" {kind}' for name, kind in sql_columns(contract).items())
        connection.execute(f"CREATE TABLE t ({ddl})")
        made = connection.sql("SELECT * FROM t").to_arrow_table().schema
    expected = arrow_schema(contract)
    assert made.names == expected.names
    assert [str(f.type) for f in made] == [str(f.type) for f in expected]
    assert isinstance(expected, pa.Schema)


def test_no_identifier_is_stored() -> None:
    stored = stored_columns(SUBJECTS["case"])
    assert "applicant_id" not in stored
    assert {"applicant_id_digest", "applicant_id_masked", "applicant_id_is_valid"} <= set(stored)


@given(value=st.one_of(st.sampled_from(["1", "5", "9", "6"]), st.text(max_size=60)))
def test_sql_and_python_checks_agree(value: str) -> None:
    value = value.replace("\x00", "")
    for subject, field in (("case", "channel_code"), ("case", "case_number"), ("review", "satisfaction_code")):
        contract = SUBJECTS[subject]
        with duckdb.connect() as connection:
            row = connection.execute(f"SELECT {sql_checks(contract)[field]} FROM (SELECT ?::VARCHAR AS {field})", [value]).fetchone()
        assert row == (is_valid(columns(contract)[field], value),)


def test_satisfaction_one_is_best() -> None:
    assert label("A.8", "1") == "非常满意"
    assert label("A.8", "5") == "非常不满意"
    assert label("A.8", "7") == "7"
