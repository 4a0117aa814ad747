"""The file of heads outside the store: JSON lines that are only ever appended, so that the chain cannot be rewritten whole unseen."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from models.core.audit.chain import Head

_BLOCK = 4096
"""More than a line."""


def last(path: Path) -> Head | None:
    """The head in the last whole line, None where there is none."""
    try:
        with path.open("rb") as file:
            return _last(file)
    except FileNotFoundError:
        return None


def append(path: Path, heads: Iterable[Head]) -> int:
    """Add the heads that come after the file's last one; on disk when this returns.

    Returns:
        Number of heads added.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640), "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # of two sealers of one host
        before = _last(file)
        lines = [head.line() for head in heads if before is None or head.number > before.number]
        if lines:
            torn = "" if _ends_well(file) else "\n"
            file.write((torn + "".join(lines)).encode())
            os.fsync(file.fileno())
        return len(lines)


def read(path: Path) -> Iterator[tuple[int, Head | None]]:
    """Number and head of each line, None for a line that is none.

    A line that a crash cut short is followed by the same line whole: it is left out.
    """
    torn: tuple[int, str] | None = None
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if torn is not None and not line.startswith(torn[1]):
                yield torn[0], None
            torn = None
            head = Head.of_line(line)
            if head is None:
                torn = (number, line.rstrip("\n"))
            else:
                yield number, head
    if torn is not None:
        yield torn[0], None


def _last(file: BinaryIO) -> Head | None:
    end = file.seek(0, os.SEEK_END)
    start = end
    tail = b""
    while start > 0:
        size = min(_BLOCK, start)
        start = file.seek(start - size)
        tail = file.read(size) + tail
        lines = tail.split(b"\n")
        for line in reversed(lines if start == 0 else lines[1:]):
            if (head := Head.of_line(line.decode(errors="replace"))) is not None:
                return head
    return None


def _ends_well(file: BinaryIO) -> bool:
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return True
    file.seek(end - 1)
    return file.read(1) == b"\n"
