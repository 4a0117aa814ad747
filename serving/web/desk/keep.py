"""``/desk/keep/<area>``: the one page on which everything is kept that :mod:`serving.web.desk.keeping` declares."""

from urllib.parse import urlencode

import anyio.to_thread
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.store.operational.paging import Paging
from serving.web.desk.common import Visit, at_the_desk, go, visit
from serving.web.desk.keeping import AREAS, Area, Form, Values
from serving.web.templating import Templates

_MOST = 4000


def keep_router(templates: Templates) -> APIRouter:
    """The pages of maintenance."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(at_the_desk)])

    @router.get("/desk/keep/{name}")
    def show(request: Request, name: str, cursor: str = "", done: str = "") -> Response:
        area = _area(name)
        wanted = {field.name: request.query_params.get(field.name, "").strip()[:_MOST] for field in area.filters}
        here = visit(request, templates, area.permission)
        try:
            return _page(here, name, area, cursor=cursor, done=bool(done), wanted=wanted)
        except (YiwangError, ValueError) as error:
            if isinstance(error, YiwangError) and error.status.value not in (400, 422):
                raise
            return _page(here, name, area, error=_fault(error).message, status=422)

    @router.post("/desk/keep/{name}/{what}")
    async def change(request: Request, name: str, what: str) -> Response:
        given = {key: str(value)[:_MOST] for key, value in (await request.form()).items()}
        return await anyio.to_thread.run_sync(_change, request, templates, name, what, given)

    return router


def _change(request: Request, templates: Templates, name: str, what: str, given: dict[str, str]) -> Response:
    area = _area(name)
    form = next((each for each in _forms(area) if each.name == what), None)
    if form is None:
        raise YiwangError("YW-SERVE-006", what="此操作")
    here = visit(request, templates, form.permission)
    values = {"id": given.get("id", ""), "version": given.get("version", "")} | {field.name: given.get(field.name, "").strip() for field in form.fields}
    shown: list[str] = []
    try:
        if missing := [field.title for field in form.fields if field.is_needed and not values[field.name]]:
            raise YiwangError("YW-SERVE-005", name=missing[0], detail="不能为空")

        def do(now: Work) -> str:
            secret = form.do(here, now, values)
            shown.extend([secret] if secret else [])
            return f"/desk/keep/{name}?done=1"

        location = here.once(given.get("key", ""), values, do)
    except (YiwangError, ValueError) as error:
        fault = _fault(error)
        if fault.status.value == 503:
            raise fault from error
        return _page(visit(request, templates, area.permission), name, area, error=fault.message, failed=what, values=values, status=fault.status.value)
    return _page(visit(request, templates, area.permission), name, area, secret=shown[0]) if shown else go(location)


def _page(
    here: Visit, name: str, area: Area, *, cursor: str = "", done: bool = False, error: str = "", failed: str = "", values: dict[str, str] | None = None, secret: str = "",
    status: int = 200, wanted: Values | None = None,
) -> Response:  # fmt: skip
    wanted = wanted or {field.name: "" for field in area.filters}

    def rows(source: object) -> tuple[list[dict[str, object]], str | None]:
        found = area.load(here, source, Paging(50, cursor or None), wanted)
        return [{"key": area.key(row), "version": getattr(row, "version", ""), "cells": [value(here, row) for _, value in area.columns]} for row in found.items], found.next

    items, following = here.write(rows) if area.is_watched else here.read(rows)
    on_row = [form for form in area.on_row if here.principal.may(form.permission)]
    create = [form for form in area.create if here.principal.may(form.permission)]
    return here.page(
        "keep.html", status, name=name, keeping=area, items=items, following=following, on_row=on_row, create=create, done=done, error=error, failed=failed, values=values or {},
        secret=secret, wanted=wanted, following_query=urlencode({**{k: v for k, v in wanted.items() if v}, "cursor": following or ""}), titles=[title for title, _ in area.columns],
    )  # fmt: skip


def _forms(area: Area) -> list[Form]:
    return [*area.create, *area.on_row]


def _fault(error: YiwangError | ValueError) -> YiwangError:
    return error if isinstance(error, YiwangError) else YiwangError("YW-SERVE-005", name="标识", detail="格式不正确")


def _area(name: str) -> Area:
    if name not in AREAS:
        raise YiwangError("YW-SERVE-006", what="此页")
    return AREAS[name]
