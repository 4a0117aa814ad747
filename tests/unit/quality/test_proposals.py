"""Proposed rules: what is planted is proposed with its support, what is said, small or by chance is not, and all can be loaded."""

from pathlib import Path

import duckdb
import pytest
import yaml

from models.domain.errors import YiwangError
from quality.catalogue.model import Rule
from quality.catalogue.subjects import TABLES
from quality.profile.proposals import as_yaml, propose
from quality.service import load_rules
from tests.support.snapshots import mart_columns, write_marts


def _connection(rows: int) -> duckdb.DuckDBPyConnection:
    """Certificates in which much holds: a name by its type, a format, a list, an order, a key, departments of the mart of departments."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA marts")
    for table in ("fct_certificate", "dim_department"):
        connection.execute(f"CREATE TABLE marts.{table} ({', '.join(f'{name} {kind}' for name, kind in mart_columns(table).items())})")
    connection.execute("INSERT INTO marts.dim_department BY NAME SELECT 'D' || lpad(i::VARCHAR, 3, '0') AS department_code FROM range(40) AS r(i)")
    connection.execute(f"""INSERT INTO marts.fct_certificate BY NAME
        SELECT 's' AS source, 'Z' || i AS certificate_id, 'T' || i % 60 AS certificate_type_code, '证' || i % 60 AS certificate_name, 'JY' || lpad(i::VARCHAR, 8, '0') AS certificate_number,
            'D' || lpad((i % 40)::VARCHAR, 3, '0') AS issuer_code, ['valid', 'cancelled'][1 + (hash(i) % 2)::INTEGER] AS certificate_state_code,
            DATE '2024-01-01' + (hash(i + 1) % 300)::INTEGER AS issued_on, DATE '2025-01-01' + (hash(i + 2) % 300)::INTEGER AS valid_from,
            DATE '2030-01-01' + (hash(i + 3) % 300)::INTEGER AS valid_to, NULL::VARCHAR AS case_number FROM range({rows}) AS r(i)""")
    return connection


def _proposed(connection: duckdb.DuckDBPyConnection, rules: list[Rule] | None = None, table: str = "fct_certificate") -> dict[str, tuple[int, int]]:
    prefix = f"suggested_{TABLES[table].subject}_"
    return {one.entry["id"].removeprefix(prefix): (one.rows, one.failed) for one in propose(connection, table, rules or [])}


def test_what_holds_is_proposed_with_its_support() -> None:
    connection = _connection(3000)
    connection.execute("UPDATE marts.fct_certificate SET certificate_name = '证0' WHERE certificate_id IN ('Z1', 'Z2', 'Z3')")
    connection.execute("UPDATE marts.fct_certificate SET issuer_code = 'nobody' WHERE certificate_id = 'Z7'")
    connection.execute("UPDATE marts.fct_certificate SET certificate_state_code = NULL WHERE certificate_id IN ('Z8', 'Z9')")
    found = _proposed(connection)
    assert found["certificate_name_by_certificate_type_code"] == (3000, 3)
    assert found["issuer_code_in_dim_department"] == (3000, 1)
    assert found["certificate_state_code_required"] == (3000, 2)
    assert found["certificate_state_code_codes"] == (2998, 0)
    assert found["certificate_number_format"] == (3000, 0)
    assert found["certificate_number_unique"] == (3000, 0)
    assert found["issued_on_order"] == (3000, 0)
    assert found["valid_from_order"] == (3000, 0)
    entries = {one.entry["id"]: one.entry for one in propose(connection, "fct_certificate", [])}
    assert entries["suggested_certificate_certificate_number_format"]["format"] == {"certificate_number": r"\p{Lu}{2}[0-9]{8}"}
    assert not any("failing" in entry and entry["failing"] == "issued_on > valid_to" for entry in entries.values())  # the two others say it


def test_few_rows_prove_nothing() -> None:
    assert _proposed(_connection(150)) == {}
    assert _proposed(_connection(0)) == {}
    assert _proposed(_connection(1)) == {}


def test_what_falls_short_of_the_support_is_not_proposed() -> None:
    connection = _connection(3000)
    connection.execute("UPDATE marts.fct_certificate SET certificate_state_code = NULL WHERE hash(certificate_id) % 20 = 0")
    assert "certificate_state_code_required" not in _proposed(connection)
    assert any(one.entry["id"].endswith("state_code_required") for one in propose(connection, "fct_certificate", [], 0.9))


def test_chance_is_not_taken_for_a_rule() -> None:
    connection = _connection(3000)
    connection.execute("UPDATE marts.fct_certificate SET certificate_name = 'N' || (hash(certificate_id) % 50)::VARCHAR")
    found = _proposed(connection)
    assert not [name for name in found if name.startswith("certificate_name_by") or "_by_certificate_number" in name]


def test_what_a_rule_says_already_is_not_proposed(tmp_path: Path) -> None:
    connection = _connection(3000)
    common = {"table": "fct_certificate", "dimension": "validity", "severity": "counts", "standard": "x", "clause": "1", "message": "不对"}
    rules = [
        {"id": "a", **common, "failing": "t.certificate_state_code is null"},
        {"id": "b", **common, "failing": "certificate_state_code not in ('valid', 'cancelled', 'lost')"},
        {"id": "c", **common, "failing": "regexp_full_match(certificate_number, '[A-Z]{2}[0-9]{8}') = false"},
        {"id": "d", **common, "unique": ["source", "certificate_number"]},
        {"id": "e", **common, "failing": "valid_to < valid_from"},
        {"id": "f", **common, "failing": "not exists (select 1 from marts.dim_department as d where d.department_code = t.issuer_code)"},
    ]
    (tmp_path / "certificate.yml").write_text(yaml.safe_dump(rules, allow_unicode=True), encoding="utf-8")
    before, after = _proposed(connection), _proposed(connection, load_rules(tmp_path, connection))
    assert set(before) - set(after) == {
        "certificate_state_code_required", "certificate_state_code_codes", "certificate_number_format", "certificate_number_unique", "valid_from_order",
        "issuer_code_in_dim_department", "issuer_code_required",  # the last rule finds the empty ones, too
    }  # fmt: skip


def test_every_proposal_can_be_loaded_and_counts_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "masked.duckdb"
    write_marts(file)
    shipped = load_rules()
    counted = 0
    with duckdb.connect(str(file)) as connection:
        for table in ("fct_case", "fct_review", "dim_matter"):
            proposals = propose(connection, table, shipped)
            folder = tmp_path / table
            folder.mkdir()
            (folder / f"{TABLES[table].subject}.yml").write_text(as_yaml(table, proposals), encoding="utf-8")
            rules = load_rules(folder, connection)
            assert [rule.id for rule in rules] == [one.entry["id"] for one in proposals]
            for rule, proposal in zip(rules, proposals, strict=True):
                assert len(connection.execute(rule.sql).fetchall()) == proposal.failed, rule.id
                counted += 1
    assert counted > 20


@pytest.mark.parametrize("table", ["nothing", "mart_area_day", "quality_profile"])
def test_a_mart_that_no_rule_can_check(table: str) -> None:
    with pytest.raises(YiwangError) as refused:
        propose(_connection(1), table, [])
    assert str(refused.value).startswith(f"没有数据表 {table}，可选：fct_certificate、dim_department。")
