"""Tables of the operational store, as SQLAlchemy sees them; Alembic's migrations make them.

Rules about them live in ``models.core``. Instants are UTC. Every table whose rows people change carries ``version``, which grows
with each change: who writes says which version was read, and loses against whoever was faster.
"""

from models.store.operational.tables.access import ApiKey, Attempts, Identity, LoginSession, Once
from models.store.operational.tables.base import SECRET, Base
from models.store.operational.tables.cases import CaseEvent, CaseFile, ProcessVersion, Task
from models.store.operational.tables.feedback import Feedback, ReviewCode, Visit
from models.store.operational.tables.jobs import Heartbeat, Job, Webhook
from models.store.operational.tables.matters import MatterVersion, Serial
from models.store.operational.tables.organisation import (
    Appointment,
    CalendarDay,
    Jurisdiction,
    Notice,
    Staff,
    StaffGrant,
    Unit,
    Window,
)
from models.store.operational.tables.parties import Authorisation, Party
from models.store.operational.tables.work import Audit, AuditHead, Consumer, Idempotency, Outbox

__all__ = [
    "ApiKey", "Appointment", "Attempts", "Audit", "AuditHead", "Authorisation", "Base", "CalendarDay", "CaseEvent", "CaseFile", "Consumer", "Feedback", "Heartbeat", "Idempotency", "Identity",
    "Job", "Jurisdiction", "LoginSession", "MatterVersion", "Notice", "Once", "Outbox", "Party", "ProcessVersion", "ReviewCode", "SECRET", "Serial", "Staff", "StaffGrant", "Task",
    "Unit", "Visit", "Webhook", "Window",
]
