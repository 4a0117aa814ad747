"""The staff page itself: parts rendered by the templates, a grid and charts between them, and a clock that follows the
published snapshot. Everything that is read is read on a thread.
"""

from dataclasses import replace
from datetime import date
from typing import Any

from fastapi import Request
from nicegui import run, ui

from models.domain.errors import YiwangError
from serving.auth.service import WAREHOUSE_READ, Principal
from serving.web.seals import LIFETIME
from serving.web.staff import charts
from serving.web.staff.view import Choice, Desk, View, added_up, read

POLL = 3.0
"""Seconds between two looks at the pointer; a look costs one ``stat``."""
_HEAD = '<link rel="icon" href="/assets/icon.svg" type="image/svg+xml"><link rel="stylesheet" href="/assets/yiwang.css">'
_VALUE = "(e) => emit([e.target.name, e.target.value])"


async def staff_page(request: Request, month: str = "", department: str = "") -> None:
    """运行与评估。"""
    desk: Desk = request.state.desk
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None or not principal.may(WAREHOUSE_READ):
        raise YiwangError("YW-SERVE-004")
    ui.add_head_html(_HEAD)
    ui.add_body_html('<noscript><p class="wrap">本页需要启用脚本；<a href="/report">运行报告</a>和<a href="/matters">事项目录</a>不需要。</p></noscript>')
    ui.colors(primary="#0b57a4")
    wanted = Choice(month=_month(month), department=department or None)
    page = _Page(desk, wanted, has_session="cookie" in request.headers and principal.name != "developer")
    await page.build()
    ui.timer(POLL, page.follow)
    ui.timer(LIFETIME, ui.navigate.reload, once=True, immediate=False)


class _Page:
    """One visitor's page."""

    def __init__(self, desk: Desk, wanted: Choice, has_session: bool) -> None:
        self._desk = desk
        self._wanted = wanted
        self._has_session = has_session
        self._view: View | None = None
        self._parts: dict[str, ui.html] = {}

    async def build(self) -> None:
        """Lays the page out, with what is published now."""
        try:
            view = await run.io_bound(read, self._desk, self._wanted)
        except YiwangError as error:
            if error.code != "YW-STORE-001":
                raise
            self._part("header", "staff_header.html", snapshot=None, has_session=self._has_session)
            self._part("empty", "staff_empty.html", message=error.message)
            return
        if view is None:  # the server is stopping
            return
        self._view = view
        self._part("header", "staff_header.html", snapshot=view.snapshot, has_session=self._has_session)
        with ui.element("div").classes("wrap staff").props('id=main tabindex="-1"'):
            self._part("summary", "staff_summary.html")
            with ui.element("section").classes("card").props('aria-labelledby="scores"'):
                self._part("picks", "staff_picks.html").on("change", self._chosen, js_handler=_VALUE)
                with ui.element("div").classes("halves"):
                    self._grid = ui.aggrid(charts.grid(view), auto_size_columns=False).classes("grid")
                    with ui.element("div").classes("bars"):
                        self._bars = ui.echart(charts.bars(view), on_point_click=self._pointed, renderer="svg")
                        self._bars.style(f"height:{charts.bars_height(view)}px;width:100%")
            with ui.element("section").classes("card").props('aria-labelledby="indicators"'):
                self._part("department", "staff_department.html").on("change", self._chosen, js_handler=_VALUE)
                self._trend = ui.echart(charts.trend(view), renderer="svg").classes("trend")
                self._part("indicators", "staff_indicators.html")
            self._part("sync", "staff_sync.html")
            self._part("checks", "staff_checks.html")
        ui.on(charts.CHOSEN, self._selected)
        self._part("footer", "staff_footer.html")

    async def follow(self) -> None:
        """Shows a newly published snapshot."""
        current = await run.io_bound(self._desk.pages.store.current)
        if current is None or (self._view is not None and current == self._view.snapshot):
            return
        if self._view is None:
            ui.navigate.reload()
            return
        await self._show(self._view.choice)
        ui.notify("数据已更新", type="positive", position="top")
        self._part("notice", "staff_notice.html")

    async def _show(self, wanted: Choice) -> None:
        """Reads anew and changes what has changed."""
        before = self._view
        view = await run.io_bound(read, self._desk, wanted)
        if view is None:
            return
        self._view = view
        is_new = before is None or view.snapshot != before.snapshot
        if is_new:
            for name in ("header", "summary", "sync", "checks"):
                self._part(name, f"staff_{name}.html", snapshot=view.snapshot, has_session=self._has_session)
        if is_new or before is None or view.choice != before.choice:
            for name in ("department", "indicators"):
                self._part(name, f"staff_{name}.html")
            _set(self._trend, charts.trend(view))
            _set(self._bars, charts.bars(view))
            self._bars.style(f"height:{charts.bars_height(view)}px;width:100%")
        if is_new or before is None or view.choice.month != before.choice.month or view.choice.system != before.choice.system:
            self._part("picks", "staff_picks.html")
            # not through its options, which would make the grid anew: sorting and filters would be lost
            self._grid.run_grid_method("setGridOption", "rowData", charts.grid_rows(view))

    def _part(self, name: str, template: str, **values: Any) -> ui.html:
        """A part of the page that a template renders: made on first use, changed after that."""
        text = self._desk.templates.render(template, view=self._view, here="staff", is_public=False, added_up=added_up, **values)
        if name not in self._parts:
            self._parts[name] = ui.html(text, sanitize=False)  # the templates escape whatever comes from data
        else:
            self._parts[name].content = text
        return self._parts[name]

    async def _chosen(self, event: Any) -> None:
        name, value = event.args
        if self._view is None:
            return
        match name:
            case "month":
                await self._show(replace(self._view.choice, month=_month(value)))
            case "system":
                await self._show(replace(self._view.choice, system=value))
            case "department":
                await self._show_department(value)

    async def _selected(self, event: Any) -> None:
        await self._show_department(event.args)

    async def _pointed(self, event: Any) -> None:
        await self._show_department(event.data["code"])

    async def _show_department(self, code: str) -> None:
        if self._view is not None and code != self._view.choice.department:
            await self._show(replace(self._view.choice, department=code))


def _set(chart: ui.echart, options: dict[str, Any]) -> None:
    chart.options.clear()
    chart.options.update(options)
    chart.update()


def _month(text: str) -> date | None:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        return None
