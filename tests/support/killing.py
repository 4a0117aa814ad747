"""A process that kills itself at a named point, as a crash of the machine would: what a test patches into it."""

import os
import pkgutil
import signal
from collections.abc import Callable
from typing import Any


def kill() -> None:
    """SIGKILL to this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(target: str, moment: str, calls: int) -> None:
    """Have this process killed ``before`` or ``after`` the given call of a function.

    Args:
        target: Dotted name of the function.
        moment: ``before`` or ``after``.
        calls: At which call, from 1.
    """
    owner, name = target.rsplit(".", 1)
    patched = pkgutil.resolve_name(owner)
    setattr(patched, name, _deadly(getattr(patched, name), moment, calls))


def _deadly(function: Callable[..., Any], moment: str, calls: int) -> Callable[..., Any]:
    count = 0

    def patched(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if moment == "before" and count == calls:
            kill()
        result = function(*arguments, **named)
        if moment == "after" and count == calls:
            kill()
        return result

    return patched
