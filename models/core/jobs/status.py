"""How the work in the background stands, in figures."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models.store.operational.tables import Audit, CaseFile, Heartbeat, Job, Webhook


def status(session: Session, at: datetime) -> dict[str, Any]:
    """Workers with their last rounds, and what waits; a fixed number of queries by index."""
    waiting = sa.select(sa.func.count()).select_from(Job).where(Job.ended_at.is_(None))
    return {
        "workers": [
            {"worker": row.worker, "started_at": row.started_at.isoformat(), "round_at": row.round_at.isoformat(), "errors": row.errors}
            for row in session.scalars(sa.select(Heartbeat).order_by(Heartbeat.worker))
        ],
        "unsealed": session.scalar(sa.select(sa.func.count()).select_from(Audit).where(Audit.chain_number.is_(None))),
        "cases_due": session.scalar(sa.select(sa.func.count()).select_from(CaseFile).where(CaseFile.next_timer_at <= at)),
        "jobs_waiting": session.scalar(waiting.where(Job.due_at <= at)),
        "jobs_later": session.scalar(waiting.where(Job.due_at > at)),
        "jobs_dead": session.scalar(sa.select(sa.func.count()).select_from(Job).where(Job.outcome == "dead")),
        "webhooks_failing": session.scalar(sa.select(sa.func.count()).select_from(Webhook).where(Webhook.failures > 0, Webhook.deleted_at.is_(None))),
        "webhooks_off": session.scalar(sa.select(sa.func.count()).select_from(Webhook).where(sa.not_(Webhook.is_active), Webhook.deleted_at.is_(None))),
    }
