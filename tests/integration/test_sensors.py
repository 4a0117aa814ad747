"""Dagster's sensors, checks and policies over a home, with a small job in place of the platform's."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster._core.errors import DagsterAssetCheckFailedError
from pydantic import SecretStr

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from pipelines.catalogue.types import table_of
from pipelines.defs.resources import AS_OF_TAG, TOLD_TAG, Platform, daily
from pipelines.defs.sync.assets import raw
from pipelines.defs.watch import checks, sensors
from pipelines.sources.service import run_lock
from pipelines.upkeep.doctor.service import examine
from pipelines.upkeep.watch import watched
from tests.support.webhook import Receiver, receiver

JOB = "city"


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as there:
        yield there


@pytest.fixture
def settings(tmp_path: Path, there: Receiver) -> Settings:
    (tmp_path / "cases.csv").write_text("case_number\n1\n")
    (tmp_path / "sources.yml").write_text("as_of: 2026-06-30\nsources:\n  - {name: city, subject: case, location: cases.csv, fresh_within: 12h}\n")
    return Settings(home=tmp_path, quiet_seconds=0, alert_webhook=SecretStr(there.address))


def job_that(act: Callable[[], None]) -> dg.JobDefinition:
    @dg.op
    def step() -> None:
        act()

    return dg.GraphDefinition(name=JOB, node_defs=[step]).to_job()


def sensor(settings: Settings, name: str) -> dg.SensorDefinition:
    return next(one for one in sensors.build(settings, JOB) if one.name == name)


def ended(settings: Settings, job: dg.JobDefinition, tags: dict[str, str] | None = None) -> None:
    """Runs the job as Dagster would, and lets the sensor of its end look."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
        event = result.get_run_success_event() if result.success else result.get_run_failure_event()
        name = "tell_recovery" if result.success else "tell_failure"
        context = dg.build_run_status_sensor_context(name, event, instance, result.dagster_run)
        tell = sensor(settings, name)
        assert isinstance(tell, dg.RunStatusSensorDefinition)
        tell(context if result.success else context.for_run_failure())


def fail(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (YiwangError("YW-SYNC-002", source="city", location="x"), "run_failed", "YW-SYNC-002"),
        (YiwangError("YW-RUN-005", detail="对账不平"), "check_failed", "YW-RUN-005"),
        (DagsterAssetCheckFailedError("a blocking check"), "check_failed", "YW-RUN-005"),
        (ValueError("张三"), "run_failed", "YW-RUN-002"),
    ],
    ids=["ours", "checks", "dagster's check", "another"],
)
def test_a_run_that_dagster_started_is_told(settings: Settings, there: Receiver, error: Exception, kind: str, code: str) -> None:
    ended(settings, job_that(fail(error)), {AS_OF_TAG: "2026-06-30T12:00:00+00:00"})
    ended(settings, job_that(lambda: None))
    failure, recovery = there.events
    assert (failure["kind"], failure["code"], failure["as_of"]) == (kind, code, "2026-06-30T12:00:00+00:00")
    assert recovery["kind"] == "recovered"
    assert "张三" not in str(there.requests) and "对账" not in str(there.requests), "no text of errors: it may quote the data"


def test_a_run_that_found_the_home_taken_and_one_of_the_command_line_are_not(settings: Settings, there: Receiver) -> None:
    ended(settings, job_that(fail(YiwangError("YW-RUN-001", home="x", pid="1"))))
    ended(settings, job_that(fail(ValueError())), {TOLD_TAG: "true"})
    assert there.requests == []


def test_new_files_ask_for_a_run_of_the_day_on_which_it_stands(settings: Settings) -> None:
    look = sensor(settings, "new_files")

    @dg.asset(partitions_def=daily(settings))
    def of_a_day() -> None: ...

    graph = dg.Definitions([of_a_day], jobs=[dg.define_asset_job(JOB)], sensors=[look])
    assert look.default_status == dg.DefaultSensorStatus.STOPPED and look.job_name == JOB
    with dg.DagsterInstance.ephemeral() as instance:
        first = look.evaluate_tick(dg.build_sensor_context(instance, sensor_name=look.name, definitions=graph))
        again = look.evaluate_tick(dg.build_sensor_context(instance, cursor=first.cursor, sensor_name=look.name, definitions=graph))
    (request,) = first.run_requests or []
    assert (request.partition_key, request.tags[AS_OF_TAG]) == ("2026-06-30", "2026-06-30T15:59:59.999999+00:00")
    assert request.run_key and not again.run_requests and again.cursor == first.cursor


def test_new_files_wait_where_the_sources_are_wrong(settings: Settings) -> None:
    (settings.home / "sources.yml").write_text("sources: [")
    look = sensor(settings, "new_files")
    with dg.DagsterInstance.ephemeral() as instance:
        tick = look.evaluate_tick(dg.build_sensor_context(instance, cursor="{}", sensor_name=look.name))
    assert not tick.run_requests and "sources.yml" in (tick.skip_message or "") and tick.cursor == "{}"


def test_late_sources_mark_the_check_and_are_told_once(settings: Settings, there: Receiver) -> None:
    publish_catalogue(settings)
    look = sensor(settings, "late_sources")
    with dg.DagsterInstance.ephemeral() as instance:
        ticks = [look.evaluate_tick(dg.build_sensor_context(instance, sensor_name=look.name)) for _ in range(2)]
    for tick in ticks:
        (evaluation,) = tick.asset_events
        assert isinstance(evaluation, dg.AssetCheckEvaluation)
        assert (evaluation.check_name, evaluation.passed, set(evaluation.metadata)) == (checks.CHECK, False, {"city/case"})
    assert there.kinds == [("source_stale", "city/case")]


def test_the_check_after_a_publication(settings: Settings) -> None:
    def result() -> dg.AssetCheckResult:
        found = checks.sources_are_fresh(Platform(settings))  # type: ignore[call-arg]
        assert isinstance(found, dg.AssetCheckResult)
        return found

    assert not result().passed, "nothing is published: nothing can be said"
    publish_catalogue(settings)
    assert "city/case" in result().metadata and result().severity == dg.AssetCheckSeverity.WARN


def test_policies_are_those_of_the_sources_else_the_settings(settings: Settings) -> None:
    def hours(policies: object) -> dict[str, float]:
        assert isinstance(policies, dict)
        return {key.to_user_string(): policy.fail_window.to_timedelta().total_seconds() / 3600 for key, policy in policies.items()}

    assert hours(checks.policies(settings)) == {"raw/case": 12, "snapshot": 12, "report": 12}
    whole = hours(checks.policies(settings.model_copy(update={"fresh_within_hours": 30})))
    assert whole["raw/case"] == 12 and whole["raw/review"] == 30 and whole["snapshot"] == 12
    (settings.home / "sources.yml").unlink()
    assert checks.policies(settings) == {}


def test_policies_reach_the_assets(settings: Settings) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec(["raw", "case"]), dg.AssetSpec(["raw", "other"])])
    def made() -> Iterator[dg.MaterializeResult[None]]:
        yield dg.MaterializeResult(asset_key=["raw", "case"])

    found = {spec.key.path[-1]: spec.freshness_policy for spec in checks.with_policies(made, checks.policies(settings)).specs}
    assert found["case"] is not None and found["other"] is None


def test_a_run_of_the_command_line_tells_its_end_and_keeps_its_error(settings: Settings, there: Receiver) -> None:
    publish_catalogue(settings)
    for error in (YiwangError("YW-SYNC-002", source="city", location="x"), ValueError("张三"), None):
        try:
            with watched(settings), run_lock(settings):
                if error:
                    raise error
        except Exception as caught:
            assert caught is error
    assert there.kinds == [("run_failed", "run"), ("run_failed", "run"), ("recovered", "run"), ("source_stale", "city/case")]
    assert "张三" not in str(there.requests)


def test_an_event_is_tried_three_times_a_run(settings: Settings, there: Receiver) -> None:
    publish_catalogue(settings)
    with pytest.raises(ValueError, match="full"), watched(settings):
        raise ValueError("full")
    before, there.answers = len(there.requests), [503] * 20
    with watched(settings):
        pass
    assert [event["kind"] for event in there.events[before:]] == ["recovered"] * 3


def publish_catalogue(settings: Settings) -> None:
    """A snapshot whose only case is of June 2026."""
    newest = datetime(2026, 6, 30, tzinfo=UTC)
    row = {"source": "city", "subject": "case", "kind": "file", "is_configured": True, "newest_at": newest, "freshness": "fresh", "freshness_reason": "按日到齐"}
    settings.work.mkdir(exist_ok=True)
    with duckdb.connect(str(settings.marts)) as connection:
        connection.register("_rows", table_of("catalogue_source", [row]))
        connection.execute("CREATE SCHEMA marts; CREATE TABLE marts.catalogue_source AS FROM _rows")
    SnapshotStore(settings).publish(settings.marts, "run-1", newest)


def test_the_book_says_why_a_sync_failed(settings: Settings) -> None:
    """Else the doctor would take the run for one that was killed."""
    (settings.home / "cases.csv").unlink()
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([raw], selection=[dg.AssetKey(["raw", "case"])], resources={"platform": Platform(settings)}, instance=instance, raise_on_error=False)
    assert not done.success
    (found,) = examine(settings, datetime(2026, 7, 1, tzinfo=UTC), checks=["last_run"])
    assert found.state == "error" and "cases.csv" in found.sentence
