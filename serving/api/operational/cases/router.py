"""``/api/v1/cases``: applications and what is done to them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from models.core.handling import service
from serving.api.operational.calls import BEARER, Call, PageParameters, permitted
from serving.api.operational.cases.schemas import (
    AmendedCase,
    CaseDetail,
    CaseEventItem,
    CaseParameters,
    CaseSummary,
    NewCase,
    NewMove,
    RevealedForm,
)
from serving.api.operational.listing import Listed, Reason, Removed

router = APIRouter(prefix="/cases", tags=["办件"], dependencies=[BEARER])
Reader = Annotated[Call, permitted("case:read")]
Applicant = Annotated[Call, permitted("case:apply")]


@router.get("", response_model=Listed[CaseSummary], summary="办件列表")
def list_case_files(wanted: Annotated[CaseParameters, Query()], call: Reader) -> Response:
    """有权查看的办件，最新的在前。"""
    return call.page(lambda session: service.listed(session, call.access, wanted.filter(call.settings.tzinfo), wanted.paging, call.at), CaseSummary.of)


@router.post("", response_model=CaseSummary, status_code=201, summary="起草申请")
def draft_case(body: NewCase, call: Applicant) -> Response:
    """本人、代理人（须有有效授权）或窗口人员代为起草；提交之前是草稿。"""
    return call.post(
        body, lambda now: CaseSummary.of(service.draft(now, call.crypto, call.settings, call.access, body.draft())),
        location=lambda made: f"/api/v1/cases/{made.id}",
    )  # fmt: skip


@router.get("/{case_id}", response_model=CaseDetail, summary="一个办件")
def get_case_file(case_id: UUID, call: Reader) -> Response:
    """办件、待办、到期日和您此刻可以办理的动作。"""
    return call.one(lambda session: CaseDetail.of_look(service.look(session, call.crypto, call.settings, call.access, case_id, call.at)))


@router.patch("/{case_id}", response_model=CaseSummary, summary="修改申请内容")
def amend_case(case_id: UUID, body: AmendedCase, call: Applicant) -> Response:
    """草稿、预审退回和补正时可以修改。"""
    return call.change(lambda now, seen: CaseSummary.of(service.amend(now, call.crypto, call.access, case_id, seen, body.form)))


@router.post("/{case_id}/reveal", response_model=RevealedForm, summary="查看申请内容明文")
def reveal_case(case_id: UUID, body: Reason, call: Annotated[Call, permitted("case:reveal")]) -> Response:
    """须说明理由；何人何时为何查看记入审计。不需要 Idempotency-Key：每次查看都是一次查看，明文从不保存。"""
    return call.disclose(lambda now: RevealedForm(form=service.reveal(now, call.crypto, call.access, case_id, body.reason)))


@router.post("/{case_id}/actions", response_model=CaseSummary, summary="办理")
def act_on_case(case_id: UUID, body: NewMove, call: Annotated[Call, permitted("case:act")]) -> Response:
    """提交、受理、审批、办结、送达、撤回等全部动作；给出 If-Match 时，办件已被他人办理则不办理。"""
    return call.post(body, lambda now: CaseSummary.of(service.act(now, call.settings, call.access, case_id, body.move(), call.seen())), status=200)


@router.post("/{case_id}/removal", response_model=Removed, summary="删除草稿")
def remove_case(case_id: UUID, body: Reason, call: Annotated[Call, permitted("case:remove")]) -> Response:
    """只能删除尚未提交的草稿，须说明理由并给出 If-Match；已提交的请撤回。"""
    version = call.version()
    return call.post(body, lambda now: Removed(id=str(service.remove(now, call.access, case_id, version, body.reason).id)), status=200)


@router.get("/{case_id}/events", response_model=Listed[CaseEventItem], summary="办件的环节")
def list_events(case_id: UUID, wanted: Annotated[PageParameters, Query()], call: Reader) -> Response:
    """办件经过的全部环节，按先后。"""
    return call.page(lambda session: service.events(session, call.access, case_id, wanted.paging, call.at), CaseEventItem.of)
