"""``HEAD`` wherever ``GET`` is: what watches servers and proxies likes to ask that way."""

from starlette.types import ASGIApp, Receive, Scope, Send


class HeadAsGet:
    """ASGI middleware: answers ``HEAD`` as ``GET`` (RFC 9110, 9.3.2); the server leaves the body out.

    FastAPI's routes know ``GET`` only, and a second method on them would double the API's documentation.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, ``HEAD`` as ``GET``."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        asked = {**scope, "method": "GET"}
        try:
            await self._app(asked, receive, send)
        finally:
            if "route" in asked:  # the log tells the route
                scope["route"] = asked["route"]
