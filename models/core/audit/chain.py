"""What a link of the audit chain is: pure functions of a row, of the hash before it and of a head.

``hash(n) = SM3(hash(n - 1) ‖ canonical JSON of row n)``; the first link follows 64 zeros. A head is the end of the chain at some moment, signed.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from models.core.crypto.types import CryptoProvider

START = "0" * 64
"""Hash before the first row."""


@dataclass(frozen=True)
class Head:
    """End of the chain as a sealing left it.

    Attributes:
        number: Number of the last row.
        hash: Its hash, in hex.
        at: When it was sealed.
        signature: Of the other three.
    """

    number: int
    hash: str
    at: datetime
    signature: str

    def line(self) -> str:
        """As a line of the file of heads."""
        values = {"number": self.number, "hash": self.hash, "at": _instant(self.at), "signature": self.signature}
        return json.dumps(values, separators=(",", ":")) + "\n"

    @classmethod
    def of_line(cls, line: str) -> "Head | None":
        """What :meth:`line` wrote, None where it is something else."""
        try:
            values = json.loads(line)
            head = cls(int(values["number"]), str(values["hash"]), datetime.fromisoformat(values["at"]), str(values["signature"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return head if head.at.tzinfo is not None and 0 < head.number < 2**63 else None

    def is_signed(self, crypto: CryptoProvider) -> bool:
        """Whether the signature is of this head, by a key at hand."""
        return crypto.verify(_signed(self.number, self.hash, self.at), self.signature)


def sign(crypto: CryptoProvider, number: int, hash_: str, at: datetime) -> Head:
    """A head with its signature."""
    return Head(number, hash_, at, crypto.sign(_signed(number, hash_, at)))


def link(crypto: CryptoProvider, previous: str, number: int, row: Any) -> str:
    """Hash of a row.

    Args:
        crypto: Who hashes.
        previous: Hash of the row before.
        number: Its number in the chain.
        row: With the columns of ``audit``.
    """
    content = {
        "number": number, "position": row.position, "transaction": row.transaction, "at": _instant(row.at), "actor": row.actor,
        "authority": row.authority, "action": row.action, "target": row.target, "detail": row.detail,
    }  # fmt: skip
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return crypto.hash(f"{previous}{canonical}".encode()).hex()


def link_unread(crypto: CryptoProvider, previous: str, number: int, position: int) -> str:
    """Hash of a row that nobody could read when it was sealed: the chain goes on, a check names the row."""
    return crypto.hash(f"{previous}unreadable|{number}|{position}".encode()).hex()


def _signed(number: int, hash_: str, at: datetime) -> bytes:
    return f"yiwang audit head|{number}|{hash_}|{_instant(at)}".encode()


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
