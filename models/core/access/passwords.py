"""Rules of passwords by GB/T 22239-2019 level 3 (8.1.4.1), for whoever keeps passwords here: the local provider.

Pure: nothing is read or kept. In production the city's identity provider keeps the passwords and these rules.
"""

import base64
import hashlib
import hmac
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.domain.errors import YiwangError

LONGEST = 200
"""Characters of a password at most: scrypt must not be made to work on megabytes."""
_COST, _BLOCK, _PARALLEL = 2**14, 8, 5
"""Parameters of scrypt (OWASP's second choice: 16 MB, five times); each hash carries its own, so that they may grow."""


@dataclass(frozen=True)
class Rules:
    """What a password must be.

    Attributes:
        length: Characters at least.
        kinds: Kinds of characters at least, of four: small letters, capitals, digits, others.
        history: Passwords before the current one that may not come back.
        days: Days after which a new one is due.
    """

    length: int = 8
    kinds: int = 3
    history: int = 5
    days: int = 90


def faults(password: str, account: str, rules: Rules, earlier: Sequence[str] = ()) -> list[str]:
    """What is wrong with a new password, as people read it; nothing for a good one.

    Args:
        password: In clear.
        account: Whose.
        rules: What it must be.
        earlier: Hashes of the current one and of those before it, the newest first.
    """
    found = []
    if not rules.length <= len(password) <= LONGEST:
        found.append(f"口令应为 {rules.length} 到 {LONGEST} 个字符")
    if _kinds(password) < rules.kinds:
        found.append(f"口令应含大写字母、小写字母、数字、其他字符中的至少 {rules.kinds} 种")
    folded, name = password.casefold(), account.casefold()
    if name and (name in folded or name[::-1] in folded):
        found.append("口令不能含有账号")
    if len(password) <= LONGEST and any([matches(password, each) for each in earlier[: rules.history + 1]]):
        found.append(f"口令不能与最近 {rules.history + 1} 个相同")
    return found


def is_due(changed_at: datetime, at: datetime, rules: Rules) -> bool:
    """Whether a password is too old to be taken."""
    return at - changed_at >= timedelta(days=rules.days)


def hashed(password: str) -> str:
    """What is kept of a password: ``scrypt$n$r$p$salt$hash``."""
    salt = secrets.token_bytes(16)
    made = _scrypt(password, salt, _COST, _BLOCK, _PARALLEL)
    return "$".join(["scrypt", str(_COST), str(_BLOCK), str(_PARALLEL), base64.b64encode(salt).decode(), base64.b64encode(made).decode()])


def matches(password: str, kept: str) -> bool:
    """Whether it is the password that was kept.

    Raises:
        YiwangError: YW-ACCESS-008 where what was kept is no hash of a password.
    """
    try:
        kind, cost, block, parallel, salt, hash_ = kept.split("$")
        if kind != "scrypt":
            raise ValueError(kind)
        made = _scrypt(password[:LONGEST], base64.b64decode(salt, validate=True), int(cost), int(block), int(parallel))
        return hmac.compare_digest(made, base64.b64decode(hash_, validate=True))
    except ValueError as error:
        raise YiwangError("YW-ACCESS-008", detail="口令的摘要无法识别") from error


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=256 * cost * block, dklen=32)


def _kinds(password: str) -> int:
    named = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    return sum(any(each in kind for each in password) for kind in named) + any(all(each not in kind for kind in named) for each in password)
