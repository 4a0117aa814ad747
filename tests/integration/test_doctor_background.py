"""The doctor on what runs beside the server, with real faults in a real store."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from models.core.crypto.service import provider
from models.core.jobs import service as jobs
from models.core.jobs.running import Kind
from models.core.jobs.status import status
from models.domain.settings import Settings
from models.store.operational.database import Database
from pipelines.upkeep.doctor.service import examine
from serving.worker.service import Worker
from tests.support.background import AT, NOTED, SEND, announce, deliver, enqueue, hook, receiver, state, until


def says(settings: Settings, after: timedelta = timedelta()) -> list[tuple[str, str]]:
    findings = examine(settings, AT + after, checks=["background"])
    assert all(finding.remedy for finding in findings if finding.state != "ok")
    return [(finding.state, finding.sentence) for finding in findings]


def test_the_background_of_a_store_in_use(database: Database, database_settings: Settings, tmp_path: Path) -> None:
    assert says(database_settings) == [("ok", "后台工作正常")]
    announce(database, 1)
    with receiver() as hears:
        made = hook(database, database_settings, hears.url)
        announce(database, 2)
        [(state, sentence)] = says(database_settings)
        assert state == "warn" and sentence.startswith("没有后台程序在运行")
        hears.answers = [500]
        heads = tmp_path / "heads"
        heads.mkdir()
        broken = database_settings.model_copy(update={"audit_heads": heads})
        Worker(broken, database, provider(broken), {}, send=SEND, clock=lambda: AT + timedelta(hours=3), name="w1").round()
        sentences = [sentence for _, sentence in says(database_settings, timedelta(hours=3))]
        assert sentences == [
            "后台程序 w1 有部分工作失败：封存审计 IsADirectoryError", f"订阅 webhook:{made.id} 有 2 条消息未读，最早的一条已等待 3 小时", "有 1 个推送正在失败或因失败停用",
        ]  # fmt: skip
        assert deliver(database, database_settings, made.id, AT + timedelta(hours=4)) == 2
    dead = enqueue(database)
    while (taken := jobs.take(database, "w1", AT + timedelta(days=9), NOTED)) is not None:
        jobs.failed(database, taken, "w1", AT, "YW-X-001")
    with database.write() as session:
        session.execute(sa.text("DELETE FROM heartbeat"))
    assert dead is not None and ("warn", "有 1 项后台任务已放弃") in says(database_settings)


def test_a_worker_whose_job_hangs_says_so_until_the_job_ends(database: Database, database_settings: Settings) -> None:
    over, kinds = threading.Event(), {"noted": Kind("挂起", lambda run: over.wait(60) and None, longest=timedelta())}
    job = enqueue(database, at=datetime.now(UTC))
    worker = Worker(database_settings, database, provider(database_settings), kinds, send=SEND, name="w1")
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    until(lambda: any("被一项超时仍不停下的任务占住" in each.sentence for each in examine(database_settings, datetime.now(UTC), checks=["background"])))
    with database.read() as session:
        assert status(session, datetime.now(UTC))["workers"][0]["errors"] == {"jobs": "YW-JOB-006"}
    over.set()
    until(lambda: state(database, job)[1] == "done")
    until(lambda: not any(finding.state == "error" for finding in examine(database_settings, datetime.now(UTC), checks=["background"])))
    worker.stop()
    thread.join(10)


@pytest.mark.parametrize("content", [b"", b"no database at all, though it is called one" * 50])
def test_a_store_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    assert says(Settings(home=tmp_path)) == [("ok", "没有业务数据库")]
    (tmp_path / "operational.db").write_bytes(content)
    assert [state for state, _ in says(Settings(home=tmp_path))] == ["error"]
    away = Settings(home=tmp_path, database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"))
    assert [state for state, _ in says(away)] == ["error"]
