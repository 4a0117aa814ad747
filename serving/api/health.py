"""Is the server alive, and can its parts be used: for those who watch it, without log-in."""

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from models.core.work.operations import Operations
from models.domain.errors import YiwangError
from serving.api.answers import Answers

router = APIRouter(tags=["运行状况"])


class Health(BaseModel):
    """状态。"""

    status: str = Field(description="ok")


class Ready(Health):
    """状态及各部分的状态。"""

    parts: dict[str, str] = Field(description="operations 业务数据库，data 已发布的数据：ok 可用，否则为错误代码（如 YW-STORE-001 还没有发布过数据）")


@router.get("/health", summary="进程是否存活")
async def health() -> Health:
    """进程存活即返回 ok。"""
    return Health(status="ok")


@router.get("/ready", summary="能否办理业务", responses={503: {"description": "业务数据库暂不可用"}})
async def ready(request: Request) -> Ready:
    """业务数据库可用时返回 ok；已发布的数据是否可用在 parts 中说明，没有它不影响办理业务。"""
    operations: Operations = request.app.state.operations
    await anyio.to_thread.run_sync(operations.answer)
    try:
        await anyio.to_thread.run_sync(_ask_data, request.app.state.answers)
    except YiwangError as error:
        return Ready(status="ok", parts={"operations": "ok", "data": error.code})
    return Ready(status="ok", parts={"operations": "ok", "data": "ok"})


@router.get("/ready/data", summary="能否提供数据", responses={503: {"description": "还没有可读的已发布数据"}})
async def ready_with_data(request: Request) -> Health:
    """能读取一版已发布的数据时返回 ok；供只用数据接口的负载均衡使用。"""
    await anyio.to_thread.run_sync(_ask_data, request.app.state.answers)
    return Health(status="ok")


def _ask_data(answers: Answers) -> None:
    answers.warehouse.page("runs", limit=1)
