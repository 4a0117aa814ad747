"""``/desk/keep/<area>``: the pages on which everything is kept that :mod:`serving.web.desk.keeping` declares: a list, and a row in full."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import anyio.to_thread
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.store.operational.paging import Paging
from serving.web.desk.calendar import calendar_router
from serving.web.desk.common import OFFERED, Visit, at_the_desk, go, visit
from serving.web.desk.keeping import AREAS, Area, Form, Seen, Told, Values
from serving.web.templating import Templates

_LINE = 4000


def keep_router(templates: Templates) -> APIRouter:
    """The pages of maintenance."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(at_the_desk)])

    @router.get("/desk/keep/{name}")
    def show(request: Request, name: str, cursor: str = "", done: str = "") -> Response:
        area = _area(name)
        wanted = {field.name: request.query_params.get(field.name, "").strip()[:_LINE] for field in area.filters}
        here = visit(request, templates, area.permission)
        if any(field.is_needed and not wanted[field.name] for field in area.filters):
            raise YiwangError("YW-SERVE-006", what="此页")
        try:
            return _page(here, name, area, cursor=cursor, done=bool(done), wanted=wanted)
        except (YiwangError, ValueError) as error:
            if isinstance(error, YiwangError) and error.status.value not in (400, 422):
                raise
            if any(field.is_needed for field in area.filters):  # without them there is no list to show beside the error
                raise _fault(error) from error
            return _page(here, name, area, error=_fault(error).message, status=422)

    @router.get("/desk/keep/{name}/{key:path}")
    def look(request: Request, name: str, key: str, done: str = "") -> Response:
        area = _area(name)
        if area.look is None:
            raise YiwangError("YW-SERVE-006", what="此页")
        try:
            return _row(visit(request, templates, area.permission), name, area, key, done=bool(done))
        except ValueError as error:
            raise YiwangError("YW-SERVE-006", what="此页") from error

    @router.post("/desk/keep/{name}/{what}")
    async def change(request: Request, name: str, what: str) -> Response:
        typed = await request.form()
        given = {key: " ".join(str(each) for each in typed.getlist(key)) for key in typed}
        return await anyio.to_thread.run_sync(_change, request, templates, name, what, given)

    router.include_router(calendar_router(templates))
    return router


def _change(request: Request, templates: Templates, name: str, what: str, given: dict[str, str]) -> Response:
    area = _area(name)
    form = next((each for each in (*area.create, *area.on_row) if each.name == what), None)
    if form is None:
        raise YiwangError("YW-SERVE-006", what="此操作")
    here = visit(request, templates, form.permission)
    key = given.get("id", "")[:_LINE]
    values = {"id": key, "version": given.get("version", "")[:20]} | {field.name: given.get(field.name, "").strip() for field in form.fields}
    is_on_page, is_on_row = area.look is not None and form in area.on_row, form in area.on_row
    said: list[str | Told] = []
    try:
        for field in form.fields:
            if field.is_needed and not values[field.name]:
                raise YiwangError("YW-SERVE-005", name=field.title, detail="不能为空")
            if len(values[field.name]) > max(field.most, _LINE):
                raise YiwangError("YW-SERVE-005", name=field.title, detail=f"不能超过 {max(field.most, _LINE)} 个字符")

        def do(now: Work) -> str:
            told = form.do(here, now, values)
            said.extend([told] if told else [])
            if form.lands is not None:
                return form.lands(values)
            if is_on_page and not form.is_end:
                return f"/desk/keep/{name}/{quote(key)}?done=1"
            return f"/desk/keep/{name}?{urlencode(area.within(key) | {'done': '1'} if is_on_row else {'done': '1'})}"

        location = here.once(given.get("key", ""), values, do)
    except (YiwangError, ValueError) as error:
        fault = _fault(error)
        if fault.status.value == 503:
            raise fault from error
        return _again(request, templates, name, area, form, values, error=fault.message, status=fault.status.value)
    if not said:
        return go(location)
    if isinstance(said[0], Told):
        return _again(request, templates, name, area, form, values if said[0].is_kept else {"id": key}, note=said[0].text)
    return _again(request, templates, name, area, form, {"id": key}, secret=said[0])


def _again(request: Request, templates: Templates, name: str, area: Area, form: Form, values: Values, **more: Any) -> Response:
    """The page with the form that was sent: what was wrong, or what it had to say."""
    here = visit(request, templates, area.permission)
    if len(values) > 1:
        more |= {"failed": form.name, "values": {name: value for name, value in values.items() if name not in {field.name for field in form.fields if field.kind == "private"}}}
    try:
        if area.look is not None and form in area.on_row:
            return _row(here, name, area, values["id"], **more)
    except (YiwangError, ValueError):  # the row is not there, which is what was wrong
        pass
    return _page(here, name, area, wanted=area.within(values["id"]) if form in area.on_row and area.above else None, **more)


def _page(
    here: Visit, name: str, area: Area, *, cursor: str = "", done: bool = False, error: str = "", failed: str = "", values: Values | None = None, secret: str = "", note: str = "",
    status: int = 200, wanted: Values | None = None,
) -> Response:  # fmt: skip
    wanted = {field.name: (wanted or {}).get(field.name, "") for field in area.filters}
    on_row = [] if area.look else [form for form in area.on_row if here.principal.may(form.permission)]
    create = [form for form in area.create if here.principal.may(form.permission)]

    load = area.load

    def rows(source: Any) -> tuple[list[dict[str, Any]], str | None]:
        if load is None:
            return [], None
        found = load(here, source, Paging(50, cursor or None), wanted)
        return [
            {
                "key": area.key(row), "version": getattr(row, "version", ""), "cells": [value(here, row) for _, value in area.columns],
                "address": f"/desk/keep/{name}/{quote(area.key(row))}" if area.look else "", "forms": [form for form in on_row if form.is_for(row)],
            }
            for row in found.items
        ], found.next  # fmt: skip

    items, following = here.write(rows) if area.is_watched else here.read(rows)
    top = _above(here, area.top) if area.top else []
    return here.page(
        "keep.html", status, _kinds(area.filters, *(form.fields for form in (*create, *on_row))), name=name, keeping=area, items=items, following=following, on_row=on_row, create=create,
        done=done, error=error, failed=failed, values=values or {}, secret=secret, note=note, wanted=wanted, top=top,
        following_query=urlencode({**{k: v for k, v in wanted.items() if v}, "cursor": following or ""}), titles=[title for title, _ in area.columns],
    )  # fmt: skip


def _row(
    here: Visit, name: str, area: Area, key: str, *, done: bool = False, error: str = "", failed: str = "", values: Values | None = None, secret: str = "", note: str = "", status: int = 200
) -> Response:
    assert area.look is not None  # noqa: S101 - whoever asks has looked
    seen = _seen(here, area.look, key, is_watched=area.is_watched)
    forms = [(form, form.fills(seen.row)) for form in area.on_row if here.principal.may(form.permission) and form.is_for(seen.row)]
    return here.page(
        "keep_row.html", status, _kinds(*(form.fields for form, _ in forms)), name=name, keeping=area, seen=seen, row_key=key, version=getattr(seen.row, "version", ""), forms=forms, done=done,
        error=error, failed=failed, values=values or {}, secret=secret, note=note,
    )  # fmt: skip


def _seen(here: Visit, look: Callable[[Visit, Any, str], Seen], key: str, *, is_watched: bool) -> Seen:
    return here.write(lambda now: look(here, now, key)) if is_watched else here.read(lambda session: look(here, session, key))


def _above(here: Visit, top: Callable[[Visit, Any], Sequence[tuple[str, Any]]]) -> Sequence[tuple[str, Any]]:
    return here.read(lambda session: top(here, session))


def _kinds(*fields: Any) -> set[str]:
    """What the fields of a page offer to choose from."""
    return {field.kind for some in fields for field in some if field.kind in OFFERED}


def _fault(error: YiwangError | ValueError) -> YiwangError:
    return error if isinstance(error, YiwangError) else YiwangError("YW-SERVE-005", name="标识", detail="格式不正确")


def _area(name: str) -> Area:
    if name not in AREAS:
        raise YiwangError("YW-SERVE-006", what="此页")
    return AREAS[name]
