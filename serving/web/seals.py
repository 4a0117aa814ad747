"""Texts that go out in a page and come back as they were: sealed, so that whoever holds one can neither read nor make it.

Encrypted and signed (Fernet: AES-128-CBC and HMAC-SHA256) with the time at which it was made, so that a copied one is worth nothing
after :data:`LIFETIME`. Nothing is kept on the server but the key.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken

from models.domain.settings import Settings
from models.store.key_files import made_once

LIFETIME = 12 * 3600
"""Seconds for which a seal holds: a working day."""
KEY_FILE = "session.key"


class Seals:
    """Seals and opens texts.

    Args:
        settings: Home, in which the key is made when the environment has none.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home / KEY_FILE
        self._given = settings.session_key
        self._fernet: Fernet | None = None

    def seal(self, text: str) -> str:
        """A text, sealed."""
        fernet = self._key(make=True)
        assert fernet is not None  # noqa: S101 (it was made)
        return fernet.encrypt(text.encode()).decode()

    def open(self, value: str) -> str | None:
        """The text of a seal, None when it is forged, damaged or too old."""
        fernet = self._key(make=False)
        if fernet is None:
            return None
        try:
            return fernet.decrypt(value.encode(), ttl=LIFETIME).decode()
        except (InvalidToken, UnicodeError):
            return None

    def _key(self, make: bool) -> Fernet | None:
        if self._fernet is None:
            secret = self._given.get_secret_value() if self._given else (made_once(self._path) if make or self._path.exists() else None)
            if secret is None:
                return None
            digest = hashlib.sha256(b"yiwang session\0" + secret.encode()).digest()
            self._fernet = Fernet(base64.urlsafe_b64encode(digest))
        return self._fernet
