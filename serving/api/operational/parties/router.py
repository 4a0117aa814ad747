"""``/api/v1/parties``: persons and enterprises, masked; in clear only by a reveal that is written down."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from models.core.parties import rights, service
from serving.api.operational.calls import BEARER, Call, permitted
from serving.api.operational.listing import Reason, Removed
from serving.api.operational.parties.schemas import (
    AmendedParty,
    FoundParties,
    NewParty,
    PartyItem,
    PartySearch,
    Reveal,
    Revealed,
)

router = APIRouter(prefix="/parties", tags=["办事主体"], dependencies=[BEARER])
Reader = Annotated[Call, permitted("party:read")]


@router.post("", response_model=PartyItem, status_code=201, summary="登记办事主体")
def register_party(body: NewParty, call: Annotated[Call, permitted("party:register")]) -> Response:
    """校验证件号码后加密保存；同一证件号码只能登记一次。"""
    return call.post(
        body, lambda now: PartyItem.of(service.masked(call.crypto, service.register(now, call.crypto, **body.model_dump()))),
        location=lambda made: f"/api/v1/parties/{made.id}",
    )  # fmt: skip


@router.post("/search", response_model=FoundParties, summary="查找办事主体")
def search_parties(body: PartySearch, call: Reader) -> Response:
    """按证件号码或电话查找，结果脱敏；查找记入审计。"""
    return call.post(body, lambda now: FoundParties(items=[
        PartyItem.of(service.masked(call.crypto, row))
        for row in rights.search(now, call.crypto, call.access, id_type_code=body.id_type_code, number=body.number, phone=body.phone)
    ]), status=200)  # fmt: skip


@router.get("/{party_id}", response_model=PartyItem, summary="一个办事主体")
def get_party(party_id: UUID, call: Reader) -> Response:
    """脱敏。"""
    return call.one(lambda session: PartyItem.of(service.masked(call.crypto, rights.reached(session, call.access, party_id))))


@router.patch("/{party_id}", response_model=PartyItem, summary="修改办事主体")
def amend_party(party_id: UUID, body: AmendedParty, call: Annotated[Call, permitted("party:amend")]) -> Response:
    """没有给出的不变。"""
    return call.change(lambda now, seen: PartyItem.of(service.masked(call.crypto, rights.amend(now, call.crypto, call.access, party_id, seen, **body.model_dump()))))


@router.post("/{party_id}/removal", response_model=Removed, summary="注销办事主体")
def remove_party(party_id: UUID, body: Reason, call: Annotated[Call, permitted("party:remove")]) -> Response:
    """须说明理由；记录保留，证件号码可以重新登记。"""
    return call.post(body, lambda now: Removed(id=str(rights.remove(now, call.access, party_id, body.reason))), status=200)


@router.post("/{party_id}/reveal", response_model=Revealed, summary="查看明文")
def reveal_party(party_id: UUID, body: Reveal, call: Annotated[Call, permitted("party:reveal")]) -> Response:
    """须说明理由；何人何时为何查看记入审计。不需要 Idempotency-Key：每次查看都是一次查看，明文从不保存。"""
    return call.disclose(lambda now: Revealed(value=rights.reveal(now, call.crypto, call.access, party_id, body.field, body.reason)))
