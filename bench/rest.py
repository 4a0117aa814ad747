"""Reading a REST listing: the connector beside a plain httpx and json loop, from the same server in the same run.

    python -m bench.rest [--rows 100000] [--page 500]

The server, a process of its own, sends pages that were made before. The plain loop only parses; the connector also
keeps every digit, flattens, maps, types, digests, and proves each border of pages by asking for the page again
(``page``) or not (``cursor``). What does not belong here: the merge, which ``bench.pipeline`` measures.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import httpx
import yaml
from rich.console import Console

from models.domain.identifiers import set_digest_key
from models.domain.settings import Settings
from pipelines.sources.config import load_sources
from pipelines.sources.reading import Reading
from pipelines.sources.store import create_tables


def _record(i: int) -> dict[str, Any]:
    return {
        "case_number": f"2026{i:010}", "matter_code": f"11430000{i % 997:06}", "applicant": {"name": "张三", "id": "430199199501011232", "type": "111"},
        "department": {"code": f"D{i % 60}"}, "received_at": "2026-03-01T08:00:00+08:00", "accepted_at": "2026-03-01T09:00:00+08:00",
        "completed_at": None, "channel": "1", "fee": 12.50, "documents": [{"code": "A1", "pages": 2}], "updated_at": f"2026-03-{i % 28 + 1:02}T08:00:00+08:00",
    }  # fmt: skip


def serve(rows: int, size: int, ready: Connection) -> None:
    """Send pages by number or token until the process is ended."""
    pages = [
        json.dumps({"total": rows, "next": start // size + 2 if start + size < rows else None, "items": [_record(i) for i in range(start, min(start + size, rows))]}, ensure_ascii=False).encode()
        for start in range(0, rows, size)
    ]  # fmt: skip

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def log_message(self, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:  # noqa: N802 - the library's name
            body = pages[int(parse_qs(urlsplit(self.path).query).get("page", ["1"])[0]) - 1]
            self.send_response_only(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        ready.send(http.server_address[1])
        http.serve_forever()


def plain(url: str) -> int:
    """Page after page into dictionaries; the number of records."""
    count, page = 0, 1
    with httpx.Client(trust_env=False) as client:
        while page:
            document = client.get(url, params={"page": page}).json()
            count, page = count + len(document["items"]), document["next"]
    return count


def connector(url: str, paging: dict[str, str], size: int) -> int:
    """All loads of a REST source, typed; the number of rows."""
    fields = {
        "applicant_name": "applicant.name", "applicant_id": "applicant.id", "applicant_id_type_code": "applicant.type", "department_code": "department.code",
        "channel_code": "channel",
    }  # fmt: skip
    source = {
        "name": "city", "subject": "case", "kind": "rest", "location": url, "records": "items", "paging": paging, "page_size": size, "cursor": "updated_at",
        "fields": fields,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(":memory:", config={"threads": 2}) as connection:
        path = Path(folder) / "sources.yml"
        path.write_text(yaml.safe_dump({"sources": [source]}, allow_unicode=True), encoding="utf-8")
        create_tables(connection)
        set_digest_key(connection, bytes(32))
        file = load_sources(path)
        reading = Reading(Settings(home=Path(folder)), connection, file, file.sources[0])
        return sum(batch.num_rows for load in file.sources[0].loads(reading) for batch in load.rows())


def main(arguments: list[str] | None = None) -> int:
    """Print rows a second of each; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.rest")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--page", type=int, default=500)
    options = parser.parse_args(arguments)
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(options.rows, options.page, theirs), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}/cases"
    ways: dict[str, Callable[[], int]] = {
        "plain httpx + json": lambda: plain(url),
        "connector, cursor": lambda: connector(url, {"by": "cursor", "send_as": "page", "next": "next"}, options.page),
        "connector, page (each page twice)": lambda: connector(url, {"by": "page", "total": "total"}, options.page),
    }
    console = Console()
    console.print(f"{options.rows:,} records, {options.page} a page")
    failed = False
    for name, way in ways.items():
        began, cpu = time.perf_counter(), time.process_time()
        count = way()
        seconds = time.perf_counter() - began
        console.print(f"{name:36}{count / seconds:12,.0f} rows/s{seconds:9.1f} s{time.process_time() - cpu:9.1f} s CPU of the reader", soft_wrap=True)
        failed |= count != options.rows
    server.terminate()
    server.join()
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
