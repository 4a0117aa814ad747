"""A receiver of alerts: a real HTTP server on loopback that behaves as it is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What it received, and how it answers.

    Attributes:
        answers: Status of each next request; ``hang`` never answers, ``drip`` sends one header byte at a time. 204 when empty.
        location: Where a redirect leads.
        requests: Headers and body of every request that came in whole.
    """

    answers: list[int | str] = field(default_factory=list)
    location: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    address: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The bodies."""
        return [json.loads(body) for _, body in self.requests]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Kind and subject of each event."""
        return [(event["kind"], event["about"]) for event in self.events]


@contextmanager
def receiver(*answers: int | str) -> Iterator[Receiver]:
    """A running receiver."""
    state = Receiver(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append((dict(self.headers), body))
            answer = state.answers.pop(0) if state.answers else 204
            if answer == "hang":
                state.over.wait(30)
                return
            if answer == "drip":
                while not state.over.wait(0.05):
                    try:
                        self.wfile.write(b"H")
                        self.wfile.flush()
                    except OSError:
                        return
                return
            self.send_response(int(answer))
            if state.location:
                self.send_header("Location", state.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.address = f"http://127.0.0.1:{server.server_port}/alerts"
    try:
        yield state
    finally:
        state.over.set()
        server.shutdown()
        server.server_close()
