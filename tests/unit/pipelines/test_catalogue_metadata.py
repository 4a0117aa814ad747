"""What the catalogue says of columns, locations and freshness, from made-up manifests and sources."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.domain.codes import code_tables, standard_items
from models.domain.contracts import SUBJECTS
from models.domain.schema import raw_columns
from pipelines.catalogue.locations import location_of, written_locations
from pipelines.catalogue.metadata import Product, column_rows, edges_of_dbt, products_of_dbt, table_rows
from pipelines.catalogue.service import verdict_of
from pipelines.catalogue.types import catalogue_file

AS_OF = datetime(2026, 6, 30, 16, tzinfo=UTC)
MANIFEST: dict[str, Any] = {
    "nodes": {
        "model.y.fct_case": {
            "unique_id": "model.y.fct_case", "resource_type": "model", "schema": "marts", "alias": "fct_case", "name": "fct_case", "description": "One row a case.",
            "config": {"materialized": "incremental", "meta": {"owner": "办件组"}}, "depends_on": {"nodes": ["source.y.raw.case", "macro.y.x"]},
            "columns": {"case_number": {"description": "办件编号 (GB/T 39046 item 7.1).", "meta": {"gbt39046": "7.1"}}, "type_code": {"description": "事项类型代码 (A.1) of the matter."}},
        },
        "test.y.t": {"unique_id": "test.y.t", "resource_type": "test"},
    },
    "sources": {"source.y.raw.case": {"unique_id": "source.y.raw.case", "resource_type": "source", "schema": "raw", "identifier": "case", "name": "case", "description": "", "columns": {}}},
    "exposures": {
        "exposure.y.report": {
            "unique_id": "exposure.y.report", "resource_type": "exposure", "name": "report", "label": "月报", "type": "dashboard", "description": "每月一次", "owner": {"name": "评估组"},
            "depends_on": {"nodes": ["model.y.fct_case"]},
        }
    },
}  # fmt: skip


def test_models_sources_and_exposures_are_products_and_their_dependencies_edges() -> None:
    products = products_of_dbt(MANIFEST)
    assert {name: (product.layer, product.kind) for name, product in products.items()} == {
        "marts.fct_case": ("marts", "table"), "raw.case": ("raw", "table"), "exposure.report": ("exposure", "dashboard"),
    }
    assert edges_of_dbt(MANIFEST) == {("raw.case", "marts.fct_case"), ("marts.fct_case", "exposure.report")}
    rows = {row["table_name"]: row for row in table_rows(products, catalogue_file())}
    assert (rows["marts.fct_case"]["title"], rows["marts.fct_case"]["owner"]) == ("办件", "办件组")
    assert (rows["exposure.report"]["title"], rows["exposure.report"]["owner"]) == ("月报", "评估组")
    assert [row["table_name"] for row in sorted(rows.values(), key=lambda row: row["sort_order"])] == ["raw.case", "marts.fct_case", "exposure.report"]


def test_a_columns_description_repeats_nothing_that_has_a_column_of_its_own() -> None:
    number, kind = column_rows({"marts.fct_case": products_of_dbt(MANIFEST)["marts.fct_case"]}, catalogue_file())
    assert (number["title"], number["gb_item"], number["description"]) == ("办件编号", "7.1", "")
    assert kind["code_table"] == "A.1"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_raw_column_has_a_title_and_known_item_and_code_table(subject: str) -> None:
    product = Product(f"raw.{subject}", "raw", "table", types=raw_columns(SUBJECTS[subject]))
    for row in column_rows({product.name: product}, catalogue_file()):
        assert not row["title"].isascii(), row["column_name"]
        assert row["gb_item"] is None or row["gb_item"] in standard_items()
        assert row["code_table"] is None or row["code_table"] in code_tables()


def test_names_masks_and_digests_are_personal_and_validity_is_not() -> None:
    product = Product("raw.case", "raw", "table", types=raw_columns(SUBJECTS["case"]))
    personal = {row["column_name"] for row in column_rows({"raw.case": product}, catalogue_file()) if row["is_personal"]}
    assert {"applicant_name", "applicant_id_digest", "applicant_id_masked", "contact_phone", "address"} <= personal
    assert not {"applicant_id_is_valid", "case_number", "matter_name", "received_at"} & personal


def test_locations_are_as_written_and_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "sources.yml"
    path.write_text("sources:\n- {name: a, subject: case, location: '${YIWANG_SOURCE_DB}'}\n- {name: b, subject: case, location: 'postgresql://u:p@db/x'}\n- nothing\n")
    written = written_locations(path)
    source = SimpleNamespace(name="a", subject="case", location="postgresql://reader:secret@db/cases")
    assert location_of(source, written) == "${YIWANG_SOURCE_DB}"
    assert location_of(SimpleNamespace(name="b", subject="case", location=""), written) == "postgresql://***@db/x"
    assert location_of(source, {}) == "postgresql://***@db/cases"
    path.write_text("sources: [")
    assert written_locations(path) == {} == written_locations(tmp_path / "none.yml")


@pytest.mark.parametrize(
    ("fresh_within", "newest", "partitions", "expected"),
    [
        ("1d", timedelta(hours=23), {"habit": "daily", "missing_at_end": 9}, "fresh"),
        ("1d", timedelta(hours=25), {"habit": "daily", "missing_at_end": 0}, "stale"),
        ("6h", timedelta(hours=7), {}, "stale"),
        (None, timedelta(days=9), {"habit": "daily", "missing_at_end": 0}, "fresh"),
        (None, timedelta(days=9), {"habit": "daily", "missing_at_end": 1}, "fresh"),
        (None, timedelta(days=9), {"habit": "daily", "missing_at_end": 2}, "stale"),
        (None, timedelta(days=90), {"habit": "monthly", "missing_at_end": 2}, "stale"),
        (None, timedelta(days=90), {"habit": "irregular", "missing_at_end": 0}, "no_rule"),
        (None, timedelta(days=900), {}, "no_rule"),
    ],
)  # fmt: skip
def test_a_source_is_fresh_by_its_own_measure_else_by_habit(fresh_within: str | None, newest: timedelta, partitions: dict[str, Any], expected: str) -> None:
    held = {"row_count": 5, "newest_at": AS_OF - newest}
    verdict, reason = verdict_of(SimpleNamespace(fresh_within=fresh_within), held, partitions, AS_OF, grace=1)  # type: ignore[arg-type]
    assert verdict == expected and reason
    assert verdict_of(None, {"row_count": 0}, partitions, AS_OF, grace=1)[0] == "empty"
