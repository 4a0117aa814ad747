"""Check of what runs beside the server: whether it runs, what fails in it, what waits for too long."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from models.core.jobs.status import PARTS, status
from models.domain.errors import YiwangError
from models.store.operational.database import Database
from pipelines.upkeep.doctor.types import Look, Says

_SILENT = timedelta(minutes=2)
_LATE = timedelta(hours=1)


def background(look: Look) -> Iterator[Says]:
    """The operational store can be read, a worker is at work where something waits, no part of it fails, nobody is far behind."""
    settings = look.settings
    if settings.database_url is None and not (settings.home / "operational.db").is_file():
        yield "ok", "没有业务数据库"
        return
    database = Database(settings)
    try:
        with database.read() as session:
            figures = status(session, look.now)
    except (YiwangError, sa.exc.SQLAlchemyError):
        yield "error", "业务数据库打不开，或尚未升级到本程序的版本", "请检查 YIWANG_DATABASE_URL 和数据库服务；启动一次 yiwang serve 或 yiwang worker 即会升级。"
        return
    finally:
        database.close()
    amiss = list(_amiss(figures, look.now))
    yield from amiss
    if not amiss:
        yield "ok", "后台工作正常"


def _amiss(figures: dict[str, Any], now: datetime) -> Iterator[Says]:
    alive = [worker for worker in figures["workers"] if datetime.fromisoformat(worker["round_at"]) >= now - _SILENT]
    waiting = figures["unsealed"] + figures["cases_due"] + figures["jobs_waiting"] + sum(consumer["unread"] for consumer in figures["consumers"])
    if not alive and waiting:
        yield "warn", f"没有后台程序在运行，有 {waiting} 项工作在等待", "请启动 yiwang worker（yiwang serve 默认会带一个）。"
    for worker in alive:
        hung = [part for part, code in worker["errors"].items() if code == "YW-JOB-006"]
        if hung:
            yield "error", f"后台程序 {worker['worker']} 被一项超时仍不停下的任务占住，{'长任务' if hung == ['long_jobs'] else '后台任务'}不再进行", "请重新启动它（yiwang worker，或带着它的 yiwang serve）；原因见日志，任务见 /desk/keep/jobs。"
        if failed := {part: code for part, code in worker["errors"].items() if part not in hung}:
            failing = "，".join(f"{PARTS.get(part, part)} {code}" for part, code in sorted(failed.items()))
            yield "warn", f"后台程序 {worker['worker']} 有部分工作失败：{failing}", "请查看它的日志；错误代码的含义见 docs/reference/messages.md。"
    for consumer in figures["consumers"]:
        if consumer["is_waited_for"] and (consumer["oldest_seconds"] or 0) > _LATE.total_seconds():
            hours = consumer["oldest_seconds"] // 3600
            yield (
                "warn", f"订阅 {consumer['consumer']} 有 {consumer['unread']} 条消息未读，最早的一条已等待 {hours} 小时",
                "请检查接收方；接收方不收某一条时可在 /api/v1/webhooks 下跳过它，不再使用的订阅请停用或取消。",
            )  # fmt: skip
    if figures["jobs_dead"]:
        yield "warn", f"有 {figures['jobs_dead']} 项后台任务已放弃", "请在 /api/v1/jobs?is_dead=true 查看原因，处理后重试，不再需要的请取消。"
    if figures["webhooks_failing"]:
        yield "warn", f"有 {figures['webhooks_failing']} 个推送正在失败或因失败停用", "请在 /api/v1/webhooks 查看最近一次失败，修好接收方后重新启用。"
