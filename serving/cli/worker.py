"""``yiwang worker``: what runs beside the server."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from serving.cli.audit import settings_at

if TYPE_CHECKING:
    from serving.worker.service import Worker

_PARENT = "YIWANG_WORKER_PARENT"
Home = Annotated[Path | None, typer.Option("--home", help="数据目录，默认取 YIWANG_HOME 或 ./data")]


def worker(
    once: Annotated[bool, typer.Option("--once", help="做完到期的工作就结束；有一部分没有做完时退出码为 1")] = False,
    status: Annotated[bool, typer.Option("--status", help="只显示后台工作的状况")] = False,
    home: Home = None,
) -> None:
    """后台程序：封存审计、到期处理、推送、后台任务、日常清理；可以同时运行几个，随时可以停止。"""
    from models.core.crypto.service import encrypting, provider
    from models.core.jobs.status import status as figures
    from models.store.operational.database import Database
    from models.store.operational.migration import upgrade
    from serving.observe import log_libraries
    from serving.worker.service import Worker

    console = Console(stderr=True, highlight=False)
    with settings_at(home) as settings:
        database = Database(settings)
        while True:
            try:
                upgrade(database, encrypting(provider(settings)))
                break
            except YiwangError as error:
                if once or status or error.code != "YW-STORE-008":
                    raise
                console.print(error.message)
                time.sleep(5)
        if status:
            with database.read() as session:
                Console().print_json(data=figures(session, datetime.now(UTC)))
            return
        log_libraries()
        running = Worker(settings, database, provider(settings))
        if once:
            _everything(running, console)
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: running.stop())
        if parent := os.environ.get(_PARENT):
            threading.Thread(target=_end_with, args=(int(parent), running), daemon=True).start()
        console.print("后台程序已启动（按 Ctrl+C 结束）")
        running.run()
        database.close()


def _everything(running: "Worker", console: Console) -> None:
    """All that is due, and which parts did not do it."""
    from models.core.jobs.status import PARTS

    failed: dict[str, str] = {}
    is_more = True
    while is_more:
        is_more = running.round()
        failed |= running.errors
    for part, code in sorted(failed.items()):
        console.print(f"✗ {PARTS.get(part, part)}没有做完：{code}", markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _end_with(parent: int, running: "Worker") -> None:
    """A worker beside a server that was killed has nobody to tell it to stop."""
    while os.getppid() == parent:
        time.sleep(1)
    running.stop()


@contextmanager
def beside(settings: Settings, is_wanted: bool) -> Iterator[None]:
    """A worker in a process of its own for as long as the server runs; it ends with it, even when the server is killed."""
    if not is_wanted:
        yield
        return
    command = [sys.executable, "-c", "from serving.cli.main import main; main()", "worker", "--home", str(settings.home)]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=os.environ | {_PARENT: str(os.getpid())})  # noqa: S603 - our own command
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
