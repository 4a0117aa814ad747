"""The graph that `dagster dev` shows."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from models.domain.contracts import SUBJECTS
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.definitions import JOB, build, locked_platform
from pipelines.defs.resources import Platform, partition_of
from pipelines.sources.service import run_lock
from pipelines.warehouse.service import project_dir


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def definitions(settings: Settings) -> dg.Definitions:
    return build(settings, Platform(settings))


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[dg.AssetKey, dg.AssetSpec]:
    return {spec.key: spec for spec in definitions.resolve_all_asset_specs()}


def test_the_graph_holds_every_subject_model_and_stage(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    models = {path.stem for path in (project_dir() / "models").rglob("*.sql")}
    names = {key.path[-1] for key in specs}
    assert {("raw", subject) for subject in SUBJECTS} <= {tuple(key.path) for key in specs}
    assert models <= names
    assert {"score_department_month", "snapshot", "report"} <= names


def test_every_asset_has_a_group_an_owner_and_a_description(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    built = [spec for key, spec in specs.items() if key.path[0] not in {"ops"} and key.path != ["raw", "calendar"]]
    external = {"calendar", "code_label", "matter_history", "quarantine"}
    for spec in built:
        if spec.key.path[-1] in external and spec.key.path[0] == "raw":
            continue
        assert spec.owners and spec.description and spec.group_name not in (None, "default"), spec.key


def test_quality_rules_and_dbt_tests_are_checks_and_severe_ones_block(definitions: dg.Definitions, settings: Settings) -> None:
    layer = definitions.resolve_job_def(JOB).asset_layer
    names = {key.name for key in layer.asset_graph.asset_check_keys}
    assert any(name.startswith("unique_key_fct_case") for name in names)
    blocking = {key.name for key in layer.asset_graph.asset_check_keys if layer.asset_graph.get(key).blocking}
    assert "sync_reconciles" in blocking


OWN_RULE = "- {id: city_late, table: fct_case, dimension: accuracy, severity: counts, standard: 本市办法, clause: 一, failing: is_late, message: 办件超期}\n"


def test_rules_of_a_city_are_checks_too_and_broken_ones_are_refused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "city.yml").write_text(OWN_RULE, encoding="utf-8")
    graph = build(settings, Platform(settings)).resolve_job_def(JOB).asset_layer.asset_graph
    assert {"city_late", "case_key_unique"} <= {key.name for key in graph.asset_check_keys}
    (tmp_path / "rules" / "city.yml").write_text(OWN_RULE.replace("is_late", "count(*) > 1"), encoding="utf-8")
    with pytest.raises(YiwangError, match="city.yml 第 1 行（city_late）"):
        build(settings, Platform(settings))


def test_the_schedule_runs_the_job_for_the_day_before(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("every_night")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance, repository_def=definitions.get_repository_def(), scheduled_execution_time=datetime(2026, 6, 30, 18, 0, tzinfo=UTC)
        )
        (request,) = schedule.evaluate_tick(context).run_requests or []
    assert schedule.job_name == JOB
    assert request.partition_key == "2026-06-30"


@pytest.mark.parametrize(("instant", "day"), [("2026-06-30T15:59:59+00:00", "2026-06-30"), ("2026-06-30T16:00:00+00:00", "2026-07-01")])
def test_a_run_stands_on_the_local_day(settings: Settings, instant: str, day: str) -> None:
    assert partition_of(datetime.fromisoformat(instant), settings) == day


def test_a_day_outside_the_partitions_is_refused(settings: Settings) -> None:
    with pytest.raises(YiwangError) as raised:
        partition_of(datetime(1999, 1, 1, tzinfo=UTC), settings)
    assert raised.value.code == "YW-RUN-004"


def test_a_run_of_dagster_holds_the_home(settings: Settings) -> None:
    job = build(settings, locked_platform(settings)).resolve_job_def(JOB)
    with run_lock(settings), pytest.raises(dg.DagsterResourceFunctionError) as raised:
        job.execute_in_process(asset_selection=[dg.AssetKey(["raw", "region"])])
    assert isinstance(raised.value.__cause__, YiwangError) and raised.value.__cause__.code == "YW-RUN-001"


def test_dagster_loads_the_module_as_its_command_does(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("dagster")), "job", "list", "-m", "pipelines.definitions"]
    environment = {**os.environ, "YIWANG_HOME": str(tmp_path), "DAGSTER_HOME": "", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert JOB in done.stdout


