"""What is said about parties."""

import datetime as dt
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from serving.api.operational.calls import Code, LongText, Strict, Text
from serving.api.operational.listing import Shown

_NUMBER = Field(min_length=4, max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$", description="证件号码")


class NewParty(Strict):
    """要登记的办事主体。"""

    model_config = ConfigDict(json_schema_extra={"example": {"kind": "enterprise", "name": "样例餐饮有限公司", "id_type_code": "990", "number": "91430100MA4L16B41G", "phone": "0731-88888888"}})

    kind: Literal["person", "enterprise"] = Field(description="person 个人，enterprise 企业")
    name: Text = Field(description="姓名或名称")
    id_type_code: Code = Field(description="证件类型（码表 L.id_type）")
    number: str = _NUMBER
    phone: Text | None = Field(None, description="电话")


class AmendedParty(Strict):
    """要修改的内容；没有给出的不变。"""

    model_config = ConfigDict(json_schema_extra={"example": {"phone": "13900000000"}})

    name: Text | None = Field(None, description="姓名或名称")
    number: str | None = Field(None, min_length=4, max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$", description="证件号码")
    phone: Text | None = Field(None, description="电话")


class PartySearch(Strict):
    """按证件号码或电话查找；内容在请求体中，不进网址和日志。"""

    model_config = ConfigDict(json_schema_extra={"example": {"id_type_code": "990", "number": "91430100MA4L16B41G"}})

    id_type_code: Code | None = Field(None, description="证件类型，与号码一起给出")
    number: str | None = Field(None, min_length=4, max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$", description="证件号码")
    phone: Text | None = Field(None, description="电话")


class Reveal(Strict):
    """要查看的明文。"""

    model_config = ConfigDict(json_schema_extra={"example": {"field": "phone", "reason": "电话通知补正材料"}})

    field: Literal["name", "number", "phone"] = Field(description="name 姓名或名称，number 证件号码，phone 电话")
    reason: LongText = Field(description="理由，记入审计")


class PartyItem(Shown):
    """办事主体，脱敏。"""

    id: UUID = Field(description="标识")
    kind: str = Field(description="person 个人，enterprise 企业")
    id_type_code: str = Field(description="证件类型")
    name: str = Field(description="姓名或名称，脱敏")
    number: str = Field(description="证件号码，脱敏")
    phone: str | None = Field(description="电话，脱敏")
    version: int = Field(description="版本，与 ETag 相同")


class FoundParties(BaseModel):
    """找到的办事主体。"""

    items: list[PartyItem] = Field(description="至多 20 个")


class Revealed(BaseModel):
    """明文。"""

    value: str | None = Field(description="明文；没有登记时为空")


class NewAuthorisation(Strict):
    """要给出的授权。"""

    model_config = ConfigDict(json_schema_extra={"example": {
        "principal_id": "01909a4e-0000-7000-8000-000000000001", "agent_id": "01909a4e-0000-7000-8000-000000000002", "matters": ["*"], "actions": ["submit", "withdraw"],
        "valid_from": "2026-07-01T00:00:00+08:00", "valid_to": "2026-12-31T00:00:00+08:00", "evidence": "授权委托书 2026-001",
    }})  # fmt: skip

    principal_id: UUID = Field(description="委托人")
    agent_id: UUID = Field(description="代理人")
    matters: list[Code | Literal["*"]] = Field(min_length=1, max_length=200, description="事项的实施编码，* 为全部")
    actions: list[Code | Literal["*"]] = Field(min_length=1, max_length=50, description="动作，* 为全部")
    valid_from: dt.datetime = Field(description="起始时间，须有时区")
    valid_to: dt.datetime = Field(description="截止时间，须有时区")
    evidence: LongText = Field(description="授权书的编号或存放位置")
    is_special: bool = Field(False, description="含代为承诺（须特别授权）")


class AuthorisationItem(Shown):
    """授权。"""

    id: UUID = Field(description="标识")
    principal_id: UUID = Field(description="委托人")
    agent_id: UUID = Field(description="代理人")
    matters: list[str] = Field(description="事项")
    actions: list[str] = Field(description="动作")
    is_special: bool = Field(description="含代为承诺")
    valid_from: dt.datetime = Field(description="起始时间")
    valid_to: dt.datetime = Field(description="截止时间")
    evidence: str = Field(description="依据")
    revoked_at: dt.datetime | None = Field(description="撤销时间")
