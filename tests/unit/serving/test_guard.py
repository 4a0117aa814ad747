"""What the guard does beside letting in: sockets whose session is over, and whose address a failure is counted under."""

from typing import Any

import anyio
import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from serving.auth import guard
from serving.auth.accounts import Accounts
from tests.support.operational import AT, CRYPTO


class Holding:
    """Sessions that hold for as long as a test says."""

    def __init__(self, *answers: bool | YiwangError) -> None:
        self.answers, self.uses = list(answers), []

    def holds(self, headers: Any, is_used: bool) -> bool:
        self.uses.append(is_used)
        answer = self.answers.pop(0)
        if isinstance(answer, YiwangError):
            raise answer
        return answer


def test_a_socket_ends_with_its_session_and_only_what_somebody_does_is_a_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LOOK_SECONDS", 0.0)
    texts = ["3", '42["event",{}]', "3", "3"]
    holding = Holding(True, True, YiwangError("YW-STORE-008"), False)

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.receive", "text": texts.pop(0)}

    async def all_of_them() -> list[str]:
        watched = guard._Watched(holding, Headers({}), receive)  # type: ignore[arg-type]
        return [(await watched())["type"] for _ in range(4)]

    assert anyio.run(all_of_them) == ["websocket.receive"] * 3 + ["websocket.disconnect"]
    assert holding.uses == [False, True, False, False]


@pytest.mark.parametrize(
    ("peer", "forwarded", "same_as"),
    [("203.0.113.9", "198.51.100.1", "203.0.113.9"), ("10.0.0.1", "198.51.100.1", "198.51.100.1"), ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
     ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"), ("10.0.0.1", "", "10.0.0.1"), ("10.0.0.1", "10.0.0.2", "10.0.0.1")],
)  # fmt: skip
def test_behind_trusted_proxies_the_client_is_the_last_address_that_is_none(peer: str, forwarded: str, same_as: str) -> None:
    settings = Settings(trusted_proxies="10.0.0.1, 10.0.0.2", api_tokens=SecretStr("a:viewer:" + "0" * 64))
    accounts = Accounts(settings, None, CRYPTO, lambda: AT, None)  # type: ignore[arg-type]
    found = accounts.address({"x-forwarded-for": forwarded}, peer)
    assert found == accounts.address({}, same_as) and same_as not in found
