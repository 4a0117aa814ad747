"""How the work in the background stands, in figures."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.core.outbox.service import lags
from models.store.operational.tables import Audit, CaseFile, Heartbeat, Job, Webhook

PARTS = {
    "webhooks": "推送", "seal": "封存审计", "calendar": "按新的工作日历重算期限", "time": "到期处理", "reviews": "默认评价和申诉", "schedule": "安排日常任务", "jobs": "后台任务", "long_jobs": "长时间的后台任务",
}  # fmt: skip
"""Part of a worker's round → what people call it."""


def status(session: Session, at: datetime) -> dict[str, Any]:
    """Workers with their last rounds, what waits, and how far each consumer of the outbox is behind; a fixed number of queries by index."""
    waiting = sa.select(sa.func.count()).select_from(Job).where(Job.ended_at.is_(None))
    return {
        "workers": [
            {"worker": row.worker, "started_at": row.started_at.isoformat(), "round_at": row.round_at.isoformat(), "errors": row.errors}
            for row in session.scalars(sa.select(Heartbeat).order_by(Heartbeat.worker))
        ],
        "consumers": [
            {
                "consumer": lag.consumer, "is_waited_for": lag.is_waited_for, "unread": lag.unread,
                "oldest_at": lag.oldest_at.isoformat() if lag.oldest_at else None,
                "oldest_seconds": max(0, int((at - lag.oldest_at).total_seconds())) if lag.oldest_at else None,
            }
            for lag in lags(session)
        ],
        "unsealed": session.scalar(sa.select(sa.func.count()).select_from(Audit).where(Audit.chain_number.is_(None))),
        "cases_due": session.scalar(sa.select(sa.func.count()).select_from(CaseFile).where(CaseFile.next_timer_at <= at)),
        "jobs_waiting": session.scalar(waiting.where(Job.due_at <= at)),
        "jobs_later": session.scalar(waiting.where(Job.due_at > at)),
        "jobs_dead": session.scalar(sa.select(sa.func.count()).select_from(Job).where(Job.outcome == "dead")),
        "webhooks_failing": session.scalar(sa.select(sa.func.count()).select_from(Webhook).where(Webhook.failures > 0, Webhook.deleted_at.is_(None))),
        "webhooks_off": session.scalar(sa.select(sa.func.count()).select_from(Webhook).where(sa.not_(Webhook.is_active), Webhook.deleted_at.is_(None))),
    }  # fmt: skip
