"""``/api/v1/{webhooks,jobs}``: who is told of what happens, and work in the background."""

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field
from starlette.responses import Response

from models.core.jobs import service as jobs
from models.core.jobs.status import status
from models.core.webhooks import service
from serving.api.operational.calls import BEARER, Call, Code, PageParameters, Strict, Text, permitted
from serving.api.operational.listing import Listed, Shown

router = APIRouter(tags=["推送和后台任务"], dependencies=[BEARER])
Reader = Annotated[Call, permitted("webhook:read")]
Editor = Annotated[Call, permitted("webhook:edit")]
Url = Annotated[str, Field(min_length=8, max_length=500, pattern=r"^https?://[\x21-\x7e]+$", description="http 或 https 网址")]


class NewWebhook(Strict):
    """要建立的推送。"""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "城市 APP", "url": "https://app.example.org/yiwang", "topics": ["case.moved"]}})

    name: Text = Field(description="给哪个系统")
    url: Url
    topics: list[Code] = Field(default_factory=list, max_length=50, description="主题；空为全部")


class ChangedWebhook(Strict):
    """要修改的内容；没有给出的不变。"""

    model_config = ConfigDict(json_schema_extra={"example": {"is_active": True}})

    name: Text | None = Field(None, description="给哪个系统")
    url: Url | None = None
    topics: list[Code] | None = Field(None, max_length=50, description="主题；空为全部")
    is_active: bool | None = Field(None, description="是否推送")


class WebhookItem(Shown):
    """推送。"""

    id: UUID = Field(description="标识")
    name: str = Field(description="给哪个系统")
    url: str = Field(description="网址")
    topics: list[str] = Field(description="主题；空为全部")
    is_active: bool = Field(description="是否推送")
    failures: int = Field(description="连续失败次数")
    failing_since: dt.datetime | None = Field(description="自何时起失败")
    retry_at: dt.datetime | None = Field(description="何时再试")
    last_error: str | None = Field(description="最近一次失败")
    version: int = Field(description="版本，与 ETag 相同")


class WebhookSecret(Shown):
    """推送的签名密钥。"""

    id: UUID = Field(description="标识")
    secret: str | None = Field(description="签名密钥，只显示这一次")


class JobItem(Shown):
    """后台任务。"""

    id: UUID = Field(description="标识")
    kind: str = Field(description="种类")
    due_at: dt.datetime = Field(description="何时做")
    attempts: int = Field(description="做了几次")
    error: str | None = Field(description="最近一次失败的代码")
    outcome: str | None = Field(description="done 已完成，dead 已放弃；空为等待")
    ended_at: dt.datetime | None = Field(description="结束时间")


class JobParameters(PageParameters):
    """后台任务列表的条件。"""

    is_dead: bool | None = Field(None, description="true 只看已放弃的")


class Background(Shown):
    """后台工作的状况。"""

    workers: list[dict[str, Any]] = Field(description="后台程序及其最近一轮")
    unsealed: int = Field(description="尚未封存的审计记录")
    cases_due: int = Field(description="已到期待处理的办件")
    jobs_waiting: int = Field(description="等待的任务")
    jobs_later: int = Field(description="尚未到时的任务")
    jobs_dead: int = Field(description="已放弃的任务")
    webhooks_failing: int = Field(description="正在失败的推送")
    webhooks_off: int = Field(description="已停用的推送")


@router.get("/webhooks", response_model=Listed[WebhookItem], summary="推送列表")
def list_webhooks(wanted: Annotated[PageParameters, Query()], call: Reader) -> Response:
    """在用的推送及其状况。"""
    return call.page(lambda session: service.listed(session, wanted.paging), WebhookItem.of)


@router.post("/webhooks", response_model=WebhookSecret, status_code=201, summary="建立推送")
def create_webhook(body: NewWebhook, call: Editor) -> Response:
    """自此时起推送；签名密钥只显示一次。不能指向本机或内部网络。"""
    return call.post(
        body, lambda now: WebhookSecret.of(service.create(now, call.crypto, body.name, body.url, body.topics)), shown_once="secret",
        location=lambda made: f"/api/v1/webhooks/{made.id}",
    )  # fmt: skip


@router.get("/webhooks/{webhook_id}", response_model=WebhookItem, summary="一个推送")
def get_webhook(webhook_id: UUID, call: Reader) -> Response:
    """及其状况。"""
    return call.one(lambda session: WebhookItem.of(service.get(session, webhook_id)))


@router.patch("/webhooks/{webhook_id}", response_model=WebhookItem, summary="修改推送")
def change_webhook(webhook_id: UUID, body: ChangedWebhook, call: Editor) -> Response:
    """重新启用后从停下的地方继续。"""
    return call.change(lambda now, seen: WebhookItem.of(service.change(now, webhook_id, seen, **body.model_dump())))


@router.post("/webhooks/{webhook_id}/secret", response_model=WebhookSecret, summary="更换签名密钥")
def change_webhook_secret(webhook_id: UUID, call: Editor) -> Response:
    """自此时起用新的密钥签名。"""
    return call.post(None, lambda now: WebhookSecret.of(service.new_secret(now, call.crypto, webhook_id)), status=200, shown_once="secret")


@router.delete("/webhooks/{webhook_id}", response_model=None, status_code=204, summary="取消推送")
def remove_webhook(webhook_id: UUID, call: Editor) -> Response:
    """不再推送。"""
    return call.remove(lambda now, seen: service.remove(now, webhook_id, seen))


@router.get("/jobs", response_model=Listed[JobItem], summary="后台任务列表")
def list_jobs(wanted: Annotated[JobParameters, Query()], call: Annotated[Call, permitted("job:read")]) -> Response:
    """最新的在前。"""
    return call.page(lambda session: jobs.listed(session, wanted.paging, is_dead=wanted.is_dead), JobItem.of)


@router.get("/jobs/status", response_model=Background, summary="后台工作的状况")
def get_background_status(call: Annotated[Call, permitted("job:read")]) -> Response:
    """后台程序最近一轮、等待和放弃的任务、失败的推送。"""
    return call.one(lambda session: Background(**status(session, call.at)))


@router.post("/jobs/{job_id}/retry", response_model=JobItem, summary="重试后台任务")
def retry_job(job_id: UUID, call: Annotated[Call, permitted("job:edit")]) -> Response:
    """只能重试已放弃的任务。"""
    return call.post(None, lambda now: JobItem.of(jobs.retry(now, job_id)), status=200)
