"""``/api/v1/{keys,sessions}``: ways in, for the security administrator."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, ConfigDict, Field
from starlette.responses import Response

from models.core.access import service
from models.core.policy.service import Grant
from serving.api.operational.calls import BEARER, Call, Code, PageParameters, Strict, Text, permitted
from serving.api.operational.listing import Listed, Shown

router = APIRouter(tags=["系统密钥和会话"], dependencies=[BEARER])
KeyEditor = Annotated[Call, permitted("key:edit")]


class KeyGrant(Strict):
    """密钥的一个角色。"""

    role: Code = Field(description="角色")
    unit_code: Code | None = Field(None, description="在哪个机构；空为全部")


class NewKey(Strict):
    """要签发的密钥。"""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "城市 APP", "grants": [{"role": "clerk", "unit_code": "B01"}], "expires_at": "2027-06-30T00:00:00+08:00"}})

    name: Text = Field(description="给哪个系统")
    grants: list[KeyGrant] = Field(min_length=1, max_length=50, description="角色")
    expires_at: AwareDatetime = Field(description="到期时间")
    unit_code: Code | None = Field(None, description="系统所属机构")


class KeyItem(Shown):
    """系统密钥。"""

    id: UUID = Field(description="标识")
    name: str = Field(description="给哪个系统")
    grants: list[str] = Field(description="角色@机构")
    expires_at: dt.datetime = Field(description="到期时间")
    revoked_at: dt.datetime | None = Field(description="吊销时间")
    created_by: str = Field(description="何人签发")
    confirmed_at: dt.datetime | None = Field(description="确认时间；确认之前不能使用")
    confirmed_by: str | None = Field(description="何人确认")


class IssuedKey(Shown):
    """新签发的密钥。"""

    id: UUID = Field(description="标识")
    secret: str | None = Field(description="密钥，只显示这一次")


class SessionItem(Shown):
    """登录会话。"""

    id: UUID = Field(description="标识")
    subject: str = Field(description="谁")
    methods: list[str] = Field(description="登录方式（RFC 8176）")
    created_at: dt.datetime = Field(description="登录时间")
    used_at: dt.datetime = Field(description="最近使用")
    expires_at: dt.datetime = Field(description="最迟结束")
    ended_at: dt.datetime | None = Field(description="结束时间")


class SessionParameters(PageParameters):
    """会话列表的条件。"""

    subject: Text | None = Field(None, description="谁，如 staff:…")


@router.get("/keys", response_model=Listed[KeyItem], summary="系统密钥列表")
def list_keys(wanted: Annotated[PageParameters, Query()], call: Annotated[Call, permitted("key:read")]) -> Response:
    """含已吊销和到期的。"""
    return call.page(lambda session: service.keys(session, wanted.paging), KeyItem.of)


@router.post("/keys", response_model=IssuedKey, status_code=201, summary="签发系统密钥")
def issue_key(body: NewKey, call: KeyEditor) -> Response:
    """密钥只显示一次，系统只保存其摘要；重复的请求不再显示。由系统管理员确认之后才能使用。"""
    grants = [Grant(each.role, each.unit_code or "") for each in body.grants]
    return call.post(body, lambda now: IssuedKey.of(service.issue_key(now, body.name, grants, body.expires_at, body.unit_code or "")), shown_once="secret")


@router.post("/keys/{key_id}/confirmation", response_model=KeyItem, summary="确认系统密钥")
def confirm_key(key_id: UUID, call: Annotated[Call, permitted("key:confirm")]) -> Response:
    """须由签发人以外的管理员确认，此后密钥才能使用。"""
    return call.post(None, lambda now: KeyItem.of(service.confirm_key(now, key_id)), status=200)


@router.post("/keys/{key_id}/revocation", response_model=KeyItem, summary="吊销系统密钥")
def revoke_key(key_id: UUID, call: KeyEditor) -> Response:
    """自此时起不再有效。"""
    return call.post(None, lambda now: KeyItem.of(service.revoke_key(now, key_id)), status=200)


@router.get("/sessions", response_model=Listed[SessionItem], summary="登录会话列表")
def list_sessions(wanted: Annotated[SessionParameters, Query()], call: Annotated[Call, permitted("session:read")]) -> Response:
    """尚未结束的会话。"""
    return call.page(lambda session: service.sessions(session, wanted.paging, call.at, subject=wanted.subject), SessionItem.of)


@router.post("/sessions/{session_id}/end", response_model=SessionItem, summary="结束登录会话")
def end_session(session_id: UUID, call: Annotated[Call, permitted("session:end")]) -> Response:
    """下一个请求即须重新登录。"""
    return call.post(None, lambda now: SessionItem.of(service.end_session(now, session_id, "administrator")), status=200)
