"""Random work of a department between syncs: when all is committed, the raw table says what the source's does."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import Server
from tests.support.sql import Office, office
from tests.support.sync import SyncHome

KEYS = 12
TABLE = """
CREATE TABLE kase (id bigserial, case_number text, matter_code text, received_at text, updated_at timestamptz, gone boolean NOT NULL DEFAULT false);
CREATE UNIQUE INDEX ON kase (case_number);
CREATE VIEW open_view AS SELECT case_number, matter_code, received_at, updated_at, gone FROM kase
"""


@pytest.fixture
def town(postgres: Server, tmp_path: Path) -> Iterator[Office]:
    with office(postgres, SyncHome.make(tmp_path), TABLE) as found:
        yield found


def work(session: Any, randomly: random.Random, keys: list[int], stamped: bool) -> None:
    """A few changes to some keys: a view's reader can rely on ``updated_at``, a table's need not."""
    for key in keys:
        at = "clock_timestamp()" if stamped else randomly.choice(["now()", "NULL", f"timestamptz '2026-03-0{randomly.randint(1, 5)}'", "'infinity'"])
        received = randomly.choice(["NULL", "'2026-01-01'", "'昨天'"])
        matter, gone = f"M{randomly.randint(1, 99)}", randomly.random() < 0.2
        if randomly.random() < 0.2:
            session.execute(f"DELETE FROM kase WHERE case_number = 'C{key}'")
        else:
            session.execute(
                f"INSERT INTO kase (case_number, matter_code, received_at, updated_at, gone) VALUES ('C{key}', '{matter}', {received}, {at}, {gone}) "
                f"ON CONFLICT (case_number) DO UPDATE SET matter_code = '{matter}', received_at = {received}, updated_at = {at}, gone = {gone}"
            )


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 10))])
def test_in_the_end_both_say_the_same(town: Office, seed: int) -> None:
    randomly = random.Random(seed)
    by_view = seed % 2 == 1
    town.configure(table="open_view" if by_view else "kase", page_rows=randomly.choice([1, 3, 50]), vanished="delete", vanished_limit="1")
    with ExitStack() as stack:
        sessions = [stack.enter_context(town.session()) for _ in range(3)]
        held: dict[int, list[int]] = {}  # session -> keys it has locked
        for _ in range(6):
            for place, session in enumerate(sessions):
                free = [key for key in range(KEYS) if not any(key in keys for other, keys in held.items() if other != place)]
                keys = randomly.sample(free, min(len(free), 3))
                work(session, randomly, keys, by_view)
                held[place] = [*held.get(place, []), *keys]
                if randomly.random() < 0.5:
                    session.rollback() if randomly.random() < 0.2 else session.commit()
                    held.pop(place)
            town.home.sync()
        for session in sessions:
            session.commit()
    town.home.sync()
    good = "received_at IS DISTINCT FROM '昨天' AND updated_at IS DISTINCT FROM 'infinity'"
    said = town.connection.execute(f"SELECT case_number, matter_code, received_at, gone FROM kase WHERE {good} ORDER BY 1").fetchall()
    stored = town.home.rows('SELECT case_number, matter_code, (received_at + INTERVAL 8 HOUR)::DATE::VARCHAR, _is_deleted FROM raw."case" ORDER BY 1')
    present = {row[0] for row in said}
    bad = {row[0] for row in town.connection.execute(f"SELECT case_number FROM kase WHERE NOT ({good})")}
    assert [tuple(row) for row in stored if row[0] in present] == [tuple(row) for row in said]
    assert all(row[3] for row in stored if row[0] not in present | bad)
    assert set(town.home.rows("SELECT record_key FROM raw.quarantine")) == bad
    last = town.home.one()
    assert (last.inserted, last.updated, last.deleted) == (0, 0, 0)
