"""The door of alerts: tells people outside that something is amiss, and once that it is over.

Nothing here fails its caller: what cannot be delivered waits in the home for the next run. Delivery is at least once.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import structlog

from models.domain.contracts import SUBJECT_TITLES
from models.domain.ids import uuid7
from models.domain.settings import Settings
from pipelines.alerts.delivery import Undelivered, Webhook
from pipelines.alerts.outbox import Outbox
from pipelines.alerts.types import Event, Kind

RUN = "run"
"""What a failed run is about; a stale source is about ``<source>/<subject>``."""
_CHECK, _BUSY = "YW-RUN-005", "YW-RUN-001"
_FAILED: dict[Kind, str] = {
    "run_failed": "运行没有完成（{code}），仍使用上次发布的数据；请在服务器上执行 yiwang doctor 查看原因。",
    "check_failed": "严重检查未通过（{code}），本次没有发布，仍使用上次发布的数据；请在服务器上执行 yiwang doctor 查看原因。",
}
_STALE = "数据源“{source}”的{subject}超过规定时间没有新记录，请联系其负责人。"

# over the standard logging, which goes to stderr: stdout belongs to what a command prints
_log = structlog.wrap_logger(
    logging.getLogger("yiwang.alerts"), wrapper_class=structlog.stdlib.BoundLogger,
    processors=[structlog.stdlib.filter_by_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
)


def alert(settings: Settings, event: Event, webhook: Webhook | None = None) -> None:
    """Tell one event and all that waits before it; it is amiss from now on, until it is told to be over.

    Args:
        settings: Home and webhook; without one nothing is kept nor sent.
        event: What happened.
        webhook: Where to, in place of the settings'.
    """
    _tell(settings, [event], [], event.run_id, event.as_of, webhook)


def deliver(settings: Settings, webhook: Webhook | None = None) -> bool:
    """Deliver what waits, oldest first; whether nothing waits any more.

    An event that the receiver refuses is passed over; when the receiver itself fails the others wait with it.
    """
    if (webhook := webhook or webhook_of(settings)) is None:
        return True
    outbox, refused = Outbox(settings), False
    try:
        for event_id, body in outbox.pending():
            try:
                webhook.post(event_id, body)
                outbox.remove(event_id)
            except Undelivered as error:
                _log.warning("alert_undelivered", id=event_id, reason=str(error))
                refused = True
                if error.may_pass:
                    break
    except Exception as error:  # an alert never fails the run that it is about
        _log.warning("alert_undelivered", reason=type(error).__name__)
        return False
    return not refused


def run_ended(
    settings: Settings, code: str | None, run_id: str | None = None, as_of: datetime | None = None, webhook: Webhook | None = None, send: bool = True
) -> None:
    """Tell that a run failed, or that one succeeded after it.

    Args:
        settings: Home and webhook.
        code: Code of the error with which it failed, None when it did not. A run that was refused since another one is
            at work is none.
        run_id: The run, where it began.
        as_of: Instant on which it stands.
        webhook: Where to, in place of the settings'.
        send: Deliver at once; else the caller does (:func:`deliver`) when it has told everything.
    """
    if code == _BUSY:
        return
    if code is None:
        _tell(settings, [], [RUN], run_id, as_of, webhook, send)
        return
    kind: Kind = "check_failed" if code == _CHECK else "run_failed"
    event = Event(_new_id(), kind, RUN, datetime.now(UTC), _FAILED[kind].format(code=code), run_id, as_of, code)
    _tell(settings, [event], [], run_id, as_of, webhook, send)


def sources_judged(
    settings: Settings, stale: Iterable[tuple[str, str]], judged: Iterable[tuple[str, str]], run_id: str | None = None,
    as_of: datetime | None = None, webhook: Webhook | None = None, send: bool = True,
) -> None:
    """Tell which sources became stale, and which of those are fresh again.

    Args:
        settings: Home and webhook.
        stale: Source and subject of those that are stale now; each is told once until it is over.
        judged: All that were looked at, or may no longer exist: those of them that are not stale are over.
        run_id: Run after which they were judged.
        as_of: Instant on which it stands.
        webhook: Where to, in place of the settings'.
        send: As in :func:`run_ended`.
    """
    late = set(stale)
    amiss = Outbox(settings).amiss()
    raised = [
        Event(_new_id(), "source_stale", _about(*pair), datetime.now(UTC), _STALE.format(source=pair[0], subject=_title(pair[1])), run_id, as_of)
        for pair in sorted(late) if _about(*pair) not in amiss
    ]  # fmt: skip
    _tell(settings, raised, [_about(*pair) for pair in judged if pair not in late], run_id, as_of, webhook, send)


def webhook_of(settings: Settings) -> Webhook | None:
    """Where the settings send alerts, None for nowhere."""
    if settings.alert_webhook is None:
        return None
    secret = settings.alert_secret
    return Webhook(settings.alert_webhook.get_secret_value(), secret.get_secret_value().encode() if secret else None)


def _tell(
    settings: Settings, raised: Sequence[Event], over: Iterable[str], run_id: str | None, as_of: datetime | None, webhook: Webhook | None,
    send: bool = True,
) -> None:
    """Keep what was raised and what is over, note what is amiss from now on, deliver all that waits."""
    if (webhook := webhook or webhook_of(settings)) is None:
        return
    outbox = Outbox(settings)
    amiss = outbox.amiss()
    ended = [about for about in over if about in amiss]
    events = [*raised, *(Event(_new_id(), "recovered", about, datetime.now(UTC), _over(about), run_id, as_of) for about in ended)]
    try:
        for event in events:
            outbox.put(event.id, event.payload())
        # afterwards: a kill in between tells twice rather than never
        outbox.set_amiss({about: kind for about, kind in amiss.items() if about not in ended} | {event.about: event.kind for event in raised})
    except OSError as error:  # a full disk may be what the alert is about: then it is sent without being kept
        _log.warning("alert_not_kept", error=type(error).__name__)
        _send(webhook, events)
        return
    if send:
        deliver(settings, webhook)


def _send(webhook: Webhook, events: Iterable[Event]) -> None:
    for event in events:
        try:
            webhook.post(event.id, json.dumps(event.payload(), ensure_ascii=False).encode())
        except Exception as error:  # an alert never fails the run that it is about
            _log.warning("alert_lost", id=event.id, reason=str(error) if isinstance(error, Undelivered) else type(error).__name__)


def _over(about: str) -> str:
    return "运行已恢复正常，最新数据已发布。" if about == RUN else f"数据源“{about.partition('/')[0]}”的{_title(about.partition('/')[2])}已恢复更新。"


def _about(source: str, subject: str) -> str:
    return f"{source}/{subject}"


def _title(subject: str) -> str:
    return SUBJECT_TITLES.get(subject, subject)


def _new_id() -> str:
    return str(uuid7(datetime.now(UTC)))
