"""The door to cryptography: who answers what the platform asks of it.

The software provider composes what the ``cryptography`` library has (SM3, SM4, GCM, HMAC). The assessment of commercial
cryptography (GB/T 39786, level 3) asks for a certified module in production: an adapter of one implements
:class:`CryptoProvider` and is named by the setting ``crypto_provider``. What does not belong here: which columns are encrypted
(the tables mark them).
"""

from collections.abc import Callable
from importlib import import_module
from uuid import UUID

from models.core.crypto.keys import audit_ring, data_ring, digest_key
from models.core.crypto.rotation import Rotation, remaining, rotate
from models.core.crypto.software import SoftwareProvider
from models.core.crypto.types import CryptoProvider, Place
from models.domain.errors import YiwangError
from models.domain.settings import Settings

__all__ = ["CryptoProvider", "Place", "Rotation", "encrypting", "provider", "remaining", "rotate"]


def encrypting(crypto: CryptoProvider) -> Callable[[str, str, str, UUID], str]:
    """What encrypts a text for a table, a column and a row: for migrations, which know no more of cryptography."""
    return lambda text, table, column, row: crypto.encrypt(text, Place(table, column, row))


def provider(settings: Settings) -> CryptoProvider:
    """Who does cryptography here; make it once a process and hand it on.

    Args:
        settings: Keys, cipher, ``crypto_provider``; its ``home`` keeps keys that were made for development.

    Raises:
        YiwangError: YW-CONFIG-001 where the named adapter cannot be loaded.
    """
    if settings.crypto_provider == "software":
        return SoftwareProvider(data_ring(settings), audit_ring(settings), digest_key(settings), settings.cipher)
    module, _, factory = settings.crypto_provider.partition(":")
    try:
        made: CryptoProvider = getattr(import_module(module), factory)(settings)
    except (ImportError, AttributeError, ValueError) as error:
        raise YiwangError("YW-CONFIG-001", name="YIWANG_CRYPTO_PROVIDER", detail=f"无法载入 {settings.crypto_provider}") from error
    return made
