"""同步配置: an administrator edits ``sources.yml``, has it checked and tried, saves it, gives an old version back.

Whole pages without script. Nothing is saved that the check refuses, and nothing over somebody else's change.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from models.domain.contracts import SUBJECT_TITLES
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.configuration import ConfigurationFile
from serving.auth.service import SOURCES_EDIT, Principal, require
from serving.web import sources_process
from serving.web.catalogue import staff_page
from serving.web.seals import Seals
from serving.web.sources_text import COMMON, LARGEST, NEW, Entry, content_of, entries, form_of, is_deep, replace
from serving.web.templating import Templates

Text = Annotated[str, Form(max_length=LARGEST * 2)]
Short = Annotated[str, Form(max_length=2000)]
_PURPOSE = "form of the configuration\0"


@dataclass
class _Draft:
    """A file that is being edited, and what was found about it.

    Attributes:
        text: The whole file.
        base: Fingerprint of the file in service when editing began.
        errors: Sentences for people.
        is_sound: It was checked and nothing was found.
        tried: Answer of a dry run.
        is_stale: Somebody else has saved meanwhile.
        action: What was asked for: ``check``, ``try`` or ``save``.
    """

    text: str
    base: str
    errors: list[str]
    is_sound: bool = False
    tried: dict[str, Any] | None = None
    is_stale: bool = False
    action: str = "check"


def sources_router(settings: Settings, seals: Seals, templates: Templates) -> APIRouter:
    """``/sources`` and what lies below, for principals that may edit the configuration.

    Args:
        settings: Home, and what an edited file may name.
        seals: Seals the forms' tokens.
        templates: Renders the pages.
    """
    router = APIRouter(include_in_schema=False, dependencies=[require(SOURCES_EDIT)])
    file = ConfigurationFile(settings.home)

    def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
        token = seals.seal(_PURPOSE + _who(request))
        return staff_page(request, templates, template, status, here="sources", snapshot=None, token=token, subjects=SUBJECT_TITLES, path=file.path, **values)

    def editor(request: Request, draft: _Draft, number: str = "", form: dict[str, str] | None = None, rest: str = "", status: int = 200) -> Response:
        known = entries(draft.text)
        chosen = (draft.tried or {}).get("source"), (draft.tried or {}).get("subject")
        return page(request, "sources_edit.html", status, draft=draft, entries=known, number=number, form=form, rest=rest, chosen=chosen)

    def work(request: Request, action: str, draft: _Draft, source: str, subject: str) -> Response | None:
        """Checks, tries or saves a draft; the answer once it is saved, else None: the draft says what was found."""
        current, now = file.read()
        draft.is_stale, draft.action = now != draft.base, action
        if len(draft.text) > LARGEST:
            draft.errors = [f"配置超过 {LARGEST:,} 个字符，请在服务器上编辑"]
            return None
        if is_deep(draft.text):
            draft.errors = ["内容的括号嵌套太深"]
            return None
        try:
            if action == "try":
                answer = sources_process.ask(settings, "try", draft.text, current, f"--source={source}", f"--subject={subject}")
                draft.errors = answer.get("errors", [])
                draft.tried = None if draft.errors else answer
                return None
            draft.errors = sources_process.ask(settings, "check", draft.text, current)["errors"]
            draft.is_sound = not draft.errors
            if action == "save" and draft.is_sound:
                file.save(draft.text, draft.base, _who(request), datetime.now(UTC))
                return RedirectResponse("/sources?saved=1", 303, {"cache-control": "no-store"})
        except YiwangError as error:
            draft.errors, draft.is_sound = [error.message], False
            draft.is_stale = draft.is_stale or error.code == "YW-SOURCES-001"
        return None

    @router.get("/sources")
    def show(request: Request, saved: str = "") -> Response:
        text, _ = file.read()
        return page(request, "sources.html", text=text, entries=entries(text), versions=file.versions()[:50], log=file.log(), is_saved=bool(saved))

    @router.get("/sources/edit")
    def edit(request: Request) -> Response:
        text, base = file.read()
        return editor(request, _Draft(text, base, []))

    @router.post("/sources/edit")
    def change(
        request: Request, token: Short = "", action: Short = "check", text: Text = "", base: Short = "", wanted: Short = "",
    ) -> Response:
        _from_our_page(request, seals, token)
        draft = _Draft(_lines(text), base, [])
        source, _, subject = wanted.partition("/")
        return work(request, action, draft, source, subject) or editor(request, draft, status=_status(draft))

    @router.get("/sources/entry/{number}")
    def edit_entry(request: Request, number: str) -> Response:
        text, base = file.read()
        content = {"kind": "file", "zone": "Asia/Shanghai"} if number == NEW else _entry(text, number).content
        form, rest = form_of(content)
        return editor(request, _Draft(text, base, []), number, form, rest)

    @router.post("/sources/entry/{number}")
    async def change_entry(request: Request, number: str) -> Response:
        from starlette.concurrency import run_in_threadpool

        given = {name: str(value)[: LARGEST * 2] for name, value in (await request.form()).items()}
        return await run_in_threadpool(_change_entry, request, number, given)

    def _change_entry(request: Request, number: str, given: dict[str, str]) -> Response:
        _from_our_page(request, seals, given.get("token", ""))
        text, now = file.read()
        draft = _Draft(text, given.get("base", ""), [], is_stale=now != given.get("base", ""), action=given.get("action", "check"))
        form, rest = {key: given.get(key, "") for key in COMMON}, _lines(given.get("rest", ""))
        try:
            if draft.is_stale:
                raise YiwangError("YW-SOURCES-001")
            draft.text = replace(text, None if number == NEW else _entry(text, number).number, content_of(form, rest))
            answer = work(request, draft.action, draft, form["name"].strip(), form["subject"].strip())
        except YiwangError as error:
            draft.errors, answer = [error.message], None
        return answer or editor(request, draft, number, form, rest, _status(draft))

    @router.get("/sources/versions/{name}")
    def show_version(request: Request, name: str) -> Response:
        return page(request, "sources_version.html", name=name, text=file.version(name), base=file.read()[1], errors=[])

    @router.post("/sources/versions/{name}")
    def restore(request: Request, name: str, token: Short = "", base: Short = "") -> Response:
        _from_our_page(request, seals, token)
        text = file.version(name)
        try:
            errors = sources_process.ask(settings, "check", text, file.read()[0])["errors"]
            if not errors:
                file.save(text, base, _who(request), datetime.now(UTC), "restore")
                return RedirectResponse("/sources?saved=1", 303, {"cache-control": "no-store"})
        except YiwangError as error:
            errors = [error.message]
        return page(request, "sources_version.html", 422, name=name, text=text, base=base, errors=errors)

    return router


def _who(request: Request) -> str:
    principal: Principal = request.state.principal
    return principal.name


def _from_our_page(request: Request, seals: Seals, token: str) -> None:
    """Refuse what no page of ours sent: the token was sealed for this principal, and the browser names no other site.

    Raises:
        YiwangError: YW-SOURCES-002.
    """
    sealed = seals.open(token) or ""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    is_foreign = (origin is not None and urlsplit(origin).netloc != request.headers.get("host")) or site not in (None, "same-origin")
    if is_foreign or not hmac.compare_digest(sealed.encode(), (_PURPOSE + _who(request)).encode()):
        raise YiwangError("YW-SOURCES-002")


def _entry(text: str, number: str) -> Entry:
    known = entries(text)
    if not (number.isascii() and number.isdigit()) or int(number) >= len(known):
        raise YiwangError("YW-SERVE-006", what="此来源")
    return known[int(number)]


def _lines(text: str) -> str:
    """A text with the line ends of a file, not of a form."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _status(draft: _Draft) -> int:
    return 409 if draft.is_stale else 422 if draft.errors else 200
