"""Logging in and out at an identity provider and by token: the whole way of a browser, and everything that must not let anybody in."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from pydantic import SecretStr

from models.core.organisation.staff import leave, withdraw
from models.core.parties import service as parties
from models.core.policy.service import Principal, policy
from models.core.work.service import Actor, work
from models.domain.settings import Settings
from models.store.operational.tables import StaffGrant
from serving.auth import oidc
from serving.auth.provider.service import users_of
from serving.auth.provider.users import rules_of
from tests.support import postgres as postgres_support
from tests.support.login import PASSWORD, SETTER_UP, Browser, Tampering, World, message, otp_now, world
from tests.support.server import running

TOKEN = "a-token-of-the-tests"  # noqa: S105
TOKENS = SecretStr(f"tester:viewer:{hashlib.sha256(TOKEN.encode()).hexdigest()}")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both servers, shared; nobody locks this machine's address for long."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), api_tokens=TOKENS, login_failures=1000, oidc_client_secret=SecretStr("s:e/c%r"), oidc_citizen_claim="id_number")
    with world(settings) as made:
        made.staff("clerk", "clerk")
        yield made


@pytest.fixture
def browser(both: World) -> Iterator[Browser]:
    both.provider.change, both.shift[0] = None, 0.0
    with both.browser() as made:
        yield made
    both.provider.change, both.shift[0] = None, 0.0


def test_a_browser_goes_the_whole_way_on_both_databases(database_settings: Settings, database: Any) -> None:
    with world(database_settings) as made, made.browser() as browser:
        staff_id = made.staff("zhang.san", "clerk")
        asked = browser.get("/desk?page=2")
        assert asked.status_code == 303 and asked.headers["location"] == "/login?next=%2Fdesk%3Fpage%3D2"
        assert 'href="/login/provider?next=/desk%3Fpage%3D2"' in browser.get(asked.headers["location"]).text
        form = browser.to_form("/desk?page=2")
        sent = parse_qs(urlsplit(form).query)
        assert sent["code_challenge_method"] == ["S256"] and len(sent["nonce"][0]) == len(sent["state"][0]) == 43
        back = browser.post(form, data={"account": "zhang.san", "password": PASSWORD})
        answer = browser.get(back.headers["location"])
        assert answer.status_code == 303 and answer.headers["location"] == "/desk?page=2"
        cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("yiwang_session=")).lower()
        assert "httponly" in cookie and "samesite=lax" in cookie
        assert browser.who() == 200
        [session] = made.sessions()
        secret = browser.client.cookies["yiwang_session"]
        assert session.subject == f"staff:{staff_id}" and session.methods == ["pwd"] and session.issuer == made.provider.issuer and session.provider_session
        assert secret not in (session.digest, str(session.id)) and session.digest == hashlib.sha256(secret.encode()).hexdigest()
        assert [(actor, action) for actor, action, _, _ in made.audit() if action.startswith(("session", "login"))] == [(f"staff:{staff_id}", "session.begun")]
        assert "zhang.san" not in str(made.audit())


def test_a_second_log_in_needs_no_password_and_has_a_new_number(both: World, browser: Browser) -> None:
    assert browser.log_in("clerk").status_code == 303
    first = browser.client.cookies["yiwang_session"]
    back = browser.get(browser.to_form())
    assert back.status_code == 303 and browser.get(back.headers["location"]).status_code == 303
    assert browser.client.cookies["yiwang_session"] != first and browser.who() == 200
    assert httpx.get(both.base + "/api/v1/notices", headers={"cookie": f"yiwang_session={first}"}).status_code == 401, "the old number is over"


def test_leaving_ends_the_session_here_and_at_the_provider_and_wherever_else(both: World, browser: Browser) -> None:
    browser.log_in("clerk")
    with both.browser() as elsewhere:
        elsewhere.log_in("clerk")
        assert browser.who() == elsewhere.who() == 200
        page = browser.post("/logout")
        assert page.status_code == 200 and browser.who() == 401 and elsewhere.who() == 200
        address = both.provider.issuer + "/end-session?" + urlencode({"client_id": "yiwang", "post_logout_redirect_uri": both.base + "/login"})
        assert address.replace("&", "&amp;") in page.text and "http-equiv=\"refresh\"" in page.text
        assert "退出统一身份认证？" in browser.get(address).text, "another site's page alone ends nothing"
        done = browser.post(address)
        assert done.status_code == 303 and done.headers["location"] == both.base + "/login"
        assert elsewhere.who() == 401, "single log-out"
    assert [each.ended_why for each in both.sessions()[-2:]] == ["logout", "provider"]
    assert browser.get(browser.to_form()).status_code == 200, "the provider asks for the password again"


def other_key(provider: Tampering, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "ES256", "kid": provider.key.kid}, claims, ECKey.generate_key("P-256"), algorithms=["ES256"])


def public_key_as_secret(provider: Tampering, claims: dict[str, Any]) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": provider.key.kid}).encode()).rstrip(b"=")
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    signature = hmac.digest(provider.key.as_pem(private=False), header + b"." + body, "sha256")
    return b".".join([header, body, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def none(provider: Tampering, claims: dict[str, Any]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in ({"alg": "none"}, claims)]
    return ".".join([*parts, ""])


def altered(provider: Tampering, claims: dict[str, Any]) -> str:
    header, body, signature = provider.signed(claims).split(".")
    changed = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "administrator"}).encode()).rstrip(b"=").decode()
    return ".".join([header, changed, signature])


def saying(**changes: Any) -> Callable[[Tampering, dict[str, Any]], str]:
    """A well-signed token that says something else; a callable is given the old value, None takes a claim out."""

    def change(provider: Tampering, claims: dict[str, Any]) -> str:
        said = claims | {name: value(claims.get(name)) if callable(value) else value for name, value in changes.items()}
        return provider.signed({name: value for name, value in said.items() if value is not None})

    return change


FORGED: dict[str, Callable[[Tampering, dict[str, Any]], str]] = {
    "signed by another key": other_key, "signed with the public key": public_key_as_secret, "not signed": none, "altered": altered,
    "no token": lambda provider, claims: "", "no token at all": lambda provider, claims: "a.b.c",
    "another issuer": saying(iss="http://127.0.0.1:1"), "no issuer": saying(iss=None), "for another client": saying(aud="another"),
    "for no client": saying(aud=None), "for several, nobody named": saying(aud=["yiwang", "another"]), "for several, another named": saying(aud=["yiwang", "another"], azp="another"),
    "expired": saying(exp=lambda old: old - 3600, iat=lambda old: old - 3700), "no end": saying(exp=None), "an end that is none": saying(exp="never"),
    "not yet": saying(nbf=lambda old: 4_000_000_000), "of tomorrow": saying(iat=lambda old: old + 86_400, exp=lambda old: old + 90_000),
    "of yesterday, never ending": saying(iat=lambda old: old - 86_400, exp=4_000_000_000), "no time": saying(iat=None),
    "of another log-in": saying(nonce="x" * 43), "of no log-in": saying(nonce=None), "nobody": saying(sub=None), "no name": saying(sub=""),
    "a name that is none": saying(sub=["clerk"]), "of another access token": saying(at_hash="x" * 22), "methods that are none": saying(amr="otp"),
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_a_token_that_is_not_the_providers_to_us_now_lets_nobody_in(both: World, browser: Browser, change: Callable[[Tampering, dict[str, Any]], str]) -> None:
    before = len(both.sessions())
    both.provider.change = change
    answer = browser.log_in("clerk")
    assert (answer.status_code, message(answer)[:5]) == (403, "登录没有完"), answer.text
    assert "yiwang_session" not in browser.client.cookies and len(both.sessions()) == before
    assert both.audit()[-1][1] == "login.failed" and "YW-ACCESS-004" in both.audit()[-1][3]


@pytest.mark.parametrize(("seconds", "lets_in"), [(-50, True), (50, True), (-700, False), (90, False)])
def test_a_clock_that_is_off_is_borne_for_a_minute(both: World, browser: Browser, seconds: int, lets_in: bool) -> None:
    form = browser.to_form()
    both.shift[0] = seconds
    back = browser.post(form, data={"account": "clerk", "password": PASSWORD}).headers["location"]
    assert browser.get(back).status_code == (303 if lets_in else 403)


def test_several_audiences_are_well_where_we_are_the_one_named(both: World, browser: Browser) -> None:
    both.provider.change = saying(aud=["yiwang", "another"], azp="yiwang")
    assert browser.log_in("clerk").status_code == 303


def test_an_answer_counts_once_and_in_its_own_browser(both: World, browser: Browser) -> None:
    with both.browser() as thief:
        back = browser.to_callback("clerk")
        assert thief.get(back).status_code == 403, "a stolen answer without the browser's secret"
        thief.to_form()
        assert thief.get(back).status_code == 403, "nor with that of another log-in"
        kept = browser.client.cookies["yiwang_login"]
        assert browser.get(back).status_code == 303
        assert browser.get(back).status_code == 403, "the browser has forgotten it"
        browser.client.cookies.set("yiwang_login", kept, path="/login")
        again = browser.get(back)
        assert again.status_code == 403 and "已经用过" in message(again), "and the store has, too"


@pytest.mark.parametrize(
    "change",
    [{"state": "x" * 43}, {"state": None}, {"code": None}, {"code": "x" * 43}, {"iss": "http://evil.example"}, {"iss": None}, {"error": "access_denied"}, {"state": ["x", "y"]}],
    ids=str,
)
def test_an_answer_that_was_changed_lets_nobody_in(both: World, browser: Browser, change: dict[str, Any]) -> None:
    back = urlsplit(browser.to_callback("clerk"))
    asked = {name: value for name, value in (parse_qs(back.query) | change).items() if value is not None}
    answer = browser.get(f"{both.base}{back.path}?{urlencode(asked, doseq=True)}")
    assert answer.status_code == 403 and message(answer) and "yiwang_session" not in browser.client.cookies


def test_a_log_in_that_took_too_long_is_over(both: World, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.auth.login.UNDER_WAY", timedelta(seconds=-1))
    answer = browser.log_in("clerk")
    assert answer.status_code == 403 and "已过期" in message(answer)


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", ""])
def test_one_comes_back_to_this_server_only(browser: Browser, wanted: str) -> None:
    assert browser.log_in("clerk", wanted=wanted).headers["location"] == "/"


def test_a_new_key_of_the_provider_is_found(both: World, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    assert browser.log_in("clerk").status_code == 303
    both.provider.renew_key()
    monkeypatch.setattr(oidc, "_AGAIN", 0.0)
    with both.browser() as other:
        assert other.log_in("clerk").status_code == 303


def test_an_administrator_needs_a_second_factor_and_its_code_counts_once(both: World, browser: Browser) -> None:
    both.staff("guard", "security_administrator")
    code = otp_now()
    assert browser.log_in("guard", code).status_code == 303 and browser.get("/api/v1/sessions").status_code == 200
    with both.browser() as other:
        form = other.to_form()
        refused = other.post(form, data={"account": "guard", "password": PASSWORD, "code": code})
        assert refused.status_code == 403 and "动态口令不正确" in refused.text, "a code that was seen is worth nothing"
        both.provider.change = saying(amr=["pwd"])
        answer = other.get(other.post(form, data={"account": "guard", "password": PASSWORD, "code": otp_now(1)}).headers["location"])
    assert answer.status_code == 403 and "两种方式" in message(answer)


def test_who_is_not_known_stays_out_and_is_not_named(both: World, browser: Browser) -> None:
    users_of(both.settings).set("stranger.li", PASSWORD, rules_of(both.settings), datetime.now(UTC))
    answer = browser.log_in("stranger.li")
    assert answer.status_code == 403 and "没有登记" in message(answer)
    _, action, target, detail = both.audit()[-1]
    assert action == "login.failed" and target.startswith("account:") and "YW-ACCESS-009" in detail and "stranger" not in str(both.audit())


def test_who_leaves_is_out_and_what_is_withdrawn_is_gone_with_the_next_request(both: World, browser: Browser) -> None:
    staff_id = both.staff("leaver", "clerk")
    browser.log_in("leaver")
    assert browser.get("/api/v1/tasks").status_code == 200
    with work(both.database, SETTER_UP, datetime.now(UTC)) as now:
        withdraw(now, now.session.query(StaffGrant).where(StaffGrant.staff_id == staff_id).one().id)
    assert browser.get("/api/v1/tasks").status_code == 403
    everything = policy().access(Principal("x", frozenset({*_all_grants()})), "staff:edit")
    with work(both.database, Actor("x", frozenset()), datetime.now(UTC)) as now:
        leave(now, everything, staff_id, 1)
    assert browser.get("/api/v1/tasks").status_code == 401
    with both.browser() as again:
        assert again.log_in("leaver").status_code == 403


def _all_grants() -> list[Any]:
    from models.core.policy.service import Grant

    return [Grant("system_administrator")]


def test_a_citizen_is_registered_once_and_known_again(both: World, browser: Browser) -> None:
    number = "11010519491231002X"
    users_of(both.settings).set("citizen", PASSWORD, rules_of(both.settings), datetime.now(UTC), name="乙某某", claims={"id_number": number})
    assert browser.log_in("citizen").status_code == 303 and browser.get("/api/v1/cases").status_code == 200
    with both.browser() as other:
        assert other.log_in("citizen").status_code == 303
    first, second = both.sessions()[-2:]
    assert first.subject == second.subject and first.subject.startswith("party:")
    assert number not in str(both.audit()) and "乙某某" not in str(both.audit())
    assert browser.get("/api/v1/tasks").status_code == 403
    users_of(both.settings).set("false", PASSWORD, rules_of(both.settings), datetime.now(UTC), claims={"id_number": "110105194912310021"})
    with both.browser() as other:
        assert other.log_in("false").status_code == 403, "a number that is none makes nobody"


def test_nobody_becomes_somebody_else_by_changing_what_was_certified(both: World, browser: Browser) -> None:
    taker, victim = "440524188001010014", "110101199003070011"
    for account, number in (("taker", taker), ("victim", victim)):
        users_of(both.settings).set(account, PASSWORD, rules_of(both.settings), datetime.now(UTC), name="甲某某", claims={"id_number": number})
    browser.log_in("taker")
    own = both.sessions()[-1].subject
    address, head = f"/api/v1/parties/{own.removeprefix('party:')}", {"if-match": '"1"', "accept": "application/json"}
    for change in ({"number": victim, "name": "受害人"}, {"number": victim}, {"name": "受害人"}, {"number": taker}):
        refused = browser.client.patch(both.base + address, json=change, headers=head)
        assert (refused.status_code, refused.json()["code"]) == (403, "YW-POLICY-001"), "also where it would tell whether a number is registered"
    assert browser.client.patch(both.base + address, json={"phone": "13900001111"}, headers=head).status_code == 200
    with work(both.database, SETTER_UP, datetime.now(UTC)) as now:
        parties.amend(now, both.crypto, UUID(own.removeprefix("party:")), 2, number=victim)
    assert browser.who() == 401, "with another number it is somebody else"
    with both.browser() as other, both.browser() as third:
        assert other.log_in("taker").status_code == 303 and both.sessions()[-1].subject != own
        assert third.log_in("victim").status_code == 303 and both.sessions()[-1].subject == own


def logout_token(provider: Tampering, session: Any, **changes: Any) -> str:
    now = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": provider.issuer, "aud": "yiwang", "iat": now, "exp": now + 120, "jti": hashlib.sha256(str(changes).encode()).hexdigest(), "sid": session.provider_session,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    } | changes  # fmt: skip
    return provider.signed({name: value for name, value in claims.items() if value is not None}, "logout+jwt")


@pytest.mark.parametrize(
    "changes",
    [{"iss": "x"}, {"aud": "x"}, {"iat": 1}, {"iat": None}, {"exp": 1}, {"exp": None}, {"jti": None}, {"jti": 1}, {"events": None}, {"events": {}}, {"events": []}, {"nonce": "x"},
     {"sid": None}, {"sid": 1}, {"sub": {}}],
    ids=str,
)  # fmt: skip
def test_a_false_message_of_a_log_out_ends_nothing(both: World, browser: Browser, changes: dict[str, Any]) -> None:
    browser.log_in("clerk")
    answer = browser.post("/logout/back-channel", data={"logout_token": logout_token(both.provider, both.sessions()[-1], **changes)}, headers={"accept": "*/*"})
    assert (answer.status_code, answer.json()["code"]) == (400, "YW-ACCESS-006") and browser.who() == 200


def test_a_log_out_counts_once_and_an_identity_token_is_none(both: World, browser: Browser) -> None:
    browser.log_in("clerk")
    token = logout_token(both.provider, both.sessions()[-1], salt="once")
    assert browser.post("/logout/back-channel", data={"logout_token": token}).status_code == 200 and browser.who() == 401
    assert browser.post("/logout/back-channel", data={"logout_token": token}).status_code == 400, "replayed"
    browser.log_in("clerk")
    whole = logout_token(both.provider, both.sessions()[-1], sid=None, sub="clerk")
    assert browser.who() == 200 and browser.post("/logout/back-channel", data={"logout_token": whole}).status_code == 200 and browser.who() == 401
    for text in ("", "x", other_key(both.provider, {"sub": "clerk"}), none(both.provider, {"sub": "clerk"})):
        assert browser.post("/logout/back-channel", data={"logout_token": text}).status_code in (400, 422)


def test_forms_of_other_sites_log_nobody_in_or_out(both: World, browser: Browser) -> None:
    for path, body in (("/login", {"token": TOKEN}), ("/logout", {})):
        for header in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            assert browser.post(path, data=body, headers=header).status_code == 403, (path, header)
    assert browser.post("/login", data={"token": TOKEN}, headers={"origin": both.base}).status_code == 303


def test_without_the_provider_tokens_log_in_and_one_sentence_says_why(tmp_path: Any) -> None:
    with running(Settings(home=tmp_path, api_tokens=TOKENS, oidc_issuer="http://127.0.0.1:9")) as client:
        answer = client.get("/login/provider")
        assert answer.status_code == 503 and message(answer).startswith("统一身份认证暂时无法使用")
        assert client.post("/login", data={"token": TOKEN}).status_code == 303
        assert client.post("/logout").headers["location"] == "/login"
        assert client.post("/logout/back-channel", data={"logout_token": "x"}).status_code == 503


def test_guesses_lock_the_address_for_everybody_and_all_processes(tmp_path: Any) -> None:
    settings = Settings(home=tmp_path, api_tokens=TOKENS)
    with running(settings) as client:
        answers = [client.post("/login", data={"token": f"wrong {number}"}) for number in range(5)]
        assert [answer.status_code for answer in answers] == [403] * 4 + [429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 31 and "秒后再试" in message(answers[-1])
        assert client.post("/login", data={"token": TOKEN}).status_code == 429, "a right token is refused, too"
        assert client.get("/api/v1/warehouse/runs", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 429
    with running(settings) as client:
        assert client.post("/login", data={"token": TOKEN}).status_code == 429, "after a restart"


def test_guesses_at_the_api_are_counted_too(tmp_path: Any) -> None:
    with running(Settings(home=tmp_path, api_tokens=TOKENS)) as client:
        wrong = [client.get("/api/v1/cases", headers={"authorization": f"Bearer wrong{number}"}).status_code for number in range(6)]
        assert wrong == [401] * 4 + [429] * 2
        assert client.get("/api/v1/cases", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 429


def test_a_session_of_a_token_ends_with_the_token(tmp_path: Any) -> None:
    with running(Settings(home=tmp_path, api_tokens=TOKENS)) as client:
        client.post("/login", data={"token": TOKEN})
        assert client.get("/report", headers={"accept": "text/html"}).status_code == 404
        cookies = dict(client.cookies)
    for tokens in (None, SecretStr("tester:viewer:" + "0" * 64)):
        with running(Settings(home=tmp_path, api_tokens=tokens), cookies=cookies) as client:
            assert client.get("/report").status_code == 401, "its session is over"
            sent = client.get("/report", headers={"accept": "text/html"})
            assert sent.status_code == 303 and 'yiwang_session=""' in sent.headers["set-cookie"], "its cookie is taken away"


def test_tokens_work_while_the_database_is_away(tmp_path: Any) -> None:
    if (reason := postgres_support.missing()) is not None:
        pytest.skip(reason)
    with postgres_support.running() as server:
        settings = Settings(home=tmp_path, api_tokens=TOKENS, database_url=SecretStr(server.url_of(server.create())))
        with running(settings) as client:
            assert client.post("/login", data={"token": TOKEN}).status_code == 303
            cookie = {"cookie": f"yiwang_session={client.cookies['yiwang_session']}"}
            server.stop()
            client.cookies.clear()
            bearer = {"authorization": f"Bearer {TOKEN}"}
            assert client.get("/api/v1/warehouse/runs", headers=bearer).json()["code"] == "YW-STORE-001", "let in; there is nothing published"
            assert client.get("/api/v1/warehouse/runs", headers={"authorization": "Bearer wrong"}).status_code == 401
            assert client.get("/api/v1/warehouse/runs", headers=cookie).status_code == 503
            assert client.post("/login", data={"token": TOKEN}).status_code == 503
            server.start()
