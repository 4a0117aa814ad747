"""What surrounds every request: its number, its line in the log, its security headers, and the last net for errors."""

import logging
import sys
import time
import uuid
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.domain.errors import YiwangError
from serving.problems import problem

_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""NiceGUI and the API documentation run inline scripts; Vue compiles templates. Nothing comes from another host."""
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Observer:
    """ASGI middleware, the outermost one.

    Args:
        app: What it observes.
        log: Where requests are written, ids only: no query, no body, no value of a path parameter.
    """

    def __init__(self, app: ASGIApp, log: Any) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Numbers, answers and logs a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        policy = _API_POLICY if scope["path"].startswith("/api/") else _PAGE_POLICY
        started, status = time.perf_counter(), 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("content-security-policy", policy)
                headers["x-request-id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, observed)
        except Exception:
            self._log.exception("request_failed", request_id=request_id, route=_route(scope))
            if status or scope["type"] != "http":
                raise
            error = YiwangError("YW-SERVE-007", request_id=request_id)
            await problem(error, request_id)(scope, receive, observed)
        finally:
            principal = scope["state"].get("principal")
            self._log.info(
                "request", request_id=request_id, kind=scope["type"], method=scope.get("method"), route=_route(scope), status=status or None,
                milliseconds=round((time.perf_counter() - started) * 1e3, 1), principal=principal.name if principal else None,
            )


def _route(scope: Scope) -> str | None:
    """The template of the route that answered, without the values in it."""
    return getattr(scope.get("route"), "path", None)


def request_log() -> Any:
    """A logger that writes one JSON object a line to stderr."""
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def log_libraries() -> None:
    """Have the libraries' own messages (server, sockets) written the same way."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, structlog.processors.TimeStamper(fmt="iso", utc=True)],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
