"""``/api/v1/{webhooks,jobs}``: who is told of what happens, and work in the background."""

import datetime as dt
import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field
from starlette.responses import Response

from models.core.jobs import service as jobs
from models.core.jobs.kinds import KINDS, ask
from models.core.jobs.status import status
from models.core.webhooks import deliveries, service
from serving.api.operational.calls import BEARER, Call, Code, PageParameters, Strict, Text, permitted
from serving.api.operational.listing import Listed, Shown

router = APIRouter(tags=["推送和后台任务"], dependencies=[BEARER])
Reader = Annotated[Call, permitted("webhook:read")]
Editor = Annotated[Call, permitted("webhook:edit")]
_FREE = {name: kind.title for name, kind in KINDS.items() if kind.is_free}
JobKind = Annotated[str, Field(
    pattern=f"^({'|'.join(map(re.escape, _FREE))})$", json_schema_extra={"enum": list(_FREE)}, description="种类：" + "，".join(f"{name} {title}" for name, title in _FREE.items()),
)]  # fmt: skip
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


class DeliveryItem(Shown):
    """推送中的一条消息；内容只推送给接收方，这里不显示。"""

    event_id: UUID = Field(description="消息标识，与 Yiwang-Event-Id 相同")
    topic: str = Field(description="主题")
    aggregate: str = Field(description="涉及何种对象")
    aggregate_id: str = Field(description="涉及的对象")
    created_at: dt.datetime = Field(description="发生时间")
    state: str = Field(description="failing 正在失败，pending 等待，passed 已推送或已跳过")


class DeliveryParameters(PageParameters):
    """推送消息列表的条件。"""

    is_passed: bool = Field(False, description="true 只看已推送或已跳过、尚在保留期内的消息，最新的在前")


class NewJob(Strict):
    """要做的后台任务。"""

    model_config = ConfigDict(json_schema_extra={"example": {"kind": "audit.verify"}})

    kind: JobKind


class JobItem(Shown):
    """后台任务。"""

    id: UUID = Field(description="标识")
    kind: str = Field(description="种类")
    created_at: dt.datetime = Field(description="何时安排")
    due_at: dt.datetime = Field(description="何时做")
    attempts: int = Field(description="做了几次")
    progress_done: int = Field(description="已做多少")
    progress_total: int | None = Field(description="共有多少；不知道时为空")
    leased_by: str | None = Field(description="正在做的后台程序")
    cancel_at: dt.datetime | None = Field(description="何时要求取消")
    error: str | None = Field(description="最近一次失败的代码")
    outcome: str | None = Field(description="done 已完成，dead 已放弃，cancelled 已取消；空为等待或进行中")
    result: dict[str, Any] | None = Field(description="结果")
    ended_at: dt.datetime | None = Field(description="结束时间")


class JobParameters(PageParameters):
    """后台任务列表的条件。"""

    is_dead: bool | None = Field(None, description="true 只看已放弃的")


class Background(Shown):
    """后台工作的状况。"""

    workers: list[dict[str, Any]] = Field(description="后台程序及其最近一轮")
    consumers: list[dict[str, Any]] = Field(description="各订阅尚未读到的消息数（10001 表示超过一万条）、最早一条的时间和已等待的秒数")
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


@router.post("/webhooks/{webhook_id}/test", response_model=JobItem, status_code=202, summary="试推送")
def test_webhook(webhook_id: UUID, call: Editor) -> Response:
    """由后台程序推送一条主题为 webhook.test 的消息，停用的也可以试；结果见该后台任务。"""
    return call.post(None, lambda now: JobItem.of(deliveries.ask_test(now, webhook_id)), status=202, location=_address)


@router.get("/webhooks/{webhook_id}/deliveries", response_model=Listed[DeliveryItem], summary="推送消息列表")
def list_deliveries(webhook_id: UUID, wanted: Annotated[DeliveryParameters, Query()], call: Reader) -> Response:
    """尚未送达的消息，下一条在前；不含消息内容。"""
    return call.page(lambda session: deliveries.deliveries(session, webhook_id, wanted.paging, is_passed=wanted.is_passed), DeliveryItem.of)


@router.post("/webhooks/{webhook_id}/deliveries/{event_id}/resend", response_model=JobItem, status_code=202, summary="重新推送一条消息")
def resend_delivery(webhook_id: UUID, event_id: UUID, call: Editor) -> Response:
    """只能重推已推送或已跳过的消息：标识不变，重新签名，不按先后；正在失败的消息会自动再试，修改推送即可让它立即再试。"""
    return call.post(None, lambda now: JobItem.of(deliveries.resend(now, webhook_id, event_id)), status=202, location=_address)


@router.post("/webhooks/{webhook_id}/deliveries/{event_id}/skip", response_model=WebhookItem, summary="跳过正在失败的消息")
def skip_delivery(webhook_id: UUID, event_id: UUID, call: Editor) -> Response:
    """接收方始终不收的一条会挡住其后的消息；跳过后继续推送后面的。"""
    return call.post(None, lambda now: WebhookItem.of(deliveries.skip(now, webhook_id, event_id)), status=200)


@router.get("/jobs", response_model=Listed[JobItem], summary="后台任务列表")
def list_jobs(wanted: Annotated[JobParameters, Query()], call: Annotated[Call, permitted("job:read")]) -> Response:
    """最新的在前。"""
    return call.page(lambda session: jobs.listed(session, wanted.paging, is_dead=wanted.is_dead), JobItem.of)


@router.post("/jobs", response_model=JobItem, status_code=202, summary="安排后台任务")
def ask_job(body: NewJob, call: Annotated[Call, permitted("job:edit")]) -> Response:
    """由后台程序尽快做；同样的任务已在等待时不再安排。"""
    return call.post(body, lambda now: JobItem.of(ask(now, body.kind)), status=202, location=_address)


@router.get("/jobs/status", response_model=Background, summary="后台工作的状况")
def get_background_status(call: Annotated[Call, permitted("job:read")]) -> Response:
    """后台程序最近一轮、等待和放弃的任务、失败的推送。"""
    return call.one(lambda session: Background(**status(session, call.at)))


@router.get("/jobs/{job_id}", response_model=JobItem, summary="一项后台任务")
def get_job(job_id: UUID, call: Annotated[Call, permitted("job:read")]) -> Response:
    """及其进度和结果。"""
    return call.one(lambda session: JobItem.of(jobs.get(session, job_id)))


@router.post("/jobs/{job_id}/cancel", response_model=JobItem, summary="取消后台任务")
def cancel_job(job_id: UUID, call: Annotated[Call, permitted("job:edit")]) -> Response:
    """等待中的和已放弃的立即取消；进行中的在下一步停下，已做的部分保留。"""
    return call.post(None, lambda now: JobItem.of(jobs.cancel(now, job_id)), status=200)


@router.post("/jobs/{job_id}/retry", response_model=JobItem, summary="重试后台任务")
def retry_job(job_id: UUID, call: Annotated[Call, permitted("job:edit")]) -> Response:
    """只能重试已放弃或已取消的任务。"""
    return call.post(None, lambda now: JobItem.of(jobs.retry(now, job_id)), status=200)


def _address(job: JobItem) -> str:
    return f"/api/v1/jobs/{job.id}"
