"""Opaque texts that say where a list goes on: values with a check, so that a damaged or made-up one is told from ours.

Checked, not secret: a token grants nothing that the first page does not, and its values only ever become bound parameters.
"""

import base64
import binascii
import hashlib
from typing import Any

import orjson

from models.domain.errors import YiwangError

_CHECK = 6


def token_of(values: list[Any], kind: str) -> str:
    """The values as URL-safe text.

    Args:
        values: What JSON can hold.
        kind: Which lists it is of, up to 9 letters: a token of another kind is none.
    """
    body = orjson.dumps(values)
    return base64.urlsafe_b64encode(_check(body, kind) + body).rstrip(b"=").decode()


def values_of(token: str, kind: str) -> list[Any]:
    """The values of a token.

    Raises:
        YiwangError: YW-STORE-006 when the token is not one of this kind or was changed.
    """
    try:
        raw = base64.b64decode(token.encode() + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        check, body = raw[:_CHECK], raw[_CHECK:]
        values = orjson.loads(body) if check == _check(body, kind) else None
    except (binascii.Error, ValueError) as error:
        raise YiwangError("YW-STORE-006", detail="内容不完整") from error
    if not isinstance(values, list):
        raise YiwangError("YW-STORE-006", detail="内容不完整")
    return values


def _check(body: bytes, kind: str) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK, person=f"yiwang-{kind}".encode()).digest()
