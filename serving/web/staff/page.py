"""The staff page itself: parts rendered by the templates, a grid and charts between them, and a clock that follows the
published snapshot. Everything that is read is read on a thread.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

from fastapi import Request
from nicegui import run, ui

from models.domain.errors import YiwangError
from serving.auth.service import WAREHOUSE_READ, Principal
from serving.web.sessions import LIFETIME
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
        self._choice = wanted
        self._has_session = has_session
        self._view: View | None = None
        self._parts: dict[str, ui.html] = {}

    async def build(self) -> None:
        """Lays the page out, with what is published now."""
        try:
            view = await run.io_bound(read, self._desk, self._choice)
        except YiwangError as error:
            self._part("header", "_header.html", snapshot=None)
            self._part("empty", "staff_empty.html", message=error.message)
            return
        self._view, self._choice = view, view.choice
        self._part("header", "staff_header.html", snapshot=view.snapshot, has_session=self._has_session)
        with ui.element("main").classes("wrap staff").props('id=main tabindex="-1"'):
            self._part("summary", "staff_summary.html")
            with ui.element("section").classes("card").props('aria-labelledby="scores"'):
                self._part("picks", "staff_picks.html").on("change", self._chosen, js_handler=_VALUE)
                with ui.element("div").classes("halves"):
                    self._grid = ui.aggrid(charts.grid(view), auto_size_columns=False).classes("grid").on("rowSelected", self._selected, ["selected", "data.code"])
                    with ui.element("div").classes("bars"):
                        self._bars = ui.echart(charts.bars(view), on_point_click=self._pointed, renderer="svg")
                        self._bars.style(f"height:{charts.bars_height(view)}px;width:100%")
            with ui.element("section").classes("card").props('aria-labelledby="indicators"'):
                self._part("department", "staff_department.html").on("change", self._chosen, js_handler=_VALUE)
                self._trend = ui.echart(charts.trend(view), renderer="svg").classes("trend")
                self._part("indicators", "staff_indicators.html")
            self._part("sync", "staff_sync.html")
            self._part("checks", "staff_checks.html")
        self._part("footer", "staff_footer.html")

    async def follow(self) -> None:
        """Shows a newly published snapshot."""
        current = await run.io_bound(self._desk.pages.store.current)
        if current is None or (self._view is not None and current == self._view.snapshot):
            return
        if self._view is None:
            ui.navigate.reload()
            return
        await self._show(self._choice)
        ui.notify("数据已更新", type="positive", position="top")
        self._part("notice", "staff_notice.html")

    async def _show(self, wanted: Choice) -> None:
        """Reads anew and changes what has changed."""
        before = self._view
        view = await run.io_bound(read, self._desk, wanted)
        self._view, self._choice = view, view.choice
        if before is None or view.snapshot != before.snapshot:
            for name in ("header", "summary", "sync", "checks"):
                self._part(name, f"staff_{name}.html", snapshot=view.snapshot, has_session=self._has_session)
        if before is None or (view.snapshot, view.months, view.choice) != (before.snapshot, before.months, before.choice):
            self._part("picks", "staff_picks.html")
            self._part("department", "staff_department.html")
            self._part("indicators", "staff_indicators.html")
            _set(self._trend, charts.trend(view))
            _set(self._bars, charts.bars(view))
            self._bars.style(f"height:{charts.bars_height(view)}px;width:100%")
        if before is None or view.scores != before.scores:
            self._grid.options["rowData"] = charts.grid_rows(view)
            self._grid.update()

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
        change: dict[str, Callable[[], Any]] = {"month": partial(_month, value), "department": lambda: value, "system": lambda: value}
        if name in change:
            await self._show(replace(self._choice, **{name: change[name]()}))

    async def _selected(self, event: Any) -> None:
        code = event.args.get("data", {}).get("code") or event.args.get("data.code")
        if event.args.get("selected", True) and code != self._choice.department:
            await self._show(replace(self._choice, department=code))

    async def _pointed(self, event: Any) -> None:
        await self._show(replace(self._choice, department=event.data["code"]))


def _set(chart: ui.echart, options: dict[str, Any]) -> None:
    chart.options.clear()
    chart.options.update(options)
    chart.update()


def _month(text: str) -> date | None:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        return None
