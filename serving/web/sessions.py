"""The session of a browser: the access token, sealed in a cookie that scripts and other sites cannot use.

The cookie is encrypted and signed (Fernet: AES-128-CBC and HMAC-SHA256) and carries the time at which it was made, so
that a copied cookie is worth nothing after :data:`LIFETIME`, and a token that is taken out of the settings ends every
session made with it. Nothing is kept on the server but the key.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken

from models.domain.settings import Settings
from models.store.key_files import made_once

COOKIE = "yiwang_session"
LIFETIME = 12 * 3600
"""Seconds that a session lasts: a working day."""
KEY_FILE = "session.key"


class Sessions:
    """Seals and opens session cookies.

    Args:
        settings: Home, in which the key is made when the environment has none.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home / KEY_FILE
        self._given = settings.session_key
        self._fernet: Fernet | None = None

    def seal(self, token: str) -> str:
        """The cookie's value for an access token."""
        fernet = self._key(make=True)
        assert fernet is not None  # noqa: S101 (it was made)
        return fernet.encrypt(token.encode()).decode()

    def open(self, value: str) -> str | None:
        """The access token of a cookie, None when the cookie is forged, damaged or too old."""
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
