"""Sensors of ``dagster dev``: new files start a run, runs that Dagster starts are told to alerts, late sources are marked.

``yiwang run`` tells alerts by itself; its runs carry a tag, and the sensors leave them alone.
"""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.alerts.service import run_ended
from pipelines.defs.resources import AS_OF_TAG, TOLD_TAG, Platform, partition_of
from pipelines.defs.watch.checks import evaluation
from pipelines.defs.watch.files import Seen, decide
from pipelines.upkeep.watch import judge_sources

EACH_MINUTE, EACH_HOUR = 60, 3600


def build(settings: Settings, job: str) -> list[dg.SensorDefinition]:
    """The sensors for one home. That of files is off until an operator turns it on; the others only tell."""
    on = dg.DefaultSensorStatus.RUNNING

    @dg.sensor(job_name=job, minimum_interval_seconds=EACH_MINUTE, description="数据源的文件有变化且不再增长时，运行全流程")
    def new_files(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            source_file = Platform(settings).source_file()
            decision = decide(settings, source_file, Seen.from_cursor(context.cursor), time.time())
            if decision.run_key is None:
                return dg.SensorResult(skip_reason=decision.reason, cursor=decision.seen.to_cursor())
            as_of = (source_file.as_of_instant(settings.zone) or datetime.now(UTC)).astimezone(UTC)
            request = dg.RunRequest(run_key=decision.run_key, partition_key=partition_of(as_of, settings), tags={AS_OF_TAG: as_of.isoformat()})
            return dg.SensorResult(run_requests=[request], cursor=decision.seen.to_cursor())
        except YiwangError as error:
            return dg.SensorResult(skip_reason=error.message, cursor=context.cursor)

    @dg.run_failure_sensor(name="tell_failure", default_status=on, minimum_interval_seconds=EACH_MINUTE, description="运行失败时告警")
    def tell_failure(context: dg.RunFailureSensorContext) -> None:
        if context.dagster_run.job_name == job and TOLD_TAG not in context.dagster_run.tags:
            run_ended(settings, code_of(context), context.dagster_run.run_id, _as_of(context.dagster_run))

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS, name="tell_recovery", default_status=on, minimum_interval_seconds=EACH_MINUTE, description="运行恢复正常时告知",
    )
    def tell_recovery(context: dg.RunStatusSensorContext) -> None:
        if context.dagster_run.job_name == job and TOLD_TAG not in context.dagster_run.tags:
            run_ended(settings, None, context.dagster_run.run_id, _as_of(context.dagster_run))

    @dg.sensor(name="late_sources", default_status=on, minimum_interval_seconds=EACH_HOUR, description="数据源逾期没有新记录时标记并告警")
    def late_sources(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        judge_sources(settings)
        try:
            return dg.SensorResult(asset_events=[evaluation(settings)])
        except YiwangError as error:
            return dg.SensorResult(skip_reason=error.message)

    return [new_files, tell_failure, tell_recovery, late_sources]


def code_of(context: dg.RunFailureSensorContext) -> str:
    """Code of the error that ended a run; YW-RUN-005 for a blocking check, YW-RUN-002 for errors that are none of ours."""
    infos = [event.step_failure_data.error for event in context.get_step_failure_events()]
    data = context.failure_event.event_specific_data
    infos.append(getattr(data, "error", None))
    texts = [f"{info.cls_name} {info.message}" for start in infos for info in _causes(start)]
    codes = [found[0] for text in texts if (found := re.search(r"YW-[A-Z]+-[0-9]{3}", text))]
    if codes:
        return codes[-1]
    return "YW-RUN-005" if any("AssetCheck" in text for text in texts) else "YW-RUN-002"


def _causes(info: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    while info is not None:
        yield info
        info = info.cause


def _as_of(run: dg.DagsterRun) -> datetime | None:
    return datetime.fromisoformat(run.tags[AS_OF_TAG]) if AS_OF_TAG in run.tags else None
