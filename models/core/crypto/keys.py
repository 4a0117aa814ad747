"""Where keys come from: the environment; for development, a file that is made once in the home and never replaced."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from models.domain.settings import Settings
from models.store.key_files import made_once

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
    return bytes.fromhex(made_once(settings.home / "digest.key"))


def _ring(secret: SecretStr | None, path: Path) -> Mapping[str, bytes]:
    if secret is None:
        return {MADE: bytes.fromhex(made_once(path))}
    entries = (entry.strip().partition(":") for entry in secret.get_secret_value().split(","))
    return {identifier: bytes.fromhex(key) for identifier, _, key in entries}
