"""A server under load while the pipelines publish: nobody notices but by newer data."""

import threading
import time
from datetime import timedelta
from pathlib import Path

import httpx

from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from tests.support.server import running
from tests.support.snapshots import AS_OF, write_marts

API = "/api/v1/warehouse"
SWAPS = 6
CLIENTS = 6


def test_snapshots_are_swapped_under_load(snapshot_settings: Settings, tmp_path: Path) -> None:
    """Six publications, six clients: no failed request, each answer of one snapshot, each client sees the newest one.

    A snapshot of run ``n`` has ``200 + n`` cases and says ``n`` in ``marts.run``, so that a mixture would show.
    """
    settings = snapshot_settings.model_copy(update={"dev": True})
    runs = {f"run-{number}": (200 + number, AS_OF + timedelta(days=number)) for number in range(SWAPS)}
    files = {}
    for run_id, (cases, as_of) in runs.items():
        files[run_id] = tmp_path / f"{run_id}.duckdb"
        write_marts(files[run_id], cases, matters=20, run_id=run_id, as_of=as_of)
    publisher = SnapshotStore(settings)
    over, failures, seen, asked = threading.Event(), [], [set() for _ in range(CLIENTS)], [0] * CLIENTS

    def ask(number: int, address: str) -> None:
        with httpx.Client(base_url=address, timeout=30) as client:
            while not over.is_set():
                try:
                    if problem := _inconsistency(client, runs, seen[number], sort="-received_at" if number % 2 else "case_number"):
                        failures.append(problem)
                except Exception as error:  # a broken connection is a failure too
                    failures.append(repr(error))
                asked[number] += 1

    with running(settings) as client:
        threads = [threading.Thread(target=ask, args=(number, str(client.base_url))) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for run_id, (_, as_of) in runs.items():
            publisher.publish(files[run_id], run_id, as_of)
            deadline = time.monotonic() + 60
            while not all(run_id in each for each in seen) and not failures and time.monotonic() < deadline:
                time.sleep(0.02)
        over.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert all(set(runs) <= each for each in seen)
    assert min(asked) >= SWAPS
    assert len(list(settings.snapshots.glob("*.duckdb"))) == settings.keep_snapshots


def _inconsistency(client: httpx.Client, runs: dict[str, tuple[int, object]], seen: set[str], sort: str) -> str | None:
    """Reads a whole list page by page; what is wrong with it, None for nothing."""
    wanted = {"limit": 90, "count": "true", "sort": sort}
    answer = client.get(f"{API}/cases", params=wanted)
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.text}"
    page = answer.json()
    run_id, numbers = page["run_id"], [row["case_number"] for row in page["items"]]
    while page["next"]:
        answer = client.get(f"{API}/cases", params={**wanted, "cursor": page["next"]})
        if answer.status_code != 200:
            return f"{answer.status_code} {answer.text}"
        page = answer.json()
        if page["run_id"] != run_id:
            return f"a list of {run_id} went on in {page['run_id']}"
        numbers += [row["case_number"] for row in page["items"]]
    if len(set(numbers)) != len(numbers) or len(numbers) != page["count"]:
        return f"{run_id}: {len(numbers)} rows, {len(set(numbers))} different, {page['count']} counted"
    if run_id in runs:
        seen.add(run_id)
        if page["count"] != runs[run_id][0] or page["items"][0]["as_of"] != page["as_of"]:
            return f"{run_id} has {page['count']} cases as of {page['items'][0]['as_of']}"
        told = client.get(f"{API}/runs").json()
        if told["items"][0]["run_id"] != told["run_id"]:
            return f"{told['run_id']} says that it is {told['items'][0]['run_id']}"
    return None
