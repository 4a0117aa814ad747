"""A department's REST interface, whose behaviour is data: pages over records that change, and faults by request number."""

import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = 1_785_000_000.0
"""What the server takes for the present, in seconds since 1970: 2026-07-25."""

Record = dict[str, Any]


@dataclass
class Fault:
    """What is done in place of an answer.

    Attributes:
        status: Status; 0 resets the connection, -1 sends half of the answer, -2 drips it, -3 stays silent.
        headers: Further headers.
        body: The body.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


@dataclass
class RestServer:
    """The interface.

    Attributes:
        records: What it holds, in the order in which it lists them (``keyset`` lists them by time and id, those without time last).
        faults: Number of the request (from 1) → what is done in its place.
        before: Called with the number of each request before it is answered: the place to change the records.
        paging: As the key of a source.
        cap: Greatest page it gives.
        wrap: Page numbers behind the last one give the last one.
        with_date: Answers have a ``Date``.
        now: What the server takes for the present, in seconds since 1970.
        since: Name of the parameter that leaves out older records; compared as text.
        requests: All requests: method, path, parameters, JSON body, headers.
    """

    records: list[Record] = field(default_factory=list)
    faults: dict[int, Fault] = field(default_factory=dict)
    before: Callable[[int], None] = lambda number: None
    paging: str = "page"
    cap: int = 1000
    wrap: bool = False
    with_date: bool = True
    now: float = NOW
    since: str = "since"
    total: bool = True
    requests: list[tuple[str, str, dict[str, str], Any, dict[str, str]]] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self, params: dict[str, str]) -> tuple[list[Record], dict[str, Any], str | None]:
        """Records, further members, and the parameters of the next page as a link."""
        size = min(int(params.get("size", self.cap)), self.cap)
        since = params.get(self.since, "")
        chosen = [record for record in self.records if str(record.get("updated_at", "")) >= since]
        extra: dict[str, Any] = {"total": len(chosen)} if self.total else {}
        if self.paging == "keyset":
            place = {record["id"]: (record["updated_at"] or "~", record["id"]) for record in chosen}  # nulls last
            chosen = sorted((record for record in chosen if place[record["id"]] > (since, params.get("after", ""))), key=lambda record: place[record["id"]])
            return chosen[:size], {}, None
        if self.paging == "cursor":  # a position in the order of ids
            chosen = sorted((record for record in chosen if record["id"] > params.get("cursor", "")), key=lambda record: record["id"])
            more = {"next_cursor": chosen[size - 1]["id"]} if len(chosen) > size else {"next_cursor": None}
            return chosen[:size], more, None
        number = int(params.get("page", 1))
        start = int(params["offset"]) if self.paging == "offset" and "offset" in params else (number - 1) * size
        if self.wrap and start >= len(chosen) > 0:
            start = (len(chosen) - 1) // size * size
        link = f"/cases?{urlencode({**params, 'page': number + 1})}" if start + size < len(chosen) else None
        return chosen[start : start + size], extra, link


@contextmanager
def serving(server: RestServer, certificate: Path | None = None) -> Iterator[RestServer]:
    """The interface on a port of its own, until the end of the block; by TLS where a file holds certificate and key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def log_message(self, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:  # noqa: N802
            self._answer(None)

        def do_POST(self) -> None:  # noqa: N802
            self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def _answer(self, body: Any) -> None:
            parts = urlsplit(self.path)
            params = {key: values[0] for key, values in parse_qs(parts.query).items()}
            with server.lock:
                server.requests.append((self.command, parts.path, params, body, dict(self.headers)))
                number = len(server.requests)
                server.before(number)
                fault = server.faults.get(number)
                flat = {key: str(value) for key, value in (body or {}).items()}
                records, extra, link = server.page(params | flat)
            if fault is not None:
                return self._fail(fault)
            headers = {"Content-Type": "application/json"}
            if link and server.paging == "link":
                headers["Link"] = f'<{link}>; rel="next", </cases>; rel="first"'
            self._send(200, headers, json.dumps({"data": {"items": records}} | extra, ensure_ascii=False).encode())

        def _fail(self, fault: Fault) -> None:
            if fault.status == 0:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
            elif fault.status == -3:
                time.sleep(1)
                self.close_connection = True
            elif fault.status < 0:
                self.close_connection = True
                self.send_response(200)
                self.send_header("Content-Length", "100000")
                self.end_headers()
                for _ in range(1 if fault.status == -1 else 40):
                    try:
                        self.wfile.write(b'{"data": ')
                        self.wfile.flush()
                    except OSError:
                        return
                    if fault.status == -2:
                        time.sleep(0.05)
            else:
                self._send(fault.status, fault.headers, fault.body)

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            if server.with_date:
                self.send_header("Date", formatdate(server.now, usegmt=True))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            http.socket = context.wrap_socket(http.socket, server_side=True)
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        server.url = f"http{'s' if certificate else ''}://127.0.0.1:{http.server_address[1]}/cases"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


@dataclass
class FastClock:
    """A clock that nobody waits for: pauses move it on at once.

    Attributes:
        pauses: The pauses made.
        stands: Only pauses move it.
    """

    pauses: list[float] = field(default_factory=list)
    offset: float = 0.0
    stands: bool = False

    def monotonic(self) -> float:
        """Real seconds, and all pauses."""
        return self.offset + (0 if self.stands else time.monotonic())

    def time(self) -> float:
        """The server's present."""
        return NOW

    def sleep(self, seconds: float) -> None:
        """No pause."""
        self.pauses.append(seconds)
        self.offset += seconds


def bomb(size: int) -> bytes:
    """So many zeros, packed."""
    return gzip.compress(bytes(size), 9)


def self_signed(path: Path) -> None:
    """Write a certificate for 127.0.0.1 and its key into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "department")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, begin.replace(year=2090))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(plain + certificate.public_bytes(serialization.Encoding.PEM))
