"""Who is let in: tokens, the development principal, and what neither may be."""

import base64
import hashlib

import pytest
from pydantic import SecretStr

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from serving.auth.service import RUNS_OPERATE, SOURCES_EDIT, WAREHOUSE_READ, Authenticator, is_loopback

SECRETS = {"viewer": "look-only-please", "operator": "may-run-things", "administrator": "may-change-things"}
TOKENS = SecretStr(", ".join(f"the-{role}:{role}:{hashlib.sha256(text.encode()).hexdigest()}" for role, text in SECRETS.items()))


def basic(token: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{token}".encode()).decode()


@pytest.mark.parametrize(
    ("role", "permissions"),
    [("viewer", {WAREHOUSE_READ}), ("operator", {WAREHOUSE_READ, RUNS_OPERATE}), ("administrator", {WAREHOUSE_READ, RUNS_OPERATE, SOURCES_EDIT})],
)
@pytest.mark.parametrize("header", [lambda token: f"Bearer {token}", lambda token: f"bearer {token}", basic])
def test_token_gives_its_role(role: str, permissions: set[str], header: object) -> None:
    principal = Authenticator(Settings(host="0.0.0.0", api_tokens=TOKENS)).principal({"authorization": header(SECRETS[role])}, "203.0.113.9")  # noqa: S104
    assert principal is not None and principal.name == f"the-{role}"
    assert {each for each in (WAREHOUSE_READ, RUNS_OPERATE, SOURCES_EDIT, "anything:else") if principal.may(each)} == permissions


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer wrong", "Bearer " + hashlib.sha256(b"look-only-please").hexdigest(), "Basic !!!", "Basic " + "4" * 5,
     "Digest look-only-please", "look-only-please", basic("wrong"), "Bearer look-only-please extra"],
)
def test_other_credentials_give_nobody(header: str) -> None:
    """A wrong credential is never replaced by the development principal, not even on loopback."""
    authenticator = Authenticator(Settings(dev=True, api_tokens=TOKENS))
    assert authenticator.principal({"authorization": header, "host": "127.0.0.1:8000"}, "127.0.0.1") is None


LOCAL = {"host": "127.0.0.1:8000"}


@pytest.mark.parametrize(
    ("settings", "headers", "peer", "let_in"),
    [
        ({"dev": True}, LOCAL, "127.0.0.1", True),
        ({"dev": True}, {"host": "localhost:8000"}, "127.0.0.1", True),
        ({"dev": True, "host": "::1"}, {"host": "[::1]:8000"}, "::1", True),
        ({"dev": True}, {**LOCAL, "origin": "http://127.0.0.1:8000"}, "127.0.0.1", True),
        ({"dev": False}, LOCAL, "127.0.0.1", False),
        ({"dev": True}, LOCAL, "203.0.113.9", False),
        ({"dev": True}, LOCAL, None, False),
        ({"dev": True}, {"host": "evil.example:8000"}, "127.0.0.1", False),  # DNS rebinding
        ({"dev": True}, {"host": "127.0.0.1.evil.example"}, "127.0.0.1", False),
        ({"dev": True}, {"host": "evil.example@127.0.0.1x"}, "127.0.0.1", False),
        ({"dev": True}, {"host": "["}, "127.0.0.1", False),
        ({"dev": True}, {}, "127.0.0.1", False),
        ({"dev": True}, {**LOCAL, "origin": "https://evil.example"}, "127.0.0.1", False),  # another site's page or socket
        ({"dev": True}, {**LOCAL, "origin": "null"}, "127.0.0.1", False),
        ({"dev": True}, {**LOCAL, "origin": "http://127.0.0.1:9999"}, "127.0.0.1", False),
        ({"dev": True}, {**LOCAL, "x-forwarded-for": "203.0.113.9"}, "127.0.0.1", False),  # a proxy on this machine
        ({"dev": True}, {**LOCAL, "x-forwarded-host": "city.example"}, "127.0.0.1", False),
        ({"dev": True}, {**LOCAL, "forwarded": ""}, "127.0.0.1", False),
        ({"dev": True, "host": "0.0.0.0", "api_tokens": TOKENS}, LOCAL, "127.0.0.1", False),  # noqa: S104
    ],
)
def test_development_principal(settings: dict[str, object], headers: dict[str, str], peer: str | None, let_in: bool) -> None:
    principal = Authenticator(Settings(**settings)).principal(headers, peer)
    assert (principal is not None) == let_in


def test_token_is_taken_through_a_proxy() -> None:
    headers = {**LOCAL, "authorization": f"Bearer {SECRETS['viewer']}", "x-forwarded-for": "203.0.113.9"}
    assert Authenticator(Settings(dev=True, api_tokens=TOKENS)).principal(headers, "127.0.0.1") is not None


def test_password_of_another_sites_page_is_not_taken() -> None:
    authenticator = Authenticator(Settings(api_tokens=TOKENS))
    headers = {"authorization": basic(SECRETS["viewer"]), "host": "city.example", "origin": "https://evil.example"}
    assert authenticator.principal(headers, "203.0.113.9") is None
    assert authenticator.principal({**headers, "origin": "https://city.example"}, "203.0.113.9") is not None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "city.example"])  # noqa: S104
@pytest.mark.parametrize("dev", [True, False])
def test_open_server_without_tokens_is_refused(host: str, dev: bool) -> None:
    with pytest.raises(YiwangError) as refused:
        Authenticator(Settings(host=host, dev=dev))
    assert refused.value.code == "YW-SERVE-002"


@pytest.mark.parametrize("tokens", ["x", "a:viewer:zz", "a:admin:" + "0" * 64, ":viewer:" + "0" * 64, "a:viewer:" + "g" * 64, "a:viewer"])
def test_unreadable_tokens_are_refused_without_repeating_them(tokens: str) -> None:
    with pytest.raises(YiwangError) as refused:
        Authenticator(Settings(api_tokens=SecretStr(tokens)))
    assert refused.value.code == "YW-CONFIG-001"
    assert tokens not in refused.value.message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "LOCALHOST"])
def test_loopback_names(host: str) -> None:
    assert is_loopback(host)
