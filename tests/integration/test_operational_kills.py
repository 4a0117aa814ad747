"""kill -9 of server and worker at random moments under load: no half transition, nothing lost or doubled, the audit whole."""

import random
import socket
import subprocess
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from models.core.audit.service import heads_of, seal, verify
from models.core.cases.service import load
from models.core.crypto.service import provider
from models.core.processes.engine import Command
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.tables import Audit, CaseEvent, CaseFile, Outbox, Task
from tests.support.operational_server import LIFE, YIWANG, Client, environment, prepared, serving


def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def under_load(settings: Settings, kills: int, seed: int) -> list[Client]:
    """Clients at work while server and worker are killed and started again, at random moments."""
    randomly = random.Random(seed)
    headers, party = prepared(settings)
    at = port()
    clients = [Client(at, headers, party, number) for number in range(4)]
    threads = [threading.Thread(target=client.run, daemon=True) for client in clients]
    worker = [subprocess.Popen([YIWANG, "worker"], env=environment(settings), stderr=subprocess.DEVNULL)]
    for number in range(kills + 1):
        with serving(settings, at) as server:
            if number == 0:
                for thread in threads:
                    thread.start()
            time.sleep(randomly.uniform(0.2, 1.2))
            server.kill()
            if randomly.random() < 0.5:
                worker[0].kill()
                worker[0].wait()
                worker[0] = subprocess.Popen([YIWANG, "worker"], env=environment(settings), stderr=subprocess.DEVNULL)
    with serving(settings, at):
        time.sleep(1)
        for client in clients:
            client.over.set()
        for thread in threads:
            thread.join(20)
    worker[0].kill()
    worker[0].wait()
    return clients


def examine(settings: Settings, clients: list[Client]) -> None:
    database, crypto = Database(settings), provider(settings)
    assert [text for client in clients for text in client.refused] == []
    with database.read() as session:
        cases = {case.id: case for case in session.scalars(sa.select(CaseFile))}
        assert cases and any(client.acknowledged for client in clients)  # how many a busy machine gets done is no fixed number
        events: dict[UUID, list[CaseEvent]] = {}
        for event in session.scalars(sa.select(CaseEvent).order_by(CaseEvent.case_id, CaseEvent.sequence)):
            events.setdefault(event.case_id, []).append(event)
        tasks = Counter((task.case_id, task.step) for task in session.scalars(sa.select(Task).where(Task.closed_at.is_(None))))
        for case_id, case in cases.items():
            told = [event.action for event in events.get(case_id, [])]
            assert told == list(LIFE[: len(told)]), "each step once, in order"
            assert [event.sequence for event in events.get(case_id, [])] == list(range(1, len(told) + 1))
            _, state, engine = load(session, case_id)
            replayed = engine.new(case.is_commitment)
            for event in events.get(case_id, []):
                replayed = engine.apply(replayed, Command(event.action, event.occurred_at, engine.process.roles)).state  # type: ignore[arg-type]
            assert replayed == state
            assert {step for key, step in tasks if key == case_id} == state.marking.open_steps and all(count == 1 for count in tasks.values())
        for client in clients:
            for name, done in client.acknowledged.items():
                told = [event.action for event in events.get(UUID(name), [])]
                assert UUID(name) in cases and told[: len(done)] == done and len(told) <= len(done) + 1, "what was acknowledged is there"
        moved = Counter(row.aggregate_id for row in session.scalars(sa.select(Outbox).where(Outbox.topic == "case.moved")))
        assert moved == Counter({str(case_id): len(told) for case_id, told in events.items()}), "each step was announced once"
        assert session.scalar(sa.select(sa.func.count()).select_from(Audit).where(Audit.action == "case.moved")) == sum(moved.values())
    path, at = heads_of(settings), datetime.now(UTC)
    while seal(database, crypto, path, at):
        pass
    assert list(verify(database, crypto, path, at)) == []
    database.close()


def test_killed_under_load(database_settings: Settings, database: Database) -> None:
    """Five kills on each kind of server."""
    examine(database_settings, under_load(database_settings, 5, 1))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_under_load_again_and_again(tmp_path: Path, seed: int) -> None:
    examine(Settings(home=tmp_path), under_load(Settings(home=tmp_path), 50, seed + 10))
