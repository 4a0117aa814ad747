"""``/api/v1/tasks``: what is to be done."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from models.core.handling import service
from serving.api.operational.calls import BEARER, Call, permitted
from serving.api.operational.cases.schemas import ClaimedTask, TaskItem, TaskParameters
from serving.api.operational.listing import Listed

router = APIRouter(prefix="/tasks", tags=["待办"], dependencies=[BEARER])
Claimer = Annotated[Call, permitted("task:claim")]


@router.get("", response_model=Listed[TaskItem], summary="待办列表")
def list_tasks(wanted: Annotated[TaskParameters, Query()], call: Annotated[Call, permitted("task:read")]) -> Response:
    """您的角色要办理的，最紧急的在前；暂停计时的和没有时限的在最后。"""
    return call.page(lambda session: service.work_list(session, call.access, wanted.filter(), wanted.paging), TaskItem.of)


@router.post("/{task_id}/claim", response_model=ClaimedTask, summary="领取待办")
def claim_task(task_id: UUID, call: Claimer) -> Response:
    """领取之后只有领取人能办理。"""
    return call.post(None, lambda now: ClaimedTask.model_validate(service.claim(now, call.access, task_id), from_attributes=True), status=200)


@router.post("/{task_id}/release", response_model=ClaimedTask, summary="释放待办")
def release_task(task_id: UUID, call: Claimer) -> Response:
    """释放自己领取的；负责人可以释放本单位任何人领取的。"""
    return call.post(None, lambda now: ClaimedTask.model_validate(service.release(now, call.access, task_id), from_attributes=True), status=200)
