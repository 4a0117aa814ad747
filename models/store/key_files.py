"""Secrets that a home makes for itself where the environment gives none: for development, one file each."""

import os
import secrets
from pathlib import Path


def made_once(path: Path) -> str:
    """The secret in a file (64 hexadecimal digits, mode 0600), made when it is not there and never replaced.

    Of processes that make it at once one wins and all read its; a kill leaves no half secret.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii").strip()
