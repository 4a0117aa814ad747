"""From a request's headers and peer to a principal, or to nobody."""

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from models.core.policy.service import Grant, Principal
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from serving.auth.principal import TOKEN_ROLES, developer

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host")
"""What a proxy adds: whoever asked is then elsewhere, though the connection comes from this machine."""
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain"})


@dataclass(frozen=True)
class _Token:
    principal: Principal
    digest: bytes

    @property
    def subject(self) -> str:
        """What its sessions hang on: they end when the token is withdrawn or replaced."""
        return f"token:{self.principal.name}.{self.digest.hex()[:12]}"


class Authenticator:
    """Checks credentials by the settings.

    Args:
        settings: Tokens, development switch and address of the server.

    Raises:
        YiwangError: YW-SERVE-002 when the server would be open to others without authentication, YW-CONFIG-001 when
            the tokens cannot be read (their text is not repeated).
    """

    def __init__(self, settings: Settings) -> None:
        secret = settings.api_tokens
        self._tokens = _tokens(secret.get_secret_value()) if secret else ()
        loopback = is_loopback(settings.host)
        if not self._tokens and not loopback:
            raise YiwangError("YW-SERVE-002", host=settings.host)
        self._development = settings.dev and loopback

    def principal(self, headers: Mapping[str, str], peer: str | None) -> Principal | None:
        """Who asks, None for nobody.

        A token comes as ``Authorization: Bearer`` or as the password of ``Basic``, which lets a browser ask for it.

        Args:
            headers: Header name in lower case → value.
            peer: Address at the other end of the connection.
        """
        given = headers.get("authorization")
        if given is not None:
            token, ambient = _token_of(given)
            if ambient and not same_origin(headers):
                return None
            return self.of_token(token)
        if not self._development or peer is None or not is_loopback(peer):
            return None
        if any(name in headers for name in _FORWARDED):
            return None
        # DNS rebinding: a foreign name that points to this machine; and pages of other sites that reach for it
        host = _host_name(headers.get("host", ""))
        return developer() if host is not None and is_loopback(host) and same_origin(headers) else None

    def of_token(self, token: str) -> Principal | None:
        """Whose token it is, None for nobody's."""
        found = self._known(token)
        return found.principal if found else None

    def subject_of(self, token: str) -> str | None:
        """What a session that begins with a token hangs on, None for nobody's."""
        found = self._known(token)
        return found.subject if found else None

    def of_subject(self, subject: str) -> Principal | None:
        """Whose session of a token it is, None where the token is there no more."""
        return next((each.principal for each in self._tokens if each.subject == subject), None)

    def _known(self, token: str) -> _Token | None:
        digest = hashlib.sha256(token.encode()).digest()
        found = None
        for known in self._tokens:  # all of them, so that the time does not tell which
            if hmac.compare_digest(known.digest, digest):
                found = known
        return found


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback."""
    if host.lower() in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _tokens(text: str) -> tuple[_Token, ...]:
    tokens = []
    for number, entry in enumerate(filter(None, (part.strip() for part in text.split(","))), start=1):
        name, _, rest = entry.partition(":")
        role, _, digest = rest.partition(":")
        if not name or role not in TOKEN_ROLES or len(digest) != 64:
            raise _wrong(number)
        try:
            tokens.append(_Token(Principal(name, frozenset({Grant(role)})), bytes.fromhex(digest)))
        except ValueError:
            raise _wrong(number) from None
    return tuple(tokens)


def _wrong(number: int) -> YiwangError:
    return YiwangError("YW-CONFIG-001", name="YIWANG_API_TOKENS", detail=f"第 {number} 项应为 名称:角色:sha256，角色为 {'、'.join(sorted(TOKEN_ROLES))}")


def _token_of(header: str) -> tuple[str, bool]:
    """The token of an ``Authorization`` header ("" for none) and whether browsers send it by themselves."""
    scheme, _, value = header.partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip(), False
        case "basic":
            try:
                return base64.b64decode(value, validate=True).decode().partition(":")[2], True
            except (binascii.Error, UnicodeDecodeError):
                return "", True
        case _:
            return "", False


def _host_name(host: str) -> str | None:
    """The name in a ``Host`` header, None when there is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def same_origin(headers: Mapping[str, str]) -> bool:
    """False for what a page of another site asks for; it may lead somebody here, for which browsers name no ``Origin`` and change nothing."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") != "cross-site" or headers.get("sec-fetch-mode") == "navigate"
    try:
        return urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False
