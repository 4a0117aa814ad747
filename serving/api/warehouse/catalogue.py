"""``/api/v1/warehouse/catalogue``: what there is, where it comes from, whether it is all there; by the warehouse's conventions."""

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from models.domain.errors import YiwangError
from models.store.catalogue import CatalogueRepository
from serving.api.answers import Answers
from serving.api.warehouse.parameters import AnyOf, Day, ItemParameters, ListParameters, Text
from serving.api.warehouse.router import BEARER, PREFIX, PROBLEMS, list_rows
from serving.api.warehouse.schemas import Item, Page
from serving.auth.service import WAREHOUSE_READ, require

router = APIRouter(prefix=f"{PREFIX}/catalogue", tags=["数据目录"], dependencies=[require(WAREHOUSE_READ), BEARER], responses=PROBLEMS)


class Source(BaseModel):
    """一个数据源的一个主题。"""

    source: str | None = Field(description="数据源名称")
    subject: str | None = Field(description="数据主题")
    kind: str | None = Field(description="连接方式；不在配置中的为空")
    location: str | None = Field(description="位置，密码与令牌已隐去")
    owner: str | None = Field(description="负责人")
    is_configured: bool | None = Field(description="是否在同步配置中")
    table_name: str | None = Field(description="读入后所在的集市表")
    row_count: int | None = Field(description="现有记录数")
    quarantined: int | None = Field(description="隔离行数")
    last_checked_at: dt.datetime | None = Field(description="最近检查时刻")
    last_read_at: dt.datetime | None = Field(description="最近读入时刻")
    newest_at: dt.datetime | None = Field(description="最新记录的时刻，不晚于 as_of")
    started_on: dt.date | None = Field(description="起始日")
    habit: str | None = Field(description="到数规律：daily 按工作日、monthly 按月、irregular 无规律；基础数据为空")
    missing_partitions: int | None = Field(description="缺失分区数")
    unexpected_partitions: int | None = Field(description="多余分区数")
    freshness: str | None = Field(description="是否及时：fresh 及时、stale 滞后、empty 没有数据、no_rule 不判断")
    freshness_reason: str | None = Field(description="判断依据")


class Table(BaseModel):
    """一张表、一个视图或其他产物。"""

    table_name: str | None = Field(description="名称：层.表名")
    layer: str | None = Field(description="层：source、raw、ops、staging、intermediate、marts、publish、exposure")
    title: str | None = Field(description="中文名称")
    description: str | None = Field(description="一行代表什么")
    owner: str | None = Field(description="负责人")
    kind: str | None = Field(description="类型：table、view、ephemeral、source、file 或使用者的类型")
    row_count: int | None = Field(description="行数；视图和文件为空")
    column_count: int | None = Field(description="列数")
    sort_order: int | None = Field(description="从数据源到使用者的顺序")


class Column(BaseModel):
    """一列。"""

    table_name: str | None = Field(description="所在的表")
    position: int | None = Field(description="顺序，从 1 起")
    column_name: str | None = Field(description="列名")
    data_type: str | None = Field(description="数据类型")
    title: str | None = Field(description="中文名称")
    description: str | None = Field(description="说明")
    gb_item: str | None = Field(description="GB/T 39046-2020 数据项")
    code_table: str | None = Field(description="码表")
    is_personal: bool | None = Field(description="是否个人信息（含其脱敏值和摘要）")


class Edge(BaseModel):
    """一个产物由另一个产物得来。"""

    upstream: str | None = Field(description="上游")
    downstream: str | None = Field(description="下游")
    told_by: str | None = Field(description="依据：dbt、dagster、sync、pipelines")


class Partition(BaseModel):
    """一个数据源在一张表里一天（或一月）的数据。"""

    table_name: str | None = Field(description="表")
    source: str | None = Field(description="数据源名称")
    subject: str | None = Field(description="数据主题")
    grain: str | None = Field(description="粒度：day 日、month 月")
    partition_on: dt.date | None = Field(description="日期，按月的为该月首日；没有日期的为空")
    row_count: int | None = Field(description="行数")
    is_expected: bool | None = Field(description="是否应有")
    verdict: str | None = Field(description="结论：ok 正常、missing 缺失、unexpected 多余")
    reason: str | None = Field(description="原因：no_rows_on_working_day、no_rows_in_month、too_early、before_start、after_as_of、no_day")


class Neighbour(BaseModel):
    """上游或下游的一个产物。"""

    table_name: str = Field(description="名称")
    title: str | None = Field(description="中文名称")
    told_by: str | None = Field(description="依据")


class Series(BaseModel):
    """一个数据源在一张表里的分区概况。"""

    table_name: str = Field(description="表")
    source: str | None = Field(description="数据源名称")
    subject: str | None = Field(description="数据主题")
    ok: int = Field(description="正常分区数")
    missing: int = Field(description="缺失分区数")
    unexpected: int = Field(description="多余分区数")
    row_count: int = Field(description="行数")
    grain: str | None = Field(description="粒度")
    first_on: dt.date | None = Field(description="最早分区")
    last_on: dt.date | None = Field(description="最晚分区")


class TableDetail(Table):
    """一张表及其各列、上下游和分区概况。"""

    columns: list[Column] = Field(description="各列")
    upstream: list[Neighbour] = Field(description="上游")
    downstream: list[Neighbour] = Field(description="下游")
    partitions: list[Series] = Field(description="分区概况")


class SourceParameters(ListParameters):
    """Filters of sources."""

    source: AnyOf | None = Field(None, description="数据源名称")
    subject: AnyOf | None = Field(None, description="数据主题")
    kind: AnyOf | None = Field(None, description="连接方式")
    freshness: AnyOf | None = Field(None, description="是否及时：fresh、stale、empty、no_rule")
    is_configured: bool | None = Field(None, description="是否在同步配置中")


class TableParameters(ListParameters):
    """Filters of tables."""

    layer: AnyOf | None = Field(None, description="层")
    kind: AnyOf | None = Field(None, description="类型")
    owner: AnyOf | None = Field(None, description="负责人")
    name: Text | None = Field(None, description="名称中的文字")
    title: Text | None = Field(None, description="中文名称中的文字")


class ColumnParameters(ListParameters):
    """Filters of columns."""

    table_name: AnyOf | None = Field(None, description="所在的表")
    column_name: AnyOf | None = Field(None, description="列名")
    gb_item: AnyOf | None = Field(None, description="GB/T 39046-2020 数据项")
    code_table: AnyOf | None = Field(None, description="码表")
    is_personal: bool | None = Field(None, description="是否个人信息")
    title: Text | None = Field(None, description="中文名称中的文字")


class LineageParameters(ListParameters):
    """Filters of the lineage."""

    upstream: AnyOf | None = Field(None, description="上游")
    downstream: AnyOf | None = Field(None, description="下游")
    told_by: AnyOf | None = Field(None, description="依据：dbt、dagster、sync、pipelines")


class PartitionParameters(ListParameters):
    """Filters of partitions."""

    table_name: AnyOf | None = Field(None, description="表")
    source: AnyOf | None = Field(None, description="数据源名称")
    subject: AnyOf | None = Field(None, description="数据主题")
    grain: AnyOf | None = Field(None, description="粒度：day、month")
    verdict: AnyOf | None = Field(None, description="结论：ok、missing、unexpected")
    reason: AnyOf | None = Field(None, description="原因")
    is_expected: bool | None = Field(None, description="是否应有")
    partition_from: Day | None = Field(None, description="日期不早于")
    partition_to: Day | None = Field(None, description="日期不晚于")


@router.get("/sources", response_model=Page[Source], summary="数据源列表")
async def list_sources(request: Request, wanted: Annotated[SourceParameters, Query()]) -> Response:
    """数据源的各个主题：位置、负责人、最近读入、是否及时、分区是否齐全；默认按数据源名称排序。"""
    return await list_rows(request, "catalogue/sources", wanted)


@router.get("/tables", response_model=Page[Table], summary="表列表")
async def list_tables(request: Request, wanted: Annotated[TableParameters, Query()]) -> Response:
    """各层的表、视图、报告和使用者，默认从数据源到使用者排列。"""
    return await list_rows(request, "catalogue/tables", wanted)


@router.get("/tables/{table_name:path}", response_model=Item[TableDetail], summary="一张表及其各列、上下游和分区概况")
async def get_table(request: Request, table_name: str, wanted: Annotated[ItemParameters, Query()]) -> Response:
    """按名称（如 marts.fct_case）取一张表。"""
    answers: Answers = request.app.state.answers
    snapshot = answers.warehouse.snapshot(wanted.as_of)

    def read() -> dict[str, Any]:
        found = CatalogueRepository(answers.warehouse.store).table(snapshot, table_name)
        if found is None:
            raise YiwangError("YW-SERVE-006", what="表")
        return {"item": found}

    return await answers.give(request, wanted, snapshot, read)


@router.get("/columns", response_model=Page[Column], summary="列列表")
async def list_columns(request: Request, wanted: Annotated[ColumnParameters, Query()]) -> Response:
    """各表的列：国标数据项、码表、说明、是否个人信息；默认按表名排序。"""
    return await list_rows(request, "catalogue/columns", wanted)


@router.get("/lineage", response_model=Page[Edge], summary="血缘列表")
async def list_lineage(request: Request, wanted: Annotated[LineageParameters, Query()]) -> Response:
    """每个产物由哪些产物得来，从数据源到报告和使用者。"""
    return await list_rows(request, "catalogue/lineage", wanted)


@router.get("/partitions", response_model=Page[Partition], summary="分区列表")
async def list_partitions(request: Request, wanted: Annotated[PartitionParameters, Query()]) -> Response:
    """各数据源按日（或按月）的行数，缺失和多余的分区都列出；默认最近一天在前。"""
    return await list_rows(request, "catalogue/partitions", wanted)
