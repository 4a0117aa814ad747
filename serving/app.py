"""The server: the API and the pages behind one guard, on one address."""

import errno
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio.to_thread
import uvicorn
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from uvicorn.supervisors import Multiprocess

from models.core.crypto.service import encrypting, provider
from models.core.work.operations import Operations
from models.domain.errors import YiwangError
from models.domain.settings import Settings, get_settings
from models.store.operational.database import Database
from models.store.operational.migration import upgrade
from models.store.snapshots import SnapshotStore
from models.store.warehouse import WarehouseRepository
from serving import observe, problems
from serving.api import health
from serving.api.answers import Answers
from serving.api.operational.calls import PREFIX, PROBLEMS
from serving.api.operational.service import ROUTERS
from serving.api.warehouse.catalogue import router as catalogue_router
from serving.api.warehouse.packages import packages_router
from serving.api.warehouse.quality import router as quality_router
from serving.api.warehouse.router import router as warehouse_router
from serving.auth.service import Accounts, Authenticator, Guard, Login
from serving.bodies import Bodies
from serving.head import HeadAsGet
from serving.web.service import mount


def create_app(settings: Settings, *, has_pages: bool = True) -> FastAPI:
    """The application.

    Args:
        settings: Address, home, tokens.
        has_pages: With the pages beside the interfaces.

    Raises:
        YiwangError: YW-SERVE-002 when it would be open to others without authentication, YW-CONFIG-001 for tokens that
            cannot be read.
    """
    authenticator = Authenticator(settings)
    # one DuckDB thread a question: several questions share the cores, one does not need both
    store = SnapshotStore(settings, threads=1)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _threads(settings)
        app.state.operations = operations = await anyio.to_thread.run_sync(_operations, settings)
        app.state.accounts = accounts = Accounts(settings, operations.database, operations.crypto, operations.clock, authenticator)
        app.state.login = Login(accounts)
        yield
        store.close()
        operations.database.close()

    app = FastAPIOffline(
        title="一网接口", version="1", description="业务接口（/api/v1）读写办件、办事主体、机构和评价；数据接口（/api/v1/warehouse）只读已发布的数据，每个应答来自同一版并注明截止时刻 as_of。",
        lifespan=lifespan, generate_unique_id_function=_operation_id,
    )
    app.state.answers = Answers(WarehouseRepository(store))
    problems.install(app)
    app.include_router(health.router)
    app.include_router(warehouse_router)
    app.include_router(catalogue_router)
    app.include_router(quality_router)
    app.include_router(packages_router(settings))
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX, responses=PROBLEMS)
    if has_pages:
        mount(app, settings, store)
    # the last one added stands outermost
    app.add_middleware(HeadAsGet)
    app.add_middleware(Bodies, most=settings.body_bytes, seconds=settings.body_seconds, refuse=problems.refuse)
    app.add_middleware(Guard, authenticator=authenticator, refuse=problems.refuse)
    app.add_middleware(observe.Observer, log=observe.request_log())
    return app


def interfaces() -> FastAPI:
    """The interfaces alone, of one process among several; it ends with the one that started it, even when that one is killed."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    observe.log_libraries()
    return create_app(get_settings(), has_pages=False)


def serve(settings: Settings, announce: Callable[[str], None] | None = None, processes: int | None = None) -> None:
    """Serve until stopped.

    Args:
        settings: Address, home, tokens.
        announce: Is told the address once it is bound.
        processes: So many processes that share the address, interfaces only; their settings are the environment's. None: this process,
            with the pages, whose sockets must come back to the process that drew them.

    Raises:
        YiwangError: YW-SERVE-001 when the port is taken, and as :func:`create_app`.
    """
    app = create_app(settings, has_pages=processes is None)
    listening = listen(settings.host, settings.port)
    if announce:
        announce(f"http://{settings.host}:{settings.port}")
    observe.log_libraries()
    config = uvicorn.Config(
        app if processes is None else "serving.app:interfaces", factory=processes is not None, workers=processes or 1, access_log=False, log_config=None,
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=10,
    )  # fmt: skip
    with listening:
        if processes is None:
            uvicorn.Server(config).run(sockets=[listening])
        else:
            Multiprocess(config, sockets=[listening]).run()


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address before anything starts, so that a taken port is told in one sentence.

    Raises:
        YiwangError: YW-SERVE-001 when the port is taken, YW-CONFIG-001 when the address is not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise YiwangError("YW-SERVE-001", port=port) from error
        raise YiwangError("YW-CONFIG-001", name="YIWANG_HOST", detail=f"不能监听 {host}:{port}（{error.strerror}）") from error


def _operations(settings: Settings) -> Operations:
    """The operational store, its tables brought to this version; not before the server starts, as it makes files and keys in the home."""
    database, crypto = Database(settings), provider(settings)
    upgrade(database, encrypting(crypto))
    return Operations(settings, database, crypto)


def _threads(settings: Settings) -> int:
    """Requests worked on at once: more only take turns on the interpreter, and each turn costs; with a server of its own they wait for it, too."""
    return 2 if settings.database_url is None else 6


def _operation_id(route: APIRoute) -> str:
    return route.name
