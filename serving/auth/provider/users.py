"""Who can log in at the local provider: one file in the home, passwords as scrypt hashes (mode 0600)."""

import os
import secrets
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from models.core.access.passwords import Rules, faults, hashed
from models.domain.errors import YiwangError
from models.domain.settings import Settings

FILE = "login-users.json"
_RESERVED = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "sid", "acr", "amr", "azp", "auth_time", "at_hash", "events"})


@dataclass(frozen=True)
class User:
    """Somebody who can log in.

    Attributes:
        account: Name; the ``sub`` of their tokens.
        name: How they are called.
        passwords: Hashes, the newest first.
        changed_at: When the newest was set, ISO 8601.
        otp: Secret of their authenticator; None without.
        claims: What else their tokens say.
    """

    account: str
    name: str
    passwords: tuple[str, ...]
    changed_at: str
    otp: str | None = None
    claims: dict[str, Any] = field(default_factory=dict)


def rules_of(settings: Settings) -> Rules:
    """Rules of passwords by the settings."""
    return Rules(length=settings.password_length, history=settings.password_history, days=settings.password_days)


class Users:
    """The file.

    Args:
        path: Where it lies.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[str, User]:
        """Everybody, by account.

        Raises:
            YiwangError: YW-ACCESS-008 where the file cannot be read.
        """
        if not self._path.exists():
            return {}
        try:
            users = [User(**each | {"passwords": tuple(each["passwords"])}) for each in orjson.loads(self._path.read_bytes())["users"]]
        except (ValueError, KeyError, TypeError) as error:
            raise YiwangError("YW-ACCESS-008", detail=f"{self._path} 不是账号文件") from error
        return {each.account: each for each in users}

    def set(
        self, account: str, password: str, rules: Rules, at: datetime, *, name: str | None = None, otp: str | None = None, claims: dict[str, Any] | None = None
    ) -> User:
        """Somebody new, or with a new password; what is not given stays.

        Raises:
            YiwangError: YW-ACCESS-008 for a password against the rules, an account that is none, claims that a token has already.
        """
        if not (account.isascii() and account.isprintable() and " " not in account and 0 < len(account) <= 64):
            raise YiwangError("YW-ACCESS-008", detail="账号应为 1 到 64 个字母、数字或符号")
        if taken := sorted(_RESERVED & set(claims or ())):
            raise YiwangError("YW-ACCESS-008", detail=f"不能另写 {'、'.join(taken)}")
        users = self.all()
        old = users.get(account, User(account, account, (), ""))
        if found := faults(password, account, rules, old.passwords):
            raise YiwangError("YW-ACCESS-008", detail="；".join(found))
        made = replace(
            old, passwords=(hashed(password), *old.passwords)[: rules.history + 1], changed_at=at.isoformat(), name=name or old.name,
            otp=otp or old.otp, claims=old.claims if claims is None else claims,
        )  # fmt: skip
        self._write(users | {account: made})
        return made

    def _write(self, users: dict[str, User]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(f".{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(orjson.dumps({"users": [asdict(each) for each in users.values()]}, option=orjson.OPT_INDENT_2))
        draft.replace(self._path)
