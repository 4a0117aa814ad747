"""How a licence is handled, written down once more from the law and by hand: what the engine is compared with.

Nothing of ``models`` is used: days are looked up one by one, steps stand in one table, rules are plain conditions. Articles
are those of the Administrative Licence Law.
"""

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import chinese_calendar  # type: ignore[import-untyped]

ZONE = ZoneInfo("Asia/Shanghai")
LAST_PUBLISHED = date(2026, 12, 31)
PAUSES = {"hearing", "bidding", "auction", "inspection", "testing", "quarantine", "appraisal", "expert_review"}  # art. 45
PROMISED, STATUTORY, EXTENSION = 10, 20, 10  # working days

# step, action -> role, step afterwards, phase afterwards (None: as before)
WAY: dict[tuple[str, str], tuple[str, str | None, str | None]] = {
    ("application", "submit"): ("applicant", "pre_review", "received"),
    ("pre_review", "pass"): ("clerk", "acceptance", None),
    ("pre_review", "return"): ("clerk", "application", "returned"),
    ("acceptance", "accept"): ("clerk", "handling", "in_approval"),
    ("acceptance", "refuse"): ("clerk", None, "completed"),
    ("acceptance", "ask_correction"): ("clerk", "correction", "correcting"),
    ("correction", "correct"): ("applicant", "acceptance", "received"),
    ("handling", "handle"): ("handler", "review", None),
    ("review", "review"): ("reviewer", "decision", None),
    ("review", "send_back"): ("reviewer", "handling", None),
    ("decision", "send_back"): ("approver", "review", None),
    ("decision", "grant"): ("approver", "issue", "completed"),
    ("decision", "deny"): ("approver", "delivery", "completed"),
    ("issue", "issue"): ("issuer", "delivery", None),
    ("delivery", "deliver"): ("issuer", None, "closed"),
}
BESIDE = {  # action -> role, phases
    "suspend": ("handler", {"in_approval"}),
    "resume": ("handler", {"in_approval"}),
    "extend": ("head", {"in_approval"}),
    "transfer": ("head", {"received", "in_approval"}),
    "supply": ("applicant", {"in_approval"}),
    "give_up": ("applicant", {"received", "in_approval"}),
    "withdraw": ("applicant", {"received", "returned", "correcting", "in_approval"}),
    "terminate": ("approver", {"received", "returned", "correcting", "in_approval"}),
}
ACTIONS = sorted({action for _, action in WAY} | set(BESIDE))
ROLES = ["applicant", "approver", "clerk", "handler", "head", "issuer", "reviewer"]
NEEDS_REASON = {"return", "refuse", "ask_correction", "send_back", "deny", "suspend", "extend", "withdraw", "terminate", "give_up", "transfer"}


def works(day: date) -> bool:
    return bool(chinese_calendar.is_workday(day)) if day <= LAST_PUBLISHED else day.weekday() < 5


def working_day_after(day: date, number: int, pauses: list[tuple[date, date]] = []) -> date:  # noqa: B006 - read only
    """The n-th working day after a day that is not itself counted, days of a pause left out."""
    while number:
        day += timedelta(1)
        number -= works(day) and not any(first <= day < again for first, again in pauses)
    return day


def is_over(since: datetime, days: int, now: datetime) -> bool:
    last = working_day_after(since.astimezone(ZONE).date(), days)
    return last <= LAST_PUBLISHED and now >= datetime.combine(last + timedelta(1), time(), ZONE)


class ByHand:
    """One case."""

    def __init__(self, is_commitment: bool) -> None:
        self.phase, self.step, self.outcome = "draft", "application", None
        self.received: datetime | None = None
        self.complete: datetime | None = None
        self.asked: datetime | None = None
        self.accepted: datetime | None = None
        self.given_up: datetime | None = None
        self.is_deemed = self.is_suspended = self.was_extended = False
        self.is_commitment = is_commitment
        self.missing: list[str] = []
        self.pauses: list[tuple[date, date]] = []
        self.suspended_on = date.max
        self.extension = 0

    def let_pass(self, now: datetime) -> None:
        """What silence brings about."""
        if self.phase in ("received", "returned") and self.complete and is_over(self.complete, 5, now):
            self.phase, self.step, self.accepted, self.is_deemed = "in_approval", "handling", self.complete, True  # art. 32(4)
        if self.phase == "correcting" and self.asked and is_over(self.asked, 20, now):
            self.end("closed", "correction_lapsed")
        if self.phase == "in_approval" and self.missing and self.accepted:
            since = max(self.accepted, self.given_up or self.accepted)
            if is_over(since, 5, now):
                self.end("closed", "terminated")

    def end(self, phase: str, outcome: str, step: str | None = None) -> None:
        self.phase, self.outcome, self.step, self.is_suspended = phase, outcome, step, False

    def due(self, limit: int) -> date | None:
        if self.accepted is None:
            return None
        return working_day_after(self.accepted.astimezone(ZONE).date(), limit, self.pauses)

    def role(self, action: str) -> str | None:
        """Who may take the action where the case stands; None where nobody may."""
        if action in BESIDE:
            role, phases = BESIDE[action]
            return role if self.phase in phases else None
        found = WAY.get((self.step or "", action))
        return found[0] if found else None

    def allows(self, action: str, now: datetime, roles: set[str], with_: dict[str, Any]) -> bool:
        """Whether the law lets somebody with these roles do it, so."""
        role, named = self.role(action), list(with_.get("missing", ()))
        if role is None or role not in roles:
            return False
        if self.is_suspended and action not in ("resume", "supply", "withdraw", "terminate"):
            return False
        if self.phase == "in_approval" and (self.step, action) in WAY and action in ("accept", "refuse", "ask_correction", "submit", "correct"):
            return False
        if action in NEEDS_REASON and not (with_.get("reason") or "").strip():
            return False
        if len(set(named)) < len(named) or "" in named:
            return False
        if action == "ask_correction":
            return self.asked is None  # once
        if action == "suspend":
            return with_.get("special_kind") in PAUSES and bool(with_.get("has_written_notice"))  # art. 45
        if action == "resume":
            return self.is_suspended
        if action == "transfer":
            return bool((with_.get("unit_code") or "").strip())
        if action == "extend":  # art. 42: once, before the limit ends, at most ten days
            days = with_.get("extension_days") or 0
            due = self.due(STATUTORY)
            return not self.was_extended and 1 <= days <= EXTENSION and due is not None and now.astimezone(ZONE).date() <= due
        if action == "supply":
            return bool(named) and set(named) <= set(self.missing)
        if action == "grant":
            return not self.missing and with_.get("outcome") in (None, "granted")
        if action == "deny":
            return with_.get("outcome") in (None, "denied")
        if action == "give_up":
            return self.is_commitment and (self.accepted is not None or not named)
        return True

    def do(self, action: str, now: datetime, with_: dict[str, Any]) -> None:
        """Do what is allowed."""
        named = list(with_.get("missing", ()))
        today = now.astimezone(ZONE).date()
        if action == "transfer":
            return None
        if action in ("withdraw", "terminate"):
            return self.end("closed", "withdrawn" if action == "withdraw" else "terminated")
        if action == "suspend":
            self.is_suspended, self.suspended_on = True, today
        elif action == "resume":
            self.is_suspended = False
            self.pauses.append((self.suspended_on, today))
        elif action == "extend":
            self.was_extended, self.extension = True, with_["extension_days"]
        elif action == "supply":
            self.missing = [name for name in self.missing if name not in named]
        elif action == "give_up":
            self.is_commitment, self.given_up = False, now
            self.missing += [name for name in named if name not in self.missing]
        else:
            _, step, phase = WAY[self.step or "", action]
            if action == "submit":
                self.received = self.received or now
                self.complete = self.complete or now
            if action == "ask_correction":
                self.asked = now
            if action == "correct":
                self.complete = now
            if action == "accept":
                self.accepted, self.missing = now, named
            self.outcome = {"refuse": "refused", "grant": "granted", "deny": "denied"}.get(action, self.outcome)
            self.step, self.phase = step, phase or self.phase
        return None
