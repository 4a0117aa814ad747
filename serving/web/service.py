"""The door of the pages: puts them on an application."""

from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from models.domain.settings import Settings
from models.store.pages import PageRepository
from models.store.snapshots import SnapshotStore
from models.store.warehouse import WarehouseRepository
from serving import observe, problems
from serving.bodies import Bodies
from serving.head import HeadAsGet
from serving.web.catalogue import catalogue_router
from serving.web.desk.cases import cases_router
from serving.web.desk.keep import keep_router
from serving.web.desk.parties import parties_router
from serving.web.entrance import Entrance
from serving.web.forecast import forecast_router
from serving.web.login import login_router
from serving.web.packages import packages_router
from serving.web.public import public_app
from serving.web.quality import quality_router
from serving.web.report import report_router
from serving.web.seals import Seals
from serving.web.sources import sources_router
from serving.web.staff.mounting import StaffRoute, staff_lifespan
from serving.web.staff.view import Desk
from serving.web.templating import Templates


def mount(app: FastAPI, settings: Settings, store: SnapshotStore) -> None:
    """Put the pages on an application whose other routes are there already.

    The staff page and the report become routes of ``app`` and stand behind its guard; the public pages are an
    application of their own, and an entrance in front of both decides by the address alone.

    Args:
        app: The application; its middleware may be added before or after.
        settings: Home, zone, how people log in.
        store: The snapshots that the pages read.
    """
    templates, seals = Templates(settings.zone), Seals(settings)
    pages = PageRepository(store)
    app.include_router(report_router(settings))
    app.include_router(catalogue_router(store, templates))
    app.include_router(forecast_router(store, templates))
    app.include_router(quality_router(store, templates))
    app.include_router(packages_router(settings, store, templates))
    app.include_router(sources_router(settings, seals, templates))
    app.include_router(cases_router(templates))
    app.include_router(keep_router(templates))
    app.include_router(parties_router(templates))
    app.router.routes.append(StaffRoute(Desk(pages, WarehouseRepository(store), templates)))

    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(application: Any) -> Any:
        async with staff_lifespan(), inner(application) as state:
            yield state

    app.router.lifespan_context = lifespan

    public = public_app(pages, login_router(lambda: app.state.login, settings, templates), templates)
    public.add_middleware(HeadAsGet)
    public.add_middleware(Bodies, most=settings.body_bytes, seconds=settings.body_seconds, refuse=problems.refuse)
    public.add_middleware(observe.Observer, log=observe.request_log())
    build = app.build_middleware_stack

    def entrance() -> Entrance:
        return Entrance(public, build(), templates)

    app.build_middleware_stack = entrance  # type: ignore[method-assign]  # before the guard and around the handler of server errors, where no middleware can stand
