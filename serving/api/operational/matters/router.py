"""``/api/v1/matters``: what one may apply for."""

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from models.core.matters import service
from serving.api.operational.calls import BEARER, Call, Code, PageParameters, permitted
from serving.api.operational.listing import Listed
from serving.api.operational.matters.schemas import MatterDetail, MatterParameters, MatterSummary, NewMatter

router = APIRouter(prefix="/matters", tags=["事项"], dependencies=[BEARER])
Reader = Annotated[Call, permitted("matter:read")]


@router.get("", response_model=Listed[MatterSummary], summary="事项列表")
def list_matters_in_force(wanted: Annotated[MatterParameters, Query()], call: Reader) -> Response:
    """某日有效的事项，按实施编码排序；可按办理单位和名称查找。"""
    day = wanted.day or call.today
    return call.page(lambda session: service.listed(session, day, wanted.paging, unit_code=wanted.unit_code, name=wanted.name, process=wanted.process), MatterSummary.of)


@router.get("/{code}", response_model=MatterDetail, summary="一个事项")
def get_matter_in_force(code: Code, call: Reader, day: Annotated[dt.date | None, Query(description="在这一天有效的版本；缺省为今天")] = None) -> Response:
    """某日有效的版本。"""
    return call.one(lambda session: MatterDetail.of(service.in_force(session, code, day or call.today)))


@router.get("/{code}/versions", response_model=Listed[MatterSummary], summary="一个事项的全部版本")
def list_versions(code: Code, wanted: Annotated[PageParameters, Query()], call: Reader) -> Response:
    """从第一版到最新一版。"""
    return call.page(lambda session: service.versions(session, code, wanted.paging), MatterSummary.of)


@router.post("", response_model=MatterDetail, status_code=201, summary="发布事项版本")
def publish_matter(body: NewMatter, call: Annotated[Call, permitted("matter:publish")]) -> Response:
    """新版本自生效日期起有效，前一版同日失效；已收的办件仍按收件时的版本办理。"""
    return call.post(body, lambda now: MatterDetail.of(service.publish(now, body.version())), location=lambda made: f"/api/v1/matters/{made.code}")
