"""The dbt project keeps the contracts: every column described, every staging column mapped to GB/T 39046 or an extension."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from models.domain.codes import standard_items
from models.domain.contracts import SUBJECTS, columns
from models.domain.schema import raw_columns
from models.store.resources import RESOURCES

MODELS = Path(__file__).parents[2] / "dbt" / "models"
DESCRIBED: dict[str, dict[str, Any]] = {
    model["name"]: model
    for path in sorted(MODELS.rglob("*.yml"))
    for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", [])
}
SQL = {path.stem: path for path in MODELS.rglob("*.sql")}


def test_every_model_has_its_yml() -> None:
    assert set(DESCRIBED) == set(SQL)


@pytest.mark.parametrize("model", DESCRIBED)
def test_every_model_and_column_is_described(model: str) -> None:
    assert DESCRIBED[model]["description"]
    undescribed = [column["name"] for column in DESCRIBED[model].get("columns", []) if not column.get("description")]
    assert DESCRIBED[model]["columns"] and not undescribed


@pytest.mark.parametrize("model", [path.stem for path in (MODELS / "marts").glob("*.sql")])
def test_every_mart_begins_with_its_grain_and_enforces_its_contract(model: str) -> None:
    assert DESCRIBED[model]["description"].startswith("One row a")
    assert DESCRIBED[model]["config"]["contract"]["enforced"] is True
    assert all(column.get("data_type") for column in DESCRIBED[model]["columns"])


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_staging_column_is_an_item_of_the_standard_or_an_extension(subject: str) -> None:
    described = {column["name"]: column.get("meta", {}) for column in DESCRIBED[f"stg_{subject}"]["columns"]}
    assert list(described) == list(raw_columns(SUBJECTS[subject]))
    items = {name: spec.item for name, spec in columns(SUBJECTS[subject]).items()}
    for name, meta in described.items():
        field = name if name in items else next((f for f in items if name.startswith(f + "_")), "")
        item = items.get(field)
        assert meta == ({"gbt39046": item} if item else {"extension": True}), name
        assert item is None or item in standard_items()


@pytest.mark.parametrize("model", [name for name in DESCRIBED if name.startswith(("fct_", "dim_", "mart_"))])
def test_items_named_in_marts_exist(model: str) -> None:
    named = [column["meta"]["gbt39046"] for column in DESCRIBED[model]["columns"] if "meta" in column]
    assert set(named) <= set(standard_items())


EXPOSURES = {e["name"]: {ref[5:-2] for ref in e["depends_on"]} for e in yaml.safe_load((MODELS / "exposures.yml").read_text(encoding="utf-8"))["exposures"]}


def test_exposures_name_what_the_api_serves() -> None:
    served = {table for r in RESOURCES.values() for table in (r.table, *(d.table for d in r.details.values()))}
    assert EXPOSURES["api_warehouse"] == served & set(SQL)


def test_every_mart_has_a_consumer() -> None:
    marts = {path.stem for path in (MODELS / "marts").glob("mart_*.sql")}
    assert not marts - set().union(*EXPOSURES.values())
