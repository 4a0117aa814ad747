"""The report of the last run, as the pipelines wrote it."""

import base64
import hashlib
import re
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from serving.auth.service import WAREHOUSE_READ, require

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; script-src {scripts}"
)
"""One file that carries its styles and pictures with it."""
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def report_router(settings: Settings) -> APIRouter:
    """``/report`` and the details of its checks, for principals that may read the warehouse."""
    router = APIRouter(include_in_schema=False, dependencies=[require(WAREHOUSE_READ)])
    path: Path = settings.home / "reports" / "latest.html"

    @router.get("/report")
    def show_report() -> Response:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise YiwangError("YW-SERVE-009") from None
        return HTMLResponse(text, headers={"content-security-policy": policy_of(text), "cache-control": "no-cache"})

    @router.get("/checks/{page:path}")
    def show_checks(page: str) -> Response:
        """A page of the checks' details, to which the report links."""
        folder = (path.parent / "checks").resolve()
        target = (folder / page.replace("\0", "")).resolve()
        if not target.is_relative_to(folder) or target.suffix != ".html" or not target.is_file():
            raise YiwangError("YW-SERVE-009")
        return HTMLResponse(target.read_text(encoding="utf-8"), headers={"content-security-policy": policy_of(""), "cache-control": "no-cache"})

    return router


def policy_of(report: str) -> str:
    """The report's content security policy: its one script may run as it was written; where there are more, none may."""
    scripts = _SCRIPT.findall(report)
    allowed = "'none'"
    if len(scripts) == 1:
        allowed = f"'sha256-{base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()}'"
    return _POLICY.format(scripts=allowed)
