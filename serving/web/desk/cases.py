"""Work lists, cases, and a form for each thing that the caller may do to one."""

import json
from dataclasses import asdict
from datetime import date, tzinfo
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Depends, Form, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from models.core.audit.titles import authority_title
from models.core.feedback.reading import of_case
from models.core.handling import service
from models.core.handling.lists import span
from models.core.handling.service import CaseFilter, Draft, Look, Move, TaskFilter
from models.core.handling.terms import Terms
from models.core.parties import rights
from models.core.parties.service import register
from models.core.policy.service import Principal, policy
from models.core.processes.definition import MUST_SAY_WHY, PHASES, Effect, Phase
from models.domain.codes import code_tables
from models.domain.errors import YiwangError
from models.store.operational.paging import Paging
from models.store.operational.tables import CaseFile, Task
from serving.web.desk.common import Visit, at_the_desk, go, visit
from serving.web.menu import MENU
from serving.web.templating import Templates

Short = Annotated[str, Form(max_length=200)]
Long = Annotated[str, Form(max_length=4000)]


class NewDraft(BaseModel):
    """What the form for an application asks for."""

    key: str = Field("", max_length=200)
    matter_code: str = Field("", max_length=200)
    kind: str = Field("person", max_length=200)
    id_type_code: str = Field("111", max_length=200)
    number: str = Field("", max_length=200)
    name: str = Field("", max_length=200)
    phone: str = Field("", max_length=200)
    channel_code: str = Field("1", max_length=200)
    region_code: str = Field("", max_length=200)
    window_code: str = Field("", max_length=200)
    expires_on: str = Field("", max_length=10)
    is_commitment: bool = False
    content: str = Field("", max_length=4000)

    def draft(self, party_id: UUID) -> Draft:
        """For the service.

        Raises:
            YiwangError: YW-SERVE-005 for a day that is none.
        """
        try:
            expires_on = date.fromisoformat(self.expires_on) if self.expires_on else None
        except ValueError as error:
            raise YiwangError("YW-SERVE-005", name="原证件有效期截止日", detail="应为日期，例如 2026-12-31") from error
        return Draft(
            self.matter_code.strip(), party_id, self.channel_code or None, {"申请内容": self.content} if self.content.strip() else None, self.is_commitment,
            expires_on, self.region_code.strip() or None, self.window_code.strip() or None,
        )  # fmt: skip


class Asked(BaseModel):
    """What the list of cases is narrowed by."""

    number: str = Field("", max_length=64)
    phase: str = Field("", max_length=20)
    matter: str = Field("", max_length=64)
    unit: str = Field("", max_length=64)
    applicant: str = Field("", max_length=40)
    due_from: str = Field("", max_length=10)
    due_to: str = Field("", max_length=10)
    received_from: str = Field("", max_length=10)
    received_to: str = Field("", max_length=10)
    cursor: str = Field("", max_length=1000)

    def filter(self, zone: tzinfo) -> CaseFilter:
        """For the service.

        Raises:
            ValueError: A day or an identifier that is none.
        """
        days = [date.fromisoformat(each) if each else None for each in (self.due_from, self.due_to, self.received_from, self.received_to)]
        start, end = span(days[2], days[3], zone)
        return CaseFilter(
            self.number.strip() or None, self.phase or None, self.matter.strip() or None, self.unit.strip() or None, UUID(self.applicant) if self.applicant else None, days[0], days[1], start, end,
        )  # fmt: skip


def cases_router(templates: Templates) -> APIRouter:
    """``/desk`` and the pages of cases."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(at_the_desk)])

    @router.get("/desk")
    def tasks(request: Request, role: str = "", mine: str = "", cursor: str = "") -> Response:
        principal: Principal = request.state.principal
        if not principal.may("task:read"):  # who has no tasks begins with the first page of theirs
            return go(next(address for address, _, permission in MENU if principal.may(permission)))
        here = visit(request, templates, "task:read")
        wanted = TaskFilter(role=role or None, is_mine=True if mine else None)
        found = here.read(lambda session: service.work_list(session, here.access, wanted, Paging(30, cursor or None)))
        roles = sorted({grant.role for grant in here.principal.grants} & set(_workers()))
        titles = {name: policy().roles[name].title for name in policy().roles}
        return here.page("tasks.html", found=found, role=role, mine=mine, roles=roles, titles=titles, phases=PHASES, lamp=lambda row: lamp(row, here.today), me=here.principal.name)

    @router.post("/desk/tasks/{task_id}/{verb}")
    def claim(request: Request, task_id: UUID, verb: str, key: Short = "") -> Response:
        here = visit(request, templates, "task:claim")
        do = {"claim": service.claim, "release": service.release}.get(verb)
        if do is None:
            raise YiwangError("YW-SERVE-006", what="此操作")
        here.once(key, {}, lambda now: str(do(now, here.access, task_id).id))
        return go("/desk")

    @router.get("/desk/cases")
    def cases(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        return _cases(visit(request, templates, "case:read"), asked)

    @router.post("/desk/cases")
    def of_applicant(request: Request, id_type_code: Short = "111", number: Short = "", phone: Short = "") -> Response:
        here, looking = visit(request, templates, "case:read"), visit(request, templates, "party:read")
        crypto = here.operations.crypto

        def look(now: Any) -> list[UUID]:
            return [row.id for row in rights.search(now, crypto, looking.access, id_type_code=id_type_code if number else None, number=number or None, phone=phone or None)]

        try:
            found = looking.write(look)
        except YiwangError as error:
            if error.status.value == 503:
                raise
            return _cases(here, Asked(), error.message, error.status.value)
        if len(found) != 1:
            return _cases(here, Asked(), "有几个办事主体用这个电话，请改用证件号码。" if found else "没有登记这个证件号码或电话。", 422)
        return go(f"/desk/cases?applicant={found[0]}")

    @router.get("/desk/cases/{case_id}")
    def case(request: Request, case_id: UUID) -> Response:
        return _case(visit(request, templates, "case:read"), case_id)

    @router.post("/desk/cases/{case_id}")
    def act(
        request: Request, case_id: UUID, action: Short, key: Short, version: Annotated[int, Form(ge=0, le=2**31 - 1)], step: Short = "", reason: Long = "", outcome: Short = "",
        special_kind: Short = "", has_written_notice: Short = "", extension_days: Short = "", missing: Long = "", unit_code: Short = "",
    ) -> Response:  # fmt: skip
        here = visit(request, templates, "case:act")
        move = Move(
            action, step or None, reason.strip() or None, outcome or None, special_kind or None, bool(has_written_notice),
            int(extension_days) if extension_days.isascii() and extension_days.isdigit() else None,
            tuple(line.strip() for line in missing.splitlines() if line.strip()), unit_code or None,
        )  # fmt: skip
        try:
            here.once(key, asdict(move) | {"version": version}, lambda now: str(service.act(now, here.operations.settings, here.access, case_id, move, version).id))
        except YiwangError as error:
            if error.status.value in (404, 503):
                raise
            return _case(visit(request, templates, "case:read"), case_id, error.message, action, error.status.value)
        return go(f"/desk/cases/{case_id}")

    @router.post("/desk/cases/{case_id}/reveal")
    def reveal(request: Request, case_id: UUID, reason: Annotated[str, Form(max_length=500)] = "") -> Response:
        here = visit(request, templates, "case:reveal")
        try:
            form = here.write(lambda now: service.reveal(now, here.operations.crypto, here.access, case_id, reason))
        except YiwangError as error:
            return _refused(here, case_id, error, "reveal")
        return _case(visit(request, templates, "case:read"), case_id, revealed=form or {})

    @router.post("/desk/cases/{case_id}/form")
    async def amend(request: Request, case_id: UUID) -> Response:
        given = await request.form()
        names, values = [str(each).strip()[:200] for each in given.getlist("name")], [str(each)[:4000] for each in given.getlist("value")]
        form = {name: _value(value) for name, value in zip(names, values, strict=False) if name}
        version, key = str(given.get("version", "")), str(given.get("key", ""))
        return await anyio.to_thread.run_sync(_amend, visit(request, templates, "case:apply"), case_id, form, int(version) if version.isdigit() else 0, key)

    @router.post("/desk/cases/{case_id}/removal")
    def remove(request: Request, case_id: UUID, key: Short, version: Annotated[int, Form(ge=0, le=2**31 - 1)], reason: Long = "") -> Response:
        here = visit(request, templates, "case:remove")
        try:
            if not reason.strip():
                raise YiwangError("YW-SERVE-005", name="理由", detail="不能为空")
            here.once(key, {"version": version, "reason": reason}, lambda now: str(service.remove(now, here.access, case_id, version, reason).id))
        except YiwangError as error:
            return _refused(here, case_id, error, "remove")
        return go("/desk/cases")

    @router.get("/desk/new")
    def new(request: Request) -> Response:
        return _new(visit(request, templates, "party:register"), NewDraft())

    @router.post("/desk/new")
    def draft(request: Request, asked: Annotated[NewDraft, Form()]) -> Response:
        here, apply = visit(request, templates, "party:register"), visit(request, templates, "case:apply")
        crypto = here.operations.crypto

        def do(now: Any) -> str:
            found = rights.search(now, crypto, here.access, id_type_code=asked.id_type_code, number=asked.number)
            party = found[0] if found else register(now, crypto, "enterprise" if asked.kind == "enterprise" else "person", asked.name, asked.id_type_code, asked.number, asked.phone or None)
            made = service.draft(now, crypto, here.operations.settings, apply.access, asked.draft(party.id))
            return f"/desk/cases/{made.id}"

        try:
            return go(here.once(asked.key, asked.model_dump(exclude={"key"}), do))
        except YiwangError as error:
            return _new(here, asked, error)

    return router


def _cases(here: Visit, asked: Asked, error: str = "", status: int = 200) -> Response:
    try:
        wanted = asked.filter(here.operations.settings.tzinfo)
    except ValueError:
        return _cases(here, Asked(), "日期或申请人的写法不对，日期应如 2026-06-30。", 422)
    crypto = here.operations.crypto

    def load(session: Any) -> tuple[Any, Any]:
        party = rights.shown(session, crypto, wanted.applicant_id) if here.principal.may("party:read") else None
        return service.listed(session, here.access, wanted, Paging(30, asked.cursor or None), here.at), party

    found, party = here.read(load)
    following = urlencode({name: value for name, value in asked.model_dump().items() if value} | {"cursor": found.next or ""})
    return here.page(
        "cases.html", status, ("matter",), found=found, asked=asked, phases=PHASES, lamp=lambda row: lamp(row, here.today), error=error, party=party, following=following,
        titles=code_tables()["L.id_type"] if here.principal.may("party:read") and here.principal.party_id is None else {},
    )  # fmt: skip


def _new(here: Visit, asked: NewDraft, error: YiwangError | None = None) -> Response:
    """The form for a draft, with what was filled in; never the number."""
    return here.page(
        "new.html", error.status.value if error else 200, ("matter", "window"), error=error.message if error else "", form=asked.model_dump(exclude={"key", "number"}),
        titles=code_tables()["L.id_type"], channels=code_tables()["L.channel"],
    )  # fmt: skip


def lamp(of: CaseFile | Task | Terms, today: date) -> tuple[str, str]:
    """Style and words of how urgent something is; never by colour alone."""
    if of.due_on is None:
        return "tag-soft", {
            "suspended": "暂停计时", "calendar_unpublished": f"暂定 {of.provisional_due_on or '未知'}，年历未公布", "not_accepted": "未受理",
        }.get(of.due_null_reason or "", "无期限")  # fmt: skip
    days = (of.due_on - today).days
    if days < 0:
        return "tag-bad", f"超期 {-days} 天"
    return ("tag-warn", f"剩 {days} 天") if days <= 3 else ("tag-good", f"剩 {days} 天")


def _case(here: Visit, case_id: UUID, error: str = "", failed: str = "", status: int = 200, revealed: dict[str, Any] | None = None) -> Response:
    operations = here.operations

    def look(session: Any) -> tuple[Look, list[Any], Any, Any]:
        seen = service.look(session, operations.crypto, operations.settings, here.access, case_id, here.at)
        told = service.events(session, here.access, case_id, Paging(200), here.at).items
        party = rights.shown(session, operations.crypto, seen.case.applicant_id) if not seen.is_applicant_hidden else None
        about = of_case(session, policy().access(here.principal, "feedback:read"), case_id) if here.principal.may("feedback:read") and seen.case.kind == "internal" else None
        return seen, list(told), party, about

    seen, told, party, about = here.read(look)
    titles = {action.action: action.title for action in seen.process.actions}
    forms = [_fields(seen, action) for action in seen.possible]
    form = json.dumps(seen.form, ensure_ascii=False, indent=2) if seen.form else ""
    declared = [(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)) for name, value in (revealed or seen.form or {}).items()]
    may_reveal = revealed is None and bool(seen.form) and here.principal.may("case:reveal")
    may_amend = not seen.is_form_hidden and seen.case.phase in service.EDITABLE and here.principal.may("case:apply")
    return here.page(
        "case.html", status, declared=declared, may_reveal=may_reveal, may_amend=may_amend, may_remove=may_amend and seen.case.phase == Phase.DRAFT and here.principal.may("case:remove"), seen=seen, case=seen.case, told=told, party=party, about=about, titles=titles, forms=forms, form=form, error=error, failed=failed, phases=PHASES,
        lamp=lamp(seen.terms, here.today), roles={name: role.title for name, role in policy().roles.items()}, basis=lambda authority: authority_title(authority, here.units),
        outcomes=code_tables()["L.outcome"], special=code_tables()["L.special_kind"],
    )  # fmt: skip


def _amend(here: Visit, case_id: UUID, form: dict[str, Any], version: int, key: str) -> Response:
    try:
        here.once(key, form | {"version": version}, lambda now: str(service.amend(now, here.operations.crypto, here.access, case_id, version, form).id))
    except YiwangError as error:
        return _refused(here, case_id, error, "form")
    return go(f"/desk/cases/{case_id}")


def _refused(here: Visit, case_id: UUID, error: YiwangError, failed: str) -> Response:
    """What is wrong, on the page of the case; where that is not there, or nothing is, the error's own page."""
    if error.status.value in (404, 503):
        raise error
    return _case(visit(here.request, here.templates, "case:read"), case_id, error.message, failed, error.status.value)


def _value(typed: str) -> Any:
    """What is declared, as it was: numbers, lists and the like are shown as JSON, and come back as such; all else is text."""
    try:
        found = json.loads(typed)
    except ValueError:
        return typed
    return found if not isinstance(found, str) and json.dumps(found, ensure_ascii=False) == typed else typed


def _fields(seen: Look, action: Any) -> dict[str, Any]:
    """What a form for an action asks for."""
    effect = action.effect
    return {
        "action": action, "reason": "required" if action.needs_reason or effect in MUST_SAY_WHY else "optional",
        "outcomes": list(action.outcomes) if len(action.outcomes) > 1 else [], "special": [(kind, code_tables()["L.special_kind"][kind]) for kind in seen.process.rules.special] if effect is Effect.SUSPEND else [],
        "days": effect is Effect.EXTEND, "unit": effect is Effect.TRANSFER,
        "missing": effect is Effect.SUPPLY or (effect is Effect.ACCEPT and seen.process.rules.tolerance is not None),
        "is_grave": effect in (Effect.REFUSE, Effect.TERMINATE, Effect.WITHDRAW) or "denied" in action.outcomes,
    }  # fmt: skip


def _workers() -> list[str]:
    return [name for name in policy().permissions["task:read"].who]


