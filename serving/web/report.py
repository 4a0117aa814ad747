"""The report of the last run, as the pipelines wrote it."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from serving.auth.service import WAREHOUSE_READ, require

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""One file that carries its styles and pictures with it; it runs no script."""


def report_router(settings: Settings) -> APIRouter:
    """``/report``, for principals that may read the warehouse."""
    router = APIRouter(include_in_schema=False, dependencies=[require(WAREHOUSE_READ)])
    path: Path = settings.home / "reports" / "latest.html"

    @router.get("/report")
    def show_report() -> Response:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise YiwangError("YW-SERVE-009") from None
        return HTMLResponse(text, headers={"content-security-policy": _POLICY, "cache-control": "no-cache"})

    return router
