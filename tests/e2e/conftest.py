"""A real server on a published snapshot, and Debian's chromium that reaches nothing else."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from models.domain.settings import Settings
from tests.support.snapshots import publish

CHROMIUM = shutil.which("chromium")
TOKEN = "viewer-token-of-the-tests"  # noqa: S105
_QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--no-first-run", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # its network is blocked, the server excepted
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs chromium."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="chromium is missing: sh scripts/setup_test_machine.sh"))


@dataclass
class Server:
    """A running server."""

    settings: Settings
    base: str


@dataclass
class Seen:
    """What a browser asked for and complained about."""

    base: str
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Listen to every page of a context."""
        context.on("request", lambda request: self._requested(request.url))
        context.on("console", lambda message: self.errors.append(f"{message.text} {message.location}") if message.type == "error" else None)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _requested(self, url: str) -> None:
        if not url.startswith((self.base, self.base.replace("http", "ws", 1), "data:", "blob:")):
            self.outside.append(url)


def start_server(settings: Settings, **environment: str) -> tuple[Server, subprocess.Popen[bytes]]:
    """Start ``yiwang serve`` on a home and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("YIWANG_", "PYTEST_"))}
    command = [sys.executable, "-c", "from serving.cli.main import main; main()", "serve", "--home", str(settings.home), "--port", str(port)]
    log = settings.home / "server.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=clean | environment, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, stderr=errors)
    base = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{base}/health"):  # noqa: S310 (loopback)
                return Server(settings, base), process
        except urllib.error.URLError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    process.kill()
    raise RuntimeError(log.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers that stop after the tests."""
    running: list[subprocess.Popen[bytes]] = []

    def start(settings: Settings, **environment: str) -> Server:
        server, process = start_server(settings, **environment)
        running.append(process)
        return server

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(30)


@pytest.fixture(scope="session")
def server(serve: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with the development principal; its snapshot stays as it is."""
    return serve(published_home(tmp_path_factory), YIWANG_DEV="1")


@pytest.fixture(scope="session")
def guarded(serve: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server that knows one token, of a viewer."""
    return serve(published_home(tmp_path_factory), YIWANG_API_TOKENS=f"tester:viewer:{hashlib.sha256(TOKEN.encode()).hexdigest()}")


def published_home(factory: pytest.TempPathFactory) -> Settings:
    """A home with one published snapshot."""
    settings = Settings(home=factory.mktemp("home"))
    publish(settings)
    return settings


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., tuple[Page, Seen]]]:
    """Opens an address in a context of its own."""
    contexts: list[BrowserContext] = []

    def go(base: str, path: str, **options: object) -> tuple[Page, Seen]:
        context = browser.new_context(locale="zh-CN", **options)  # type: ignore[arg-type]
        contexts.append(context)
        seen = Seen(base)
        seen.watch(context)
        page = context.new_page()
        page.goto(base + path)
        return page, seen

    yield go
    for context in contexts:
        context.close()
