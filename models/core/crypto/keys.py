"""Where keys come from: the environment; for development, a file that is made once in the home and never replaced."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from models.domain.settings import Settings

MADE = "made"
"""Identifier of a key that was made in the home."""


def data_ring(settings: Settings) -> Mapping[str, bytes]:
    """Keys of encryption by identifier, the current one first."""
    return _ring(settings.keys, settings.home / "encryption.key")


def audit_ring(settings: Settings) -> Mapping[str, bytes]:
    """Keys that sign the audit chain by identifier, the current one first."""
    return _ring(settings.audit_keys, settings.home / "audit.key")


def digest_key(settings: Settings) -> bytes:
    """Key from which digests are made: the one of the pipelines' digests (theirs are HMAC-SHA256 with the key itself)."""
    if settings.digest_key is not None:
        return settings.digest_key.get_secret_value().encode()
    return _made_once(settings.home / "digest.key")


def _ring(secret: SecretStr | None, path: Path) -> Mapping[str, bytes]:
    if secret is None:
        return {MADE: _made_once(path)}
    entries = (entry.strip().partition(":") for entry in secret.get_secret_value().split(","))
    return {identifier: bytes.fromhex(key) for identifier, _, key in entries}


def _made_once(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and linked into place: a kill leaves no half key, and a key once made is never replaced.
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
    return bytes.fromhex(path.read_text(encoding="ascii").strip())
