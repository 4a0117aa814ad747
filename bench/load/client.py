"""Clients that ask at times fixed beforehand, over connections that stay open; a process of its own that uses little of the processor.

Open loop: a request that had to wait because an earlier one was slow counts from when it should have been sent, so that a server which
stalls cannot hide it (coordinated omission).
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass
class Answer:
    """What came back.

    Attributes:
        status: HTTP status; 0 where the connection broke or nothing came in 30 seconds.
        body: Content.
    """

    status: int
    body: bytes


@dataclass
class Sample:
    """One request.

    Attributes:
        kind: ``read``, ``list``, ``write`` or ``bare``.
        milliseconds: From when it should have been sent.
        status: HTTP status.
    """

    kind: str
    milliseconds: float
    status: int


@dataclass
class Connections:
    """A pool of connections to one address.

    Attributes:
        port: Of the server on this machine.
        most: Connections at most.
    """

    port: int
    most: int
    _free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None] = field(default_factory=asyncio.LifoQueue)

    def __post_init__(self) -> None:
        for _ in range(self.most):
            self._free.put_nowait(None)

    async def ask(self, method: str, path: str, headers: str, body: bytes = b"") -> Answer:
        """One request over a free connection."""
        pair = await self._free.get()
        try:
            for is_last in (pair is None, True):  # a connection that the server closed meanwhile is opened anew, as any client does
                try:
                    if pair is None:
                        pair = await asyncio.open_connection("127.0.0.1", self.port)
                    reader, writer = pair
                    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n{headers}content-length: {len(body)}\r\n"
                    writer.write((head + ("content-type: application/json\r\n\r\n" if body else "\r\n")).encode() + body)
                    async with asyncio.timeout(30):
                        return await _answer(reader)
                except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                    if pair is not None:
                        pair[1].close()
                    pair = None
                    if is_last:
                        return Answer(0, b"")
            raise AssertionError("unreachable")
        finally:
            self._free.put_nowait(pair)


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    status, length = int(head[9:12]), 0
    for line in head.split(b"\r\n")[1:]:
        if line[:15].lower() == b"content-length:":
            length = int(line[15:])
    return Answer(status, await reader.readexactly(length) if length else b"")


async def open_loop(rate: float, seconds: float, seed: int, ask: Callable[[random.Random], Awaitable[tuple[str, int]]]) -> list[Sample]:
    """Ask ``rate`` times a second at random moments (a Poisson process), whatever the server does.

    Args:
        rate: Requests a second.
        seconds: For how long.
        seed: Of the moments and of what is asked.
        ask: Sends one request; its kind and status.
    """
    randomly, samples, running = random.Random(seed), [], set()  # noqa: S311 - a load, no secret
    start = time.perf_counter() + 0.2

    async def one(due: float) -> None:
        kind, status = await ask(randomly)
        samples.append(Sample(kind, (time.perf_counter() - due) * 1000, status))

    due = start
    while True:
        due += randomly.expovariate(rate)
        if due > start + seconds:
            break
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        task = asyncio.create_task(one(due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return samples
