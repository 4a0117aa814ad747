"""Alerts against a real receiver that takes, refuses, fails, hangs, drips and redirects."""

import hashlib
import hmac
import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from models.domain.settings import Settings
from pipelines.alerts.delivery import Undelivered, Webhook, signed
from pipelines.alerts.outbox import Outbox
from pipelines.alerts.service import RUN, deliver, run_ended, sources_judged
from tests.support.webhook import Receiver, receiver

SECRET = b"a secret for tests only"
AS_OF = datetime(2026, 6, 30, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def to(there: Receiver, secret: bytes | None = SECRET) -> Webhook:
    return Webhook(there.address, secret, seconds=0.3, attempts=3, pause=0.01)


def waiting(settings: Settings) -> int:
    return len(list(Outbox(settings).pending()))


def test_an_event_arrives_whole_and_signed(settings: Settings) -> None:
    with receiver() as there:
        run_ended(settings, "YW-SYNC-004", "run-1", AS_OF, to(there))
    ((headers, body),) = there.requests
    event = json.loads(body)
    assert {name: event[name] for name in ("kind", "about", "run_id", "as_of", "code", "title")} == {
        "kind": "run_failed", "about": "run", "run_id": "run-1", "as_of": "2026-06-30T12:00:00+00:00", "code": "YW-SYNC-004", "title": "运行失败",
    }  # fmt: skip
    assert "YW-SYNC-004" in event["sentence"] and event["sentence"].endswith("。")
    assert event["id"][14] == "7" and headers["X-Yiwang-Event"] == event["id"]
    expected = hmac.new(SECRET, headers["X-Yiwang-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Yiwang-Signature"] == f"sha256={expected}"
    assert waiting(settings) == 0


def test_a_signature_covers_body_and_time() -> None:
    one = signed(SECRET, b"{}", 1)
    assert one != signed(SECRET, b"{ }", 1)
    assert one["X-Yiwang-Signature"] != signed(SECRET, b"{}", 2)["X-Yiwang-Signature"]
    assert signed(None, b"{}", 1) == {"X-Yiwang-Timestamp": "1"}


@pytest.mark.parametrize("failure", [500, 503, 429, "hang", "drip"])
def test_a_passing_failure_is_tried_again(settings: Settings, failure: int | str) -> None:
    with receiver(failure, failure) as there:
        run_ended(settings, "YW-RUN-002", webhook=to(there))
        assert len(there.requests) == 3
    assert len({event["id"] for event in there.events}) == 1
    assert waiting(settings) == 0


@pytest.mark.parametrize("failure", [500, "hang", "drip"])
def test_what_cannot_be_delivered_waits_for_the_next_run(settings: Settings, failure: int | str) -> None:
    with receiver(*[failure] * 3) as there:
        run_ended(settings, "YW-RUN-002", "run-1", webhook=to(there))
        assert waiting(settings) == 1
        run_ended(settings, None, "run-2", webhook=to(there))
    assert there.kinds[3:] == [("run_failed", RUN), ("recovered", RUN)]
    assert len({event["id"] for event in there.events[:4]}) == 1, "the same event, however often"
    assert waiting(settings) == 0


def test_a_refused_event_is_not_repeated_at_once_and_holds_up_no_other(settings: Settings) -> None:
    with receiver(400) as there:
        run_ended(settings, "YW-RUN-002", webhook=to(there))
        assert len(there.requests) == 1 and waiting(settings) == 1
        there.answers = [400]
        run_ended(settings, None, webhook=to(there))
        assert there.kinds[1:] == [("run_failed", RUN), ("recovered", RUN)]
        assert waiting(settings) == 1
        assert deliver(settings, to(there)) and waiting(settings) == 0


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(settings: Settings, status: int) -> None:
    with receiver() as elsewhere, receiver(status) as there:
        there.location = elsewhere.address
        run_ended(settings, "YW-RUN-002", webhook=to(there))
    assert elsewhere.requests == [] and waiting(settings) == 1


def test_nobody_listening(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://token@127.0.0.1:{closed.getsockname()[1]}/"
        run_ended(settings, "YW-RUN-002", webhook=Webhook(address, attempts=2, pause=0.01))
    assert waiting(settings) == 1
    assert "ConnectError" in caplog.text and "token" not in caplog.text and "127.0.0.1" not in caplog.text


def test_an_impossible_address_says_so() -> None:
    with pytest.raises(Undelivered, match="address|Unsupported"):
        Webhook("http://[::1").post("id", b"{}")


def test_without_a_webhook_nothing_is_kept(settings: Settings) -> None:
    run_ended(settings, "YW-RUN-002")
    sources_judged(settings, [("city", "case")], [("city", "case")])
    assert not (settings.home / "alerts").exists()


def test_a_run_that_was_refused_is_no_failure_and_success_alone_is_no_news(settings: Settings) -> None:
    with receiver() as there:
        run_ended(settings, "YW-RUN-001", webhook=to(there))
        run_ended(settings, None, webhook=to(there))
    assert there.requests == []


def test_each_failure_is_told_and_the_recovery_once(settings: Settings) -> None:
    with receiver() as there:
        for code in ("YW-RUN-005", "YW-SYNC-002", None, None):
            run_ended(settings, code, webhook=to(there))
    assert [kind for kind, _ in there.kinds] == ["check_failed", "run_failed", "recovered"]


def test_a_stale_source_is_told_once_until_it_is_fresh_again(settings: Settings) -> None:
    both = [("city", "case"), ("city", "review")]
    with receiver() as there:
        for stale in ([both[0]], [both[0]], both, [both[1]], [both[1]], []):
            sources_judged(settings, stale, both, webhook=to(there))
        sources_judged(settings, [both[0]], both, webhook=to(there))
    assert there.kinds == [
        ("source_stale", "city/case"), ("source_stale", "city/review"), ("recovered", "city/case"), ("recovered", "city/review"),
        ("source_stale", "city/case"),
    ]  # fmt: skip
    assert "办件" in there.events[0]["sentence"]


def test_a_home_that_cannot_be_written_still_alerts(settings: Settings) -> None:
    (settings.home / "alerts").write_text("a file in the way")
    with receiver() as there:
        run_ended(settings, "YW-RUN-007", webhook=to(there))
    assert there.kinds == [("run_failed", RUN)]


def test_damaged_memory_of_what_is_amiss_is_none(settings: Settings) -> None:
    (settings.home / "alerts").mkdir()
    (settings.home / "alerts" / "open.json").write_text('{"run": ')
    with receiver() as there:
        run_ended(settings, None, webhook=to(there))
        run_ended(settings, "YW-RUN-002", webhook=to(there))
    assert there.kinds == [("run_failed", RUN)] and Outbox(settings).amiss() == {RUN: "run_failed"}


@pytest.mark.parametrize("address", ["ftp://example.org/x", "file:///etc/passwd", "example.org", "http://"])
def test_only_http_addresses_are_taken(address: str) -> None:
    with pytest.raises(ValidationError, match="http"):
        Settings(alert_webhook=SecretStr(address))


def test_inside_a_running_event_loop(settings: Settings) -> None:
    """A notebook has one."""
    import asyncio

    async def cell() -> None:
        run_ended(settings, "YW-RUN-002", webhook=to(there))

    with receiver() as there:
        asyncio.run(cell())
    assert there.kinds == [("run_failed", RUN)]
