"""The local provider by itself: what it refuses to whoever talks to it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from serving.app import listen
from serving.auth.provider.service import Provider, client_of, provider_app, users_of
from serving.auth.provider.users import rules_of
from tests.support.login import PASSWORD, serving

VERIFIER = "v" * 43
BACK = "http://127.0.0.1:8000/login/callback"
ASKED = {
    "response_type": "code", "client_id": "yiwang", "redirect_uri": BACK, "scope": "openid", "state": "s", "nonce": "n",
    "code_challenge": create_s256_code_challenge(VERIFIER), "code_challenge_method": "S256",
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    users_of(settings).set("zhang", PASSWORD, rules_of(settings), datetime.now(UTC), name="张某")
    return settings


@pytest.fixture
def now() -> list[datetime]:
    return [datetime.now(UTC)]


@pytest.fixture
def asking(home: Settings, now: list[datetime]) -> Iterator[httpx.Client]:
    listening = listen("127.0.0.1", 0)
    issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
    made = Provider(issuer, client_of(home, "http://127.0.0.1:8000/"), users_of(home), home, lambda: now[0])
    with serving(provider_app(made, "127.0.0.1"), listening), httpx.Client(base_url=issuer) as client:
        yield client


def log_in(asking: httpx.Client, password: str = PASSWORD, **changes: str) -> httpx.Response:
    return asking.post("/authorize", params=ASKED | changes, data={"account": "zhang", "password": password})


def code_of(answer: httpx.Response) -> str:
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def redeem(asking: httpx.Client, given: str, **changes: str) -> httpx.Response:
    body = {"grant_type": "authorization_code", "code": given, "redirect_uri": BACK, "code_verifier": VERIFIER, "client_id": "yiwang"} | changes
    return asking.post("/token", data=body)


def test_a_code_is_good_once_for_its_log_in_and_a_minute(asking: httpx.Client, now: list[datetime]) -> None:
    code = code_of(log_in(asking))
    given = redeem(asking, code)
    assert given.status_code == 200 and redeem(asking, code).json() == {"error": "invalid_grant"}, "replayed"
    about = asking.get("/userinfo", headers={"authorization": f"Bearer {given.json()['access_token']}"})
    assert about.json() == {"sub": "zhang", "preferred_username": "zhang", "name": "张某"}
    for changes in ({"code_verifier": "w" * 43}, {"redirect_uri": BACK + "x"}, {"code": "x"}):
        assert redeem(asking, code_of(asking.get("/authorize", params=ASKED)), **changes).status_code == 400
    assert redeem(asking, code_of(asking.get("/authorize", params=ASKED)), client_id="another").status_code == 401
    assert redeem(asking, code_of(asking.get("/authorize", params=ASKED)), client_secret="guessed").status_code == 401  # noqa: S106
    late = code_of(asking.get("/authorize", params=ASKED))
    now[0] += timedelta(seconds=60)
    assert redeem(asking, late).status_code == 400
    now[0] += timedelta(minutes=5)
    assert asking.get("/userinfo", headers={"authorization": f"Bearer {given.json()['access_token']}"}).status_code == 401


@pytest.mark.parametrize("changes", [{"client_id": "x"}, {"redirect_uri": "https://evil.example/"}, {"redirect_uri": BACK + "/../x"}], ids=str)
def test_nobody_is_sent_to_an_address_that_is_not_ours(asking: httpx.Client, changes: dict[str, str]) -> None:
    assert asking.get("/authorize", params=ASKED | changes).status_code == log_in(asking, **changes).status_code == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"response_type": "token"}, "unsupported_response_type"), ({"scope": "profile"}, "invalid_scope"), ({"code_challenge_method": "plain"}, "invalid_request"),
     ({"code_challenge": ""}, "invalid_request"), ({"prompt": "none"}, "login_required")],
)  # fmt: skip
def test_what_is_asked_wrongly_is_told_to_the_client(asking: httpx.Client, changes: dict[str, str], error: str) -> None:
    answer = asking.get("/authorize", params=ASKED | changes)
    told = parse_qs(urlsplit(answer.headers["location"]).query)
    assert told["error"] == [error] and told["state"] == ["s"] and told["iss"] == [str(asking.base_url).rstrip("/")]


def test_guesses_lock_the_account_for_the_right_password_too(asking: httpx.Client, now: list[datetime]) -> None:
    assert [log_in(asking, "wrong").status_code for _ in range(5)] == [403] * 5
    refused = log_in(asking)
    assert refused.status_code == 403 and "31 秒后再试" in refused.text
    now[0] += timedelta(seconds=31)
    assert log_in(asking).status_code == 303
    assert "不正确" in asking.post("/authorize", params=ASKED, data={"account": "nobody", "password": PASSWORD}).text


def test_an_old_password_and_an_idle_session_let_nobody_in(asking: httpx.Client, now: list[datetime]) -> None:
    assert log_in(asking).status_code == 303 and asking.get("/authorize", params=ASKED).status_code == 303
    assert asking.get("/authorize", params=ASKED | {"prompt": "login"}).status_code == 200
    now[0] += timedelta(minutes=30)
    assert asking.get("/authorize", params=ASKED).status_code == 200, "the form again"
    now[0] += timedelta(days=90)
    refused = log_in(asking)
    assert refused.status_code == 403 and "口令已满 90 天" in refused.text


def test_other_sites_and_other_names_of_this_machine_reach_nothing(asking: httpx.Client) -> None:
    assert asking.get("/jwks", headers={"host": "evil.example"}).status_code == 400, "DNS rebinding"
    for path in ("/authorize", "/end-session"):
        assert asking.post(path, params=ASKED, data={"account": "zhang", "password": PASSWORD}, headers={"origin": "https://evil.example"}).status_code == 403


def test_after_leaving_one_is_sent_to_a_known_address_only(asking: httpx.Client) -> None:
    for wanted, client, status in (("http://127.0.0.1:8000/login", "yiwang", 303), ("https://evil.example/", "yiwang", 200), ("http://127.0.0.1:8000/login", "x", 200)):
        assert asking.get("/end-session", params={"post_logout_redirect_uri": wanted, "client_id": client}).status_code == status
    log_in(asking)
    left = asking.post("/end-session")
    assert left.status_code == 502 and "没有通知到平台" in left.text, "nobody listens on the platform's port"
    assert asking.get("/authorize", params=ASKED).status_code == 200


def test_the_key_that_is_shown_is_the_public_half(asking: httpx.Client) -> None:
    [key] = asking.get("/jwks").json()["keys"]
    assert "d" not in key and key["alg"] == "ES256" and key["kid"]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "city.example", "::"])  # noqa: S104
def test_it_listens_to_this_machine_only(home: Settings, host: str) -> None:
    with pytest.raises(YiwangError) as caught:
        provider_app(Provider("http://x", client_of(home, "http://x"), users_of(home), home, lambda: datetime.now(UTC)), host)
    assert caught.value.code == "YW-ACCESS-007"
