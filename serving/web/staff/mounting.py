"""How NiceGUI, of which a process has one, becomes a route of an application, of which a process may have several.

NiceGUI is set up once; each application sends its addresses there with its own :class:`Desk`, in which the page finds
what it reads. Any other address stays with the application, which answers unknown ones itself.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from fastapi import FastAPI, Request
from nicegui import app as nicegui
from nicegui import ui
from starlette.datastructures import URLPath
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from serving import problems
from serving.web.staff.view import Desk

TITLE = "一网 · 运行与评估"
PATH = "/"
_FOLDERS = ("/_nicegui/", "/_nicegui_ws/")


class StaffRoute(BaseRoute):
    """The page's address, its files and its socket; behind the guard like every other route.

    Args:
        desk: What the page finds as ``request.state.desk``.
    """

    path = PATH

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        _carrier()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether an address is one of the page's."""
        is_ours = scope["type"] in ("http", "websocket") and (scope["path"] == PATH or scope["path"].startswith(_FOLDERS))
        return (Match.FULL, {"route": self}) if is_ours else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request to NiceGUI."""
        await nicegui({**scope, "state": {**scope.get("state", {}), "desk": self._desk}}, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The page has no name."""
        raise NoMatchFound(name, path_params)


@asynccontextmanager
async def staff_lifespan() -> AsyncIterator[None]:
    """NiceGUI's own start and end."""
    carrier = _carrier()
    async with carrier.router.lifespan_context(carrier):
        yield


async def _pass_on(request: Request, error: Exception) -> Response:
    """Leaves an error to the application, whose answer tells a number instead of the error's text."""
    raise error


@cache
def _carrier() -> FastAPI:
    """Carries NiceGUI's start and end; set up on first use. Requests go to NiceGUI itself."""
    from serving.web.staff.page import staff_page

    carrier = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    ui.page(PATH, title=TITLE, response_timeout=20)(staff_page)
    ui.run_with(
        carrier, title=TITLE, language="zh-CN", tailwind=False, show_welcome_message=False, reconnect_timeout=10, favicon=None
    )
    problems.install(nicegui)
    nicegui.exception_handlers.pop(404, None)  # its own page, in English
    nicegui.add_exception_handler(Exception, _pass_on)
    return carrier
