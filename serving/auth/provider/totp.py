"""One-time codes of authenticators (TOTP, RFC 6238: SHA-1, six digits, half a minute, as all of them do)."""

import base64
import binascii
import hmac
import secrets
from datetime import datetime
from urllib.parse import quote

_STEP, _DIGITS = 30, 6
_AROUND = (-1, 0, 1)
"""Steps around now that are taken: clocks of phones are off."""


def new_secret() -> str:
    """160 random bits in base32."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def code(secret: str, step: int) -> str:
    """The code of a step, counted from 1970.

    Raises:
        ValueError: The secret is no base32.
    """
    try:
        key = base64.b32decode(secret + "=" * (-len(secret) % 8), casefold=True)
    except binascii.Error as error:
        raise ValueError("no base32") from error
    digest = hmac.digest(key, step.to_bytes(8), "sha1")
    place = digest[-1] & 0xF
    return f"{(int.from_bytes(digest[place : place + 4]) & 0x7FFFFFFF) % 10**_DIGITS:0{_DIGITS}}"


def step_at(at: datetime) -> int:
    """The step of an instant."""
    return int(at.timestamp()) // _STEP


def accepted(secret: str, given: str, at: datetime, last: int) -> int | None:
    """The step whose code was given, None for a wrong one or one that was used.

    Args:
        secret: In base32.
        given: As people typed it.
        at: Now.
        last: The last step accepted: none up to it is taken again.
    """
    typed = given.replace(" ", "").encode()
    steps = [step_at(at) + each for each in _AROUND]
    return next((step for step in steps if step > last and hmac.compare_digest(code(secret, step).encode(), typed)), None)


def address(secret: str, account: str) -> str:
    """What an authenticator reads as a picture."""
    return f"otpauth://totp/{quote('一网:' + account)}?secret={secret}&issuer={quote('一网')}"
