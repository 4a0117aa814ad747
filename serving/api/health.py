"""Is the server alive, and has it something to read: for those who watch it, without log-in."""

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from serving.api.answers import Answers

router = APIRouter(tags=["运行状况"])


class Health(BaseModel):
    """状态。"""

    status: str = Field(description="ok")


@router.get("/health", summary="进程是否存活")
async def health() -> Health:
    """进程存活即返回 ok。"""
    return Health(status="ok")


@router.get("/ready", summary="能否提供数据", responses={503: {"description": "还没有可读的已发布数据"}})
async def ready(request: Request) -> Health:
    """能读取一版已发布的数据时返回 ok。"""
    answers: Answers = request.app.state.answers
    await anyio.to_thread.run_sync(lambda: answers.warehouse.page("runs", limit=1))
    return Health(status="ok")
