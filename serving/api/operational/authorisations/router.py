"""``/api/v1/authorisations``: who may act for whom."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from models.core.parties import rights
from models.core.parties.authority import evidence_of
from models.store.operational.tables import Authorisation
from serving.api.operational.calls import BEARER, Call, PageParameters, permitted
from serving.api.operational.listing import Listed, Reason
from serving.api.operational.parties.schemas import AuthorisationItem, NewAuthorisation

router = APIRouter(prefix="/authorisations", tags=["授权"], dependencies=[BEARER])


class AuthorisationParameters(PageParameters):
    """授权列表的条件。"""

    party_id: UUID | None = Field(None, description="委托人或代理人")


@router.get("", response_model=Listed[AuthorisationItem], summary="授权列表")
def list_authorisations(wanted: Annotated[AuthorisationParameters, Query()], call: Annotated[Call, permitted("authorisation:read")]) -> Response:
    """给出的和得到的授权，含已撤销和到期的。"""
    return call.page(lambda session: rights.authorisations(session, call.access, wanted.paging, party_id=wanted.party_id), _item(call))


@router.post("", response_model=AuthorisationItem, status_code=201, summary="授权")
def give_authorisation(body: NewAuthorisation, call: Annotated[Call, permitted("authorisation:give")]) -> Response:
    """本人给出，或由窗口人员凭授权书登记。"""
    return call.post(body, lambda now: _item(call)(rights.give(now, call.crypto, call.access, **body.model_dump())))


@router.post("/{authorisation_id}/revocation", response_model=AuthorisationItem, summary="撤销授权")
def revoke_authorisation(authorisation_id: UUID, body: Reason, call: Annotated[Call, permitted("authorisation:revoke")]) -> Response:
    """自撤销时起不再有效。"""
    return call.post(body, lambda now: _item(call)(rights.revoke_given(now, call.access, authorisation_id, body.reason)), status=200)


def _item(call: Call) -> Callable[[Authorisation], AuthorisationItem]:
    """How an authorisation is shown."""
    return lambda row: AuthorisationItem.of(row).model_copy(update={"evidence": evidence_of(call.crypto, row)})
