"""``/api/v1/processes``: the processes on which cases run."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from models.core.cases import versions
from serving.api.operational.calls import BEARER, Call, Code, Number, permitted
from serving.api.operational.listing import Listed
from serving.api.operational.processes.schemas import NewProcess, ProcessDetail, ProcessParameters, ProcessSummary

router = APIRouter(prefix="/processes", tags=["流程"], dependencies=[BEARER])


@router.get("", response_model=Listed[ProcessSummary], summary="流程列表")
def list_processes(wanted: Annotated[ProcessParameters, Query()], call: Annotated[Call, permitted("process:read")]) -> Response:
    """全部已发布的流程版本，按代码和版本号排序。"""
    return call.page(lambda session: versions.listed(session, wanted.paging, process=wanted.process, kind=wanted.kind), lambda row: ProcessSummary(**versions.summary(row)))


@router.get("/{process}/{number}", response_model=ProcessDetail, summary="一个流程版本")
def get_process(process: Code, number: Number, call: Annotated[Call, permitted("process:read")]) -> Response:
    """流程定义全文。"""
    return call.one(lambda session: ProcessDetail(**versions.detail(versions.get(session, process, number))))


@router.post("", response_model=ProcessDetail, status_code=201, summary="发布流程版本")
def publish_process(body: NewProcess, call: Annotated[Call, permitted("process:publish")]) -> Response:
    """发布前检查：环节可达、无死路、角色有人可任。已在旧版本上办理的办件不受影响。"""
    return call.post(body, lambda now: ProcessDetail(**versions.detail(versions.publish_checked(now, body.definition))), location=lambda made: f"/api/v1/processes/{made.process}/{made.number}")
