"""What anybody may see: the directory of matters, the log-in, the style sheet. No personal data, no scores, no script.

The pages are whole when the server sends them and work with forms and links alone.
"""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Query
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from models.domain.codes import code_tables
from models.domain.errors import YiwangError
from models.store.pages import MatterSearch, PageRepository
from serving import problems
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


def public_app(pages: PageRepository, login: APIRouter, templates: Templates) -> FastAPI:
    """The public application.

    Args:
        pages: What the directory reads.
        login: Addresses of logging in and out.
        templates: Renders the pages.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    problems.install(app)
    app.include_router(login)
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


def _page(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status, {"content-security-policy": PAGE_POLICY, "cache-control": "no-cache"})
