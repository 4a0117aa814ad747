"""What the platform asks of cryptography, whoever answers."""

from typing import NamedTuple, Protocol
from uuid import UUID


class Place(NamedTuple):
    """Where a ciphertext stands; it can be read nowhere else.

    Attributes:
        table: Its table.
        column: Its column.
        row: Identifier of its row.
    """

    table: str
    column: str
    row: UUID

    def __str__(self) -> str:
        return f"{self.table}.{self.column}/{self.row}"


class CryptoProvider(Protocol):
    """All cryptography of the platform's core; a certified module (SDF of GM/T 0018, PKCS#11) takes its place by an adapter."""

    def encrypt(self, text: str, place: Place) -> str:
        """A ciphertext with the identifier of its key in front, different each time.

        Args:
            text: In clear.
            place: Where it will stand: bound to it as associated data.
        """

    def decrypt(self, ciphertext: str, place: Place) -> str:
        """The text in clear.

        Raises:
            YiwangError: YW-CRYPTO-001 where it was changed, cut or belongs elsewhere; YW-CRYPTO-002 where its key is not at hand.
        """

    def current_prefix(self) -> str:
        """How all ciphertexts of the key and cipher in use begin, and no others: rotation makes the others anew."""

    def digest(self, purpose: str, value: str) -> str:
        """Keyed digest of an identifier in its normal form, in hex: equal values are found without being known.

        Args:
            purpose: Digests of different purposes cannot be compared (a phone is no number of a certificate).
            value: Identifier as people type it.
        """

    def hash(self, data: bytes) -> bytes:
        """Digest without key (SM3), 32 bytes."""

    def sign(self, data: bytes) -> str:
        """Signature with the identifier of its key in front."""

    def verify(self, data: bytes, signature: str) -> bool:
        """Whether the signature is of the data, by a key at hand."""
