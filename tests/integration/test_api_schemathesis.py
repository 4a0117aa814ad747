"""The operational API against its own description: schemathesis asks what the description allows, and what it does not."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi_checks

from models.core.policy.service import Grant, policy
from models.core.work.service import Actor, work
from models.domain.settings import Settings
from models.store.operational.database import Database
from serving.app import create_app
from tests.support.examples import THOROUGH
from tests.support.operational import system_key
from tests.support.operational_api import City, city, key

CHECKS = [
    checks.not_a_server_error, openapi_checks.status_code_conformance, openapi_checks.content_type_conformance, openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
]  # fmt: skip


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    settings = Settings(home=tmp_path_factory.mktemp("asked"))
    with city(settings) as found:
        for _ in range(3):
            case = found.draft()["id"]
            found.act(case, found.citizens[0], "submit")
        yield found


@pytest.fixture(scope="module")
def everything(town: City) -> dict[str, str]:
    """A system with every role that a system may have."""
    database, at = Database(town.settings), datetime.now(UTC)
    with work(database, Actor("test", frozenset()), at) as now:
        rules = policy()
        grants = [Grant(role, "B01" if rules.roles[role].of == "unit" else "") for role in rules.systems]
        secret = system_key(now, "everything", grants, at + timedelta(days=1), "B01")
    database.close()
    return {"authorization": f"Bearer {secret}"}


def test_it_answers_as_it_says_it_does(town: City, everything: dict[str, str]) -> None:
    document = create_app(town.settings).openapi()
    document["paths"] = {path: item for path, item in document["paths"].items() if path.startswith("/api/v1/") and not path.startswith(("/api/v1/warehouse", "/api/v1/quality"))}
    assert len(document["paths"]) > 45
    document["components"].pop("securitySchemes")  # who asks is this test's business
    for item in document["paths"].values():
        for operation in item.values():
            operation.pop("security", None)
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=str(town.client.base_url))
    asked = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        ways = [everything, town.citizens[0], *town.staff.values()] if operation.method != "get" or THOROUGH else [everything]
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            asked += put(operation, mode, ways)
    assert asked > 300


def put(operation: Any, mode: GenerationMode, ways: list[dict[str, str]]) -> int:
    """Ask one operation in one way, as each of several principals; how often it was asked."""
    count = itertools.count()

    @given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis_settings(
        max_examples=60 if THOROUGH else 4, deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case) -> None:
        headers = ways[next(count) % len(ways)] | key() | {"if-match": '"1"'}
        case.validate_response(case.call(headers=headers), checks=CHECKS)

    try:
        ask()
    except Unsatisfiable:  # nothing can be asked wrongly where nothing can be given
        assert mode is GenerationMode.NEGATIVE
    return next(count)
