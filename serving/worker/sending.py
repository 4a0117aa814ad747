"""Delivers a webhook: one request to the very address that was judged, nothing followed, little read."""

import http.client
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from models.core.webhooks.addresses import Resolver, Target, resolve, target

_SECONDS = 10
_MOST_ANSWER = 65_536


@dataclass(frozen=True)
class HttpSender:
    """Delivers over HTTP.

    Attributes:
        is_private_allowed: The platform's own network may be called too.
        resolver: Asks for addresses.
    """

    is_private_allowed: bool
    resolver: Resolver = resolve

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer; a redirect is an answer like any other.

        Raises:
            OSError: It could not be delivered in ten seconds, after ten for its name at most.
            YiwangError: YW-WEBHOOK-001 where the address may not be called.
        """
        goal = target(url, is_private_allowed=self.is_private_allowed, resolver=self._resolved)
        connection = _Pinned(goal)
        deadline = threading.Timer(_SECONDS, connection.abort)  # time-outs of sockets count from the last byte: a receiver that drips has no end
        deadline.daemon = True
        deadline.start()
        try:
            connection.request("POST", goal.path, body, headers | {"user-agent": "yiwang-webhook/1"})
            answer = connection.getresponse()
            answer.read(_MOST_ANSWER)
            return answer.status
        except http.client.HTTPException as error:
            raise ConnectionError(type(error).__name__) from error
        finally:
            deadline.cancel()
            connection.close()


    def _resolved(self, name: str, port: int) -> Sequence[str]:
        """The system's resolver has no end of its own that could be set: its thread is left to it."""
        found: list[Sequence[str]] = []
        failed: list[Exception] = []

        def ask() -> None:
            try:
                found.append(self.resolver(name, port))
            except Exception as error:
                failed.append(error)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(_SECONDS)
        if failed:
            raise failed[0]
        if not found:
            raise TimeoutError
        return found[0]


class _Pinned(http.client.HTTPConnection):
    """A connection whose name is not asked for again."""

    def __init__(self, goal: Target) -> None:
        super().__init__(goal.host, goal.port, timeout=_SECONDS)
        self._goal, self._is_over = goal, False

    def abort(self) -> None:
        """End it, whatever it waits for."""
        self._is_over = True
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def connect(self) -> None:
        """To the address that was judged, whatever the name means by now."""
        self.sock = socket.create_connection((self._goal.address, self._goal.port), _SECONDS)
        if self._goal.is_secure:
            secure = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self._goal.host, do_handshake_on_connect=False)
            self.sock = secure  # before the handshake: what is wrapped can no longer be shut by its old name
            secure.do_handshake()
        if self._is_over:
            raise TimeoutError
