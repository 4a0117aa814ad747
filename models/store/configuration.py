"""The ``sources.yml`` of a home as it is edited: read, replaced atomically, its old versions kept and given back.

What does not belong here: whether the content is right (``yiwang sources check``), and what time it is.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from models.domain.errors import YiwangError

FILE, FOLDER, LOG, LOCK = "sources.yml", "sources.versions", "sources.log", ".sources.lock"
_VERSION = re.compile(r"[0-9]{8}T[0-9]{12}Z(\.[0-9]+)?")


@dataclass(frozen=True)
class Edited:
    """A line of the log: who put which version into service, and when.

    Attributes:
        at: Instant.
        who: Name of the principal.
        what: ``save`` or ``restore``.
        fingerprint: SHA-256 of the new content.
        replaced: Version under which the content before is kept; None for the first one.
    """

    at: datetime
    who: str
    what: str
    fingerprint: str
    replaced: str | None


class ConfigurationFile:
    """The ``sources.yml`` of one home.

    Args:
        home: The home.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self.path = home / FILE

    def read(self) -> tuple[str, str]:
        """Content and fingerprint; both of nothing where there is no file yet."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            content = b""
        return content.decode("utf-8", errors="replace"), fingerprint(content)

    def save(self, text: str, expected: str, who: str, at: datetime, what: str = "save") -> str:
        """Put a new version into service; the one before is kept.

        A kill leaves the old version or the new one, never half of it.

        Args:
            text: The new content.
            expected: Fingerprint of the content that was edited.
            who: Name of the principal, for the log.
            at: Instant, which also names the version that is kept.
            what: For the log.

        Returns:
            Fingerprint of the new content.

        Raises:
            YiwangError: YW-SOURCES-001 when somebody else has changed the file meanwhile.
        """
        new = text.encode("utf-8")
        with self._locked():
            old = self.path.read_bytes() if self.path.exists() else b""
            if fingerprint(old) != expected:
                raise YiwangError("YW-SOURCES-001")
            if old == new:
                return expected
            replaced = self._keep(old, at) if old else None
            _replace(self.path, new, self.path.stat().st_mode & 0o777 if old else 0o600)
            line = {"at": at.isoformat(), "who": who, "what": what, "fingerprint": fingerprint(new), "replaced": replaced}
            _append(self._home / LOG, json.dumps(line, ensure_ascii=False))
        return fingerprint(new)

    def versions(self) -> list[str]:
        """Names of the versions that are kept, newest first."""
        folder = self._home / FOLDER
        return sorted((path.name for path in folder.iterdir() if _VERSION.fullmatch(path.name)), reverse=True) if folder.is_dir() else []

    def version(self, name: str) -> str:
        """The content of a version that is kept.

        Raises:
            YiwangError: YW-SERVE-006 when there is none of that name.
        """
        path = self._home / FOLDER / name
        if not _VERSION.fullmatch(name) or not path.is_file():
            raise YiwangError("YW-SERVE-006", what="此版本")
        return path.read_text(encoding="utf-8", errors="replace")

    def log(self, most: int = 50) -> list[Edited]:
        """The last changes, newest first; a line that cannot be read is left out."""
        path = self._home / LOG
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-most:] if path.is_file() else []
        found = []
        for line in reversed(lines):
            try:
                given = json.loads(line)
                found.append(Edited(datetime.fromisoformat(given["at"]), given["who"], given["what"], given["fingerprint"], given["replaced"]))
            except (ValueError, KeyError, TypeError):
                continue
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, over processes; the lock goes with its process."""
        self._home.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(self._home / LOCK, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _keep(self, old: bytes, at: datetime) -> str:
        folder = self._home / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        name, number = f"{at:%Y%m%dT%H%M%S%f}Z", 1
        while (folder / name).exists():
            number += 1
            name = f"{at:%Y%m%dT%H%M%S%f}Z.{number}"
        _replace(folder / name, old, 0o600)
        return name


def fingerprint(content: bytes) -> str:
    """SHA-256 of a content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _replace(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _append(path: Path, line: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
