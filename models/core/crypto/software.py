"""Cryptography in software: SM3, SM4-GCM, AES-256-GCM and HMAC-SM3 of the ``cryptography`` library (OpenSSL), put together.

From each key of a ring one key for each purpose is derived (HKDF-SM3, RFC 5869), so that no key serves two algorithms.
Random nonces of 96 bits allow 2^32 values a key (NIST SP 800-38D §8.3): rotate before.
"""

import base64
import binascii
import hmac as constant_time
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES256, SM4
from cryptography.hazmat.primitives.hashes import SM3, Hash
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from models.core.crypto.types import Place
from models.domain.errors import YiwangError
from models.domain.identifiers import normalise

_NONCE, _TAG = 12, 16
_CIPHERS: dict[str, tuple[type[SM4] | type[AES256], int]] = {"sm4-gcm": (SM4, 16), "aes-256-gcm": (AES256, 32)}
_LETTERS = {"sm4-gcm": "s", "aes-256-gcm": "a"}


class SoftwareProvider:
    """A :class:`~models.core.crypto.types.CryptoProvider` in this process.

    A ciphertext is ``<key id>.<s|a>.<base64url of nonce, ciphertext, tag>``; its head is part of the associated data.

    Args:
        data: Keys of encryption by identifier, the current one first; 32 bytes each.
        audit: Keys of signatures, likewise.
        digest: Key of digests.
        cipher: ``sm4-gcm`` or ``aes-256-gcm``; what the other made is read.
    """

    def __init__(self, data: Mapping[str, bytes], audit: Mapping[str, bytes], digest: bytes, cipher: str) -> None:
        self._keys = {
            f"{identifier}.{_LETTERS[name]}.": (algorithm, _derive(key, name, size))
            for identifier, key in data.items()
            for name, (algorithm, size) in _CIPHERS.items()
        }
        self._current = f"{next(iter(data))}.{_LETTERS[cipher]}."
        self._signing = {identifier: _derive(key, "sign", 32) for identifier, key in audit.items()}
        self._digest = _derive(digest, "digest", 32)

    def encrypt(self, text: str, place: Place) -> str:
        """See :class:`~models.core.crypto.types.CryptoProvider`."""
        algorithm, key = self._keys[self._current]
        nonce = os.urandom(_NONCE)
        sealing = Cipher(algorithm(key), modes.GCM(nonce)).encryptor()
        sealing.authenticate_additional_data(_bound(self._current, place))
        body = nonce + sealing.update(text.encode()) + sealing.finalize() + sealing.tag
        return self._current + base64.urlsafe_b64encode(body).decode()

    def decrypt(self, ciphertext: str, place: Place) -> str:
        """See :class:`~models.core.crypto.types.CryptoProvider`."""
        head, _, text = ciphertext.rpartition(".")
        if (known := self._keys.get(f"{head}.")) is None:
            if head.endswith((".s", ".a")):
                raise YiwangError("YW-CRYPTO-002", key=head[:-2], where=place)
            raise YiwangError("YW-CRYPTO-001", where=place)
        algorithm, key = known
        try:
            body = base64.b64decode(text, altchars=b"-_", validate=True)
            if len(body) < _NONCE + _TAG or base64.urlsafe_b64encode(body).decode() != text:  # one spelling only
                raise YiwangError("YW-CRYPTO-001", where=place)
            opening = Cipher(algorithm(key), modes.GCM(body[:_NONCE], body[-_TAG:])).decryptor()
            opening.authenticate_additional_data(_bound(f"{head}.", place))
            return (opening.update(body[_NONCE:-_TAG]) + opening.finalize()).decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise YiwangError("YW-CRYPTO-001", where=place) from error

    def current_prefix(self) -> str:
        """See :class:`~models.core.crypto.types.CryptoProvider`."""
        return self._current

    def digest(self, purpose: str, value: str) -> str:
        """See :class:`~models.core.crypto.types.CryptoProvider`."""
        return _hmac(self._digest, f"{purpose}:{normalise(value)}".encode()).hex()

    def hash(self, data: bytes) -> bytes:
        """See :class:`~models.core.crypto.types.CryptoProvider`."""
        digest = Hash(SM3())
        digest.update(data)
        return digest.finalize()

    def sign(self, data: bytes) -> str:
        """See :class:`~models.core.crypto.types.CryptoProvider`; an HMAC-SM3, which who may verify could make too."""
        identifier, key = next(iter(self._signing.items()))
        return f"{identifier}:{_hmac(key, data).hex()}"

    def verify(self, data: bytes, signature: str) -> bool:
        """See :class:`~models.core.crypto.types.CryptoProvider`."""
        identifier, _, code = signature.partition(":")
        key = self._signing.get(identifier)
        return key is not None and constant_time.compare_digest(_hmac(key, data).hex().encode(), code.encode())


def _bound(head: str, place: Place) -> bytes:
    return f"{head}|{place.table}|{place.column}|{place.row}".encode()


def _derive(key: bytes, purpose: str, size: int) -> bytes:
    return HKDF(SM3(), size, salt=None, info=f"yiwang {purpose}".encode()).derive(key)


def _hmac(key: bytes, data: bytes) -> bytes:
    code = HMAC(key, SM3())
    code.update(data)
    return code.finalize()
