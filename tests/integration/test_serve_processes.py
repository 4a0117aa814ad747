"""The interfaces by several processes on one address: all of it is there, the pages are not, and nobody is left behind by a kill."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import psutil

from tests.support.city import YIWANG


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _until(condition: object) -> bool:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if condition():  # type: ignore[operator]
                return True
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    return False


def test_several_processes_serve_the_interfaces_and_end_with_their_parent(tmp_path: Path) -> None:
    port = _free_port()
    environment = os.environ | {"YIWANG_DEV": "1"}
    command = [YIWANG, "serve", "--processes", "2", "--no-worker", "--port", str(port), "--home", str(tmp_path)]
    parent = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert _until(lambda: httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200)
        children = [child for child in psutil.Process(parent.pid).children() if "spawn_main" in " ".join(child.cmdline())]
        assert len(children) == 2
        assert httpx.get(f"http://127.0.0.1:{port}/api/v1/units").json() == {"items": [], "next": None}
        assert httpx.get(f"http://127.0.0.1:{port}/desk").status_code == 404, "no pages: their sockets would go to another process"
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
        gone, alive = psutil.wait_procs(children, timeout=20)
        assert len(gone) == 2 and not alive
    finally:
        if parent.poll() is None:
            parent.kill()
