"""What anybody may see: the directory of matters, the log-in, the style sheet. No personal data, no scores, no script.

The pages are whole when the server sends them and work with forms and links alone.
"""

from http import HTTPStatus
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import FastAPI, Form, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from models.domain.codes import code_tables
from models.domain.errors import YiwangError
from models.store.pages import MatterSearch, PageRepository
from serving import problems
from serving.auth.service import Authenticator
from serving.web.sessions import COOKIE, LIFETIME, Sessions
from serving.web.templating import PAGE_POLICY, Templates

_MOST_WORDS = 5


class MatterForm(BaseModel):
    """The directory's form, as browsers send it: every field a text, an untouched one empty."""

    name: str = Field("", max_length=100)
    department: str = Field("", max_length=100)
    type: str = Field("", max_length=10)
    online: str = Field("", max_length=1)
    page: str = Field("1", max_length=9)

    def search(self) -> MatterSearch:
        """What is looked for."""
        words = tuple(self.name.split()[:_MOST_WORDS])
        return MatterSearch(words, self.department or None, self.type or None, {"1": True, "0": False}.get(self.online))

    def number(self) -> int:
        """The page's number; what is no number asks for the first page."""
        return int(self.page) if self.page.isascii() and self.page.isdigit() else 1

    def address(self, page: int) -> str:
        """The address of another page of the same search."""
        asked = {name: value for name, value in self.model_dump(exclude={"page"}).items() if value}
        query = urlencode(asked | ({"page": page} if page > 1 else {}))
        return f"/matters?{query}" if query else "/matters"


def public_app(pages: PageRepository, authenticator: Authenticator, sessions: Sessions, templates: Templates) -> FastAPI:
    """The public application."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    problems.install(app)
    app.mount("/assets", StaticFiles(directory=Path(__file__).parent / "static"))

    @app.get("/matters")
    def list_matters(form: Annotated[MatterForm, Query()]) -> Response:
        snapshot = pages.store.in_service()
        found = pages.matters(snapshot, form.search(), form.number())
        types = [(row["code"], code_tables()["A.1"].get(row["code"], row["code"]), row["n"]) for row in pages.matter_types(snapshot)]
        return _page(templates.render(
            "matters.html", snapshot=snapshot, form=form, found=found, departments=pages.matter_departments(snapshot), types=types,
            numbers=near(found.number, found.pages),
        ))

    @app.get("/matters/{source}/{code:path}")
    def show_matter(source: str, code: str) -> Response:
        snapshot = pages.store.in_service()
        matter = pages.matter(snapshot, source, code)
        if matter is None:
            raise YiwangError("YW-SERVE-006", what="此事项")
        return _page(templates.render("matter.html", snapshot=snapshot, matter=matter))

    @app.get("/login")
    def ask_token(next: str = "/") -> Response:
        return _login(templates, local(next))

    @app.post("/login")
    def log_in(request: Request, token: Annotated[str, Form(max_length=500)] = "", next: Annotated[str, Form(max_length=2000)] = "/") -> Response:
        given = dict(request.headers) | {"authorization": f"Bearer {token.strip()}"}
        principal = authenticator.principal(given, request.client.host if request.client else None)
        if principal is None:
            return _login(templates, local(next), HTTPStatus.FORBIDDEN, is_refused=True)
        answer = RedirectResponse(local(next), HTTPStatus.SEE_OTHER, {"cache-control": "no-store"})
        # a proxy in front says what the browser spoke to it; believing it can only make the cookie stricter
        is_secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
        answer.set_cookie(COOKIE, sessions.seal(token.strip()), LIFETIME, httponly=True, samesite="strict", secure=is_secure)
        return answer

    @app.post("/logout")
    def log_out() -> Response:
        answer = RedirectResponse("/login", HTTPStatus.SEE_OTHER, {"cache-control": "no-store"})
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    return app


def near(number: int, pages: int) -> list[int | None]:
    """Page numbers to offer: the first, the last, those beside the current one; None stands for a gap."""
    shown = sorted({1, pages, *range(max(1, number - 1), min(pages, number + 1) + 1)})
    numbers: list[int | None] = []
    for one in shown:
        if numbers and one - shown[shown.index(one) - 1] > 1:
            numbers.append(None)
        numbers.append(one)
    return numbers


def local(address: str) -> str:
    """An address on this server to go to after log-in; the start page for any other."""
    is_local = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable() and "\\" not in address
    return address if is_local else "/"


def _login(templates: Templates, wanted: str, status: int = HTTPStatus.OK, is_refused: bool = False) -> Response:
    return _page(templates.render("login.html", wanted=wanted, is_refused=is_refused), status)


def _page(text: str, status: int = HTTPStatus.OK) -> Response:
    return HTMLResponse(text, status, {"content-security-policy": PAGE_POLICY, "cache-control": "no-cache"})
