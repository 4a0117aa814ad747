"""The catalogue of a run over the 1 k sample: it tells what is there, all of it, and nothing else."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from models.domain.contracts import SUBJECTS
from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from pipelines.catalogue.types import SCHEMAS, catalogue_file
from pipelines.warehouse.service import project_dir
from tests.support.server import running

TITLED = ("raw", "staging", "marts", "publish")
"""Layers that people look things up in."""
API = "/api/v1/warehouse/catalogue"


@pytest.fixture(scope="module")
def home(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(city, tmp_path_factory.mktemp("catalogue") / "home"))


@pytest.fixture(scope="module")
def snapshot(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    store = SnapshotStore(Settings(home=home))
    with store.acquire() as connection:
        yield connection
    store.close()


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[httpx.Client]:
    with running(Settings(home=home, dev=True)) as asking:
        yield asking


def every(client: httpx.Client, name: str, **filters: str) -> list[dict[str, Any]]:
    """All rows of a list of the API."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(f"{API}/{name}", params={"limit": "200", **filters, **cursor}).json()
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def test_the_catalogue_and_dbt_list_the_same_tables(client: httpx.Client) -> None:
    models = {path.stem for path in (project_dir() / "models").rglob("*.sql")} | {path.stem for path in (project_dir() / "seeds").glob("*.csv")}
    listed = {row["table_name"].partition(".")[2] for layer in ("staging", "intermediate", "marts") for row in every(client, "tables", layer=layer)}
    written = {name.partition(".")[2] for name in catalogue_file().written if name.startswith("marts.")}
    assert listed - written == models
    assert {row["table_name"] for row in every(client, "tables", layer="raw")} >= {f"raw.{subject}" for subject in SUBJECTS}


def test_the_catalogue_and_the_snapshot_hold_the_same_tables_rows_and_columns(client: httpx.Client, snapshot: duckdb.DuckDBPyConnection) -> None:
    there = {row[0] for row in snapshot.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'marts' AND NOT starts_with(table_name, '_')").fetchall()}
    listed = {row["table_name"].removeprefix("marts."): row for row in every(client, "tables", layer="marts")}
    assert set(listed) == there
    for name, row in listed.items():
        assert row["row_count"] == snapshot.execute(f'SELECT count(*) FROM marts."{name}"').fetchall()[0][0], name
    columns = {(row["table_name"], row["column_name"], row["data_type"]) for row in every(client, "columns") if row["table_name"].startswith("marts.")}
    assert columns == {
        (f"marts.{table}", column, kind)
        for table, column, kind in snapshot.execute("SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name = 'marts'").fetchall()
    }


def test_every_table_and_column_has_a_chinese_title_and_every_table_its_grain(client: httpx.Client) -> None:
    untitled = [row["table_name"] for row in every(client, "tables") if row["layer"] in TITLED and row["title"].isascii()]
    assert untitled == [], "add title and grain to pipelines/catalogue/catalogue.yml"
    assert [row["table_name"] for row in every(client, "tables") if row["layer"] in TITLED and not row["description"]] == []
    columns = [f"{row['table_name']}.{row['column_name']}" for row in every(client, "columns") if row["table_name"].startswith(TITLED) and row["title"] == row["column_name"]]
    assert columns == [], "add the title to pipelines/catalogue/catalogue.yml or begin dbt's description with it"


def test_the_lineage_has_no_loose_end_and_every_mart_comes_from_raw(client: httpx.Client) -> None:
    products = {row["table_name"] for row in every(client, "tables")}
    edges = {(row["upstream"], row["downstream"]) for row in every(client, "lineage")}
    assert {end for edge in edges for end in edge} <= products

    def origins(name: str, seen: frozenset[str] = frozenset()) -> set[str]:
        assert name not in seen, f"{name} is made from itself"
        return {name}.union(*(origins(above, seen | {name}) for above, below in edges if below == name))

    seeds = {f"marts.{path.stem}" for path in (project_dir() / "seeds").glob("*.csv")}
    for name in products - seeds:
        if name.startswith(("marts.", "staging.", "intermediate.", "publish.", "exposure.")):
            assert any(origin.startswith(("raw.", "ops.")) for origin in origins(name)), name
    assert {"source.sample", "raw.case", "marts.fct_case", "marts.score_department_month", "publish.snapshot"} <= origins("publish.report")


def test_partitions_add_up_to_the_tables(client: httpx.Client, snapshot: duckdb.DuckDBPyConnection) -> None:
    partitions = every(client, "partitions")
    for table in catalogue_file().partitions:
        rows = sum(row["row_count"] for row in partitions if row["table_name"] == table)
        assert rows == snapshot.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] > 0
    assert {row["verdict"] for row in partitions} <= {"ok", "missing", "unexpected"}


def test_sources_say_what_was_read_and_whether_it_is_fresh(client: httpx.Client, snapshot: duckdb.DuckDBPyConnection) -> None:
    sources = {row["subject"]: row for row in every(client, "sources")}
    assert set(sources) >= {"case", "case_event", "certificate", "review", "region", "department", "window", "matter"}
    for subject, row in sources.items():
        assert row["is_configured"] and row["kind"] == "file" and row["location"] == f"sample/{subject}/*.parquet"
        assert row["last_checked_at"] and row["last_read_at"]
    assert sources["case"]["owner"] == catalogue_file().owner
    assert sources["case"]["freshness"] == "fresh" and sources["case"]["habit"] == "daily" and sources["region"]["freshness"] == "no_rule"
    (count,) = snapshot.execute("SELECT count(*) FROM marts.fct_case").fetchall()[0]
    assert sources["case"]["row_count"] == count


def test_personal_columns_are_marked_and_nothing_personal_stands_in_the_catalogue(client: httpx.Client) -> None:
    columns = {(row["table_name"], row["column_name"]): row for row in every(client, "columns")}
    assert columns["raw.case", "applicant_name"]["is_personal"] and columns["marts.fct_case", "applicant_id_digest"]["is_personal"]
    assert not columns["marts.fct_case", "matter_name"]["is_personal"]
    assert columns["marts.fct_case", "case_number"]["gb_item"] == "5.1" and columns["marts.fct_review", "satisfaction_code"]["code_table"] == "A.8"


def test_a_publication_needs_no_readable_configuration(home: Path, snapshot: duckdb.DuckDBPyConnection) -> None:
    """What was read once stays in the catalogue, as not configured any more."""
    from pipelines.catalogue.service import write_catalogue

    settings = Settings(home=home)
    (before,) = snapshot.execute("SELECT row_count FROM marts.catalogue_source WHERE subject = 'case'").fetchall()[0]
    (as_of,) = snapshot.execute("SELECT max(as_of) FROM marts.run").fetchall()[0]
    broken = home / "broken.yml"
    broken.write_text("sources: [")
    write_catalogue(settings, broken, as_of, {})
    with duckdb.connect(str(settings.marts), read_only=True) as connection:
        rows = connection.execute("SELECT is_configured, location, row_count FROM marts.catalogue_source WHERE subject = 'case'").fetchall()
        assert rows == [(False, None, before)]
        assert {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, 'catalogue_')").fetchall()} == {
            *SCHEMAS, "catalogue_partition",
        }
