"""Every route is guarded, and what it says of itself is true of the marts."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from models.core.policy.service import Principal
from models.domain.settings import Settings
from models.store.resources import RESOURCES
from models.store.snapshots import SnapshotStore
from models.store.warehouse import WarehouseRepository
from serving.api.warehouse import parameters, schemas
from serving.app import create_app
from serving.auth.service import is_public
from tests.support.server import running
from tests.support.snapshots import PIPELINE_TABLES, mart_columns

ANSWERS = {
    "dim_matter": schemas.Matter, "dim_department": schemas.Department, "fct_case": schemas.Case, "fct_case_event": schemas.CaseEvent,
    "fct_certificate": schemas.Certificate, "fct_review": schemas.Review, "mart_department_day": schemas.Measure, "mart_sync_run": schemas.Sync,
    "score_department_month": schemas.Score, "score_indicator_month": schemas.Indicator, "run": schemas.Run, "check_result": schemas.Check,
}
PARAMETERS = {
    "matters": parameters.MatterParameters, "cases": parameters.CaseParameters, "departments": parameters.DepartmentParameters,
    "scores": parameters.ScoreParameters, "measures": parameters.MeasureParameters, "runs": parameters.RunParameters,
    "checks": parameters.CheckParameters,
}


def addresses(routes: list[Any]) -> Iterator[str]:
    """Addresses of all routes, mounted applications and included routers, with something in place of parameters."""
    for route in routes:
        if (included := getattr(route, "original_router", None)) is not None:
            yield from addresses(included.routes)
        else:
            yield re.sub(r"\{[^}]*\}", "x", route.path) or "/"


def test_nothing_but_the_public_list_answers_a_stranger(snapshot_settings: Settings) -> None:
    app = create_app(snapshot_settings)
    every = set(addresses(app.routes)) | {"/", "/nowhere", "/api/v1/nowhere", "/healthy", "/docs/"}
    assert len(every) > 15
    with running(snapshot_settings) as client:
        answered = {address for address in every if client.get(address).status_code != 401}
    assert answered == {address for address in every if is_public(address)}
    assert not any(address.startswith("/api/") for address in answered)


def test_every_api_route_declares_a_permission(snapshot_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A principal that is known but may do nothing gets nothing."""
    monkeypatch.setattr("serving.auth.credentials.developer", lambda: Principal("nobody in particular"))
    settings = snapshot_settings.model_copy(update={"dev": True})
    with running(settings) as client:
        inside = [address for address in addresses(create_app(settings).routes) if not is_public(address)]
        assert {address: client.get(address).status_code for address in inside if address != "/static-offline-docs"} == {
            address: 403 for address in inside if address != "/static-offline-docs"
        }


@pytest.mark.parametrize("table", sorted(ANSWERS))
def test_answers_have_the_columns_of_the_marts(table: str) -> None:
    columns = mart_columns(table) if table not in PIPELINE_TABLES else [each.split()[0] for each in PIPELINE_TABLES[table].split(", ")]
    assert list(ANSWERS[table].model_fields) == [column for column in columns if not column.startswith("_")]


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_parameters_are_the_filters(name: str) -> None:
    assert set(PARAMETERS[name].model_fields) - set(parameters.ListParameters.model_fields) == set(RESOURCES[name].filters)


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_rows_are_what_the_documentation_says(name: str, snapshot_settings: Settings) -> None:
    repository = WarehouseRepository(SnapshotStore(snapshot_settings))
    rows = repository.page(name, limit=20).items
    assert rows
    for row in rows:
        ANSWERS[RESOURCES[name].table].model_validate(row, strict=True, extra="forbid")


def test_documentation_is_chinese_and_names_every_problem() -> None:
    app: FastAPI = create_app(Settings(home=Path("unused"), dev=True))
    document = app.openapi()
    for path, operations in document["paths"].items():
        get = operations["get"]
        assert re.search("[一-鿿]", get["summary"]) and re.search("[一-鿿]", get["description"]), path
        if path.startswith("/api/"):
            assert {"401", "403", "404", "410", "422", "503"} <= set(get["responses"])
            assert "HTTPValidationError" not in str(get["responses"])
            assert all(parameter.get("description") or parameter["in"] == "path" for parameter in get["parameters"])
    assert "http" not in str([document["info"], document.get("servers")])
