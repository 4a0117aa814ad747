"""``/api/v1/audit``: what was done, for the audit administrator; whether it is whole is found by ``yiwang audit verify``."""

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from models.core.audit import reading
from serving.api.operational.calls import BEARER, Call, Code, PageParameters, Text, permitted
from serving.api.operational.listing import Listed, Shown

router = APIRouter(prefix="/audit", tags=["审计"], dependencies=[BEARER])


class AuditItem(Shown):
    """一条审计记录。"""

    position: int = Field(description="序号")
    is_readable: bool = Field(description="false：这一行被改得无法读取，其余各项为空；请运行 yiwang audit verify")
    at: dt.datetime | None = Field(description="时间")
    actor: str = Field(description="何人")
    authority: str = Field(description="依据")
    action: str = Field(description="做了什么")
    target: str = Field(description="对什么")
    detail: dict[str, Any] | None = Field(description="详情，不含明文个人信息")
    chain_number: int | None = Field(description="链中的序号；尚未封存时为空")


class AuditParameters(PageParameters):
    """审计记录的条件。"""

    actor: Text | None = Field(None, description="何人")
    target: Text | None = Field(None, description="对什么，如 case:…")
    action: Code | None = Field(None, description="做了什么，如 party.revealed")
    since: dt.datetime | None = Field(None, description="自此时起")
    until: dt.datetime | None = Field(None, description="至此时止")


@router.get("", response_model=Listed[AuditItem], summary="审计记录")
def list_audit(wanted: Annotated[AuditParameters, Query()], call: Annotated[Call, permitted("audit:read")]) -> Response:
    """最新的在前；查看审计记录本身也记入审计。"""
    asked = wanted.model_dump(exclude={"limit", "cursor"}, exclude_none=True)
    return call.watched_page(lambda now: reading.listed(now, wanted.paging, **asked), AuditItem.of)
