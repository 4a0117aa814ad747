"""Runs ``yiwang sources`` for the page: in a process of its own, with little memory, a time limit and no secrets.

The process sees the environment variables that an edited file may name and none of the platform's: what is not there
cannot be read out. What does not belong here: what is checked (``pipelines.configuration``).
"""

import json
import os
import subprocess
import sys
import threading
from typing import Any

from models.domain.errors import YiwangError
from models.domain.locations import variables
from models.domain.settings import Settings

SECONDS = 60
_AT_ONCE = threading.BoundedSemaphore(2)
_NEEDED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "SSL_CERT_FILE", "LD_LIBRARY_PATH")
_COMMAND = (sys.executable, "-P", "-c", "from serving.cli.main import main; main()", "sources")


def ask(settings: Settings, command: str, text: str, current: str, *options: str) -> dict[str, Any]:
    """The answer of ``yiwang sources <command> --json`` to a text.

    Args:
        settings: Home, and what a page-edited file may name.
        command: ``check`` or ``try``.
        text: The edited file.
        current: The file in service.
        *options: Further options.

    Raises:
        YiwangError: YW-SOURCES-003 when it takes too long, ends without an answer or too many ask at once.
    """
    if not _AT_ONCE.acquire(timeout=10):
        raise YiwangError("YW-SOURCES-003", detail="同时检查的人太多")
    try:
        done = subprocess.run(  # noqa: S603 - our own command; what a user wrote goes in on stdin, names as single arguments
            [*_COMMAND, command, "--json", "--for-page", "--sources", "-", *options],
            input=text.encode("utf-8"), env=environment(settings, current), cwd="/", capture_output=True, check=False, timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise YiwangError("YW-SOURCES-003", detail=f"超过 {SECONDS} 秒，数据源可能太慢或文件太大") from None
    finally:
        _AT_ONCE.release()
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or done.returncode not in (0, 2):
        raise YiwangError("YW-SOURCES-003", detail="检查进程异常结束，数据可能太大或内容有异")
    return answer


def environment(settings: Settings, current: str) -> dict[str, str]:
    """The process's environment: what Python needs, the settings of the check, the variables that a file may name."""
    allowed = variables(settings, current, os.environ)
    return {name: value for name, value in os.environ.items() if name in _NEEDED or name in allowed} | {
        "YIWANG_HOME": str(settings.home.resolve()), "YIWANG_SOURCE_ROOTS": settings.source_roots, "YIWANG_SOURCE_VARIABLES": settings.source_variables,
        "YIWANG_MEMORY_LIMIT": "512MB", "YIWANG_THREADS": "1", "YIWANG_ZONE": settings.zone, "PYTHONIOENCODING": "utf-8",
    }  # fmt: skip
