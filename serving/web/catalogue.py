"""数据目录: sources and whether they are fresh, tables and columns, lineage, partitions. Whole pages without script."""

from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from models.domain.codes import code_tables, standard_items
from models.domain.errors import YiwangError
from models.store.catalogue import CatalogueRepository, Lineage
from models.store.snapshots import SnapshotStore
from serving.auth.service import SOURCES_EDIT, WAREHOUSE_READ, Principal, require
from serving.web.catalogue_charts import calendar, graph
from serving.web.menu import MENU
from serving.web.templating import PAGE_POLICY, Templates

LAYERS = {
    "source": "数据源", "raw": "原始层", "ops": "运行账", "staging": "规范层", "intermediate": "中间层", "marts": "集市", "publish": "发布", "exposure": "使用者",
}
FRESHNESS = {
    "fresh": ("及时", "good", "✓"), "stale": ("滞后", "bad", "!"), "empty": ("没有数据", "warn", "○"), "no_rule": ("不判断", "soft", "–"),
}
"""Verdict → word, colour, sign: never the colour alone."""
HABITS = {"daily": "按工作日", "monthly": "按月", "irregular": "无规律"}
KINDS = {"table": "表", "view": "视图", "ephemeral": "临时查询", "source": "数据源", "file": "文件", "dashboard": "看板", "application": "应用", "notebook": "分析笔记", "analysis": "分析", "ml": "模型"}
REASONS = {
    "no_rows_on_working_day": "工作日没有记录", "no_rows_in_month": "整月没有记录", "too_early": "早于合理日期", "before_start": "早于数据源的起始日",
    "after_as_of": "晚于数据截止日", "no_day": "没有日期",
}
_MOST_WORDS = 5
_MOST_BAD = 200
Word = Annotated[str, Query(max_length=100)]
Name = Annotated[str, Query(max_length=200)]


def catalogue_router(store: SnapshotStore, templates: Templates) -> APIRouter:
    """``/catalogue`` and what lies below, for principals that may read the warehouse."""
    router = APIRouter(include_in_schema=False, dependencies=[require(WAREHOUSE_READ)])
    catalogue = CatalogueRepository(store)

    def page(request: Request, template: str, **values: Any) -> Response:
        return staff_page(request, templates, template, here="catalogue", layers=LAYERS, freshness=FRESHNESS, habits=HABITS, kinds=KINDS, reasons=REASONS, **values)

    @router.get("/catalogue")
    def show_catalogue(request: Request, q: Word = "", layer: Name = "") -> Response:
        snapshot = store.in_service()
        words = tuple(q.split()[:_MOST_WORDS])
        return page(
            request, "catalogue.html", snapshot=snapshot, sources=catalogue.sources(snapshot), q=q, layer=layer,
            tables=catalogue.tables(snapshot, words, layer or None), present=catalogue.layers(snapshot), series=catalogue.series(snapshot),
        )

    @router.get("/catalogue/tables/{name:path}")
    def show_table(request: Request, name: str) -> Response:
        snapshot = store.in_service()
        table = catalogue.table(snapshot, name)
        if table is None:
            raise YiwangError("YW-SERVE-006", what="此表")
        around = catalogue.lineage(snapshot).around(name)
        return page(request, "catalogue_table.html", snapshot=snapshot, table=table, graph=graph(around, name), codes=code_tables(), items=standard_items())

    @router.get("/catalogue/lineage")
    def show_lineage(request: Request, around: Name = "") -> Response:
        snapshot = store.in_service()
        whole = catalogue.lineage(snapshot)
        shown = whole.around(around) if around else whole
        upstream: dict[str, list[str]] = {row["table_name"]: [] for row in shown.products}
        for above, below in shown.edges:
            upstream[below].append(above)
        return page(request, "catalogue_lineage.html", snapshot=snapshot, graph=graph(shown if around else _drawn(whole), around or None), around=around, products=whole.products, shown=shown.products, upstream=upstream)

    @router.get("/catalogue/partitions")
    def show_partitions(request: Request, table: Name = "", source: Name = "") -> Response:
        snapshot = store.in_service()
        series = catalogue.series(snapshot)
        chosen = next((row for row in series if (row["table_name"], row["source"]) == (table, source)), None)
        if chosen is None and (table or source):
            raise YiwangError("YW-SERVE-006", what="此数据源的分区")
        chosen = chosen or next(iter(series), None)
        found = catalogue.partitions(snapshot, chosen["table_name"], chosen["source"]) if chosen else []
        bad = [row for row in found if row["verdict"] != "ok"]
        years = calendar(found, snapshot.as_of.astimezone(ZoneInfo(store.zone)).date())
        titles = {row["table_name"]: row["title"] for row in catalogue.lineage(snapshot).products}
        return page(request, "catalogue_partitions.html", snapshot=snapshot, series=series, chosen=chosen, years=years, bad=bad[::-1][:_MOST_BAD], bad_count=len(bad), titles=titles)

    return router


def staff_page(request: Request, templates: Templates, template: str, status: int = 200, **values: Any) -> Response:
    """A page of the staff that needs no script."""
    principal: Principal = request.state.principal
    values |= {"is_public": False, "may_configure": principal.may(SOURCES_EDIT), "may_work": any(principal.may(permission) for _, _, permission in MENU), "has_session": "cookie" in request.headers and principal.name != "developer"}
    return HTMLResponse(templates.render(template, **values), status, {"content-security-policy": PAGE_POLICY, "cache-control": "no-store"})


def _drawn(lineage: Lineage) -> Lineage:
    """What the picture of everything leaves out: the catalogue's own tables, made from nearly everything, and what stands alone."""
    edges = [edge for edge in lineage.edges if not any(name.startswith("marts.catalogue_") for name in edge)]
    joined = {name for edge in edges for name in edge}
    return Lineage([row for row in lineage.products if row["table_name"] in joined], edges)
