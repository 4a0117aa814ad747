"""Every route is guarded, and what it says of itself is true of the marts."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from models.core.policy.service import Grant, Principal, policy
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


def table(routes: list[Any], prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Method, address and route of all routes, mounted applications and included routers, with something in place of parameters."""
    for route in routes:
        if (included := getattr(route, "original_router", None)) is not None:
            yield from table(included.routes, prefix + getattr(route.include_context, "prefix", ""))
            continue
        address = re.sub(r"\{[^}]*\}", "x", prefix + route.path) or "/"
        for method in sorted(getattr(route, "methods", None) or {"GET"}):
            yield method, address, route


def addresses(routes: list[Any]) -> Iterator[str]:
    """Addresses of all routes that can be read."""
    return (address for method, address, _ in table(routes) if method == "GET")


def test_nothing_but_the_public_list_answers_a_stranger(snapshot_settings: Settings) -> None:
    app = create_app(snapshot_settings)
    every = set(addresses(app.routes)) | {"/", "/nowhere", "/api/v1/nowhere", "/healthy", "/docs/"}
    assert len(every) > 15
    with running(snapshot_settings) as client:
        answered = {address for address in every if client.get(address).status_code != 401}
    assert answered == {address for address in every if is_public(address)}
    assert not any(address.startswith("/api/") for address in answered)


PUBLISHED = ("/api/v1/warehouse", "/api/v1/quality")
"""Interfaces of the published snapshot, with one permission of their own."""


def permission_of(route: Any) -> str | None:
    """The permission that a route asks for."""
    waiting = [getattr(route, "dependant", None)]
    while waiting:
        if (one := waiting.pop()) is None:
            continue
        if (found := getattr(one.call, "permission", None)) is not None:
            return str(found)
        waiting += one.dependencies
    return None


def operational(app: FastAPI) -> list[tuple[str, str, Any]]:
    """Method, address and route of the operational API."""
    return [each for each in table(app.routes) if each[1].startswith("/api/v1/") and not each[1].startswith(PUBLISHED)]


def test_nobody_gets_anything_from_the_operational_api(snapshot_settings: Settings) -> None:
    routes = operational(create_app(snapshot_settings))
    assert len(routes) > 60 and all(permission_of(route) in policy().permissions for _, _, route in routes)
    with running(snapshot_settings) as client:
        answered = {(method, address): client.request(method, address, json={}).status_code for method, address, _ in routes}
    assert {each: status for each, status in answered.items() if status != 401} == {}


def test_every_right_but_the_needed_one_is_not_enough(snapshot_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each route somebody who holds all roles, everywhere, but those that have its permission."""
    settings = snapshot_settings.model_copy(update={"dev": True})
    holds: list[Principal] = []
    monkeypatch.setattr("serving.auth.credentials.developer", lambda: holds[0])
    with running(settings) as client:
        for method, address, route in operational(create_app(settings)):
            needed = policy().permissions[permission_of(route) or ""]
            holds[:] = [Principal("somebody else", frozenset(Grant(role) for role in policy().roles if role not in needed.who))]
            answer = client.request(method, address, json={}, headers={"if-match": '"1"', "idempotency-key": "k" * 8})
            assert (answer.status_code, answer.json()["code"]) == (403, "YW-POLICY-001"), (method, address)


def bodies(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, address and example of each operation of the operational API that takes a body."""
    for path, operations in document["paths"].items():
        if not path.startswith("/api/v1/") or path.startswith(PUBLISHED):
            continue
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is not None:
                schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
                assert schema.get("example"), f"{method} {path} has no example"
                yield method, re.sub(r"\{[^}]*_id\}", "01909a4e-0000-7000-8000-000000000001", re.sub(r"\{number\}", "1", re.sub(r"\{code\}", "x", path))), schema["example"]


def test_what_is_not_named_is_refused_and_nothing_is_done_twice(snapshot_settings: Settings) -> None:
    """Mass assignment, a repeated POST without a key, a change of something not read."""
    settings = snapshot_settings.model_copy(update={"dev": True})
    examples = list(bodies(create_app(settings).openapi()))
    assert len(examples) > 25
    with running(settings) as client:
        for method, address, example in examples:
            more = client.request(method, address, json=example | {"version": 99, "is_administrator": True}, headers={"idempotency-key": "k" * 8, "if-match": '"1"'})
            assert more.status_code == 422, (method, address, more.text)
            bare = client.request(method, address, json=example)
            shows = address.endswith("/reveal")  # shows each time and keeps nothing
            expected = {404} if shows else {400, 428} if method == "post" else {428}
            assert bare.status_code in expected, (method, address, bare.text)


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
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert re.search("[一-鿿]", operation["summary"]) and re.search("[一-鿿]", operation["description"]), (method, path)
            if path.startswith("/api/"):
                always = {"401", "403", "404", "422", "503"}
                assert always | ({"410"} if path.startswith(PUBLISHED) else {"409", "429"}) <= set(operation["responses"])
                assert "HTTPValidationError" not in str(operation["responses"])
                assert all(parameter.get("description") or parameter["in"] == "path" for parameter in operation.get("parameters", ())), (method, path)
    assert "http" not in str([document["info"], document.get("servers")])
    assert not Path("unused").exists()
