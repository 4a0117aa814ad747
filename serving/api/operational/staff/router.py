"""``/api/v1/{staff,grants}``: people who work here, and the roles that they hold."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from models.core.organisation import staff
from models.core.policy.service import policy
from serving.api.operational.calls import BEARER, Call, Code, PageParameters, Strict, Text, permitted
from serving.api.operational.listing import Listed, Shown

router = APIRouter(tags=["人员和角色"], dependencies=[BEARER])
Reader = Annotated[Call, permitted("staff:read")]
Editor = Annotated[Call, permitted("staff:edit")]
Giver = Annotated[Call, permitted("grant:give")]


class NewStaff(Strict):
    """要添加的人员。"""

    model_config = ConfigDict(json_schema_extra={"example": {"account": "zhangsan", "name": "张三", "unit_code": "B01", "phone": "13900000000"}})

    account: Code = Field(description="统一身份认证中的账号")
    name: Text = Field(description="姓名")
    unit_code: Code = Field(description="所属机构")
    phone: Text | None = Field(None, description="电话，加密保存")


class ChangedStaff(Strict):
    """要修改的内容；没有给出的不变。"""

    model_config = ConfigDict(json_schema_extra={"example": {"unit_code": "B02"}})

    name: Text | None = Field(None, description="姓名")
    unit_code: Code | None = Field(None, description="所属机构；角色不随之移动")
    phone: Text | None = Field(None, description="电话")


class StaffItem(Shown):
    """人员。"""

    id: UUID = Field(description="标识")
    account: str = Field(description="账号")
    name: str = Field(description="姓名")
    unit_code: str = Field(description="所属机构")
    phone: str | None = Field(description="电话，脱敏")
    left_at: dt.datetime | None = Field(description="离开时间")
    version: int = Field(description="版本，与 ETag 相同")


class StaffParameters(PageParameters):
    """人员列表的条件。"""

    unit_code: Code | None = Field(None, description="所属机构")
    account: Code | None = Field(None, description="账号")


class NewGrant(Strict):
    """要授予的角色。"""

    model_config = ConfigDict(json_schema_extra={"example": {"staff_id": "01909a4e-0000-7000-8000-000000000001", "role": "approver", "unit_code": "B01"}})

    staff_id: UUID = Field(description="授予谁")
    role: Code = Field(description="角色")
    unit_code: Code | None = Field(None, description="在哪个机构；不按机构授予的角色不写")
    valid_to: dt.datetime | None = Field(None, description="截止时间，须有时区；空为长期")


class GrantItem(Shown):
    """授予的角色。"""

    id: UUID = Field(description="标识")
    staff_id: UUID = Field(description="谁")
    role: str = Field(description="角色")
    unit_code: str = Field(description="机构，空为不按机构")
    valid_from: dt.datetime = Field(description="起始时间")
    valid_to: dt.datetime | None = Field(description="截止时间")
    given_by: str = Field(description="何人授予")


class RoleItem(BaseModel):
    """一种角色。"""

    role: str = Field(description="代码")
    title: str = Field(description="名称")
    of: str = Field(description="unit 按机构授予，platform 不按机构授予")
    excludes: list[str] = Field(description="不能由同一人担任的角色")
    is_for_systems: bool = Field(description="系统密钥也可以有")


class Roles(BaseModel):
    """全部角色；由平台规定，不分页。"""

    items: list[RoleItem] = Field(description="各角色")


class GrantParameters(PageParameters):
    """角色列表的条件。"""

    staff_id: UUID | None = Field(None, description="谁的")
    account: Code | None = Field(None, description="谁的，按账号")
    role: Code | None = Field(None, description="角色")
    unit_code: Code | None = Field(None, description="在哪个机构")


@router.get("/staff", response_model=Listed[StaffItem], summary="人员列表")
def list_staff(wanted: Annotated[StaffParameters, Query()], call: Reader) -> Response:
    """有权查看的人员，含已离开的。"""
    return call.page(
        lambda session: staff.listed(session, call.access, wanted.paging, unit_code=wanted.unit_code, account=wanted.account),
        lambda row: StaffItem.of(staff.shown(call.crypto, row)),
    )  # fmt: skip


@router.post("/staff", response_model=StaffItem, status_code=201, summary="添加人员")
def add_staff(body: NewStaff, call: Editor) -> Response:
    """添加后没有任何角色，由安全管理员授予。"""
    return call.post(
        body, lambda now: StaffItem.of(staff.shown(call.crypto, staff.add(now, call.crypto, **body.model_dump()))),
        location=lambda made: f"/api/v1/staff/{made.id}",
    )  # fmt: skip


@router.get("/staff/{staff_id}", response_model=StaffItem, summary="一个人员")
def get_staff(staff_id: UUID, call: Reader) -> Response:
    """电话脱敏。"""
    return call.one(lambda session: StaffItem.of(staff.shown(call.crypto, staff.get(session, call.access, staff_id))))


@router.patch("/staff/{staff_id}", response_model=StaffItem, summary="修改人员")
def change_staff(staff_id: UUID, body: ChangedStaff, call: Editor) -> Response:
    """没有给出的不变。"""
    return call.change(
        lambda now, seen: StaffItem.of(staff.shown(call.crypto, staff.change(now, call.crypto, call.access, staff_id, seen, **body.model_dump())))
    )  # fmt: skip


@router.put("/staff/{staff_id}/leave", response_model=StaffItem, summary="人员离开")
def leave_staff(staff_id: UUID, call: Editor) -> Response:
    """自此时起一切角色失效，登录随即失效。"""
    return call.change(lambda now, seen: StaffItem.of(staff.shown(call.crypto, staff.leave(now, call.access, staff_id, seen))))


@router.get("/grants", response_model=Listed[GrantItem], summary="角色列表")
def list_grants(wanted: Annotated[GrantParameters, Query()], call: Annotated[Call, permitted("grant:read")]) -> Response:
    """授予的角色，含已失效的。"""
    return call.page(lambda session: staff.grants(session, wanted.paging, **wanted.model_dump(exclude={"limit", "cursor"})), GrantItem.of)


@router.get("/roles", response_model=Roles, summary="角色的种类")
def list_roles(call: Annotated[Call, permitted("grant:read")]) -> Response:
    """可以授予的角色，怎样授予，与哪些不能由同一人担任。"""
    known = policy()
    return call.one(lambda _: Roles(items=[RoleItem(role=name, is_for_systems=name in known.systems, **role.model_dump()) for name, role in known.roles.items()]))


@router.post("/grants", response_model=GrantItem, status_code=201, summary="授予角色")
def give_grant(body: NewGrant, call: Giver) -> Response:
    """不能授予自己；系统、安全、审计管理员不能由同一人担任。"""
    return call.post(body, lambda now: GrantItem.of(staff.grant(now, body.staff_id, body.role, body.unit_code or "", body.valid_to)))


@router.post("/grants/{grant_id}/withdrawal", response_model=GrantItem, summary="收回角色")
def withdraw_grant(grant_id: UUID, call: Giver) -> Response:
    """自此时起失效。"""
    return call.post(None, lambda now: GrantItem.of(staff.withdraw(now, grant_id)), status=200)
