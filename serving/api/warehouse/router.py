"""``/api/v1/warehouse``: the published marts, read-only, each answer from one snapshot."""

from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Security
from fastapi.security import HTTPBearer
from starlette.responses import Response

from models.domain.errors import YiwangError
from models.store.drilldown import Part, drill_down, month_end
from models.store.resources import ALL, RESOURCES
from serving.api.answers import Answers
from serving.api.warehouse import parameters as asked
from serving.api.warehouse import schemas as answer
from serving.auth.service import WAREHOUSE_READ, require
from serving.problems import MEDIA_TYPE, Problem

PREFIX = "/api/v1/warehouse"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}}
    for status, description in ((401, "未登录"), (403, "没有权限"), (404, "没有此行或此截止日的数据"), (410, "数据版本已不再保留"), (422, "参数有误"), (503, "还没有已发布的数据"))
}
BEARER = Security(HTTPBearer(auto_error=False, description="访问令牌（YIWANG_API_TOKENS）"))

router = APIRouter(prefix=PREFIX, tags=["数据仓库"], dependencies=[require(WAREHOUSE_READ), BEARER], responses=PROBLEMS)

Item = Annotated[asked.ItemParameters, Query()]


@router.get("/matters", response_model=answer.Page[answer.Matter], summary="事项列表")
async def list_matters(request: Request, wanted: Annotated[asked.MatterParameters, Query()]) -> Response:
    """事项，默认按实施编码排序；可按 matter_code、matter_name、updated_at 排序。"""
    return await list_rows(request, "matters", wanted)


@router.get("/matters/{source}/{matter_code:path}", response_model=answer.Item[answer.Matter], summary="一个事项")
async def get_matter(request: Request, source: str, matter_code: str, wanted: Item) -> Response:
    """按数据源和实施编码取一个事项。"""
    return await _get(request, "matters", (source, matter_code), wanted)


@router.get("/cases", response_model=answer.Page[answer.Case], summary="办件列表")
async def list_cases(request: Request, wanted: Annotated[asked.CaseParameters, Query()]) -> Response:
    """办件，默认最新收件在前；可按 received_at、completed_at、due_at、case_number 排序。"""
    return await list_rows(request, "cases", wanted)


@router.get("/cases/{source}/{case_number:path}", response_model=answer.Item[answer.CaseDetail], summary="一个办件及其环节、证照、评价")
async def get_case(request: Request, source: str, case_number: str, wanted: Item) -> Response:
    """按数据源和办件编号取一个办件。"""
    return await _get(request, "cases", (source, case_number), wanted)


@router.get("/departments", response_model=answer.Page[answer.Department], summary="部门列表")
async def list_departments(request: Request, wanted: Annotated[asked.DepartmentParameters, Query()]) -> Response:
    """部门，默认按来源给出的顺序；可按 sort_order、department_code、department_name 排序。"""
    return await list_rows(request, "departments", wanted)


@router.get("/departments/{department_code:path}", response_model=answer.Item[answer.Department], summary="一个部门")
async def get_department(request: Request, department_code: str, wanted: Item) -> Response:
    """按部门代码取一个部门。"""
    return await _get(request, "departments", (department_code,), wanted)


@router.get("/scores", response_model=answer.Page[answer.Score], summary="部门月度得分列表")
async def list_scores(request: Request, wanted: Annotated[asked.ScoreParameters, Query()]) -> Response:
    """部门月度得分，默认最近月份在前；可按 month、rank、score、department_code 排序。"""
    return await list_rows(request, "scores", wanted)


@router.get(
    "/scores/{system_code}/{department_code}/{month}", response_model=answer.Item[answer.ScoreDetail], summary="一个部门一个月的得分、各指标及背后的办件"
)
async def get_score(request: Request, system_code: str, department_code: str, month: asked.Month, wanted: Item) -> Response:
    """得分如何得来：各指标的分子、分母、得分和权重，以及列出背后办件的地址。"""
    return await _get(request, "scores", (system_code, department_code, month), wanted)


@router.get("/measures", response_model=answer.Page[answer.Measure], summary="部门每日指标列表")
async def list_measures(request: Request, wanted: Annotated[asked.MeasureParameters, Query()]) -> Response:
    """得分所依据的每日分子与分母，默认最近一天在前；可按 date、department_code 排序。"""
    return await list_rows(request, "measures", wanted)


@router.get("/runs", response_model=answer.Page[answer.Run], summary="运行列表")
async def list_runs(request: Request, wanted: Annotated[asked.RunParameters, Query()]) -> Response:
    """运行，默认最近一次在前；可按 run_seq、as_of 排序。"""
    return await list_rows(request, "runs", wanted)


@router.get("/runs/{run_id}", response_model=answer.Item[answer.RunDetail], summary="一次运行及其读取计数")
async def get_run(request: Request, run_id: str, wanted: Item) -> Response:
    """按运行编号取一次运行。"""
    return await _get(request, "runs", (run_id,), wanted)


@router.get("/checks", response_model=answer.Page[answer.Check], summary="质量检查结果列表")
async def list_checks(request: Request, wanted: Annotated[asked.CheckParameters, Query()]) -> Response:
    """质量检查结果，默认未通过在前；可按 passed、severity、table_name、failed_rows 排序。"""
    return await list_rows(request, "checks", wanted)


@router.get("/checks/{run_id}/{table_name}/{check_name:path}", response_model=answer.Item[answer.Check], summary="一项质量检查的结果")
async def get_check(request: Request, run_id: str, table_name: str, check_name: str, wanted: Item) -> Response:
    """按运行编号、表名和检查名称取一项结果。"""
    return await _get(request, "checks", (run_id, table_name, check_name), wanted)


async def list_rows(request: Request, name: str, wanted: asked.ListParameters) -> Response:
    """The answer to a list: a page of a resource."""
    answers: Answers = request.app.state.answers
    snapshot = answers.warehouse.snapshot(wanted.as_of, wanted.cursor)
    filters = wanted.model_dump(include=set(ALL[name].filters), exclude_none=True)

    def read() -> dict[str, Any]:
        page = answers.warehouse.page(
            name, filters, sort=wanted.sort, limit=wanted.limit, cursor=wanted.cursor, count=wanted.count, snapshot=snapshot
        )
        return {"items": page.items, "next": page.next, "count": page.count}

    return await answers.give(request, wanted, snapshot, read)


async def _get(request: Request, name: str, key: tuple[Any, ...], wanted: asked.ItemParameters) -> Response:
    answers: Answers = request.app.state.answers
    snapshot = answers.warehouse.snapshot(wanted.as_of)

    def read() -> dict[str, Any]:
        item = answers.warehouse.get(name, key, snapshot=snapshot)
        if item is None:
            raise YiwangError("YW-SERVE-006", what=RESOURCES[name].title)
        for indicator in item.get("indicators", ()):
            indicator["behind"] = _behind(indicator, wanted.as_of)
        return {"item": item}

    return await answers.give(request, wanted, snapshot, read)


def _behind(indicator: dict[str, Any], as_of: date | None) -> dict[str, list[str]] | None:
    """Addresses of the lists behind an indicator's value."""
    month = indicator["month"]
    lists = drill_down(indicator["indicator_code"], indicator["department_code"], month, month_end(month))
    if lists is None:
        return None
    return {"numerator": [_address(part, as_of) for part in lists.numerator], "denominator": [_address(part, as_of) for part in lists.denominator]}


def _address(part: Part, as_of: date | None) -> str:
    asked_for = part.filters if as_of is None else {**part.filters, "as_of": as_of}
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in asked_for.items()}
    return f"{PREFIX}/{part.resource}?{urlencode(texts, doseq=True)}"
