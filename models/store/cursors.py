"""The token that says where a list goes on.

It carries the snapshot, a digest of what was asked, and where the last row stood: its sort value and its row number
in the snapshot's file. The token is opaque and checked, not secret: it grants nothing that the first page does not,
and its values only ever become bound parameters.
"""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from models.domain.errors import YiwangError
from models.store.tokens import token_of, values_of

_KIND = "cursor"


@dataclass(frozen=True)
class Cursor:
    """Where a list goes on.

    Attributes:
        file: File name of the snapshot.
        question: Digest of resource, filters and sort order.
        value: Sort value of the last row, as text; None for null.
        row: Row number of the last row.
    """

    file: str
    question: str
    value: str | None
    row: int

    def token(self) -> str:
        """The cursor as URL-safe text."""
        return token_of([self.file, self.question, self.value, self.row], _KIND)

    @classmethod
    def parse(cls, token: str) -> "Cursor":
        """The cursor of a token.

        Raises:
            YiwangError: YW-STORE-006 when the token is not one of ours or was changed.
        """
        values = values_of(token, _KIND)
        file, question, value, row = values if len(values) == 4 else (None,) * 4
        if not (isinstance(file, str) and isinstance(question, str) and isinstance(value, str | None) and type(row) is int):
            raise YiwangError("YW-STORE-006", detail="内容不完整")
        return cls(file, question, value, row)


def question_of(resource: str, filters: dict[str, Any], sort: str) -> str:
    """A short digest of what a list asks for; a cursor of one question does not fit another."""
    return hashlib.blake2b(orjson.dumps([resource, sorted(filters.items()), sort], default=str), digest_size=9).hexdigest()


def text_of(value: Any) -> str | None:
    """A sort value as text that DuckDB casts back to the same value."""
    return value.isoformat() if isinstance(value, date | datetime) else None if value is None else str(value)
