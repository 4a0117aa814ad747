"""The real server on a free port, for the time of a ``with`` block."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from models.domain.settings import Settings
from serving.app import create_app, listen


@contextmanager
def running(settings: Settings, **client: object) -> Iterator[httpx.Client]:
    """A client of a server that runs with these settings, on a thread of this process."""
    listening = listen(settings.host, 0)
    server = uvicorn.Server(uvicorn.Config(create_app(settings), access_log=False, log_config=None, server_header=False, proxy_headers=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = listening.getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, **client) as asking:  # type: ignore[arg-type]
            yield asking
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
