"""What goes on beside the server: jobs, webhooks and what they have told."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from models.core.jobs import service as jobs
from models.core.jobs.kinds import KINDS, ask
from models.core.jobs.status import PARTS, status
from models.core.webhooks import deliveries
from models.core.webhooks import service as webhooks
from models.core.webhooks.topics import TOPICS
from models.core.work.service import Work
from models.domain.errors import MESSAGES
from models.store.operational.paging import Page, Paging
from models.store.operational.tables import Job
from serving.web.desk.common import Visit
from serving.web.desk.keeping.types import Area, Field, Form, Link, Seen, Told, Values, column, nothing, text, version

_SILENT = timedelta(minutes=2)
OUTCOMES = {"done": "已完成", "dead": "已放弃", "cancelled": "已取消"}
_PASSED = {"failing": "正在失败", "pending": "等待", "passed": "已推送或已跳过"}
_TOPICS = Field("topics", "主题（不选为全部）", "many", lambda: TOPICS, is_needed=False)


def _title(kind: str) -> str:
    return KINDS[kind].title if kind in KINDS else kind


def _state(here: Visit, row: Job) -> str:
    """How a job stands, in words."""
    if row.outcome is not None:
        return OUTCOMES.get(row.outcome, row.outcome)
    if row.leased_by is None:
        return "等待" if row.due_at <= here.at else "尚未到时"
    if row.leased_until is not None and row.leased_until < here.at:
        return "后台程序没有应答：将由其他程序接手，仍不继续时请重新启动后台程序"
    return "正在取消" if row.cancel_at else "进行中"


def _progress(here: Visit, row: Job) -> str:
    if row.progress_total:
        return f"{row.progress_done} / {row.progress_total}（{row.progress_done * 100 // row.progress_total}%）"
    return str(row.progress_done) if row.progress_done else "—"


def _fault(code: str | None) -> str | None:
    """What a code of the catalogue means; other codes as they are."""
    return None if code is None else f"{code}：{MESSAGES[code][1]}" if code in MESSAGES and "{" not in MESSAGES[code][1] else code


def _job(here: Visit, session: Any, key: str) -> Seen:
    row = jobs.get(session, UUID(key))
    hook = row.payload.get("webhook_id")
    return Seen(_title(row.kind), [
        ("状态", _state(here, row)), ("进度", _progress(here, row)), ("次数", f"{row.attempts} / {KINDS[row.kind].attempts if row.kind in KINDS else '?'}"), ("安排", row.created_at),
        ("何时做", row.due_at), ("由谁在做", row.leased_by), ("应答至", row.leased_until), ("要求取消", row.cancel_at), ("结束", row.ended_at), ("最近一次失败", _fault(row.error)),
        ("结果", [f"{name}：{_word(value)}" for name, value in (row.result or {}).items()]), ("推送", Link("查看推送", f"/desk/keep/webhooks/{hook}") if hook else None),
    ], row)  # fmt: skip


def _word(value: Any) -> str:
    return {True: "是", False: "否", None: "—"}[value] if value is None or isinstance(value, bool) else str(value)


def _standing(here: Visit, session: Any) -> list[tuple[str, Any]]:
    """The workers and what waits, above the list."""
    figures = status(session, here.at)
    workers = [
        f"{each['worker']}：{'正常' if datetime.fromisoformat(each['round_at']) >= here.at - _SILENT else '没有应答'}"
        + "".join(f"；{PARTS.get(part, part)}失败（{_fault(code)}）" for part, code in sorted(each["errors"].items()))
        for each in figures["workers"]
    ]  # fmt: skip
    return [
        ("后台程序", workers or "没有运行，请启动 yiwang worker（yiwang serve 默认会带一个）"),
        ("等待", f"{figures['jobs_waiting']} 项任务，{figures['cases_due']} 个到期待处理的办件，{figures['unsealed']} 条未封存的审计记录"),
        ("已放弃", Link(f"{figures['jobs_dead']} 项任务", "/desk/keep/jobs?is_dead=1")),
    ]  # fmt: skip


def _hook(here: Visit, now: Work, values: Values) -> str:
    return webhooks.create(now, here.operations.crypto, values["name"], values["url"], values["topics"].split()).secret


def _changed(here: Visit, now: Work, values: Values) -> None:
    webhooks.change(now, UUID(values["id"]), version(values), name=values["name"], url=values["url"], topics=values["topics"].split())


def _told_to(here: Visit, session: Any, key: str) -> Seen:
    row = webhooks.get(session, UUID(key))
    waiting = deliveries.deliveries(session, row.id, Paging(20)).items
    return Seen(row.name, [
        ("网址", row.url), ("主题", [TOPICS.get(topic, topic) for topic in row.topics] or "全部"), ("状态", "推送中" if row.is_active else "已停用"), ("连续失败", row.failures),
        ("自何时起失败", row.failing_since), ("何时再试", row.retry_at), ("最近一次失败", _fault(row.last_error)),
        ("尚未送达", [f"{TOPICS.get(each.topic, each.topic)}，{_PASSED[each.state]}" for each in waiting] or "没有"),
        ("消息", [Link("尚未送达的消息", f"/desk/keep/deliveries?webhook_id={key}"), Link("已推送的消息", f"/desk/keep/deliveries?webhook_id={key}&is_passed=1")]),
    ], row)  # fmt: skip


def _deliveries(here: Visit, session: Any, paging: Paging, v: Values) -> Page[Any]:
    found = deliveries.deliveries(session, UUID(v["webhook_id"]), paging, is_passed=v["is_passed"] == "1")
    return Page([_Delivery(v["webhook_id"], each) for each in found.items], found.next)


class _Delivery:
    """A message with the webhook that it is told to."""

    def __init__(self, webhook_id: str, message: deliveries.Delivery) -> None:
        self.message, self.key = message, f"{webhook_id}/{message.event_id}"


def _ids(values: Values) -> tuple[UUID, UUID]:
    webhook_id, _, event_id = values["id"].partition("/")
    return UUID(webhook_id), UUID(event_id)


def _asked(job: Job) -> Told:
    return Told(f"已交给后台程序，结果见“后台任务”中的“{_title(job.kind)}”。")


AREAS: dict[str, Area] = {
    "jobs": Area(
        "后台任务", "job:read", lambda here, session, paging, v: jobs.listed(session, paging, is_dead=True if v["is_dead"] else None),
        (("任务", lambda here, row: _title(row.kind)), ("状态", _state), ("进度", _progress), ("次数", column("attempts")), ("安排", column("created_at")), ("结束", column("ended_at")),
         ("最近一次失败", lambda here, row: row.error)),
        text("id"), (Field("is_dead", "已放弃", "choice", lambda: {"": "（不限）", "1": "只看已放弃的"}, is_needed=False),),
        (Form("create", "安排后台任务", "job:edit", lambda here, now, v: nothing(ask(now, v["kind"])),
              (Field("kind", "任务", "choice", lambda: {name: kind.title for name, kind in KINDS.items() if kind.is_free}),)),),
        (Form("retry", "重试", "job:edit", lambda here, now, v: nothing(jobs.retry(now, UUID(v["id"]))), is_for=lambda row: row.outcome in ("dead", "cancelled")),
         Form("cancel", "取消", "job:edit", lambda here, now, v: nothing(jobs.cancel(now, UUID(v["id"]))), is_for=lambda row: row.outcome in (None, "dead"))),
        look=_job, top=_standing,
    ),
    "webhooks": Area(
        "推送", "webhook:read", lambda here, session, paging, v: webhooks.listed(session, paging),
        (("系统", column("name")), ("网址", column("url")), ("推送", lambda here, row: "推送中" if row.is_active else "已停用"), ("连续失败", column("failures")),
         ("最近失败", column("last_error"))),
        text("id"), (),
        (Form("create", "建立推送", "webhook:edit", _hook, (Field("name", "给哪个系统"), Field("url", "网址", "url"), _TOPICS)),),
        (Form("change", "修改", "webhook:edit", _changed, (Field("name", "给哪个系统"), Field("url", "网址", "url"), _TOPICS),
              fills=lambda row: {"name": row.name, "url": row.url, "topics": " ".join(row.topics)}),
         Form("test", "试推送", "webhook:edit", lambda here, now, v: _asked(deliveries.ask_test(now, UUID(v["id"])))),
         Form("pause", "停用", "webhook:edit", lambda here, now, v: nothing(webhooks.change(now, UUID(v["id"]), version(v), is_active=False)), is_for=lambda row: row.is_active),
         Form("resume", "重新启用", "webhook:edit", lambda here, now, v: nothing(webhooks.change(now, UUID(v["id"]), version(v), is_active=True)), is_for=lambda row: not row.is_active or row.failures),
         Form("secret", "更换签名密钥", "webhook:edit", lambda here, now, v: webhooks.new_secret(now, here.operations.crypto, UUID(v["id"])).secret),
         Form("remove", "取消", "webhook:edit", lambda here, now, v: nothing(webhooks.remove(now, UUID(v["id"]), version(v))), is_end=True)),
        look=_told_to,
    ),
    "deliveries": Area(
        "推送消息", "webhook:read", _deliveries,
        (("消息", lambda here, row: TOPICS.get(row.message.topic, row.message.topic)), ("对象", lambda here, row: f"{row.message.aggregate} {row.message.aggregate_id}"),
         ("发生", lambda here, row: row.message.created_at), ("状态", lambda here, row: _PASSED[row.message.state]), ("消息标识", lambda here, row: str(row.message.event_id))),
        lambda row: row.key,
        (Field("webhook_id", "推送", "hidden"), Field("is_passed", "看哪些", "choice", lambda: {"": "尚未送达的", "1": "已推送或已跳过的"}, is_needed=False)), (),
        (Form("skip", "跳过", "webhook:edit", lambda here, now, v: nothing(deliveries.skip(now, *_ids(v))), is_for=lambda row: row.message.state == "failing"),
         Form("resend", "重新推送", "webhook:edit", lambda here, now, v: _asked(deliveries.resend(now, *_ids(v))), is_for=lambda row: row.message.state == "passed")),
        above=("/desk/keep/webhooks", "推送"), within=lambda key: {"webhook_id": key.partition("/")[0]},
    ),
}  # fmt: skip
