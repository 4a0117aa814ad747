"""The configuration's page: only administrators, only from our own forms, only what the policy lets them read."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.configuration import ConfigurationFile
from pipelines.configuration.service import attempt, check
from serving.web import sources_process
from serving.web.sources_process import ask, environment
from tests.support.server import running

TOKENS = {"viewer": "a token of a viewer", "operator": "a token of an operator", "administrator": "a token of an administrator"}
API_TOKENS = ",".join(f"the-{role}:{role}:{hashlib.sha256(token.encode()).hexdigest()}" for role, token in TOKENS.items())
FILE = "sources:\n# the hall\n- name: hall\n  subject: case\n  location: uploads/*.csv\n"
EVIL = "</textarea><script>window.hurt=1</script><img src=x onerror=alert(1)>"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    (home / "uploads").mkdir(parents=True)
    (home / "uploads" / "cases.csv").write_text(f"办件编号,收件时间,{EVIL}\nA-1,2026-06-01,1\nA-2,{EVIL},2\n", encoding="utf-8")
    (home / "sources.yml").write_text(FILE, encoding="utf-8")
    return Settings(home=home, api_tokens=SecretStr(API_TOKENS))


@pytest.fixture
def server(settings: Settings) -> Iterator[httpx.Client]:
    """Checks and tries in a process of its own, as in service."""
    with running(settings, headers=bearer("administrator")) as asking:
        yield asking


@pytest.fixture
def client(server: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> httpx.Client:
    """Checks and tries in this process, which is faster; everything else as in service."""

    def ask(settings: Settings, command: str, text: str, current: str, *options: str) -> dict[str, Any]:
        if command == "check":
            return {"errors": check(settings, text, settings.home, current)}
        given = dict(option.removeprefix("--").split("=", 1) for option in options)
        try:
            return attempt(settings, text, settings.home, given["source"], given["subject"], current=current)
        except YiwangError as error:
            return {"errors": [error.message]}

    monkeypatch.setattr(sources_process, "ask", ask)
    return server


def bearer(role: str) -> dict[str, str]:
    return {"authorization": f"Bearer {TOKENS[role]}"}


def opened(client: httpx.Client, path: str = "/sources/edit") -> dict[str, str]:
    """The hidden fields of a form."""
    text = client.get(path).text
    return {name: value for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text)}


def post(client: httpx.Client, text: str, action: str = "check", path: str = "/sources/edit", **more: str) -> httpx.Response:
    return client.post(path, data={**opened(client), "text": text, "action": action, **more})


def alerts(answer: httpx.Response) -> list[str]:
    found = re.search(r'id="errors">(.*?)</div>', answer.text, re.DOTALL)
    return re.findall(r"<li>(.*?)</li>", found.group(1)) if found else []


@pytest.mark.parametrize("role", ["viewer", "operator"])
@pytest.mark.parametrize("path", ["/sources", "/sources/edit", "/sources/entry/0", "/sources/entry/new", "/sources/versions/20260101T000000000000Z"])
def test_only_administrators_see_and_change_the_configuration(client: httpx.Client, settings: Settings, role: str, path: str) -> None:
    hidden = opened(client)
    assert client.get(path, headers=bearer(role)).status_code == 403
    assert client.post(path, data=hidden | {"action": "save", "text": "x"}, headers=bearer(role)).status_code in (403, 405)
    assert "同步配置" not in client.get("/catalogue", headers=bearer(role) | {"accept": "text/html"}).text
    assert (settings.home / "sources.yml").read_text() == FILE


def test_a_stranger_gets_nothing(settings: Settings) -> None:
    with running(settings) as client:
        for path in ("/sources", "/sources/edit", "/sources/entry/0"):
            assert client.get(path).status_code == 401 and client.post(path, data={"action": "save"}).status_code == 401


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"token": ""}, {}), ({"token": "forged"}, {}), ({}, {"origin": "https://evil.example"}), ({}, {"origin": "null"}), ({}, {"sec-fetch-site": "cross-site"}),
        ({}, {"sec-fetch-site": "same-site"}),
    ],
)  # fmt: skip
def test_a_form_of_another_site_is_refused(client: httpx.Client, settings: Settings, fields: dict[str, str], headers: dict[str, str]) -> None:
    hidden = opened(client) | fields
    for path in ("/sources/edit", "/sources/entry/0", "/sources/versions/20260101T000000000000Z"):
        answer = client.post(path, data={**hidden, "text": "sources: []", "action": "save"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "YW-SOURCES-002")
    assert (settings.home / "sources.yml").read_text() == FILE


def test_a_token_is_good_for_one_principal_and_for_nothing_else(client: httpx.Client, settings: Settings, tmp_path: Path) -> None:
    """Neither another administrator's, nor a session, nor is a form's token a session."""
    token = opened(client)["token"]
    session = client.post("/login", data={"token": TOKENS["administrator"]}).cookies["yiwang_session"]
    client.cookies.clear()
    assert client.post("/sources/edit", data={"token": session, "text": FILE}).status_code == 403
    assert httpx.get(str(client.base_url) + "/api/v1/warehouse/runs", cookies={"yiwang_session": token}).status_code == 401
    other = settings.model_copy(update={"api_tokens": SecretStr(API_TOKENS.replace("the-administrator", "somebody-else"))})
    with running(other, headers=bearer("administrator")) as another:
        assert another.post("/sources/edit", data={"token": token, "text": FILE}).status_code == 403


def test_a_draft_is_checked_tried_and_saved(server: httpx.Client, settings: Settings) -> None:
    client = server
    draft = FILE + "  cursor: received_at\n"
    checked = post(client, draft)
    assert checked.status_code == 200 and "检查通过" in checked.text and (settings.home / "sources.yml").read_text() == FILE
    tried = post(client, draft, "try", wanted="hall/case")
    assert tried.status_code == 200 and "A-1" in tried.text and "会被隔离的行（1）" in tried.text and "没有映射的列（1）" in tried.text
    saved = post(client, draft.replace("\n", "\r\n"), "save")
    assert (saved.status_code, saved.headers["location"]) == (303, "/sources?saved=1")
    assert (settings.home / "sources.yml").read_text() == draft
    (entry,) = ConfigurationFile(settings.home).log()
    assert (entry.who, entry.what) == ("the-administrator", "save")
    shown = client.get("/sources?saved=1").text
    assert "已保存" in shown and "the-administrator" in shown
    (version,) = ConfigurationFile(settings.home).versions()
    hidden = opened(client, f"/sources/versions/{version}")
    assert client.post(f"/sources/versions/{version}", data=hidden).status_code == 303
    assert (settings.home / "sources.yml").read_text() == FILE and ConfigurationFile(settings.home).log()[0].what == "restore"


def test_one_entry_is_edited_as_a_form_and_the_rest_stays(client: httpx.Client, settings: Settings) -> None:
    hidden = opened(client, "/sources/entry/0")
    form = {**hidden, "name": "hall", "subject": "case", "location": "uploads/*.csv", "owner": "大厅", "rest": "fields: {matter_code: 收件时间}", "action": "save"}
    assert client.post("/sources/entry/0", data=form).status_code == 303
    text = (settings.home / "sources.yml").read_text()
    assert "# the hall" in text and "owner: 大厅" in text and "matter_code: 收件时间" in text
    hidden = opened(client, "/sources/entry/new")
    answer = client.post("/sources/entry/new", data={**hidden, "name": "more", "subject": "review", "location": "uploads/*.csv", "rest": "", "action": "save"})
    assert answer.status_code == 303 and (settings.home / "sources.yml").read_text().startswith(text.rstrip("\n"))
    assert client.get("/sources/entry/9").status_code == 404 and client.get("/sources/entry/x").status_code == 404


def test_a_wrong_file_is_told_in_sentences_and_not_saved(client: httpx.Client, settings: Settings) -> None:
    answer = post(client, FILE + "  bogus: 1\n- name: b\n  subject: nothing\n  location: uploads/x.csv\n", "save")
    assert answer.status_code == 422
    first, second = alerts(answer)
    assert first == "第 1 个来源“hall”的 bogus：没有这个设置" and second.startswith("第 2 个来源“b”的 subject：没有“nothing”这个主题")
    assert "  bogus: 1" in answer.text and (settings.home / "sources.yml").read_text() == FILE
    assert alerts(post(client, "sources: [", "save")) == ["第 1 行不是合法的 YAML"]
    assert alerts(post(client, "[" * 5000, "save")) == ["内容的括号嵌套太深"]


def test_nobodys_change_is_overwritten(client: httpx.Client, settings: Settings) -> None:
    hidden = opened(client)
    (settings.home / "sources.yml").write_text(FILE + "# by somebody else\n")
    answer = client.post("/sources/edit", data={**hidden, "text": FILE + "# mine\n", "action": "save"})
    assert answer.status_code == 409 and "已被他人修改" in alerts(answer)[0] and "# mine" in answer.text
    form = client.post("/sources/entry/0", data={**hidden, "name": "hall", "subject": "case", "location": "uploads/*.csv", "action": "save"})
    assert form.status_code == 409
    assert (settings.home / "sources.yml").read_text() == FILE + "# by somebody else\n"


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../../../../etc/passwd", "session.key", "**/*", "${YIWANG_SESSION_KEY}", "${YIWANG_API_TOKENS}", "${SECRET_OF_THE_SERVER}", "file:///etc/passwd"],
)
def test_what_is_not_offered_is_neither_read_nor_saved(client: httpx.Client, settings: Settings, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIWANG_SESSION_KEY", "/etc/passwd")
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "/etc/passwd")
    text = f'sources:\n- name: x\n  subject: case\n  format: csv\n  location: "{location}"\n'
    for action in ("try", "save"):
        answer = post(client, text, action, wanted="x/case")
        assert answer.status_code == 422 and alerts(answer) and "root:" not in answer.text
    assert (settings.home / "sources.yml").read_text() == FILE


def test_the_process_finds_nothing_that_is_not_offered(server: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "/etc/passwd")
    for location in ("/etc/passwd", "${SECRET_OF_THE_SERVER}"):
        answer = post(server, f'sources:\n- name: x\n  subject: case\n  format: csv\n  location: "{location}"\n', "try", wanted="x/case")
        assert answer.status_code == 422 and len(alerts(answer)) == 1 and "root:" not in answer.text


def test_text_of_people_and_of_data_stays_text(client: httpx.Client, settings: Settings) -> None:
    (settings.home / "sources.yml").write_text(f"sources:\n- name: '{EVIL}'\n  subject: '{EVIL}'\n  location: '{EVIL}'\n  owner: '{EVIL}'\n", encoding="utf-8")
    pages = [client.get("/sources"), client.get("/sources/edit"), client.get("/sources/entry/0"), post(client, FILE.replace("hall", EVIL)), post(client, FILE, "try", wanted="hall/case")]
    for answer in pages:
        assert "<script>window" not in answer.text and "<img" not in answer.text and "&lt;" in answer.text
        assert "script-src" not in answer.headers["content-security-policy"] and answer.headers["cache-control"] == "no-store"


def test_the_process_sees_no_secret(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("YIWANG_SESSION_KEY", "YIWANG_DIGEST_KEY", "YIWANG_API_TOKENS", "AWS_SECRET_ACCESS_KEY", "YIWANG_ALERT_WEBHOOK"):
        monkeypatch.setenv(name, "a secret that nobody may read here")
    monkeypatch.setenv("YIWANG_SOURCE_DB", "offered")
    seen = environment(settings, "${YIWANG_SESSION_KEY} ${AWS_REGION}")
    assert "a secret that" not in str(seen) and seen["YIWANG_SOURCE_DB"] == "offered"


def test_a_check_that_takes_too_long_or_breaks_changes_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_process, "_COMMAND", (*sources_process._COMMAND[:3], "import time; time.sleep(60)", "x"))
    monkeypatch.setattr(sources_process, "SECONDS", 0.2)
    with pytest.raises(YiwangError, match="超过"):
        ask(settings, "check", FILE, FILE)
    monkeypatch.setattr(sources_process, "_COMMAND", (*sources_process._COMMAND[:3], "print('not json')", "x"))
    monkeypatch.setattr(sources_process, "SECONDS", 60)
    with pytest.raises(YiwangError, match="异常结束"):
        ask(settings, "check", FILE, FILE)
