"""``/api/v1/quality``: the quality ledger: violations, rules, what was looked at, by department and by day; by the warehouse's conventions."""

import datetime as dt
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from models.domain.errors import YiwangError
from models.store.quality import QualityRepository
from serving.api.answers import Answers
from serving.api.warehouse.parameters import AnyOf, Day, ItemParameters, ListParameters, Text
from serving.api.warehouse.router import BEARER, PROBLEMS, list_rows
from serving.api.warehouse.schemas import Item, Page
from serving.auth.service import WAREHOUSE_READ, require

PREFIX = "/api/v1/quality"

router = APIRouter(prefix=PREFIX, tags=["数据质检"], dependencies=[require(WAREHOUSE_READ), BEARER], responses=PROBLEMS)

Severities = Annotated[list[Literal["blocks", "counts", "advises"]], Field(max_length=3)]


class Violation(BaseModel):
    """一条记录不符合一条规则。"""

    rule_id: str | None = Field(description="规则")
    table_name: str | None = Field(description="集市表")
    source: str | None = Field(description="数据源名称")
    record_key: str | None = Field(description="记录的主键，各部分以 / 连接")
    field: str | None = Field(description="有问题的字段")
    value: str | None = Field(description="字段的值，个人信息已脱敏")
    department_code: str | None = Field(description="部门代码")
    partition_on: dt.date | None = Field(description="记录所在的日期分区")
    severity: str | None = Field(description="等级：blocks 阻断上报、counts 计入质量、advises 提示")
    dimension: str | None = Field(description="质量维度")
    message: str | None = Field(description="说明")
    first_seen_run: str | None = Field(description="首次发现的运行")
    first_seen_at: dt.datetime | None = Field(description="首次发现时的数据截止时刻")
    last_seen_run: str | None = Field(description="最近一次看到的运行")
    last_seen_at: dt.datetime | None = Field(description="最近一次看到时的数据截止时刻")
    healed_run: str | None = Field(description="整改后首次运行；未整改为空")
    healed_at: dt.datetime | None = Field(description="整改后首次运行的数据截止时刻；未整改为空")
    times_reopened: int | None = Field(description="整改后又出现的次数")


class RuleState(BaseModel):
    """一条规则及其最近一次评估。"""

    rule_id: str | None = Field(description="规则")
    table_name: str | None = Field(description="集市表")
    subject: str | None = Field(description="主题")
    dimension: str | None = Field(description="质量维度")
    severity: str | None = Field(description="等级")
    gate: bool | None = Field(description="不通过则不发布")
    title: str | None = Field(description="问题")
    owner: str | None = Field(description="责任角色")
    standard: str | None = Field(description="依据")
    clause: str | None = Field(description="条款")
    remedy: str | None = Field(description="怎么改")
    run_id: str | None = Field(description="评估的运行")
    status: str | None = Field(description="evaluated 已评估，empty 没有可检查的行，not_evaluated 未评估，missing 缺少数据表")
    reason: str | None = Field(description="未评估的原因")
    sampled: int | None = Field(description="问题过多时列出的条数")
    fingerprint: str | None = Field(description="规则内容的摘要，变了就全部重新评估")
    inputs: str | None = Field(description="规则还读取的其他表")


class PartitionCheck(BaseModel):
    """一条规则在一个分区的最近一次评估。"""

    run_id: str | None = Field(description="评估的运行")
    rule_id: str | None = Field(description="规则")
    table_name: str | None = Field(description="集市表")
    partition_on: dt.date | None = Field(description="日期分区；不分区的为空")
    rows_checked: int | None = Field(description="检查的行数")
    rows_failed: int | None = Field(description="不符合的行数")
    rows_listed: int | None = Field(description="列入问题清单的行数")
    status: str | None = Field(description="evaluated 已评估，not_evaluated 未评估，missing 缺失，unexpected 多余，empty 没有可检查的行")
    reason: str | None = Field(description="原因")


class DepartmentDay(BaseModel):
    """一个部门一天的记录在一条规则上的结果。"""

    date: dt.date | None = Field(description="记录的日期")
    department_code: str | None = Field(description="部门代码")
    rule_id: str | None = Field(description="规则")
    subject: str | None = Field(description="主题")
    dimension: str | None = Field(description="质量维度")
    severity: str | None = Field(description="等级")
    rows_checked: int | None = Field(description="检查的行数")
    rows_failed: int | None = Field(description="不符合的行数")


class RuleDay(BaseModel):
    """一条规则在一次运行当日的结果。"""

    date: dt.date | None = Field(description="运行日")
    rule_id: str | None = Field(description="规则")
    rows_checked: int | None = Field(description="检查的行数")
    rows_failed: int | None = Field(description="不符合的行数")
    opened: int | None = Field(description="新发现")
    healed: int | None = Field(description="整改")
    status: str | None = Field(description="是否评估")


class Suspicion(BaseModel):
    """一条与同类明显不同的记录；不是问题，不计入任何得分。"""

    run_id: str | None = Field(description="查找的运行")
    detected_at: dt.datetime | None = Field(description="查找时的数据截止时刻")
    kind: str | None = Field(description="类别：duration 时长、steps 补写、volume 业务量、levels 评价等级、channel 渠道、staff 经办人、text 评价文字与等级、pattern 多项异常")
    table_name: str | None = Field(description="集市表")
    source: str | None = Field(description="数据源名称；说的是整个部门时为空")
    record_key: str | None = Field(description="记录的主键；说的是整个部门时为其异常之处")
    department_code: str | None = Field(description="部门代码")
    partition_on: dt.date | None = Field(description="所在日期")
    score: float | None = Field(description="异常程度，0 至 1，只在同类之间可比")
    rank: int | None = Field(description="同类中的名次，最异常的在前")
    breaks_rule: bool | None = Field(description="此记录是否已有规则发现的问题")
    reason: str | None = Field(description="说明，附数字")


class ColumnProfile(BaseModel):
    """一个月里一个集市的一列。"""

    month: dt.date | None = Field(description="月份的第一天；每月保留最近一次")
    run_id: str | None = Field(description="画像的运行")
    profiled_at: dt.datetime | None = Field(description="画像时的数据截止时刻")
    table_name: str | None = Field(description="集市表")
    column_name: str | None = Field(description="列")
    position: int | None = Field(description="列的顺序")
    data_type: str | None = Field(description="类型")
    is_personal: bool | None = Field(description="来自个人信息：只列写法，不列值")
    row_count: int | None = Field(description="行数")
    null_count: int | None = Field(description="空值数")
    distinct_count: int | None = Field(description="不同值数；两万行以上为估计")
    minimum: str | None = Field(description="最小值")
    p05: str | None = Field(description="第 5 百分位")
    p25: str | None = Field(description="第 25 百分位")
    p50: str | None = Field(description="中位数")
    p75: str | None = Field(description="第 75 百分位")
    p95: str | None = Field(description="第 95 百分位")
    maximum: str | None = Field(description="最大值")
    mean: float | None = Field(description="平均值")
    frequent: str | None = Field(description="常见值及占比（JSON）")
    shapes: str | None = Field(description="常见写法及占比（JSON）：9 数字，A、a 字母，文 汉字")
    sampled_rows: int | None = Field(description="抽样行数")
    recent: str | None = Field(description="近 30 日的分布（JSON），供下月比较")
    drift_measure: str | None = Field(description="差异的度量：psi 群体稳定性指标，ks 柯尔莫哥洛夫—斯米尔诺夫")
    drift: float | None = Field(description="与上月的差异")
    null_share_change: float | None = Field(description="空值占比的变化")
    drift_basis: str | None = Field(description="与什么相比：month 以前月份的画像，rows 前 30 日的记录")
    is_drifted: bool | None = Field(description="差异大且不是偶然")
    drift_reason: str | None = Field(description="差异说明")


class Cell(BaseModel):
    """一个部门一个主题的检查结果。"""

    department_code: str | None = Field(description="部门代码")
    department_name: str | None = Field(description="部门名称")
    subject: str = Field(description="主题")
    rows_checked: int = Field(description="检查项次")
    rows_failed: int = Field(description="问题项次")


class DepartmentRecords(BaseModel):
    """一个部门的记录中有几条有计分的问题。"""

    department_code: str | None = Field(description="部门代码")
    records: int = Field(description="检查过的记录")
    records_failed: int = Field(description="有未整改问题的记录，不含提示")


class Scorecard(BaseModel):
    """总览。"""

    rows_checked: int = Field(description="检查项次，不含提示")
    rows_failed: int = Field(description="问题项次，不含提示")
    open: int = Field(description="未整改问题，不含提示")
    blocking: int = Field(description="未整改的阻断上报问题")
    advice: int = Field(description="未整改的提示")
    opened: int = Field(description="这次运行新发现的问题，不含提示")
    healed: int = Field(description="这次运行看到已整改的问题，不含提示")
    evaluated: int = Field(description="已评估的规则")
    empty: int = Field(description="没有可检查的行的规则")
    not_evaluated: int = Field(description="未评估的规则")
    cells: list[Cell] = Field(description="部门与主题")
    departments: list[DepartmentRecords] = Field(description="部门有问题的记录，比例高的在前")


class RecordViolation(Violation):
    """一条记录曾有过的一个问题。"""

    rule_title: str | None = Field(description="问题")
    remedy: str | None = Field(description="怎么改")
    subject: str | None = Field(description="主题")
    department_name: str | None = Field(description="部门名称")


class Record(BaseModel):
    """一条记录。"""

    violations: list[RecordViolation] = Field(description="曾发现过的问题，按首次发现的先后")


class ViolationParameters(ListParameters):
    """Filters of violations."""

    rule_id: AnyOf | None = Field(None, description="规则")
    table_name: AnyOf | None = Field(None, description="集市表")
    source: AnyOf | None = Field(None, description="数据源名称")
    record_key: AnyOf | None = Field(None, description="记录的主键")
    department_code: AnyOf | None = Field(None, description="部门代码")
    severity: Severities | None = Field(None, description="等级")
    dimension: AnyOf | None = Field(None, description="质量维度")
    partition_from: Day | None = Field(None, description="日期分区不早于")
    partition_to: Day | None = Field(None, description="日期分区不晚于")
    is_healed: bool | None = Field(None, description="是否已整改")


class RuleParameters(ListParameters):
    """Filters of rules."""

    rule_id: AnyOf | None = Field(None, description="规则")
    table_name: AnyOf | None = Field(None, description="集市表")
    subject: AnyOf | None = Field(None, description="主题")
    dimension: AnyOf | None = Field(None, description="质量维度")
    severity: Severities | None = Field(None, description="等级")
    gate: bool | None = Field(None, description="不通过则不发布")
    status: AnyOf | None = Field(None, description="是否评估")


class CheckParameters(ListParameters):
    """Filters of evaluations by partition."""

    rule_id: AnyOf | None = Field(None, description="规则")
    table_name: AnyOf | None = Field(None, description="集市表")
    run_id: AnyOf | None = Field(None, description="评估的运行")
    status: AnyOf | None = Field(None, description="结果")
    partition_from: Day | None = Field(None, description="日期分区不早于")
    partition_to: Day | None = Field(None, description="日期分区不晚于")


class DepartmentParameters(ListParameters):
    """Filters of departments' days."""

    department_code: AnyOf | None = Field(None, description="部门代码")
    rule_id: AnyOf | None = Field(None, description="规则")
    subject: AnyOf | None = Field(None, description="主题")
    dimension: AnyOf | None = Field(None, description="质量维度")
    severity: Severities | None = Field(None, description="等级")
    date_from: Day | None = Field(None, description="日期不早于")
    date_to: Day | None = Field(None, description="日期不晚于")


class DayParameters(ListParameters):
    """Filters of the trend."""

    rule_id: AnyOf | None = Field(None, description="规则")
    status: AnyOf | None = Field(None, description="是否评估")
    date_from: Day | None = Field(None, description="运行日不早于")
    date_to: Day | None = Field(None, description="运行日不晚于")


class SuspicionParameters(ListParameters):
    """Filters of suspicions."""

    kind: AnyOf | None = Field(None, description="类别")
    table_name: AnyOf | None = Field(None, description="集市表")
    source: AnyOf | None = Field(None, description="数据源名称")
    record_key: AnyOf | None = Field(None, description="记录的主键")
    department_code: AnyOf | None = Field(None, description="部门代码")
    breaks_rule: bool | None = Field(None, description="是否已有规则发现的问题")
    partition_from: Day | None = Field(None, description="日期不早于")
    partition_to: Day | None = Field(None, description="日期不晚于")


class ProfileParameters(ListParameters):
    """Filters of profiles."""

    table_name: AnyOf | None = Field(None, description="集市表")
    column_name: AnyOf | None = Field(None, description="列")
    is_personal: bool | None = Field(None, description="是否来自个人信息")
    is_drifted: bool | None = Field(None, description="是否与上月不同")
    drift_basis: AnyOf | None = Field(None, description="与什么相比")
    month_from: Day | None = Field(None, description="月份的第一天不早于")
    month_to: Day | None = Field(None, description="月份的第一天不晚于")


class RecordParameters(ItemParameters):
    """Which record."""

    table_name: Text = Field(description="集市表")
    record_key: str = Field(max_length=500, description="记录的主键，各部分以 / 连接")
    source: Text | None = Field(None, description="数据源名称；没有数据源的表不写")


@router.get("/scorecard", response_model=Item[Scorecard], summary="总览：各部门各主题的检查结果")
async def get_scorecard(request: Request, wanted: Annotated[ItemParameters, Query()]) -> Response:
    """合格率 = 1 − 问题项次 ÷ 检查项次；提示级不计入。"""
    answers: Answers = request.app.state.answers
    snapshot = answers.warehouse.snapshot(wanted.as_of)

    def read() -> dict[str, Any]:
        found = QualityRepository(answers.warehouse.store).overview(snapshot)
        cells = [{name: cell[name] for name in Cell.model_fields} for cell in found.cells]
        return {"item": {**found.totals, **found.rules, "cells": cells, "departments": found.departments}}

    return await answers.give(request, wanted, snapshot, read)


@router.get("/violations", response_model=Page[Violation], summary="质检问题列表")
async def list_violations(request: Request, wanted: Annotated[ViolationParameters, Query()]) -> Response:
    """默认最近看到的在前；问题过多的规则只列出一部分，其余见 checks 的计数。"""
    return await list_rows(request, "quality/violations", wanted)


@router.get("/record", response_model=Item[Record], summary="一条记录的全部问题")
async def get_record(request: Request, wanted: Annotated[RecordParameters, Query()]) -> Response:
    """曾发现过的问题，按首次发现的先后。"""
    answers: Answers = request.app.state.answers
    snapshot = answers.warehouse.snapshot(wanted.as_of)

    def read() -> dict[str, Any]:
        found = QualityRepository(answers.warehouse.store).record(snapshot, wanted.table_name, wanted.source, wanted.record_key)
        if not found:
            raise YiwangError("YW-SERVE-006", what="这条记录的质检问题")
        return {"item": {"violations": found}}

    return await answers.give(request, wanted, snapshot, read)


@router.get("/rules", response_model=Page[RuleState], summary="质检规则列表")
async def list_rules(request: Request, wanted: Annotated[RuleParameters, Query()]) -> Response:
    """规则及其最近一次评估；没有评估不等于合格。"""
    return await list_rows(request, "quality/rules", wanted)


@router.get("/checks", response_model=Page[PartitionCheck], summary="各规则各分区的评估列表")
async def list_partition_checks(request: Request, wanted: Annotated[CheckParameters, Query()]) -> Response:
    """检查了多少行、不符合多少行，缺失和多余的分区也在其中。"""
    return await list_rows(request, "quality/checks", wanted)


@router.get("/departments", response_model=Page[DepartmentDay], summary="部门每日质检列表")
async def list_department_days(request: Request, wanted: Annotated[DepartmentParameters, Query()]) -> Response:
    """默认最近一天在前。"""
    return await list_rows(request, "quality/departments", wanted)


@router.get("/days", response_model=Page[RuleDay], summary="质检趋势列表")
async def list_days(request: Request, wanted: Annotated[DayParameters, Query()]) -> Response:
    """各规则在各次运行当日的结果，默认最近一天在前。"""
    return await list_rows(request, "quality/days", wanted)


@router.get("/suspicions", response_model=Page[Suspicion], summary="可疑记录列表")
async def list_suspicions(request: Request, wanted: Annotated[SuspicionParameters, Query()]) -> Response:
    """规则没有说、但与同类明显不同的记录；与问题分开，不计入任何得分。"""
    return await list_rows(request, "quality/suspicions", wanted)


@router.get("/profile", response_model=Page[ColumnProfile], summary="数据画像列表")
async def list_profiles(request: Request, wanted: Annotated[ProfileParameters, Query()]) -> Response:
    """各集市每一列的取值、写法、分布及与上月的差异，默认最近一月在前。"""
    return await list_rows(request, "quality/profile", wanted)
