"""Where webhooks may go: no address inside the platform's own network can be reached through them (server-side request forgery).

A name is resolved once, all its addresses are judged, and the connection is made to one that was judged: what a name server says later
changes nothing.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from models.domain.errors import YiwangError

Resolver = Callable[[str, int], Sequence[str]]
"""Host name and port → its addresses."""
_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that hosts of the open internet have."""
_NOT_HOSTS = (ipaddress.ip_network("100.64.0.0/10"), ipaddress.ip_network("192.88.99.0/24"))
"""Carrier-grade NAT (RFC 6598) and relays to IPv6 (RFC 7526), which ``is_global`` leaves to the reader."""


@dataclass(frozen=True)
class Target:
    """An address that may be called.

    Attributes:
        url: As it was given.
        host: Name for the ``Host`` header and the certificate.
        address: The address to connect to.
        port: Its port.
        is_secure: By TLS.
        path: Path and query.
    """

    url: str
    host: str
    address: str
    port: int
    is_secure: bool
    path: str


def resolve(name: str, port: int) -> Sequence[str]:
    """The addresses that the system's resolver knows.

    Raises:
        OSError: There are none.
    """
    return [str(found[4][0]) for found in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]


def checked(url: str) -> str:
    """An address in the form in which a webhook may have it; its name is not resolved yet.

    Raises:
        YiwangError: YW-WEBHOOK-001 for another scheme, credentials, or no host.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise YiwangError("YW-WEBHOOK-001", detail="网址格式不正确") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise YiwangError("YW-WEBHOOK-001", detail="应为 http 或 https 网址")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise YiwangError("YW-WEBHOOK-001", detail="网址中不能带账号")
    if not url.isascii() or any(ord(letter) <= 32 or letter == "\\" for letter in url.strip()):
        raise YiwangError("YW-WEBHOOK-001", detail="网址中不能有空白、反斜杠或非 ASCII 字符")
    return url.strip()


def target(url: str, *, is_private_allowed: bool, resolver: Resolver = resolve) -> Target:
    """The address to call now.

    Args:
        url: Of the webhook.
        is_private_allowed: The platform's own network may be called too.
        resolver: Asks for addresses.

    Raises:
        YiwangError: YW-WEBHOOK-001 where the name is unknown, or one of its addresses is not public.
    """
    parts = urlsplit(checked(url))
    is_secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if is_secure else 80)
    try:
        addresses = list(resolver(host, port))
    except (OSError, UnicodeError) as error:  # UnicodeError: a label that is too long
        raise YiwangError("YW-WEBHOOK-001", detail=f"找不到主机 {host}") from error
    if not addresses:
        raise YiwangError("YW-WEBHOOK-001", detail=f"找不到主机 {host}")
    if not is_private_allowed and not all(is_public(address) for address in addresses):
        raise YiwangError("YW-WEBHOOK-001", detail="不能指向本机或内部网络的地址")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(url, host, addresses[0], port, is_secure, path)


def is_public(address: str) -> bool:
    """Whether an address, as a resolver gives it, is one of the open internet."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found not in _UNICAST or found.sixtofour is not None or found.teredo is not None:
            return False  # other spellings of IPv4 addresses, tunnels, NAT64, what is local
    return found.is_global and not found.is_multicast and not (found.version == 4 and any(found in network for network in _NOT_HOSTS))
