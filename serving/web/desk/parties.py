"""``/desk/parties``: persons and enterprises: found by number or phone, registered, changed, taken out; in clear only with a reason."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from models.core.parties import rights, service
from models.core.work.service import Work
from models.domain.codes import code_tables
from models.domain.errors import YiwangError
from serving.web.desk.common import Visit, at_the_desk, visit
from serving.web.desk.keeping.types import REASON, Field, nothing, version
from serving.web.desk.keeping.types import Form as Asked
from serving.web.templating import Templates

Short = Annotated[str, Form(max_length=200)]
_TYPES: Callable[[], dict[str, str]] = lambda: dict(code_tables()["L.id_type"])  # noqa: E731 - a field's choices
_CREATE = Asked(
    "create", "登记办事主体", "party:register",
    lambda here, now, v: str(service.register(
        now, here.operations.crypto, "enterprise" if v["kind"] == "enterprise" else "person", v["name"], v["id_type_code"], v["number"], v["phone"] or None).id),
    (Field("kind", "类别", "choice", lambda: {"person": "个人", "enterprise": "企业或其他组织"}), Field("name", "姓名或名称"), Field("id_type_code", "证件类型", "choice", _TYPES),
     Field("number", "证件号码"), Field("phone", "电话", is_needed=False)),
)  # fmt: skip
_ON_ROW = (
    Asked("amend", "修改", "party:amend",
          lambda here, now, v: nothing(rights.amend(
              now, here.operations.crypto, here.access, UUID(v["id"]), version(v), name=v["name"] or None, number=v["number"] or None, phone=v["phone"] or None)),
          (Field("name", "新的姓名或名称", is_needed=False), Field("number", "新的证件号码", is_needed=False), Field("phone", "新的电话", is_needed=False))),
    Asked("remove", "注销", "party:remove", lambda here, now, v: nothing(rights.remove(now, here.access, UUID(v["id"]), v["reason"])), (REASON,)),
)  # fmt: skip
_REVEALED = {"name": "姓名或名称", "number": "证件号码", "phone": "电话"}


def parties_router(templates: Templates) -> APIRouter:
    """The page of parties."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(at_the_desk)])

    @router.get("/desk/parties")
    def parties(request: Request) -> Response:
        return _page(visit(request, templates, "party:register"))

    @router.post("/desk/parties")
    def search(request: Request, id_type_code: Short = "111", number: Short = "", phone: Short = "") -> Response:
        visit(request, templates, "party:register")
        here = visit(request, templates, "party:read")
        crypto = here.operations.crypto

        def look(now: Work) -> list[service.Masked]:
            rows = rights.search(now, crypto, here.access, id_type_code=id_type_code or None, number=number or None, phone=phone or None)
            return [service.masked(crypto, row) for row in rows]

        return _answered(here, lambda: _page(here, found=here.write(look)))

    @router.post("/desk/parties/reveal")
    def reveal(request: Request, id: Short = "", field: Short = "", reason: Short = "") -> Response:
        here = visit(request, templates, "party:reveal")

        def do() -> Response:
            if field not in _REVEALED:
                raise YiwangError("YW-SERVE-005", name="内容", detail="应为姓名、证件号码或电话")
            shown = here.write(lambda now: rights.reveal(now, here.operations.crypto, here.access, UUID(id), field, reason))  # type: ignore[arg-type] # checked above
            return _page(here, found=_one(here, UUID(id)), shown=shown or "（没有登记）")

        return _answered(here, do)

    @router.post("/desk/parties/{what}")
    async def change(request: Request, what: str) -> Response:
        given = {name: str(value)[:500] for name, value in (await request.form()).items()}
        return await anyio.to_thread.run_sync(_change, request, templates, what, given)

    return router


def _change(request: Request, templates: Templates, what: str, given: dict[str, str]) -> Response:
    form = next((each for each in (_CREATE, *_ON_ROW) if each.name == what), None)
    if form is None:
        raise YiwangError("YW-SERVE-006", what="此操作")
    here = visit(request, templates, form.permission)
    values = {"id": given.get("id", ""), "version": given.get("version", "")} | {field.name: given.get(field.name, "").strip() for field in form.fields}

    def do() -> Response:
        if missing := [field.title for field in form.fields if field.is_needed and not values[field.name]]:
            raise YiwangError("YW-SERVE-005", name=missing[0], detail="不能为空")
        key = UUID(here.once(given.get("key", ""), values, lambda now: str(form.do(here, now, values) or values["id"])))
        return _page(here, found=[] if what == "remove" else _one(here, key), done=f"已{form.title.removesuffix('办事主体')}。")

    return _answered(here, do, failed=what, values=values)


def _one(here: Visit, party_id: UUID) -> list[service.Masked]:
    reading = visit(here.request, here.templates, "party:read")
    return [here.read(lambda session: service.masked(here.operations.crypto, rights.reached(session, reading.access, party_id)))]


def _answered(here: Visit, do: Callable[[], Response], failed: str = "", values: dict[str, str] | None = None) -> Response:
    """What is wrong stands on the page, beside what was typed."""
    try:
        return do()
    except (YiwangError, ValueError) as error:
        fault = error if isinstance(error, YiwangError) else YiwangError("YW-SERVE-005", name="标识", detail="格式不正确")
        if fault.status.value == 503:
            raise fault from error
        return _page(here, error=fault.message, failed=failed, values=values or {}, status=fault.status.value)


def _page(here: Visit, *, found: Any = None, shown: str | None = None, error: str = "", failed: str = "", values: dict[str, str] | None = None, done: str = "", status: int = 200) -> Response:
    may = here.principal.may
    return here.page(
        "parties.html", status, found=found, shown=shown, error=error, failed=failed, values=values or {}, done=done, titles=code_tables()["L.id_type"],
        create=_CREATE if may(_CREATE.permission) else None, on_row=[form for form in _ON_ROW if may(form.permission)], revealed=_REVEALED if may("party:reveal") else {},
    )  # fmt: skip
