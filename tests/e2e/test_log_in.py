"""Who is let in: nobody without the token, by page, file or socket."""

import socket
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import TOKEN

Open = Callable[..., tuple[Page, object]]


def test_a_token_opens_the_page_and_leaving_closes_it(guarded, open_page: Open) -> None:
    page, seen = open_page(guarded.base, "/?month=2026-05")
    expect(page.locator("h1")).to_have_text("工作人员登录")
    page.get_by_label("访问令牌").fill("something else")
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("alert")).to_contain_text("访问令牌不正确")
    assert page.context.cookies() == []
    page.get_by_label("访问令牌").fill(TOKEN)
    page.get_by_role("button", name="登录").click()
    expect(page.locator("#scores")).to_be_visible()
    expect(page).to_have_url(guarded.base + "/?month=2026-05")
    expect(page.get_by_label("月份")).to_have_value("2026-05")
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Lax" and TOKEN not in cookie["value"]
    assert not seen.outside
    page.get_by_role("button", name="退出").click()
    expect(page.locator("h1")).to_have_text("工作人员登录")
    page.goto(guarded.base + "/")
    expect(page.locator("h1")).to_have_text("工作人员登录")


@pytest.mark.parametrize("path", ["/", "/report", "/_nicegui_ws/socket.io/?EIO=4&transport=polling", "/_nicegui/x", "/nothing", "/api/v1/warehouse/cases"])
def test_nobody_reads_anything(guarded, path: str) -> None:
    answer = httpx.get(guarded.base + path)
    assert answer.status_code == 401 and set(answer.json()) == {"type", "title", "status", "detail", "code", "request_id"}
    assert not answer.headers.get("www-authenticate", "").startswith("Basic")


@pytest.mark.parametrize("cookie", ["", "yiwang_session=forged", "yiwang_session=" + "gAAAAA" * 30])
def test_nobody_opens_the_socket(guarded, cookie: str) -> None:
    assert upgraded(guarded.base, cookie) == 403
    session = httpx.post(guarded.base + "/login", data={"token": TOKEN}).cookies
    assert upgraded(guarded.base, f"yiwang_session={session['yiwang_session']}") == 101


def upgraded(base: str, cookie: str) -> int:
    """Status with which the page's socket answers."""
    host = base.removeprefix("http://")
    name, _, port = host.partition(":")
    request = (
        f"GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: {cookie}\r\n\r\n"
    )
    with socket.create_connection((name, int(port)), 10) as connection:
        connection.sendall(request.encode())
        return int(connection.recv(1000).split()[1])


def test_another_site_cannot_use_the_session(guarded) -> None:
    with httpx.Client(base_url=guarded.base) as client:
        answer = client.post("/login", data={"token": TOKEN})
        assert answer.status_code == 303
        assert client.get("/api/v1/warehouse/runs").status_code == 200
        assert client.get("/api/v1/warehouse/runs", headers={"origin": "http://elsewhere.example"}).status_code == 401
        assert client.get("/_nicegui_ws/socket.io/?EIO=4&transport=polling", headers={"origin": "http://elsewhere.example"}).status_code == 401
