"""``/api/v1/quality/packages``: the packages for the platform above, and the records held back from each."""

import datetime as dt
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from models.domain.settings import Settings
from quality.reporting import service as reporting
from serving.api.warehouse.quality import PREFIX
from serving.api.warehouse.router import BEARER, PROBLEMS
from serving.auth.service import WAREHOUSE_READ, require

Number = Annotated[str, Path(pattern=r"^[a-z_]+-\d{6}$", description="包号，例如 case-000001")]
PageNumber = Annotated[int, Query(ge=1, le=1_000_000, description="第几页")]
Size = Annotated[int, Query(ge=1, le=500, description="每页几条")]


class PackageSummary(BaseModel):
    """一个上报包。"""

    package: str = Field(description="包号")
    kind: Literal["build", "correct", "withdraw"] = Field(description="类型：build 上报、correct 更正、withdraw 撤回")
    subject: str = Field(description="主题")
    title: str = Field(description="主题的名称")
    first: dt.date | None = Field(description="上报期的起日；按清单的为空")
    last: dt.date | None = Field(description="上报期的止日；按清单的为空")
    as_of: dt.datetime = Field(description="数据截止时刻")
    built_at: dt.datetime = Field(description="建包时刻")
    counts: dict[str, int] = Field(description="行数，按 new 新增、late 补报、correct 更正、withdraw 撤回")
    held_back: int | None = Field(description="未上报的记录；按清单的为空")


class Packages(BaseModel):
    """一页上报包，新的在前。"""

    items: list[PackageSummary] = Field(description="上报包")
    count: int = Field(description="共有几个")


class Group(BaseModel):
    """一个部门因一个原因未上报的记录。"""

    department_code: str | None = Field(description="部门代码")
    department_name: str | None = Field(description="部门名称")
    rule_id: str = Field(description="规则；parent_held 等为规则以外的原因")
    rule: str = Field(description="规则或原因的名称")
    first: int = Field(description="计入这个原因的记录，每条只计一次")
    all: int = Field(description="这个原因涉及的记录")


class OnePackage(PackageSummary):
    """一个上报包，及其未上报的记录的数目。"""

    held: list[Group] = Field(description="未上报的记录，按部门和原因")


class Held(BaseModel):
    """一条记录未上报的一个原因。"""

    source: str = Field(description="数据源名称")
    record_key: str = Field(description="记录的主键，各部分以 / 连接")
    day: dt.date | None = Field(description="记录的日期")
    department_code: str | None = Field(description="部门代码")
    department_name: str | None = Field(description="部门名称")
    rule_id: str = Field(description="规则；parent_held 等为规则以外的原因")
    rule: str = Field(description="规则或原因的名称")
    field: str | None = Field(description="有问题的字段")
    value: str | None = Field(description="字段的值，个人信息已脱敏")
    message: str | None = Field(description="说明")
    is_first: bool = Field(description="是否计入这个原因")
    is_reported: bool = Field(description="上级是否有它的旧版")


class HeldPage(BaseModel):
    """一页未上报的记录。"""

    items: list[Held] = Field(description="未上报的记录及其原因")
    count: int = Field(description="共有几个原因")


def packages_router(settings: Settings) -> APIRouter:
    """The interface, for principals that may read the warehouse.

    Args:
        settings: The home whose packages are shown.
    """
    router = APIRouter(prefix=f"{PREFIX}/packages", tags=["数据质检"], dependencies=[require(WAREHOUSE_READ), BEARER], responses=PROBLEMS)

    @router.get("", summary="上报包列表", description="已生成的上报包，新的在前；各类记录数与未上报数来自包的清单。")
    def list_packages(
        subject: Annotated[Literal["matter", "case", "case_event", "certificate", "review"] | None, Query(description="主题")] = None,
        page: PageNumber = 1, size: Size = 100,
    ) -> Packages:  # fmt: skip
        found, count = reporting.built(settings, subject, page, size)
        return Packages(items=[PackageSummary(**_summary(manifest)) for manifest in found], count=count)

    @router.get("/{package}", summary="一个上报包", description="包的概况，及未上报的记录按部门和原因的数目。")
    def get_package(package: Number) -> OnePackage:
        groups = [Group(**vars(group)) for group in reporting.held_groups(settings, package)]
        return OnePackage(**_summary(reporting.manifest_of(settings, package)), held=groups)

    @router.get("/{package}/held", summary="一个上报包未上报的记录", description="未上报的记录及其全部原因，可按部门筛选；个人信息已脱敏。")
    def list_held_records(
        package: Number, department: Annotated[str | None, Query(max_length=200, description="部门代码；写成空的是未注明部门的")] = None,
        page: PageNumber = 1, size: Size = 100,
    ) -> HeldPage:  # fmt: skip
        found, count = reporting.held_lines(settings, package, department, page, size)
        return HeldPage(items=[Held(**vars(line)) for line in found], count=count)

    return router


def _summary(manifest: reporting.Manifest) -> dict[str, object]:
    period, closing = manifest.period, manifest.reconciliation
    return manifest.model_dump(include={"package", "kind", "subject", "title", "as_of", "built_at", "counts"}) | {
        "first": period and period.first, "last": period and period.last, "held_back": closing and closing.held_back,
    }  # fmt: skip
